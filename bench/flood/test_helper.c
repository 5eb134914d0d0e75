/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flood's helper process and the latency histogram: what every benchmark's
 * figures rest on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../count/histogram.h"
#include "helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Wait until no run is on, 20 s at most. */
static void settle(const struct flood_helper *h, struct flood_state *s)
{
	uint64_t end = now_ns() + 20000000000u;

	do {
		usleep(500);
		flood_helper_state(h, s);
	} while (s->running && now_ns() < end);
	assert_false(s->running);
}

/* A run makes exactly the calls it was asked for, at no more than its rate. */
static void test_exact(void **state)
{
	static const struct flood_run runs[] = {
		{ .events = 1 }, { .events = 100000 }, { .events = 3000, .rate = 100000 },
		{ .events = 500, .rate = 5000 }, { .events = 100, .rate = 1000, .burst = 10 },
	};
	struct flood_helper h;
	struct flood_state s;
	uint64_t made = 0;

	(void)state;
	assert_int_equal(flood_helper_open(&h, -1, 60000000000u), 0);
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		assert_int_equal(flood_helper_run(&h, &runs[i]), 0);
		settle(&h, &s);
		made += runs[i].events;
		assert_int_equal(s.run_made, runs[i].events);
		assert_int_equal(s.made, made);
		if (runs[i].rate)
			assert_true((double)s.run_ns >= (double)(runs[i].events - runs[i].burst - 1) *
			                                        1e9 / (double)runs[i].rate - 1e6);
	}
	flood_helper_close(&h);
	flood_helper_close(&h);
}

/* One run at a time; stop ends it at once, and the count stays what it is. */
static void test_stop(void **state)
{
	struct flood_run endless = { 0 };
	struct flood_helper h;
	struct flood_state s, again;

	(void)state;
	assert_int_equal(flood_helper_open(&h, -1, 60000000000u), 0);
	assert_int_equal(flood_helper_run(&h, &endless), 0);
	assert_int_equal(flood_helper_run(&h, &endless), -EBUSY);
	do
		flood_helper_state(&h, &s);
	while (!s.made);
	flood_helper_stop(&h);
	flood_helper_state(&h, &s);
	assert_false(s.running);
	usleep(3000);
	flood_helper_state(&h, &again);
	assert_int_equal(again.made, s.made);
	flood_helper_close(&h);
	assert_int_equal(flood_helper_run(&h, &endless), -ESRCH);
}

/* The helper does not outlive its parent, even when that is killed in a run. */
static void test_orphan(void **state)
{
	struct flood_helper h;
	pid_t helper = 0, parent;
	int fds[2];
	uint64_t end = now_ns() + 10000000000u;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	parent = fork();
	if (!parent) {
		struct flood_run endless = { 0 };

		if (flood_helper_open(&h, -1, 60000000000u) || flood_helper_run(&h, &endless) ||
		    write(fds[1], &h.pid, sizeof h.pid) != sizeof h.pid)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &helper, sizeof helper), sizeof helper);
	assert_int_equal(kill(helper, 0), 0);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	while (!kill(helper, 0) && now_ns() < end) {
		char path[64], text[256] = "";
		FILE *f;

		/* Nobody may reap it here: a zombie is gone, too. */
		snprintf(path, sizeof path, "/proc/%d/stat", (int)helper);
		f = fopen(path, "r");
		if (!f)
			break;
		if (fgets(text, sizeof text, f) && strstr(text, ") Z ")) {
			fclose(f);
			break;
		}
		fclose(f);
		usleep(1000);
	}
	assert_true(now_ns() < end);
	close(fds[0]), close(fds[1]);
}

/* A helper ends by itself when its lifetime is over. */
static void test_lifetime(void **state)
{
	struct flood_run endless = { 0 };
	struct flood_helper h;
	uint64_t end = now_ns() + 10000000000u;

	(void)state;
	assert_int_equal(flood_helper_open(&h, -1, 50000000), 0);
	assert_int_equal(flood_helper_run(&h, &endless), 0);
	while (flood_helper_run(&h, &endless) != -ESRCH && now_ns() < end)
		usleep(1000);
	assert_true(now_ns() < end);
	flood_helper_close(&h);
}

/* Each value falls into a bucket whose bound is at most 1/16 above it, and the
 * bounds grow. */
static void test_histogram(void **state)
{
	struct histogram *h = calloc(1, sizeof *h);

	(void)state;
	assert_non_null(h);
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
		assert_true(histogram_bound(i) > histogram_bound(i - 1));
	for (int bit = 0; bit < 64; bit++) {
		for (int d = -1; d <= 1; d++) {
			uint64_t v = (1ull << bit) + (uint64_t)d, b;
			unsigned i = histogram_index(v);

			assert_true(i < HISTOGRAM_BUCKETS);
			b = histogram_bound(i);
			assert_true(b >= v && b - v <= v / 16);
			assert_true(!i || histogram_bound(i - 1) < v);
		}
	}
	for (uint64_t v = 1; v <= 1000; v++)
		histogram_add(h, v * 1000, 1);
	assert_in_range(histogram_quantile(h, 0.5), 500000, 532000);
	assert_in_range(histogram_quantile(h, 0.99), 990000, 1000000);
	assert_int_equal(histogram_quantile(h, 1), 1000000);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests_name("bench-helper", tests, NULL, NULL);
}
