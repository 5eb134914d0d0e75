/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page against a registry made by hand: its exact text, what must be left out,
 * and what promtool says of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/testhost.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double bounds[] = { 1e-6, 0.1, 2.5, 1e22 };
static const struct weir_metric
	bare = { .name = "bare", .type = WEIR_GAUGE, .labels = "", .help = "No label" },
	reads = { .name = "reads_total", .type = WEIR_COUNTER, .labels = "device op", .help = "Reads \\ and \"more\"\nof it" },
	reads_other = { .name = "reads_total", .type = WEIR_COUNTER, .labels = "op device", .help = "Not shown" },
	reads_gauge = { .name = "reads_total", .type = WEIR_GAUGE, .labels = "device", .help = "Another type" },
	latency = { .name = "latency_seconds", .type = WEIR_HISTOGRAM, .labels = "op", .help = "Latency",
	            .buckets = bounds, .bucket_count = 4 },
	bad_name = { .name = "no-name", .type = WEIR_GAUGE, .labels = "", .help = "Bad" },
	bad_label = { .name = "odd", .type = WEIR_GAUGE, .labels = "a-b", .help = "Bad" },
	bad_le = { .name = "le_seconds", .type = WEIR_HISTOGRAM, .labels = "le", .help = "Bad", .buckets = bounds,
	           .bucket_count = 1 };

/* ---- a registry ------------------------------------------------------------------ */

static struct weir_sample samples[20000];
static size_t sample_count;
static int walk_error;
static char text[4 << 20];

#define LABELS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void add(const struct weir_metric *m, double value, const char *const *labels)
{
	samples[sample_count++] = (struct weir_sample){ .metric = m, .plugin = "p", .value = value, .label_values = labels };
}

static int walk(struct weir_plugin *p, weir_sample_cb cb, void *arg)
{
	size_t i;
	int err = 0;

	(void)p;
	for (i = 0; i < sample_count && !err; i++)
		err = cb(arg, &samples[i]);
	return err ? err : walk_error;
}

static struct weir_test *start(void)
{
	static struct weir_host host;
	struct weir_test *t = weir_test_new(&weir_plugin);
	struct weir_plugin *p = weir_test_plugin(t);

	sample_count = 0;
	walk_error = 0;
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, NULL), 0);
	host = *p->host;
	host.metrics_walk = walk;
	p->host = &host;
	return t;
}

static void page_is(struct weir_test *t, const char *expected)
{
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
	assert_string_equal(text, expected);
}

/* ---- the tests --------------------------------------------------------------------- */

/* One HELP and TYPE a family, histograms cumulated, bounds as short as they read back. */
static void test_text(void **state)
{
	static const uint64_t buckets[] = { 1, 0, 2, 3, 4 };
	struct weir_test *t = start();

	(void)state;
	add(&bare, 1.5, NULL);
	add(&latency, 0.3, LABELS("read"));
	samples[1].buckets = buckets;
	samples[1].count = 10;
	add(&reads, 12345678901234, LABELS("sda", "read"));
	add(&reads, 0.1, LABELS("sda", "write"));
	page_is(t, "# HELP bare No label\n# TYPE bare gauge\nbare 1.5\n"
	        "# HELP latency_seconds Latency\n# TYPE latency_seconds histogram\n"
	        "latency_seconds_bucket{op=\"read\",le=\"1e-06\"} 1\n"
	        "latency_seconds_bucket{op=\"read\",le=\"0.1\"} 1\n"
	        "latency_seconds_bucket{op=\"read\",le=\"2.5\"} 3\n"
	        "latency_seconds_bucket{op=\"read\",le=\"1e+22\"} 6\n"
	        "latency_seconds_bucket{op=\"read\",le=\"+Inf\"} 10\n"
	        "latency_seconds_sum{op=\"read\"} 0.3\nlatency_seconds_count{op=\"read\"} 10\n"
	        "# HELP reads_total Reads \\\\ and \"more\"\\nof it\n# TYPE reads_total counter\n"
	        "reads_total{device=\"sda\",op=\"read\"} 12345678901234\nreads_total{device=\"sda\",op=\"write\"} 0.1\n");
	assert_int_equal(weir_test_free(t), 0);
}

/* Label values cannot end their quotes, their line, or the encoding. */
static void test_escaping(void **state)
{
	struct weir_test *t = start();

	(void)state;
	add(&reads, NAN, LABELS("a\"b\\c\nd", "\x01\x7f\xff\xc3\xbc\xc2\x85\xed\xa0\x80"));
	add(&reads, INFINITY, LABELS("", "\xe2\x82"));
	add(&reads, -INFINITY, LABELS("", "\xf0\x9f\x90\x9d"));
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
	assert_non_null(strstr(text, "\nreads_total{device=\"a\\\"b\\\\c\\nd\",op=\"\\\\x01\\\\x7f\\\\xff\xc3\xbc\\\\xc2\\\\x85"
	                       "\\\\xed\\\\xa0\\\\x80\"} NaN\n"));
	assert_non_null(strstr(text, "{device=\"\",op=\"\\\\xe2\\\\x82\"} +Inf\n"));
	assert_non_null(strstr(text, "{device=\"\",op=\"\xf0\x9f\x90\x9d\"} -Inf\n"));
	assert_int_equal(weir_test_free(t), 0);
}

/* Plugins may share a name; a second type and a second equal series are left out. */
static void test_shared_names(void **state)
{
	struct weir_test *t = start();

	(void)state;
	add(&reads, 1, LABELS("sda", "read"));
	add(&reads_other, 2, LABELS("read", "sdb"));
	add(&reads_other, 3, LABELS("read", "sda"));  /* the first again, in another order */
	add(&reads_gauge, 4, LABELS("sdc"));          /* another type */
	add(&reads, 5, LABELS("sd\xff", "read"));
	add(&reads, 6, LABELS("sd\\xff", "read"));    /* reads the same once escaped */
	add(&reads, 7, LABELS("sdz", ""));
	add(&reads, 8, LABELS("sda", "read"));
	page_is(t, "# HELP reads_total Reads \\\\ and \"more\"\\nof it\n# TYPE reads_total counter\n"
	        "reads_total{device=\"sda\",op=\"read\"} 1\nreads_total{op=\"read\",device=\"sdb\"} 2\n"
	        "reads_total{device=\"sd\\\\xff\",op=\"read\"} 5\nreads_total{device=\"sdz\",op=\"\"} 7\n");
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "weir_prometheus_series_dropped_total", "conflict") == 1);
	assert_true(weir_test_metric(t, "weir_prometheus_series_dropped_total", "duplicate") == 3);
	assert_int_equal(weir_test_free(t), 0);
}

/* Names that a scraper does not allow are left out and counted. */
static void test_bad_names(void **state)
{
	static const uint64_t buckets[] = { 1, 1 };
	struct weir_test *t = start();

	(void)state;
	add(&bad_le, 1, LABELS("x"));
	samples[0].buckets = buckets;
	add(&bad_name, 1, NULL);
	add(&bad_name, 1, NULL);
	add(&bad_label, 1, LABELS("x"));
	add(&bare, 1, NULL);
	page_is(t, "# HELP bare No label\n# TYPE bare gauge\nbare 1\n");
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "weir_prometheus_series_dropped_total", "bad_name") == 4);
	assert_int_equal(weir_test_free(t), 0);
}

/* A registry that cannot be read fails the scrape with a reason. */
static void test_walk_fails(void **state)
{
	struct weir_test *t = start();

	(void)state;
	walk_error = -ENOMEM;
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), -ENOMEM);
	assert_non_null(strstr(text, "cannot read the metrics: Cannot allocate memory"));
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "weir_prometheus_scrapes_failed_total") == 1);
	assert_int_equal(weir_test_free(t), 0);
}

static char names[16000][24];

static void add_many(size_t n)
{
	static const char *labels[16000][3];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(names[i], sizeof names[i], "dev%zu", i);
		labels[i][0] = names[i];
		labels[i][1] = "read";
		add(&reads, (double)i, labels[i]);
	}
}

/* Thousands of series come out complete, also when memory for telling doubles fails. */
static void test_many(void **state)
{
	long n;

	(void)state;
	for (n = -1; n < 10; n++) {
		struct weir_test *t = start();
		size_t lines = 0;

		add_many(16000);
		weir_test_fail(t, WEIR_TEST_REALLOC, n);
		assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
		for (const char *at = text; (at = strchr(at, '\n')); at++)
			lines++;
		assert_int_equal(lines, 16002);
		assert_non_null(strstr(text, "\nreads_total{device=\"dev15999\",op=\"read\"} 15999\n"));
		weir_test_fail(t, WEIR_TEST_REALLOC, -1);
		weir_test_collect(t);
		assert_true(weir_test_metric(t, "weir_prometheus_scrape_series") == 16000);
		assert_true(weir_test_metric(t, "weir_prometheus_scrape_bytes") == (double)strlen(text));
		assert_int_equal(weir_test_free(t), 0);
	}
}

/* promtool has nothing to say about the page. */
static void test_promtool(void **state)
{
	static const uint64_t buckets[] = { 1, 0, 2, 3, 4 };
	char path[] = "/tmp/weir-test-metrics-XXXXXX", command[128];
	struct weir_test *t;
	FILE *f;
	int fd;

	(void)state;
	if (system("command -v promtool >/dev/null")) {
		print_message("SKIP: needs promtool (Debian package prometheus)\n");
		skip();
	}
	t = start();
	add(&bare, 1.5, NULL);
	add(&latency, 0.3, LABELS("re\"ad\\\n\x01\xff"));
	samples[1].buckets = buckets;
	add_many(1000);
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	fputs(text, f);
	fclose(f);
	snprintf(command, sizeof command, "promtool check metrics < %s", path);
	assert_int_equal(system(command), 0);
	remove(path);
	assert_int_equal(weir_test_free(t), 0);
}

/* The plugin's own metrics are there after a scrape. */
static void test_own_metrics(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin);

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, NULL), 0);
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
	assert_non_null(strstr(text, "\nweir_prometheus_scrapes_total 0\n"));
	assert_null(strstr(text, "weir_prometheus_scrape_bytes"));
	assert_int_equal(weir_test_query(t, "metrics", text, sizeof text), 0);
	assert_non_null(strstr(text, "\nweir_prometheus_scrapes_total 1\n"));
	assert_non_null(strstr(text, "\nweir_prometheus_scrape_bytes "));
	weir_test_stop(t);
	assert_int_equal(weir_test_free(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_shared_names),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_walk_fails),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_promtool),
		cmocka_unit_test(test_own_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
