/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the records look: one row per kind, in the order of enum weir_procfs_kind.
 * Pure data. "growth" is since the same thing was last read, interval_ns ago.
 */
#include "procfs.h"

#include "flow_schema.h"

#define F(m, t, u, d) WEIR_FIELD(struct weir_procfs_process, m, t, u, d)
static const struct weir_field process_fields[] = {
	F(pid, WEIR_U32, "", "Process; 0 is all that have no record of their own"),
	F(ppid, WEIR_U32, "", "Its parent"),
	F(interval_ns, WEIR_U64, "ns", "What the figures span"),
	F(read_chars, WEIR_U64, "bytes", "Bytes that read calls returned, from files, pipes and sockets"),
	F(write_chars, WEIR_U64, "bytes", "Bytes that write calls took"),
	F(reads, WEIR_U64, "", "Read calls"),
	F(writes, WEIR_U64, "", "Write calls"),
	F(read_bytes, WEIR_U64, "bytes", "Bytes fetched from disk, readahead and faults included"),
	F(write_bytes, WEIR_U64, "bytes", "Bytes sent to disk, or dirtied to be sent"),
	F(cancelled_write_bytes, WEIR_U64, "bytes", "Dirtied bytes that were deleted before they were sent"),
	F(major_faults, WEIR_U64, "", "Page faults that waited for disk"),
	F(processes, WEIR_U32, "", "Processes in this record"),
	F(comm, WEIR_CHARS, "", "Name of the process, or \"other\""),
};
#undef F

#define F(m, t, u, d) WEIR_FIELD(struct weir_procfs_device, m, t, u, d)
static const struct weir_field device_fields[] = {
	F(major, WEIR_U32, "", "Device number"),
	F(minor, WEIR_U32, "", "Device number"),
	F(interval_ns, WEIR_U64, "ns", "What the figures span"),
	F(reads, WEIR_U64, "", "Reads completed"),
	F(writes, WEIR_U64, "", "Writes completed"),
	F(read_bytes, WEIR_U64, "bytes", "Bytes read"),
	F(write_bytes, WEIR_U64, "bytes", "Bytes written"),
	F(read_ns, WEIR_U64, "ns", "Time of all reads, summed"),
	F(write_ns, WEIR_U64, "ns", "Time of all writes, summed"),
	F(busy_ns, WEIR_U64, "ns", "Time with a request in flight"),
	F(queue_ns, WEIR_U64, "ns", "Time of all requests in flight, summed"),
	F(in_flight, WEIR_U64, "", "Requests in flight now"),
	F(name, WEIR_CHARS, "", "Device"),
};
#undef F

#define F(m, u, d) WEIR_FIELD(struct weir_procfs_memory, m, WEIR_U64, u, d)
static const struct weir_field memory_fields[] = {
	F(interval_ns, "ns", "What the changes span"),
	F(total, "bytes", "Memory of the machine"),
	F(free, "bytes", "Unused"),
	F(available, "bytes", "Could be had without swapping"),
	F(buffers, "bytes", "Page cache of block devices"),
	F(cached, "bytes", "Page cache of files, shared memory included"),
	F(active_file, "bytes", "Page cache in recent use"),
	F(inactive_file, "bytes", "Page cache that reclaim looks at first"),
	F(dirty, "bytes", "Waiting to be written"),
	F(writeback, "bytes", "Being written"),
	F(anon, "bytes", "Memory of processes"),
	F(shmem, "bytes", "Shared memory and tmpfs"),
	F(slab_reclaimable, "bytes", "Kernel objects that can be freed"),
	F(slab_unreclaimable, "bytes", "Kernel objects that cannot"),
	F(swap_total, "bytes", "Swap space"),
	F(swap_free, "bytes", "Swap space unused"),
	F(paged_in_bytes, "bytes", "Read from block devices"),
	F(paged_out_bytes, "bytes", "Written to block devices"),
	F(swapped_in_pages, "pages", "Swapped in"),
	F(swapped_out_pages, "pages", "Swapped out"),
	F(faults, "", "Page faults"),
	F(major_faults, "", "Page faults that waited for disk"),
	F(refaulted_file_pages, "pages", "File pages read again soon after they were evicted"),
	F(refaulted_anon_pages, "pages", "Other pages read again soon after they were evicted"),
	F(scanned_kswapd_pages, "pages", "Looked at by reclaim in the background"),
	F(scanned_direct_pages, "pages", "Looked at by reclaim in allocating tasks"),
	F(reclaimed_kswapd_pages, "pages", "Freed by reclaim in the background"),
	F(reclaimed_direct_pages, "pages", "Freed by reclaim in allocating tasks"),
	F(reclaimed_file_pages, "pages", "Freed by reclaim that held file data"),
	F(direct_reclaims, "", "Allocations that had to reclaim"),
	F(oom_kills, "", "Processes killed for want of memory"),
	WEIR_FIELD(struct weir_procfs_memory, unknown, WEIR_U32, "",
	           "Figures that this kernel does not have; they read 0 here"),
};
#undef F

#define F(m, t, u, d, ...) WEIR_FIELD(struct weir_procfs_stall, m, t, u, d, __VA_ARGS__)
static const struct weir_field stall_fields[] = {
	F(interval_ns, WEIR_U64, "ns", "What the stalls span"),
	F(some_ns, WEIR_U64, "ns", "Time in which some task waited"),
	F(full_ns, WEIR_U64, "ns", "Time in which all tasks waited"),
	F(some_avg10, WEIR_F64, "percent", "Some task waited, average over 10 s"),
	F(some_avg60, WEIR_F64, "percent", "Some task waited, average over 60 s"),
	F(full_avg10, WEIR_F64, "percent", "All tasks waited, average over 10 s"),
	F(full_avg60, WEIR_F64, "percent", "All tasks waited, average over 60 s"),
	F(resource, WEIR_ENUM8, "", "What was waited for", .names = "cpu io memory"),
	F(cgroup, WEIR_CHARS, "", "Cgroup, or empty: the whole machine"),
};
#undef F

#define F(m, t, u, d) WEIR_FIELD(struct weir_procfs_cgroup, m, t, u, d)
static const struct weir_field cgroup_fields[] = {
	F(interval_ns, WEIR_U64, "ns", "What the changes span"),
	F(usage, WEIR_U64, "bytes", "Memory charged"),
	F(limit, WEIR_U64, "bytes", "Its own limit; 0: none"),
	F(anon, WEIR_U64, "bytes", "Memory of its processes"),
	F(file, WEIR_U64, "bytes", "Page cache charged to it"),
	F(shmem, WEIR_U64, "bytes", "Shared memory and tmpfs"),
	F(dirty, WEIR_U64, "bytes", "Waiting to be written"),
	F(writeback, WEIR_U64, "bytes", "Being written"),
	F(major_faults, WEIR_U64, "", "Page faults that waited for disk"),
	F(refaulted_pages, WEIR_U64, "pages", "File pages read again soon after they were evicted"),
	F(scanned_pages, WEIR_U64, "pages", "Looked at by reclaim; cgroup v2 only"),
	F(reclaimed_pages, WEIR_U64, "pages", "Freed by reclaim; cgroup v2 only"),
	F(read_bytes, WEIR_U64, "bytes", "Read from block devices"),
	F(write_bytes, WEIR_U64, "bytes", "Written to block devices"),
	F(reads, WEIR_U64, "", "Read requests"),
	F(writes, WEIR_U64, "", "Write requests"),
	F(unknown, WEIR_U32, "", "Figures that this cgroup does not have; they read 0 here"),
	F(memory_version, WEIR_U8, "", "Cgroup version that the memory figures come from"),
	F(cgroup, WEIR_CHARS, "", "Path below the mount"),
};
#undef F

/* Priority: what a process did goes first under pressure; the machine's own
 * figures are few and go last. */
const struct weir_schema procfs_schemas[PROCFS_KINDS] = {
	[PROCFS_FLOW] = WEIR_FLOW_SCHEMA,
	[PROCFS_FLOW_LISTEN] = WEIR_FLOW_LISTEN_SCHEMA,
	[PROCFS_IO_PROCESS] = { .name = "io_process", .topic = "io", .version = 1, .priority = 0,
	                        .doc = "I/O of a busy process, or of all others together",
	                        .size = sizeof(struct weir_procfs_process),
	                        .fields = WEIR_TABLE(process_fields) },
	[PROCFS_IO_DEVICE] = { .name = "io_device", .topic = "io", .version = 1, .priority = 2,
	                       .doc = "I/O of a block device that had some",
	                       .size = sizeof(struct weir_procfs_device),
	                       .fields = WEIR_TABLE(device_fields) },
	[PROCFS_MEMORY_SUMMARY] = { .name = "memory_summary", .topic = "memory", .version = 1,
	                            .priority = 3, .doc = "Memory of the machine and what became of it",
	                            .size = sizeof(struct weir_procfs_memory),
	                            .fields = WEIR_TABLE(memory_fields) },
	[PROCFS_MEMORY_PRESSURE] = { .name = "memory_pressure", .topic = "memory", .version = 1,
	                             .priority = 2,
	                             .doc = "Time lost waiting for CPU, I/O or memory (PSI)",
	                             .size = sizeof(struct weir_procfs_stall),
	                             .fields = WEIR_TABLE(stall_fields) },
	[PROCFS_MEMORY_CGROUP] = { .name = "memory_cgroup", .topic = "memory", .version = 1,
	                           .priority = 1, .doc = "Memory and I/O of a cgroup that changed",
	                           .size = sizeof(struct weir_procfs_cgroup),
	                           .fields = WEIR_TABLE(cgroup_fields) },
};
