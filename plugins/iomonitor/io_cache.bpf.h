/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: pages that enter and leave the page cache, and why.
 *
 * A miss is a page that the operation in progress asks for and that is added to
 * the cache while it runs. What the task is doing is read from its pt_regs, which
 * hold the number and arguments of the system call it is in: so the borders of an
 * operation are known without a hook on every system call, a write is never taken
 * for a read, and a hit costs nothing here. f_pos still holds the start, since
 * the kernel moves it when the call returns.
 *
 *   read family              asked [pos, pos + count): inside miss, outside readahead
 *   io_uring, io workers     asked by the readahead tracepoint of this very read
 *   page fault               the faulting page is the miss
 *   write, advice, others    no miss
 *
 * Ignored: block-device inodes (metadata), tmpfs.
 */
#ifndef IO_CACHE_BPF_H
#define IO_CACHE_BPF_H

#include "io_task.bpf.h"

#define IO_NO_SYSCALL  (~0ull)   /* pt_regs of an exception from user mode */
#define IO_MADV_WILLNEED 3
#define IO_COUNT_MAX   0x7ffff000ull /* the kernel's MAX_RW_COUNT */

/* ---- what a read in progress asks for ------------------------------------------ */

struct io_iovec {
	u64 base, len;
};

static __noinline u64 io_iovec_bytes(u64 vec, u64 count)
{
	struct io_iovec v;
	u64 sum = 0;

	for (u32 i = 0; i < WEIR_IO_MAX_IOVECS && i < count; i++) {
		if (bpf_probe_read_user(&v, sizeof v, (void *)(vec + i * sizeof v)))
			break;
		sum += v.len;
	}
	return sum;
}

static __always_inline u64 io_asked_bytes(u32 op, struct pt_regs *regs)
{
	switch (op) {
	case WEIR_IO_READV:
	case WEIR_IO_PREADV:
	case WEIR_IO_PREADV2:
		return io_iovec_bytes(regs->WEIR_REGS_A1, regs->WEIR_REGS_A2);
	case WEIR_IO_SENDFILE:
		return regs->WEIR_REGS_A3;
	case WEIR_IO_SPLICE:
	case WEIR_IO_COPY_FILE_RANGE:
		return regs->WEIR_REGS_A4;
	default:
		return regs->WEIR_REGS_A2;
	}
}

static __always_inline u64 io_asked_start(u32 op, struct pt_regs *regs, u64 file)
{
	u64 at = 0, v;

	switch (op) {
	case WEIR_IO_PREAD64:
	case WEIR_IO_PREADV:
		return regs->WEIR_REGS_A3;
	case WEIR_IO_PREADV2:
		v = regs->WEIR_REGS_A3;
		if (v != ~0ull)
			return v;
		break;
	case WEIR_IO_SENDFILE:
		at = regs->WEIR_REGS_A2;
		break;
	case WEIR_IO_SPLICE:
	case WEIR_IO_COPY_FILE_RANGE:
		at = regs->WEIR_REGS_A1;
		break;
	}
	if (at && !bpf_probe_read_user(&v, sizeof v, (void *)at))
		return v;
	return weir_load(struct file, file, f_pos);
}

/* Pages [lo, hi) the read asks for; false if it reads another inode. */
static __always_inline bool io_asked(u32 op, struct pt_regs *regs, struct task_struct *task,
                                     u64 inode, u64 *lo, u64 *hi)
{
	u32 fd = op == WEIR_IO_SENDFILE ? regs->WEIR_REGS_A1 : regs->WEIR_REGS_A0;
	u64 file = io_file_of((u64)task, fd), mine, sb, bytes, start;

	if (!file)
		return false;
	mine = (u64)weir_load(struct file, file, f_inode);
	if (mine != inode) {
		/* The file below an overlay has an inode of its own, same offsets. */
		sb = (u64)weir_load(struct inode, mine, i_sb);
		if (weir_load(struct super_block, sb, s_magic) != OVERLAYFS_MAGIC)
			return false;
	}
	bytes = io_asked_bytes(op, regs);
	if (bytes > IO_COUNT_MAX)
		bytes = IO_COUNT_MAX;
	start = io_asked_start(op, regs, file);
	*lo = start >> io_page_shift;
	*hi = (start + bytes + (1ull << io_page_shift) - 1) >> io_page_shift;
	return true;
}

/* ---- add ------------------------------------------------------------------------ */

/* One folio that was added. */
struct io_added {
	struct weir_io_cpu *c;
	struct weir_io_task *t;  /* of the current task, or NULL */
	u64 inode, index, pages;
};

static __always_inline u64 io_overlap(const struct io_added *a, u64 lo, u64 hi)
{
	u64 from = a->index > lo ? a->index : lo;
	u64 to = a->index + a->pages < hi ? a->index + a->pages : hi;

	return from < to ? to - from : 0;
}

static __always_inline void io_fill(const struct io_added *a, u32 cause, u64 pages)
{
	a->c->fill_pages[cause & 7] += pages;
}

static __always_inline void io_miss(const struct io_added *a, u32 path, u64 pages)
{
	a->c->miss_pages[path & 3] += pages;
	if (a->t)
		a->t->miss_pages += pages;
}

/* Tells one operation of a task from its next, where sys_enter does not: the range
 * asked for, and how many read calls the task has finished. */
static __always_inline u64 io_op_key(u64 lo, u64 hi)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 key = ~(lo ^ hi << 32);

	if (bpf_core_field_exists(task->ioac.syscr))
		key += task->ioac.syscr * 0x9e3779b97f4a7c15ull;
	return key;
}

/* Added by a read that asks for [lo, hi). */
static __always_inline void io_added_by_read(const struct io_added *a, u32 path, u64 lo, u64 hi)
{
	u64 miss = io_overlap(a, lo, hi), key;

	io_fill(a, WEIR_IO_FILL_DEMAND, miss);
	io_fill(a, WEIR_IO_FILL_READAHEAD, a->pages - miss);
	if (!miss)
		return;
	io_miss(a, path, miss);
	key = io_op_key(lo, hi);
	/* sys_enter clears the flag; without it the asked range tells calls apart. */
	if (a->t && (io_calls && path == WEIR_IO_PATH_READ ? !(a->t->flags & WEIR_IO_TASK_MISSED)
	                                                   : a->t->op_key != key)) {
		a->c->read_ops_missed++;
		a->t->flags |= WEIR_IO_TASK_MISSED;
		a->t->op_key = key;
	}
	if (io_hint_until_ns && io_hint_until_ns > bpf_ktime_get_ns()) {
		lo = a->index > lo ? a->index : lo;
		a->c->hinted_miss_pages += io_hinted_pages(a->inode, lo, lo + miss);
	}
}

static __always_inline void io_added_by_fault(const struct io_added *a)
{
	struct weir_io_task *t = a->t;

	io_fill(a, WEIR_IO_FILL_FAULT, a->pages);
	if (t && t->fault_inode == a->inode && t->fault_index - a->index < a->pages) {
		io_miss(a, WEIR_IO_PATH_MMAP, 1);
		/* Once per fault; bit 63 says that the fault will come again, when
		 * the page has been read. */
		t->fault_index |= 1ull << 63;
	}
}

/* Added by something that is no read system call: io_uring, exec, aio. The
 * readahead tracepoint said what was asked for, if the kernel has it. */
static __always_inline void io_added_by_other(const struct io_added *a, u32 path)
{
	struct weir_io_task *t = a->t;

	if (t && t->ra_inode == a->inode)
		io_added_by_read(a, path, t->ra_range >> 32, t->ra_range & 0xffffffff);
	else
		io_fill(a, WEIR_IO_FILL_OTHER, a->pages);
}

static __always_inline void io_added(const struct io_added *a, struct task_struct *task,
                                     struct pt_regs *regs)
{
	u64 nr = (s64)WEIR_REGS_NR(regs), lo, hi;
	u32 op;

	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER)) {
		io_added_by_other(a, WEIR_IO_PATH_URING);
		return;
	}
	if (nr == IO_NO_SYSCALL) {
		io_added_by_fault(a);
		return;
	}
	op = io_op_of(nr);
	if (op && WEIR_IO_IS_READ(op)) {
		if (io_asked(op, regs, task, a->inode, &lo, &hi))
			io_added_by_read(a, WEIR_IO_PATH_READ, lo, hi);
		else if (a->t && a->t->fault_inode == a->inode)
			io_added_by_fault(a); /* the buffer is a mapped file */
		else
			io_fill(a, WEIR_IO_FILL_OTHER, a->pages);
	} else if (WEIR_IO_IS_WRITE(op)) {
		io_fill(a, WEIR_IO_FILL_WRITE, a->pages);
	} else if ((op == WEIR_IO_FADVISE64 && regs->WEIR_REGS_A3 == WEIR_IO_ADVICE_WILLNEED) ||
	           (op == WEIR_IO_MADVISE && regs->WEIR_REGS_A2 == IO_MADV_WILLNEED) ||
	           op == WEIR_IO_READAHEAD) {
		io_fill(a, WEIR_IO_FILL_WILLNEED, a->pages);
	} else if (a->t && a->t->fault_inode == a->inode &&
	           a->t->fault_index - a->index < a->pages) {
		io_added_by_fault(a); /* MAP_POPULATE, or a fault within a system call */
	} else {
		io_added_by_other(a, op == WEIR_IO_URING_ENTER ? WEIR_IO_PATH_URING
		                                                : WEIR_IO_PATH_OTHER);
	}
}

/* Is this inode's cache of interest? Regular files only; the device inode of a
 * disk holds file-system metadata. */
static __always_inline bool io_wanted_inode(struct inode *inode)
{
	if ((inode->i_mode & S_IFMT) != S_IFREG || inode->i_sb->s_magic == TMPFS_MAGIC)
		return false;
	return io_device_wanted(inode->i_sb->s_dev);
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int WEIR_PROG(io_add, struct folio *folio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode = folio->mapping->host;
	struct io_added a = { .c = io_this_cpu() };
	struct pt_regs *regs;

	if (!a.c || !io_wanted_inode(inode))
		return 0;
	a.inode = (u64)inode;
	a.index = folio->index;
	a.pages = weir_folio_pages(folio);
	if (task->flags & PF_KTHREAD) {
		io_fill(&a, WEIR_IO_FILL_OTHER, a.pages);
		return 0;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!(task->flags & PF_EXITING)) {
		a.t = io_find_or_claim(io_regs_number(regs, &a.c->add_scratch));
		if (!a.t)
			a.c->add_task_overflow++;
		else if (a.t->flags & WEIR_IO_TASK_SKIP)
			return 0;
		else
			a.t->fill_pages += a.pages;
	}
	io_added(&a, task, regs);
	return 0;
}

/* ---- delete --------------------------------------------------------------------- */

/* Never filtered by task: kswapd does most of it. */
SEC("tp_btf/mm_filemap_delete_from_page_cache")
int WEIR_PROG(io_delete, struct folio *folio)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode = folio->mapping->host;
	struct weir_io_cpu *c = io_this_cpu();
	u32 cause = WEIR_IO_EVICT_TRUNCATE;
	struct pt_regs *regs;

	if (!c || !io_wanted_inode(inode))
		return 0;
	/* PF_MEMALLOC: kswapd, and any task while it reclaims by itself. */
	if (task->flags & (PF_MEMALLOC | PF_KSWAPD)) {
		cause = WEIR_IO_EVICT_RECLAIM;
	} else if (!(task->flags & PF_KTHREAD)) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		if (io_op_of(WEIR_REGS_NR(regs)) == WEIR_IO_FADVISE64 &&
		    regs->WEIR_REGS_A3 == WEIR_IO_ADVICE_DONTNEED)
			cause = WEIR_IO_EVICT_DONTNEED;
	}
	c->evict_pages[cause] += weir_folio_pages(folio);
	return 0;
}

/* ---- faults on mapped files (6.12) -------------------------------------------------- */

static __always_inline struct weir_io_task *io_current(u64 *scratch)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct weir_io_task *t;

	if (task->flags & (PF_KTHREAD | PF_EXITING))
		return NULL;
	t = io_find_or_claim(io_regs_number((struct pt_regs *)bpf_task_pt_regs(task), scratch));
	return t && !(t->flags & WEIR_IO_TASK_SKIP) ? t : NULL;
}

/* Before the lookup; and once more when the page had to be read or waited for. */
SEC("tp_btf/mm_filemap_fault")
int WEIR_PROG(io_fault, struct address_space *mapping, unsigned long index)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_task *t = c ? io_current(&c->fault_scratch) : NULL;
	struct inode *inode = mapping->host;
	u64 ino = (u64)inode;

	if (!t || !io_wanted_inode(inode))
		return 0;
	if (t->fault_inode == ino && t->fault_index == (index | 1ull << 63)) {
		t->fault_inode = 0; /* the retry of a miss that is counted already */
		return 0;
	}
	t->fault_inode = ino;
	t->fault_index = index;
	if (t->map_inode == ino && index >= t->map_range >> 32 &&
	    index <= (t->map_range & 0xffffffff)) {
		t->map_inode = 0; /* fault-around looked for it first and counted it */
		return 0;
	}
	c->fault_lookups++;
	t->lookup_pages++;
	return 0;
}

/* A fault served from the cache, with its neighbours. */
SEC("tp_btf/mm_filemap_map_pages")
int WEIR_PROG(io_map_pages, struct address_space *mapping, unsigned long start, unsigned long end)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_task *t = c ? io_current(&c->map_scratch) : NULL;
	struct inode *inode = mapping->host;

	if (!t || !io_wanted_inode(inode))
		return 0;
	if (t->fault_inode == (u64)inode && (s64)t->fault_index < 0 &&
	    (t->fault_index & ~(1ull << 63)) - start <= end - start) {
		t->fault_inode = 0; /* a miss counted already, now read and mapped */
		return 0;
	}
	t->map_inode = (u64)inode;
	t->map_range = (u64)start << 32 | (end & 0xffffffff);
	c->map_lookups++;
	t->lookup_pages++;
	return 0;
}

/* ---- what was asked for, where no system call says it (6.18) ------------------------ */

static __always_inline int io_ra(struct inode *inode, u64 index, u64 count, u32 which)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_task *t = c ? io_current(&c->ra_scratch[which]) : NULL;

	if (!t)
		return 0;
	t->ra_inode = (u64)inode;
	t->ra_range = index << 32 | ((index + count) & 0xffffffff);
	return 0;
}

SEC("tp_btf/page_cache_sync_ra")
int WEIR_PROG(io_sync_ra, struct inode *inode, unsigned long index, void *ra, unsigned long count)
{
	return io_ra(inode, index, count, 0);
}

SEC("tp_btf/page_cache_async_ra")
int WEIR_PROG(io_async_ra, struct inode *inode, unsigned long index, void *ra, unsigned long count)
{
	return io_ra(inode, index, count, 1);
}

/* ---- lookups without system calls: latency off (6.12) ---------------------------------- */

/* Fires for every batch of folios within one read, with the same last page and a
 * larger first one: only the first counts. */
SEC("tp_btf/mm_filemap_get_pages")
int WEIR_PROG(io_get_pages, struct address_space *mapping, unsigned long index, unsigned long last)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct inode *inode = mapping->host;
	u64 end, m = (u64)mapping;

	if (!c || !io_wanted_inode(inode))
		return 0;
	if (io_task_filter() && !io_current(&c->got_scratch))
		return 0;
	end = inode->i_size;
	end = end ? (end - 1) >> io_page_shift : 0;
	if (end > last)
		end = last;
	if (c->got_mapping != m || c->got_last != last || index <= c->got_index) {
		c->got_lookup_pages += end >= index ? end - index + 1 : 0;
		c->got_ops++;
	}
	c->got_mapping = m;
	c->got_last = last;
	c->got_index = index;
	return 0;
}

#endif
