/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource manager at work: what the supervisor keeps of it per plugin and in all.
 * Main thread.
 */
#ifndef WEIR_CORE_SUP_BUDGET_H
#define WEIR_CORE_SUP_BUDGET_H

#include "budget.h"
#include "meter.h"
#include "pressure.h"

#include <jansson.h>
#include <uv.h>

struct sup_plugin;
struct weir__supervisor;
struct weir__metrics_set;

/* What a tick's rates are taken from. */
struct sup_budget_mark {
	uint64_t at_ns, cpu_ns, records, records_ns;
	struct weir__meter_sample kernel;
};

struct sup_budget {
	struct weir__budget logic;
	struct weir__meter *meter;     /* NULL: nothing in the kernel */
	struct sup_budget_mark mark;
	uint32_t detach_below;         /* at the last tick */
	uint64_t far_bytes;            /* resident, of its process */
	double events;                 /* records/s, of the last two snapshots */
	/* last action */
	char what[160], why[240];
	uint64_t acted_ns;
	uint64_t actions[WEIR__BUDGET_LEVEL_COUNT], recoveries;
	/* suspension */
	bool suspend;                  /* wanted; then what it is, until a probe */
	bool probing;                  /* runs for a first look only */
	bool trial;                    /* programs were attached again, for a first look */
	uint32_t trial_below;          /* what was detached before */
	struct sup_budget_mark look;   /* when the probe or trial began */
	struct weir__tune start_tune;  /* what the next start begins with */
	uint32_t suspensions;          /* in a row: the next cooldown */
	uint64_t probe_ns;             /* began */
};

struct sup_budget_total {
	uv_timer_t tick, look;
	struct weir__budget_total total;
	struct weir__pressure psi;
	struct weir__pressure_reader reader;
	uint64_t at_ns, cpu_ns, psi_ns, trimmed_ns;
	double process_cpu;            /* of the daemon and the plugins' processes, without programs */
	int statm_fd;
};

void weir__sup_budget_setup(struct weir__supervisor *s);
/* Closes both timers; closed() is called for each. */
void weir__sup_budget_close(struct weir__supervisor *s, uv_close_cb closed);
void weir__sup_budget_plugin(struct sup_plugin *p); /* it was added */
void weir__sup_budget_configure(struct sup_plugin *p); /* its settings are others */
void weir__sup_budget_started(struct sup_plugin *p); /* it runs */
void weir__sup_budget_switched(struct sup_plugin *p); /* ... from another source */
void weir__sup_budget_ended(struct sup_plugin *p);   /* its host goes */
/* After its stop: does it go to SUSPENDED? Then it has, with a timer for the probe. */
bool weir__sup_budget_stopped(struct sup_plugin *p);
/* The end of a plugin that is over its budget. The one way to it. */
void weir__sup_budget_suspend(struct sup_plugin *p);

json_t *weir__sup_budget_json(const struct sup_plugin *p);
void weir__sup_budget_metrics(struct weir__supervisor *s, struct weir__metrics_set *self);

#endif
