/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir upgrade`: another build of a plugin takes over from the one that runs, so that
 * no record is lost and none comes twice. Main thread.
 *
 *   PREPARE the new host beside the old one: init, start, what its source needs
 *   EXPORT  the old one's BPF object (collectors)
 *   ADOPT   it: same object, same settings: programs stay attached, maps and rings go
 *           on; else the new one has loaded its own, switched off, and the two are
 *           exchanged by their knobs. Its source's start, its health check.
 *   ------- whatever fails up to here: the new one goes, the old one has noticed nothing
 *   YIELD   the old collector hands over its counts; its queues run empty; the routes
 *           become the new one's. (An output: its routes hold back what comes, until
 *           the old one has acknowledged what it has.)
 *   TAKE    the new one drains. Should that fail, the old one gets its source back.
 *   FINI    the old one.
 *
 * A step that does not come back in time: a process is killed, a thread given up.
 */
#include "sup_priv.h"
#include "bus.h"
#include "host_upgrade.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* All of it; loading BPF programs takes some 100 ms, a busy machine several times that. */
#define UPGRADE_MS 10000
#define POLL_MS    1

struct sup_upgrade {
	struct sup_plugin *p;
	struct weir__request rq;
	bool asked;                    /* rq is under way */
	struct weir__host *fresh, *old; /* old: once they are exchanged */
	struct weir__host *before;     /* the plugin's when it began: compared only */
	struct weir__settings *settings, *old_settings, *old_running;
	char *name;                    /* the new settings' own, while they use the plugin's */
	struct weir__metrics_set *metrics, *old_metrics;
	struct weir__bpf_handles handles;
	struct weir__yielded yielded;
	bool adopted, swapped;         /* swapped: p->host is the fresh one */
	bool cancelled, over;          /* over: given up; what comes back is only ended */
	uv_timer_t timer;
	uint64_t began_ns, yielded_ns;
	void (*poll)(struct sup_upgrade *);
	char old_version[32], death[256];
	int rc;
	char why[600];
};

/* ---- the end ------------------------------------------------------------------------- */

static void free_upgrade(uv_handle_t *handle)
{
	struct sup_upgrade *u = handle->data;

	weir__bpf_handles_close(&u->handles);
	weir__free(u);
}

static void finish(struct sup_upgrade *u)
{
	struct sup_plugin *p = u->p;
	char text[700];

	p->upgrade = NULL;
	p->upgrade_swapped = false;
	p->upgrades_refused += u->rc != 0;
	if (u->rc)
		snprintf(text, sizeof text, "%s goes on with version %s: %s", p->name, u->old_version, u->why);
	else
		snprintf(text, sizeof text, "%s: version %s has taken over from %s after %.0f ms, %s%.1f ms "
		         "between the two", p->name, p->desc->version, u->old_version,
		         (double)(uv_hrtime() - u->began_ns) / 1e6, u->adopted ? "with its BPF programs attached; " : "",
		         (double)u->yielded_ns / 1e6);
	weir__log(u->rc ? WEIR_WARN : WEIR_INFO, p->name, "upgrade: %s", text);
	uv_close((uv_handle_t *)&u->timer, free_upgrade);
	weir__sup_answer_waiters(p, u->rc, text);
	weir__sup_reconcile(p->sup);
}

static void free_new(struct sup_upgrade *u)
{
	weir__metrics_set_free(u->metrics);
	if (!u->old) /* else it was given back its own by the exchange */
		u->settings->name = u->name;
	weir__settings_free(u->settings);
}

static void fresh_ended(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	weir__host_free(h);
	free_new(u);
	if (!u->over)
		finish(u);
	else /* it came back after it had been given up */
		uv_close((uv_handle_t *)&u->timer, free_upgrade);
}

/* One request at a time, to either. */
static void ask(struct sup_upgrade *u, struct weir__host *h, enum weir__request_type type,
                void (*done)(struct weir__host *, struct weir__request *))
{
	int rc;

	u->rq.type = type;
	u->rq.done = done;
	u->rq.arg = u;
	u->asked = true;
	rc = weir__host_request(h, &u->rq);
	if (!rc)
		return;
	u->asked = false;
	u->rq.rc = rc;
	done(h, &u->rq);
}

static void end_fresh(struct sup_upgrade *u)
{
	struct weir__host *fresh = u->fresh;

	if (!fresh) {
		free_new(u);
		finish(u);
		return;
	}
	u->fresh = NULL;
	ask(u, fresh, WEIR__HOST_FINI, fresh_ended);
}

/* The old one stays, or has its source back. */
static void give_up(struct sup_upgrade *u, int rc, const char *step, const char *why)
{
	u->rc = rc ? rc : -EIO;
	snprintf(u->why, sizeof u->why, "the new build %s: %.500s", step, *why ? why : strerror(-u->rc));
	weir__sup_pause_routes(u->p, false);
	end_fresh(u);
}

/* Did this step succeed, and is the upgrade still wanted? */
static bool good(struct sup_upgrade *u, const char *step)
{
	u->asked = false;
	if (u->over) { /* a thread has come back */
		end_fresh(u);
		return false;
	}
	if (u->rq.rc == -EPIPE && u->fresh)
		give_up(u, -EPIPE, step, *u->death ? u->death : "its process has ended");
	else if (u->rq.rc)
		give_up(u, u->rq.rc, step, u->fresh ? weir__host_reason(u->fresh) : "");
	else if (u->p->host != u->before)
		give_up(u, -EPIPE, step, "the old one has ended");
	else if (u->cancelled)
		give_up(u, -ECANCELED, step, "the plugin has been changed meanwhile");
	else
		return true;
	return false;
}

/* ---- the old one's end -------------------------------------------------------------- */

static void old_ended(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	weir__host_free(h);
	weir__metrics_set_free(u->old_metrics);
	weir__settings_free(u->old_running);
	weir__settings_free(u->old_settings);
	finish(u);
}

/* The new one is the plugin from now on. */
static void settle_in(struct sup_upgrade *u)
{
	struct sup_plugin *p = u->p;

	weir__metrics_set_show(u->metrics, true);
	weir__metrics_set_show(u->old_metrics, false);
	p->since_ns = uv_hrtime();
	p->upgrades++;
	weir__sup_copy_reasons(p);
	weir__sup_budget_ended(p);
	weir__sup_budget_started(p);
	ask(u, u->old, WEIR__HOST_FINI, old_ended);
}

static void swap(struct sup_upgrade *u)
{
	struct sup_plugin *p = u->p;

	u->old = p->host;
	u->old_metrics = p->metrics;
	p->host = u->fresh;
	p->metrics = u->metrics;
	u->old_running = p->running;
	p->running = NULL;
	u->old_settings = weir__sup_exchange(p, u->settings);
	u->old_settings->name = u->name;
	p->desc = p->settings->desc;
	p->asked = p->queries = 0;
	p->snapped = false;
	memset(p->samples, 0, sizeof p->samples);
	u->swapped = p->upgrade_swapped = true;
}

/* ---- a collector --------------------------------------------------------------------- */

static void got_back(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	(void)h;
	u->asked = false;
	if (rq->rc) /* both builds fail at it now: as any failure of a running plugin */
		weir__sup_failure(u->p, WEIR__CAUSE_CALLBACK, rq->rc);
	end_fresh(u);
}

/* The new one could not take: routes and source go back. */
static void taken_back(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;
	struct sup_plugin *p = u->p;

	(void)h;
	for (size_t i = 0; !rq->rc && i < rq->stop.count; i++)
		weir__sup_detached(p, &rq->stop.items[i]);
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->from == p && r->far_from)
			weir__sup_far_over(r, NULL);
	p->host = u->old;
	p->metrics = u->old_metrics;
	u->settings = weir__sup_exchange(p, u->old_settings);
	p->running = u->old_running;
	u->old_settings = u->old_running = NULL;
	u->swapped = p->upgrade_swapped = false;
	p->desc = p->settings->desc;
	weir__sup_attach_routes(p);
	memset(&u->yielded, 0, sizeof u->yielded);
	u->rq.take.yielded = &u->yielded;
	ask(u, u->old, WEIR__HOST_TAKE, got_back);
}

static void took(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	u->asked = false;
	if (u->p->host != u->fresh) { /* it has died, and is dealt with as that */
		u->rc = -EPIPE;
		snprintf(u->why, sizeof u->why, "the new build has ended as it took over");
		ask(u, u->old, WEIR__HOST_FINI, old_ended);
		return;
	}
	if (!rq->rc) {
		u->yielded_ns = uv_hrtime() - u->yielded_ns;
		settle_in(u);
		return;
	}
	u->rc = rq->rc;
	snprintf(u->why, sizeof u->why, "the new build does not take over: %.400s", weir__host_reason(h));
	memset(&u->rq.stop, 0, sizeof u->rq.stop);
	ask(u, u->fresh, WEIR__HOST_STOP, taken_back);
}

static bool opening(const struct sup_plugin *p)
{
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->from == p && r->opening)
			return true;
	return false;
}

static void poll_opened(struct sup_upgrade *u)
{
	if (opening(u->p))
		return;
	u->poll = NULL;
	u->rq.take.yielded = &u->yielded;
	ask(u, u->fresh, WEIR__HOST_TAKE, took);
}

/* While it is polled: has the old one ended? Then there is nothing to take over. */
static bool old_gone(struct sup_upgrade *u)
{
	if (u->p->host == u->before)
		return false;
	u->poll = NULL;
	give_up(u, -EPIPE, "was to take over", "the old one has ended");
	return true;
}

/* What the old one's own ends of routes have in flight reaches its outputs first. */
static void poll_drained(struct sup_upgrade *u)
{
	struct sup_plugin *p = u->p;
	uint64_t waited = uv_hrtime() - u->yielded_ns;
	struct weir__ledger l;

	if (old_gone(u))
		return;
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p || !r->far_from || !r->open)
			continue;
		weir__sup_route_ledger(r, &l);
		if (l.queued && waited < weir__config_daemon(p->sup->config)->shutdown_timeout_ns)
			return;
	}
	for (struct sup_route *r = p->sup->routes; r; r = r->next)
		if (r->from == p && r->far_from)
			weir__sup_far_over(r, NULL);
	swap(u);
	weir__sup_attach_routes(p);
	u->poll = poll_opened;
}

static void yielded(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	(void)h;
	u->asked = false;
	if (rq->rc) { /* the old one has died, of whatever: it is dealt with as that */
		give_up(u, rq->rc, "was to take over", "the old one has ended");
		return;
	}
	for (size_t i = 0; i < u->yielded.count; i++)
		weir__sup_detached(u->p, &u->yielded.items[i]);
	u->poll = poll_drained;
}

static void begin_yield(struct sup_upgrade *u)
{
	struct weir__meter *meter;

	u->yielded_ns = uv_hrtime();
	/* Two objects: the one off, the other on, with nothing between but two stores. */
	if (!u->adopted && u->p->budget.meter && (meter = weir__host_meter(u->fresh))) {
		weir__meter_enable(u->p->budget.meter, false);
		weir__meter_enable(meter, true);
		weir__host_keep_meter(u->fresh, meter);
	}
	u->rq.yield.adopted = u->adopted;
	u->rq.yield.yielded = &u->yielded;
	ask(u, u->p->host, WEIR__HOST_YIELD, yielded);
}

/* ---- an output ------------------------------------------------------------------------- */

/* Those that cannot be held back, since their collector is in a process, are reopened:
 * what such a collector makes meanwhile is not seen by this route. */
static void reopen_far(struct sup_upgrade *u)
{
	for (struct sup_route *r = u->p->sup->routes; r; r = r->next)
		if (r->to == u->p && r->opening)
			return;
	u->poll = NULL;
	swap(u);
	weir__sup_open_routes(u->p);
	weir__sup_pause_routes(u->p, false);
	u->yielded_ns = uv_hrtime() - u->yielded_ns;
	settle_in(u);
}

static void poll_idle(struct sup_upgrade *u)
{
	struct sup_plugin *p = u->p;
	struct weir__ledger l;

	if (old_gone(u))
		return;
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to != p || !r->open)
			continue;
		weir__sup_route_ledger(r, &l);
		if (r->far_from ? r->attached || l.queued : !weir__route_is_idle(r->route))
			return;
	}
	u->poll = NULL;
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to != p || !r->open)
			continue;
		if (r->far_from) {
			weir__sup_far_fold(r);
			weir__sup_far_over(r, NULL);
		} else if (r->far_to) {
			weir__sup_far_redial(r, u->fresh);
		} else {
			weir__route_redirect(r->route, u->fresh);
		}
	}
	u->poll = reopen_far;
}

static void hold_back(struct sup_upgrade *u)
{
	u->yielded_ns = uv_hrtime();
	weir__sup_pause_routes(u->p, true);
	for (struct sup_route *r = u->p->sup->routes; r; r = r->next)
		if (r->to == u->p && r->far_from && r->attached)
			weir__sup_let_go(r);
	u->poll = poll_idle;
}

/* ---- the beginning ------------------------------------------------------------------------ */

static void adopted(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	(void)h;
	u->adopted = rq->adopt.adopted;
	if (!good(u, "is not healthy"))
		return;
	if (u->p->desc->kind == WEIR_COLLECTOR)
		begin_yield(u);
	else
		hold_back(u);
}

static void adopt(struct sup_upgrade *u)
{
	u->rq.adopt.handles = &u->handles;
	u->rq.adopt.adopted = false;
	ask(u, u->fresh, WEIR__HOST_ADOPT, adopted);
}

static void exported(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	(void)h, (void)rq;
	if (good(u, "was to take over from the old one"))
		adopt(u);
}

static void prepared(struct weir__host *h, struct weir__request *rq)
{
	struct sup_upgrade *u = rq->arg;

	(void)h, (void)rq;
	if (!good(u, "does not start"))
		return;
	if (u->p->desc->kind != WEIR_COLLECTOR) {
		adopt(u);
		return;
	}
	u->rq.export.handles = &u->handles;
	ask(u, u->p->host, WEIR__HOST_EXPORT, exported);
}

static void on_timer(uv_timer_t *timer)
{
	struct sup_upgrade *u = timer->data;

	if (u->poll) {
		u->poll(u);
		return;
	}
	if (!u->asked || u->over || uv_hrtime() - u->began_ns < UPGRADE_MS * 1000000ull)
		return;
	if (!u->fresh || u->swapped)
		return; /* the old one, or its end: what watches every plugin watches that */
	if (weir__host_pid(u->fresh)) {
		weir__host_kill(u->fresh, "it did not answer in time"); /* then its request ends */
		return;
	}
	/* A thread cannot be ended: when it comes back, it is. */
	u->over = true;
	u->p->upgrade = NULL;
	weir__log(WEIR_WARN, u->p->name, "upgrade: the new build does not answer; its thread is given up, the "
	          "old one goes on (in a process of its own it could be ended: isolation: process)");
	weir__sup_answer_waiters(u->p, -ETIMEDOUT, "the new build did not answer in time: the old one goes on");
	weir__sup_reconcile(u->p->sup);
}

bool weir__sup_upgrade_died(struct weir__supervisor *s, const struct weir__host *h, const char *why)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->upgrade && p->upgrade->fresh == h) {
			snprintf(p->upgrade->death, sizeof p->upgrade->death, "%s", why);
			return true;
		}
	return false;
}

void weir__sup_upgrade_cancel(struct sup_plugin *p)
{
	if (p->upgrade)
		p->upgrade->cancelled = true;
}

static const char *unfit(const struct sup_plugin *p, const struct weir__settings *new, const char *refused)
{
	if (!new->desc)
		return refused;
	if (p->state != WEIR__RUNNING || !p->host || p->upgrade || p->switching)
		return "the plugin does not run now";
	if (new->desc->kind != p->desc->kind)
		return "it is another kind of plugin";
	if ((new->library != NULL) != (p->settings->library != NULL))
		return "the one runs in a process, the other on a thread: restart it instead";
	return NULL;
}

void weir__sup_upgrade(struct weir__supervisor *s, const char *name, struct weir__settings *settings,
                       const char *refused)
{
	struct sup_plugin *p = weir__sup_find(s, name);
	struct sup_upgrade *u = weir__zalloc(sizeof *u);
	const char *why = u ? unfit(p, settings, refused) : "out of memory";
	const struct weir_source *src;

	if (why) {
		p->upgrade_error = weir__strdup(why);
		p->upgrades_refused++;
		weir__settings_free(settings);
		weir__free(u);
		return;
	}
	*u = (struct sup_upgrade){ .p = p, .settings = settings, .began_ns = uv_hrtime(),
		.before = p->host, .name = settings->name };
	settings->name = (char *)(uintptr_t)p->name; /* hosts and batches refer to that one */
	snprintf(u->old_version, sizeof u->old_version, "%s", p->desc->version);
	p->upgrade = u;
	uv_timer_init(s->loop, &u->timer);
	u->timer.data = u;
	uv_timer_start(&u->timer, on_timer, POLL_MS, POLL_MS);
	u->metrics = weir__metrics_set_new(p->name, &settings->desc->metrics);
	if (u->metrics)
		weir__metrics_set_show(u->metrics, false);
	u->rq.rc = u->metrics ? weir__host_new(s->loop, settings->desc, settings, u->metrics, &s->events,
	                                       &u->fresh) : -ENOMEM;
	if (u->rq.rc) {
		give_up(u, u->rq.rc, "does not start", "");
		return;
	}
	src = p->source < 0 ? NULL : weir_table_row(&p->desc->sources, (uint32_t)p->source);
	u->rq.start.wanted = (struct weir__wanted){ .topics = p->wanted };
	memcpy(u->rq.start.wanted.since_ns, p->wanted_since_ns, sizeof p->wanted_since_ns);
	u->rq.start.tune = p->budget.logic.tune;
	snprintf(u->rq.start.beside, sizeof u->rq.start.beside, "%s", src ? src->name : "");
	ask(u, u->fresh, WEIR__HOST_PREPARE, prepared);
}
