/* SPDX-License-Identifier: Apache-2.0 */
/* The resource manager's decisions. See budget.h. */
#include "budget.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECOVER_BELOW 0.60
#define SAMPLE_FROM   0.80
#define DROP_FROM     0.95
#define OVER_TICKS    3
#define STEP_NS       5000000000ull
/* A step down aims here: between recovery and the next step. */
#define AIM           0.70
/* A step up must stay below this by what is predicted. */
#define UP_TO         0.75
/* Sampling that would free less than this share of the limit is not worth the events. */
#define WORTH         0.03
/* Of a program's cost that sampling saves, while nothing has been learned: a reserve and
 * a submit are half of a small program. */
#define KERNEL_VARIABLE 0.5
/* An event that is kept costs less than this, all told, a wake included: with few events
 * nearly all of the cost is not theirs, and sampling would save nothing. */
#define EVENT_MAX_NS 10000.0
/* Fewer events a second are not worth leaving out kinds for. */
#define FEW_EVENTS   100.0
/* What was learned of another load says little of this one. */
#define POINT_AGE_NS  120000000000ull
/* What a detached program cost is forgotten by half in this time: the load may be over,
 * and nobody sees it without the program. */
#define SHED_HALF_NS  10000000000ull

#define CPU WEIR__RESOURCE_CPU

const char *weir__budget_level_name(int level)
{
	static const char *const names[] = {
#define X(id, name, doc) name,
		WEIR__BUDGET_LEVELS(X)
#undef X
	};

	return level >= 0 && level < WEIR__BUDGET_LEVEL_COUNT ? names[level] : "?";
}

static const struct {
	const char *name, *unit;
} resources[] = {
#define X(id, name, unit) { name, unit },
	WEIR__RESOURCES(X)
#undef X
};

const char *weir__resource_name(int resource)
{
	return resource >= 0 && resource < WEIR__RESOURCE_COUNT ? resources[resource].name : "?";
}

void weir__budget_reset(struct weir__budget *b, uint32_t weight)
{
	b->tune = (struct weir__tune){ .weight = weight, .weight_seen = weight };
	memset(b->pressure, 0, sizeof b->pressure);
	memset(b->points, 0, sizeof b->points);
	memset(b->shed_cpu, 0, sizeof b->shed_cpu);
	memset(&b->use, 0, sizeof b->use);
	memset(&b->action, 0, sizeof b->action);
	b->max = 0;
	b->by_total = b->changed = false;
	b->hot = b->over = 0;
	b->down_ns = b->up_ns = 0;
}

enum weir__budget_level weir__budget_level(const struct weir__budget *b)
{
	return b->tune.detach_below ? WEIR__BUDGET_DETACH
		: b->tune.kinds_off ? WEIR__BUDGET_DROP_KINDS
		: b->tune.weight > 1 ? WEIR__BUDGET_SAMPLE
		: b->tune.widen ? WEIR__BUDGET_WIDEN : WEIR__BUDGET_NONE;
}

bool weir__budget_idle(const struct weir__budget *b)
{
	return b->max < RECOVER_BELOW - 0.1 && weir__budget_level(b) == WEIR__BUDGET_NONE;
}

static bool may(const struct weir__budget *b, enum weir__budget_level level)
{
	return b->allowed & (1u << level);
}

/* ---- cost ------------------------------------------------------------------------ */

static double cost(const struct weir__budget *b)
{
	return b->use.used[CPU] + b->use.shared_cpu;
}

static int bin_of(uint32_t weight)
{
	int bin = 31 - __builtin_clz(weight ? weight : 1);

	return bin < WEIR__BUDGET_POINTS ? bin : WEIR__BUDGET_POINTS - 1;
}

/* Events enough that their cost stands out of everything else. */
#define LEARN_SEEN 5000.0

static void learn(struct weir__budget *b, uint64_t now_ns)
{
	if (b->use.steady && b->use.weight && b->use.seen > LEARN_SEEN)
		b->points[bin_of(b->use.weight)] = (struct weir__budget_point){
			.weight = b->use.weight, .ns = cost(b) * 1e7 / b->use.seen, .at_ns = now_ns };
	for (int i = 0; i < WEIR__BUDGET_POINTS; i++)
		if (now_ns - b->points[i].at_ns > POINT_AGE_NS)
			b->points[i].weight = 0;
}

/* The part of the cost that falls with the weight, at the weight in force. */
static double variable(const struct weir__budget *b)
{
	const struct weir__budget_use *u = &b->use;
	double all = cost(b), here = u->weight ? 1.0 / u->weight : 1, found = -1, apart = 0;
	double most = u->seen * here * EVENT_MAX_NS / 1e7;

	if (!u->weight || u->seen < 1)
		return 0;
	/* From the learned point that is farthest away, and twice as far at least. */
	for (int i = 0; i < WEIR__BUDGET_POINTS && u->seen > LEARN_SEEN; i++) {
		const struct weir__budget_point *p = &b->points[i];
		double ratio = p->weight ? fabs(log2((double)p->weight / u->weight)) : 0;

		if (ratio < 0.9 || ratio <= apart)
			continue;
		apart = ratio;
		found = (p->ns - all * 1e7 / u->seen) / (1.0 / p->weight - here) * here * u->seen / 1e7;
	}
	if (found < 0)
		found = all - u->kernel_cpu * (u->weight > 1 ? 1 - KERNEL_VARIABLE / u->weight
		                               : KERNEL_VARIABLE);
	most = most < all ? most : all;
	return found < 0 ? 0 : found > most ? most : found;
}

double weir__budget_predict(const struct weir__budget *b, uint32_t weight)
{
	double v = variable(b);

	return b->use.weight ? cost(b) + v * ((double)b->use.weight / weight - 1) : cost(b);
}

/* ---- pressure --------------------------------------------------------------------- */

/* Events above the limit are no pressure while the host has half of the bucket left, as it sees it. */
static double event_pressure(struct weir__budget *b, uint64_t now_ns)
{
	double limit = b->limits[WEIR__RESOURCE_EVENTS], used = b->use.used[WEIR__RESOURCE_EVENTS];
	double dt = b->measured_ns ? (double)(now_ns - b->measured_ns) / 1e9 : 0;

	b->measured_ns = now_ns;
	b->spent += (used - limit) * dt;
	b->spent = b->spent < 0 ? 0 : b->spent > b->burst ? b->burst : b->spent;
	return b->spent < b->burst / 2 && used > RECOVER_BELOW * limit ? RECOVER_BELOW : used / limit;
}

static void measure(struct weir__budget *b, uint64_t now_ns)
{
	b->max = 0;
	b->by = CPU;
	b->by_total = false;
	for (int i = 0; i < WEIR__RESOURCE_COUNT; i++) {
		b->pressure[i] = b->limits[i] <= 0 ? 0 : i == WEIR__RESOURCE_EVENTS ? event_pressure(b, now_ns)
			: b->use.used[i] / b->limits[i];
		if (b->pressure[i] > b->max) {
			b->max = b->pressure[i];
			b->by = (enum weir__resource)i;
		}
	}
	if (b->use.downstream > b->max && b->use.downstream >= SAMPLE_FROM)
		b->max = b->use.downstream;
}

static void measure_total(struct weir__budget_total *t)
{
	double cpu = t->cpu_limit > 0 ? t->cpu / t->cpu_limit : 0;
	double memory = t->memory_limit > 0 ? t->memory / t->memory_limit : 0;

	t->by = memory > cpu ? WEIR__RESOURCE_MEMORY : CPU;
	t->pressure = memory > cpu ? memory : cpu;
	if (t->stalled > t->pressure)
		t->pressure = t->stalled;
	t->cause = NULL;
}

static double blame_for(const struct weir__budget *b, enum weir__resource r)
{
	return r == CPU ? cost(b) : b->use.used[r];
}

/* Is there anything left to do to it? */
static bool can_act(const struct weir__budget *b)
{
	return b->collector && (may(b, WEIR__BUDGET_SUSPEND) || may(b, WEIR__BUDGET_DETACH) ||
	                        may(b, WEIR__BUDGET_SAMPLE) || may(b, WEIR__BUDGET_WIDEN));
}

/* On whom the total is laid: of those that cause at least half of what the largest
 * does, the one of the lowest priority. */
static struct weir__budget *find_cause(struct weir__budget *const *all, size_t count,
                                       enum weir__resource r)
{
	struct weir__budget *worst = NULL;
	double largest = 0;

	for (size_t i = 0; i < count; i++)
		if (can_act(all[i]) && blame_for(all[i], r) > largest)
			largest = blame_for(all[i], r);
	for (size_t i = 0; i < count; i++) {
		struct weir__budget *b = all[i];
		double mine = blame_for(b, r);

		if (!can_act(b) || mine <= 0 || mine < largest / 2)
			continue;
		if (!worst || b->priority < worst->priority ||
		    (b->priority == worst->priority && mine > blame_for(worst, r)))
			worst = b;
	}
	return worst;
}

/* ---- down ------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5)))
static void act(struct weir__budget *b, enum weir__budget_level level, bool recover, const char *fmt, ...)
{
	size_t n = strlen(b->action.what);
	va_list ap;

	if (n && n + 2 < sizeof b->action.what) {
		memcpy(b->action.what + n, ", ", 3);
		n += 2;
	}
	va_start(ap, fmt);
	vsnprintf(b->action.what + n, sizeof b->action.what - n, fmt, ap);
	va_end(ap);
	if (level > b->action.level)
		b->action.level = level;
	b->action.recover = recover;
	b->changed = true;
}

double weir__budget_room(const struct weir__budget *b, const struct weir__budget_total *t, double share)
{
	double room = 1e12;

	if (b->limits[CPU] > 0)
		room = share * b->limits[CPU] + b->use.shared_cpu;
	if (t->cpu_limit > 0 && share * t->cpu_limit - (t->cpu - cost(b)) < room)
		room = share * t->cpu_limit - (t->cpu - cost(b));
	return room;
}

/* The weight at which all is at AIM; not above what still helps. */
static double wanted_weight(const struct weir__budget *b, const struct weir__budget_total *t)
{
	double w = b->use.weight, v = variable(b), fixed = cost(b) - v, want = w;
	double limit = b->limits[CPU] > 0 ? b->limits[CPU] : t->cpu_limit;
	bool cpu = b->pressure[CPU] >= SAMPLE_FROM || (b->by_total && t->by == CPU);

	if (cpu && v > 0) {
		double room = weir__budget_room(b, t, AIM) - fixed;
		double most = limit > 0 ? w * v / (WORTH * limit) : w;

		want = room > 0 ? w * v / room : most;
		want = want > most ? most : want;
	}
	for (int i = WEIR__RESOURCE_EVENTS; i < WEIR__RESOURCE_COUNT; i++)
		if (b->pressure[i] >= SAMPLE_FROM && w * b->pressure[i] / AIM > want)
			want = w * b->pressure[i] / AIM;
	if (b->use.downstream >= SAMPLE_FROM && w * b->use.downstream / AIM > want)
		want = w * b->use.downstream / AIM;
	return want;
}

static bool sample_more(struct weir__budget *b, const struct weir__budget_total *t)
{
	uint32_t w = b->use.weight;
	double want = w ? wanted_weight(b, t) : 0;

	if (!may(b, WEIR__BUDGET_SAMPLE) || !w || w >= WEIR__WEIGHT_MAX || want < w * 1.05)
		return false;
	want = want < 2.0 * w ? 2.0 * w : ceil(want); /* a halving at least */
	b->tune.weight = want > WEIR__WEIGHT_MAX ? WEIR__WEIGHT_MAX : (uint32_t)want;
	act(b, WEIR__BUDGET_SAMPLE, false, "sampling 1 in %u in the kernel (was %u)",
	         b->tune.weight, w);
	return true;
}

/* The lowest priority among the kinds that are on, if a higher one remains. */
static bool drop_kinds(struct weir__budget *b)
{
	uint32_t lowest = ~0u, highest = 0, off = 0;

	if (!may(b, WEIR__BUDGET_DROP_KINDS) ||
	    (b->use.seen < FEW_EVENTS && b->use.used[WEIR__RESOURCE_EVENTS] < FEW_EVENTS))
		return false;
	for (uint32_t k = 0; k < b->kind_count; k++) {
		if (b->tune.kinds_off & (1u << k))
			continue;
		lowest = b->kind_priority[k] < lowest ? b->kind_priority[k] : lowest;
		highest = b->kind_priority[k] > highest ? b->kind_priority[k] : highest;
	}
	if (lowest >= highest)
		return false;
	for (uint32_t k = 0; k < b->kind_count; k++)
		if (b->kind_priority[k] == lowest)
			off |= 1u << k;
	b->tune.kinds_off |= off;
	act(b, WEIR__BUDGET_DROP_KINDS, false, "kinds of priority %u are left out", lowest);
	return true;
}

/* Detach from the lowest priority up until it fits. False: it would not even then. */
static bool detach_programs(struct weir__budget *b, const struct weir__budget_total *t)
{
	double room = weir__budget_room(b, t, SAMPLE_FROM), left = cost(b);
	uint32_t below = 0;

	if (!may(b, WEIR__BUDGET_DETACH) || b->by == WEIR__RESOURCE_MEMORY)
		return false;
	while (left > room) {
		uint32_t next = ~0u;

		for (uint32_t i = 0; i < b->program_count; i++)
			if ((b->optional & (1u << i)) && b->program_priority[i] >= below &&
			    b->program_priority[i] < next)
				next = b->program_priority[i];
		if (next == ~0u)
			return false;
		for (uint32_t i = 0; i < b->program_count; i++)
			if ((b->optional & (1u << i)) && b->program_priority[i] == next)
				left -= b->use.program_cpu[i];
		below = next + 1;
	}
	if (below <= b->tune.detach_below)
		return false;
	for (uint32_t i = 0; i < b->program_count; i++)
		if ((b->optional & (1u << i)) && b->program_priority[i] < below &&
		    b->program_priority[i] >= b->tune.detach_below)
			b->shed_cpu[i] = b->use.program_cpu[i];
	b->tune.detach_below = below;
	act(b, WEIR__BUDGET_DETACH, false, "optional programs of priority below %u are detached", below);
	return true;
}

static bool suspend(struct weir__budget *b)
{
	if (!may(b, WEIR__BUDGET_SUSPEND))
		return false;
	act(b, WEIR__BUDGET_SUSPEND, false, "it is suspended");
	return true;
}

static bool widen(struct weir__budget *b)
{
	if (b->tune.widen || !may(b, WEIR__BUDGET_WIDEN))
		return false;
	b->tune.widen = true;
	act(b, WEIR__BUDGET_WIDEN, false, "larger batches and slower timers");
	return true;
}

static void step_down(struct weir__budget *b, const struct weir__budget_total *t)
{
	bool mild = widen(b), sampled;

	if (mild && b->max < DROP_FROM)
		return;
	sampled = sample_more(b, t);
	/* Kinds go when sampling has had its turn, or cannot do it. */
	if (b->max >= DROP_FROM && (!sampled || b->hot > 1))
		drop_kinds(b);
	if (b->over >= OVER_TICKS && !detach_programs(b, t))
		suspend(b);
}

/* ---- up --------------------------------------------------------------------------- */

/* Would everything be below UP_TO at this weight? */
static bool fits(const struct weir__budget *b, const struct weir__budget_total *t, uint32_t weight)
{
	double more = weir__budget_predict(b, weight) - cost(b), ratio = (double)b->use.weight / weight;

	if (b->limits[CPU] > 0 && (b->use.used[CPU] + more) > UP_TO * b->limits[CPU])
		return false;
	if (t->cpu_limit > 0 && t->cpu + more > UP_TO * t->cpu_limit)
		return false;
	for (int i = WEIR__RESOURCE_EVENTS; i < WEIR__RESOURCE_COUNT; i++)
		if (b->pressure[i] * ratio > UP_TO)
			return false;
	return b->use.downstream * ratio <= UP_TO;
}

static bool sample_less(struct weir__budget *b, const struct weir__budget_total *t)
{
	uint32_t w = b->use.weight, to;

	if (w < 2)
		return false;
	for (to = (w + 1) / 2; to < w && !fits(b, t, to); to++)
		;
	if (to > w - w / 10 || to == w)
		return false; /* so little is not worth a step */
	b->tune.weight = to;
	if (to == 1)
		act(b, WEIR__BUDGET_SAMPLE, true, "every event is kept again (was 1 in %u)", w);
	else
		act(b, WEIR__BUDGET_SAMPLE, true, "sampling 1 in %u (was %u)", to, w);
	return true;
}

static bool attach_again(struct weir__budget *b, const struct weir__budget_total *t)
{
	uint32_t top = 0;
	double more = 0;

	for (uint32_t i = 0; i < b->program_count; i++)
		if ((b->optional & (1u << i)) && b->program_priority[i] < b->tune.detach_below &&
		    b->program_priority[i] > top)
			top = b->program_priority[i];
	for (uint32_t i = 0; i < b->program_count; i++)
		if ((b->optional & (1u << i)) && b->program_priority[i] == top)
			more += b->shed_cpu[i];
	if ((b->limits[CPU] > 0 && b->use.used[CPU] + more > UP_TO * b->limits[CPU]) ||
	    (t->cpu_limit > 0 && t->cpu + more > UP_TO * t->cpu_limit))
		return false;
	b->tune.detach_below = top; /* 0: nothing is detached */
	act(b, WEIR__BUDGET_DETACH, true, "programs of priority %u are attached again", top);
	return true;
}

static void kinds_again(struct weir__budget *b)
{
	uint32_t top = 0, on = 0;

	for (uint32_t k = 0; k < b->kind_count; k++)
		if ((b->tune.kinds_off & (1u << k)) && b->kind_priority[k] >= top)
			top = b->kind_priority[k];
	for (uint32_t k = 0; k < b->kind_count; k++)
		if (b->kind_priority[k] == top)
			on |= 1u << k;
	b->tune.kinds_off &= ~on;
	act(b, WEIR__BUDGET_DROP_KINDS, true, "kinds of priority %u are back", top);
}

static void step_up(struct weir__budget *b, const struct weir__budget_total *t)
{
	if (b->tune.detach_below && attach_again(b, t))
		; /* and the weight, too: each halves what it takes to be whole again */
	else if (b->tune.kinds_off && !b->tune.detach_below)
		kinds_again(b);
	else if (b->tune.widen && b->use.weight <= 1 && !b->tune.kinds_off && !b->tune.detach_below) {
		b->tune.widen = false;
		act(b, WEIR__BUDGET_WIDEN, true, "batches and timers as configured");
	}
	sample_less(b, t);
}

/* ---- the tick --------------------------------------------------------------------- */

/* In the host's own words: it acted on the rate it saw, not on a tick's. */
static void say_at_once(struct weir__budget *b)
{
	snprintf(b->action.why, sizeof b->action.why,
	         "%.0f events/s seen, %.6g/s may pass on (%s); weights keep counts unbiased; "
	         "it recovers below 60 %%", b->use.seen, b->limits[WEIR__RESOURCE_EVENTS], b->name);
}

static void say_why(struct weir__budget *b, const struct weir__budget_total *t)
{
	static const char *const next[] = {
		[WEIR__BUDGET_NONE] = "",
		[WEIR__BUDGET_WIDEN] = "if that is not enough, it is sampled",
		[WEIR__BUDGET_SAMPLE] = "weights keep counts unbiased; it recovers below 60 %",
		[WEIR__BUDGET_DROP_KINDS] = "they are back below 60 %; above 100 % programs are detached",
		[WEIR__BUDGET_DETACH] = "if that is not enough, it is suspended",
		[WEIR__BUDGET_SUSPEND] = "nothing of it runs",
	};
	bool all = b->by_total || b->limits[b->by] <= 0;
	/* Nothing presses when it recovers: then CPU is what a reader looks for. */
	enum weir__resource r = !all ? b->by : b->action.recover ? CPU : t->by;
	double used = all ? (r == CPU ? t->cpu : t->memory) : b->use.used[r];
	double limit = all ? (r == CPU ? t->cpu_limit : t->memory_limit) : b->limits[r];
	size_t n = sizeof b->action.why;

	if (b->use.downstream == b->max && b->max >= SAMPLE_FROM)
		snprintf(b->action.why, n, "an output is at %.0f %% of its budget with its records; %s",
		         b->max * 100, next[b->action.level]);
	else if (all && t->stalled == t->pressure && t->stalled > 0)
		snprintf(b->action.why, n, "the machine or the cgroup is at %.0f %% of what it can bear; %s",
		         t->stalled * 100, next[b->action.level]);
	else
		snprintf(b->action.why, n, r == CPU ? "%s %.1f of %.1f%s (%s); %s" : "%s %.0f of %.0f%s (%s); %s",
		         resources[r].name, used, limit, resources[r].unit, all ? "all of Weir" : b->name,
		         b->action.recover ? "recovering" : next[b->action.level]);
}

/* The host has raised the weight by itself: more events than its limit. */
static void take_over(struct weir__budget *b, uint64_t now_ns)
{
	if (!b->use.weight || b->use.weight == b->tune.weight)
		return;
	if (b->use.weight > b->tune.weight) {
		b->down_ns = now_ns;
		snprintf(b->action.what, sizeof b->action.what,
		         "sampling 1 in %u in the kernel (was %u), at once", b->use.weight, b->tune.weight);
		b->action.level = WEIR__BUDGET_SAMPLE;
		say_at_once(b);
	}
	b->tune.weight = b->use.weight;
}

static void tick_one(struct weir__budget *b, const struct weir__budget_total *t, uint64_t now_ns)
{
	bool calm = b->max < RECOVER_BELOW && t->pressure < RECOVER_BELOW;

	b->hot = b->max >= SAMPLE_FROM ? b->hot + 1 : 0;
	b->over = b->max > 1 ? b->over + 1 : 0;
	b->tune.weight_seen = b->use.weight ? b->use.weight : b->tune.weight;
	take_over(b, now_ns);
	if (b->max >= SAMPLE_FROM && b->collector)
		step_down(b, t);
	else if (b->max > 1 && b->over > 2 * OVER_TICKS)
		suspend(b); /* an output: those that feed it had their turn */
	else if (calm && b->collector && now_ns - b->down_ns >= STEP_NS && now_ns - b->up_ns >= STEP_NS)
		step_up(b, t);
	if (b->changed && !b->action.recover)
		b->down_ns = now_ns;
	if (b->changed && b->action.recover)
		b->up_ns = now_ns;
	if (b->changed)
		say_why(b, t);
}

void weir__budget_shed_again(struct weir__budget *b, uint32_t below, double cpu, uint64_t now_ns)
{
	double known = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->program_count; i++)
		if ((b->optional & (1u << i)) && b->program_priority[i] < below &&
		    b->program_priority[i] >= b->tune.detach_below) {
			known += b->shed_cpu[i];
			n++;
		}
	/* Together they cost it; each its share of what was known, or an equal one. */
	for (uint32_t i = 0; i < b->program_count && n; i++)
		if ((b->optional & (1u << i)) && b->program_priority[i] < below &&
		    b->program_priority[i] >= b->tune.detach_below)
			b->shed_cpu[i] = known > 0 ? b->shed_cpu[i] / known * cpu : cpu / n;
	b->tune.detach_below = below;
	b->down_ns = now_ns;
}

void weir__budget_tick(struct weir__budget *const *all, size_t count,
                       struct weir__budget_total *total, uint64_t now_ns)
{
	struct weir__budget *cause;

	measure_total(total);
	for (size_t i = 0; i < count; i++) {
		struct weir__budget *b = all[i];

		b->changed = false;
		memset(&b->action, 0, sizeof b->action);
		measure(b, now_ns);
		learn(b, now_ns);
		for (uint32_t p = 0; p < b->program_count; p++)
			b->shed_cpu[p] *= exp2(-1e9 / (double)SHED_HALF_NS);
	}
	cause = total->pressure >= SAMPLE_FROM ? find_cause(all, count, total->by) : NULL;
	if (cause) {
		total->cause = cause->name;
		if (total->pressure > cause->max) {
			cause->max = total->pressure;
			cause->by_total = true;
		}
	}
	for (size_t i = 0; i < count; i++)
		tick_one(all[i], total, now_ns);
}
