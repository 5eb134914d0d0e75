/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics registry: a set per plugin (and one of the daemon's own), each
 * with its declared metrics and their series. A set is written by its owner's
 * thread and read by any: values are atomic, the list of series has a lock.
 */
#ifndef WEIR_CORE_METRICS_H
#define WEIR_CORE_METRICS_H

#include <weir/metric.h>

/* Bound: 4096 series a set, about 1 MB of exposition: more would hurt the
 * scraper first. Overflow is counted in weir_metric_series_dropped_total. */
#define WEIR__MAX_SERIES 4096

struct weir__metrics_set;

/* metrics: rows of struct weir_metric, must outlive the set. Registers it. */
struct weir__metrics_set *weir__metrics_set_new(const char *plugin, const struct weir_table *metrics);
void weir__metrics_set_free(struct weir__metrics_set *set); /* NULL is fine */
uint64_t weir__metrics_set_dropped(const struct weir__metrics_set *set);
size_t weir__metrics_set_count(const struct weir__metrics_set *set);

/* The functions behind the host vtable; NULL series are ignored. */
struct weir_series *weir__series(struct weir__metrics_set *set, uint32_t metric,
                                 const char *const *label_values);
void weir__series_set(struct weir_series *s, double value);
void weir__series_add(struct weir_series *s, double value);
void weir__series_histogram(struct weir_series *s, const uint64_t *buckets, double sum);
void weir__series_absent(struct weir_series *s);
void weir__series_free(struct weir_series *s);
/* Whether walks meet it; they do from the beginning. Main thread. */
void weir__metrics_set_show(struct weir__metrics_set *set, bool on);
/* For a set that is filled from elsewhere: those not looked for between mark and sweep
 * are freed. By the set's one writer. */
void weir__metrics_mark(struct weir__metrics_set *set);
void weir__metrics_sweep(struct weir__metrics_set *set);
/* All sets; samples of one metric come together. Any thread. */
int weir__metrics_walk(weir_sample_cb cb, void *arg);

#endif
