/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that do not end themselves: a thread whose callback does not come back, a
 * process that has died. Their routes are closed and their ledgers with them: what
 * was under way is booked as crashed, everything else goes on. A thread cannot be
 * ended from outside: it is kept until it comes back, if ever. Main thread.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct lost_host {
	struct lost_host *next;
	struct weir__host *h;
	uint64_t cpu_ns;           /* when it was given up */
	struct weir__request rq;
	struct sup_plugin *p;
	struct weir__metrics_set *metrics;
	uint64_t since_ns;
};

/* The source sides of a collector's routes, closed from outside. */
static void bury_collector(struct sup_plugin *p)
{
	struct weir__detached d;

	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p || !r->attached)
			continue;
		weir__host_bury(p->host, r->id, &d); /* all zero if it never got there */
		d.id = r->id;
		weir__sup_detached(p, &d);
		if (r->far_from)
			weir__sup_far_over(r, &d.sent);
	}
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->from == p && r->far_from) /* let go of before, but not drained yet */
			weir__sup_far_over(r, NULL);
	weir__sup_forget_detaches(p);
}

/* A process: what it had of other's is lost, but all that is known of it is final. */
static void bury_process(struct sup_plugin *p)
{
	if (p->desc->kind == WEIR_COLLECTOR)
		bury_collector(p);
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to != p)
			continue;
		weir__sup_far_fold(r);
		if (!r->far_from)
			weir__route_end(r->route);
		if (r->attached && !r->far_from && p->enabled && !p->sup->stopping)
			weir__sup_far_over(r, NULL); /* it will be shut, and count */
		else
			weir__sup_stop_sending(r);
	}
}

/* Of a thread. */
static void close_routes(struct sup_plugin *p)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to == p && r->far_from)
			weir__sup_stop_sending(r);
		if (r->to == p)
			weir__route_abandon(r->route);
		else if (r->from == p && r->far_to)
			weir__sup_far_over(r, NULL);
		else if (r->from == p && r->open)
			weir__route_close(r->route);
		else
			continue;
		r->open = false;
	}
}

/* Its thread is back, and has run fini(). */
static void came_back(struct weir__host *h, struct weir__request *rq)
{
	struct lost_host *l = rq->arg;
	struct sup_plugin *p = l->p;
	struct lost_host **at = &p->sup->lost;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	p->sup->lost_before_ns += weir__host_cpu_ns(h) - l->cpu_ns;

	weir__log(WEIR_WARN, p->name, "its lost thread has come back after %.1f s and is ended",
	          (double)(uv_hrtime() - l->since_ns) / 1e9);
	p->lost--;
	weir__host_free(h);
	if (!p->host && !p->lost)
		weir__sup_host_gone(p);
	weir__metrics_set_free(l->metrics);
	weir__free(l);
	weir__sup_reconcile(p->sup);
}

static void let_go(struct sup_plugin *p)
{
	p->cpu_before_ns += weir__host_cpu_ns(p->host);
	p->host = NULL; /* ends of calls that come now are nobody's */
	weir__sup_budget_ended(p);
	p->asked = p->queries = 0;
	p->since_ns = 0;
	p->phase = STOP_NONE;
	weir__sup_cancel_detaches(p);
	uv_timer_stop(&p->timer);
}

uint64_t weir__sup_lost_cpu_ns(const struct weir__supervisor *s)
{
	uint64_t ns = s->lost_before_ns;

	for (const struct lost_host *l = s->lost; l; l = l->next)
		ns += weir__host_cpu_ns(l->h) - l->cpu_ns;
	return ns;
}

void weir__sup_abandon(struct sup_plugin *p)
{
	struct lost_host *l = weir__zalloc(sizeof *l);
	struct weir__host *h = p->host;

	weir__host_lose(h);
	if (p->desc->kind == WEIR_COLLECTOR)
		bury_collector(p);
	close_routes(p);
	let_go(p);
	p->lost++;
	if (l) { /* else it is never freed, which is all that is lost by it */
		*l = (struct lost_host){ .h = h, .p = p, .metrics = p->metrics,
			.since_ns = uv_hrtime(), .cpu_ns = weir__host_cpu_ns(h), .next = p->sup->lost };
		l->rq = (struct weir__request){ .type = WEIR__HOST_FINI, .done = came_back, .arg = l };
		if (weir__host_request(h, &l->rq))
			weir__free(l);
		else
			p->sup->lost = l;
	}
	p->metrics = NULL;
}

void weir__sup_died(void *arg, struct weir__host *h, const char *why)
{
	struct sup_plugin *p = weir__sup_of_host(arg, h);
	bool asked_to_go;

	if (!p) {
		weir__sup_upgrade_died(arg, h, why);
		return; /* or let go of already */
	}
	asked_to_go = p->state == WEIR__STOPPING && p->phase == STOP_END;
	bury_process(p);
	let_go(p);
	weir__host_free(h);
	weir__metrics_set_free(p->metrics);
	p->metrics = NULL;
	if (!asked_to_go) {
		snprintf(p->reason, sizeof p->reason, "%s", why);
		p->start_rc = -EPIPE;
		p->cause = p->failing ? p->cause : WEIR__CAUSE_CRASH;
		p->failing = true;
	}
	weir__sup_crashed(p);
}
