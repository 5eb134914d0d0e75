/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: its maps and constants, the slot of a task, the
 * filters, and how to get from a descriptor to a file.
 *
 * A task's slot is found from the address of its pt_regs, which lies on its
 * kernel stack: one per task, and at sys_enter and sys_exit a plain number that
 * costs no helper call. Two places per task; when both are taken by others the
 * task goes without (counted), and only its latency and share are unknown.
 */
#ifndef IO_TASK_BPF_H
#define IO_TASK_BPF_H

#include "weir_bpf.h"
#include "weir_drift.h"
#include "iomonitor_events.h"
#include "iomonitor_maps.h"

/* ---- constants, written by iomonitor's prepare() before load ------------------ */

const volatile u32 io_slot_mask = 4095;
const volatile u32 io_page_shift = 12;
const volatile u64 io_slow_ns = 0;          /* 0: no io_slow records */
const volatile bool io_calls = true;        /* sys_enter and sys_exit are hooked */
const volatile bool io_fadvise_records = false;
const volatile u32 io_comm_count = 0, io_pid_count = 0, io_cgroup_count = 0, io_device_count = 0;
const volatile struct weir_io_comm io_comms[WEIR_IO_MAX_FILTER] = {};
const volatile u32 io_pids[WEIR_IO_MAX_FILTER] = {};
const volatile struct weir_io_cgroup io_cgroups[WEIR_IO_MAX_FILTER] = {};
const volatile u32 io_devices[WEIR_IO_MAX_FILTER] = {};  /* of file systems */
const volatile u32 io_disk_count = 0;
const volatile u32 io_disks[WEIR_IO_MAX_FILTER] = {};    /* of the block layer */

/* Until when a WILLNEED hint may be in force: the only cost of the hint table
 * while there is none. */
u64 io_hint_until_ns = 0;

/* ---- maps ------------------------------------------------------------------------ */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_io_cpu);
} io_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct weir_io_task);
} io_tasks SEC(".maps");

/* One bit per slot ever claimed and not yet free: user space looks only there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} io_used SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct weir_io_process);
} io_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_IO_MAX_HINTS);
	__type(key, struct weir_io_file);
	__type(value, struct weir_io_hint);
} io_hints SEC(".maps");

static __always_inline struct weir_io_cpu *io_this_cpu(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&io_cpu, &cpu);
}

/* ---- system calls to operations ---------------------------------------------------- */

static const u8 io_op_table[512] = {
#if defined(__TARGET_ARCH_x86)
#define X(id, label, x86, arm) [x86] = WEIR_IO_##id,
#else
#define X(id, label, x86, arm) [arm] = WEIR_IO_##id,
#endif
	WEIR_IO_OPS(X)
#undef X
};

static __always_inline u32 io_op_of(u64 nr)
{
	if (nr >= sizeof io_op_table)
		return WEIR_IO_NONE;
	return *(const volatile u8 *)&io_op_table[nr];
}

/* ---- filters -------------------------------------------------------------------------- */

static __always_inline bool io_comm_is(const char *comm, const volatile struct weir_io_comm *c)
{
	for (u32 i = 0; i < 16; i++) {
		if (i >= c->len)
			return true;
		if (comm[i] != c->name[i])
			return false;
		if (!comm[i])
			return true;
	}
	return true;
}

static __always_inline bool io_comm_wanted(const char *leader, const char *own)
{
	for (u32 i = 0; i < WEIR_IO_MAX_FILTER && i < io_comm_count; i++)
		if (io_comm_is(leader, &io_comms[i]) || io_comm_is(own, &io_comms[i]))
			return true;
	return false;
}

static __always_inline bool io_pid_wanted(u32 tgid)
{
	for (u32 i = 0; i < WEIR_IO_MAX_FILTER && i < io_pid_count; i++)
		if (io_pids[i] == tgid)
			return true;
	return false;
}

/* Below the cgroup, not only in it: compare the ancestor at its level. */
static __always_inline bool io_cgroup_wanted(void)
{
	for (u32 i = 0; i < WEIR_IO_MAX_FILTER && i < io_cgroup_count; i++)
		if (bpf_get_current_ancestor_cgroup_id(io_cgroups[i].level) == io_cgroups[i].id)
			return true;
	return false;
}

/* Is any filter set that asks who the task is? A constant. */
static __always_inline bool io_task_filter(void)
{
	return io_comm_count || io_pid_count || io_cgroup_count;
}

static __always_inline bool io_device_wanted(u32 dev)
{
	if (!io_device_count)
		return true;
	for (u32 i = 0; i < WEIR_IO_MAX_FILTER && i < io_device_count; i++)
		if (io_devices[i] == dev)
			return true;
	return false;
}

/* ---- slots ---------------------------------------------------------------------------- */

static __always_inline u32 io_slot_key(u64 regs)
{
	/* Kernel stacks are 16 KiB and a guard page, aligned: one per 32 KiB. */
	return ((regs >> 15) ^ (regs >> 27)) & io_slot_mask;
}

/* The slot of the task with these pt_regs, or NULL: it has none yet. */
static __always_inline struct weir_io_task *io_find(u64 regs)
{
	u32 key = io_slot_key(regs);
	struct weir_io_task *t = bpf_map_lookup_elem(&io_tasks, &key);

	if (t && t->owner == regs)
		return t;
	key ^= 1;
	t = bpf_map_lookup_elem(&io_tasks, &key);
	return t && t->owner == regs ? t : NULL;
}

/* Who the current task is, and whether it is wanted. */
static __always_inline void io_describe(struct weir_io_task *t)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct weir_knobs *knobs = weir_get_knobs();
	u32 flags = 0;
	char own[16] = {};

	t->task = (u64)task;
	t->tgid = task->tgid;
	t->pid = task->pid;
	bpf_core_read(t->comm, sizeof t->comm, &task->group_leader->comm);
	if (knobs && t->tgid == knobs->own_tgid)
		flags = WEIR_IO_TASK_SKIP;
	if (io_comm_count) {
		bpf_get_current_comm(own, sizeof own);
		if (!io_comm_wanted(t->comm, own))
			flags = WEIR_IO_TASK_SKIP;
	}
	if (io_pid_count && !io_pid_wanted(t->tgid))
		flags = WEIR_IO_TASK_SKIP;
	if (io_cgroup_count && !io_cgroup_wanted())
		flags = WEIR_IO_TASK_SKIP;
	t->flags = flags;
}

static __always_inline void io_mark_used(u32 key, bool used)
{
	u32 word = key >> 6;
	u64 *bits = bpf_map_lookup_elem(&io_used, &word);

	if (!bits)
		return;
	if (used)
		__sync_fetch_and_or(bits, 1ull << (key & 63));
	else
		__sync_fetch_and_and(bits, ~(1ull << (key & 63)));
}

static __always_inline struct weir_io_task *io_claim_at(u64 regs, u32 key)
{
	struct weir_io_task *t = bpf_map_lookup_elem(&io_tasks, &key);

	if (!t || __sync_val_compare_and_swap(&t->owner, 0, regs))
		return NULL;
	t->op = WEIR_IO_NONE;
	io_describe(t);
	io_mark_used(key, true);
	return t;
}

/* A slot for the current task, NULL if both of its places are taken. */
static __noinline struct weir_io_task *io_claim(u64 regs)
{
	u32 key = io_slot_key(regs);
	struct weir_io_task *t = io_claim_at(regs, key);

	return t ? t : io_claim_at(regs, key ^ 1);
}

/* The current task's pt_regs as a number. The verifier forbids arithmetic on a
 * pointer, so it goes through memory of this program on this CPU. */
static __always_inline u64 io_regs_number(struct pt_regs *regs, u64 *scratch)
{
	*(volatile u64 *)scratch = (u64)regs;
	return *(volatile u64 *)scratch;
}

static __always_inline struct weir_io_task *io_find_or_claim(u64 regs)
{
	struct weir_io_task *t = io_find(regs);

	if (!t)
		t = io_claim(regs);
	if (t && t->flags & WEIR_IO_TASK_CHECK)
		io_describe(t);
	return t;
}

/* ---- files ------------------------------------------------------------------------------ */

/* File behind a descriptor of a task, 0 if it is closed. */
static __always_inline u64 io_file_of(u64 task, u32 fd)
{
	struct files_struct *files = weir_load(struct task_struct, task, files);
	struct fdtable *fdt = weir_load(struct files_struct, files, fdt);
	struct file **fds;

	if (fd >= weir_load(struct fdtable, fdt, max_fds))
		return 0;
	fds = weir_load(struct fdtable, fdt, fd);
	return (u64)weir_load(struct kiocb, (u64)fds + fd * sizeof(void *), ki_filp);
}

/* Inode of a file whose data goes through the page cache, else 0. Regular files
 * of procfs, sysfs, tmpfs and the like have no readahead operation; overlayfs has
 * none either, but the files below it do. */
static __always_inline u64 io_cached_inode(u64 file)
{
	u64 inode = (u64)weir_load(struct file, file, f_inode);
	u64 mapping, aops, sb;

	if ((weir_load(struct inode, inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	mapping = (u64)weir_load(struct file, file, f_mapping);
	aops = (u64)weir_load(struct address_space, mapping, a_ops);
	if (!weir_load(struct address_space_operations, aops, readahead)) {
		sb = (u64)weir_load(struct inode, inode, i_sb);
		if (weir_load(struct super_block, sb, s_magic) != OVERLAYFS_MAGIC)
			return 0;
	}
	if (io_device_count) {
		sb = (u64)weir_load(struct inode, inode, i_sb);
		if (!io_device_wanted(weir_load(struct super_block, sb, s_dev)))
			return 0;
	}
	return inode;
}

/* The same question for a task's read or write, answered from its last one: a
 * task reads one file many times. Memory of a mapping is reused only for another
 * of the same file system type, so the answer holds. */
static __always_inline bool io_cached_file(struct weir_io_task *t, u64 file)
{
	u64 mapping = (u64)weir_load(struct file, file, f_mapping);

	if (mapping == t->mapping)
		return true;
	if (!io_cached_inode(file))
		return false;
	t->mapping = mapping;
	return true;
}

/* Bucket of a time; see WEIR_IO_BUCKETS. */
static __always_inline u32 io_bucket(u64 ns)
{
	u64 us;
	u32 b = 1;

	if (ns <= 1000)
		return 0;
	us = (ns + 999) / 1000 - 1; /* at least 1; bucket is its bit length */
	if (us >> 32)
		return WEIR_IO_BUCKETS - 1;
	if (us >> 16) { b += 16; us >>= 16; }
	if (us >> 8) { b += 8; us >>= 8; }
	if (us >> 4) { b += 4; us >>= 4; }
	if (us >> 2) { b += 2; us >>= 2; }
	if (us >> 1) b += 1;
	return b < WEIR_IO_BUCKETS ? b : WEIR_IO_BUCKETS - 1;
}

/* ---- hints -------------------------------------------------------------------------------- */

/* Pages of [lo, hi) of a file that WILLNEED asked for in the last minute. */
static __noinline u64 io_hinted_pages(u64 inode, u64 lo, u64 hi)
{
	struct weir_io_file key = {};
	u64 sb = (u64)weir_load(struct inode, inode, i_sb);
	struct weir_io_hint *h;

	key.ino = weir_load(struct inode, inode, i_ino);
	key.dev = weir_load(struct super_block, sb, s_dev);
	h = bpf_map_lookup_elem(&io_hints, &key);
	if (!h || h->until_ns < bpf_ktime_get_ns())
		return 0;
	if (lo < h->lo)
		lo = h->lo;
	if (hi > h->hi)
		hi = h->hi;
	return lo < hi ? hi - lo : 0;
}

#endif
