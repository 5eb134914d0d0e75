/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of iomonitor.bpf.c: the block layer. Device time is issue to complete,
 * queue time insert to issue, per whole disk. Completion comes in an interrupt,
 * where the current task means nothing, so nothing here is filtered by task, and
 * the counters are added atomically.
 */
#ifndef IO_BLOCK_BPF_H
#define IO_BLOCK_BPF_H

#include "io_task.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_IO_MAX_REQUESTS);
	__type(key, u64);
	__type(value, struct weir_io_request);
} io_requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_IO_MAX_DEVICES);
	__type(key, u32);
	__type(value, struct weir_io_device);
} io_disk_stats SEC(".maps");

static const struct weir_io_device io_no_device = {};

/* include/linux/blk_types.h */
static __always_inline u32 io_block_op(u32 cmd_flags)
{
	switch (cmd_flags & 0xff) {
	case 0: return WEIR_IO_BLOCK_READ;
	case 1: return WEIR_IO_BLOCK_WRITE;
	case 2: return WEIR_IO_BLOCK_FLUSH;
	case 3:
	case 5: return WEIR_IO_BLOCK_DISCARD; /* and secure erase */
	case 7: return WEIR_IO_BLOCK_WRITE;   /* zone append */
	default: return WEIR_IO_BLOCK_OTHER;
	}
}

static __always_inline bool io_disk_wanted(u32 dev)
{
	if (!io_disk_count)
		return true;
	for (u32 i = 0; i < WEIR_IO_MAX_FILTER && i < io_disk_count; i++)
		if (io_disks[i] == dev)
			return true;
	return false;
}

static __always_inline void io_block_lost(void)
{
	struct weir_io_cpu *c = io_this_cpu();

	if (c)
		__sync_fetch_and_add(&c->block_overflow, 1);
}

static __always_inline int io_request_begin(struct request *rq, bool issue)
{
	struct weir_io_request r = {}, *old;
	struct gendisk *disk = weir_rq_disk(rq);
	u64 key = (u64)rq, now;

	if (disk)
		r.dev = (u32)disk->major << 20 | (u32)disk->first_minor;
	if (!io_disk_wanted(r.dev))
		return 0;
	now = bpf_ktime_get_ns();
	old = issue ? bpf_map_lookup_elem(&io_requests, &key) : NULL;
	if (old) {
		old->issue_ns = now;
		old->bytes = rq->__data_len;
		return 0;
	}
	if (issue)
		r.issue_ns = now;
	else
		r.insert_ns = now;
	r.op = io_block_op(rq->cmd_flags);
	r.bytes = rq->__data_len;
	if (bpf_map_update_elem(&io_requests, &key, &r, BPF_ANY))
		io_block_lost();
	return 0;
}

static __always_inline void io_request_count(struct weir_io_block_counts *b,
                                             const struct weir_io_request *r, u64 now)
{
	u64 ns = now - r->issue_ns;

	__sync_fetch_and_add(&b->bytes, r->bytes);
	__sync_fetch_and_add(&b->device_ns, ns);
	__sync_fetch_and_add(&b->device_bucket[io_bucket(ns) & 31], 1);
	if (!r->insert_ns)
		return;
	ns = r->issue_ns - r->insert_ns;
	__sync_fetch_and_add(&b->queued, 1);
	__sync_fetch_and_add(&b->queue_ns, ns);
	__sync_fetch_and_add(&b->queue_bucket[io_bucket(ns) & 31], 1);
}

static __always_inline int io_request_end(u64 rq)
{
	struct weir_io_request *r = bpf_map_lookup_elem(&io_requests, &rq), copy;
	struct weir_io_device *d;
	u64 now = bpf_ktime_get_ns();

	if (!r || !r->issue_ns)
		return 0;
	copy = *r;
	/* A request may complete in parts; like biolatency, the first one counts. */
	bpf_map_delete_elem(&io_requests, &rq);
	d = bpf_map_lookup_elem(&io_disk_stats, &copy.dev);
	if (!d) {
		bpf_map_update_elem(&io_disk_stats, &copy.dev, &io_no_device, BPF_NOEXIST);
		d = bpf_map_lookup_elem(&io_disk_stats, &copy.dev);
	}
	if (!d) {
		io_block_lost();
		return 0;
	}
	if (copy.op < WEIR_IO_BLOCK_OPS)
		io_request_count(&d->op[copy.op], &copy, now);
	return 0;
}

SEC("tp_btf/block_rq_insert")
int WEIR_PROG(io_rq_insert, struct request *rq)
{
	return io_request_begin(rq, false);
}

SEC("tp_btf/block_rq_issue")
int WEIR_PROG(io_rq_issue, struct request *rq)
{
	return io_request_begin(rq, true);
}

SEC("tp_btf/block_rq_complete")
int WEIR_PROG(io_rq_complete, u64 rq)
{
	return io_request_end(rq);
}

#endif
