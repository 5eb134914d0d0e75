/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a BPF program and the host of its plugin share: the record header, the
 * knobs, the per-CPU account, and the names of the maps that hold them.
 *
 * Included by both compilers, so: fixed widths, no pointers, no packing. Every
 * size is asserted on both sides; a test compares them with the object's BTF.
 */
#ifndef WEIR_KERNEL_H
#define WEIR_KERNEL_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* ---- the record header ----------------------------------------------- */

/* One event: this header, then the payload that the schema of `kind`
 * describes. A record starts on a multiple of 8 bytes, little-endian. */
struct weir_record {
	__u32 len;     /* bytes, header and padding included; a multiple of 8 */
	__u16 kind;    /* which of the plugin's schemas describes the payload */
	__u16 flags;   /* enum weir_record_flags */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 weight;  /* events this one stands for: 1 / sampling probability */
	__u32 cpu;     /* CPU that made it; 0 where user space did */
};
_Static_assert(sizeof(struct weir_record) == 24, "record header is ABI");

enum weir_record_flags {
	WEIR_RECORD_TRUNCATED = 1, /* a string or list did not fit */
	WEIR_RECORD_APPROX = 2,    /* the source could not know exactly */
};

/* Longest record, header included. Bounds the decoder and the batch size;
 * a PATH_MAX path and change fits. */
#define WEIR_RECORD_MAX 8192

/* ---- knobs: written by the host, read by every program ----------------- */

struct weir_knobs {
	__u32 enabled;          /* 0: every program returns at once */
	__u32 polling;          /* 1: the consumer polls, submit without a wake */
	/* These two are stored and read as one u64: at offset 8, never apart. */
	__u32 sample_threshold; /* keep if random u32 <= this; ~0u keeps all */
	__u32 weight;           /* 2^32 / (sample_threshold + 1), at least 1 */
	__u32 wake_bytes;       /* polling, but this full: force one wake */
	__u32 own_tgid;         /* the daemon, never observed */
	__u32 kinds_off;        /* bit per kind: dropped at the source */
	__u32 cpus;             /* entries in the per-CPU maps */
};
_Static_assert(sizeof(struct weir_knobs) == 32, "knobs are ABI");
_Static_assert(__builtin_offsetof(struct weir_knobs, sample_threshold) == 8, "read as one u64");

/* ---- the per-CPU account ------------------------------------------------ */

/* Bounds: 16 kinds and 32 programs per plugin keep one CPU's account at 2 KiB,
 * so that 256 CPUs cost 512 KiB and a node with two costs a page. */
#define WEIR_MAX_KINDS    16
#define WEIR_MAX_PROGRAMS 32

/* Fate of the events of one kind that ended inside the kernel. Monotonic,
 * never reset; seen = handed over + the sum of the rest. */
struct weir_kind_counts {
	__u64 seen;
	__u64 filtered;     /* a filter, or the kind was switched off */
	__u64 sampled;      /* left out by sampling */
	__u64 rate_limited;
	__u64 ring_full;    /* no room in the ring: the kernel does not count this */
	__u64 too_big;      /* longer than WEIR_RECORD_MAX */
	__u64 map_full;     /* a bounded map had no room for the key */
	__u64 woken_ns;     /* no counter; kind 0 only: when a wake was last forced */
};
_Static_assert(sizeof(struct weir_kind_counts) == 64, "account is ABI");

/* Cost of one program: every run is counted, one in WEIR_METER_EVERY timed. */
struct weir_program_counts {
	__u64 runs;
	__u64 timed_runs;
	__u64 timed_ns;
	__u64 hook; /* no counter; CPU 0 only, written by the host: the kind of hook */
};
_Static_assert(sizeof(struct weir_program_counts) == 32, "account is ABI");
#define WEIR_METER_EVERY 64
/* A timed run counts as this at most: beyond it the program was preempted, or its CPU
 * was not there. Measured at a load of 30 on two CPUs, it made a run of 60 ns 370. */
#define WEIR_METER_MAX_NS 65536

/* Above knobs.wake_bytes a CPU forces a wake at most this often: one costs about
 * 5 us, so 2.5 % of the observed CPU while a consumer cannot keep up, and a ring
 * of 64 KiB at 1 M records/s gains a quarter between two. */
#define WEIR_WAKE_EVERY_NS 200000

struct weir_cpu {
	struct weir_kind_counts kind[WEIR_MAX_KINDS];
	struct weir_program_counts program[WEIR_MAX_PROGRAMS];
};
_Static_assert(sizeof(struct weir_cpu) == 2048, "account is ABI");

/* Names in the object that the host looks for. Kernel object names hold 15
 * characters. All three come from weir_bpf.h; a program never names them. */
#define WEIR_MAP_KNOBS "weir_knobs"   /* ARRAY, mmapable, 1 struct weir_knobs */
#define WEIR_MAP_CPU   "weir_cpu"     /* ARRAY, mmapable, a struct weir_cpu per CPU */
#define WEIR_MAP_RINGS "weir_rings"   /* ARRAY_OF_MAPS, CPU to ring buffer */

#endif
