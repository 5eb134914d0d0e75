/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of procfs-fallback. Types and limits only. What a schema calls a
 * change is the change since the same thing was last read, interval_ns ago.
 */
#ifndef PROCFS_EVENTS_H
#define PROCFS_EVENTS_H

#include <linux/types.h>

/* The longest path seen for a container in Kubernetes is about 180 bytes. */
#define PROCFS_CGROUP_LEN 256

enum weir_procfs_kind {
	PROCFS_IO_PROCESS,
	PROCFS_IO_DEVICE,
	PROCFS_MEMORY_SUMMARY,
	PROCFS_MEMORY_PRESSURE,
	PROCFS_MEMORY_CGROUP,
	PROCFS_FLOW,           /* struct weir_flow, flow_events.h */
	PROCFS_FLOW_LISTEN,    /* struct weir_flow_listen */
	PROCFS_KINDS,
};

struct weir_procfs_process {
	__u32 pid, ppid;
	__u64 interval_ns;
	__u64 read_chars, write_chars;
	__u64 reads, writes;
	__u64 read_bytes, write_bytes, cancelled_write_bytes;
	__u64 major_faults;
	__u32 processes;
	char comm[16];
	__u32 reserved;
};
_Static_assert(sizeof(struct weir_procfs_process) == 104, "schema size");

struct weir_procfs_device {
	__u32 major, minor;
	__u64 interval_ns;
	__u64 reads, writes;
	__u64 read_bytes, write_bytes;
	__u64 read_ns, write_ns, busy_ns, queue_ns;
	__u64 in_flight;
	char name[32];
};
_Static_assert(sizeof(struct weir_procfs_device) == 120, "schema size");

struct weir_procfs_memory {
	__u64 interval_ns;
	/* state, bytes */
	__u64 total, free, available, buffers, cached, active_file, inactive_file;
	__u64 dirty, writeback, anon, shmem, slab_reclaimable, slab_unreclaimable;
	__u64 swap_total, swap_free;
	/* changes */
	__u64 paged_in_bytes, paged_out_bytes, swapped_in_pages, swapped_out_pages;
	__u64 faults, major_faults, refaulted_file_pages, refaulted_anon_pages;
	__u64 scanned_kswapd_pages, scanned_direct_pages;
	__u64 reclaimed_kswapd_pages, reclaimed_direct_pages, reclaimed_file_pages;
	__u64 direct_reclaims, oom_kills;
	__u32 unknown;
	__u32 reserved;
};
_Static_assert(sizeof(struct weir_procfs_memory) == 256, "schema size");

struct weir_procfs_stall {
	__u64 interval_ns;
	__u64 some_ns, full_ns;
	double some_avg10, some_avg60, full_avg10, full_avg60;
	__u8 resource; /* cpu io memory */
	__u8 reserved[7];
	char cgroup[PROCFS_CGROUP_LEN];
};
_Static_assert(sizeof(struct weir_procfs_stall) == 64 + PROCFS_CGROUP_LEN, "schema size");

struct weir_procfs_cgroup {
	__u64 interval_ns;
	__u64 usage, limit, anon, file, shmem, dirty, writeback;
	__u64 major_faults, refaulted_pages, scanned_pages, reclaimed_pages;
	__u64 read_bytes, write_bytes, reads, writes;
	__u32 unknown;
	__u8 memory_version;
	__u8 reserved[3];
	char cgroup[PROCFS_CGROUP_LEN];
};
_Static_assert(sizeof(struct weir_procfs_cgroup) == 136 + PROCFS_CGROUP_LEN, "schema size");

#endif
