/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that fail: every failure comes here, the plugin's breaker says when it is
 * tried again, and until then its routes count what it does not take.
 *
 *   start fails, a callback fails, a crash ...  -> weir__sup_failure -> failed, timer
 *   timer -> starting -> running -> probation is over -> weir__sup_success
 *
 * Once a second the main thread looks at what the hosts have published: a callback
 * that keeps its loop beyond the deadline, a process that answers nothing, an output that
 * refuses everything. Nobody
 * is woken for that. All of it is on the main thread.
 */
#include "sup_priv.h"
#include "fatal.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* A deadline is seconds; one wake in a second costs some 20 us. */
#define WATCH_MS 1000
/* A process that has not answered for so many deadlines hangs, or was stopped: a start that
 * loads BPF programs takes seconds on a slow machine, and is no callback. */
#define SILENCE_DEADLINES 6
/* A crash takes the whole daemon along: the first wait after one is as if so many
 * openings had come before, 16 s at most with the default cooldown. */
#define CRASH_ROW 3
/* Without a configuration (unit tests): the option's default. */
#define PROBE_INTERVAL_NS 30000000000u

static uint64_t ms(uint64_t ns)
{
	return (ns + 999999) / 1000000;
}

static struct weir__breaker_config limits(const struct sup_plugin *p)
{
	const struct weir__common_config *c = &p->settings->common;

	return (struct weir__breaker_config){
		.failures = (unsigned)c->breaker_failures, .window_ns = c->breaker_window_ns,
		.cooldown_ns = c->breaker_cooldown_ns, .max_cooldown_ns = c->breaker_max_cooldown_ns,
	};
}

void weir__sup_breaker_setup(struct sup_plugin *p)
{
	struct weir__breaker_config cfg = limits(p);

	weir__breaker_init(&p->breaker, p->name, &cfg);
}

void weir__sup_breaker_configure(struct sup_plugin *p)
{
	struct weir__breaker_config cfg = limits(p);

	weir__breaker_configure(&p->breaker, &cfg);
}

void weir__sup_forgive(struct sup_plugin *p)
{
	p->crashes = 0;
	weir__breaker_reset(&p->breaker);
}

bool weir__sup_back_soon(const struct sup_plugin *p)
{
	bool closed = p->breaker.state == WEIR__CIRCUIT_CLOSED;

	switch (p->state) {
	case WEIR__STARTING: /* a probe is more likely to fail than not */
		return closed;
	case WEIR__STOPPING:
		return p->restart || (p->failing && closed);
	case WEIR__FAILED:
		return closed && p->enabled && p->desc && !p->lost;
	default:
		return false;
	}
}

/* ---- failure ---------------------------------------------------------------------------- */

static void on_retry(uv_timer_t *timer)
{
	struct sup_plugin *p = timer->data;

	if (p->state != WEIR__FAILED || !p->enabled)
		return;
	p->restart = true;
	weir__sup_reconcile(p->sup);
}

static uint64_t draw(void)
{
	uint64_t v = 0;

	if (getrandom(&v, sizeof v, GRND_NONBLOCK) != sizeof v)
		v = uv_hrtime() * 0x9e3779b97f4a7c15u; /* early at boot */
	return v;
}

/* A start that was refused for a reason that does not pass by itself. */
static bool hopeless(enum weir__cause cause, int rc)
{
	static const int codes[] = { -EPERM, -EACCES, -EINVAL, -ENOSYS, -EOPNOTSUPP, -ENODEV };

	for (size_t i = 0; cause == WEIR__CAUSE_START && i < sizeof codes / sizeof codes[0]; i++)
		if (rc == codes[i])
			return true;
	return false;
}

/* None of its sources works on this machine: no crash loop, but looked for in vain. */
static bool no_source(const struct sup_plugin *p, enum weir__cause cause)
{
	return cause == WEIR__CAUSE_START && p->desc->kind == WEIR_COLLECTOR && p->source < 0 &&
	       p->source_reasons[0][0];
}

static uint64_t probe_interval_ns(const struct weir__supervisor *s)
{
	return s->config ? weir__config_daemon(s->config)->probe_interval_ns : PROBE_INTERVAL_NS;
}

/* Nothing of it runs any more. */
static void failed(struct sup_plugin *p, enum weir__cause cause, int rc, bool at_once)
{
	struct weir__failure f = { .cause = cause, .detail = p->reason, .now_ns = uv_hrtime(),
		.random = draw(), .at_once = at_once || hopeless(cause, rc),
		.cooldown_ns = no_source(p, cause) ? probe_interval_ns(p->sup) : 0 };
	char why[700], outlook[160];
	uint64_t opened = p->breaker.opened;
	uint64_t wait = weir__breaker_failure(&p->breaker, &f);
	bool said = p->breaker.opened != opened && !p->breaker.quiet; /* all of it, by the breaker */

	p->failing = false;
	p->start_rc = rc;
	p->refusing = 0;
	weir__breaker_outlook(&p->breaker, f.now_ns, outlook, sizeof outlook);
	if (said)
		snprintf(why, sizeof why, "%s", weir__cause_doc(cause));
	else
		snprintf(why, sizeof why, "%s: %s; %s", weir__cause_name(cause), p->reason, outlook);
	if (p->state == WEIR__RUNNING) {
		p->served_until_ns = f.now_ns; /* it has not been seen to end earlier */
		weir__state_move(&p->state, WEIR__STOPPING, p->name, "");
	}
	if (p->state != WEIR__FAILED)
		weir__state_move(&p->state, WEIR__FAILED, p->name, why);
	uv_timer_start(&p->timer, on_retry, ms(wait), 0);
	weir__sup_shut_routes(p);
}

void weir__sup_failure(struct sup_plugin *p, enum weir__cause cause, int rc)
{
	if (!p->reason[0])
		snprintf(p->reason, sizeof p->reason, "%s", strerror(-rc));
	if (p->state != WEIR__RUNNING || !p->host) {
		failed(p, cause, rc, false);
		return;
	}
	weir__log(WEIR_WARN, p->name, "%s: %s; stopping it", weir__cause_name(cause), p->reason);
	p->failing = true;
	p->cause = cause;
	p->start_rc = rc;
	weir__sup_reconcile(p->sup);
}

/* ---- success ----------------------------------------------------------------------------- */

void weir__sup_success(struct sup_plugin *p)
{
	weir__breaker_success(&p->breaker, uv_hrtime());
	p->crashes = 0;
	weir__fatal_forgive(p->name);
}

static void check_deliveries(struct sup_plugin *p, unsigned limit);

static void on_probation(uv_timer_t *timer)
{
	struct sup_plugin *p = timer->data;

	if (p->state == WEIR__RUNNING && p->breaker.state == WEIR__CIRCUIT_HALF_OPEN)
		check_deliveries(p, 1);
	if (p->state == WEIR__RUNNING && !p->failing)
		weir__sup_success(p);
}

/* The timer is free while the plugin runs: a retry comes before, a drain after that. */
void weir__sup_started(struct sup_plugin *p)
{
	p->refusing = 0;
	uv_timer_start(&p->timer, on_probation, ms(weir__breaker_probation_ns(&p->breaker)), 0);
}

/* ---- crashes of processes before this one -------------------------------------------------- */

void weir__sup_recall_crashes(struct weir__supervisor *s)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		p->crashes = weir__fatal_recall(p->name);
}

bool weir__sup_crashed_before(struct sup_plugin *p)
{
	if (!p->crashes || p->breaker.state != WEIR__CIRCUIT_CLOSED)
		return false;
	snprintf(p->reason, sizeof p->reason, "it ended the daemon the last time (%s, %u in a row); "
	         "isolation: process keeps a crash to the plugin", weir__fatal_how(p->name), p->crashes);
	weir__breaker_recall(&p->breaker, CRASH_ROW + p->crashes - 1);
	failed(p, WEIR__CAUSE_CRASH, -EIO, true);
	return true;
}

/* ---- the watch ------------------------------------------------------------------------------ */

/* weir__sup_died() goes on from here. */
static void kill_process(struct sup_plugin *p)
{
	p->failing = true;
	p->cause = WEIR__CAUSE_DEADLINE;
	weir__log(WEIR_ERROR, p->name, "%s: its process is killed", p->reason);
	weir__host_kill(p->host, p->reason);
}

static void overran(struct sup_plugin *p, const struct weir__busy *busy)
{
	double s = (double)(uv_hrtime() - busy->since_ns) / 1e9;
	double deadline = (double)p->settings->common.deadline_ns / 1e9;

	snprintf(p->reason, sizeof p->reason, "its callback %s has kept the loop for %.1f s, the "
	         "deadline is %.1f s", weir__callback_name(busy->callback), s, deadline);
	if (weir__host_pid(p->host)) {
		kill_process(p);
		return;
	}
	weir__log(WEIR_ERROR, p->name, "%s. A thread cannot be killed: it is given up and runs on at the "
	          "lowest priority until it comes back; isolation: process could end it", p->reason);
	weir__host_demote(p->host);
	weir__sup_abandon(p);
	if (p->transient) {
		p->enabled = false;
		p->gone = true;
		if (p->state == WEIR__RUNNING)
			weir__state_move(&p->state, WEIR__STOPPING, p->name, "");
	}
	failed(p, WEIR__CAUSE_DEADLINE, -ETIMEDOUT, false);
	weir__sup_reconcile(p->sup);
}

/* True: it was given up, and the list of plugins may look different now. */
static bool check_deadline(struct sup_plugin *p, uint64_t now)
{
	uint64_t deadline = p->settings->common.deadline_ns;
	struct weir__busy busy;

	if (!p->host || !deadline || (p->failing && p->cause == WEIR__CAUSE_DEADLINE))
		return false;
	if (!weir__host_busy(p->host, &busy) || now < busy.since_ns || now - busy.since_ns <= deadline)
		return false;
	overran(p, &busy);
	return true;
}

/* In no callback, and yet it says nothing: only a process can be that and be ended. It is
 * looks that count, not the clock, which goes on while all of the machine stands still. */
static void check_silence(struct sup_plugin *p)
{
	uint64_t since = p->host ? weir__host_unanswered_ns(p->host) : 0;

	p->silent = since && since == p->silent_since ? p->silent + 1 : 0;
	p->silent_since = since;
	if (p->silent * (WATCH_MS * 1000000ull) <= SILENCE_DEADLINES * p->settings->common.deadline_ns ||
	    (p->failing && p->cause == WEIR__CAUSE_DEADLINE))
		return;
	snprintf(p->reason, sizeof p->reason, "its process has answered nothing for %u s", p->silent);
	kill_process(p);
}

/* All that an output had since the last look it has refused, so many looks in a row.
 * One batch it takes, and it begins anew. */
static void check_deliveries(struct sup_plugin *p, unsigned limit)
{
	uint64_t delivered = 0, refused = 0;
	struct weir__route_stats tx, st;

	if (p->state != WEIR__RUNNING || p->desc->kind != WEIR_OUTPUT || p->transient || p->failing)
		return;
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to != p)
			continue;
		if (r->far_from)
			weir__sup_far_stats(r, &tx, &st);
		else
			weir__route_stats(r->route, &st);
		delivered += st.delivered;
		refused += st.rejected;
	}
	if (delivered != p->delivered)
		p->refusing = 0;
	else if (refused != p->refused)
		p->refusing++;
	p->delivered = delivered;
	p->refused = refused;
	if (p->refusing < limit)
		return;
	snprintf(p->reason, sizeof p->reason, "it has refused everything it was given, %u s long",
	         p->refusing);
	weir__sup_failure(p, WEIR__CAUSE_DELIVERY, -EIO);
}

void weir__sup_watch(struct weir__supervisor *s)
{
	uint64_t now = uv_hrtime();

	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (!check_deadline(p, now)) {
			check_silence(p);
			check_deliveries(p, p->breaker.cfg.failures);
		}
}

static void on_watch(uv_timer_t *timer)
{
	weir__sup_watch(timer->data);
}

void weir__sup_watch_setup(struct weir__supervisor *s)
{
	uv_timer_init(s->loop, &s->watch_timer);
	s->watch_timer.data = s;
	uv_timer_start(&s->watch_timer, on_watch, WATCH_MS, WATCH_MS);
}
