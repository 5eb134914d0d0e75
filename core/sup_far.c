/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes of which one end or both are in a process of their own. A route object is at
 * either end; the output's listens, then the collector's dials. Main thread.
 *
 * The account. A collector in a process counts what it has offered and what found no
 * room (tx), where the daemon sees it; the output's end counts what came and what
 * became of it (rx). What was offered, had room and did not come is on its way, or,
 * once that end is over, crashed:
 *
 *     offered = queue_full + breaker_open + crashed + on its way + received
 *     received = delivered + rejected + crashed + queued     (at the output's end)
 *
 * If only the output is in a process, the collector's end is an ordinary route object
 * of the daemon's, which counts all of it.
 */
#include "sup_priv.h"
#include "bus.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the account ------------------------------------------------------------------- */

static void add(struct weir__route_stats *to, const struct weir__route_stats *s)
{
	to->offered += s->offered;
	to->delivered += s->delivered;
	to->rejected += s->rejected;
	to->queue_full += s->queue_full;
	to->breaker_open += s->breaker_open;
	to->crashed += s->crashed;
	to->queued += s->queued;
	to->queued_bytes += s->queued_bytes;
	to->batches += s->batches;
	to->bytes += s->bytes;
	to->bad |= s->bad;
}

static void output_end(struct sup_route *r, struct weir__route_stats *rx)
{
	struct weir__route_stats live = { 0 };

	if (!r->far_to) {
		weir__route_stats(r->route, rx);
		return;
	}
	if (r->open && r->to->host)
		weir__host_end_stats(r->to->host, r->id, &live);
	live.queued = live.offered - live.delivered - live.rejected;
	live.crashed = 0; /* only known when that process is gone: then it is in rx_closed */
	*rx = r->rx_closed;
	add(rx, &live);
}

static void collector_end(struct sup_route *r, struct weir__route_stats *tx)
{
	memset(tx, 0, sizeof *tx);
	if (r->open && r->from->host)
		weir__host_end_stats(r->from->host, r->id, tx);
	tx->crashed = 0; /* of its own view: ours is tx_closed */
}

void weir__sup_far_stats(struct sup_route *r, struct weir__route_stats *tx, struct weir__route_stats *rx)
{
	struct weir__route_stats live;
	bool then = r->attached && r->live_valid;

	collector_end(r, &live);
	if (then) {
		live = r->live_stats;
		live.crashed = 0;
		*rx = r->rx_then;
	} else {
		output_end(r, rx);
	}
	*tx = r->tx_closed;
	add(tx, &live);
}

void weir__sup_far_remember(struct weir__supervisor *s)
{
	for (struct sup_route *r = s->routes; r; r = r->next)
		if (r->far_from)
			output_end(r, &r->rx_before);
}

/* ---- its end ---------------------------------------------------------------------------- */

static void end_closed(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	weir__free(rq);
}

/* A process closes its end; nobody waits for that. */
static void close_end(struct sup_plugin *p, uint32_t id)
{
	struct weir__request *rq = p->host && weir__host_pid(p->host) ? weir__zalloc(sizeof *rq) : NULL;

	if (!rq)
		return;
	*rq = (struct weir__request){ .type = WEIR__HOST_CLOSE, .done = end_closed, .close = { .id = id } };
	if (weir__host_request(p->host, rq))
		weir__free(rq);
}

/* What its plugin has not acknowledged by now is not waited for. */
void weir__sup_far_fold(struct sup_route *r)
{
	struct weir__route_stats rx;

	if (!r->far_to || !r->far_from)
		return;
	output_end(r, &rx);
	rx.offered = rx.delivered + rx.rejected;
	rx.queued = rx.queued_bytes = 0;
	r->rx_closed = rx;
}

void weir__sup_far_over(struct sup_route *r, const uint64_t *sent)
{
	struct weir__route_stats tx, rx;
	uint64_t arrived;

	if (!r->open)
		return;
	if (!r->far_to)
		weir__route_close(r->route); /* nothing is received after this */
	if (r->far_from) {
		collector_end(r, &tx);
		output_end(r, &rx);
		if (sent)
			tx.offered = *sent;
		arrived = (r->far_to ? rx.delivered + rx.rejected : rx.offered) - r->rx_began.offered;
		if (tx.offered < tx.queue_full + tx.breaker_open + arrived)
			tx.offered = tx.queue_full + tx.breaker_open + arrived; /* killed between two counts */
		tx.crashed = tx.offered - tx.queue_full - tx.breaker_open - arrived;
		tx.delivered = tx.rejected = tx.queued = tx.queued_bytes = 0;
		add(&r->tx_closed, &tx);
		weir__sup_far_fold(r);
		close_end(r->from, r->id);
	}
	if (r->far_to)
		close_end(r->to, r->id);
	r->open = false;
}

/* ---- its beginning -------------------------------------------------------------------------- */

struct opening {
	struct weir__request rq;
	struct sup_route *r;
	struct weir__host *from, *to; /* as they were when it began */
	char url[128];
};

static void give_up(struct opening *o, const char *step, int rc)
{
	weir__log(WEIR_ERROR, o->r->from->name, "no route to %s: %s: %s", o->r->to->name, step, strerror(-rc));
	o->r->opening = false;
	weir__free(o);
}

static bool still_there(const struct opening *o)
{
	return o->r->from->host == o->from && o->r->to->host == o->to &&
	       o->r->from->state == WEIR__RUNNING && o->r->to->state == WEIR__RUNNING;
}

static struct weir__route_config config_of(const struct sup_route *r)
{
	return (struct weir__route_config){ .id = r->id, .from = r->from->name, .to = r->to->name,
		.limit = r->to->settings->common.queue_bytes, .policy = (int)r->to->settings->common.on_full };
}

static void attached(struct weir__host *h, struct weir__request *rq)
{
	struct opening *o = rq->arg;
	struct sup_route *r = o->r;

	(void)h;
	if (rq->rc && still_there(o) && r->open) {
		r->attached = false;
		weir__sup_far_over(r, NULL);
		give_up(o, "the collector", rq->rc);
		return;
	}
	weir__free(o);
}

/* The output listens: now the collector. */
static void attach(struct opening *o)
{
	struct sup_route *r = o->r;
	int rc = 0;

	r->opening = false;
	output_end(r, &r->rx_began);
	if (r->far_to) /* of a process that was not there before, and has an end of its own */
		r->rx_began = r->rx_closed;
	o->rq = (struct weir__request){ .type = WEIR__HOST_ATTACH, .done = attached, .arg = o,
		.attach = { .topics = r->topics, .config = config_of(r) } };
	if (r->far_from) {
		snprintf(o->rq.attach.url, sizeof o->rq.attach.url, "%s", o->url);
	} else {
		rc = weir__route_open_tx(r->route, o->url);
		o->rq.attach.route = r->route;
	}
	r->open = !rc;
	if (r->attached) { /* it was shut: its collector has it already */
		r->shut &= !r->open;
		if (rc)
			give_up(o, "the collector's end", rc);
		else
			weir__free(o);
		return;
	}
	if (!rc)
		rc = weir__host_request(r->from->host, &o->rq);
	r->attached = !rc;
	if (rc) {
		weir__sup_far_over(r, NULL);
		give_up(o, "the collector's end", rc);
	}
}

static void receiving(struct weir__host *h, struct weir__request *rq)
{
	struct opening *o = rq->arg;

	(void)h;
	if (!still_there(o)) {
		o->r->opening = false;
		if (!rq->rc && o->r->to->host == o->to)
			close_end(o->r->to, o->r->id);
		weir__free(o);
	} else if (rq->rc) {
		give_up(o, "the output's end", rq->rc);
	} else {
		attach(o);
	}
}

void weir__sup_far_open(struct sup_route *r)
{
	struct opening *o = weir__zalloc(sizeof *o);
	int rc = o ? weir__bus_url(r->id, o->url, sizeof o->url) : -ENOMEM;

	if (rc) {
		weir__log(WEIR_ERROR, r->from->name, "no route to %s: no directory for its socket: %s",
		          r->to->name, strerror(-rc));
		weir__free(o);
		return;
	}
	o->r = r;
	o->from = r->from->host;
	o->to = r->to->host;
	r->opening = true;
	if (!r->far_to) {
		rc = weir__route_open_rx(r->route, o->url, r->from->desc, weir__host_receive, r->to->host);
		if (rc)
			give_up(o, "the output's end", rc);
		else
			attach(o);
		return;
	}
	o->rq = (struct weir__request){ .type = WEIR__HOST_RECEIVE, .done = receiving, .arg = o,
		.receive = { .from = r->from->desc, .config = config_of(r) } };
	snprintf(o->rq.receive.url, sizeof o->rq.receive.url, "%s", o->url);
	rc = weir__host_request(r->to->host, &o->rq);
	if (rc)
		give_up(o, "the output's end", rc);
}
