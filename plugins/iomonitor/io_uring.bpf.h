/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: reads through io_uring, counted when they complete.
 * Only users of io_uring pay for it. Their latency is not measured.
 */
#ifndef IO_URING_BPF_H
#define IO_URING_BPF_H

#include "io_cache.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_kiocb {
	struct file *file; /* also the start of the command: struct io_rw */
	u8 opcode;
};
struct io_rw {
	struct kiocb kiocb;
	u64 addr;
	u32 len;
};
/* From 6.16 the tracepoint hands over the entry, before that its members; the
 * verifier refuses the variant that does not fit. */
struct io_uring_cqe {
	s32 res;
};
#pragma clang attribute pop

#define IO_URING_READV         1
#define IO_URING_READ_FIXED    4
#define IO_URING_READ          22
#define IO_URING_READ_MULTISHOT 49

static __always_inline int io_uring_read_done(u64 req, s64 res)
{
	struct weir_io_cpu *c = io_this_cpu();
	u64 inode, file, pos, pages;
	struct weir_io_task *t;
	u32 opcode;

	if (!c || !req || res < 0)
		return 0;
	opcode = weir_load(struct io_kiocb, req, opcode);
	if (opcode != IO_URING_READ && opcode != IO_URING_READV &&
	    opcode != IO_URING_READ_FIXED && opcode != IO_URING_READ_MULTISHOT)
		return 0;
	file = (u64)weir_load(struct io_kiocb, req, file);
	inode = file ? io_cached_inode(file) : 0;
	if (!inode)
		return 0;
	/* The position has been moved to the end of what was read. */
	pos = weir_load(struct io_rw, req, kiocb.ki_pos) - res;
	pages = res ? ((pos + res - 1) >> io_page_shift) - (pos >> io_page_shift) + 1 : 0;
	t = io_current(&c->uring_scratch);
	if (!t)
		return 0;
	t->reads++;
	t->read_bytes += res;
	t->lookup_pages += pages;
	c->uring_ops++;
	c->uring_bytes += res;
	c->uring_lookup_pages += pages;
	return 0;
}

SEC("tp_btf/io_uring_complete")
int WEIR_PROG(io_uring_done, void *ring, u64 req, struct io_uring_cqe *cqe)
{
	return io_uring_read_done(req, cqe->res);
}

/* Until 6.15: (ctx, req, user_data, res, ...). */
SEC("tp_btf/io_uring_complete")
int WEIR_PROG(io_uring_done_old, void *ring, u64 req, u64 user_data, s64 res)
{
	return io_uring_read_done(req, (s32)res);
}

#endif
