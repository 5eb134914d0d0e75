/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial start. A host of its own on a loop of its own, through the same calls as
 * in the daemon, so what the trial says is what the daemon would find.
 */
#include "try.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>

#define TRY_TIMEOUT_MS 5000

/* On the heap: a plugin that does not come back keeps using it. */
struct trial_run {
	struct weir__trial t;
	bool done;
	uv_loop_t loop;
	uv_timer_t timer;
	struct weir__settings settings; /* the plugin's, but on a thread wherever it is to run */
};

static void no_failure(void *arg, struct weir__host *h, int err)
{
	(void)arg, (void)h, (void)err;
}

static void no_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	(void)arg, (void)query;
	weir__host_answer(h, ticket, -ENOTSUP, NULL, 0);
}

static void call_try(struct weir__host *h, void *arg)
{
	struct trial_run *run = arg;
	struct weir__trial *t = &run->t;

	t->rc = weir__host_start(h);
	snprintf(t->reason, sizeof t->reason, "%s", weir__host_reason(h));
	t->source = weir__host_source(h);
	for (size_t i = 0; i < 8; i++)
		snprintf(t->source_reasons[i], sizeof t->source_reasons[i], "%s",
		         weir__host_source_reason(h, i));
	if (!t->rc)
		weir__host_snapshot(h, &t->snap);
	weir__host_fini(h);
}

static void tried(struct weir__host *h, void *arg)
{
	struct trial_run *run = arg;

	(void)h;
	run->done = true;
}

static void on_timeout(uv_timer_t *timer)
{
	(void)timer; /* waking the loop is all it is for */
}

static int try_on(struct trial_run *run, const struct weir_plugin_desc *desc,
                  const struct weir__settings *settings, struct weir__metrics_set *metrics)
{
	struct weir__host_events events = { .failed = no_failure, .ask = no_ask };
	struct weir__host *h = NULL;
	int rc = uv_loop_init(&run->loop);

	if (rc)
		return rc;
	run->settings = *settings;
	run->settings.library = NULL;
	uv_timer_init(&run->loop, &run->timer);
	uv_timer_start(&run->timer, on_timeout, TRY_TIMEOUT_MS, 0);
	rc = weir__host_new(&run->loop, desc, &run->settings, metrics, &events, &h);
	if (!rc)
		rc = weir__host_call(h, call_try, tried, run);
	while (!rc && !run->done && uv_is_active((uv_handle_t *)&run->timer))
		uv_run(&run->loop, UV_RUN_ONCE);
	if (!rc && !run->done)
		return -ETIMEDOUT; /* its thread is lost, and so is what it holds */
	weir__host_free(h);
	uv_close((uv_handle_t *)&run->timer, NULL);
	uv_run(&run->loop, UV_RUN_DEFAULT);
	uv_loop_close(&run->loop);
	return rc;
}

int weir__try_plugin(const struct weir_plugin_desc *desc, const struct weir__settings *settings,
                     struct weir__trial *ret)
{
	struct weir__metrics_set *metrics = weir__metrics_set_new(settings->name, &desc->metrics);
	struct trial_run *run = weir__zalloc(sizeof *run);
	int rc = metrics && run ? try_on(run, desc, settings, metrics) : -ENOMEM;

	if (rc == -ETIMEDOUT)
		return rc;
	if (run)
		*ret = run->t;
	weir__free(run);
	weir__metrics_set_free(metrics);
	return rc;
}
