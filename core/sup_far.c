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

/* The output's own view of one of its ends in a process. */
static void process_end(struct sup_route *r, uint32_t id, struct weir__route_stats *ret)
{
	memset(ret, 0, sizeof *ret);
	if (r->to->host)
		weir__host_end_stats(r->to->host, id, ret);
	ret->queued = ret->offered - ret->delivered - ret->rejected;
	ret->crashed = 0; /* only known when that process is gone: then it is in rx_closed */
}

static void output_end(struct sup_route *r, struct weir__route_stats *rx)
{
	struct weir__route_stats end;

	if (!r->far_to) {
		weir__route_stats(r->route, rx);
		return;
	}
	*rx = r->rx_closed;
	for (size_t i = 0; i < r->old_count; i++) {
		process_end(r, r->old[i].id, &end);
		add(rx, &end);
	}
	if (r->rx_final)
		end = r->rx_last; /* its process is no more */
	else
		process_end(r, r->id, &end);
	if (r->open)
		add(rx, &end);
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
	struct weir__route_stats live = { 0 };

	/* While it runs all is as of the collector's last answer, before the first as of the
	 * beginning, so that it belongs together. */
	if (r->attached && r->live_valid) {
		live = r->live_stats;
		live.crashed = 0;
		*rx = r->rx_then;
	} else if (r->attached) {
		*rx = r->rx_began;
	} else {
		collector_end(r, &live);
		output_end(r, rx);
	}
	*tx = r->tx_closed;
	add(tx, &live);
}

static void close_end(struct sup_plugin *p, uint32_t id, struct sup_route *r);

/* An output's end that is over: what it has not received is crashed. */
static void fold_end(struct sup_route *r, size_t i, bool dead)
{
	const struct sup_old_end *old = &r->old[i];
	struct weir__route_stats end;
	uint64_t arrived;

	process_end(r, old->id, &end);
	arrived = dead ? end.delivered + end.rejected : end.offered;
	if (arrived < old->room)
		r->tx_closed.crashed += old->room - arrived;
	if (arrived > old->room) /* its collector was killed between two counts */
		r->tx_closed.offered += arrived - old->room;
	end.offered = arrived;
	if (dead)
		end.queued = end.queued_bytes = 0;
	end.crashed = end.queued; /* not dead, but cut off */
	end.queued = 0;
	add(&r->rx_closed, &end);
	if (!dead)
		close_end(r->to, old->id, NULL); /* and forget it */
	r->old[i] = r->old[--r->old_count];
}

/* Those of whom the output has acknowledged everything. */
static void fold_ended(struct sup_route *r)
{
	struct weir__route_stats end;

	for (size_t i = r->old_count; i-- > 0;) {
		process_end(r, r->old[i].id, &end);
		if (r->old[i].closed && !end.queued)
			fold_end(r, i, false);
	}
}

void weir__sup_far_settle(struct weir__supervisor *s)
{
	for (struct sup_route *r = s->routes; r; r = r->next)
		fold_ended(r);
}

void weir__sup_far_output(struct sup_route *r, struct weir__route_stats *ret)
{
	output_end(r, ret);
}

/* ---- its end ---------------------------------------------------------------------------- */

struct closing {
	struct weir__request rq;
	struct sup_route *r; /* NULL: nobody waits for that */
};

static void end_closed(struct weir__host *h, struct weir__request *rq)
{
	struct closing *c = rq->arg;

	for (size_t i = 0; c->r && c->r->to->host == h && i < c->r->old_count; i++)
		c->r->old[i].closed |= c->r->old[i].id == rq->close.id;
	weir__free(c);
}

/* A process closes its end; an output's, which may have frames still, is kept until it is
 * asked a second time. */
static void close_end(struct sup_plugin *p, uint32_t id, struct sup_route *r)
{
	struct closing *c = p->host && weir__host_pid(p->host) ? weir__zalloc(sizeof *c) : NULL;

	if (!c)
		return;
	c->r = r;
	c->rq = (struct weir__request){ .type = WEIR__HOST_CLOSE, .done = end_closed, .arg = c,
		.close = { .id = id } };
	if (weir__host_request(p->host, &c->rq))
		weir__free(c);
}

/* Both in processes: the output's end goes on until it has acknowledged what it has. */
static void retire(struct sup_route *r, const struct weir__route_stats *tx)
{
	if (r->old_count == SUP_OLD_ENDS)
		fold_end(r, 0, false);
	r->old[r->old_count++] = (struct sup_old_end){ .id = r->id,
		.room = tx->offered - tx->queue_full - tx->breaker_open };
	close_end(r->to, r->id, r);
}

void weir__sup_far_fold(struct sup_route *r)
{
	if (!r->far_from || !r->far_to)
		return;
	while (r->old_count)
		fold_end(r, 0, true);
	if (!r->open || r->rx_final)
		return;
	process_end(r, r->id, &r->rx_last);
	r->rx_final = true;
	r->rx_last.offered = r->rx_last.delivered + r->rx_last.rejected;
	r->rx_last.queued = r->rx_last.queued_bytes = 0;
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
		if (sent)
			tx.offered = *sent;
		tx.delivered = tx.rejected = tx.queued = tx.queued_bytes = 0;
		close_end(r->from, r->id, NULL);
	}
	if (r->far_from && r->far_to && !r->rx_final) {
		retire(r, &tx);
		add(&r->tx_closed, &tx);
	} else if (r->far_from) {
		output_end(r, &rx);
		arrived = r->far_to ? r->rx_last.offered : rx.offered - r->rx_began.offered;
		if (tx.offered < tx.queue_full + tx.breaker_open + arrived)
			tx.offered = tx.queue_full + tx.breaker_open + arrived; /* killed between two counts */
		tx.crashed = tx.offered - tx.queue_full - tx.breaker_open - arrived;
		add(&r->tx_closed, &tx);
		if (r->far_to)
			add(&r->rx_closed, &r->rx_last);
	} else {
		weir__route_end(r->route);
		close_end(r->to, r->id, NULL);
		close_end(r->to, r->id, NULL); /* and what it has not received */
	}
	memset(&r->rx_last, 0, sizeof r->rx_last);
	r->open = r->rx_final = false;
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
	output_end(r, &r->rx_began); /* r is not open yet: without this new end */
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
			close_end(o->r->to, o->r->id, NULL);
		weir__free(o);
	} else if (rq->rc) {
		give_up(o, "the output's end", rq->rc);
	} else {
		attach(o);
	}
}

static void redialled(struct weir__host *h, struct weir__request *rq)
{
	struct opening *o = rq->arg;
	struct sup_route *r = o->r;
	int rc = rq->rc;

	(void)h;
	if (!rc && r->open)
		rc = weir__route_redial(r->route, o->url);
	if (rc) {
		give_up(o, "the new output's end", rc);
		r->open = false;
		return;
	}
	r->opening = false;
	weir__route_pause(r->route, false);
	weir__free(o);
}

void weir__sup_far_redial(struct sup_route *r, struct weir__host *to)
{
	struct opening *o = weir__zalloc(sizeof *o);
	int rc = o ? weir__bus_url(r->id, o->url, sizeof o->url) : -ENOMEM;

	if (!rc) {
		o->r = r;
		o->from = r->from->host;
		o->to = to;
		r->opening = true;
		o->rq = (struct weir__request){ .type = WEIR__HOST_RECEIVE, .done = redialled, .arg = o,
			.receive = { .from = r->from->desc, .config = config_of(r) } };
		snprintf(o->rq.receive.url, sizeof o->rq.receive.url, "%s", o->url);
		rc = weir__host_request(to, &o->rq);
	}
	if (!rc)
		return;
	weir__log(WEIR_ERROR, r->from->name, "no route to %s: %s", r->to->name, strerror(-rc));
	r->opening = false;
	weir__free(o);
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
	if (r->far_from && r->far_to)
		r->id = ++r->from->sup->last_route; /* the old one may have an end there still */
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
