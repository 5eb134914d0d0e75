/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meter against the kernel's own statistics (BPF_ENABLE_STATS, on only while it is
 * measured here), with the flood's program under the load it is made for. This process
 * makes the system calls. Needs BPF rights; else skipped with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bpf.h"
#include "bpf_priv.h"
#include "budget.h"
#include "flood_events.h"
#include "mem.h"
#include "meter.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <weir/plugin.h>

WEIR_BPF_DECLARE(flood);

static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 << FLOOD_CALL },
};
static const struct weir_source source = {
	.name = "bpf", WEIR_BPF_OBJECT(flood), .programs = WEIR_TABLE(programs),
};

static struct weir__bpf *bpf;

static int setup(void **state)
{
	uint32_t pid = (uint32_t)getpid(), nr = SYS_getppid;
	cpu_set_t one;

	(void)state;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
	if (weir__bpf_new(&source, 65536, &bpf))
		return -1;
	weir__bpf_set_const(bpf, "flood_tgid", &pid, sizeof pid);
	weir__bpf_set_const(bpf, "flood_nr", &nr, sizeof nr);
	if (weir__bpf_load(bpf)) {
		print_message("SKIP: the program does not load here: %s\n", weir__bpf_error(bpf));
		weir__bpf_free(bpf);
		bpf = NULL;
		return 0;
	}
	weir__bpf_knobs(bpf)->polling = 1;
	weir__bpf_enable(bpf, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	weir__bpf_free(bpf);
	return 0;
}

#define NEEDS_BPF()                                                            \
	do {                                                                   \
		(void)state;                                                   \
		if (!bpf)                                                      \
			skip();                                                \
	} while (0)

static void call(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
}

struct both {
	struct weir_program_counts own;
	uint64_t kernel_runs, kernel_ns;
};

static struct both look(void)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof info;
	struct both b;

	weir__meter_sum(bpf->account, bpf->cpus, 0, &b.own);
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(bpf->programs[0].prog), &info, &len), 0);
	b.kernel_runs = info.run_cnt;
	b.kernel_ns = info.run_time_ns;
	return b;
}

/* Of the same runs: what the meter says over what the kernel says. */
static double ratio(void)
{
	struct both was = look(), is;
	struct weir_program_counts c;

	call(300000);
	is = look();
	c = (struct weir_program_counts){ .runs = is.own.runs - was.own.runs,
		.timed_runs = is.own.timed_runs - was.own.timed_runs,
		.timed_ns = is.own.timed_ns - was.own.timed_ns };
	/* Others call, too, between the two readings. */
	assert_in_range(is.kernel_runs - was.kernel_runs, c.runs - 1000, c.runs + 1000);
	return weir__meter_stats_ns(weir__meter_cal(), &c) / (double)(is.kernel_ns - was.kernel_ns);
}

static double median(void)
{
	double r[5], t;

	for (int i = 0; i < 5; i++)
		r[i] = ratio();
	for (int i = 0; i < 5; i++)
		for (int j = i + 1; j < 5; j++)
			if (r[j] < r[i])
				t = r[i], r[i] = r[j], r[j] = t;
	return r[2];
}

/* Sampled, and with every record refused by a full ring: within 15 % of the kernel. */
static void test_against_kernel(void **state)
{
	int stats;
	double sampled, full;

	NEEDS_BPF();
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0) {
		print_message("SKIP: case: no CAP_SYS_ADMIN for BPF_ENABLE_STATS\n");
		skip();
	}
	weir__bpf_sample(bpf, 1024);
	sampled = median();
	weir__bpf_sample(bpf, 1);
	full = median();
	close(stats);
	print_message("meter / kernel: %.3f sampled, %.3f with a full ring (clock %.1f, outside %.1f, "
	              "hook %.1f, stats %.1f ns)\n", sampled, full,
	              weir__meter_cal()->clock_ns, weir__meter_cal()->outside_ns,
	              weir__meter_cal()->hook_ns, weir__meter_cal()->stats_ns);
	assert_true(sampled > 0.85 && sampled < 1.15);
	assert_true(full > 0.85 && full < 1.15);
}

/* Statistics that somebody has on are noticed, and that they are off again. */
static void test_stats_on(void **state)
{
	int stats;

	NEEDS_BPF();
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0)
		skip();
	weir__meter_stats_on();
	assert_true(weir__meter_stats_on());
	close(stats);
	weir__meter_stats_on();
	assert_false(weir__meter_stats_on());
}

/* The calibration's figures are what a machine can be, and it costs no more than some
 * milliseconds of CPU: of the process, since it is done once. */
static void test_calibration(void **state)
{
	const struct weir__meter_cal *cal = weir__meter_cal();

	NEEDS_BPF();
	assert_true(cal->measured);
	assert_true(cal->clock_ns > 0 && cal->clock_ns < 500);
	assert_true(cal->outside_ns > 0 && cal->outside_ns < 500);
	assert_true(cal->hook_ns >= 5 && cal->hook_ns <= 60);
	assert_true(cal->stats_ns > 0 && cal->stats_ns < 1000);
	assert_ptr_equal(weir__meter_cal(), cal);
}

/* A reader sees what the owner sees, with a mapping of its own that outlives it. */
static void test_reader(void **state)
{
	struct weir__bpf_program *rows;
	struct weir_kind_counts k;
	struct weir__meter_sample s;
	struct weir__meter *m;

	NEEDS_BPF();
	weir__bpf_sample(bpf, 7);
	weir__bpf_kinds_off(bpf, 1u << 3);
	call(10000);
	assert_int_equal(weir__bpf_meter(bpf, &m), 0);
	weir__meter_read(m, &s);
	weir__bpf_programs(bpf, &rows);
	weir__bpf_kind_counts(bpf, FLOOD_CALL, &k);
	assert_int_equal(s.weight, 7);
	assert_int_equal(s.kinds_off, 1u << 3);
	assert_true(s.seen <= k.seen && s.seen >= 10000);
	assert_true(s.runs <= rows[0].runs && s.runs >= 10000);
	assert_true(s.run_ns > 0 && s.run_ns <= (double)rows[0].run_ns * 1.01);
	assert_true(s.hook_ns > 0);
	assert_true(s.program_ns[0] >= s.run_ns);
	weir__meter_close(m);
	weir__meter_close(NULL);
	weir__bpf_kinds_off(bpf, 0);
}

/* No memory: -ENOMEM and nothing left; a map that is none: the kernel's error. */
static void test_reader_fails(void **state)
{
	long live = weir__mem_live();
	struct weir__meter *m = NULL;

	NEEDS_BPF();
	weir__mem_fail_at(0);
	assert_int_equal(weir__bpf_meter(bpf, &m), -ENOMEM);
	weir__mem_fail_at(-1);
	assert_true(weir__meter_open(-1, -1, 1, &m) < 0);
	assert_null(m);
	assert_int_equal(weir__mem_live(), live);
}

/* Weights that change under way: no record carries that of another threshold, so that
 * the sum of the weights stays that of the events. */
static void test_changing_weight(void **state)
{
	static const uint32_t weights[] = { 1, 3, 16, 100 };
	struct weir_kind_counts was, is;

	NEEDS_BPF();
	weir__bpf_kind_counts(bpf, FLOOD_CALL, &was);
	for (int i = 0; i < 400; i++) {
		weir__bpf_sample(bpf, weights[i % 4]);
		assert_int_equal(weir__bpf_weight(bpf), weights[i % 4]);
		call(1000);
	}
	weir__bpf_kind_counts(bpf, FLOOD_CALL, &is);
	/* Kept: a part of each quarter; standard deviation 190, six of them. */
	assert_in_range(is.seen - was.seen - (is.sampled - was.sampled),
	                (uint64_t)(1e5 * (1 + 1 / 3.0 + 1 / 16.0 + 1 / 100.0)) - 1140,
	                (uint64_t)(1e5 * (1 + 1 / 3.0 + 1 / 16.0 + 1 / 100.0)) + 1140);
	weir__bpf_sample(bpf, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calibration),
		cmocka_unit_test(test_against_kernel),
		cmocka_unit_test(test_stats_on),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_fails),
		cmocka_unit_test(test_changing_weight),
	};

	return cmocka_run_group_tests_name("meter", tests, setup, teardown);
}
