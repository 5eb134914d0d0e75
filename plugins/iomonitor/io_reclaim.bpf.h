/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: reclaim. Pages scanned and freed by whom, and how long
 * tasks had to do it themselves: direct (the node is short) or memcg (their cgroup
 * is). Mostly kswapd's work, so never filtered by task.
 */
#ifndef IO_RECLAIM_BPF_H
#define IO_RECLAIM_BPF_H

#include "io_task.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_IO_MAX_STALLS);
	__type(key, u32);   /* thread */
	__type(value, struct weir_io_stall);
} io_stalls SEC(".maps");

/* Process to when it last had to reclaim. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_IO_MAX_STALLS);
	__type(key, u32);
	__type(value, u64);
} io_reclaimers SEC(".maps");

static __always_inline int io_stall_begin(u32 by)
{
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	u32 tid = id, tgid = id >> 32;
	struct weir_io_stall s = { .start_ns = now, .by = by };
	struct weir_io_cpu *c = io_this_cpu();

	bpf_map_update_elem(&io_stalls, &tid, &s, BPF_ANY);
	if (bpf_map_update_elem(&io_reclaimers, &tgid, &now, BPF_ANY) && c)
		__sync_fetch_and_add(&c->stall_overflow[by == WEIR_IO_BY_MEMCG], 1);
	return 0;
}

static __always_inline int io_stall_end(u32 by, u64 reclaimed)
{
	u64 id = bpf_get_current_pid_tgid(), ns;
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_reclaim_stall *e;
	struct weir_io_stall *s;
	u32 tid = id, which = by == WEIR_IO_BY_MEMCG;

	s = bpf_map_lookup_elem(&io_stalls, &tid);
	if (!s || !c)
		return 0;
	ns = bpf_ktime_get_ns() - s->start_ns;
	bpf_map_delete_elem(&io_stalls, &tid);
	c->stalls[which]++;
	c->stall_ns[which] += ns;
	e = weir_reserve(WEIR_IO_RECLAIM_STALL, sizeof *e);
	if (!e)
		return 0;
	e->pid = id >> 32;
	e->tid = tid;
	e->stall_ns = ns;
	e->reclaimed_pages = reclaimed;
	e->by = by;
	e->reserved = 0;
	bpf_get_current_comm(e->comm, sizeof e->comm);
	weir_submit(e);
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int WEIR_PROG(io_direct_begin)
{
	return io_stall_begin(WEIR_IO_BY_DIRECT);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int WEIR_PROG(io_direct_end, unsigned long reclaimed)
{
	return io_stall_end(WEIR_IO_BY_DIRECT, reclaimed);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int WEIR_PROG(io_memcg_begin)
{
	return io_stall_begin(WEIR_IO_BY_MEMCG);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int WEIR_PROG(io_memcg_end, unsigned long reclaimed)
{
	return io_stall_end(WEIR_IO_BY_MEMCG, reclaimed);
}

SEC("tp_btf/mm_vmscan_lru_shrink_inactive")
int WEIR_PROG(io_shrink, int nid, unsigned long scanned, unsigned long reclaimed)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct weir_io_cpu *c = io_this_cpu();
	u32 tid = task->pid, by = WEIR_IO_BY_DIRECT;
	struct weir_io_stall *s;

	if (!c)
		return 0;
	if (task->flags & PF_KSWAPD) {
		by = WEIR_IO_BY_KSWAPD;
	} else {
		s = bpf_map_lookup_elem(&io_stalls, &tid);
		if (s)
			by = s->by;
	}
	c->scanned[by & 3] += scanned;
	c->reclaimed[by & 3] += reclaimed;
	return 0;
}

#endif
