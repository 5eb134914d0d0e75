/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A latency histogram: 16 buckets to each power of two, so a quantile is at most
 * 6 % above the truth, never below. From 0 to 2^64 ns; adding is a few ns.
 */
#ifndef WEIR_BENCH_HISTOGRAM_H
#define WEIR_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB 16
#define HISTOGRAM_BUCKETS (61 * HISTOGRAM_SUB)

struct histogram {
	uint64_t count, max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_index(uint64_t v)
{
	unsigned shift;

	if (v < HISTOGRAM_SUB)
		return (unsigned)v;
	shift = 59 - (unsigned)__builtin_clzll(v); /* highest bit - 4 */
	return shift * HISTOGRAM_SUB + (unsigned)(v >> shift);
}

/* The largest value that falls into bucket i. */
static inline uint64_t histogram_bound(unsigned i)
{
	unsigned shift = i < 2 * HISTOGRAM_SUB ? 0 : i / HISTOGRAM_SUB - 1;
	uint64_t top = i - shift * HISTOGRAM_SUB;

	return ((top + 1) << shift) - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t v, uint64_t n)
{
	h->bucket[histogram_index(v)] += n;
	h->count += n;
	if (v > h->max)
		h->max = v;
}

/* The value that a share q of all are at or below; 0 if there is none. */
static inline uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0;

	if (!h->count)
		return 0;
	if (rank >= h->count)
		rank = h->count - 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > rank)
			return histogram_bound(i) < h->max ? histogram_bound(i) : h->max;
	}
	return h->max;
}

#endif
