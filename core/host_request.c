/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the supervisor, carried out on a host's loop. One function per type,
 * in a table made of the list in host_request.h. Failure: in the request's rc, with
 * weir__host_reason() where a plugin refused.
 */
#include "host_request.h"
#include "host_upgrade.h"
#include "host_priv.h"
#include "host_remote.h"

#include <errno.h>
#include <string.h>

static void do_start(struct weir__host *h, struct weir__request *rq)
{
	weir__host_set_wanted(h, &rq->start.wanted);
	weir__host_tune(h, &rq->start.tune);
	rq->rc = weir__host_start(h);
	if (rq->rc)
		weir__host_fini(h);
}

static void do_stop(struct weir__host *h, struct weir__request *rq)
{
	weir__host_stop(h);
	rq->stop.count = weir__host_detach_all(h, rq->stop.items);
}

static void do_fini(struct weir__host *h, struct weir__request *rq)
{
	(void)rq;
	weir__host_fini(h); /* stops first, if it has not */
}

static void do_attach(struct weir__host *h, struct weir__request *rq)
{
	rq->rc = weir__host_attach(h, rq->attach.route, rq->attach.topics);
}

static void do_detach(struct weir__host *h, struct weir__request *rq)
{
	struct weir__route *r = weir__host_route(h, rq->detach.id);

	rq->detach.item.id = rq->detach.id;
	if (r)
		weir__host_detach(h, r, &rq->detach.item.ledger);
	else
		rq->rc = -ENOENT;
}

/* Routes between threads are the supervisor's own, both ends. */
static void not_here(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	rq->rc = -ENOTSUP;
}

static void do_snapshot(struct weir__host *h, struct weir__request *rq)
{
	if (rq->snapshot.collect)
		weir__host_collect(h);
	weir__host_snapshot(h, rq->snapshot.snap);
}

static void do_wanted(struct weir__host *h, struct weir__request *rq)
{
	weir__host_set_wanted(h, &rq->wanted);
	weir__source_tick_now(h); /* a stand-in is to step in, or out, before this is answered */
}

static void do_latency(struct weir__host *h, struct weir__request *rq)
{
	weir__host_set_latency(h, rq->latency.class);
	weir__limit_set(h, rq->latency.events, rq->latency.burst);
}

static void do_limit(struct weir__host *h, struct weir__request *rq)
{
	struct weir__route *r = weir__host_route(h, rq->limit.id);

	if (r)
		weir__route_tune(r, rq->limit.limit, rq->limit.policy);
	else
		rq->rc = -ENOENT;
}

static void do_switch(struct weir__host *h, struct weir__request *rq)
{
	rq->later = weir__switch_begin(h, rq);
}

static void do_tune(struct weir__host *h, struct weir__request *rq)
{
	weir__host_tune(h, &rq->tune);
}

static void do_prepare(struct weir__host *h, struct weir__request *rq)
{
	weir__host_set_wanted(h, &rq->start.wanted);
	weir__host_tune(h, &rq->start.tune);
	rq->rc = weir__host_prepare(h, rq->start.beside);
	if (rq->rc)
		weir__host_fini(h);
}

static void do_export(struct weir__host *h, struct weir__request *rq)
{
	rq->rc = weir__host_export(h, rq->export.handles);
}

static void do_adopt(struct weir__host *h, struct weir__request *rq)
{
	rq->rc = weir__host_adopt(h, rq->adopt.handles, &rq->adopt.adopted);
}

static void do_yield(struct weir__host *h, struct weir__request *rq)
{
	weir__host_yield(h, rq->yield.adopted, rq->yield.yielded);
}

static void do_take(struct weir__host *h, struct weir__request *rq)
{
	rq->rc = weir__host_take(h, rq->take.yielded);
}

static void do_query(struct weir__host *h, struct weir__request *rq)
{
	weir__host_query(h, rq->query.row, rq->query.args, &rq->query.answer);
}

static const struct {
	const char *name;
	void (*run)(struct weir__host *, struct weir__request *);
} requests[] = {
#define WEIR__ROW(id, fn) [WEIR__HOST_##id] = { #id, fn }
	WEIR__ROW(START, do_start),       WEIR__ROW(STOP, do_stop),
	WEIR__ROW(FINI, do_fini),         WEIR__ROW(ATTACH, do_attach),
	WEIR__ROW(DETACH, do_detach),     WEIR__ROW(RECEIVE, not_here),
	WEIR__ROW(CLOSE, not_here),
	WEIR__ROW(SNAPSHOT, do_snapshot), WEIR__ROW(WANTED, do_wanted),
	WEIR__ROW(LATENCY, do_latency),   WEIR__ROW(LIMIT, do_limit),
	WEIR__ROW(SWITCH, do_switch),
	WEIR__ROW(TUNE, do_tune),         WEIR__ROW(QUERY, do_query),
	WEIR__ROW(PREPARE, do_prepare),   WEIR__ROW(EXPORT, do_export),
	WEIR__ROW(ADOPT, do_adopt),       WEIR__ROW(YIELD, do_yield),
	WEIR__ROW(TAKE, do_take),
#undef WEIR__ROW
};
_Static_assert(sizeof requests / sizeof requests[0] == WEIR__HOST_REQUEST_COUNT,
               "every request has its function");

const char *weir__request_name(enum weir__request_type type)
{
	return requests[type].name;
}

void weir__host_execute(struct weir__host *h, struct weir__request *rq)
{
	rq->rc = 0;
	requests[rq->type].run(h, rq);
}

static void execute(struct weir__host *h, void *arg)
{
	weir__host_execute(h, arg);
}

static void executed(struct weir__host *h, void *arg)
{
	struct weir__request *rq = arg;

	if (!rq->later)
		rq->done(h, rq);
}

int weir__host_request(struct weir__host *h, struct weir__request *rq)
{
	if (h->remote)
		return weir__remote_request(h->remote, rq);
	rq->rc = -ESHUTDOWN; /* if the thread ends before it comes to this */
	return weir__host_call(h, execute, executed, rq);
}
