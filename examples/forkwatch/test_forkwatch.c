/* SPDX-License-Identifier: Apache-2.0 */
/* forkwatch in the test host: no daemon, no root, no BPF. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/testhost.h>
#include "forkwatch_events.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A record from the kernel is counted; whether it goes on, min_runtime decides. */
static void short_lives_are_counted_only(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "min_runtime=1s");
	struct weir_forkwatch_exit e = { .pid = 7, .runtime_ns = 5 * WEIR_TEST_MS, .comm = "sh" };

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	assert_int_equal(weir_test_record(t, FORKWATCH_EXIT, &e, sizeof(e)), WEIR_RECORD_FILTERED);
	e.runtime_ns = 2 * WEIR_TEST_SECOND;
	e.how = FORKWATCH_KILLED;
	assert_int_equal(weir_test_record(t, FORKWATCH_EXIT, &e, sizeof(e)), WEIR_RECORD_PASS);
	assert_int_equal(weir_test_event_count(t), 1);
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "forkwatch_exits_total", "exited") == 1);
	assert_true(weir_test_metric(t, "forkwatch_exits_total", "killed") == 1);
	assert_true(weir_test_metric(t, "forkwatch_runtime_seconds_total") == 2.005);
	assert_int_equal(weir_test_free(t), 0);
}

/* Without BPF a process that has gone between two looks is reported. */
static void procfs_sees_who_is_gone(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin);
	pid_t child = fork();
	bool found = false;

	(void)state;
	if (child == 0) {
		pause();
		_exit(0);
	}
	weir_test_real_files(t, true);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "procfs"), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	weir_test_advance(t, WEIR_TEST_SECOND);
	for (size_t i = 0; i < weir_test_event_count(t); i++) {
		const struct weir_forkwatch_exit *e = weir_test_event(t, i)->payload;

		found |= e->pid == (uint32_t)child && e->ppid == (uint32_t)getpid();
	}
	assert_true(found);
	assert_int_equal(weir_test_free(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_lives_are_counted_only),
		cmocka_unit_test(procfs_sees_who_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
