/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial start. A host of its own on a loop of its own, a thread or a process as in the
 * daemon and asked by the same requests, so what the trial says is what the daemon would
 * find. Failure: a plugin that does not come back is -ETIMEDOUT.
 */
#include "try.h"
#include "host_request.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>

#define TRY_TIMEOUT_MS 5000

/* On the heap: a plugin that does not come back keeps using it. */
struct trial_run {
	struct weir__trial t;
	struct weir__request rq;
	struct weir__host *host;
	bool done;
	uv_loop_t loop;
	uv_timer_t timer;
};

static void no_failure(void *arg, struct weir__host *h, int err)
{
	(void)arg, (void)h, (void)err;
}

/* What was asked of it ends with -EPIPE. */
static void no_death(void *arg, struct weir__host *h, const char *why)
{
	struct trial_run *run = arg;

	(void)h;
	snprintf(run->t.reason, sizeof run->t.reason, "%s", why);
}

static void no_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	(void)arg, (void)query;
	weir__host_answer(h, ticket, -ENOTSUP, NULL, 0);
}

static void ask(struct trial_run *run, enum weir__request_type type,
                void (*done)(struct weir__host *, struct weir__request *))
{
	int rc;

	run->rq = (struct weir__request){ .type = type, .done = done, .arg = run };
	if (type == WEIR__HOST_SNAPSHOT)
		run->rq.snapshot.snap = &run->t.snap;
	if (type == WEIR__HOST_START)
		run->rq.start.tune.weight = 1;
	rc = weir__host_request(run->host, &run->rq); /* the request is the host's now */
	if (!rc)
		return;
	run->rq.rc = rc;
	done(run->host, &run->rq);
}

static void ended(struct weir__host *h, struct weir__request *rq)
{
	struct trial_run *run = rq->arg;

	(void)h;
	run->done = true;
}

static void seen(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	ask(rq->arg, WEIR__HOST_FINI, ended);
}

static void started(struct weir__host *h, struct weir__request *rq)
{
	struct trial_run *run = rq->arg;
	struct weir__trial *t = &run->t;

	t->rc = rq->rc;
	if (rq->rc != -EPIPE)
		snprintf(t->reason, sizeof t->reason, "%s", weir__host_reason(h));
	t->source = weir__host_source(h);
	for (size_t i = 0; i < 8; i++)
		snprintf(t->source_reasons[i], sizeof t->source_reasons[i], "%s",
		         weir__host_source_reason(h, i));
	if (t->rc)
		ask(run, WEIR__HOST_FINI, ended);
	else
		ask(run, WEIR__HOST_SNAPSHOT, seen);
}

static void on_timeout(uv_timer_t *timer)
{
	(void)timer; /* waking the loop is all it is for */
}

static int try_on(struct trial_run *run, const struct weir_plugin_desc *desc,
                  const struct weir__settings *settings, struct weir__metrics_set *metrics)
{
	struct weir__host_events events = { .arg = run, .failed = no_failure, .died = no_death,
		.ask = no_ask };
	int rc = uv_loop_init(&run->loop);

	if (rc)
		return rc;
	uv_timer_init(&run->loop, &run->timer);
	uv_timer_start(&run->timer, on_timeout, TRY_TIMEOUT_MS, 0);
	rc = weir__host_new(&run->loop, desc, settings, metrics, &events, &run->host);
	if (!rc)
		ask(run, WEIR__HOST_START, started);
	while (!rc && !run->done && uv_is_active((uv_handle_t *)&run->timer))
		uv_run(&run->loop, UV_RUN_ONCE);
	if (!rc && !run->done && !weir__host_pid(run->host))
		return -ETIMEDOUT; /* its thread is lost, and so is what it holds */
	if (!rc && !run->done)
		rc = -ETIMEDOUT; /* a process ends when its host is freed */
	if (run->host)
		weir__host_free(run->host);
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
	bool thread = !settings->library;
	int rc = metrics && run ? try_on(run, desc, settings, metrics) : -ENOMEM;

	if (rc == -ETIMEDOUT && thread)
		return rc;
	if (run)
		*ret = run->t;
	weir__free(run);
	weir__metrics_set_free(metrics);
	return rc;
}
