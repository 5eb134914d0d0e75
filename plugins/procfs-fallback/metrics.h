/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of procfs-fallback's metrics: X(id, name, type, unit, labels, help).
 *
 * The ebpf_ names are those of iomonitor, with the same types, labels and help, as
 * far as procfs knows them; what it cannot know is not here. From here they are
 * bytes, not pages, which is why quality is "approx"; README.md says how. Counters of
 * processes count from when this plugin took over; all others since boot.
 */
#ifndef PROCFS_METRICS_H
#define PROCFS_METRICS_H

#define PROCFS_METRICS(X)                                                                          \
	X(M_MISS_RATE, "ebpf_cache_miss_rate_percent", WEIR_GAUGE, "percent", "source quality",    \
	  "Pages asked for that were not in the page cache, per 100 asked for, over the last interval") \
	X(M_HIT_RATE, "ebpf_cache_hit_rate_percent", WEIR_GAUGE, "percent", "source quality",      \
	  "100 less the miss rate of the same interval")                                           \
	X(M_EFFICIENCY, "ebpf_cache_efficiency_ratio", WEIR_GAUGE, "ratio", "source quality",      \
	  "Share of the pages asked for that cost no disk read, readahead included; negative when " \
	  "more is read than is asked for")                                                        \
	X(M_EVICTED, "ebpf_pages_evicted_from_cache_total", WEIR_COUNTER, "pages", "cause source", \
	  "Pages that left the page cache, by cause; truncate is deletion, not eviction")          \
	X(M_READ_OPS, "ebpf_io_read_operations_total", WEIR_COUNTER, "operations", "op source",    \
	  "Successful reads of files in the page cache's file systems, by system call")            \
	X(M_READ_BYTES, "ebpf_io_read_bytes_total", WEIR_COUNTER, "bytes", "op source",            \
	  "Bytes those reads returned, by system call")                                            \
	X(M_RECLAIM_EFFICIENCY, "ebpf_memory_reclaim_efficiency_percent", WEIR_GAUGE, "percent",   \
	  "by source", "Pages reclaimed per 100 pages scanned, over the last interval")            \
	X(M_LRU_SCANNED, "ebpf_lru_pages_scanned_total", WEIR_COUNTER, "pages", "by source",       \
	  "Pages that reclaim looked at, by who reclaims")                                         \
                                                                                                   \
	X(M_PROC_READ, "weir_procfs_process_read_bytes_total", WEIR_COUNTER, "bytes", "pid comm",  \
	  "Bytes a busy process read from disk; pid 0 is all others together")                     \
	X(M_PROC_WRITE, "weir_procfs_process_write_bytes_total", WEIR_COUNTER, "bytes",            \
	  "pid comm", "Bytes a busy process sent to disk; pid 0 is all others together")           \
	X(M_PROC_RCHAR, "weir_procfs_process_read_chars_total", WEIR_COUNTER, "bytes", "pid comm", \
	  "Bytes read calls of a busy process returned; pid 0 is all others together")             \
	X(M_PROC_WCHAR, "weir_procfs_process_write_chars_total", WEIR_COUNTER, "bytes",            \
	  "pid comm", "Bytes write calls of a busy process took; pid 0 is all others together")    \
	X(M_PROC_FAULTS, "weir_procfs_process_major_faults_total", WEIR_COUNTER, "faults",         \
	  "pid comm", "Faults of a busy process that waited for disk; pid 0 is all others")        \
	X(M_PROCESSES, "weir_procfs_processes", WEIR_GAUGE, "processes", "state",                  \
	  "Processes in the last pass: read, denied (no right to read their I/O), failed, "        \
	  "untracked (beyond the bound), vanished (ended before they were read)")                  \
	X(M_PASSES, "weir_procfs_passes_total", WEIR_COUNTER, "passes", "",                        \
	  "Complete passes over all processes")                                                    \
	X(M_PASS_SECONDS, "weir_procfs_pass_seconds", WEIR_GAUGE, "seconds", "",                   \
	  "How long the last pass took from begin to end, pauses between ticks included")          \
                                                                                                   \
	X(M_DEV_READS, "weir_procfs_device_reads_total", WEIR_COUNTER, "operations", "device",     \
	  "Reads the device completed")                                                            \
	X(M_DEV_WRITES, "weir_procfs_device_writes_total", WEIR_COUNTER, "operations", "device",   \
	  "Writes the device completed")                                                           \
	X(M_DEV_READ_BYTES, "weir_procfs_device_read_bytes_total", WEIR_COUNTER, "bytes",          \
	  "device", "Bytes read from the device")                                                  \
	X(M_DEV_WRITE_BYTES, "weir_procfs_device_write_bytes_total", WEIR_COUNTER, "bytes",        \
	  "device", "Bytes written to the device")                                                 \
	X(M_DEV_READ_SECONDS, "weir_procfs_device_read_seconds_total", WEIR_COUNTER, "seconds",    \
	  "device", "Time reads took, summed over reads")                                          \
	X(M_DEV_WRITE_SECONDS, "weir_procfs_device_write_seconds_total", WEIR_COUNTER, "seconds",  \
	  "device", "Time writes took, summed over writes")                                        \
	X(M_DEV_BUSY_SECONDS, "weir_procfs_device_busy_seconds_total", WEIR_COUNTER, "seconds",    \
	  "device", "Time with at least one request in flight")                                    \
	X(M_DEV_QUEUE_SECONDS, "weir_procfs_device_queue_seconds_total", WEIR_COUNTER, "seconds",  \
	  "device", "Time of all requests in flight, summed")                                      \
	X(M_DEV_IN_FLIGHT, "weir_procfs_device_in_flight_requests", WEIR_GAUGE, "requests",        \
	  "device", "Requests in flight")                                                          \
	X(M_DEV_UNTRACKED, "weir_procfs_devices_untracked", WEIR_GAUGE, "devices", "",             \
	  "Devices with I/O that are beyond the bound and so have no series")                      \
                                                                                                   \
	X(M_MEMORY, "weir_procfs_memory_bytes", WEIR_GAUGE, "bytes", "kind",                       \
	  "Memory of the machine, by kind as in /proc/meminfo")                                    \
	X(M_VM_IN, "weir_procfs_vm_paged_in_bytes_total", WEIR_COUNTER, "bytes", "",               \
	  "Bytes read from block devices")                                                         \
	X(M_VM_OUT, "weir_procfs_vm_paged_out_bytes_total", WEIR_COUNTER, "bytes", "",             \
	  "Bytes written to block devices")                                                        \
	X(M_VM_SWAP, "weir_procfs_vm_swapped_pages_total", WEIR_COUNTER, "pages", "direction",     \
	  "Pages swapped in and out")                                                              \
	X(M_VM_FAULTS, "weir_procfs_vm_faults_total", WEIR_COUNTER, "faults", "",                  \
	  "Page faults, minor and major")                                                          \
	X(M_VM_MAJOR, "weir_procfs_vm_major_faults_total", WEIR_COUNTER, "faults", "",             \
	  "Page faults that waited for disk")                                                      \
	X(M_VM_REFAULT, "weir_procfs_vm_refaulted_pages_total", WEIR_COUNTER, "pages", "type",     \
	  "Pages read again soon after they were evicted: the working set does not fit")           \
	X(M_VM_SCANNED, "weir_procfs_vm_scanned_pages_total", WEIR_COUNTER, "pages", "by",         \
	  "Pages that reclaim looked at, by who reclaims")                                         \
	X(M_VM_RECLAIMED, "weir_procfs_vm_reclaimed_pages_total", WEIR_COUNTER, "pages", "by",     \
	  "Pages that reclaim freed, by who reclaims")                                             \
	X(M_VM_STALLS, "weir_procfs_vm_direct_reclaims_total", WEIR_COUNTER, "events", "",         \
	  "Allocations that had to reclaim memory themselves")                                     \
	X(M_VM_OOM, "weir_procfs_vm_oom_kills_total", WEIR_COUNTER, "processes", "",               \
	  "Processes killed for want of memory")                                                   \
	X(M_VM_PAGES, "weir_procfs_vm_pages", WEIR_GAUGE, "pages", "state",                        \
	  "Pages of files in memory: all, dirty, under writeback")                                 \
	X(M_PSI_SECONDS, "weir_procfs_pressure_stalled_seconds_total", WEIR_COUNTER, "seconds",    \
	  "resource kind", "Time in which some or all tasks waited for the resource")              \
	X(M_PSI_RATIO, "weir_procfs_pressure_ratio", WEIR_GAUGE, "ratio", "resource kind window",  \
	  "Share of the window in which some or all tasks waited for the resource")                \
                                                                                                   \
	X(M_CG_MEMORY, "weir_procfs_cgroup_memory_bytes", WEIR_GAUGE, "bytes", "cgroup kind",      \
	  "Memory of a cgroup and those below it, by kind; no limit, no value")                    \
	X(M_CG_MAJOR, "weir_procfs_cgroup_major_faults_total", WEIR_COUNTER, "faults", "cgroup",   \
	  "Page faults of a cgroup that waited for disk")                                          \
	X(M_CG_REFAULT, "weir_procfs_cgroup_refaulted_pages_total", WEIR_COUNTER, "pages",         \
	  "cgroup", "File pages of a cgroup read again soon after they were evicted")              \
	X(M_CG_SCANNED, "weir_procfs_cgroup_scanned_pages_total", WEIR_COUNTER, "pages", "cgroup", \
	  "Pages of a cgroup that reclaim looked at, its own limit's included; cgroup v2 only")    \
	X(M_CG_RECLAIMED, "weir_procfs_cgroup_reclaimed_pages_total", WEIR_COUNTER, "pages",       \
	  "cgroup", "Pages of a cgroup that reclaim freed; cgroup v2 only")                        \
	X(M_CG_IO_BYTES, "weir_procfs_cgroup_io_bytes_total", WEIR_COUNTER, "bytes", "cgroup op",  \
	  "Bytes a cgroup moved from and to block devices")                                        \
	X(M_CG_IO_OPS, "weir_procfs_cgroup_io_operations_total", WEIR_COUNTER, "operations",       \
	  "cgroup op", "Requests of a cgroup to block devices")                                    \
	X(M_CG_PSI, "weir_procfs_cgroup_pressure_stalled_seconds_total", WEIR_COUNTER, "seconds",  \
	  "cgroup resource kind", "Time in which tasks of a cgroup waited for the resource")       \
	X(M_FLOW_HANDED, "weir_procfs_flow_handed_over_total", WEIR_COUNTER, "", "what",           \
	  "packets and bytes of flows found by the last look, when another collector may have counted already") \
	X(M_FLOW_UNSERVED, "weir_procfs_flow_unserved_seconds_total", WEIR_COUNTER, "seconds", "", \
	  "Time before it stood in that no collector of flows counted: what passed then is in no record") \
	X(M_CGROUPS, "weir_procfs_cgroups", WEIR_GAUGE, "cgroups", "state",                        \
	  "Cgroups that are tracked, and that were found beyond max_cgroups (at least)")

#define PROCFS_METRIC_ID(id, ...) id,
enum procfs_metric { PROCFS_METRICS(PROCFS_METRIC_ID) PROCFS_METRIC_COUNT };

#endif
