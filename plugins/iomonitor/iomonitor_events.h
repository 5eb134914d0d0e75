/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iomonitor's records: types only, shared by both sides. The first three and the
 * last come from the kernel, the others are made by user space once per interval.
 */
#ifndef WEIR_IOMONITOR_EVENTS_H
#define WEIR_IOMONITOR_EVENTS_H

#include <linux/types.h>

enum weir_io_kind {
	WEIR_IO_SLOW,          /* topic io */
	WEIR_IO_FADVISE,       /* topic io */
	WEIR_IO_RECLAIM_STALL, /* topic memory */
	WEIR_IO_SUMMARY,       /* topic io */
	WEIR_IO_PROCESS,       /* topic io */
	WEIR_IO_CGROUP,        /* topic io */
	WEIR_IO_DEVICE,        /* topic io */
	WEIR_IO_MEMORY,        /* topic memory */
	WEIR_IO_TARGET,        /* topic io */
	WEIR_IO_KINDS
};

/* A read or write that took longer than the option `slow`. */
struct weir_io_slow {
	__u32 pid, tid;
	__u64 latency_ns;
	__u64 bytes;
	__u64 offset;
	__u64 inode;
	__u32 device;      /* dev_t of the kernel: major << 20 | minor */
	__u32 op;          /* enum weir_io_op */
	char comm[16];
};
_Static_assert(sizeof(struct weir_io_slow) == 64, "schema");

/* One fadvise64 call. */
struct weir_io_fadvise {
	__u32 pid, tid;
	__u64 offset, length;
	__u64 inode;
	__u32 device;
	__u32 advice;      /* enum weir_io_advice */
	__s32 result;
	__u32 reserved;
	char comm[16];
};
_Static_assert(sizeof(struct weir_io_fadvise) == 64, "schema");

/* A task had to free memory itself. */
struct weir_io_reclaim_stall {
	__u32 pid, tid;
	__u64 stall_ns;
	__u64 reclaimed_pages;
	__u32 by;          /* enum weir_io_reclaimer */
	__u32 reserved;
	char comm[16];
};
_Static_assert(sizeof(struct weir_io_reclaim_stall) == 48, "schema");

struct weir_io_summary {
	__u64 interval_ns;
	__u64 lookup_pages, miss_pages;
	__u64 reads, read_bytes, reads_missed;
	__u64 writes, write_bytes;
	__u64 fill_demand, fill_readahead, fill_willneed, fill_write, fill_fault, fill_other;
	__u64 evict_reclaim, evict_dontneed, evict_truncate;
	__u64 read_p50_us, read_p99_us, write_p50_us, write_p99_us;
};

struct weir_io_process_sum {
	__u64 interval_ns;
	__u32 pid, reserved;
	__u64 cgroup;
	__u64 reads, read_bytes, read_ns;
	__u64 lookup_pages, miss_pages, fill_pages;
	__u64 writes, write_bytes, write_ns;
	char comm[16];
};

struct weir_io_cgroup_sum {
	__u64 interval_ns;
	__u64 cgroup;
	__u64 processes;
	__u64 reads, read_bytes;
	__u64 lookup_pages, miss_pages, fill_pages;
	__u64 writes, write_bytes;
	char path[128];
};

struct weir_io_device_sum {
	__u64 interval_ns;
	__u32 device, reserved;
	char name[32];
	__u64 reads, read_bytes, writes, write_bytes, flushes, discards;
	__u64 read_p50_us, read_p99_us, write_p50_us, write_p99_us;
};

struct weir_io_memory {
	__u64 interval_ns;
	__u64 scanned_kswapd, scanned_direct, scanned_memcg;
	__u64 reclaimed_kswapd, reclaimed_direct, reclaimed_memcg;
	__u64 stalls, stall_ns;
	__u64 processes;
};

/* A task took a name that the filter `comm` selects (exec is one such moment). */
struct weir_io_target {
	__u32 pid, tid;
	char comm[16];
};
_Static_assert(sizeof(struct weir_io_target) == 24, "schema");

#endif
