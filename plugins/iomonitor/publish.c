/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: the table made of metrics.h, counters on every scrape, rates once per
 * interval. A rate without events is absent: 0 of 0 is neither 0 nor 100 %.
 */
#include "iomonitor.h"

#include <string.h>

/* Upper bounds in us: 2^0 .. 2^26; what is longer is +Inf. */
static const double buckets[WEIR_IO_BUCKETS - 1] = {
	1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536,
	131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864,
};

/* The same in seconds. */
static const double seconds[WEIR_IO_BUCKETS - 1] = {
	1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6, 128e-6, 256e-6, 512e-6, 1024e-6, 2048e-6,
	4096e-6, 8192e-6, 16384e-6, 32768e-6, 65536e-6, 131072e-6, 262144e-6, 524288e-6,
	1048576e-6, 2097152e-6, 4194304e-6, 8388608e-6, 16777216e-6, 33554432e-6, 67108864e-6,
};

const struct weir_metric io_metrics[M_COUNT] = {
#define X(i, n, t, u, l, h)                                                                        \
	[i] = { .name = n, .type = t, .unit = u, .labels = l, .help = h,                           \
		.bucket_count = t == WEIR_HISTOGRAM ? WEIR_IO_BUCKETS - 1 : 0,                     \
		.buckets = t != WEIR_HISTOGRAM ? NULL : i == M_LATENCY ? buckets : seconds },
	IOMONITOR_METRICS(X)
#undef X
};

const char *const io_op_names[WEIR_IO_OP_COUNT] = {
	[WEIR_IO_NONE] = "none",
#define X(id, label, x86, arm) [WEIR_IO_##id] = #label,
	WEIR_IO_OPS(X)
#undef X
};
const char *const io_block_op_names[WEIR_IO_BLOCK_OPS] = {
	"read", "write", "flush", "discard", "other" };

#define X(id, label) #label,
static const char *const fill_names[] = { WEIR_IO_FILLS(X) };
static const char *const evict_names[] = { WEIR_IO_EVICTS(X) };
static const char *const path_names[] = { WEIR_IO_PATHS(X) };
static const char *const reclaimer_names[] = { WEIR_IO_RECLAIMERS(X) };
static const char *const advice_names[] = { WEIR_IO_ADVICES(X) };
#undef X

#define SOURCE "bpf"

static void histogram(struct weir_plugin *p, uint32_t metric, const char *const *labels,
                      const __u64 *b, double sum)
{
	p->host->series_histogram(p->host->series(p, metric, labels), (const uint64_t *)b, sum);
}

static void publish_ops(struct weir_plugin *p, const struct weir_io_cpu *c)
{
	uint64_t reads = c->uring_ops;

	for (int op = 1; op < WEIR_IO_FADVISE64; op++) {
		const struct weir_io_op_counts *o = &c->op[op];
		uint64_t n = io_bucket_sum(o->bucket);
		bool read = WEIR_IO_IS_READ(op);

		reads += read ? n : 0;
		if (!n)
			continue; /* not a series for every call nobody makes */
		weir_set(p, read ? M_READ_OPS : M_WRITE_OPS, (double)n, io_op_names[op], SOURCE);
		weir_set(p, read ? M_READ_BYTES : M_WRITE_BYTES, (double)o->bytes,
		         io_op_names[op], SOURCE);
		histogram(p, M_LATENCY, (const char *const[]){ io_op_names[op], SOURCE, NULL },
		          o->bucket, (double)o->ns / 1e3);
	}
	if (c->uring_ops) {
		weir_set(p, M_READ_OPS, (double)c->uring_ops, "io_uring", SOURCE);
		weir_set(p, M_READ_BYTES, (double)c->uring_bytes, "io_uring", SOURCE);
	}
	weir_set(p, M_OPS_MISSED, (double)c->read_ops_missed, SOURCE);
	if (((struct iomonitor *)weir_state(p))->calls)
		weir_set(p, M_OPS, (double)reads, SOURCE);
}

static void publish_cache(struct weir_plugin *p, const struct weir_io_cpu *c)
{
	struct iomonitor *m = weir_state(p);
	uint64_t read_lookups = m->calls ? c->lookup_pages
	                      : m->sampling ? m->sampled_pages : c->got_lookup_pages;

	for (int i = 0; i < WEIR_IO_FILL_COUNT; i++)
		weir_set(p, M_ADDED, (double)c->fill_pages[i], fill_names[i], SOURCE);
	for (int i = 0; i < WEIR_IO_EVICT_COUNT; i++)
		weir_set(p, M_EVICTED, (double)c->evict_pages[i], evict_names[i], SOURCE);
	for (int i = 0; i < WEIR_IO_PATH_COUNT; i++)
		weir_set(p, M_MISSES, (double)c->miss_pages[i], path_names[i], SOURCE);
	if (m->calls || m->lookup_way != IO_LOOKUPS_OFF)
		weir_set(p, M_LOOKUPS, (double)read_lookups, path_names[WEIR_IO_PATH_READ], SOURCE);
	weir_set(p, M_LOOKUPS, (double)(c->fault_lookups + c->map_lookups),
	         path_names[WEIR_IO_PATH_MMAP], SOURCE);
	/* With the calls off, get_pages has counted io_uring's reads already. */
	if (m->calls)
		weir_set(p, M_LOOKUPS, (double)c->uring_lookup_pages,
		         path_names[WEIR_IO_PATH_URING], SOURCE);
	if (!m->calls)
		return;
	for (int i = 0; i <= WEIR_IO_ADVICE_INVALID; i++)
		weir_set(p, M_FADVISE_CALLS, (double)c->fadvise_calls[i], advice_names[i], SOURCE);
	weir_set(p, M_DONTNEED_RESIDENT, (double)c->dontneed_resident, SOURCE);
}

static void publish_reclaim(struct weir_plugin *p, const struct weir_io_cpu *c)
{
	for (int i = 0; i < WEIR_IO_BY_COUNT; i++) {
		weir_set(p, M_SCANNED, (double)c->scanned[i], reclaimer_names[i], SOURCE);
		weir_set(p, M_RECLAIMED, (double)c->reclaimed[i], reclaimer_names[i], SOURCE);
	}
	for (int i = 0; i < 2; i++) {
		const char *by = i ? "memcg" : "direct";

		weir_set(p, M_STALLS, (double)c->stalls[i], by, SOURCE);
		weir_set(p, M_STALL_SECONDS, (double)c->stall_ns[i] / 1e9, by, SOURCE);
	}
}

static void publish_disks(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	for (size_t i = 0; i < m->disk_count; i++)
		for (int op = 0; op < WEIR_IO_BLOCK_OPS; op++) {
			const struct weir_io_block_counts *b = &m->disks[i].now.op[op];
			const char *labels[] = { m->disks[i].name, io_block_op_names[op], SOURCE, NULL };

			if (!io_bucket_sum(b->device_bucket))
				continue;
			p->host->series_set(p->host->series(p, M_BLOCK_BYTES, labels),
			                    (double)b->bytes);
			histogram(p, M_BLOCK_LATENCY, labels, b->device_bucket, (double)b->device_ns / 1e9);
			if (b->queued)
				histogram(p, M_BLOCK_QUEUE, labels, b->queue_bucket, (double)b->queue_ns / 1e9);
		}
}

void io_publish(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	const struct weir_io_cpu *c = &m->total;

	publish_ops(p, c);
	publish_cache(p, c);
	publish_reclaim(p, c);
	publish_disks(p);
	weir_set(p, M_OVERFLOW, (double)(c->enter_task_overflow + c->add_task_overflow), "tasks");
	weir_set(p, M_OVERFLOW, (double)(c->process_overflow + m->process_dropped), "processes");
	weir_set(p, M_OVERFLOW, (double)c->hint_overflow, "hints");
	weir_set(p, M_OVERFLOW, (double)c->block_overflow, "requests");
	weir_set(p, M_OVERFLOW, (double)(c->stall_overflow[0] + c->stall_overflow[1]), "stalls");
}

/* ---- rates ------------------------------------------------------------------------ */

/* scale x part / whole, or absent. */
static void rate(struct weir_plugin *p, uint32_t metric, const char *const *labels,
                 double scale, double part, double whole)
{
	struct weir_series *s = p->host->series(p, metric, labels);

	if (whole > 0)
		p->host->series_set(s, scale * part / whole);
	else
		p->host->series_absent(s);
}
#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

void io_publish_rates(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	const struct weir_io_cpu *d = &m->delta;
	const char *const *cache = LABELS(SOURCE, m->quality);
	uint64_t ok = 0, calls = 0;
	struct io_sums s;

	io_sums(m, d, m->sampled_delta, &s);
	rate(p, M_MISS_RATE, cache, 100, (double)s.misses, (double)s.lookups);
	rate(p, M_HIT_RATE, cache, 100, (double)s.lookups - (double)s.misses, (double)s.lookups);
	rate(p, M_EFFICIENCY, cache, 1, (double)s.lookups - (double)s.fills, (double)s.lookups);
	for (int i = 0; i < 8; i++) {
		ok += d->fadvise_ok[i];
		calls += d->fadvise_calls[i];
	}
	rate(p, M_FADVISE_RATE, LABELS(SOURCE), 100, (double)ok, (double)calls);
	rate(p, M_WILLNEED_MISS, LABELS(SOURCE), 1, (double)d->hinted_miss_pages,
	     (double)d->hinted_lookup_pages);
	rate(p, M_DONTNEED_EVICT, LABELS(SOURCE, "approx"), 1,
	     (double)d->evict_pages[WEIR_IO_EVICT_DONTNEED], (double)d->dontneed_resident);
	for (int i = 0; i < WEIR_IO_BY_COUNT; i++)
		rate(p, M_RECLAIM_EFFICIENCY, LABELS(reclaimer_names[i], SOURCE), 100,
		     (double)d->reclaimed[i], (double)d->scanned[i]);
	weir_set(p, M_RECLAIM_PROCESSES, (double)m->reclaim_processes, SOURCE);
	weir_set(p, M_TASKS, (double)m->live_tasks);
	weir_set(p, M_PROCESSES, (double)m->process_count);
}
