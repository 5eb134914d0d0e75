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
	snprintf(p->reason, sizeof p->reason, "over its budget: %s", b->logic.action.why);
	weir__log(WEIR_WARN, p->name, "budget: %s: %s, in %llu s", b->logic.action.what,
	          b->logic.action.why, (unsigned long long)(cooldown_ms(p) / 1000));
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
	uv_timer_start(&p->timer, on_probe, cooldown_ms(p), 0);
	return true;
}

/* What is left for it beside all others. */
static double room_of(const struct sup_plugin *p)
{
	const struct weir__budget_total *t = &p->sup->budget.total;
	double room = 1e12, own = p->budget.logic.limits[WEIR__RESOURCE_CPU];

	if (own > 0)
		room = own;
	/* The last tick was without it. */
	if (t->cpu_limit > 0 && t->cpu_limit - t->cpu < room)
		room = t->cpu_limit - t->cpu;
	return room;
}

static void look(struct sup_plugin *p, uint64_t now_ns)
{
	struct sup_budget *b = &p->budget;
	const struct sup_budget_mark *was = &b->mark;
	struct weir__meter_sample k = { 0 };
	double dt_ns = (double)(now_ns - was->at_ns), cpu, room = room_of(p);

	if (b->meter)
		weir__meter_read(b->meter, &k);
	cpu = ((double)(weir__host_cpu_ns(p->host) - was->cpu_ns) + k.run_ns - was->kernel.run_ns +
	       k.hook_ns - was->kernel.hook_ns) * 100 / dt_ns;
	b->probing = false;
	if (cpu > room) {
		struct weir__budget_action *a = &b->logic.action;

		snprintf(a->what, sizeof a->what, "suspended again");
		snprintf(a->why, sizeof a->why, "in %d ms it took %.1f%% of a core and has %.1f%%; "
		         "it is tried again", LOOK_MS, cpu, room > 0 ? room : 0);
		b->actions[WEIR__BUDGET_SUSPEND]++;
		b->acted_ns = now_ns;
		snprintf(b->what, sizeof b->what, "%s", a->what);
		snprintf(b->why, sizeof b->why, "%s", a->why);
		weir__sup_budget_suspend(p);
		return;
	}
	weir__log(WEIR_INFO, p->name, "budget: it runs again: in %d ms it took %.1f%% of a core and has %.1f%%",
	          LOOK_MS, cpu, room);
	if (cpu < QUIET * room && b->logic.tune.weight > 1) {
		b->logic.tune.weight_seen = b->logic.tune.weight;
		b->logic.tune.weight = (b->logic.tune.weight + QUIET_STEPS - 1) / QUIET_STEPS;
		weir__sup_budget_send(p);
	}
	weir__sup_reconcile(p->sup); /* its topics are served: a stand-in may go */
}

static void on_look(uv_timer_t *timer)
{
	struct weir__supervisor *s = timer->data;
	uint64_t now_ns = uv_hrtime();

	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->budget.probing && p->state == WEIR__RUNNING && p->host)
			look(p, now_ns);
}

void weir__sup_budget_probe(struct sup_plugin *p)
{
	struct sup_budget *b = &p->budget;

	if (!b->probing)
		return;
	b->probe_ns = b->mark.at_ns = uv_hrtime();
	b->mark.cpu_ns = weir__host_cpu_ns(p->host);
	if (b->meter)
		weir__meter_read(b->meter, &b->mark.kernel);
	uv_timer_start(&p->sup->budget.look, on_look, LOOK_MS, 0);
}

void weir__sup_budget_settled(struct sup_plugin *p, uint64_t now_ns)
{
	struct sup_budget *b = &p->budget;

	if (b->suspensions && !b->probing && now_ns - b->probe_ns > SETTLED_NS)
		b->suspensions = 0;
	if (!b->probing) /* another start is a fresh one */
		b->start_tune = (struct weir__tune){ .weight = 1, .weight_seen = 1 };
}
