/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting, stopping, falling back. Everything goes through reconcile(): it looks
 * at what each plugin should be doing and takes the next step, and is called
 * whenever something has changed. A step that needs a host is a request; its end
 * comes back here. Failure: of a step, to weir__sup_failure(); without memory to ask for
 * one, it is tried again or left out. Main thread.
 *
 *   start:  host_new -> call(init, start, source) -> routes opened
 *   stop:   DETACH (collector: stop and drain; output: its collectors let go)
 *           -> DRAIN (queues empty, or the deadline) -> END (fini) -> host freed
 */
#include "sup_priv.h"
#include "bpf_kernel.h"
#include "log.h"
#include "mem.h"
#include "privilege.h"
#include "words.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static void begin_stop(struct sup_plugin *p);

struct sup_plugin *weir__sup_find(struct weir__supervisor *s, const char *name)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (!p->gone && !p->removed && !strcmp(p->name, name))
			return p;
	return NULL;
}

bool weir__sup_knows(struct weir__supervisor *s, const char *name)
{
	return weir__sup_find(s, name);
}

struct sup_plugin *weir__sup_of_host(struct weir__supervisor *s, const struct weir__host *h)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->host == h)
			return p;
	return NULL;
}

bool weir__sup_is_fallback(const struct sup_plugin *p)
{
	return p->desc && p->desc->fallback_for && *p->desc->fallback_for;
}

bool weir__sup_provides(const struct sup_plugin *p, const char *topic)
{
	return p->desc && p->desc->kind == WEIR_COLLECTOR && p->desc->topics &&
	       weir__has_word(p->desc->topics, topic, strlen(topic));
}

static bool should_run(struct sup_plugin *p)
{
	if (!p->enabled || !p->desc || p->gone || p->sup->stopping)
		return false;
	return !weir__sup_is_fallback(p) || p->wanted;
}

/* ---- start ---------------------------------------------------------------------------- */

static void free_host(struct sup_plugin *p)
{
	struct weir__host *h = p->host;

	p->cpu_before_ns += weir__host_cpu_ns(h);
	p->host = NULL; /* ends of calls that come now are nobody's */
	p->asked = p->queries = p->switching = 0;
	weir__host_free(h);
	weir__sup_budget_ended(p);
	weir__metrics_set_free(p->metrics);
	p->metrics = NULL;
	p->since_ns = 0;
	weir__sup_host_gone(p);
}

void weir__sup_copy_reasons(struct sup_plugin *p)
{
	p->source = weir__host_source(p->host);
	for (size_t i = 0; i < 8; i++)
		snprintf(p->source_reasons[i], sizeof p->source_reasons[i], "%s",
		         weir__host_source_reason(p->host, i));
	snprintf(p->reason, sizeof p->reason, "%s", weir__host_reason(p->host));
	weir__privilege_explain(p->desc->needs, p->reason, sizeof p->reason);
}

/* While nobody starts, the kernel's parsed BTF and libbpf's heap are not needed. */
void weir__sup_release_start_memory(struct weir__supervisor *s)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->state == WEIR__STARTING || p->switching)
			return;
	weir__kernel_btf_release();
	malloc_trim(0);
}

/* A step of its life, asked of the plugin's host. done() must call owner(). */
static int request(struct sup_plugin *p, enum weir__request_type type,
                   void (*done)(struct weir__host *, struct weir__request *))
{
	struct weir__request *rq = weir__zalloc(sizeof *rq);
	int rc;

	if (!rq)
		return -ENOMEM;
	rq->type = type;
	rq->done = done;
	rq->arg = p;
	if (type == WEIR__HOST_START) {
		rq->start.wanted = weir__sup_wanted_by(p, p->start_wanted);
		rq->start.tune = p->budget.start_tune;
	}
	rc = weir__host_request(p->host, rq);
	if (rc)
		weir__free(rq);
	return rc;
}

/* Whose step has ended; NULL: of a host that was given up meanwhile. */
static struct sup_plugin *owner(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = rq->arg;

	return p->host == h ? p : NULL;
}

static void start_done(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = owner(h, rq);
	int rc = rq->rc;
	char why[600];

	weir__free(rq);
	if (!p)
		return;
	p->start_rc = rc;
	weir__sup_copy_reasons(p);
	if (p->start_rc) {
		free_host(p);
		weir__sup_failure(p, WEIR__CAUSE_START, p->start_rc);
	} else {
		const struct weir_source *src = p->source < 0 ? NULL
			: weir_table_row(&p->desc->sources, (uint32_t)p->source);

		p->since_ns = uv_hrtime();
		p->served_from_ns = weir__host_counts_ns(p->host);
		if (p->last_source >= 0 && p->source != p->last_source)
			p->source_changes++;
		p->last_source = p->source;
		snprintf(why, sizeof why, "%s%s%s%s", src ? "source " : "", src ? src->name : "",
		         p->reason[0] ? "; passed over " : "", p->reason);
		weir__state_move(&p->state, WEIR__RUNNING, p->name, why);
		weir__sup_started(p);
		weir__sup_budget_started(p);
		weir__sup_open_routes(p);
		if (p->wanted != p->start_wanted) /* it changed while the host started */
			weir__sup_set_wanted(p, p->wanted);
	}
	weir__sup_release_start_memory(p->sup);
	weir__sup_reconcile(p->sup);
}

static void not_started(struct sup_plugin *p, int rc)
{
	if (p->host)
		free_host(p);
	weir__metrics_set_free(p->metrics);
	p->metrics = NULL;
	weir__sup_failure(p, WEIR__CAUSE_START, rc);
}

void weir__sup_ask_start(struct sup_plugin *p)
{
	int rc;

	if (p->state != WEIR__STARTING || !p->host || p->start_asked)
		return; /* it waited for this no longer */
	uv_timer_stop(&p->timer);
	p->start_asked = true;
	rc = request(p, WEIR__HOST_START, start_done);
	if (rc)
		not_started(p, rc);
}

static void begin_start(struct sup_plugin *p)
{
	int rc;

	uv_timer_stop(&p->timer);
	p->restart = p->failing = false;
	p->reason[0] = 0;
	p->start_rc = 0;
	p->start_wanted = p->wanted;
	p->snapped = false;
	memset(p->samples, 0, sizeof p->samples);
	memset(p->source_reasons, 0, sizeof p->source_reasons);
	weir__state_move(&p->state, WEIR__STARTING, p->name, "");
	if (weir__sup_crashed_before(p))
		return;
	weir__breaker_try(&p->breaker);
	if (p->starts++)
		p->restarts++;
	p->metrics = weir__metrics_set_new(p->name, &p->desc->metrics);
	rc = p->metrics ? weir__host_new(p->sup->loop, p->desc, p->settings, p->metrics,
	                                 &p->sup->events, &p->host) : -ENOMEM;
	if (rc) {
		not_started(p, rc);
		return;
	}
	p->start_asked = false;
	weir__sup_announce(p);
	if (!p->announcing)
		weir__sup_ask_start(p);
}

/* ---- stop -------------------------------------------------------------------------------- */

static void after_stop(struct sup_plugin *p)
{
	enum weir__state next = p->enabled ? WEIR__STANDBY : WEIR__DISABLED;

	weir__sup_adopt(p);
	p->phase = STOP_NONE;
	if (weir__sup_budget_stopped(p)) {
		weir__sup_reconcile(p->sup);
		return;
	}
	if (p->transient) {
		p->gone = true;
		next = WEIR__DISABLED;
	} else if (p->failing && p->enabled && !p->restart) {
		weir__sup_failure(p, p->cause, p->start_rc);
		weir__sup_reconcile(p->sup);
		return;
	} else if (p->restart && should_run(p)) {
		begin_start(p);
		weir__sup_reconcile(p->sup);
		return;
	} else if (!weir__sup_is_fallback(p)) {
		next = WEIR__DISABLED;
	}
	weir__state_move(&p->state, next, p->name, p->sup->stopping ? "weir is stopping" : "");
	weir__sup_reconcile(p->sup);
}

static void end_done(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = owner(h, rq);

	weir__free(rq);
	if (!p)
		return;
	weir__sup_halt_routes(p);
	if (weir__host_pid(p->host)) /* its ends of routes are read while it has them */
		weir__sup_close_routes(p);
	free_host(p);
	weir__sup_close_routes(p);
	after_stop(p);
}

/* Its host has gone without having been asked to, or during its stop. */
void weir__sup_crashed(struct sup_plugin *p)
{
	switch (p->state) {
	case WEIR__STARTING:
	case WEIR__RUNNING:
		weir__sup_failure(p, p->cause, p->start_rc);
		break;
	case WEIR__STOPPING:
		after_stop(p);
		return;
	default:
		break;
	}
	weir__sup_reconcile(p->sup);
}

static void on_drain(uv_timer_t *timer);

static void end_stop(struct sup_plugin *p)
{
	if (request(p, WEIR__HOST_FINI, end_done)) {
		uv_timer_start(&p->timer, on_drain, 10, 10); /* no memory: again */
		return;
	}
	uv_timer_stop(&p->timer);
	p->phase = STOP_END;
}

static void on_drain(uv_timer_t *timer)
{
	struct sup_plugin *p = timer->data;
	uint64_t left = weir__sup_queued(p);

	if (left && uv_hrtime() < p->drain_until_ns)
		return;
	if (left)
		weir__log(WEIR_WARN, p->name, "%llu records were not delivered within the "
		          "shutdown_timeout: %s booked as crashed", (unsigned long long)left,
		          p->desc->kind == WEIR_COLLECTOR ? "what no output has yet is" : "they are");
	end_stop(p);
}

static void detached_from_all(struct sup_plugin *p)
{
	p->phase = STOP_DRAIN;
	uv_timer_start(&p->timer, on_drain, 0, 2);
}

static void collector_stopped(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = owner(h, rq);

	for (size_t i = 0; p && i < rq->stop.count; i++)
		weir__sup_detached(p, &rq->stop.items[i]);
	weir__free(rq);
	if (!p)
		return;
	detached_from_all(p);
	weir__sup_reconcile(p->sup); /* stand-ins for it may step in */
}

static void begin_stop(struct sup_plugin *p)
{
	uint64_t timeout = p->sup->config
		? weir__config_daemon(p->sup->config)->shutdown_timeout_ns : 5000000000u;

	weir__state_move(&p->state, WEIR__STOPPING, p->name, "");
	p->served_until_ns = uv_hrtime(); /* its source ends within this stop */
	p->phase = STOP_DETACH;
	p->drain_until_ns = uv_hrtime() + timeout;
	if (p->desc->kind != WEIR_COLLECTOR) {
		if (p->failing)
			weir__sup_shut_routes(p);
		weir__sup_detach_output(p, detached_from_all);
		return;
	}
	if (request(p, WEIR__HOST_STOP, collector_stopped))
		end_stop(p); /* no memory even for that: end without the drain */
}

/* ---- reconcile -------------------------------------------------------------------------------- */

/* All of its routes are let go of, or there was no memory to ask for it. */
static void let_go(struct sup_plugin *p)
{
	p->phase = STOP_NONE;
	if (p->state == WEIR__FAILED && !p->enabled)
		weir__state_move(&p->state, WEIR__DISABLED, p->name, "");
	weir__sup_reconcile(p->sup);
}

/* A failed output that shall not be tried again: its collectors, who have counted what
 * it does not take, let go of its routes first. */
static void disable_failed(struct sup_plugin *p)
{
	p->phase = STOP_DETACH;
	weir__sup_detach_output(p, let_go);
}

static void reconcile_one(struct sup_plugin *p)
{
	bool run;

	weir__sup_adopt(p);
	run = should_run(p);
	switch (p->state) {
	case WEIR__DISABLED:
		if (p->gone || !p->enabled)
			break;
		if (!p->desc)
			weir__state_move(&p->state, WEIR__REFUSED, p->name, p->reason);
		else if (run && !p->lost)
			begin_start(p);
		else if (!run && weir__sup_is_fallback(p) && !p->sup->stopping)
			weir__state_move(&p->state, WEIR__STANDBY, p->name, "");
		break;
	case WEIR__STANDBY:
		if (run && !p->lost)
			begin_start(p);
		else if (!p->enabled)
			weir__state_move(&p->state, WEIR__DISABLED, p->name, "");
		break;
	case WEIR__FAILED:
	case WEIR__SUSPENDED:
		if (p->phase)
			break;
		if (!p->enabled)
			disable_failed(p);
		else if (run && p->restart && !p->lost)
			begin_start(p);
		else if (!run && weir__sup_is_fallback(p) && !p->sup->stopping)
			weir__state_move(&p->state, WEIR__STANDBY, p->name, "");
		break;
	case WEIR__REFUSED:
		if (!p->enabled)
			weir__state_move(&p->state, WEIR__DISABLED, p->name, "");
		break;
	case WEIR__RUNNING:
		if (p->upgrade) { /* it reconciles when it is over */
			if (!run || p->restart || p->failing || p->budget.suspend)
				weir__sup_upgrade_cancel(p);
			break;
		}
		if (!run || p->restart || p->failing || p->budget.suspend)
			begin_stop(p);
		break;
	case WEIR__STARTING:
	case WEIR__STOPPING:
	case WEIR__STATE_COUNT:
		break;
	}
	p->gone |= p->removed && p->state == WEIR__DISABLED;
	weir__sup_settle(p);
}

void weir__sup_reconcile(struct weir__supervisor *s)
{
	if (!s->started || s->held)
		return;
	/* Outputs first, so that a collector's first record has somewhere to go;
	 * stand-ins last, when it is known who serves what. */
	for (int pass = 0; pass < 3; pass++)
		for (struct sup_plugin *p = s->plugins; p; p = p->next) {
			int kind = p->desc && p->desc->kind == WEIR_COLLECTOR
				? 1 + weir__sup_is_fallback(p) : 0;

			if (kind != pass)
				continue;
			if (s->stopping && kind == 0 && !s->outputs_stopping && !p->gone && !p->transient)
				continue;
			if (p->desc)
				weir__sup_update_wanted(p);
			reconcile_one(p);
		}
	if (s->stopping)
		weir__sup_check_stopped(s);
}
