/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: what counts as growth, who is shown, and how much is read at once. */
#include "test_procfs.h"
#include <string.h>
#include <unistd.h>

struct io {
	unsigned long long rchar, wchar, syscr, syscw, read, write;
};

/* A process with these counters. */
static void process(struct fake *f, unsigned int pid, const char *comm, unsigned int start, struct io io)
{
	char name[64], text[512];

	snprintf(name, sizeof name, "%u/io", pid);
	snprintf(text, sizeof text,
	         "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\nread_bytes: %llu\n"
	         "write_bytes: %llu\ncancelled_write_bytes: 0\n",
	         io.rchar, io.wchar, io.syscr, io.syscw, io.read, io.write);
	fake_file(f, name, text);
	snprintf(name, sizeof name, "%u/stat", pid);
	snprintf(text, sizeof text, "%u (%s) S 1 1 1 0 -1 0 0 0 %llu 0 0 0 0 0 20 0 1 0 %u 0 0\n", pid, comm,
	         io.read / 4096, start);
	fake_file(f, name, text);
}

static void new_process(struct fake *f, unsigned int pid, const char *comm, unsigned int start, struct io io)
{
	char name[16];

	snprintf(name, sizeof name, "%u", pid);
	fake_mkdir(f, name);
	process(f, pid, comm, start, io);
}

static void end_process(struct fake *f, unsigned int pid)
{
	char name[16];

	snprintf(name, sizeof name, "%u", pid);
	fake_rmdir(f, name);
}

/* The i-th io_process record, or NULL. */
static const struct weir_procfs_process *record(struct fake *f, size_t i)
{
	const struct weir_test_event *e = weir_test_event_of(f->t, PROCFS_IO_PROCESS, i);

	return e ? e->payload : NULL;
}

static void next(struct fake *f)
{
	weir_test_events_clear(f->t);
	fake_tick(f);
}

#define near(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* What a process did before it was first seen does not count; what it does then does,
 * in a record, in its own series, in the totals and in the miss rate. */
static void growth(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	new_process(&f, 10, "db", 5, (struct io){ 1000000, 500, 10, 5, 900000, 100 });
	next(&f);
	assert_null(record(&f, 0));
	assert_true(isnan(weir_test_metric(f.t, "ebpf_cache_miss_rate_percent", "procfs", "approx")));
	process(&f, 10, "db", 5, (struct io){ 1000000 + 65536, 700, 26, 7, 900000 + 16384, 4196 });
	next(&f);
	assert_non_null(record(&f, 0));
	assert_int_equal(record(&f, 0)->pid, 10);
	assert_int_equal(record(&f, 0)->ppid, 1);
	assert_string_equal(record(&f, 0)->comm, "db");
	assert_int_equal(record(&f, 0)->interval_ns, 10 * WEIR_TEST_SECOND);
	assert_int_equal(record(&f, 0)->read_chars, 65536);
	assert_int_equal(record(&f, 0)->read_bytes, 16384);
	assert_int_equal(record(&f, 0)->reads, 16);
	assert_int_equal(record(&f, 0)->major_faults, 4);
	assert_null(record(&f, 1));
	near(weir_test_metric(f.t, "ebpf_cache_miss_rate_percent", "procfs", "approx"), 25);
	near(weir_test_metric(f.t, "ebpf_cache_hit_rate_percent", "procfs", "approx"), 75);
	near(weir_test_metric(f.t, "ebpf_cache_efficiency_ratio", "procfs", "approx"), 0.75);
	near(weir_test_metric(f.t, "ebpf_io_read_bytes_total", "all", "procfs"), 65536);
	near(weir_test_metric(f.t, "ebpf_io_read_operations_total", "all", "procfs"), 16);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "10", "db"), 16384);
	next(&f); /* idle: no ratio, not 0 and not 100 */
	assert_null(record(&f, 0));
	assert_true(isnan(weir_test_metric(f.t, "ebpf_cache_hit_rate_percent", "procfs", "approx")));
	near(weir_test_metric(f.t, "ebpf_io_read_bytes_total", "all", "procfs"), 65536);
	fake_end(&f);
}

/* A process that starts after a complete pass counts from its first byte. */
static void born(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	next(&f);
	new_process(&f, 11, "new", 900, (struct io){ .rchar = 8192, .syscr = 2, .read = 8192 });
	next(&f);
	assert_int_equal(record(&f, 0)->read_chars, 8192);
	assert_int_equal(record(&f, 0)->interval_ns, 10 * WEIR_TEST_SECOND);
	fake_end(&f);
}

/* The same pid with another start time is another process: all of it counts, and
 * the series of the old one end. */
static void pid_reuse(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	new_process(&f, 10, "old", 5, (struct io){ .rchar = 100, .read = 100 });
	next(&f);
	process(&f, 10, "old", 5, (struct io){ .rchar = 5000, .read = 5000 });
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "10", "old"), 4900);
	process(&f, 10, "young", 77, (struct io){ .rchar = 6000, .read = 6000 });
	next(&f);
	assert_int_equal(record(&f, 0)->read_bytes, 6000);
	assert_string_equal(record(&f, 0)->comm, "young");
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "10", "old")));
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "10", "young"), 6000);
	fake_end(&f);
}

/* A counter that goes back, and forth again, is not counted twice. */
static void glitch(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	new_process(&f, 10, "db", 5, (struct io){ .rchar = 1000 });
	next(&f);
	process(&f, 10, "db", 5, (struct io){ .rchar = 900 });
	next(&f);
	assert_null(record(&f, 0));
	process(&f, 10, "db", 5, (struct io){ .rchar = 1100 });
	next(&f);
	assert_int_equal(record(&f, 0)->read_chars, 100);
	fake_end(&f);
}

/* Ended between listing and reading: counted. Denied: counted, said once. Cut: failed. */
static void unreadable(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_mkdir(&f, "20");
	fake_mkdir(&f, "21");
	fake_error(&f, "21/io", -EACCES);
	fake_mkdir(&f, "22");
	fake_file(&f, "22/io", "rchar: 1\nwchar: 2\nsys");
	fake_mkdir(&f, "23"); /* its stat goes while it is read */
	process(&f, 23, "x", 1, (struct io){ .rchar = 1 });
	fake_error(&f, "23/stat", -ESRCH);
	fake_mkdir(&f, "not-a-pid");
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_processes", "vanished"), 2);
	near(weir_test_metric(f.t, "weir_procfs_processes", "denied"), 1);
	near(weir_test_metric(f.t, "weir_procfs_processes", "failed"), 1);
	near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 0);
	assert_true(weir_test_logged(f.t, "CAP_SYS_PTRACE"));
	/* nothing was readable: what all processes read is unknown, not 0 */
	assert_true(isnan(weir_test_metric(f.t, "ebpf_io_read_bytes_total", "all", "procfs")));
	fake_end(&f);
}

/* A process that becomes readable later did not start just then. */
static void denied_then_readable(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_mkdir(&f, "30");
	fake_error(&f, "30/io", -EACCES);
	next(&f);
	process(&f, 30, "su", 3, (struct io){ .rchar = 1 << 30 });
	next(&f);
	assert_null(record(&f, 0));
	process(&f, 30, "su", 3, (struct io){ .rchar = (1 << 30) + 10 });
	next(&f);
	assert_int_equal(record(&f, 0)->read_chars, 10);
	fake_end(&f);
}

/* Only `top` processes have records and series; the rest is one record, booked. */
static void top_and_other(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "top=2");
	next(&f);
	for (unsigned int i = 1; i <= 5; i++)
		new_process(&f, 100 + i, "p", i, (struct io){ .rchar = i * 10, .read = i * 1000 });
	next(&f);
	assert_int_equal(record(&f, 0)->pid, 105);
	assert_int_equal(record(&f, 1)->pid, 104);
	assert_int_equal(record(&f, 2)->pid, 0);
	assert_int_equal(record(&f, 2)->processes, 3);
	assert_int_equal(record(&f, 2)->read_bytes, 6000);
	assert_string_equal(record(&f, 2)->comm, "other");
	assert_null(record(&f, 3));
	assert_int_equal(weir_test_counted(f.t, PROCFS_IO_PROCESS, WEIR_RECORD_AGGREGATED), 3);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "105", "p"), 5000);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "0", "other"), 6000);
	/* a busier one takes the place of one that is not */
	process(&f, 101, "p", 1, (struct io){ .rchar = 10, .read = 900000 });
	process(&f, 105, "p", 5, (struct io){ .rchar = 50, .read = 5001 });
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "101", "p"), 899000);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "105", "p"), 5001);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "104", "p")));
	/* one that ends gives its place back */
	end_process(&f, 101);
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "101", "p")));
	fake_end(&f);
}

/* Without any slot all is "other". */
static void top_zero(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "top=0");
	next(&f);
	new_process(&f, 7, "p", 1, (struct io){ .read = 1000 });
	next(&f);
	assert_int_equal(record(&f, 0)->pid, 0);
	assert_int_equal(record(&f, 0)->read_bytes, 1000);
	assert_null(record(&f, 1));
	fake_end(&f);
}

/* A tick reads at most max_processes; the next goes on, and a pass ends as one. */
static void in_steps(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "max_processes=2");
	for (unsigned int i = 1; i <= 5; i++)
		new_process(&f, 100 + i, "p", i, (struct io){ .read = 1 });
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_passes_total")));
	next(&f);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_passes_total"), 1);
	near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 5);
	near(weir_test_metric(f.t, "weir_procfs_pass_seconds"), 20);
	for (unsigned int i = 1; i <= 5; i++)
		process(&f, 100 + i, "p", i, (struct io){ .read = 1 + i });
	next(&f);
	next(&f);
	assert_null(record(&f, 0));
	next(&f);
	assert_non_null(record(&f, 4));
	assert_int_equal(record(&f, 0)->pid, 105);
	assert_int_equal(record(&f, 0)->interval_ns, 30 * WEIR_TEST_SECOND);
	fake_end(&f);
}

/* More processes than the table first has room for are all found again. */
static void many(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "max_processes=2000", "top=1");
	for (unsigned int i = 0; i < 700; i++)
		new_process(&f, 1000 + i * 37, "p", i, (struct io){ .read = 1 });
	next(&f);
	for (unsigned int i = 0; i < 700; i += 2)
		end_process(&f, 1000 + i * 37);
	for (unsigned int i = 1; i < 700; i += 2)
		process(&f, 1000 + i * 37, "p", i, (struct io){ .read = 3 });
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 350);
	assert_int_equal(record(&f, 1)->processes, 349);
	assert_int_equal(record(&f, 1)->read_bytes, 698);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 350);
	assert_null(record(&f, 0));
	fake_end(&f);
}

/* A name is data: whole in a label, which who writes it out escapes; escaped in the
 * text and in the JSON. */
static void hostile_comm(void **state)
{
	struct fake f;
	char out[4096];

	(void)state;
	FAKE_START(&f);
	next(&f);
	new_process(&f, 66, "\033[2J\") S 1\\n\xff", 1, (struct io){ .rchar = 4096, .read = 4096 });
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "66",
	                      "\033[2J\") S 1\n\xff"), 4096);
	assert_int_equal(weir_test_query(f.t, "summary", out, sizeof out), 0);
	assert_null(strchr(out, '\033'));
	assert_non_null(strstr(out, "\\x1b[2J"));
	assert_int_equal(weir_test_query(f.t, "top", out, sizeof out, "n=1", "by=read_bytes"), 0);
	assert_null(strchr(out, '\033'));
	assert_non_null(strstr(out, "\"pid\":66"));
	fake_end(&f);
}

/* The query `top` sorts by what is asked for and shows no more than asked. */
static void query_top(void **state)
{
	struct fake f;
	char out[4096];
	const char *a, *b;

	(void)state;
	FAKE_START(&f);
	next(&f);
	new_process(&f, 1, "reader", 1, (struct io){ .rchar = 9, .read = 9000 });
	new_process(&f, 2, "writer", 1, (struct io){ .wchar = 9, .write = 8000, .syscw = 5 });
	new_process(&f, 3, "idle", 1, (struct io){ .rchar = 1 });
	next(&f);
	assert_int_equal(weir_test_query(f.t, "top", out, sizeof out), 0);
	a = strstr(out, "\"reader\"");
	b = strstr(out, "\"writer\"");
	assert_true(a && b && a < b && strstr(out, "\"idle\""));
	assert_int_equal(weir_test_query(f.t, "top", out, sizeof out, "by=writes"), 0);
	assert_non_null(strstr(out, "\"writer\""));
	assert_null(strstr(out, "\"reader\""));
	assert_int_equal(weir_test_query(f.t, "top", out, sizeof out, "n=1"), 0);
	assert_null(strstr(out, "\"writer\""));
	assert_int_equal(weir_test_query(f.t, "top", out, sizeof out, "by=nonsense"), -EINVAL);
	fake_end(&f);
}

/* Nothing wanted: nothing read, no memory, no values; wanted again: a fresh start. */
static void not_wanted(void **state)
{
	struct fake f;
	char out[512];

	(void)state;
	FAKE_START(&f);
	weir_test_want(f.t, "io", false);
	weir_test_want(f.t, "memory", false);
	weir_test_fail(f.t, WEIR_TEST_READ_FILE, -1);
	next(&f);
	assert_int_equal(weir_test_fail(f.t, WEIR_TEST_READ_FILE, -1), 0);
	assert_int_equal(weir_test_blocks(f.t), 0);
	assert_int_equal(weir_test_query(f.t, "summary", out, sizeof out), 0);
	assert_non_null(strstr(out, "not needed"));
	weir_test_want(f.t, "io", true);
	new_process(&f, 9, "p", 1, (struct io){ .rchar = 5, .read = 5 });
	next(&f);
	process(&f, 9, "p", 1, (struct io){ .rchar = 10, .read = 6 });
	next(&f);
	near(weir_test_metric(f.t, "ebpf_cache_miss_rate_percent", "procfs", "approx"), 20);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_vm_paged_in_bytes_total")));
	weir_test_want(f.t, "io", false);
	next(&f);
	assert_int_equal(weir_test_blocks(f.t), 0);
	assert_true(isnan(weir_test_metric(f.t, "ebpf_cache_miss_rate_percent", "procfs", "approx")));
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_process_read_bytes_total", "9", "p")));
	weir_test_want(f.t, "io", true);
	process(&f, 9, "p", 1, (struct io){ .rchar = 1000, .read = 1000 });
	next(&f);
	assert_null(record(&f, 0)); /* what happened meanwhile was someone else's */
	near(weir_test_metric(f.t, "ebpf_io_read_bytes_total", "all", "procfs"), 5);
	fake_end(&f);
}

/* Start takes the first reading, so the first tick already has growth. */
static void first_reading(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	weir_test_stop(f.t);
	new_process(&f, 9, "p", 1, (struct io){ .rchar = 5, .read = 5 });
	assert_int_equal(weir_test_start(f.t, "procfs"), 0);
	process(&f, 9, "p", 1, (struct io){ .rchar = 15, .read = 10 });
	next(&f);
	assert_int_equal(record(&f, 0)->read_chars, 10);
	near(weir_test_metric(f.t, "ebpf_cache_miss_rate_percent", "procfs", "approx"), 50);
	fake_end(&f);
}

/* No /proc: the source is refused with what to do; it goes while running: an error. */
static void no_proc(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "proc=/nonexistent");
	int last = 0;
	struct fake f;

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "procfs"), -ENOENT);
	assert_non_null(strstr(weir_test_reason(t), "mount procfs"));
	assert_int_equal(weir_test_free(t), 0);

	FAKE_START(&f);
	next(&f);
	assert_int_equal(rmdir(f.root), 0);
	weir_test_advance(f.t, 10 * WEIR_TEST_SECOND);
	assert_int_equal(weir_test_tick_errors(f.t, &last), 1);
	assert_int_equal(last, -ENOENT);
	assert_int_equal(weir_test_free(f.t), 0);
}

int scan_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth),        cmocka_unit_test(born),
		cmocka_unit_test(pid_reuse),     cmocka_unit_test(glitch),
		cmocka_unit_test(unreadable),    cmocka_unit_test(denied_then_readable),
		cmocka_unit_test(top_and_other), cmocka_unit_test(top_zero),
		cmocka_unit_test(in_steps),      cmocka_unit_test(many),
		cmocka_unit_test(hostile_comm),  cmocka_unit_test(query_top),
		cmocka_unit_test(not_wanted),    cmocka_unit_test(no_proc),
		cmocka_unit_test(first_reading),
	};

	return cmocka_run_group_tests_name("procfs processes", tests, NULL, NULL);
}
