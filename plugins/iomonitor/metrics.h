/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of iomonitor's metrics: X(id, name, type, unit, labels, help).
 *
 * The ebpf_ names are fixed by the design and shared with procfs-fallback; the
 * label `source` tells them apart. Counters are the kernel programs' own, since
 * the source was started. Rates are of the last interval; where nothing happened
 * they are absent, neither 0 nor 100.
 */
#ifndef IOMONITOR_METRICS_H
#define IOMONITOR_METRICS_H

#define IOMONITOR_METRICS(X)                                                                       \
	X(M_MISS_RATE, "ebpf_cache_miss_rate_percent", WEIR_GAUGE, "percent", "source quality",    \
	  "Pages asked for that were not in the page cache, per 100 asked for, over the last interval") \
	X(M_HIT_RATE, "ebpf_cache_hit_rate_percent", WEIR_GAUGE, "percent", "source quality",      \
	  "100 less the miss rate of the same interval")                                           \
	X(M_EFFICIENCY, "ebpf_cache_efficiency_ratio", WEIR_GAUGE, "ratio", "source quality",      \
	  "Share of the pages asked for that cost no disk read, readahead included; negative when " \
	  "more is read than is asked for")                                                        \
	X(M_ADDED, "ebpf_pages_added_to_cache_total", WEIR_COUNTER, "pages", "cause source",       \
	  "Pages that entered the page cache, by cause")                                           \
	X(M_EVICTED, "ebpf_pages_evicted_from_cache_total", WEIR_COUNTER, "pages", "cause source", \
	  "Pages that left the page cache, by cause; truncate is deletion, not eviction")          \
	X(M_FADVISE_CALLS, "ebpf_fadvise_calls_total", WEIR_COUNTER, "calls", "advice source",     \
	  "Returns from fadvise64, by advice")                                                     \
	X(M_FADVISE_RATE, "ebpf_fadvise_success_rate_percent", WEIR_GAUGE, "percent", "source",    \
	  "fadvise64 calls accepted per 100, over the last interval; accepted is not yet effective") \
	X(M_WILLNEED_MISS, "ebpf_cache_miss_rate_after_willneed", WEIR_GAUGE, "ratio", "source",   \
	  "Missed share of the pages read inside a range hinted by WILLNEED in the last minute")   \
	X(M_DONTNEED_EVICT, "ebpf_cache_eviction_rate_after_dontneed", WEIR_GAUGE, "ratio",        \
	  "source quality", "Pages that DONTNEED calls dropped per page resident when they were "  \
	  "made; a lower bound where a call names a range")                                        \
	X(M_READ_OPS, "ebpf_io_read_operations_total", WEIR_COUNTER, "operations", "op source",    \
	  "Successful reads of files in the page cache's file systems, by system call")            \
	X(M_READ_BYTES, "ebpf_io_read_bytes_total", WEIR_COUNTER, "bytes", "op source",            \
	  "Bytes those reads returned, by system call")                                            \
	X(M_LATENCY, "ebpf_io_latency_microseconds", WEIR_HISTOGRAM, "microseconds", "op source",  \
	  "Time from entering to leaving a read or write call on such a file, in microseconds")    \
	X(M_RECLAIM_PROCESSES, "ebpf_memory_direct_reclaim_processes", WEIR_GAUGE, "processes",    \
	  "source", "Processes that had to free memory themselves in the last interval")           \
	X(M_RECLAIM_EFFICIENCY, "ebpf_memory_reclaim_efficiency_percent", WEIR_GAUGE, "percent",   \
	  "by source", "Pages reclaimed per 100 pages scanned, over the last interval")            \
	X(M_SCANNED, "ebpf_lru_pages_scanned_total", WEIR_COUNTER, "pages", "by source",           \
	  "Pages that reclaim looked at, by who reclaims")                                         \
                                                                                                   \
	X(M_LOOKUPS, "weir_io_demand_lookup_pages_total", WEIR_COUNTER, "pages", "path source",    \
	  "Pages asked for, by way of asking; path mmap: faults, of one page each")                \
	X(M_MISSES, "weir_io_demand_miss_pages_total", WEIR_COUNTER, "pages", "path source",       \
	  "Pages asked for that were not in the page cache, by way of asking")                     \
	X(M_OPS, "weir_io_read_ops_total", WEIR_COUNTER, "operations", "source",                   \
	  "Reads of files in the page cache's file systems")                                       \
	X(M_OPS_MISSED, "weir_io_read_ops_missed_total", WEIR_COUNTER, "operations", "source",     \
	  "Reads of which at least one page was not in the page cache")                            \
	X(M_WRITE_OPS, "weir_io_write_operations_total", WEIR_COUNTER, "operations", "op source",  \
	  "Successful writes to files in the page cache's file systems, by system call")           \
	X(M_WRITE_BYTES, "weir_io_write_bytes_total", WEIR_COUNTER, "bytes", "op source",          \
	  "Bytes those writes took, by system call")                                               \
	X(M_DONTNEED_RESIDENT, "weir_io_dontneed_resident_pages_total", WEIR_COUNTER, "pages",     \
	  "source", "Pages resident in the file when DONTNEED was called, at most the range named") \
	X(M_BLOCK_LATENCY, "weir_io_device_latency_seconds", WEIR_HISTOGRAM, "seconds",            \
	  "device op source", "Time the block device took, from issue to completion")              \
	X(M_BLOCK_QUEUE, "weir_io_device_queue_seconds", WEIR_HISTOGRAM, "seconds",                \
	  "device op source", "Time a request waited in the scheduler, from insert to issue")      \
	X(M_BLOCK_BYTES, "weir_io_device_bytes_total", WEIR_COUNTER, "bytes", "device op source",  \
	  "Bytes of the requests the block device completed")                                      \
	X(M_RECLAIMED, "weir_memory_lru_pages_reclaimed_total", WEIR_COUNTER, "pages", "by source", \
	  "Pages that reclaim freed, by who reclaims")                                             \
	X(M_STALLS, "weir_memory_reclaim_stalls_total", WEIR_COUNTER, "stalls", "by source",       \
	  "Times a task had to free memory itself")                                                \
	X(M_STALL_SECONDS, "weir_memory_reclaim_stall_seconds_total", WEIR_COUNTER, "seconds",     \
	  "by source", "Time tasks spent freeing memory themselves")                               \
	X(M_OVERFLOW, "weir_io_map_overflow_total", WEIR_COUNTER, "events", "map",                 \
	  "Events a bounded table had no room for: calls without latency (tasks), processes that " \
	  "ended uncounted (processes), hints, requests, stalls")                                  \
	X(M_TASKS, "weir_io_tasks", WEIR_GAUGE, "tasks", "", "Tasks that iomonitor follows")       \
	X(M_PROCESSES, "weir_io_processes", WEIR_GAUGE, "processes", "",                           \
	  "Processes in iomonitor's table")

#define X(id, ...) id,
enum { IOMONITOR_METRICS(X) M_COUNT };
#undef X

#endif
