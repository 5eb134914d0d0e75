/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of the budgets: JSON (protocol.h) and metrics. Main thread. */
#include "sup_priv.h"
#include "self_metrics.h"

#include <string.h>

static void put(json_t *o, const char *key, json_t *value)
{
	if (value)
		json_object_set_new(o, key, value);
}

static json_t *row(double used, double limit)
{
	return json_pack("{s:f, s:f, s:f}", "used", used, "limit", limit, "pressure",
	                 limit > 0 ? used / limit : 0.0);
}

static int bits(uint32_t mask)
{
	return __builtin_popcount(mask);
}

static int detached(const struct sup_plugin *p)
{
	int n = 0;

	for (size_t i = 0; i < p->snap.program_count; i++)
		n += p->snap.programs[i].shed;
	return n;
}

static enum weir__budget_level level_of(const struct sup_plugin *p)
{
	return p->state == WEIR__SUSPENDED ? WEIR__BUDGET_SUSPEND : weir__budget_level(&p->budget.logic);
}

json_t *weir__sup_budget_json(const struct sup_plugin *p)
{
	const struct weir__budget *b = &p->budget.logic;
	bool running = p->state == WEIR__RUNNING;
	uint32_t weight = b->tune.weight;
	json_t *o = json_object();

	for (int i = 0; i < WEIR__RESOURCE_COUNT; i++)
		put(o, weir__resource_name(i), row(b->use.used[i], b->limits[i]));
	put(o, "pressure", json_real(b->max));
	put(o, "by", json_string(weir__resource_name((int)b->by)));
	put(o, "weight", json_integer(weight));
	put(o, "sampling", json_real(1.0 / weight));
	put(o, "widened", json_boolean(running && b->tune.widen));
	put(o, "kinds_off", json_integer(bits(b->tune.kinds_off)));
	put(o, "detached", json_integer(running ? detached(p) : 0));
	put(o, "level", json_string(weir__budget_level_name((int)level_of(p))));
	put(o, "priority", json_integer(b->priority));
	if (p->budget.acted_ns)
		put(o, "last_action", json_pack("{s:s, s:s, s:f}", "what", p->budget.what, "why", p->budget.why,
		    "age_s", (double)(uv_hrtime() - p->budget.acted_ns) / 1e9));
	return o;
}

static void put_percent(json_t *o, const char *key, double v)
{
	if (v >= 0) /* absent where the kernel does not say */
		put(o, key, json_real(v));
}

json_t *weir__sup_budget_json_total(const struct weir__supervisor *s, const char *key)
{
	const struct weir__budget_total *t = &s->budget.total;
	const struct weir__pressure *psi = &s->budget.psi;
	json_t *o = json_object();

	if (!strcmp(key, "budget")) {
		put(o, "cpu", row(t->cpu, t->cpu_limit));
		put(o, "memory", row(t->memory, t->memory_limit));
		put(o, "pressure", json_real(t->pressure));
		put(o, "by", json_string(weir__resource_name((int)t->by)));
		if (t->cause)
			put(o, "cause", json_string(t->cause));
		return o;
	}
	put_percent(o, "cpu_some", psi->cpu_some);
	put_percent(o, "memory_some", psi->memory_some);
	put_percent(o, "memory_full", psi->memory_full);
	put_percent(o, "io_full", psi->io_full);
	put_percent(o, "throttled", psi->throttled);
	if (psi->cgroup_limit) {
		put(o, "cgroup_memory", json_integer((json_int_t)psi->cgroup_memory));
		put(o, "cgroup_limit", json_integer((json_int_t)psi->cgroup_limit));
	}
	put(o, "pressure", json_real(psi->stalled));
	return o;
}

#define SET(m, value, ...)                                                     \
	weir__series_set(weir__series(self, WEIR__SELF_##m,                    \
	                 (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }), (double)(value))

static void set_plugin(const struct sup_plugin *p, struct weir__metrics_set *self)
{
	const struct sup_budget *b = &p->budget;

	for (int i = 0; i < WEIR__RESOURCE_COUNT; i++) {
		if (b->logic.limits[i] <= 0)
			continue;
		SET(BUDGET_USED, b->logic.use.used[i], p->name, weir__resource_name(i));
		SET(BUDGET_LIMIT, b->logic.limits[i], p->name, weir__resource_name(i));
	}
	SET(BUDGET_PRESSURE, b->logic.max, p->name);
	for (int l = WEIR__BUDGET_WIDEN; l < WEIR__BUDGET_LEVEL_COUNT; l++)
		SET(BUDGET_ACTIONS, b->actions[l], p->name, weir__budget_level_name(l));
	SET(BUDGET_ACTIONS, b->recoveries, p->name, "recover");
	if (p->state == WEIR__RUNNING && b->meter)
		SET(SAMPLING_WEIGHT, b->logic.tune.weight, p->name);
}

void weir__sup_budget_metrics(struct weir__supervisor *s, struct weir__metrics_set *self)
{
	const struct weir__budget_total *t = &s->budget.total;

	/* The whole of Weir goes by the name of no plugin. */
	SET(BUDGET_USED, t->cpu, "weir", "cpu");
	SET(BUDGET_USED, t->memory, "weir", "memory");
	if (t->cpu_limit > 0)
		SET(BUDGET_LIMIT, t->cpu_limit, "weir", "cpu");
	if (t->memory_limit > 0)
		SET(BUDGET_LIMIT, t->memory_limit, "weir", "memory");
	SET(BUDGET_PRESSURE, t->pressure, "weir");
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (!p->transient && !p->gone && p->desc)
			set_plugin(p, self);
}
