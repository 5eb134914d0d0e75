/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iomonitor's user side in the test host: what it makes of given counters, slots
 * and processes. What the programs count is tests/truth's matter.
 */
#include "iomonitor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <weir/testhost.h>

#include <cmocka.h>

#define TASKS 64
static struct weir_test *t;
static struct weir_io_cpu *cpu;
static struct weir_io_task *tasks;
static uint64_t *used;

/* The maps the plugin finds, empty. */
static void maps(struct weir_test *test)
{
	cpu = weir_test_array(test, "io_cpu", sizeof *cpu, 2);
	tasks = weir_test_array(test, "io_tasks", sizeof *tasks, TASKS);
	used = weir_test_array(test, "io_used", sizeof *used, 1);
	weir_test_map(test, "io_processes", 4, sizeof(struct weir_io_process));
	weir_test_map(test, "io_disk_stats", 4, sizeof(struct weir_io_device));
	weir_test_map(test, "io_hints", sizeof(struct weir_io_file), sizeof(struct weir_io_hint));
	weir_test_map(test, "io_reclaimers", 4, 8);
}

static void begin(const char *const *options)
{
	t = weir_test_new_with(&weir_plugin, options);
	maps(t);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
}
#define BEGIN(...) begin((const char *const[]){ "max_tasks=64", "max_processes=16", __VA_ARGS__ __VA_OPT__(,) NULL })

static int end(void **state)
{
	(void)state;
	if (t)
		assert_int_equal(weir_test_free(t), 0);
	t = NULL;
	return 0;
}

static void interval(void)
{
	weir_test_events_clear(t);
	weir_test_advance(t, WEIR_TEST_SECOND);
}

/* Slot i belongs to a task of this process. */
static struct weir_io_task *task(uint32_t i, uint32_t pid, const char *comm)
{
	tasks[i].owner = 0x1000 + i;
	tasks[i].tgid = pid;
	snprintf(tasks[i].comm, sizeof tasks[i].comm, "%s", comm);
	used[0] |= 1ull << i;
	return &tasks[i];
}

static const struct weir_io_process_sum *process(uint32_t pid)
{
	const struct weir_test_event *e;

	for (size_t i = 0; (e = weir_test_event_of(t, WEIR_IO_PROCESS, i)); i++) {
		const struct weir_io_process_sum *p = e->payload;

		if (p->pid == pid)
			return p;
	}
	return NULL;
}

/* ---- metrics ---------------------------------------------------------------------- */

static void test_rates_of_an_idle_node_are_absent(void **state)
{
	(void)state;
	BEGIN();
	interval();
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "")));
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_hit_rate_percent", "bpf", "")));
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_efficiency_ratio", "bpf", "")));
	assert_true(isnan(weir_test_metric(t, "ebpf_fadvise_success_rate_percent", "bpf")));
	assert_true(isnan(weir_test_metric(t, "ebpf_memory_reclaim_efficiency_percent", "direct", "bpf")));
	assert_int_equal(weir_test_event_count(t), 0);
}

static void test_rates_are_of_the_interval_and_go_away_with_the_load(void **state)
{
	(void)state;
	BEGIN();
	cpu[0].lookup_pages = 150;
	cpu[1].lookup_pages = 50;
	cpu[1].miss_pages[WEIR_IO_PATH_READ] = 20;
	cpu[0].fill_pages[WEIR_IO_FILL_DEMAND] = 20;
	cpu[0].fill_pages[WEIR_IO_FILL_READAHEAD] = 280;
	interval();
	assert_true(fabs(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "") - 10) < 1e-9);
	assert_true(fabs(weir_test_metric(t, "ebpf_cache_hit_rate_percent", "bpf", "") - 90) < 1e-9);
	/* Readahead read more than was asked for: negative, not clamped. */
	assert_true(fabs(weir_test_metric(t, "ebpf_cache_efficiency_ratio", "bpf", "") + 0.5) < 1e-9);
	interval();
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "")));
}

static void test_counters_are_fresh_at_every_scrape(void **state)
{
	(void)state;
	BEGIN();
	cpu[0].lookup_pages = 7;
	cpu[1].op[WEIR_IO_PREAD64].bucket[0] = 3;
	cpu[0].op[WEIR_IO_PREAD64].bucket[5] = 1;
	cpu[0].op[WEIR_IO_PREAD64].ns = 2500;
	cpu[0].op[WEIR_IO_PREAD64].bytes = 4096;
	assert_int_equal(weir_test_collect(t), 0);
	assert_int_equal(weir_test_metric(t, "weir_io_demand_lookup_pages_total", "read", "bpf"), 7);
	assert_int_equal(weir_test_metric(t, "ebpf_io_read_operations_total", "pread64", "bpf"), 4);
	assert_int_equal(weir_test_metric(t, "ebpf_io_read_bytes_total", "pread64", "bpf"), 4096);
	assert_int_equal(weir_test_metric(t, "weir_io_read_ops_total", "bpf"), 4);
	const uint64_t *b = weir_test_histogram(t, "ebpf_io_latency_microseconds", "pread64", "bpf");
	assert_int_equal(b[0], 3);
	assert_int_equal(b[5], 1);
	assert_true(fabs(weir_test_metric(t, "ebpf_io_latency_microseconds", "pread64", "bpf") - 2.5) < 1e-9);
}

static void test_every_design_name_is_declared(void **state)
{
	static const char *const names[] = {
		"ebpf_cache_miss_rate_percent", "ebpf_cache_hit_rate_percent",
		"ebpf_pages_added_to_cache_total", "ebpf_pages_evicted_from_cache_total",
		"ebpf_cache_efficiency_ratio", "ebpf_fadvise_calls_total",
		"ebpf_fadvise_success_rate_percent", "ebpf_cache_miss_rate_after_willneed",
		"ebpf_cache_eviction_rate_after_dontneed", "ebpf_io_read_operations_total",
		"ebpf_io_read_bytes_total", "ebpf_io_latency_microseconds",
		"ebpf_memory_direct_reclaim_processes", "ebpf_memory_reclaim_efficiency_percent",
		"ebpf_lru_pages_scanned_total" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		bool found = false;

		for (int m = 0; m < M_COUNT; m++)
			found |= !strcmp(io_metrics[m].name, names[i]);
		assert_true(found);
	}
}

static void test_quantiles_are_upper_bounds_of_buckets(void **state)
{
	__u64 b[WEIR_IO_BUCKETS] = { 0 };

	(void)state;
	assert_int_equal(io_quantile_us(b, 0.5), 0);
	b[0] = 50;
	b[3] = 49;
	b[10] = 1;
	assert_int_equal(io_quantile_us(b, 0.5), 1);
	assert_int_equal(io_quantile_us(b, 0.99), 8);
	assert_int_equal(io_quantile_us(b, 1), 1024);
}

/* ---- processes ------------------------------------------------------------------------ */

static void test_a_process_is_the_sum_of_its_live_and_ended_tasks(void **state)
{
	const uint32_t pid = 42;
	struct weir_io_process ended = { .reads = 5, .read_bytes = 500, .comm = "db" };

	(void)state;
	BEGIN();
	weir_test_file(t, "/proc/42/cgroup", "1:name=systemd:/x\n0::/kube/pod1\n");
	task(1, pid, "db")->reads = 3;
	task(2, pid, "db")->reads = 4;
	weir_test_map_put(t, "io_processes", &pid, &ended);
	cpu[0].folds++;
	interval();
	assert_non_null(process(pid));
	assert_int_equal(process(pid)->reads, 12);
	assert_string_equal(process(pid)->comm, "db");
	const struct weir_io_cgroup_sum *g = weir_test_event_of(t, WEIR_IO_CGROUP, 0)->payload;
	assert_string_equal(g->path, "/kube/pod1");
	assert_int_equal(g->reads, 12);
	interval();
	assert_null(process(pid));
}

static void test_a_task_that_ends_is_counted_once(void **state)
{
	const uint32_t pid = 42;
	struct weir_io_process ended = { .reads = 10, .comm = "db" };

	(void)state;
	BEGIN();
	task(1, pid, "db")->reads = 10;
	interval();
	assert_int_equal(process(pid)->reads, 10);
	/* Between two looks: gone from its slot, not yet seen among the ended. */
	tasks[1].owner = 0;
	used[0] = 0;
	task(2, pid, "db")->reads = 1;
	interval();
	assert_null(process(pid));
	weir_test_map_put(t, "io_processes", &pid, &ended);
	cpu[0].folds++;
	interval();
	assert_int_equal(process(pid)->reads, 1);
}

static void test_a_dead_process_is_reported_and_forgotten(void **state)
{
	const uint32_t pid = 42;
	struct weir_io_process ended = { .reads = 9, .miss_pages = 2, .comm = "gone", .dead = 1 };

	(void)state;
	BEGIN();
	weir_test_map_put(t, "io_processes", &pid, &ended);
	cpu[0].folds++;
	interval();
	assert_int_equal(process(pid)->reads, 9);
	assert_null(weir_test_map_get(t, "io_processes", &pid));
	interval();
	assert_null(process(pid));
	assert_int_equal(weir_test_metric(t, "weir_io_processes"), 0);
}

static void test_more_processes_than_the_table_holds_are_counted(void **state)
{
	(void)state;
	BEGIN();
	for (uint32_t i = 0; i < 20; i++)
		task(i, 100 + i, "many")->reads = 1;
	interval();
	assert_int_equal(weir_test_metric(t, "weir_io_processes"), 16);
	assert_int_equal(weir_test_collect(t), 0);
	assert_int_equal(weir_test_metric(t, "weir_io_map_overflow_total", "processes"), 4);
	/* Room again once they end. */
	memset(tasks, 0, TASKS * sizeof *tasks);
	used[0] = 0;
	interval();
	interval();
	assert_int_equal(weir_test_metric(t, "weir_io_processes"), 0);
}

static void test_skipped_tasks_are_not_shown(void **state)
{
	(void)state;
	BEGIN();
	task(1, 7, "weir")->reads = 5;
	tasks[1].flags = WEIR_IO_TASK_SKIP;
	interval();
	assert_null(process(7));
}

/* ---- queries ---------------------------------------------------------------------------- */

static void test_top_sorts_by_what_is_asked(void **state)
{
	char text[4096];

	(void)state;
	BEGIN();
	task(1, 1, "few")->miss_pages = 1;
	task(2, 2, "many\x1b[2J")->miss_pages = 100;
	task(3, 3, "reader")->reads = 1000;
	tasks[1].reads = tasks[2].reads = 1;
	interval();
	assert_int_equal(weir_test_query(t, "top", text, sizeof text, "n=2"), 0);
	assert_non_null(strstr(text, "\"pid\":2,"));
	assert_true(strstr(text, "\"pid\":2,") < strstr(text, "\"pid\":1,"));
	assert_null(strstr(text, "\"pid\":3,"));
	assert_null(strchr(text, 0x1b));
	assert_int_equal(weir_test_query(t, "top", text, sizeof text, "n=1", "by=reads"), 0);
	assert_non_null(strstr(text, "\"pid\":3,"));
	assert_null(strstr(text, "\"pid\":2,"));
}

static void test_summary_shows_nothing_as_nothing(void **state)
{
	char text[4096];

	(void)state;
	BEGIN();
	interval();
	assert_int_equal(weir_test_query(t, "summary", text, sizeof text), 0);
	assert_non_null(strstr(text, "miss ratio -"));
	assert_non_null(strstr(text, "latency -"));
	cpu[0].lookup_pages = 4;
	cpu[0].miss_pages[0] = 1;
	task(1, 1, "bad\x1b name")->miss_pages = 1;
	tasks[1].fill_pages = 32;
	interval();
	assert_int_equal(weir_test_query(t, "summary", text, sizeof text), 0);
	assert_non_null(strstr(text, "miss ratio 25.00 %"));
	assert_non_null(strstr(text, "bad? name"));
}

static void test_devices_have_their_latency(void **state)
{
	const uint32_t dev = 900 << 20 | 3;
	struct weir_io_device d = { 0 };
	char text[8192];

	(void)state;
	BEGIN();
	d.op[WEIR_IO_BLOCK_READ].bytes = 8192;
	d.op[WEIR_IO_BLOCK_READ].device_bucket[7] = 2;
	weir_test_map_put(t, "io_disk_stats", &dev, &d);
	interval();
	const struct weir_io_device_sum *r = weir_test_event_of(t, WEIR_IO_DEVICE, 0)->payload;
	assert_string_equal(r->name, "900:3");
	assert_int_equal(r->reads, 2);
	assert_int_equal(r->read_p99_us, 128);
	assert_int_equal(weir_test_query(t, "devices", text, sizeof text), 0);
	assert_non_null(strstr(text, "\"name\":\"900:3\",\"read\":{\"count\":2,\"bytes\":8192"));
	assert_int_equal(weir_test_query(t, "cgroups", text, sizeof text), 0);
}

/* ---- options ------------------------------------------------------------------------------- */

static void test_latency_off_follows_no_system_call(void **state)
{
	(void)state;
	BEGIN("latency=false");
	assert_true(weir_test_approx(t));
	assert_false(weir_test_enabled(t, "io_enter"));
	assert_false(weir_test_enabled(t, "io_exit"));
	assert_true(weir_test_enabled(t, "io_get_pages"));
	cpu[0].miss_pages[0] = 1;
	/* The window at start saw 100 pages in 20 ms of the second. */
	cpu[0].got_lookup_pages = 100;
	interval();
	assert_true(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "sampled") > 0);
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "")));
	assert_int_equal(weir_test_collect(t), 0);
	assert_int_equal(weir_test_metric(t, "weir_io_demand_lookup_pages_total", "read", "bpf"), 5000);
	assert_true(isnan(weir_test_metric(t, "weir_io_read_ops_total", "bpf")));
}

static void test_latency_off_without_get_pages_has_no_rate_and_says_so(void **state)
{
	(void)state;
	t = weir_test_new(&weir_plugin, "max_tasks=64", "latency=false");
	maps(t);
	weir_test_kernel(t, "btf_trace_mm_filemap_get_pages", NULL, false);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	assert_true(weir_test_logged(t, "set latency: true"));
	cpu[0].miss_pages[0] = 1;
	interval();
	assert_true(isnan(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "approx")));
}

static void test_a_kernel_without_fault_tracepoints_is_approximate(void **state)
{
	(void)state;
	t = weir_test_new(&weir_plugin, "max_tasks=64");
	maps(t);
	weir_test_attached(t, "io_fault", NULL);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	assert_true(weir_test_approx(t));
	cpu[0].lookup_pages = 4;
	interval();
	assert_int_equal(weir_test_metric(t, "ebpf_cache_miss_rate_percent", "bpf", "approx"), 0);
}

static void test_filters_become_constants(void **state)
{
	const struct weir_io_comm *c;
	const uint32_t *n, *pids;
	size_t size;

	(void)state;
	BEGIN("comm=postgres,banyan*", "pid=17");
	n = weir_test_const(t, "io_comm_count", &size);
	c = weir_test_const(t, "io_comms", &size);
	assert_int_equal(*n, 2);
	assert_string_equal(c[0].name, "postgres");
	assert_int_equal(c[0].len, 16);
	assert_string_equal(c[1].name, "banyan");
	assert_int_equal(c[1].len, 6);
	pids = weir_test_const(t, "io_pids", &size);
	assert_int_equal(pids[0], 17);
	assert_null(weir_test_const(t, "io_device_count", NULL));
}

static void test_calls_are_followed_only_while_a_process_matches(void **state)
{
	(void)state;
	BEGIN("comm=no-such-process");
	assert_true(weir_test_logged(t, "not followed until one does"));
	assert_false(((struct iomonitor *)weir_test_plugin(t)->state)->following);
	cpu[1].wanted_renames = 1;
	interval();
	assert_true(((struct iomonitor *)weir_test_plugin(t)->state)->following);
	interval();
	assert_false(((struct iomonitor *)weir_test_plugin(t)->state)->following);
}

static void test_a_filter_that_means_nothing_is_refused(void **state)
{
	static const char *const bad[] = { "pid=many", "pid=0", "device=no-such-disk",
		                           "cgroup=/no/such/cgroup" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		t = weir_test_new(&weir_plugin, "max_tasks=64", bad[i]);
		maps(t);
		assert_int_equal(weir_test_init(t), 0);
		assert_true(weir_test_start(t, "bpf") < 0);
		assert_string_not_equal(weir_test_reason(t), "");
		end(NULL);
	}
}

/* ---- faults --------------------------------------------------------------------------------- */

static bool run_with_fault(enum weir_test_service service, long n)
{
	char text[4096];
	bool failed;

	t = weir_test_new(&weir_plugin, "max_tasks=64", "latency=false");
	maps(t);
	task(1, 3, "x")->reads = 1;
	weir_test_fail(t, service, n);
	if (!weir_test_init(t) && !weir_test_start(t, "bpf")) {
		interval();
		weir_test_collect(t);
		weir_test_query(t, "top", text, sizeof text);
		weir_test_query(t, "summary", text, sizeof text);
	}
	failed = weir_test_fail(t, service, -1) > n;
	assert_int_equal(weir_test_free(t), 0);
	t = NULL;
	return failed;
}

static void test_any_service_may_fail_at_any_call(void **state)
{
	(void)state;
	for (int service = 0; service < WEIR_TEST_SERVICES; service++)
		for (long n = 0; n < 500 && run_with_fault((enum weir_test_service)service, n); n++)
			;
}

static void test_start_after_stop_begins_anew(void **state)
{
	(void)state;
	BEGIN();
	task(1, 3, "x")->reads = 5;
	interval();
	weir_test_stop(t);
	weir_test_stop(t);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	interval();
	assert_int_equal(process(3)->reads, 5);
}

static void test_both_sides_name_the_same_operations(void **state)
{
	const struct weir_schema *s = &io_schemas[WEIR_IO_SLOW];
	char names[512];

	(void)state;
	for (uint32_t i = 0; i < s->fields.count; i++) {
		const struct weir_field *f = weir_table_row(&s->fields, i);
		char *save = NULL, *word;
		int op = 0;

		if (strcmp(f->name, "op"))
			continue;
		snprintf(names, sizeof names, "%s", f->names);
		for (word = strtok_r(names, " ", &save); word; word = strtok_r(NULL, " ", &save))
			assert_string_equal(word, io_op_names[op++]);
		assert_int_equal(op, WEIR_IO_OP_COUNT);
	}
}

#define TEST(f) cmocka_unit_test_teardown(f, end)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rates_of_an_idle_node_are_absent),
		TEST(test_rates_are_of_the_interval_and_go_away_with_the_load),
		TEST(test_counters_are_fresh_at_every_scrape),
		TEST(test_every_design_name_is_declared),
		TEST(test_quantiles_are_upper_bounds_of_buckets),
		TEST(test_a_process_is_the_sum_of_its_live_and_ended_tasks),
		TEST(test_a_task_that_ends_is_counted_once),
		TEST(test_a_dead_process_is_reported_and_forgotten),
		TEST(test_more_processes_than_the_table_holds_are_counted),
		TEST(test_skipped_tasks_are_not_shown),
		TEST(test_top_sorts_by_what_is_asked),
		TEST(test_summary_shows_nothing_as_nothing),
		TEST(test_devices_have_their_latency),
		TEST(test_latency_off_follows_no_system_call),
		TEST(test_latency_off_without_get_pages_has_no_rate_and_says_so),
		TEST(test_a_kernel_without_fault_tracepoints_is_approximate),
		TEST(test_filters_become_constants),
		TEST(test_calls_are_followed_only_while_a_process_matches),
		TEST(test_a_filter_that_means_nothing_is_refused),
		TEST(test_any_service_may_fail_at_any_call),
		TEST(test_start_after_stop_begins_anew),
		TEST(test_both_sides_name_the_same_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
