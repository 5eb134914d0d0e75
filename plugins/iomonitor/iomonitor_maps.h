/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What iomonitor's BPF programs and its user side share besides the records: the
 * counters, the slot of a task, the table of processes and of devices. Types and
 * limits only; included by both compilers, sizes asserted on both sides.
 *
 * Counters are monotonic and never cleared; user space takes differences. Each
 * member of struct weir_io_cpu is written by one program only (named beside it),
 * and a tracing program never runs twice on a CPU at a time, so plain adds lose
 * nothing. What an interrupt or another CPU may write too is added atomically.
 */
#ifndef WEIR_IOMONITOR_MAPS_H
#define WEIR_IOMONITOR_MAPS_H

#include <linux/types.h>

/* ---- operations: the system calls that read, write or advise ----------------- */

/* number, metric label, x86-64, arm64 */
#define WEIR_IO_OPS(X)                                                         \
	X(READ, read, 0, 63)                                                   \
	X(PREAD64, pread64, 17, 67)                                            \
	X(READV, readv, 19, 65)                                                \
	X(PREADV, preadv, 295, 69)                                             \
	X(PREADV2, preadv2, 327, 286)                                          \
	X(SENDFILE, sendfile, 40, 71)                                          \
	X(SPLICE, splice, 275, 76)                                             \
	X(COPY_FILE_RANGE, copy_file_range, 326, 285)                          \
	X(WRITE, write, 1, 64)                                                 \
	X(PWRITE64, pwrite64, 18, 68)                                          \
	X(WRITEV, writev, 20, 66)                                              \
	X(PWRITEV, pwritev, 296, 70)                                           \
	X(PWRITEV2, pwritev2, 328, 287)                                        \
	X(FADVISE64, fadvise64, 221, 223)                                      \
	X(READAHEAD, readahead, 187, 213)                                      \
	X(URING_ENTER, io_uring_enter, 426, 426)                               \
	X(MADVISE, madvise, 28, 233)

enum weir_io_op {
	WEIR_IO_NONE,
#define X(id, label, x86, arm) WEIR_IO_##id,
	WEIR_IO_OPS(X)
#undef X
	WEIR_IO_OP_COUNT
};
#define WEIR_IO_IS_READ(op)  ((op) <= WEIR_IO_COPY_FILE_RANGE) /* and not NONE */
#define WEIR_IO_IS_WRITE(op) ((op) >= WEIR_IO_WRITE && (op) <= WEIR_IO_PWRITEV2)
/* Calls that sys_enter and sys_exit follow; the others only explain a fill. */
#define WEIR_IO_TIMED        (WEIR_IO_READAHEAD + 1)

/* Bucket i: (2^(i-1), 2^i] us; 0 takes all up to 1 us, the last all above
 * 2^26 us = 67 s, longer than any read anyone waits for. */
#define WEIR_IO_BUCKETS 28

struct weir_io_op_counts {
	__u64 bytes;
	__u64 ns;
	__u64 bucket[WEIR_IO_BUCKETS]; /* their sum is the number of operations */
};

/* ---- causes ------------------------------------------------------------------ */

#define WEIR_IO_FILLS(X) \
	X(DEMAND, demand) X(READAHEAD, readahead) X(WILLNEED, willneed) \
	X(WRITE, write) X(FAULT, fault) X(OTHER, other)
#define WEIR_IO_EVICTS(X) X(RECLAIM, reclaim) X(DONTNEED, dontneed) X(TRUNCATE, truncate)
#define WEIR_IO_PATHS(X) X(READ, read) X(MMAP, mmap) X(URING, io_uring) X(OTHER, other)
#define WEIR_IO_RECLAIMERS(X) X(KSWAPD, kswapd) X(DIRECT, direct) X(MEMCG, memcg)
#define WEIR_IO_ADVICES(X) \
	X(NORMAL, normal) X(RANDOM, random) X(SEQUENTIAL, sequential) \
	X(WILLNEED, willneed) X(DONTNEED, dontneed) X(NOREUSE, noreuse) X(INVALID, invalid)

enum weir_io_fill {
#define X(id, label) WEIR_IO_FILL_##id,
	WEIR_IO_FILLS(X)
#undef X
	WEIR_IO_FILL_COUNT
};
enum weir_io_evict {
#define X(id, label) WEIR_IO_EVICT_##id,
	WEIR_IO_EVICTS(X)
#undef X
	WEIR_IO_EVICT_COUNT
};
/* How a page was asked for. */
enum weir_io_path {
#define X(id, label) WEIR_IO_PATH_##id,
	WEIR_IO_PATHS(X)
#undef X
	WEIR_IO_PATH_COUNT
};
enum weir_io_reclaimer {
#define X(id, label) WEIR_IO_BY_##id,
	WEIR_IO_RECLAIMERS(X)
#undef X
	WEIR_IO_BY_COUNT
};
enum weir_io_advice {
#define X(id, label) WEIR_IO_ADVICE_##id,
	WEIR_IO_ADVICES(X)
#undef X
	WEIR_IO_ADVICE_COUNT
};

/* ---- one CPU's counters -------------------------------------------------------- */

struct weir_io_cpu {
	/* io_exit */
	struct weir_io_op_counts op[WEIR_IO_TIMED];
	__u64 lookup_pages;
	__u64 hinted_lookup_pages;     /* inside a range hinted by WILLNEED */
	__u64 fadvise_calls[8];        /* by enum weir_io_advice */
	__u64 fadvise_ok[8];
	__u64 hint_overflow;           /* no room in io_hints */
	/* io_enter */
	__u64 enter_task_overflow;     /* calls without a slot */
	__u64 dontneed_resident;       /* pages present when DONTNEED was called */
	/* io_add */
	__u64 fill_pages[8];           /* by enum weir_io_fill */
	__u64 miss_pages[4];           /* by enum weir_io_path */
	__u64 read_ops_missed;
	__u64 hinted_miss_pages;
	__u64 add_task_overflow;
	__u64 add_scratch;
	/* io_delete */
	__u64 evict_pages[4];          /* by enum weir_io_evict */
	__u64 delete_scratch;
	/* io_fault */
	__u64 fault_lookups;
	__u64 fault_scratch;
	/* io_map_pages */
	__u64 map_lookups;
	__u64 map_scratch;
	/* io_sync_ra, io_async_ra */
	__u64 ra_scratch[2];
	/* io_uring_done */
	__u64 uring_ops;
	__u64 uring_bytes;
	__u64 uring_lookup_pages;
	__u64 uring_scratch;
	/* io_get_pages (only with latency off) */
	__u64 got_lookup_pages;
	__u64 got_ops;
	__u64 got_mapping, got_index, got_last, got_scratch;
	/* io_shrink */
	__u64 scanned[4], reclaimed[4]; /* by enum weir_io_reclaimer */
	/* io_reclaim_end, io_memcg_end */
	__u64 stalls[2], stall_ns[2];
	__u64 stall_overflow[2];
	/* io_exit_task */
	__u64 folds;                   /* changes to io_processes */
	__u64 process_overflow;        /* a task ended and io_processes was full */
	struct {
		__u64 reads, read_bytes, lookup_pages, miss_pages, fill_pages, writes, write_bytes;
	} lost;                        /* what such tasks had done */
	__u64 exit_scratch;
	/* io_rename */
	__u64 rename_scratch;
	__u64 wanted_renames;          /* a task took a name that the filter wants */
	/* block, atomic: interrupts */
	__u64 block_overflow;          /* no room for a request or a device */
};

/* ---- one task ------------------------------------------------------------------- */

enum weir_io_task_flags {
	WEIR_IO_TASK_SKIP = 1,   /* a filter, or the daemon itself: not counted */
	WEIR_IO_TASK_CHECK = 2,  /* renamed: decide anew at its next call */
	WEIR_IO_TASK_MISSED = 4, /* this operation has missed a page */
};

/* Owned by one task from its first read or write until it ends, so its own
 * programs add plainly, and a filter is decided once per task, not per call.
 * First cache line: what every call touches. */
struct weir_io_task {
	__u64 owner;        /* address of the task's pt_regs; 0: free */
	__u64 start_ns;     /* of the call in progress */
	__u32 op;           /* of the call in progress, or WEIR_IO_NONE */
	__u32 flags;        /* enum weir_io_task_flags */
	__u64 task;         /* address of its task_struct */
	__u64 reads, read_bytes, lookup_pages, read_ns;

	__u64 mapping;      /* of the file it last read or wrote: known to be cached */
	__u64 writes, write_bytes, write_ns;
	__u32 tgid, pid;
	__u64 miss_pages, fill_pages;
	__u64 op_key;       /* latency off: tells operations apart */

	__u64 fault_inode, fault_index; /* the fault in progress, or the last one */
	__u64 map_inode, map_range;     /* last map_pages: start << 32 | end */
	__u64 ra_inode, ra_range;       /* last readahead's demand: start << 32 | end */
	char comm[16];      /* of the process */
};
_Static_assert(sizeof(struct weir_io_task) == 192, "shared with BPF");

/* ---- processes: what their ended tasks did -------------------------------------- */

struct weir_io_process {
	__u64 reads, read_bytes, lookup_pages, read_ns;
	__u64 miss_pages, fill_pages, writes, write_bytes, write_ns;
	__u64 cgroup;       /* id: v2's, else the memory controller's; 0 unknown */
	char comm[16];
	__u32 dead;         /* its last task has ended: user space may delete it */
	__u32 reserved;
};
_Static_assert(sizeof(struct weir_io_process) == 104, "shared with BPF");

/* ---- block devices ---------------------------------------------------------------- */

enum weir_io_block_op { WEIR_IO_BLOCK_READ, WEIR_IO_BLOCK_WRITE, WEIR_IO_BLOCK_FLUSH,
	WEIR_IO_BLOCK_DISCARD, WEIR_IO_BLOCK_OTHER, WEIR_IO_BLOCK_OPS };

struct weir_io_block_counts {
	__u64 bytes;
	__u64 device_ns, queue_ns;
	__u64 queued;                         /* requests that waited in a queue */
	__u64 device_bucket[WEIR_IO_BUCKETS]; /* issue to complete */
	__u64 queue_bucket[WEIR_IO_BUCKETS];  /* insert to issue */
};

struct weir_io_device {
	struct weir_io_block_counts op[WEIR_IO_BLOCK_OPS];
};

struct weir_io_request {
	__u64 insert_ns, issue_ns;
	__u32 dev, op, bytes, reserved;
};

/* ---- hints, reclaim ----------------------------------------------------------------- */

struct weir_io_file {
	__u64 ino;
	__u32 dev, reserved;
};
struct weir_io_hint {
	__u64 lo, hi;       /* pages [lo, hi) */
	__u64 until_ns;
};
#define WEIR_IO_HINT_NS 60000000000ull

struct weir_io_stall {
	__u64 start_ns;
	__u32 by;           /* enum weir_io_reclaimer */
	__u32 reserved;
};

/* ---- limits --------------------------------------------------------------------------- */

#define WEIR_IO_MAX_FILTER   8     /* names, pids, cgroups, devices per filter */
#define WEIR_IO_MAX_DEVICES  64    /* whole disks on a node; 64 x 2.3 KiB */
#define WEIR_IO_MAX_REQUESTS 8192  /* in flight: 8 queues of 1023, without preallocation */
#define WEIR_IO_MAX_HINTS    1024  /* files with a WILLNEED in the last minute */
#define WEIR_IO_MAX_STALLS   1024  /* tasks in direct reclaim at one time */
#define WEIR_IO_MAX_IOVECS   64    /* beyond, the asked range of a readv is cut short */

struct weir_io_comm {
	char name[16];
	__u32 len;          /* bytes that must match; 16: all */
	__u32 reserved;
};
struct weir_io_cgroup {
	__u64 id;
	__u32 level, reserved;
};

#endif
