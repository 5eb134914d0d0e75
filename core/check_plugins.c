/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source would each collector get? By letting it run once, as in the daemon
 * but without outputs (try.h), and putting into words what came of it.
 *
 * Failure modes: a plugin that does not come back is reported, and ends the trials;
 * without memory the findings say so. Main thread.
 */
#include "check.h"
#include "mem.h"
#include "privilege.h"
#include "try.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct trial {
	struct weir__findings *f;
	const struct weir__setup_plugin *plugin;
	const struct weir__setup *setup;
	struct weir__trial *got;
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

/* Another enabled plugin that stands in for all of these topics, or NULL. */
static const char *fallback(const struct trial *t, const char *topics)
{
	for (size_t i = 0; i < t->setup->count; i++) {
		const struct weir__setup_plugin *p = &t->setup->plugins[i];
		const char *s = topics;

		if (p == t->plugin || !p->loaded || !p->settings->common.enabled)
			continue;
		while (s && *s && weir__has_word(p->loaded->desc.fallback_for, s, strcspn(s, " ")))
			s += strcspn(s, " "), s += *s == ' ';
		if (s && !*s)
			return p->settings->name;
	}
	return NULL;
}

/* Capabilities the plugin wants and this process has not: "CAP_BPF, CAP_PERFMON". */
static const char *lacking(uint64_t needs, char *buf, size_t size)
{
	uint64_t lacks = weir__privilege_lacks(needs);

	buf[0] = 0;
	return lacks ? weir__privilege_names(lacks, buf, size) : buf;
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
		     t->got->reason, instead, d->topics);
	else
		find(t, WEIR__CHECK_MISSING, todo, "no source works: %s; nothing stands in for %s",
		     t->got->reason, d->topics);
}

/* "; without fills (why it matters): not permitted" for each program that is missing,
 * and for each capability. */
static void shortcomings(struct trial *t, char *buf, size_t size)
{
	const struct weir__snapshot *snap = &t->got->snap;
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
static void say_started(struct trial *t)
{
	int used = t->got->source;
	const struct weir_plugin_desc *d = &t->plugin->loaded->desc;
	const struct weir_source *s = weir_table_row(&d->sources, (uint32_t)used), *better;
	bool approx = t->got->snap.quality[0], stands_by = d->fallback_for && *d->fallback_for;
	char todo[320], without[512];

	advise(t, todo, sizeof todo);
	shortcomings(t, without, sizeof without);
	better = used > 0 ? weir_table_row(&d->sources, 0) : NULL;
	if (better && !strcmp(t->got->source_reasons[0], "not tried"))
		better = NULL; /* the configuration left it out */
	if (better)
		find(t, WEIR__CHECK_DEGRADED, todo, "source %s (%s), since %s: %s%s", s->name,
		     approx ? "approximate" : "exact", better->name,
		     t->got->source_reasons[0], without);
	else if (stands_by) /* what it is not exact about counts where it stands in */
		find(t, *without ? WEIR__CHECK_DEGRADED : WEIR__CHECK_OK, todo,
		     "source %s works, to stand in for %s%s", s->name, d->fallback_for, without);
	else
		find(t, approx || *without ? WEIR__CHECK_DEGRADED : WEIR__CHECK_OK, todo,
		     "source %s, %s%s", s->name,
		     approx ? "approximate: this kernel does not tell exactly" : "exact", without);
}

/* False: the plugin hangs; nothing more can be tried. */
static bool try_collector(struct weir__findings *f, const struct weir__setup *setup,
                          const struct weir__setup_plugin *plugin)
{
	struct trial t = { f, plugin, setup, weir__zalloc(sizeof *t.got) };
	int r = t.got ? weir__try_plugin(&plugin->loaded->desc, plugin->settings, t.got) : -ENOMEM;

	if (r == -ETIMEDOUT) {
		find(&t, WEIR__CHECK_MISSING, "disable it, and report this to its author",
		     "does not come back from its start; what comes after it was not tried");
		return false; /* its thread still has what it was given */
	}
	if (r)
		f->oom = true;
	else if (t.got->rc || t.got->source < 0)
		say_failed(&t);
	else
		say_started(&t);
	weir__free(t.got);
	return true;
}

static void check_one(struct weir__findings *f, const struct weir__setup *setup, size_t i,
                      bool *usable, size_t *collectors)
{
	const struct weir__setup_plugin *p = &setup->plugins[i];
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
		*usable = try_collector(f, setup, p);
		*collectors += f->count > before && f->items[before].state != WEIR__CHECK_MISSING;
	}
}

void weir__check_plugins(struct weir__findings *f, const struct weir__setup *setup)
{
	size_t collectors = 0;
	bool usable = true;

	for (size_t i = 0; i < setup->count; i++)
		check_one(f, setup, i, &usable, &collectors);
	if (!collectors)
		weir__finding_add(f, "plugin", WEIR__CHECK_FATAL, "collectors", WEIR__CHECK_MISSING,
		                  "see the findings above", "no collector works here");
}
