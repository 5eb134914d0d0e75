/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: the schemas of all kinds, and those that user space makes once per
 * interval. Nothing happened, no record: a quiet node is quiet.
 */
#include "iomonitor.h"

#include <string.h>

#define F WEIR_FIELD
#define OPS "none read pread64 readv preadv preadv2 sendfile splice copy_file_range write " \
	"pwrite64 writev pwritev pwritev2 fadvise64 readahead io_uring_enter madvise"
#define ADVICES "normal random sequential willneed dontneed noreuse invalid"
#define RECLAIMERS "kswapd direct memcg"

static const struct weir_field slow_fields[] = {
	F(struct weir_io_slow, pid, WEIR_U32, "", "Process"),
	F(struct weir_io_slow, tid, WEIR_U32, "", "Thread"),
	F(struct weir_io_slow, latency_ns, WEIR_U64, "ns", "Time the call took"),
	F(struct weir_io_slow, bytes, WEIR_U64, "bytes", "Bytes read or written"),
	F(struct weir_io_slow, offset, WEIR_U64, "bytes", "Where in the file"),
	F(struct weir_io_slow, inode, WEIR_U64, "", "Inode of the file"),
	F(struct weir_io_slow, device, WEIR_U32, "", "Device of the file: major << 20 | minor"),
	F(struct weir_io_slow, op, WEIR_ENUM32, "", "System call", .names = OPS),
	F(struct weir_io_slow, comm, WEIR_CHARS, "", "Name of the process"),
};
static const struct weir_field fadvise_fields[] = {
	F(struct weir_io_fadvise, pid, WEIR_U32, "", "Process"),
	F(struct weir_io_fadvise, tid, WEIR_U32, "", "Thread"),
	F(struct weir_io_fadvise, offset, WEIR_U64, "bytes", "Start of the range"),
	F(struct weir_io_fadvise, length, WEIR_U64, "bytes", "Length of the range, 0 to the end"),
	F(struct weir_io_fadvise, inode, WEIR_U64, "", "Inode of the file"),
	F(struct weir_io_fadvise, device, WEIR_U32, "", "Device of the file: major << 20 | minor"),
	F(struct weir_io_fadvise, advice, WEIR_ENUM32, "", "Advice given", .names = ADVICES),
	F(struct weir_io_fadvise, result, WEIR_S32, "", "0, or the negative errno"),
	F(struct weir_io_fadvise, comm, WEIR_CHARS, "", "Name of the process"),
};
static const struct weir_field stall_fields[] = {
	F(struct weir_io_reclaim_stall, pid, WEIR_U32, "", "Process"),
	F(struct weir_io_reclaim_stall, tid, WEIR_U32, "", "Thread"),
	F(struct weir_io_reclaim_stall, stall_ns, WEIR_U64, "ns", "Time it spent freeing memory"),
	F(struct weir_io_reclaim_stall, reclaimed_pages, WEIR_U64, "pages", "What it freed"),
	F(struct weir_io_reclaim_stall, by, WEIR_ENUM32, "",
	  "direct: the node was short; memcg: its cgroup was", .names = RECLAIMERS),
	F(struct weir_io_reclaim_stall, comm, WEIR_CHARS, "", "Name of the thread"),
};

#define S struct weir_io_summary
static const struct weir_field summary_fields[] = {
	F(S, interval_ns, WEIR_U64, "ns", "Time the record covers"),
	F(S, lookup_pages, WEIR_U64, "pages", "Pages asked for"),
	F(S, miss_pages, WEIR_U64, "pages", "Of them not in the page cache"),
	F(S, reads, WEIR_U64, "operations", "Reads"),
	F(S, read_bytes, WEIR_U64, "bytes", "Bytes they returned"),
	F(S, reads_missed, WEIR_U64, "operations", "Reads that missed at least one page"),
	F(S, writes, WEIR_U64, "operations", "Writes"),
	F(S, write_bytes, WEIR_U64, "bytes", "Bytes they took"),
	F(S, fill_demand, WEIR_U64, "pages", "Pages added because they were asked for"),
	F(S, fill_readahead, WEIR_U64, "pages", "Pages added ahead of a read"),
	F(S, fill_willneed, WEIR_U64, "pages", "Pages added on advice"),
	F(S, fill_write, WEIR_U64, "pages", "Pages added by writes"),
	F(S, fill_fault, WEIR_U64, "pages", "Pages added by faults on mapped files"),
	F(S, fill_other, WEIR_U64, "pages", "Pages added for other reasons"),
	F(S, evict_reclaim, WEIR_U64, "pages", "Pages evicted to free memory"),
	F(S, evict_dontneed, WEIR_U64, "pages", "Pages dropped on advice"),
	F(S, evict_truncate, WEIR_U64, "pages", "Pages deleted with their data"),
	F(S, read_p50_us, WEIR_U64, "us", "Median read latency, upper bound of its bucket"),
	F(S, read_p99_us, WEIR_U64, "us", "99th percentile of read latency"),
	F(S, write_p50_us, WEIR_U64, "us", "Median write latency"),
	F(S, write_p99_us, WEIR_U64, "us", "99th percentile of write latency"),
};
#undef S

#define WORK_FIELDS(s)                                                                 \
	F(s, reads, WEIR_U64, "operations", "Reads"),                                  \
	F(s, read_bytes, WEIR_U64, "bytes", "Bytes they returned"),                    \
	F(s, lookup_pages, WEIR_U64, "pages", "Pages asked for"),                      \
	F(s, miss_pages, WEIR_U64, "pages", "Of them not in the page cache"),          \
	F(s, fill_pages, WEIR_U64, "pages", "Pages added to the cache"),               \
	F(s, writes, WEIR_U64, "operations", "Writes"),                                \
	F(s, write_bytes, WEIR_U64, "bytes", "Bytes they took")
#define S struct weir_io_process_sum
static const struct weir_field process_fields[] = {
	F(S, interval_ns, WEIR_U64, "ns", "Time the record covers"),
	F(S, pid, WEIR_U32, "", "Process"),
	F(S, comm, WEIR_CHARS, "", "Its name"),
	WORK_FIELDS(S),
	F(S, read_ns, WEIR_U64, "ns", "Time spent in reads"),
	F(S, write_ns, WEIR_U64, "ns", "Time spent in writes"),
};
#undef S
#define S struct weir_io_cgroup_sum
static const struct weir_field cgroup_fields[] = {
	F(S, interval_ns, WEIR_U64, "ns", "Time the record covers"),
	F(S, path, WEIR_CHARS, "", "Path of the cgroup"),
	F(S, processes, WEIR_U64, "processes", "Processes in it that did something"),
	WORK_FIELDS(S),
};
#undef S
#define S struct weir_io_device_sum
static const struct weir_field device_fields[] = {
	F(S, interval_ns, WEIR_U64, "ns", "Time the record covers"),
	F(S, name, WEIR_CHARS, "", "Block device"),
	F(S, reads, WEIR_U64, "operations", "Reads completed"),
	F(S, read_bytes, WEIR_U64, "bytes", "Bytes read"),
	F(S, writes, WEIR_U64, "operations", "Writes completed"),
	F(S, write_bytes, WEIR_U64, "bytes", "Bytes written"),
	F(S, flushes, WEIR_U64, "operations", "Flushes completed"),
	F(S, discards, WEIR_U64, "operations", "Discards completed"),
	F(S, read_p50_us, WEIR_U64, "us", "Median time of a read, upper bound of its bucket"),
	F(S, read_p99_us, WEIR_U64, "us", "99th percentile of a read's time"),
	F(S, write_p50_us, WEIR_U64, "us", "Median time of a write"),
	F(S, write_p99_us, WEIR_U64, "us", "99th percentile of a write's time"),
};
#undef S
#define S struct weir_io_memory
static const struct weir_field memory_fields[] = {
	F(S, interval_ns, WEIR_U64, "ns", "Time the record covers"),
	F(S, scanned_kswapd, WEIR_U64, "pages", "Pages kswapd looked at"),
	F(S, scanned_direct, WEIR_U64, "pages", "Pages looked at in direct reclaim"),
	F(S, scanned_memcg, WEIR_U64, "pages", "Pages looked at for a cgroup's limit"),
	F(S, reclaimed_kswapd, WEIR_U64, "pages", "Pages kswapd freed"),
	F(S, reclaimed_direct, WEIR_U64, "pages", "Pages freed in direct reclaim"),
	F(S, reclaimed_memcg, WEIR_U64, "pages", "Pages freed for a cgroup's limit"),
	F(S, stalls, WEIR_U64, "stalls", "Times a task had to free memory itself"),
	F(S, stall_ns, WEIR_U64, "ns", "Time tasks spent doing so"),
	F(S, processes, WEIR_U64, "processes", "Processes that had to"),
};
#undef S

#define S struct weir_io_target
static const struct weir_field target_fields[] = {
	F(S, pid, WEIR_U32, "", "Process"),
	F(S, tid, WEIR_U32, "", "Thread that took the name"),
	F(S, comm, WEIR_CHARS, "", "The name, as the filter selects it"),
};
#undef S

#define SCHEMA(n, t, st, f, pr, d)                                                     \
	{ .name = n, .topic = t, .version = 1, .size = sizeof(st), .priority = pr,     \
	  .fields = WEIR_TABLE(f), .doc = d }
const struct weir_schema io_schemas[WEIR_IO_KINDS] = {
	[WEIR_IO_SLOW] = SCHEMA("io_slow", "io", struct weir_io_slow, slow_fields, 1,
		"A read or write that took longer than the option slow"),
	[WEIR_IO_FADVISE] = SCHEMA("io_fadvise", "io", struct weir_io_fadvise, fadvise_fields, 0,
		"One fadvise64 call"),
	[WEIR_IO_RECLAIM_STALL] = SCHEMA("reclaim_stall", "memory", struct weir_io_reclaim_stall,
		stall_fields, 1, "A task had to free memory itself"),
	[WEIR_IO_SUMMARY] = SCHEMA("io_summary", "io", struct weir_io_summary, summary_fields, 2,
		"The page cache in one interval"),
	[WEIR_IO_PROCESS] = SCHEMA("io_process", "io", struct weir_io_process_sum, process_fields, 2,
		"What one process did in one interval"),
	[WEIR_IO_CGROUP] = SCHEMA("io_cgroup", "io", struct weir_io_cgroup_sum, cgroup_fields, 2,
		"What the processes of one cgroup did in one interval"),
	[WEIR_IO_DEVICE] = SCHEMA("io_device", "io", struct weir_io_device_sum, device_fields, 2,
		"What one block device did in one interval"),
	[WEIR_IO_MEMORY] = SCHEMA("memory_reclaim", "memory", struct weir_io_memory, memory_fields, 2,
		"Reclaim in one interval"),
	[WEIR_IO_TARGET] = SCHEMA("io_target", "io", struct weir_io_target, target_fields, 2,
		"A task took a name that the filter comm selects"),
};

/* ---- once per interval -------------------------------------------------------------- */

static void emit_summary(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	const struct weir_io_cpu *d = &m->delta;
	__u64 reads[WEIR_IO_BUCKETS], writes[WEIR_IO_BUCKETS];
	struct io_sums s;

	io_sums(m, d, m->sampled_delta, &s);
	io_latency(d, false, reads);
	io_latency(d, true, writes);
	const struct weir_io_summary r = {
		.interval_ns = m->interval_taken_ns,
		.lookup_pages = s.lookups, .miss_pages = s.misses,
		.reads = s.reads, .read_bytes = s.read_bytes, .reads_missed = d->read_ops_missed,
		.writes = s.writes, .write_bytes = s.write_bytes,
		.fill_demand = d->fill_pages[WEIR_IO_FILL_DEMAND],
		.fill_readahead = d->fill_pages[WEIR_IO_FILL_READAHEAD],
		.fill_willneed = d->fill_pages[WEIR_IO_FILL_WILLNEED],
		.fill_write = d->fill_pages[WEIR_IO_FILL_WRITE],
		.fill_fault = d->fill_pages[WEIR_IO_FILL_FAULT],
		.fill_other = d->fill_pages[WEIR_IO_FILL_OTHER],
		.evict_reclaim = d->evict_pages[WEIR_IO_EVICT_RECLAIM],
		.evict_dontneed = d->evict_pages[WEIR_IO_EVICT_DONTNEED],
		.evict_truncate = d->evict_pages[WEIR_IO_EVICT_TRUNCATE],
		.read_p50_us = io_quantile_us(reads, 0.5), .read_p99_us = io_quantile_us(reads, 0.99),
		.write_p50_us = io_quantile_us(writes, 0.5), .write_p99_us = io_quantile_us(writes, 0.99),
	};

	if (s.lookups | s.misses | s.reads | s.writes | r.fill_write | r.fill_other |
	    r.evict_reclaim | r.evict_dontneed | r.evict_truncate)
		weir_emit(p, WEIR_IO_SUMMARY, &r, sizeof r);
}

static void emit_processes(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	for (size_t i = 0; i < m->process_count; i++) {
		const struct io_process *e = &m->processes[i];
		const struct io_work *w = &e->delta;

		if (!io_work_any(w))
			continue;
		struct weir_io_process_sum r = {
			.interval_ns = m->interval_taken_ns, .pid = e->pid,
			.reads = w->reads, .read_bytes = w->read_bytes, .read_ns = w->read_ns,
			.lookup_pages = w->lookup_pages, .miss_pages = w->miss_pages,
			.fill_pages = w->fill_pages, .writes = w->writes,
			.write_bytes = w->write_bytes, .write_ns = w->write_ns,
		};
		memcpy(r.comm, e->comm, sizeof r.comm);
		weir_emit(p, WEIR_IO_PROCESS, &r, sizeof r);
	}
}

static void emit_cgroups(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	for (size_t i = 0; i < m->cgroup_count; i++) {
		const struct io_cgroup *g = &m->cgroups[i];

		if (!g->processes)
			continue;
		struct weir_io_cgroup_sum r = {
			.interval_ns = m->interval_taken_ns, .processes = g->processes,
			.reads = g->delta.reads, .read_bytes = g->delta.read_bytes,
			.lookup_pages = g->delta.lookup_pages, .miss_pages = g->delta.miss_pages,
			.fill_pages = g->delta.fill_pages, .writes = g->delta.writes,
			.write_bytes = g->delta.write_bytes,
		};
		memcpy(r.path, g->path, sizeof r.path);
		weir_emit(p, WEIR_IO_CGROUP, &r, sizeof r);
	}
}

static void emit_disks(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	for (size_t i = 0; i < m->disk_count; i++) {
		const struct weir_io_block_counts *b = m->disks[i].delta.op;
		const __u64 *read = b[WEIR_IO_BLOCK_READ].device_bucket;
		const __u64 *write = b[WEIR_IO_BLOCK_WRITE].device_bucket;
		struct weir_io_device_sum r = {
			.interval_ns = m->interval_taken_ns, .device = m->disks[i].dev,
			.reads = io_bucket_sum(read), .read_bytes = b[WEIR_IO_BLOCK_READ].bytes,
			.writes = io_bucket_sum(write), .write_bytes = b[WEIR_IO_BLOCK_WRITE].bytes,
			.flushes = io_bucket_sum(b[WEIR_IO_BLOCK_FLUSH].device_bucket),
			.discards = io_bucket_sum(b[WEIR_IO_BLOCK_DISCARD].device_bucket),
			.read_p50_us = io_quantile_us(read, 0.5), .read_p99_us = io_quantile_us(read, 0.99),
			.write_p50_us = io_quantile_us(write, 0.5),
			.write_p99_us = io_quantile_us(write, 0.99),
		};

		memcpy(r.name, m->disks[i].name, sizeof r.name);
		if (r.reads | r.writes | r.flushes | r.discards)
			weir_emit(p, WEIR_IO_DEVICE, &r, sizeof r);
	}
}

static void emit_memory(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	const struct weir_io_cpu *d = &m->delta;
	const struct weir_io_memory r = {
		.interval_ns = m->interval_taken_ns,
		.scanned_kswapd = d->scanned[0], .scanned_direct = d->scanned[1],
		.scanned_memcg = d->scanned[2], .reclaimed_kswapd = d->reclaimed[0],
		.reclaimed_direct = d->reclaimed[1], .reclaimed_memcg = d->reclaimed[2],
		.stalls = d->stalls[0] + d->stalls[1], .stall_ns = d->stall_ns[0] + d->stall_ns[1],
		.processes = m->reclaim_processes,
	};

	if (r.scanned_kswapd | r.scanned_direct | r.scanned_memcg | r.stalls)
		weir_emit(p, WEIR_IO_MEMORY, &r, sizeof r);
}

void io_records(struct weir_plugin *p)
{
	emit_summary(p);
	emit_processes(p);
	emit_cgroups(p);
	emit_disks(p);
	emit_memory(p);
}
