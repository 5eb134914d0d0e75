/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: the ways a collector gets its data, best first. All are equals behind
 * one table row; the host tries them in order.
 *
 * For a source with a BPF object the host loads, attaches, drains, meters and
 * detaches; the plugin brings the bytes and a table of programs. Order of calls:
 *
 *     probe -> prepare -> (host opens, sizes, loads, attaches) -> start
 *           -> record, tick ... -> stop -> (host detaches, drains, frees)
 */
#ifndef WEIR_SOURCE_H
#define WEIR_SOURCE_H

#include "event.h"
#include "table.h"

struct weir_plugin;

/* One logical program: variants are function names in the object, separated by
 * one space, best first; the host takes the first that loads and attaches. */
struct weir_program {
	const char *name;
	const char *variants; /* NULL: just `name` */
	const char *doc;      /* what is missing without it */
	uint32_t flags;       /* enum weir_program_flags */
	uint32_t priority;    /* 0 lowest: first to be detached under pressure */
	uint32_t kinds;       /* bit per kind of record it emits: its missed runs
	                       * are booked on the lowest of them */
	uint32_t reserved;
};

enum weir_program_flags {
	WEIR_PROGRAM_REQUIRED = 1, /* without it the source fails */
	WEIR_PROGRAM_MANUAL = 2,   /* loaded, attached only by bpf_attach() */
};

enum weir_record_verdict {
	WEIR_RECORD_PASS = 0,      /* on to the outputs */
	WEIR_RECORD_AGGREGATED = 1,/* taken up into a counter: booked as aggregated */
	WEIR_RECORD_FILTERED = 2,  /* dropped by a filter: booked as filtered */
};

/* 1.3: one source takes over from another while the plugin runs. In this order:
 *
 *     new: BESIDE, probe, prepare, start     the old one goes on
 *     old: READY   new: READY
 *     ---- the hand-over: programs of the old one are off, those of the new one on
 *     new: BEGIN   old: END, stop
 */
enum weir_turn {
	WEIR_TURN_BESIDE = 1, /* another runs: from start on be ready, count nothing before BEGIN */
	WEIR_TURN_READY = 2,  /* it comes next: what can be brought up to now is */
	WEIR_TURN_BEGIN = 3,  /* count what happens from at_ns on */
	WEIR_TURN_END = 4,    /* count what happened up to at_ns; the last stop() follows */
};

struct weir_source {
	const char *name;         /* "bpf", "procfs", "netlink", "packet", "replay" */
	const char *doc;
	const char *quality;      /* "" exact, or "approx" */
	const void *object;       /* ELF bytes of the BPF object, or NULL */
	const void *object_end;
	struct weir_table programs; /* struct weir_program */

	/* Can this source work here? Required: no.  Thread: host loop.  Blocks:
	 * briefly.  Returns 0, or <0 with a reason through weir_fail(). */
	int (*probe)(struct weir_plugin *p);

	/* Set constants, map sizes and programs before the object is loaded.
	 * Required: no.  Thread: host loop.  Errors: <0 fails the source. */
	int (*prepare)(struct weir_plugin *p);

	/* Begin.  Required: no.  Thread: host loop.  Errors: <0 fails the source,
	 * and stop() is not called. */
	int (*start)(struct weir_plugin *p);

	/* End and wait; idempotent, legal in any state.  Required: no. */
	void (*stop)(struct weir_plugin *p);

	/* One record from the ring, before it goes on. Required: no (all pass).
	 * Thread: host loop.  Blocks: never.  The record may be changed in place,
	 * not its len; nothing may be emitted from here.  Returns enum weir_record_verdict. */
	int (*record)(struct weir_plugin *p, struct weir_record *r);

	/* Every interval_ns. Required: no.  Thread: host loop.  Blocks: 10 ms at
	 * most.  Errors: <0 counts toward the breaker. */
	int (*tick)(struct weir_plugin *p);

	/* Offset of the uint64_t (ns) in the state that holds the interval of
	 * tick(); its value is read at start. Only with tick(). */
	uint32_t interval_offset;
	uint32_t reserved;

	/* 1.3: a step of a hand-over, see there. Required: no; where all sources of a plugin
	 * have it, another list of sources is no new start of the plugin. Thread: host loop.
	 * Blocks: as start() and stop().  at_ns: CLOCK_MONOTONIC, of BEGIN and END; the
	 * programs were exchanged at it or up to unsure_ns before. */
	void (*turn)(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
};

/* The object that the build made of <name>.bpf.c, as designated initialisers:
 *     { .name = "bpf", WEIR_BPF_OBJECT(forkwatch), ... }
 * Declare it once with WEIR_BPF_DECLARE(forkwatch). */
#define WEIR_BPF_DECLARE(n) extern const char weir_bpf_##n[], weir_bpf_##n##_end[]
#define WEIR_BPF_OBJECT(n) .object = weir_bpf_##n, .object_end = weir_bpf_##n##_end

#endif
