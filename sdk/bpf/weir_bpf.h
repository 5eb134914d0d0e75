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
static __always_inline typeof(name(0)) call_##name(unsigned long long *ctx)    \
{                                                                              \
	_Pragma("GCC diagnostic push")                                         \
	_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                 \
	return ____##name(___bpf_ctx_cast(args));                              \
	_Pragma("GCC diagnostic pop")                                          \
}                                                                              \
typeof(name(0)) name(unsigned long long *ctx)                                  \
{                                                                              \
	struct weir_knobs *knobs_ = weir_get_knobs();                          \
	struct weir_cpu *cpu_ = weir_this_cpu();                               \
	if (!knobs_ || !cpu_ || !knobs_->enabled)                              \
		return 0;                                                      \
	struct weir_program_counts *pc_ =                                      \
		&cpu_->program[weir_slot_##name & (WEIR_MAX_PROGRAMS - 1)];    \
	__u64 start_ = ++pc_->runs & (WEIR_METER_EVERY - 1) ? 0 : bpf_ktime_get_ns(); \
	_Pragma("GCC diagnostic push")                                         \
	_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                 \
	typeof(name(0)) ret_ = call_##name(ctx);                               \
	if (start_) {                                                          \
		start_ = bpf_ktime_get_ns() - start_;                          \
		pc_->timed_ns += start_ < WEIR_METER_MAX_NS ? start_ : WEIR_METER_MAX_NS; \
		pc_->timed_runs++;                                             \
	}                                                                      \
	return ret_;                                                           \
}                                                                              \
static __always_inline typeof(name(0))                                         \
____##name(unsigned long long *ctx, ##args)

/* The same for a program whose context is a struct of its own: what a hook of the network
 * gets. `off` is what it returns while it is off: 1 (go on) for cgroup hooks, -1 (TC_ACT_UNSPEC)
 * for tc. These run where an interrupt may run them again on the same CPU, so `runs` may
 * miss one now and then; counters that must be exact are atomic. */
#define WEIR_CTX_PROG(name, type, ctx, off)                                    \
name(type *ctx);                                                               \
const volatile __u32 weir_slot_##name = 0;                                     \
static __always_inline int ____##name(type *ctx);                              \
int name(type *ctx)                                                            \
{                                                                              \
	struct weir_knobs *knobs_ = weir_get_knobs();                          \
	struct weir_cpu *cpu_ = weir_this_cpu();                               \
	if (!knobs_ || !cpu_ || !knobs_->enabled)                              \
		return (off);                                                  \
	struct weir_program_counts *pc_ =                                      \
		&cpu_->program[weir_slot_##name & (WEIR_MAX_PROGRAMS - 1)];    \
	__u64 start_ = ++pc_->runs & (WEIR_METER_EVERY - 1) ? 0 : bpf_ktime_get_ns(); \
	int ret_ = ____##name(ctx);                                            \
	if (start_) {                                                          \
		start_ = bpf_ktime_get_ns() - start_;                          \
		pc_->timed_ns += start_ < WEIR_METER_MAX_NS ? start_ : WEIR_METER_MAX_NS; \
		pc_->timed_runs++;                                             \
	}                                                                      \
	return ret_;                                                           \
}                                                                              \
static __always_inline int ____##name(type *ctx)

#define WEIR_SKB_PROG(name, skb, off) WEIR_CTX_PROG(name, struct __sk_buff, skb, off)
#define WEIR_SOCK_PROG(name, sk) WEIR_CTX_PROG(name, struct bpf_sock, sk, 1)
#define WEIR_SOCK_ADDR_PROG(name, addr) WEIR_CTX_PROG(name, struct bpf_sock_addr, addr, 1)

/* ---- records ------------------------------------------------------------ */

/* Every helper call costs 8-25 ns where returns are mitigated, a map lookup by
 * array index none (it is inlined), an atomic add 5: hence the order below. */

/* A number without pattern from a counter: two rounds of multiply and fold, 2 ns,
 * where bpf_get_prandom_u32() was measured at 25 in a system call's path. */
static __always_inline __u32 weir__mix(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ (x >> 32);
}

/* May a record of `kind` be made? 0: no, and counted why; else its weight. Which
 * events are kept follows from their number on this CPU and from the noise of the
 * meter's clock, so nobody can tell ahead; or from *by, so that events that share it
 * are kept or left out together. Threshold and weight are read as one, so a record
 * never carries the weight of another threshold. */
static __always_inline __u32 weir__admit(struct weir_knobs *knobs, struct weir_cpu *c, __u32 kind,
                                         const __u64 *by)
{
	struct weir_kind_counts *k = &c->kind[kind];
	__u64 seen = __sync_fetch_and_add(&k->seen, 1);
	__u64 sampling = *(volatile __u64 *)&knobs->sample_threshold;

	if (knobs->kinds_off & (1u << kind)) {
		__sync_fetch_and_add(&k->filtered, 1);
		return 0;
	}
	if ((__u32)sampling != ~0u &&
	    weir__mix(by ? *by : seen + c->program[0].timed_ns) > (__u32)sampling) {
		__sync_fetch_and_add(&k->sampled, 1);
		return 0;
	}
	return sampling >> 32;
}

static __always_inline void *weir__reserve(__u32 kind, __u32 size, const __u64 *by)
{
	struct weir_knobs *knobs = weir_get_knobs();
	__u32 cpu = bpf_get_smp_processor_id();
	struct weir_cpu *c = bpf_map_lookup_elem(&weir_cpu, &cpu);
	__u32 len = (sizeof(struct weir_record) + size + 7) & ~7u, weight;
	struct weir_record *r = 0;
	void *ring;

	kind &= WEIR_MAX_KINDS - 1;
	if (!knobs || !c)
		return 0;
	weight = weir__admit(knobs, c, kind, by);
	if (!weight)
		return 0;
	ring = bpf_map_lookup_elem(&weir_rings, &cpu);
	if (ring)
		r = bpf_ringbuf_reserve(ring, len, 0);
	if (!r) {
		/* Count here: user space cannot see a failed reserve. */
		__sync_fetch_and_add(&c->kind[kind].ring_full, 1);
		return 0;
	}
	r->len = len;
	r->kind = kind;
	r->flags = 0;
	r->time_ns = bpf_ktime_get_ns();
	r->weight = weight;
	r->cpu = cpu;
	return r + 1;
}

/* A record of `kind` with `size` payload bytes (a constant), or NULL: then it
 * was counted as filtered, sampled or ring_full, and there is nothing to do.
 * The payload is not zeroed: write all of it. */
static __always_inline void *weir_reserve(__u32 kind, __u32 size)
{
	return weir__reserve(kind, size, 0);
}

/* The same for events that belong together, such as a question and its answer: under
 * sampling those with the same `by` (any number; it is mixed) are all kept, or none. */
static __always_inline void *weir_reserve_by(__u32 kind, __u32 size, __u64 by)
{
	return weir__reserve(kind, size, &by);
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

/* Interrupt when idle, poll when busy: while the consumer polls no wake is made,
 * but about every 64th record (by the low bits of its time: no counter needed)
 * looks whether the ring has passed its mark, and if so forces one, not too often. */
static __always_inline __u64 weir__wake_flags(const struct weir_record *r)
{
	struct weir_knobs *knobs = weir_get_knobs();
	__u32 cpu = r->cpu;
	struct weir_cpu *c;
	void *ring;

	if (!knobs || !knobs->polling)
		return 0;
	if (r->time_ns & 63)
		return BPF_RB_NO_WAKEUP;
	c = bpf_map_lookup_elem(&weir_cpu, &cpu);
	ring = bpf_map_lookup_elem(&weir_rings, &cpu);
	if (!c || !ring || r->time_ns - c->kind[0].woken_ns < WEIR_WAKE_EVERY_NS ||
	    bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < knobs->wake_bytes)
		return BPF_RB_NO_WAKEUP;
	c->kind[0].woken_ns = r->time_ns;
	return BPF_RB_FORCE_WAKEUP;
}

/* Hand a reserved record over. Keep the span from reserve to here short: the
 * consumer stops at the first record that is still busy. */
static __always_inline void weir_submit(void *payload)
{
	struct weir_record *r = payload - sizeof(struct weir_record);

	bpf_ringbuf_submit(r, weir__wake_flags(r));
}

/* Give a reserved record back: the event turned out not to be wanted, and is
 * counted by its reason, as in weir_discard(e, filtered). */
#define weir_discard(payload_, reason_)                                        \
	do {                                                                   \
		struct weir_record *wr_ = (void *)(payload_) - sizeof *wr_;    \
		__u32 wn_ = wr_->cpu, wk_ = wr_->kind & (WEIR_MAX_KINDS - 1);  \
		struct weir_cpu *wc_ = bpf_map_lookup_elem(&weir_cpu, &wn_);   \
		if (wc_)                                                       \
			__sync_fetch_and_add(&wc_->kind[wk_].reason_, 1);      \
		/* A sleeping consumer may stand exactly here: wake it too. */ \
		bpf_ringbuf_discard(wr_, weir__wake_flags(wr_));               \
	} while (0)

/* Is the current task the daemon itself? Not for softirq context. */
static __always_inline int weir_is_own(void)
{
	struct weir_knobs *knobs = weir_get_knobs();

	return knobs && (bpf_get_current_pid_tgid() >> 32) == knobs->own_tgid;
}

#endif
