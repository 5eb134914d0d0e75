/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "host.h"
#include "mem.h"
#include "options.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rig {
	uv_loop_t loop;
	struct weir__host *host;
	struct weir__settings settings;
	struct weir__metrics_set *metrics;
	const struct weir_plugin_desc *desc;
	int rc;
	bool done;
};

static char why[512];

const char *rig_why(void)
{
	return why;
}

/* ---- calls on the host's thread ------------------------------------------------ */

static void on_start(struct weir__host *h, void *arg)
{
	struct rig *r = arg;

	r->rc = weir__host_start(h);
}
static void on_stop(struct weir__host *h, void *arg)
{
	(void)arg;
	weir__host_stop(h);
	weir__host_fini(h);
}
static void on_collect(struct weir__host *h, void *arg)
{
	(void)arg;
	weir__host_collect(h);
}
static void on_done(struct weir__host *h, void *arg)
{
	struct rig *r = arg;

	(void)h;
	r->done = true;
}

static void call(struct rig *r, void (*fn)(struct weir__host *, void *))
{
	r->done = false;
	if (weir__host_call(r->host, fn, on_done, r))
		abort();
	while (!r->done)
		uv_run(&r->loop, UV_RUN_ONCE);
}

static void on_failed(void *arg, struct weir__host *h, int err)
{
	(void)arg;
	fprintf(stderr, "iomonitor failed: %d: %s\n", err, weir__host_reason(h));
}
static void on_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	(void)arg;
	(void)query;
	weir__host_answer(h, ticket, -ENOENT, "", 0);
}

/* ---- life ------------------------------------------------------------------------ */

static int settle(struct rig *r, const char *const *options)
{
	char err[256] = "";

	r->settings.name = (char *)(uintptr_t)"iomonitor";
	r->settings.desc = r->desc;
	r->settings.values = weir__zalloc(r->desc->state_size);
	if (!r->settings.values)
		return -ENOMEM;
	if (weir__options_defaults(&weir__common_options, &r->settings.common, err, sizeof err) ||
	    weir__options_defaults(&r->desc->options, r->settings.values, err, sizeof err)) {
		snprintf(why, sizeof why, "defaults: %s", err);
		return -EINVAL;
	}
	for (; options && options[0]; options += 2) {
		const struct weir_option *o = weir__option_find(&r->desc->options, options[0]);
		int rc;

		if (!o) {
			snprintf(why, sizeof why, "no option %s", options[0]);
			return -EINVAL;
		}
		rc = o->type == WEIR_OPT_LIST
		     ? weir__option_set_list(o, r->settings.values, &options[1], 1, err, sizeof err)
		     : weir__option_set(o, r->settings.values, options[1], err, sizeof err);
		if (rc) {
			snprintf(why, sizeof why, "%s: expected %s", options[0], err);
			return rc;
		}
	}
	return 0;
}

struct rig *rig_start(const char *const *options)
{
	struct rig *r = calloc(1, sizeof *r);
	struct weir__host_events events = { .arg = r, .failed = on_failed, .ask = on_ask };
	void *so = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);

	why[0] = 0;
	r->desc = so ? dlsym(so, "weir_plugin") : NULL;
	if (!r->desc) {
		snprintf(why, sizeof why, "%s", dlerror());
		free(r);
		return NULL;
	}
	uv_loop_init(&r->loop);
	if (settle(r, options))
		return NULL;
	r->metrics = weir__metrics_set_new("iomonitor", &r->desc->metrics);
	if (weir__host_new(&r->loop, r->desc, &r->settings, r->metrics, &events, &r->host))
		return NULL;
	call(r, on_start);
	if (r->rc) {
		snprintf(why, sizeof why, "%s", weir__host_reason(r->host));
		rig_stop(r);
		return NULL;
	}
	return r;
}

void rig_stop(struct rig *r)
{
	if (!r)
		return;
	call(r, on_stop);
	weir__host_free(r->host);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	weir__metrics_set_free(r->metrics);
	weir__options_free(&r->desc->options, r->settings.values);
	weir__options_free(&weir__common_options, &r->settings.common);
	weir__free(r->settings.values);
	uv_loop_close(&r->loop);
	free(r);
}

/* ---- metrics ------------------------------------------------------------------------ */

struct find {
	const char *name, *match;
	int bucket; /* -1: the value or the count */
	double sum;
	bool found;
};

static bool matches(const struct weir_sample *s, const char *match)
{
	char words[128], *word, *save = NULL;
	int count = s->metric->labels[0] ? 1 : 0;

	for (const char *c = s->metric->labels; *c; c++)
		count += *c == ' ';
	snprintf(words, sizeof words, "%s", match);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		bool have = false;

		for (int i = 0; i < count; i++)
			have |= !strcmp(s->label_values[i], word);
		if (!have)
			return false;
	}
	return true;
}

static int on_sample(void *arg, const struct weir_sample *s)
{
	struct find *f = arg;

	if (strcmp(s->metric->name, f->name) || !matches(s, f->match))
		return 0;
	f->found = true;
	if (s->metric->type != WEIR_HISTOGRAM)
		f->sum += s->value;
	else if (f->bucket < 0)
		f->sum += (double)s->count;
	else if ((uint32_t)f->bucket <= s->metric->bucket_count)
		f->sum += (double)s->buckets[f->bucket];
	return 0;
}

void rig_collect(struct rig *r)
{
	call(r, on_collect);
}

double rig_metric(struct rig *r, const char *name, const char *match)
{
	struct find f = { name, match, -1, 0, false };

	(void)r;
	weir__metrics_walk(on_sample, &f);
	return f.found ? f.sum : -1;
}

double rig_bucket(struct rig *r, const char *name, const char *match, unsigned int bucket)
{
	struct find f = { name, match, (int)bucket, 0, false };

	(void)r;
	weir__metrics_walk(on_sample, &f);
	return f.sum;
}
