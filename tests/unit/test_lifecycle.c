/* SPDX-License-Identifier: Apache-2.0 */
/* The lifecycle's table over all pairs, and the ledger's arithmetic. */
#include "ledger.h"
#include "lifecycle.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Does moving abort? In a child, since it is meant to. */
static int move_aborts(enum weir__state from, enum weir__state to)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		enum weir__state s = from;

		fclose(stderr);
		weir__state_move(&s, to, "x", "");
		_exit(s == to ? 0 : 3);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Every pair is either in the table and moves, or is not and aborts. */
static void all_pairs(void **state)
{
	static const char *const allowed[] = {
		"disabled starting", "disabled standby", "disabled refused",
		"standby starting", "standby disabled",
		"starting running", "starting failed", "running stopping",
		"stopping disabled", "stopping standby", "stopping failed", "stopping starting",
		"stopping suspended", "suspended starting", "suspended disabled", "suspended standby",
		"failed starting", "failed disabled", "failed standby",
		"refused disabled", "refused starting",
	};
	size_t found = 0;

	(void)state;
	for (int a = 0; a < WEIR__STATE_COUNT; a++)
		for (int b = 0; b < WEIR__STATE_COUNT; b++) {
			char pair[64];
			bool expected = false;

			snprintf(pair, sizeof pair, "%s %s", weir__state_name((enum weir__state)a),
			         weir__state_name((enum weir__state)b));
			for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
				expected |= !strcmp(allowed[i], pair);
			found += expected;
			assert_int_equal(weir__state_may_move((enum weir__state)a, (enum weir__state)b), expected);
			assert_int_equal(move_aborts((enum weir__state)a, (enum weir__state)b), !expected);
		}
	assert_int_equal(found, sizeof allowed / sizeof allowed[0]);
}

/* The account is balanced when all is explained, and says by how much it is not. */
static void ledger(void **state)
{
	struct weir__ledger l = { .seen = 10, .delivered = 5, .queued = 1, .aggregated = 1 };
	char text[300];

	(void)state;
	l.dropped[WEIR__RING_FULL] = 2;
	l.dropped[WEIR__REJECTED] = 1;
	assert_int_equal(weir__ledger_unexplained(&l), 0);
	weir__ledger_format(&l, text, sizeof text);
	assert_string_equal(text, "seen 10 = delivered 5 + queued 1 + aggregated 1 + dropped 3 "
	                    "(ring_full 2, rejected 1): balanced");
	l.seen = 12;
	weir__ledger_format(&l, text, sizeof text);
	assert_non_null(strstr(text, "UNEXPLAINED 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_pairs), cmocka_unit_test(ledger) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
