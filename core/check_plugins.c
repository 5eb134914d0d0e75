/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source would each collector get? By letting it run: a host as in the daemon,
 * with the configured options but no output, started, asked, and stopped again.
 *
 * Failure modes: a plugin that does not come back within its time is reported and
 * its host left behind; the process ends soon. Main thread, with a loop of its own.
 */
#include "check.h"
#include "describe.h"
#include "host.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Loading some twenty programs takes a tenth of a second; this is for a plugin
 * that hangs. */
#define PLUGIN_TIMEOUT_MS 5000

enum step { STARTING, STOPPING, DONE, TIMED_OUT };

struct trial {
	struct weir__findings *f;
	const struct weir__setup_plugin *plugin;
	struct weir__setup *setup;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct weir__host *host;
	struct weir__snapshot *snapshot;
	enum step step;
	int rc;
};

__attribute__((format(printf, 4, 5))) static void
find(struct trial *t, int state, const char *todo, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	weir__finding_add(t->f, "plugin", WEIR__CHECK_COUNTS, t->plugin->settings->name, state, todo,
	                  "%s", text);
}

/* ---- words about what came of it ------------------------------------------------- */

static bool has_word(const char *words, const char *word, size_t n)
{
	for (; words && *words; words += strcspn(words, " "), words += *words == ' ')
		if (strcspn(words, " ") == n && !memcmp(words, word, n))
			return true;
	return false;
}

/* Another enabled plugin that stands in for all of these topics, or NULL. */
static const char *fallback(const struct trial *t, const char *topics)
{
	for (size_t i = 0; i < t->setup->count; i++) {
		const struct weir__setup_plugin *p = &t->setup->plugins[i];
		const char *s = topics;

		if (p == t->plugin || !p->loaded || !p->settings->common.enabled)
			continue;
		while (s && *s && has_word(p->loaded->desc.fallback_for, s, strcspn(s, " ")))
			s += strcspn(s, " "), s += *s == ' ';
		if (s && !*s)
			return p->settings->name;
	}
	return NULL;
}

/* Capabilities the plugin wants and this process has not: "CAP_BPF, CAP_PERFMON". */
static const char *lacking(uint64_t needs, char *buf, size_t size)
{
	uint64_t have = weir__check_capabilities();
	size_t len = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < 64; i++) {
		const char *name = weir__capability_name(i);

		if (!(needs & ~have & 1ull << i) || !name || len >= size)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "", name);
	}
	return buf;
}

static void advise(const struct trial *t, char *buf, size_t size)
{
	char caps[256];

	buf[0] = 0;
	if (*lacking(t->plugin->loaded->desc.needs, caps, sizeof caps))
		snprintf(buf, size, "run as root, or grant %s", caps);
}

static void say_failed(struct trial *t)
{
	const struct weir_plugin_desc *d = &t->plugin->loaded->desc;
	const char *instead = fallback(t, d->topics);
	char todo[320];

	advise(t, todo, sizeof todo);
	if (instead)
		find(t, WEIR__CHECK_DEGRADED, todo, "no source works: %s; %s stands in for %s",
		     weir__host_reason(t->host), instead, d->topics);
	else
		find(t, WEIR__CHECK_MISSING, todo, "no source works: %s; nothing stands in for %s",
		     weir__host_reason(t->host), d->topics);
}

/* "; without fills (why it matters): not permitted" for each program that is missing,
 * and for each capability. */
static void shortcomings(struct trial *t, char *buf, size_t size)
{
	const struct weir__snapshot *snap = t->snapshot;
	char caps[256];
	size_t len = 0;

	buf[0] = 0;
	for (size_t i = 0; i < snap->program_count; i++) {
		const struct weir__bpf_program *g = &snap->programs[i];

		if (g->attached || g->off || !g->error[0] || len >= size)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "; without program %s (%s): %s",
		                        g->row->name, g->row->doc ? g->row->doc : "", g->error);
	}
	if (*lacking(t->plugin->loaded->desc.needs, caps, sizeof caps) && len < size)
		snprintf(buf + len, size - len, "; without %s", caps);
}

/* Sources before the one in use were passed over; programs or rights may be missing. */
static void say_started(struct trial *t, int used)
{
	const struct weir_plugin_desc *d = &t->plugin->loaded->desc;
	const struct weir_source *s = weir_table_row(&d->sources, (uint32_t)used), *better;
	bool approx = t->snapshot->quality[0], stands_by = d->fallback_for && *d->fallback_for;
	char todo[320], without[512];

	advise(t, todo, sizeof todo);
	shortcomings(t, without, sizeof without);
	better = used > 0 ? weir_table_row(&d->sources, 0) : NULL;
	if (better && !strcmp(weir__host_source_reason(t->host, 0), "not tried"))
		better = NULL; /* the configuration left it out */
	if (better)
		find(t, WEIR__CHECK_DEGRADED, todo, "source %s (%s), since %s: %s%s", s->name,
		     approx ? "approximate" : "exact", better->name,
		     weir__host_source_reason(t->host, 0), without);
	else if (stands_by) /* what it is not exact about counts where it stands in */
		find(t, *without ? WEIR__CHECK_DEGRADED : WEIR__CHECK_OK, todo,
		     "source %s works, to stand in for %s%s", s->name, d->fallback_for, without);
	else
		find(t, approx || *without ? WEIR__CHECK_DEGRADED : WEIR__CHECK_OK, todo,
		     "source %s, %s%s", s->name,
		     approx ? "approximate: this kernel does not tell exactly" : "exact", without);
}

/* ---- the trial --------------------------------------------------------------------- */

static void on_host_failed(void *arg, struct weir__host *h, int err)
{
	(void)arg;
	(void)h;
	(void)err; /* a tick that fails shows in the daemon; here it is a start */
}

static void on_host_ask(void *arg, struct weir__host *h, const char *question, uint64_t ticket)
{
	(void)arg;
	(void)question;
	weir__host_answer(h, ticket, -ENOTCONN, "", 0);
}

static void run_start(struct weir__host *h, void *arg)
{
	struct trial *t = arg;

	t->rc = weir__host_start(h);
	if (!t->rc)
		weir__host_snapshot(h, t->snapshot);
}

static void run_stop(struct weir__host *h, void *arg)
{
	(void)arg;
	weir__host_stop(h);
	weir__host_fini(h);
}

static void on_stopped(struct weir__host *h, void *arg)
{
	struct trial *t = arg;

	(void)h;
	if (t->step == TIMED_OUT)
		return;
	t->step = DONE;
	uv_stop(t->loop);
}

static void on_started(struct weir__host *h, void *arg)
{
	struct trial *t = arg;
	int used = weir__host_source(h);

	if (t->step == TIMED_OUT)
		return;
	if (t->rc || used < 0)
		say_failed(t);
	else
		say_started(t, used);
	t->step = STOPPING;
	if (weir__host_call(h, run_stop, on_stopped, t) != 0)
		uv_stop(t->loop);
}

static void on_timeout(uv_timer_t *timer)
{
	struct trial *t = timer->data;

	find(t, WEIR__CHECK_MISSING, "disable it, and report this to its author",
	     "does not %s within %d s", t->step == STARTING ? "start" : "stop", PLUGIN_TIMEOUT_MS / 1000);
	t->step = TIMED_OUT;
	uv_stop(t->loop);
}

/* False: the host hangs, the loop cannot be used again. */
static bool try_collector(struct weir__findings *f, struct weir__setup *setup,
                          struct weir__setup_plugin *plugin, uv_loop_t *loop)
{
	const struct weir_plugin_desc *d = &plugin->loaded->desc;
	struct weir__metrics_set *metrics = weir__metrics_set_new(d->name, &d->metrics);
	/* On the heap: a host that hangs may still write to it. */
	struct trial *t = weir__zalloc(sizeof *t);
	struct weir__host_events events = { t, on_host_failed, on_host_ask };
	bool back;

	if (t)
		*t = (struct trial){ .f = f, .plugin = plugin, .setup = setup, .loop = loop,
			             .snapshot = weir__zalloc(sizeof *t->snapshot) };
	if (!t || !t->snapshot || !metrics ||
	    weir__host_new(loop, d, plugin->settings, metrics, &events, &t->host) != 0) {
		f->oom = true;
		goto out;
	}
	uv_timer_init(loop, &t->timer);
	t->timer.data = t;
	uv_timer_start(&t->timer, on_timeout, PLUGIN_TIMEOUT_MS, 0);
	if (weir__host_call(t->host, run_start, on_started, t) == 0)
		uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&t->timer, NULL);
	back = t->step != TIMED_OUT;
	if (!back) {
		plugin->settings = NULL; /* the hanging host's */
		return false;
	}
	weir__host_free(t->host);
	uv_run(loop, UV_RUN_DEFAULT);
out:
	if (t)
		weir__free(t->snapshot);
	weir__free(t);
	weir__metrics_set_free(metrics);
	return true;
}

static void check_one(struct weir__findings *f, struct weir__setup *setup, size_t i, uv_loop_t *loop,
                      bool *usable, size_t *collectors)
{
	struct weir__setup_plugin *p = &setup->plugins[i];
	const char *name = p->settings->name;
	size_t before = f->count;

	if (!p->settings->common.enabled) {
		weir__finding_add(f, "plugin", WEIR__CHECK_INFO, name, WEIR__CHECK_OK, NULL, "switched off");
	} else if (!p->loaded) {
		weir__finding_add(f, "plugin", WEIR__CHECK_COUNTS, name, WEIR__CHECK_MISSING,
		                  "install it, or set enabled: false", "refused: %s", p->refused);
	} else if (p->loaded->desc.kind != WEIR_COLLECTOR) {
		weir__finding_add(f, "plugin", WEIR__CHECK_COUNTS, name, WEIR__CHECK_OK, NULL,
		                  "%s %s loads", p->loaded->desc.kind == WEIR_OUTPUT ? "output" : "processor",
		                  p->loaded->desc.version);
	} else if (*usable) {
		*usable = try_collector(f, setup, p, loop);
		*collectors += f->count > before && f->items[before].state != WEIR__CHECK_MISSING;
	}
}

void weir__check_plugins(struct weir__findings *f, struct weir__setup *setup)
{
	size_t collectors = 0;
	bool usable = true;
	uv_loop_t *loop = weir__alloc(sizeof *loop);

	if (!loop || uv_loop_init(loop) != 0) {
		weir__free(loop);
		f->oom = true;
		return;
	}
	for (size_t i = 0; i < setup->count; i++)
		check_one(f, setup, i, loop, &usable, &collectors);
	if (!collectors)
		weir__finding_add(f, "plugin", WEIR__CHECK_FATAL, "collectors", WEIR__CHECK_MISSING,
		                  "see the findings above", "no collector works here");
	if (usable) {
		uv_run(loop, UV_RUN_DEFAULT);
		uv_loop_close(loop);
		weir__free(loop);
	}
}
