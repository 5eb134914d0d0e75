/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: sums over CPUs, differences, quantiles. The counters are monotonic
 * and each is written by one CPU only, so a read in the middle of an update is
 * late by one event, never wrong.
 */
#include "iomonitor.h"

#include <string.h>

#define WORDS (sizeof(struct weir_io_cpu) / sizeof(uint64_t))
_Static_assert(sizeof(struct weir_io_cpu) % sizeof(uint64_t) == 0, "counters are words");

void io_sum(struct iomonitor *m)
{
	uint64_t *total = (uint64_t *)&m->total;

	memset(total, 0, sizeof m->total);
	for (uint32_t i = 0; i < m->cpus; i++) {
		const volatile uint64_t *c = (const volatile uint64_t *)
			((const volatile char *)m->cpu + i * m->cpu_size);

		for (size_t w = 0; w < WORDS; w++)
			total[w] += c[w];
	}
}

void io_difference(struct iomonitor *m)
{
	const uint64_t *total = (const uint64_t *)&m->total;
	uint64_t *last = (uint64_t *)&m->last, *delta = (uint64_t *)&m->delta;

	for (size_t w = 0; w < WORDS; w++) {
		delta[w] = total[w] - last[w];
		last[w] = total[w];
	}
	m->sampled_delta = m->sampled_pages - m->sampled_last;
	m->sampled_last = m->sampled_pages;
}

uint64_t io_bucket_sum(const __u64 *buckets)
{
	uint64_t n = 0;

	for (int i = 0; i < WEIR_IO_BUCKETS; i++)
		n += buckets[i];
	return n;
}

uint64_t io_quantile_us(const __u64 *buckets, double q)
{
	uint64_t n = io_bucket_sum(buckets), below = 0;

	for (int i = 0; n && i < WEIR_IO_BUCKETS; i++) {
		below += buckets[i];
		if ((double)below >= q * (double)n)
			return 1ull << i;
	}
	return 0;
}

void io_latency(const struct weir_io_cpu *c, bool writes, __u64 *ret_buckets)
{
	memset(ret_buckets, 0, WEIR_IO_BUCKETS * sizeof *ret_buckets);
	for (int op = 1; op < WEIR_IO_TIMED; op++) {
		if (writes ? !WEIR_IO_IS_WRITE(op) : !WEIR_IO_IS_READ(op))
			continue;
		for (int i = 0; i < WEIR_IO_BUCKETS; i++)
			ret_buckets[i] += c->op[op].bucket[i];
	}
}

void io_sums(const struct iomonitor *m, const struct weir_io_cpu *c, uint64_t sampled,
             struct io_sums *ret)
{
	memset(ret, 0, sizeof *ret);
	for (int op = 1; op < WEIR_IO_TIMED; op++) {
		uint64_t n = io_bucket_sum(c->op[op].bucket);

		if (WEIR_IO_IS_READ(op)) {
			ret->reads += n;
			ret->read_bytes += c->op[op].bytes;
		} else if (WEIR_IO_IS_WRITE(op)) {
			ret->writes += n;
			ret->write_bytes += c->op[op].bytes;
		}
	}
	ret->reads += c->uring_ops;
	ret->read_bytes += c->uring_bytes;
	if (m->calls)
		ret->lookups = c->lookup_pages + c->uring_lookup_pages;
	else if (m->sampling)
		ret->lookups = sampled;
	else
		ret->lookups = c->got_lookup_pages;
	ret->lookups += c->fault_lookups + c->map_lookups;
	for (int i = 0; i < WEIR_IO_PATH_COUNT; i++)
		ret->misses += c->miss_pages[i];
	ret->fills = c->fill_pages[WEIR_IO_FILL_DEMAND] + c->fill_pages[WEIR_IO_FILL_READAHEAD] +
	             c->fill_pages[WEIR_IO_FILL_WILLNEED];
}
