/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker: its table over all pairs, its window, its waits. The test owns the clock. */
#include "breaker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull
#define S  1000000000ull

static const struct weir__breaker_config usual = { 5, 60 * S, 1 * S, 300 * S };

static struct weir__breaker fresh(void)
{
	struct weir__breaker b;

	weir__breaker_init(&b, "x", &usual);
	return b;
}

static uint64_t fail_with(struct weir__breaker *b, enum weir__cause cause, uint64_t now, uint64_t random)
{
	struct weir__failure f = { .cause = cause, .detail = "why", .now_ns = now, .random = random };

	return weir__breaker_failure(b, &f);
}

static int move_aborts(enum weir__circuit from, enum weir__circuit to)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct weir__breaker b = fresh();

		fclose(stderr);
		b.state = from;
		weir__breaker_move(&b, to, "");
		_exit(b.state == to ? 0 : 3);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Every pair is either in the table and moves, or is not and aborts. */
static void all_pairs(void **state)
{
	static const char *const allowed[] = {
		"closed open", "open half-open", "half-open closed", "half-open open",
	};
	size_t found = 0;

	(void)state;
	for (int a = 0; a < WEIR__CIRCUIT_COUNT; a++)
		for (int b = 0; b < WEIR__CIRCUIT_COUNT; b++) {
			enum weir__circuit from = (enum weir__circuit)a, to = (enum weir__circuit)b;
			bool expected = false;
			char pair[64];

			snprintf(pair, sizeof pair, "%s %s", weir__circuit_name(from), weir__circuit_name(to));
			for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
				expected |= !strcmp(allowed[i], pair);
			found += expected;
			assert_int_equal(weir__circuit_may_move(from, to), expected);
			assert_int_equal(move_aborts(from, to), !expected);
		}
	assert_int_equal(found, sizeof allowed / sizeof allowed[0]);
}

/* Below the limit it stays closed and waits 100 ms, then twice as long; the limit opens. */
static void soon_then_open(void **state)
{
	struct weir__breaker b = fresh();
	uint64_t now = 1000 * S;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fail_with(&b, WEIR__CAUSE_START, now, 7), (100 * MS) << i);
		assert_int_equal(b.state, WEIR__CIRCUIT_CLOSED);
		assert_int_equal(weir__breaker_recent(&b, now), i + 1);
		assert_int_equal(b.retry_ns, now + ((100 * MS) << i));
		weir__breaker_try(&b);
		assert_int_equal(b.state, WEIR__CIRCUIT_CLOSED);
		now += 1 * S;
	}
	fail_with(&b, WEIR__CAUSE_START, now, 7);
	assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
	assert_int_equal(b.opened, 1);
	assert_int_equal(b.failures[WEIR__CAUSE_START], 5);
	assert_int_equal(b.moves[WEIR__CIRCUIT_OPEN][WEIR__CAUSE_START], 1);
}

/* What lies outside the window does not count, and the ring of times is bounded. */
static void window_slides(void **state)
{
	struct weir__breaker b = fresh();
	uint64_t now = 1000 * S;

	(void)state;
	for (int i = 0; i < 1000; i++, now += 16 * S) {
		fail_with(&b, WEIR__CAUSE_CALLBACK, now, 0);
		assert_int_equal(b.state, WEIR__CIRCUIT_CLOSED);
		assert_true(weir__breaker_recent(&b, now) <= 4);
	}
	assert_int_equal(b.count, WEIR__BREAKER_FAILURES);
	assert_int_equal(weir__breaker_recent(&b, now + 60 * S), 0);
}

/* These causes, and a failure said to be hopeless, open whatever the count. */
static void at_once(void **state)
{
	static const bool expected[WEIR__CAUSE_COUNT] = {
		[WEIR__CAUSE_DEADLINE] = true, [WEIR__CAUSE_DELIVERY] = true, [WEIR__CAUSE_BUDGET] = true,
	};

	(void)state;
	for (int c = 0; c < WEIR__CAUSE_COUNT; c++) {
		struct weir__failure f = { .cause = (enum weir__cause)c, .detail = "", .now_ns = S,
			.at_once = true };
		struct weir__breaker b = fresh();

		fail_with(&b, (enum weir__cause)c, S, 0);
		assert_int_equal(b.state == WEIR__CIRCUIT_OPEN, expected[c]);
		b = fresh();
		weir__breaker_failure(&b, &f);
		assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
	}
}

/* The wait of the n-th opening in a row, with the smallest and the largest draw. */
static void waits_double(void **state)
{
	uint64_t high = 1 * S;

	(void)state;
	for (unsigned row = 1; row < 40; row++) {
		for (int largest = 0; largest < 2; largest++) {
			struct weir__breaker b = fresh();
			uint64_t wait, top = 2 * high < 300 * S ? 2 * high : 300 * S;

			weir__breaker_recall(&b, row - 1);
			wait = fail_with(&b, WEIR__CAUSE_DEADLINE, S, largest ? top - 1 * S : 0);
			if (row < 24)
				assert_int_equal(wait, largest ? top : 1 * S);
		}
		high = 2 * high < 300 * S ? 2 * high : 300 * S;
	}
}

/* Whatever is drawn, the wait is within its bounds, and not always the same. */
static void waits_scatter(void **state)
{
	uint64_t random = 88172645463325252ull, low = UINT64_MAX, top = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct weir__breaker b = fresh();
		uint64_t wait;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		weir__breaker_recall(&b, 3);
		wait = fail_with(&b, WEIR__CAUSE_DEADLINE, S, random);
		assert_in_range(wait, 1 * S, 16 * S);
		low = wait < low ? wait : low;
		top = wait > top ? wait : top;
	}
	assert_true(low < 2 * S && top > 15 * S);
}

/* Over its budget: 15 s at most, however long the row. */
static void budget_bound(void **state)
{
	struct weir__breaker b = fresh();

	(void)state;
	weir__breaker_recall(&b, 20);
	assert_int_equal(fail_with(&b, WEIR__CAUSE_BUDGET, S, 14 * S), 15 * S);
	b = fresh();
	b.cfg.cooldown_ns = b.cfg.max_cooldown_ns = 20 * S;
	assert_int_equal(fail_with(&b, WEIR__CAUSE_BUDGET, S, 99), 15 * S);
}

/* No source here: exactly the interval, open, and no part of a row. */
static void fixed_interval(void **state)
{
	struct weir__failure f = { .cause = WEIR__CAUSE_START, .detail = "no source", .now_ns = S,
		.cooldown_ns = 30 * S };
	struct weir__breaker b = fresh();

	(void)state;
	for (int i = 0; i < 10; i++, f.now_ns += 30 * S) {
		assert_int_equal(weir__breaker_failure(&b, &f), 30 * S);
		assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
		assert_int_equal(b.row, 0);
		weir__breaker_try(&b);
		assert_int_equal(b.state, WEIR__CIRCUIT_HALF_OPEN);
	}
}

/* Open, one probe; failure opens again and waits longer, success closes. */
static void probe(void **state)
{
	struct weir__breaker b = fresh();
	uint64_t now = 100 * S, first;

	(void)state;
	first = fail_with(&b, WEIR__CAUSE_DEADLINE, now, UINT64_MAX / 2);
	assert_true(first >= 1 * S);
	weir__breaker_success(&b, now); /* late word of a host that is gone */
	assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
	weir__breaker_try(&b);
	assert_int_equal(b.state, WEIR__CIRCUIT_HALF_OPEN);
	assert_int_equal(b.retry_ns, 0);
	fail_with(&b, WEIR__CAUSE_START, now, 0);
	assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
	assert_int_equal(b.row, 2);
	weir__breaker_try(&b);
	assert_int_equal(weir__breaker_probation_ns(&b), 1 * S);
	weir__breaker_success(&b, now + 1 * S);
	assert_int_equal(b.state, WEIR__CIRCUIT_CLOSED);
	assert_int_equal(b.moves[WEIR__CIRCUIT_CLOSED][WEIR__CAUSE_START], 1);
	assert_int_equal(b.moves[WEIR__CIRCUIT_HALF_OPEN][WEIR__CAUSE_DEADLINE], 1);
	b.cfg.cooldown_ns = 60 * S;
	assert_int_equal(weir__breaker_probation_ns(&b), 5 * S);
}

/* The row goes on when a closed breaker opens again soon; after a healthy window it is over. */
static void row_ends(void **state)
{
	struct weir__breaker b = fresh();
	uint64_t now = 100 * S;

	(void)state;
	for (unsigned row = 1; row <= 4; row++) {
		fail_with(&b, WEIR__CAUSE_DEADLINE, now, 0);
		assert_int_equal(b.row, row);
		weir__breaker_try(&b);
		weir__breaker_success(&b, now += 1 * S);
		now += 59 * S;
	}
	now += 1 * S;
	fail_with(&b, WEIR__CAUSE_DEADLINE, now, 0);
	assert_int_equal(b.row, 1);
}

/* A person's word: what was is forgiven, the probe comes at once. */
static void reset(void **state)
{
	struct weir__breaker b = fresh();

	(void)state;
	for (int i = 0; i < 5; i++)
		fail_with(&b, WEIR__CAUSE_CRASH, S, 0);
	assert_int_equal(b.state, WEIR__CIRCUIT_OPEN);
	weir__breaker_reset(&b);
	assert_int_equal(b.state, WEIR__CIRCUIT_HALF_OPEN);
	assert_int_equal(b.retry_ns, 0);
	assert_int_equal(weir__breaker_recent(&b, S), 0);
	assert_int_equal(b.row, 0);
	weir__breaker_success(&b, 2 * S);
	weir__breaker_reset(&b);
	assert_int_equal(b.state, WEIR__CIRCUIT_CLOSED);
}

/* Limits out of range, and what a log line says. */
static void limits_and_words(void **state)
{
	struct weir__breaker_config odd = { 0, 60 * S, 10 * S, 1 * S };
	struct weir__breaker b;
	char text[160];

	(void)state;
	weir__breaker_init(&b, "x", &odd);
	assert_int_equal(b.cfg.failures, 1);
	assert_int_equal(b.cfg.max_cooldown_ns, 10 * S);
	odd.failures = 1000;
	weir__breaker_configure(&b, &odd);
	assert_int_equal(b.cfg.failures, WEIR__BREAKER_FAILURES);
	b = fresh();
	fail_with(&b, WEIR__CAUSE_START, S, 0);
	fail_with(&b, WEIR__CAUSE_START, S, 0);
	weir__breaker_outlook(&b, S, text, sizeof text);
	assert_string_equal(text, "failure 2 in 60.0 s, it opens at 5; next try in 200 ms");
	for (int c = 0; c < WEIR__CAUSE_COUNT; c++)
		assert_true(*weir__cause_name((enum weir__cause)c) && *weir__cause_doc((enum weir__cause)c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_pairs), cmocka_unit_test(soon_then_open), cmocka_unit_test(window_slides),
		cmocka_unit_test(at_once), cmocka_unit_test(waits_double), cmocka_unit_test(waits_scatter),
		cmocka_unit_test(budget_bound), cmocka_unit_test(fixed_interval), cmocka_unit_test(probe),
		cmocka_unit_test(row_ends), cmocka_unit_test(reset), cmocka_unit_test(limits_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
