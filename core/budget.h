/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets: from what plugins use to what is done about it. Pure logic: no clock, no
 * I/O, no allocation; sup_budget.c measures, sends and logs.
 *
 * Once a second, per plugin and in total, use / limit is a pressure:
 *
 *     < 60 %             recover one step, no sooner than 5 s after the last one down,
 *                        and only if what is predicted of it stays below 75 %
 *     >= 80 %            widen batches and timers, then sample in the kernel
 *     >= 95 %            drop the lowest-priority kinds at the source
 *     > 100 %, 3 ticks   detach optional programs by priority, then suspend
 *
 * CPU of the whole over its limit is laid on the collector that causes most of it; of
 * several that cause much, on the one of the lowest priority.
 *
 * Cost is taken as  fixed + variable / weight  per event seen. Both are learned from
 * what was measured at the weights passed on the way, so that a steady flood settles.
 *
 * Invariants: weight is 1..WEIR__WEIGHT_MAX; the highest-priority kind and required
 * programs are never taken away; on_pressure can forbid each action.
 */
#ifndef WEIR_CORE_BUDGET_H
#define WEIR_CORE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/kernel.h>

/* id, name in status, metrics and on_pressure, what it is */
#define WEIR__BUDGET_LEVELS(X)                                                 \
	X(NONE,       "none",       "within its budget")                       \
	X(WIDEN,      "widen",      "larger batches, slower timers")           \
	X(SAMPLE,     "sample",     "one in `weight` events is kept, by the kernel") \
	X(DROP_KINDS, "drop_kinds", "kinds of low priority are left out at the source") \
	X(DETACH,     "detach",     "optional programs are detached")          \
	X(SUSPEND,    "suspend",    "nothing of it runs; tried again later")

enum weir__budget_level {
#define X(id, name, doc) WEIR__BUDGET_##id,
	WEIR__BUDGET_LEVELS(X)
#undef X
	WEIR__BUDGET_LEVEL_COUNT
};
const char *weir__budget_level_name(int level);

#define WEIR__RESOURCES(X)                                                     \
	X(CPU,    "cpu",    " % of a core")                                    \
	X(MEMORY, "memory", " bytes")                                          \
	X(EVENTS, "events", "/s")                                              \
	X(QUEUE,  "queue",  " bytes")

enum weir__resource {
#define X(id, name, unit) WEIR__RESOURCE_##id,
	WEIR__RESOURCES(X)
#undef X
	WEIR__RESOURCE_COUNT
};
const char *weir__resource_name(int resource);

/* One in 1024: at a million events/s still a thousand records a second, a standard
 * error of 0.4 % over a minute; beyond it the programs' own cost is all there is. */
#define WEIR__WEIGHT_MAX 1024

/* What the manager wants of a host. */
struct weir__tune {
	uint32_t weight;       /* sampling 1 / weight */
	uint32_t weight_seen;  /* lower only from this: the host may have raised it since */
	uint32_t kinds_off;    /* bit per kind */
	uint32_t detach_below; /* optional programs of lower priority are detached */
	bool widen;
	bool give_back;        /* once: memory that is free */
};

/* Of one plugin over the last tick. CPU in percent of one core. */
struct weir__budget_use {
	double used[WEIR__RESOURCE_COUNT]; /* CPU: its own and its programs' */
	double kernel_cpu;     /* of used CPU: its programs */
	double shared_cpu;     /* what others do with its records */
	double seen;           /* events/s before sampling */
	double downstream;     /* pressure of the output it feeds most, if that is over */
	double program_cpu[WEIR_MAX_PROGRAMS]; /* of the attached ones */
	uint32_t weight;       /* in force at the end of the tick; 0: does not sample */
	bool steady;           /* the same weight all the tick */
};

struct weir__budget_action {
	enum weir__budget_level level; /* NONE and !recover: nothing was done */
	bool recover;
	char what[160], why[240];      /* what is done; limit, value, what is next */
};

/* What was measured at a weight: ns per event seen, of CPU and of the kernel alone. */
struct weir__budget_point {
	uint32_t weight;
	double ns;
	uint64_t at_ns;
};
#define WEIR__BUDGET_POINTS 11 /* one per power of two up to WEIR__WEIGHT_MAX */

struct weir__budget {
	/* Set by the caller. */
	const char *name;
	bool collector;
	uint32_t priority;
	uint32_t allowed;      /* bit per level */
	double limits[WEIR__RESOURCE_COUNT]; /* 0: none */
	double burst;          /* events above their limit that may pass at once; the host has the same bucket */
	uint32_t kind_count, kind_priority[WEIR_MAX_KINDS];
	uint32_t program_count, program_priority[WEIR_MAX_PROGRAMS];
	uint32_t optional;     /* bit per program */
	struct weir__budget_use use;

	/* The logic's own. */
	struct weir__tune tune;
	double pressure[WEIR__RESOURCE_COUNT];
	double spent;          /* of burst */
	uint64_t measured_ns;
	double max;            /* what counts for it: the total's, too, where it is the cause */
	enum weir__resource by;
	bool by_total;
	uint32_t hot, over;    /* ticks in a row at 80 % and above, above 100 % */
	uint64_t down_ns, up_ns;
	struct weir__budget_point points[WEIR__BUDGET_POINTS];
	double shed_cpu[WEIR_MAX_PROGRAMS]; /* what a program cost when it was detached */

	/* What this tick decided: send `tune` if changed, suspend if the level says so. */
	bool changed;
	struct weir__budget_action action;
};

/* budget.burst, where it is 0: of the limit on events. What comes all at once, a test or a start, is not
 * to be sampled: half of it may go before the kernel samples, and 100 000 questions of DNS at once are
 * 200 000 packets, each an event. */
#define WEIR__BURST_SECONDS 20

struct weir__budget_total {
	double cpu, cpu_limit;        /* percent of a core; the whole of Weir */
	double memory, memory_limit;  /* bytes */
	double stalled;               /* pressure of cgroup and PSI, 0 if none */
	double pressure;              /* out: the largest */
	enum weir__resource by;       /* out */
	const char *cause;            /* out: whom it was laid on, or NULL */
};

/* Before the first tick, and after each start. `weight` it began with. */
void weir__budget_reset(struct weir__budget *b, uint32_t weight);
/* One tick over all that run. */
void weir__budget_tick(struct weir__budget *const *all, size_t count,
                       struct weir__budget_total *total, uint64_t now_ns);
/* A look soon after programs were attached again has shown that they cost too much
 * (`cpu`, percent): back to `below`, and try again when that is half forgotten. */
void weir__budget_shed_again(struct weir__budget *b, uint32_t below, double cpu, uint64_t now_ns);
/* What the plugin may cost so that neither its limit nor the total's passes `share`. */
double weir__budget_room(const struct weir__budget *b, const struct weir__budget_total *t, double share);
/* The most it does to the plugin now. */
enum weir__budget_level weir__budget_level(const struct weir__budget *b);
/* Is everything far below its limits, and nothing to recover? */
bool weir__budget_idle(const struct weir__budget *b);
/* CPU of the plugin with what others do for it, if its weight were `weight`. */
double weir__budget_predict(const struct weir__budget *b, uint32_t weight);

/* threshold and weight as one: the u64 at knobs.sample_threshold. */
static inline uint64_t weir__budget_sampling(uint32_t weight)
{
	uint64_t keep = ((1ull << 32) + weight / 2) / weight; /* of 2^32, rounded */

	return (uint64_t)weight << 32 | (uint32_t)(keep - 1);
}

#endif
