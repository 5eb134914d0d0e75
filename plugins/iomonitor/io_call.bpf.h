/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: the read, write and advise system calls.
 *
 * sys_enter notes the start in the task's slot; sys_exit counts the operation,
 * its bytes, its latency and the pages it asked for. Both run for every system
 * call on the node, so what comes before the first return matters most: two
 * array lookups, no helper call.
 *
 * Pages asked for are those of the bytes returned, [pos, pos + ret): what lies
 * behind the end of the file is not asked for, nor what a signal cut off.
 */
#ifndef IO_CALL_BPF_H
#define IO_CALL_BPF_H

#include "io_task.bpf.h"

#define O_DIRECT_X86 040000
#define O_DIRECT_ARM 0200000
#if defined(__TARGET_ARCH_x86)
#define IO_O_DIRECT O_DIRECT_X86
#else
#define IO_O_DIRECT O_DIRECT_ARM
#endif

#define io_arg(regs, n) ((u64)weir_load(struct pt_regs, regs, WEIR_REGS_A##n))

/* ---- enter ------------------------------------------------------------------- */

/* DONTNEED: what it could drop, an upper bound where it names a range. */
static __noinline u64 io_resident(struct weir_io_task *t, u64 regs)
{
	u64 file = io_file_of(t->task, io_arg(regs, 0));
	u64 mapping = (u64)weir_load(struct file, file, f_mapping);
	u64 pages = weir_load(struct address_space, mapping, nrpages);
	u64 len = io_arg(regs, 2) >> io_page_shift;

	if (!io_cached_inode(file))
		return 0;
	return len && len < pages ? len : pages;
}

SEC("raw_tp/sys_enter")
int WEIR_PROG(io_enter, u64 regs, u64 nr)
{
	u32 op = io_op_of(nr);
	struct weir_io_task *t;
	struct weir_io_cpu *c;

	if (!op || op >= WEIR_IO_TIMED)
		return 0;
	t = io_find(regs);
	if (!t) {
		t = io_claim(regs);
		if (!t) {
			c = io_this_cpu();
			if (c)
				c->enter_task_overflow++;
			return 0;
		}
	}
	if (t->flags & (WEIR_IO_TASK_SKIP | WEIR_IO_TASK_CHECK)) {
		if (t->flags & WEIR_IO_TASK_CHECK)
			io_describe(t);
		if (t->flags & WEIR_IO_TASK_SKIP)
			return 0;
	}
	if (op == WEIR_IO_FADVISE64 && io_arg(regs, 3) == WEIR_IO_ADVICE_DONTNEED) {
		c = io_this_cpu();
		if (c)
			c->dontneed_resident += io_resident(t, regs);
	}
	t->flags = 0;
	t->op = op;
	t->start_ns = bpf_ktime_get_ns();
	return 0;
}

/* ---- exit -------------------------------------------------------------------- */

static __noinline int io_emit_slow(struct weir_io_task *t, u64 file, u64 pos, u64 bytes, u64 ns)
{
	u64 inode = (u64)weir_load(struct file, file, f_inode);
	struct weir_io_slow *e = weir_reserve(WEIR_IO_SLOW, sizeof *e);
	u64 sb;

	if (!e)
		return 0;
	sb = (u64)weir_load(struct inode, inode, i_sb);
	e->pid = t->tgid;
	e->tid = t->pid;
	e->latency_ns = ns;
	e->bytes = bytes;
	e->offset = pos;
	e->inode = weir_load(struct inode, inode, i_ino);
	e->device = weir_load(struct super_block, sb, s_dev);
	e->op = t->op;
	__builtin_memcpy(e->comm, t->comm, sizeof e->comm);
	weir_submit(e);
	return 0;
}

static __noinline int io_emit_fadvise(struct weir_io_task *t, u64 inode, u64 regs, s64 ret)
{
	struct weir_io_fadvise *e = weir_reserve(WEIR_IO_FADVISE, sizeof *e);
	u64 sb, advice;

	if (!e)
		return 0;
	sb = (u64)weir_load(struct inode, inode, i_sb);
	advice = io_arg(regs, 3);
	e->pid = t->tgid;
	e->tid = t->pid;
	e->offset = io_arg(regs, 1);
	e->length = io_arg(regs, 2);
	e->inode = weir_load(struct inode, inode, i_ino);
	e->device = weir_load(struct super_block, sb, s_dev);
	e->advice = advice < WEIR_IO_ADVICE_INVALID ? advice : WEIR_IO_ADVICE_INVALID;
	e->result = ret;
	e->reserved = 0;
	__builtin_memcpy(e->comm, t->comm, sizeof e->comm);
	weir_submit(e);
	return 0;
}

/* WILLNEED was accepted: remember the range for a minute. */
static __always_inline bool io_hint(u64 inode, u64 offset, u64 len, u64 now)
{
	struct weir_io_file key = {};
	struct weir_io_hint h = {};
	u64 sb = (u64)weir_load(struct inode, inode, i_sb);
	u64 size = weir_load(struct inode, inode, i_size);

	key.ino = weir_load(struct inode, inode, i_ino);
	key.dev = weir_load(struct super_block, sb, s_dev);
	if (!len || len > size - offset)
		len = size > offset ? size - offset : 0;
	h.lo = offset >> io_page_shift;
	h.hi = (offset + len + (1ull << io_page_shift) - 1) >> io_page_shift;
	h.until_ns = now + WEIR_IO_HINT_NS;
	if (bpf_map_update_elem(&io_hints, &key, &h, BPF_ANY))
		return false;
	io_hint_until_ns = h.until_ns;
	return true;
}

static __noinline int io_fadvise_done(struct weir_io_task *t, u64 regs, s64 ret)
{
	struct weir_io_cpu *c = io_this_cpu();
	u64 advice = io_arg(regs, 3), file, inode;

	if (!c)
		return 0;
#if defined(__TARGET_ARCH_s390)
	if (advice >= 6)
		advice -= 2; /* dontneed 6, noreuse 7 */
#endif
	if (advice >= WEIR_IO_ADVICE_INVALID)
		advice = WEIR_IO_ADVICE_INVALID;
	c->fadvise_calls[advice & 7]++;
	if (!ret)
		c->fadvise_ok[advice & 7]++;
	file = io_file_of(t->task, io_arg(regs, 0));
	inode = io_cached_inode(file);
	if (!inode)
		return 0;
	if (!ret && advice == WEIR_IO_ADVICE_WILLNEED &&
	    !io_hint(inode, io_arg(regs, 1), io_arg(regs, 2), bpf_ktime_get_ns()))
		c->hint_overflow++;
	if (io_fadvise_records)
		io_emit_fadvise(t, inode, regs, ret);
	return 0;
}

/* An 8-byte offset in the caller's memory, as sendfile and splice take it. */
static __always_inline u64 io_user_offset(u64 address)
{
	u64 v = 0;

	bpf_probe_read_user(&v, sizeof v, (void *)address);
	return v;
}

/* Where an operation that has returned began. */
static __always_inline u64 io_start_of(u32 op, u64 file, u64 regs, u64 ret)
{
	u64 at;

	if (op == WEIR_IO_PREAD64 || op == WEIR_IO_PREADV ||
	    op == WEIR_IO_PWRITE64 || op == WEIR_IO_PWRITEV)
		return io_arg(regs, 3);
	if (op == WEIR_IO_PREADV2 || op == WEIR_IO_PWRITEV2) {
		at = io_arg(regs, 3);
		if (at != ~0ull)
			return at;
	}
	if (op == WEIR_IO_SENDFILE || op == WEIR_IO_SPLICE || op == WEIR_IO_COPY_FILE_RANGE) {
		at = op == WEIR_IO_SENDFILE ? io_arg(regs, 2) : io_arg(regs, 1);
		if (at)
			return io_user_offset(at) - ret;
	}
	return weir_load(struct file, file, f_pos) - ret;
}

/* Pages of [pos, pos + ret). */
static __always_inline u64 io_pages(u64 pos, u64 ret)
{
	return ret ? ((pos + ret - 1) >> io_page_shift) - (pos >> io_page_shift) + 1 : 0;
}

static __always_inline void io_read_done(struct weir_io_cpu *c, struct weir_io_task *t,
                                         u64 file, u64 pos, u64 ret, u64 now)
{
	u64 pages = 0;

	/* O_DIRECT asks nothing of the page cache. */
	if (!(weir_load(struct file, file, f_flags) & IO_O_DIRECT))
		pages = io_pages(pos, ret);
	t->reads++;
	t->read_bytes += ret;
	t->lookup_pages += pages;
	t->read_ns += now - t->start_ns;
	c->lookup_pages += pages;
	if (io_hint_until_ns > now)
		c->hinted_lookup_pages +=
			io_hinted_pages((u64)weir_load(struct file, file, f_inode),
		                        pos >> io_page_shift, (pos >> io_page_shift) + pages);
}

static __always_inline void io_op_done(struct weir_io_op_counts *o, u64 ret, u64 ns)
{
	o->bytes += ret;
	o->ns += ns;
	o->bucket[io_bucket(ns) & 31]++;
}

SEC("raw_tp/sys_exit")
int WEIR_PROG(io_exit, u64 regs, s64 ret)
{
	struct weir_io_task *t = io_find(regs);
	struct weir_io_cpu *c;
	u64 now, ns, file, pos;
	u32 op;

	if (!t || !t->op)
		return 0;
	op = t->op;
	if (op >= WEIR_IO_FADVISE64) {
		if (op == WEIR_IO_FADVISE64)
			io_fadvise_done(t, regs, ret);
		t->op = WEIR_IO_NONE;
		return 0;
	}
	t->op = WEIR_IO_NONE;
	if (ret < 0)
		return 0;
	now = bpf_ktime_get_ns();
	ns = now - t->start_ns;
	file = io_file_of(t->task, op == WEIR_IO_SENDFILE ? io_arg(regs, 1) : io_arg(regs, 0));
	c = io_this_cpu();
	if (!c || !io_cached_file(t, file))
		return 0;
	pos = io_start_of(op, file, regs, ret);
	if (WEIR_IO_IS_READ(op)) {
		io_read_done(c, t, file, pos, ret, now);
	} else {
		t->writes++;
		t->write_bytes += ret;
		t->write_ns += ns;
	}
	io_op_done(&c->op[op & 15], ret, ns);
	if (io_slow_ns && ns >= io_slow_ns) {
		t->op = op;
		io_emit_slow(t, file, pos, ret, ns);
		t->op = WEIR_IO_NONE;
	}
	return 0;
}

#endif
