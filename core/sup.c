/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor itself: taking plugins in, refreshing what is known of them, and
 * its end. Main thread.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A host that does not answer in time is shown with what it said last. */
#define REFRESH_TIMEOUT_MS 300
/* Snapshots (some 23 KB each) one host may owe: as many as control clients and scrapes
 * may ask at a time. A host that is stuck would pile them up for ever. */
#define MAX_ASKED 32
/* Rates are over the last 5 to 10 s; one wake in 5 s is all it costs. */
#define SAMPLE_MS 5000

/* ---- a plugin failed while running: posted from its thread --------------------------- */

struct failed_note {
	struct weir__supervisor *s;
	int err;
	char reason[512]; /* the host may be about to write the next one */
};

static void note_failed(struct weir__host *h, void *arg)
{
	struct failed_note *n = arg;
	struct sup_plugin *p = weir__sup_of_host(n->s, h);

	if (p && p->state == WEIR__RUNNING) {
		snprintf(p->reason, sizeof p->reason, "%s", n->reason);
		p->start_rc = n->err;
		if (p->transient) {
			p->enabled = false;
			weir__sup_reconcile(n->s);
		} else {
			weir__sup_failure(p, WEIR__CAUSE_CALLBACK, n->err);
		}
	}
	weir__free(n);
}

static void on_failed(void *arg, struct weir__host *h, int err)
{
	struct failed_note *n = weir__zalloc(sizeof *n);

	if (!n)
		return; /* it will fail again */
	n->s = arg;
	n->err = err;
	snprintf(n->reason, sizeof n->reason, "%s", weir__host_reason(h));
	if (weir__host_post(h, note_failed, n))
		weir__free(n);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void on_sample(uv_timer_t *timer)
{
	weir__sup_sample(timer->data);
}

int weir__sup_new(uv_loop_t *loop, struct weir__config *cfg, struct weir__supervisor **ret)
{
	struct weir__supervisor *s = weir__zalloc(sizeof *s);

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->config = cfg;
	s->plugins_tail = &s->plugins;
	s->routes_tail = &s->routes;
	s->events.arg = s;
	s->events.failed = on_failed;
	s->events.died = weir__sup_died;
	uv_timer_init(loop, &s->stop_timer);
	uv_timer_init(loop, &s->sample_timer);
	s->stop_timer.data = s->sample_timer.data = s;
	uv_timer_start(&s->sample_timer, on_sample, SAMPLE_MS, SAMPLE_MS);
	weir__sup_ask_setup(s);
	weir__sup_watch_setup(s);
	weir__sup_budget_setup(s);
	*ret = s;
	return 0;
}

int weir__sup_add(struct weir__supervisor *s, struct weir__settings *settings,
                  const struct weir_plugin_desc *desc, const char *refused)
{
	struct sup_plugin *p = weir__zalloc(sizeof *p);

	if (!p)
		return -ENOMEM;
	p->sup = s;
	p->settings = settings;
	p->desc = desc;
	p->name = settings->name;
	p->enabled = settings->common.enabled;
	p->source = p->last_source = -1;
	snprintf(p->reason, sizeof p->reason, "%s", refused ? refused : "");
	weir__sup_breaker_setup(p);
	uv_timer_init(s->loop, &p->timer);
	p->timer.data = p;
	weir__sup_budget_plugin(p);
	*s->plugins_tail = p;
	s->plugins_tail = &p->next;
	if (s->started)
		weir__sup_reconcile(s);
	return 0;
}

int weir__sup_add_transient(struct weir__supervisor *s, const struct weir_plugin_desc *desc,
                            struct weir__settings *settings)
{
	int rc;

	bool started = s->started;

	s->started = false; /* mark it before it starts */
	rc = weir__sup_add(s, settings, desc, NULL);
	s->started = started;
	if (rc)
		return rc;
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->settings == settings)
			p->transient = true;
	weir__sup_reconcile(s);
	return 0;
}

static void free_plugin_handle(uv_handle_t *handle)
{
	struct sup_plugin *p = handle->data;

	weir__sup_free_settings(p);
	weir__free(p);
}

static void free_plugin(struct sup_plugin *p)
{
	uv_close((uv_handle_t *)&p->timer, free_plugin_handle);
}

static void free_supervisor(uv_handle_t *handle)
{
	struct weir__supervisor *s = handle->data;

	if (!--s->handles)
		weir__free(s);
}

void weir__sup_free(struct weir__supervisor *s)
{
	struct sup_plugin *p, *next;
	struct sup_route *r, *after;

	if (!s)
		return;
	for (r = s->routes; r; r = after) {
		after = r->next;
		weir__route_free(r->route);
		weir__free(r);
	}
	for (p = s->plugins; p; p = next) {
		next = p->next;
		free_plugin(p);
	}
	weir__sup_ask_close(s);
	s->handles = 6;
	uv_close((uv_handle_t *)&s->watch_timer, free_supervisor);
	weir__sup_budget_close(s, free_supervisor);
	uv_close((uv_handle_t *)&s->ask_async, free_supervisor);
	uv_close((uv_handle_t *)&s->sample_timer, free_supervisor);
	uv_close((uv_handle_t *)&s->stop_timer, free_supervisor);
}

/* Clients' outputs that are over leave the list, and plugins that were removed. */
void weir__sup_sweep(struct weir__supervisor *s)
{
	struct sup_plugin **at = &s->plugins, *p;

	while ((p = *at)) {
		if (!p->gone || p->host || p->lost || p->announcing || !weir__sup_forget_routes(p)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free_plugin(p);
	}
	s->plugins_tail = at;
}

/* ---- refresh ---------------------------------------------------------------------------------- */

struct refresh {
	struct weir__supervisor *s;
	uv_timer_t timer;
	unsigned refs, waiting;
	bool collect;
	void (*cb)(void *);
	void *arg;
};

struct one_refresh {
	struct weir__request rq;
	struct refresh *r;
	struct weir__snapshot snap;
	struct weir__end_account then[WEIR__MAX_ROUTES]; /* outputs' ends, when it was asked for */
	size_t then_count;
};

static void refresh_unref(uv_handle_t *handle)
{
	struct refresh *r = handle->data;

	if (!--r->refs)
		weir__free(r);
}

/* All have answered, or the time is over: whichever comes first. */
static void refresh_finish(struct refresh *r)
{
	void (*cb)(void *) = r->cb;

	if (!cb)
		return;
	r->cb = NULL;
	uv_close((uv_handle_t *)&r->timer, refresh_unref);
	if (r->collect && r->s->fresh)
		r->s->fresh(r->s->fresh_arg);
	cb(r->arg);
}

static void on_refresh_timeout(uv_timer_t *timer)
{
	refresh_finish(timer->data);
}

void weir__sup_on_fresh(struct weir__supervisor *s, void (*fresh)(void *arg), void *arg)
{
	s->fresh = fresh;
	s->fresh_arg = arg;
}

/* Several may be under way, so each has what the outputs' ends had counted when it was
 * asked for: later counts are not of the collector's moment. */
static void remember_ends(struct sup_plugin *p, struct one_refresh *one)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p || !r->far_from || !r->attached || one->then_count == WEIR__MAX_ROUTES)
			continue;
		one->then[one->then_count].id = r->id;
		weir__sup_far_output(r, &one->then[one->then_count++].stats);
	}
}

static void keep_route(struct sup_route *r, const struct one_refresh *one, size_t i)
{
	r->live = one->snap.routes[i].source;
	r->live_stats = one->snap.routes[i].stats;
	r->rx_then = r->rx_began;
	for (size_t k = 0; k < one->then_count; k++)
		if (one->then[k].id == r->id)
			r->rx_then = one->then[k].stats;
	r->live_valid = true;
}

static void keep_snapshot(struct sup_plugin *p, const struct one_refresh *one)
{
	p->snap = one->snap;
	p->snapped = true;
	for (size_t i = 0; i < one->snap.route_count; i++)
		for (struct sup_route *r = p->sup->routes; r; r = r->next)
			if (r->id == one->snap.routes[i].id && r->attached)
				keep_route(r, one, i);
	weir__sup_rates(p);
}

static void snapshot_done(struct weir__host *h, struct weir__request *rq)
{
	struct one_refresh *one = rq->arg;
	struct refresh *r = one->r;
	struct sup_plugin *p = weir__sup_of_host(r->s, h);

	if (p) {
		p->asked--;
		if (!rq->rc)
			keep_snapshot(p, one);
	}
	if (!--r->waiting)
		refresh_finish(r);
	if (!--r->refs)
		weir__free(r);
	weir__free(one);
}

void weir__sup_refresh(struct weir__supervisor *s, bool collect, void (*cb)(void *arg), void *arg)
{
	struct refresh *r = weir__zalloc(sizeof *r);

	weir__sup_sweep(s);
	if (!r) {
		cb(arg);
		return;
	}
	*r = (struct refresh){ .s = s, .refs = 1, .waiting = 1, .collect = collect, .cb = cb, .arg = arg };
	uv_timer_init(s->loop, &r->timer);
	r->timer.data = r;
	weir__sup_far_settle(s);
	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		struct one_refresh *one = p->state == WEIR__RUNNING && p->asked < MAX_ASKED
			? weir__zalloc(sizeof *one) : NULL;

		if (!one)
			continue;
		one->r = r;
		one->rq = (struct weir__request){ .type = WEIR__HOST_SNAPSHOT, .done = snapshot_done,
			.arg = one, .snapshot = { collect, &one->snap } };
		remember_ends(p, one);
		if (weir__host_request(p->host, &one->rq)) {
			weir__free(one);
			continue;
		}
		p->asked++;
		r->refs++;
		r->waiting++;
	}
	uv_timer_start(&r->timer, on_refresh_timeout, REFRESH_TIMEOUT_MS, 0);
	if (!--r->waiting)
		refresh_finish(r);
}
