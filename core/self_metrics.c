/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the daemon's own metrics, made from the list in the header.
 */
#include "self_metrics.h"

#include <math.h>

/* A callback may take 2 ms in drain and 10 ms elsewhere (sdk): both are bounds,
 * so that an overrun is visible as such. */
const double weir__callback_buckets[WEIR__CALLBACK_BUCKETS] = {
	1e-6, 1e-5, 1e-4, 5e-4, 2e-3, 1e-2, 5e-2, 0.25, 1,
};

/* The poll interval of the three latency classes lies between 0.1 and 20 ms. */
const double weir__delivery_buckets[WEIR__DELIVERY_BUCKETS] = {
	1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1, 0.5, 2, 10,
};

static const struct weir_metric rows[] = {
#define V(index, kind, n, u, l, h)                                             \
	[WEIR__SELF_##index] = { .name = n, .type = WEIR_##kind, .unit = u, .labels = l, .help = h },
#define H(index, bounds, n, u, l, h)                                           \
	[WEIR__SELF_##index] = { .name = n, .type = WEIR_HISTOGRAM, .unit = u, .labels = l, .help = h, \
	                         .buckets = bounds,                            \
	                         .bucket_count = sizeof(bounds) / sizeof(bounds[0]) },
	WEIR__SELF_METRICS(V, H)
#undef V
#undef H
};

_Static_assert(WEIR__SELF_COUNT >= 40, "fewer metrics than promised");

const struct weir_table weir__self_metrics = WEIR_TABLE(rows);

double weir__quantile(const uint64_t *counts, const double *bounds, size_t n, double q)
{
	uint64_t total = 0, below = 0;
	double rank;

	for (size_t i = 0; i <= n; i++)
		total += counts[i];
	if (!total)
		return NAN;
	rank = q * (double)total;
	for (size_t i = 0; i < n; i++) {
		double low = i ? bounds[i - 1] : 0;

		if (counts[i] && (double)(below + counts[i]) >= rank)
			return low + (bounds[i] - low) * (rank - (double)below) / (double)counts[i];
		below += counts[i];
	}
	return bounds[n - 1];
}
