/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspension of a plugin that is over its budget whatever is done, and the probes
 * that find out when that is over. Main thread.
 *
 *   RUNNING -> (stop) -> SUSPENDED --cooldown--> STARTING -> RUNNING, probing
 *                            ^                                 | look, 60 ms later
 *                            +------- over --------------------+--> fits: stays
 *
 * A probe must not itself be over the budget of the second it is in: it starts with
 * the weight it ended with, is looked at once, after 60 ms, and ends at once if what
 * it took would be too much over a second.
 */
#include "sup_priv.h"
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS 60
/* So that after a flood a plugin is whole again within a minute: this, and ten steps of
 * sampling less those that the look already makes up for. */
#define COOLDOWN_MS     5000
#define COOLDOWN_MAX_MS 15000
/* Running so long after a probe, it is over: the next suspension begins anew. */
#define SETTLED_NS 10000000000u
/* A look that finds so little lets sampling recover by this factor at once. */
#define QUIET       0.3
#define QUIET_STEPS 16
/* Programs that were detached must leave room to come back to. */
#define TRIAL_SHARE 0.8

static void on_look(uv_timer_t *timer);

static uint64_t cooldown_ms(const struct sup_plugin *p)
{
	uint64_t ms = COOLDOWN_MS * (uint64_t)(p->budget.suspensions ? p->budget.suspensions : 1);

	return ms < COOLDOWN_MAX_MS ? ms : COOLDOWN_MAX_MS;
}

void weir__sup_budget_suspend(struct sup_plugin *p)
{
	struct sup_budget *b = &p->budget;

	if (p->state != WEIR__RUNNING)
		return;
	b->start_tune = b->logic.tune;
	b->start_tune.weight_seen = b->start_tune.weight;
	b->suspend = true;
	b->probing = false;
	b->suspensions++;
	snprintf(p->reason, sizeof p->reason, "over its budget: %s", b->why);
	weir__log(WEIR_WARN, p->name, "budget: %s: %s; next try in %llu s", b->what, b->why,
	          (unsigned long long)(cooldown_ms(p) / 1000));
	weir__sup_reconcile(p->sup);
}

static void on_probe(uv_timer_t *timer)
{
	struct sup_plugin *p = timer->data;

	if (p->state != WEIR__SUSPENDED || !p->enabled)
		return;
	p->budget.probing = true;
	p->restart = true;
	weir__sup_reconcile(p->sup);
}

bool weir__sup_budget_stopped(struct sup_plugin *p)
{
	bool suspend = p->budget.suspend && p->enabled && !p->sup->stopping;

	p->budget.suspend = false;
	if (!suspend)
		return false;
	weir__state_move(&p->state, WEIR__SUSPENDED, p->name, p->reason);
	weir__breaker_failure(&p->breaker, &(struct weir__failure){ .cause = WEIR__CAUSE_BUDGET,
		.detail = p->reason, .now_ns = uv_hrtime(), .at_once = true,
		.cooldown_ns = cooldown_ms(p) * 1000000 });
	uv_timer_start(&p->timer, on_probe, cooldown_ms(p), 0);
	weir__sup_shut_routes(p);
	return true;
}

/* ---- looking ------------------------------------------------------------------------ */

static void begin_look(struct sup_plugin *p)
{
	struct sup_budget *b = &p->budget;

	b->look.at_ns = uv_hrtime();
	b->look.cpu_ns = weir__host_cpu_ns(p->host);
	if (b->meter)
		weir__meter_read(b->meter, &b->look.kernel);
	uv_timer_start(&p->sup->budget.look, on_look, LOOK_MS, 0);
}

void weir__sup_budget_probe(struct sup_plugin *p)
{
	if (!p->budget.probing)
		return;
	begin_look(p);
	p->budget.probe_ns = p->budget.look.at_ns;
}

void weir__sup_budget_try(struct sup_plugin *p, uint32_t below)
{
	p->budget.trial = true;
	p->budget.trial_below = below;
	begin_look(p);
}

/* Percent of a core since the look began. */
static double used_since(const struct sup_plugin *p, uint64_t now_ns)
{
	const struct sup_budget *b = &p->budget;
	const struct sup_budget_mark *was = &b->look;
	struct weir__meter_sample k = { 0 };

	if (b->meter)
		weir__meter_read(b->meter, &k);
	return ((double)(weir__host_cpu_ns(p->host) - was->cpu_ns) + k.run_ns - was->kernel.run_ns +
	        k.hook_ns - was->kernel.hook_ns) * 100 / (double)(now_ns - was->at_ns);
}

__attribute__((format(printf, 3, 4)))
static void say(struct sup_plugin *p, const char *what, const char *why, ...)
{
	struct sup_budget *b = &p->budget;
	va_list ap;

	snprintf(b->what, sizeof b->what, "%s", what);
	va_start(ap, why);
	vsnprintf(b->why, sizeof b->why, why, ap);
	va_end(ap);
	b->acted_ns = uv_hrtime();
}

static void look_at_probe(struct sup_plugin *p, uint64_t now_ns)
{
	struct sup_budget *b = &p->budget;
	double cpu = used_since(p, now_ns), room = weir__budget_room(&b->logic, &p->sup->budget.total, 1);

	b->probing = false;
	if (cpu > room) {
		say(p, "suspended again", "a look of %d ms found cpu %.1f%% of %.1f%% that are left for it (%s)",
		    LOOK_MS, cpu, room > 0 ? room : 0, p->name);
		b->actions[WEIR__BUDGET_SUSPEND]++;
		weir__sup_budget_suspend(p);
		return;
	}
	say(p, "it runs again", "a look of %d ms found cpu %.1f%% of %.1f%% that are left for it (%s); recovering",
	    LOOK_MS, cpu, room, p->name);
	weir__log(WEIR_INFO, p->name, "budget: %s: %s", b->what, b->why);
	b->recoveries++;
	if (cpu < QUIET * room && b->logic.tune.weight > 1) {
		b->logic.tune.weight_seen = b->logic.tune.weight;
		b->logic.tune.weight = (b->logic.tune.weight + QUIET_STEPS - 1) / QUIET_STEPS;
		weir__sup_budget_send(p);
	}
	weir__sup_reconcile(p->sup); /* its topics are served: a stand-in may go */
}

static void look_at_trial(struct sup_plugin *p, uint64_t now_ns)
{
	struct sup_budget *b = &p->budget;
	double cpu = used_since(p, now_ns), room = weir__budget_room(&b->logic, &p->sup->budget.total, TRIAL_SHARE);

	b->trial = false;
	if (cpu <= room)
		return;
	weir__budget_shed_again(&b->logic, b->trial_below, cpu, now_ns);
	b->detach_below = b->trial_below;
	b->actions[WEIR__BUDGET_DETACH]++;
	say(p, "the programs are detached again", "a look of %d ms found cpu %.1f%% of %.1f%% that are left for it "
	    "(%s); they are tried again later", LOOK_MS, cpu, room > 0 ? room : 0, p->name);
	weir__log(WEIR_WARN, p->name, "budget: %s: %s", b->what, b->why);
	weir__sup_budget_send(p);
}

static void on_look(uv_timer_t *timer)
{
	struct weir__supervisor *s = timer->data;
	uint64_t now_ns = uv_hrtime();

	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		if (p->state != WEIR__RUNNING || !p->host || s->stopping)
			continue;
		if (p->budget.probing)
			look_at_probe(p, now_ns);
		else if (p->budget.trial)
			look_at_trial(p, now_ns);
	}
}

void weir__sup_budget_settled(struct sup_plugin *p, uint64_t now_ns)
{
	struct sup_budget *b = &p->budget;

	if (b->suspensions && !b->probing && now_ns - b->probe_ns > SETTLED_NS)
		b->suspensions = 0;
	if (!b->probing) /* another start is a fresh one */
		b->start_tune = (struct weir__tune){ .weight = 1, .weight_seen = 1 };
}
