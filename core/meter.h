/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meter: what BPF programs cost, from what they count themselves.
 *
 * The SDK's wrapper counts each run and times one in WEIR_METER_EVERY. What the
 * timed section does not contain (the call, the wrapper, the clock it is timed
 * with) is calibrated once per process with programs of our own:
 *
 *     cost of a run = (mean of the timed ones - clock_ns) + outside_ns
 *     beside it       hook_ns, for what the hook costs before and after a program
 *
 * Where the kernel does not let us calibrate, constants stand in; nothing is said
 * and nothing fails. Any thread.
 */
#ifndef WEIR_CORE_METER_H
#define WEIR_CORE_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/kernel.h>
#include <weir/source.h>

struct weir__meter_cal {
	double clock_ns;   /* what the timing itself adds to a timed run */
	double outside_ns; /* of each run, outside the timed section */
	double hook_ns;    /* of each run, outside the program: a tracepoint's */
	double stats_ns;   /* what BPF_ENABLE_STATS, while on, adds by its own clock */
	bool measured;     /* false: the constants */
};

/* Kinds of hook in weir_program_counts.hook; what they cost is in meter.c. */
enum weir__meter_hook { WEIR__HOOK_TRACE, WEIR__HOOK_TC, WEIR__HOOK_PACKET, WEIR__HOOK_SOCKET, WEIR__HOOKS };

/* Measured by the first caller, some 3 ms; the others wait for it. */
const struct weir__meter_cal *weir__meter_cal(void);
/* ns of all runs of a program; 0 as long as none was timed. */
double weir__meter_run_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c);
/* What a program's hook costs beside its runs; 0 as long as none was timed. */
double weir__meter_hook_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c);
/* The same as BPF_ENABLE_STATS would count it: its own clock is in it. */
double weir__meter_stats_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c);
/* Does somebody on this node have BPF_ENABLE_STATS on now? Then each run of ours
 * costs stats_ns more. Two system calls. */
bool weir__meter_stats_on(void);

/* A reader's own mapping of a plugin's account and knobs: reading wakes nobody. */
struct weir__meter;

struct weir__meter_sample {
	uint64_t seen;      /* all kinds, since the object was loaded */
	uint64_t runs;      /* all programs */
	double run_ns, hook_ns;
	uint32_t weight, kinds_off;
	double program_ns[WEIR_MAX_PROGRAMS]; /* run and hook, by row */
};

/* The descriptors stay the caller's. 0 or -errno. */
int weir__meter_open(int cpu_fd, int knobs_fd, uint32_t cpus, struct weir__meter **ret);
void weir__meter_read(const struct weir__meter *m, struct weir__meter_sample *ret);
/* Let the programs run, or make them return at once: the knob is written from here. */
void weir__meter_enable(const struct weir__meter *m, bool on);
void weir__meter_close(struct weir__meter *m); /* NULL is fine */

/* One program's counts, of all CPUs. */
void weir__meter_sum(const struct weir_cpu *account, uint32_t cpus, size_t program,
                     struct weir_program_counts *ret);

#endif
