/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: declared in a table, set on the plugin's loop, read by the core at any
 * time. Names and units follow the Prometheus conventions.
 */
#ifndef WEIR_METRIC_H
#define WEIR_METRIC_H

#include "table.h"
#include <stdbool.h>

enum weir_metric_type { WEIR_COUNTER, WEIR_GAUGE, WEIR_HISTOGRAM };

struct weir_metric {
	const char *name;
	uint32_t type;         /* enum weir_metric_type */
	uint32_t bucket_count; /* HISTOGRAM: finite bounds; +Inf is implied */
	const char *unit;      /* "pages", "bytes", "seconds", "ratio", "" */
	const char *help;
	const char *labels;    /* label names separated by one space, or "" */
	const double *buckets; /* HISTOGRAM: upper bounds, increasing */
};

/* One metric with one set of label values. Owned by the host. */
struct weir_series;

/* One sample as metrics_walk() hands it out; valid during the call only. */
struct weir_sample {
	const struct weir_metric *metric;
	const char *plugin;              /* whose */
	const char *const *label_values; /* in the order of metric->labels */
	double value;                    /* COUNTER, GAUGE; HISTOGRAM: the sum */
	const uint64_t *buckets;         /* HISTOGRAM: bucket_count + 1, not cumulated */
	uint64_t count;                  /* HISTOGRAM: observations */
};
/* Called for every present sample, grouped by metric. Non-zero ends the walk. */
typedef int (*weir_sample_cb)(void *arg, const struct weir_sample *s);

#endif
