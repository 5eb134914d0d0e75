/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a BPF program of a Weir plugin includes: types, the metered program
 * wrapper, and weir_reserve()/weir_submit().
 *
 *     SEC("tp_btf/sched_process_exit")
 *     int WEIR_PROG(on_exit, struct task_struct *task)
 *     {
 *         struct weir_forkwatch_exit *e = weir_reserve(FORKWATCH_EXIT, sizeof *e);
 *         if (!e)
 *             return 0;          // sampled out, off, or full: already counted
 *         e->pid = BPF_CORE_READ(task, tgid);
 *         weir_submit(e);
 *         return 0;
 *     }
 *
 * The wrapper counts each run per CPU, times one in WEIR_METER_EVERY, and
 * returns at once while the knobs say `enabled = 0`. The host that loads the
 * object sizes the rings and fills the maps; a program configures nothing.
 *
 * Counters of a program (`runs`) are plain per-CPU adds: the kernel never runs
 * one tracing program twice on a CPU at a time (prog->active, kernel/trace/
 * bpf_trace.c). Counters of a kind are atomic, since several programs, one of
 * them perhaps in an interrupt, may emit the same kind.
 */
#ifndef WEIR_BPF_H
#define WEIR_BPF_H

#include "weir_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <weir/kernel.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The maps behind the wrapper. The host replaces max_entries before load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_knobs);
} weir_knobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_cpu);
} weir_cpu SEC(".maps");

struct weir_ring_def {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct weir_ring_def);
} weir_rings SEC(".maps");

/* This CPU's account, NULL only if the host sized the map too small. */
static __always_inline struct weir_cpu *weir_this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&weir_cpu, &cpu);
}

static __always_inline struct weir_knobs *weir_get_knobs(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_knobs, &zero);
}

/* ---- the metered wrapper ------------------------------------------------ */

/* WEIR_PROG(name, args...): like BPF_PROG, counted and timed. The host writes
 * the program's slot in struct weir_cpu into `weir_slot_<name>` before load. */
#define WEIR_PROG(name, args...)                                               \
name(unsigned long long *ctx);                                                 \
const volatile __u32 weir_slot_##name = 0;                                     \
static __always_inline typeof(name(0))                                         \
____##name(unsigned long long *ctx, ##args);                                   \
typeof(name(0)) name(unsigned long long *ctx)                                  \
{                                                                              \
	struct weir_knobs *knobs_ = weir_get_knobs();                          \
	struct weir_cpu *cpu_ = weir_this_cpu();                               \
	if (!knobs_ || !cpu_ || !knobs_->enabled)                              \
		return 0;                                                      \
	struct weir_program_counts *pc_ =                                      \
		&cpu_->program[weir_slot_##name & (WEIR_MAX_PROGRAMS - 1)];    \
	if (++pc_->runs & (WEIR_METER_EVERY - 1))                              \
		return ____##name(___bpf_ctx_cast(args));                      \
	__u64 start_ = bpf_ktime_get_ns();                                     \
	typeof(name(0)) ret_ = ____##name(___bpf_ctx_cast(args));              \
	pc_->timed_ns += bpf_ktime_get_ns() - start_;                          \
	pc_->timed_runs++;                                                     \
	return ret_;                                                           \
}                                                                              \
static __always_inline typeof(name(0))                                         \
____##name(unsigned long long *ctx, ##args)

/* ---- records ------------------------------------------------------------ */

/* A record of `kind` with `size` payload bytes (a constant), or NULL: then it
 * was counted as filtered, sampled or ring_full, and there is nothing to do. */
static __always_inline void *weir_reserve(__u32 kind, __u32 size)
{
	struct weir_knobs *knobs = weir_get_knobs();
	struct weir_cpu *c = weir_this_cpu();
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 len = (sizeof(struct weir_record) + size + 7) & ~7u;

	if (!knobs || !c)
		return 0;
	kind &= WEIR_MAX_KINDS - 1;
	__sync_fetch_and_add(&c->kind[kind].seen, 1);
	if (knobs->kinds_off & (1u << kind)) {
		__sync_fetch_and_add(&c->kind[kind].filtered, 1);
		return 0;
	}
	if (knobs->sample_threshold != ~0u &&
	    bpf_get_prandom_u32() > knobs->sample_threshold) {
		__sync_fetch_and_add(&c->kind[kind].sampled, 1);
		return 0;
	}

	void *ring = bpf_map_lookup_elem(&weir_rings, &cpu);
	struct weir_record *r = ring ? bpf_ringbuf_reserve(ring, len, 0) : 0;

	if (!r) {
		/* Count here: user space cannot see a failed reserve. */
		__sync_fetch_and_add(&c->kind[kind].ring_full, 1);
		return 0;
	}
	r->len = len;
	r->kind = kind;
	r->flags = 0;
	r->time_ns = bpf_ktime_get_ns();
	r->weight = knobs->weight;
	r->cpu = cpu;
	return r + 1;
}

/* Count one event of `kind` that ended before weir_reserve(). */
#define weir_count(kind_, reason_)                                             \
	do {                                                                   \
		struct weir_cpu *wc_ = weir_this_cpu();                        \
		if (wc_) {                                                     \
			__u32 wk_ = (kind_) & (WEIR_MAX_KINDS - 1);            \
			__sync_fetch_and_add(&wc_->kind[wk_].seen, 1);         \
			__sync_fetch_and_add(&wc_->kind[wk_].reason_, 1);      \
		}                                                              \
	} while (0)

/* Interrupt when idle, poll when busy: while the consumer polls no wake is
 * made, but every 64th record looks whether the ring has passed its mark. */
static __always_inline __u64 weir_wake_flags(struct weir_knobs *knobs, __u32 kind)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct weir_cpu *c = weir_this_cpu();
	void *ring;

	if (!knobs || !c || !knobs->polling)
		return 0;
	if (c->kind[kind & (WEIR_MAX_KINDS - 1)].seen & 63)
		return BPF_RB_NO_WAKEUP;
	ring = bpf_map_lookup_elem(&weir_rings, &cpu);
	if (ring && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= knobs->wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Hand a reserved record over. Keep the span from reserve to here short: the
 * consumer stops at the first record that is still busy. */
static __always_inline void weir_submit(void *payload)
{
	struct weir_record *r = payload - sizeof(struct weir_record);

	bpf_ringbuf_submit(r, weir_wake_flags(weir_get_knobs(), r->kind));
}

/* Is the current task the daemon itself? Not for softirq context. */
static __always_inline int weir_is_own(void)
{
	struct weir_knobs *knobs = weir_get_knobs();

	return knobs && (bpf_get_current_pid_tgid() >> 32) == knobs->own_tgid;
}

#endif
