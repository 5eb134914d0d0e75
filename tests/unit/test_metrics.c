/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics registry and the daemon's own table: grouping, bounds, lifetimes,
 * out of memory, and threads (run it under the tsan preset).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mem.h"
#include "metrics.h"
#include "self_metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { READS, DEPTH, LATENCY };
static const double bounds[] = { 0.1, 1, 10 };
static const struct weir_metric metrics[] = {
	[READS] = { .name = "io_reads_total", .type = WEIR_COUNTER, .labels = "device op" },
	[DEPTH] = { .name = "io_depth", .type = WEIR_GAUGE, .labels = "" },
	[LATENCY] = { .name = "io_latency_seconds", .type = WEIR_HISTOGRAM, .labels = "device",
	              .buckets = bounds, .bucket_count = 3 },
};
static const struct weir_table table = WEIR_TABLE(metrics);
static const struct weir_metric others[] = {
	{ .name = "other", .type = WEIR_GAUGE, .labels = "" },
	{ .name = "io_reads_total", .type = WEIR_COUNTER, .labels = "device op" },
};
static const struct weir_table other_table = WEIR_TABLE(others);

#define LABELS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* Everything a walk says, as text. */
struct seen {
	char text[4096];
	size_t len, calls;
	int stop_after;
};

static int see(void *arg, const struct weir_sample *s)
{
	struct seen *v = arg;
	uint32_t i;

	v->calls++;
	v->len += (size_t)snprintf(v->text + v->len, sizeof v->text - v->len, "%s/%s", s->plugin, s->metric->name);
	if (s->metric->labels[0])
		v->len += (size_t)snprintf(v->text + v->len, sizeof v->text - v->len, "{%s}", s->label_values[0]);
	if (s->buckets)
		for (i = 0; i <= s->metric->bucket_count; i++)
			v->len += (size_t)snprintf(v->text + v->len, sizeof v->text - v->len, " %llu",
			                           (unsigned long long)s->buckets[i]);
	v->len += (size_t)snprintf(v->text + v->len, sizeof v->text - v->len, "=%g;", s->value);
	return v->stop_after && v->calls == (size_t)v->stop_after ? -EINTR : 0;
}

static void walk_says(const char *expected)
{
	struct seen v = { .len = 0 };

	assert_int_equal(weir__metrics_walk(see, &v), 0);
	assert_string_equal(v.text, expected);
}

/* A walk gives present samples only, those of one name together. */
static void test_walk_groups(void **state)
{
	struct weir__metrics_set *a = weir__metrics_set_new("a", &table);
	struct weir__metrics_set *b = weir__metrics_set_new("b", &other_table);
	uint64_t buckets[] = { 4, 3, 2, 1 };

	(void)state;
	walk_says("");
	weir__series_set(weir__series(b, 0, NULL), 7);
	weir__series_add(weir__series(a, READS, LABELS("sda", "read")), 2);
	weir__series_add(weir__series(a, READS, LABELS("sda", "read")), 3);
	weir__series_set(weir__series(a, READS, LABELS("sdb", "read")), 9);
	weir__series_set(weir__series(b, 1, LABELS("md0", "read")), 1);
	weir__series_histogram(weir__series(a, LATENCY, LABELS("sda")), buckets, 12.5);
	assert_non_null(weir__series(a, DEPTH, NULL)); /* made, but without a value */
	walk_says("a/io_latency_seconds{sda} 4 3 2 1=12.5;a/io_reads_total{sda}=5;"
	          "a/io_reads_total{sdb}=9;b/io_reads_total{md0}=1;b/other=7;");
	weir__series_absent(weir__series(a, READS, LABELS("sda", "read")));
	weir__metrics_set_free(b);
	walk_says("a/io_latency_seconds{sda} 4 3 2 1=12.5;a/io_reads_total{sdb}=9;");
	weir__series_add(weir__series(a, READS, LABELS("sda", "read")), 1);
	weir__series_free(weir__series(a, READS, LABELS("sdb", "read")));
	weir__series_free(weir__series(a, LATENCY, LABELS("sda")));
	walk_says("a/io_reads_total{sda}=1;");
	assert_int_equal(weir__metrics_set_count(a), 2);
	weir__metrics_set_free(a);
	walk_says("");
}

/* A callback's answer ends the walk and is the walk's answer. */
static void test_walk_ends(void **state)
{
	struct weir__metrics_set *a = weir__metrics_set_new("a", &table);
	struct seen v = { .stop_after = 1 };

	(void)state;
	weir__series_set(weir__series(a, DEPTH, NULL), 1);
	weir__series_set(weir__series(a, READS, LABELS("x", "y")), 1);
	assert_int_equal(weir__metrics_walk(see, &v), -EINTR);
	assert_int_equal(v.calls, 1);
	weir__metrics_set_free(a);
}

/* NULL sets and series, unknown metrics and missing labels do no harm. */
static void test_wrong_use(void **state)
{
	struct weir__metrics_set *a = weir__metrics_set_new("a", &table);
	uint64_t buckets[] = { 0, 0, 0, 0 };

	(void)state;
	assert_null(weir__series(NULL, 0, NULL));
	assert_null(weir__series(a, 3, NULL));
	weir__series_set(NULL, 1);
	weir__series_add(NULL, 1);
	weir__series_histogram(NULL, buckets, 1);
	weir__series_histogram(weir__series(a, DEPTH, NULL), buckets, 1); /* not a histogram */
	weir__series_absent(NULL);
	weir__series_free(NULL);
	weir__metrics_set_free(NULL);
	assert_ptr_equal(weir__series(a, READS, LABELS("sda")), weir__series(a, READS, LABELS("sda", "")));
	assert_ptr_not_equal(weir__series(a, READS, LABELS("sda", "")), weir__series(a, READS, LABELS("", "sda")));
	weir__metrics_set_free(a);
}

/* Beyond the bound a series is NULL and counted, and one given back makes room. */
static void test_bound(void **state)
{
	struct weir__metrics_set *a = weir__metrics_set_new("a", &table);
	struct weir_series *last = NULL;
	char label[512];
	int i;

	(void)state;
	for (i = 0; i < WEIR__MAX_SERIES; i++) {
		snprintf(label, sizeof label, "dev%d", i);
		last = weir__series(a, READS, LABELS(label, "read"));
		assert_non_null(last);
	}
	assert_null(weir__series(a, READS, LABELS("one more", "read")));
	assert_null(weir__series(a, READS, LABELS("one more", "read")));
	assert_ptr_equal(weir__series(a, READS, LABELS(label, "read")), last);
	assert_int_equal(weir__metrics_set_dropped(a), 2);
	assert_int_equal(weir__metrics_set_count(a), WEIR__MAX_SERIES);
	weir__series_free(last);
	memset(label, 'x', sizeof label);
	label[sizeof label - 1] = 0;
	last = weir__series(a, READS, LABELS(label, "read"));
	assert_non_null(last);
	label[300] = 'y'; /* beyond what is kept of a label */
	assert_ptr_equal(weir__series(a, READS, LABELS(label, "read")), last);
	weir__metrics_set_free(a);
}

/* Whichever allocation fails, nothing is left behind and the walk says -ENOMEM. */
static void test_out_of_memory(void **state)
{
	long live = weir__mem_live(), n;
	bool complete = false;

	(void)state;
	for (n = 0; !complete; n++) {
		struct seen v = { .len = 0 };
		struct weir__metrics_set *a;
		struct weir_series *s;
		int err;

		weir__mem_fail_at(n);
		a = weir__metrics_set_new("a", &table);
		s = weir__series(a, READS, LABELS("sda", "read"));
		weir__series_set(s, 1);
		err = weir__metrics_walk(see, &v);
		weir__mem_fail_at(-1);
		complete = a && s && !err;
		if (a && !s)
			assert_int_equal(weir__metrics_set_dropped(a), 1);
		assert_true(err == 0 || err == -ENOMEM);
		weir__metrics_set_free(a);
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n > 5);
}

/* ---- threads ---------------------------------------------------------------- */

static _Atomic bool done;

static int check_sample(void *arg, const struct weir_sample *s)
{
	(void)arg;
	if (s->buckets) /* sum and buckets were set together */
		assert_true(s->value == (double)s->count);
	else if (s->metric == &metrics[READS])
		assert_true(strlen(s->label_values[0]) > 0);
	return 0;
}

static void *reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&done))
		assert_int_equal(weir__metrics_walk(check_sample, NULL), 0);
	return NULL;
}

static void *writer(void *arg)
{
	const char *name = arg;
	int round, i;

	for (round = 0; round < 20; round++) {
		struct weir__metrics_set *set = weir__metrics_set_new(name, &table);
		char label[32];

		for (i = 0; i < 200; i++) {
			uint64_t n = (uint64_t)i, buckets[] = { n, n, n, n };

			snprintf(label, sizeof label, "dev%d", i % 50);
			weir__series_add(weir__series(set, READS, LABELS(label, name)), 1);
			weir__series_histogram(weir__series(set, LATENCY, LABELS(label)), buckets, 4 * (double)n);
			if (i % 7 == 0)
				weir__series_free(weir__series(set, READS, LABELS(label, name)));
			if (i % 11 == 0)
				weir__series_absent(weir__series(set, LATENCY, LABELS(label)));
		}
		weir__metrics_set_free(set);
	}
	return NULL;
}

/* Sets come, change and go under two walking readers. */
static void test_threads(void **state)
{
	pthread_t readers[2], writers[2];
	long live = weir__mem_live();
	int i;

	(void)state;
	atomic_store(&done, false);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, reader, NULL), 0);
	assert_int_equal(pthread_create(&writers[0], NULL, writer, "one"), 0);
	assert_int_equal(pthread_create(&writers[1], NULL, writer, "two"), 0);
	for (i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&done, true);
	for (i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(weir__mem_live(), live);
}

static struct weir__metrics_set *nested;

static int change_while_walking(void *arg, const struct weir_sample *s)
{
	(void)s;
	++*(int *)arg;
	weir__series_free(weir__series(nested, READS, LABELS("sda", "read")));
	weir__series_set(weir__series(nested, DEPTH, NULL), 3);
	return 0;
}

/* A callback of the walk may make and free series. */
static void test_change_while_walking(void **state)
{
	int calls = 0;

	(void)state;
	nested = weir__metrics_set_new("a", &table);
	weir__series_set(weir__series(nested, READS, LABELS("sda", "read")), 1);
	assert_int_equal(weir__metrics_walk(change_while_walking, &calls), 0);
	assert_int_equal(calls, 1);
	walk_says("a/io_depth=3;");
	weir__metrics_set_free(nested);
}

/* Each of the daemon's metrics has a unique, well-formed name, a help and, if
 * it is a counter, the ending _total. */
static void test_self_metrics(void **state)
{
	uint32_t i, j;

	(void)state;
	assert_true(weir__self_metrics.count >= 40);
	assert_int_equal(weir__self_metrics.count, WEIR__SELF_COUNT);
	for (i = 0; i < weir__self_metrics.count; i++) {
		const struct weir_metric *m = weir_table_row(&weir__self_metrics, i), *o;
		size_t n = strlen(m->name);

		assert_memory_equal(m->name, "weir_", 5);
		assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), n);
		assert_true(strlen(m->help) > 10);
		assert_int_equal(m->type == WEIR_COUNTER, n > 6 && !strcmp(m->name + n - 6, "_total"));
		assert_int_equal(m->type == WEIR_HISTOGRAM, m->bucket_count > 0);
		if (m->unit[0])
			assert_non_null(strstr(m->name, m->unit));
		for (j = 0; j < i; j++) {
			o = weir_table_row(&weir__self_metrics, j);
			assert_string_not_equal(m->name, o->name);
		}
		for (j = 1; j < m->bucket_count; j++)
			assert_true(m->buckets[j] > m->buckets[j - 1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk_groups),
		cmocka_unit_test(test_walk_ends),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_change_while_walking),
		cmocka_unit_test(test_self_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
