/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes between collectors and outputs: made once per pair, opened when both run,
 * closed when either stops; the counters go on over all periods. Main thread, but
 * for the attach and detach calls, which run on the collector's.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool weir__sup_has_topic(struct weir__supervisor *s, const char *topic, char *all, size_t size)
{
	size_t len = 0;

	all[0] = 0;
	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		const char *at = p->desc && p->desc->kind == WEIR_COLLECTOR && p->desc->topics
			? p->desc->topics : "";

		if (weir__has_word(at, topic, strlen(topic)))
			return true;
		for (; *at; at += *at == ' ') {
			size_t n = strcspn(at, " ");

			if (!weir__has_word(all, at, n) && len < size)
				len += (size_t)snprintf(all + len, size - len, "%s%.*s", len ? " " : "", (int)n, at);
			at += n;
		}
	}
	return false;
}

/* Bit per topic of the collector that the output wants. */
static uint32_t common_topics(const struct sup_plugin *from, const struct sup_plugin *to)
{
	const struct weir_strings *chosen = &to->settings->common.topics;
	const char *defaults = chosen->count ? NULL : to->desc->topics, *at = from->desc->topics;
	uint32_t mask = 0;
	char topic[32];

	for (unsigned bit = 0; bit < WEIR__MAX_TOPICS && weir__next_word(&at, topic, sizeof topic); bit++) {
		bool want = weir__has_word(defaults, "*", 1) || weir__has_word(defaults, topic, strlen(topic));

		for (size_t i = 0; i < chosen->count; i++)
			want |= !strcmp(chosen->items[i], "*") || !strcmp(chosen->items[i], topic);
		if (want)
			mask |= 1u << bit;
	}
	return mask;
}

static bool wants_collector(const struct sup_plugin *to, const char *name)
{
	const struct weir_strings *only = &to->settings->common.collectors;

	for (size_t i = 0; i < only->count; i++)
		if (!strcmp(only->items[i], name) || !strcmp(only->items[i], "*"))
			return true;
	return !only->count;
}

static void clear_live(struct sup_route *r)
{
	memset(&r->live, 0, sizeof r->live);
	r->live_valid = false;
}

static struct sup_route *make_route(struct sup_plugin *from, struct sup_plugin *to)
{
	struct weir__supervisor *s = from->sup;
	struct weir__route_config cfg = { .id = s->last_route + 1, .from = from->name, .to = to->name,
		.limit = to->settings->common.queue_bytes, .policy = (int)to->settings->common.on_full };
	struct sup_route *r = weir__zalloc(sizeof *r);

	if (!r)
		return NULL;
	if (weir__route_new(&cfg, &r->route)) {
		weir__free(r);
		return NULL;
	}
	r->id = ++s->last_route;
	r->from = from;
	r->to = to;
	*s->routes_tail = r;
	s->routes_tail = &r->next;
	return r;
}

struct one_attach {
	struct weir__request rq;
	struct sup_route *route;
};

static void attached(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	weir__free(rq->arg);
}

/* 0: the collector will send to it. */
static int attach(struct sup_route *r)
{
	struct one_attach *a = weir__zalloc(sizeof *a);
	int rc = -ENOMEM;

	if (!a)
		return rc;
	a->rq = (struct weir__request){ .type = WEIR__HOST_ATTACH, .done = attached, .arg = a,
		.attach = { .route = r->route, .topics = r->topics } };
	rc = weir__host_request(r->from->host, &a->rq);
	if (rc)
		weir__free(a);
	return rc;
}

/* In a process, or would be. */
static bool is_far(const struct sup_plugin *p)
{
	return p->host ? weir__host_pid(p->host) : p->settings->library != NULL;
}

/* The route between the two, made if need be. One whose ends were elsewhere before is
 * another one, since its account is another; the old one stays for its account's sake. */
static struct sup_route *route_between(struct sup_plugin *from, struct sup_plugin *to)
{
	bool far_from = is_far(from), far_to = is_far(to);
	struct sup_route *r;

	for (r = from->sup->routes; r; r = r->next)
		if (r->from == from && r->to == to && r->far_from == far_from && r->far_to == far_to)
			return r;
	r = make_route(from, to);
	if (r) {
		r->far_from = far_from;
		r->far_to = far_to;
	}
	return r;
}

static void open_route(struct sup_plugin *from, struct sup_plugin *to)
{
	uint32_t topics = common_topics(from, to);
	struct sup_route *r;
	size_t n = 0;
	int rc;

	if (!to->desc->deliver || !topics || !wants_collector(to, from->name))
		return;
	/* A host that is about to be replaced gets none; its successor does. */
	if ((from->upgrade && !from->upgrade_swapped) || (to->upgrade && !to->upgrade_swapped))
		return;
	for (r = from->sup->routes; r; r = r->next) {
		if (r->from == from && r->to == to && (r->open || r->opening))
			return;
		n += r->from == from && r->to != to && (r->open || r->opening || r->attached);
	}
	if (n >= WEIR__MAX_ROUTES) {
		weir__log(WEIR_ERROR, from->name, "no route to %s: a collector has %d at most",
		          to->name, WEIR__MAX_ROUTES);
		return;
	}
	r = route_between(from, to);
	for (struct sup_route *other = from->sup->routes; other; other = other->next)
		if (other != r && other->from == from && other->to == to && other->shut)
			weir__sup_stop_sending(other); /* the output has moved */
	if (r && (r->far_from || r->far_to)) {
		r->topics = topics;
		if (!r->attached)
			clear_live(r);
		weir__sup_far_open(r);
		return;
	}
	rc = r ? weir__route_open(r->route, weir__host_receive, to->host) : -ENOMEM;
	if (rc) {
		weir__log(WEIR_ERROR, from->name, "no route to %s: %s", to->name, strerror(-rc));
		return;
	}
	r->topics = topics;
	r->open = true;
	r->shut = false;
	if (r->attached) /* it was shut */
		return;
	r->attached = true;
	clear_live(r);
	if (!attach(r))
		return;
	weir__log(WEIR_ERROR, from->name, "no route to %s: out of memory", to->name);
	weir__route_close(r->route);
	r->open = r->attached = false;
}

/* A route to an output that has failed: it carries nothing, but is in the ledger. The
 * end of a collector in a process is out of reach: there the route ends, as otherwise. */
static void shut_route(struct sup_plugin *from, struct sup_plugin *to)
{
	uint32_t topics = common_topics(from, to);
	struct sup_route *r;
	size_t n = 0;

	if (!to->desc->deliver || !topics || !wants_collector(to, from->name) || is_far(from))
		return;
	for (r = from->sup->routes; r; r = r->next)
		n += r->from == from && r->to != to && r->attached;
	r = n < WEIR__MAX_ROUTES ? route_between(from, to) : NULL;
	if (!r)
		return;
	weir__route_shut(r->route);
	r->shut = true;
	if (r->attached)
		return;
	r->topics = topics;
	r->attached = true;
	clear_live(r);
	if (attach(r))
		r->attached = r->shut = false; /* no memory: it is not counted, and said to be closed */
}

void weir__sup_shut_routes(struct sup_plugin *p)
{
	if (p->desc->kind != WEIR_OUTPUT || p->transient)
		return;
	for (struct sup_plugin *q = p->sup->plugins; q; q = q->next)
		if (q->state == WEIR__RUNNING && q->desc->kind == WEIR_COLLECTOR)
			shut_route(q, p);
}

void weir__sup_open_routes(struct sup_plugin *p)
{
	for (struct sup_plugin *q = p->sup->plugins; q; q = q->next) {
		if (p->desc->kind == WEIR_COLLECTOR && q->state == WEIR__FAILED && q->enabled &&
		    q->desc->kind == WEIR_OUTPUT && !q->transient)
			shut_route(p, q);
		if (q->state != WEIR__RUNNING || q == p || q->gone)
			continue;
		if (p->desc->kind == WEIR_COLLECTOR && q->desc->kind == WEIR_OUTPUT)
			open_route(p, q);
		else if (p->desc->kind == WEIR_OUTPUT && q->desc->kind == WEIR_COLLECTOR)
			open_route(q, p);
	}
}

/* ---- detaching ------------------------------------------------------------------------ */

struct one_detach {
	struct one_detach *next;
	struct weir__request rq;
	bool over;                 /* nobody waits for it any more */
	struct sup_route *route;
	struct sup_plugin *output;
	void (*then)(struct sup_plugin *);
};

static void let_go(struct sup_route *r, const struct weir__detached *d)
{
	weir__ledger_add(&r->closed, &d->ledger);
	r->attached = r->shut = false;
	clear_live(r);
}

/* The output need not wait for this one any more. */
static void detach_over(struct one_detach *d)
{
	struct one_detach **at = &d->output->sup->detaching;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	d->over = true;
	if (!--d->output->pending)
		d->then(d->output);
}

/* Nobody waits for this one; but its output may be there again. */
static void sending_stopped(struct sup_route *r)
{
	if (r->far_from || r->far_to)
		weir__sup_far_over(r, NULL);
	if (r->to->state == WEIR__RUNNING)
		weir__sup_open_routes(r->to);
}

static void stop_done(struct weir__host *h, struct weir__request *rq)
{
	struct one_detach *d = rq->arg;

	if (d->route->from->host == h && d->route->attached) { /* else it has ended meanwhile */
		let_go(d->route, &rq->detach.item);
		sending_stopped(d->route);
	}
	weir__free(d);
}

void weir__sup_stop_sending(struct sup_route *r)
{
	struct one_detach *d = r->attached ? weir__zalloc(sizeof *d) : NULL;

	if (d) {
		d->route = r;
		d->rq = (struct weir__request){ .type = WEIR__HOST_DETACH, .done = stop_done, .arg = d,
			.detach = { .id = r->id } };
		if (!weir__host_request(r->from->host, &d->rq))
			return;
	}
	weir__free(d);
	if (!r->attached)
		sending_stopped(r); /* else it sends on, and that is counted as crashed */
}

static void let_go_done(struct weir__host *h, struct weir__request *rq)
{
	struct one_detach *d = rq->arg;

	if (d->route->from->host == h && d->route->attached)
		let_go(d->route, &rq->detach.item);
	weir__free(d);
}

void weir__sup_let_go(struct sup_route *r)
{
	struct one_detach *d = weir__zalloc(sizeof *d);

	if (!d)
		return;
	d->route = r;
	d->rq = (struct weir__request){ .type = WEIR__HOST_DETACH, .done = let_go_done, .arg = d,
		.detach = { .id = r->id } };
	if (weir__host_request(r->from->host, &d->rq))
		weir__free(d);
}

void weir__sup_pause_routes(struct sup_plugin *p, bool on)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->to == p && r->open && !r->far_from && !r->opening)
			weir__route_pause(r->route, on);
}

void weir__sup_attach_routes(struct sup_plugin *p)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p || !r->open || r->attached || r->far_from)
			continue;
		clear_live(r);
		r->attached = !attach(r);
		if (!r->attached)
			weir__log(WEIR_ERROR, p->name, "no route to %s: out of memory", r->to->name);
	}
	weir__sup_open_routes(p);
}

static void detach_done(struct weir__host *h, struct weir__request *rq)
{
	struct one_detach *d = rq->arg;

	(void)h;
	if (!d->over) {
		if (d->route->attached) /* else its collector has ended meanwhile */
			let_go(d->route, &rq->detach.item);
		detach_over(d);
	}
	weir__free(d);
}

void weir__sup_cancel_detaches(struct sup_plugin *p)
{
	struct one_detach **at = &p->sup->detaching;

	while (*at) {
		struct one_detach *d = *at;

		if (d->output != p) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		d->over = true; /* freed when the request ends */
	}
	p->pending = 0;
}

void weir__sup_forget_detaches(struct sup_plugin *p)
{
	struct one_detach *d, *next;

	for (d = p->sup->detaching; d; d = next) {
		next = d->next;
		if (d->route->from == p)
			detach_over(d); /* freed when the request ends, if it does */
	}
}

void weir__sup_detach_output(struct sup_plugin *p, void (*then)(struct sup_plugin *))
{
	p->pending = 1; /* ours, so that `then` comes once */
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		struct one_detach *d;

		if (r->to != p || !r->attached || r->from->state != WEIR__RUNNING)
			continue;
		if (r->shut && p->failing)
			continue; /* it goes on, and counts */
		d = weir__zalloc(sizeof *d);
		if (!d)
			continue; /* stays attached: its queue fills, and that is counted */
		*d = (struct one_detach){ .route = r, .output = p, .then = then };
		d->rq = (struct weir__request){ .type = WEIR__HOST_DETACH, .done = detach_done, .arg = d,
			.detach = { .id = r->id } };
		if (weir__host_request(r->from->host, &d->rq)) {
			weir__free(d);
			continue;
		}
		d->next = p->sup->detaching;
		p->sup->detaching = d;
		p->pending++;
	}
	if (!--p->pending)
		then(p);
}

void weir__sup_detached(struct sup_plugin *p, const struct weir__detached *d)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->id == d->id && r->from == p && r->attached) /* else its output has detached it */
			let_go(r, d);
}

/* ---- the end of a plugin's routes --------------------------------------------------------- */

uint64_t weir__sup_queued(struct sup_plugin *p)
{
	struct weir__route_stats st;
	struct weir__ledger l;
	uint64_t queued = 0;

	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		/* Closed ones, too: an output may have frames of a collector that ended. */
		if (r->from != p && r->to != p)
			continue;
		if (r->far_from) {
			weir__sup_route_ledger(r, &l);
			queued += l.queued;
			continue;
		}
		weir__route_stats(r->route, &st);
		queued += st.queued;
	}
	return queued;
}

void weir__sup_halt_routes(struct sup_plugin *p)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->open && !(r->far_from && r->far_to) && (r->from == p || r->to == p))
			weir__route_halt(r->route);
}

/* A collector that is stopping may still have a call under way that names the route,
 * though its output did not have to wait for it. */
static bool route_in_use(const struct sup_route *r)
{
	return r->opening || (r->from->host && (r->attached || r->from->phase == STOP_DETACH));
}

/* What is over is said now: nobody can ask for it later. */
static void say_last(struct sup_route *r)
{
	struct weir__ledger l;
	char text[512];

	weir__sup_route_ledger(r, &l);
	r->from->sup->forgot_unbalanced |= weir__ledger_unexplained(&l) != 0;
	if (r->to->transient || r->from->transient)
		return; /* its account is the client's */
	weir__ledger_format(&l, text, sizeof text);
	weir__log(weir__ledger_unexplained(&l) ? WEIR_ERROR : WEIR_INFO, r->from->name,
	          "ledger to %s, which ends here: %s", r->to->name, text);
}

/* The frames an output has of a collector that is gone refer to their route. */
static bool route_ended(struct sup_route *r)
{
	struct weir__route_stats st;

	if (route_in_use(r))
		return false;
	weir__route_stats(r->route, &st);
	return !st.queued;
}

/* The routes of a client's output go with it, and those of a plugin that was removed. */
bool weir__sup_forget_routes(struct sup_plugin *p)
{
	struct sup_route **at = &p->sup->routes, *r;
	bool all = true;

	while ((r = *at)) {
		bool mine = r->to == p || (p->removed && r->from == p);

		if (!mine || (r->to == p ? route_in_use(r) : !route_ended(r))) {
			all &= !mine;
			at = &r->next;
			continue;
		}
		*at = r->next;
		say_last(r);
		weir__route_free(r->route);
		weir__free(r);
	}
	p->sup->routes_tail = at;
	return all;
}

void weir__sup_close_routes(struct sup_plugin *p)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->far_from || r->far_to) {
			if (r->to == p)
				weir__sup_far_fold(r);
			if (r->from == p || r->to == p)
				weir__sup_far_over(r, NULL);
			if (r->to == p)
				weir__route_end(r->route);
			continue;
		}
		if (r->to == p)
			weir__route_end(r->route);
		else if (r->from == p && r->open)
			weir__route_close(r->route);
		else
			continue;
		r->open = false;
	}
	if (p->transient)
		weir__sup_forget_routes(p); /* the rest when it is swept */
}

static void far_ledger(struct sup_route *r, struct weir__ledger *l)
{
	struct weir__route_stats tx, rx;

	weir__sup_far_stats(r, &tx, &rx);
	l->delivered = rx.delivered;
	l->queued += tx.offered - tx.queue_full - tx.breaker_open - tx.crashed - rx.offered + rx.queued;
	l->dropped[WEIR__QUEUE_FULL] += tx.queue_full;
	l->dropped[WEIR__BREAKER_OPEN] += tx.breaker_open;
	l->dropped[WEIR__REJECTED] += rx.rejected;
	l->dropped[WEIR__CRASHED] += tx.crashed + rx.crashed;
}

void weir__sup_route_ledger(struct sup_route *r, struct weir__ledger *l)
{
	struct weir__route_stats st;

	*l = r->closed;
	weir__ledger_add(l, &r->live);
	if (r->far_from) {
		far_ledger(r, l);
		return;
	}
	if (r->attached && r->live_valid)
		st = r->live_stats;
	else
		weir__route_stats(r->route, &st);
	/* The source's `delivered` is what went into batches; here it is the output's. */
	l->delivered = st.delivered;
	l->queued += st.queued;
	l->dropped[WEIR__QUEUE_FULL] += st.queue_full;
	l->dropped[WEIR__BREAKER_OPEN] += st.breaker_open;
	l->dropped[WEIR__REJECTED] += st.rejected;
	l->dropped[WEIR__CRASHED] += st.crashed;
}
