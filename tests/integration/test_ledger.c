/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger to the last record, with real kernel events at full rate: after the
 * flood, after stopping an output, after stopping a collector, after SIGTERM; and
 * the counting output's own numbers must agree with the route's.
 */
#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON                                                                 \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P']\n"

static json_t *status(struct daemon *d)
{
	return daemon_call(d, json_pack("{s:s}", "cmd", "status"));
}

static void change(struct daemon *d, const char *verb, const char *plugin)
{
	json_decref(daemon_call(d, json_pack("{s:s, s:s}", "cmd", verb, "plugin", plugin)));
}

/* The counting output's own account of one collector. */
static json_t *counted(struct daemon *d)
{
	json_t *answer = daemon_call(d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query",
	                             "plugin", "count", "query", "stats", "args"));
	json_t *body = json_loads(json_string_value(json_object_get(answer, "body")), 0, NULL);

	json_decref(answer);
	assert_non_null(body);
	return body;
}

struct want {
	const char *key;
	long long at_least;
};

static bool route_has(const json_t *s, void *arg)
{
	const struct want *w = arg;
	json_t *routes = json_object_get(s, "routes"), *r;
	size_t i;

	json_array_foreach(routes, i, r)
		if (num(r, w->key) >= w->at_least)
			return true;
	return false;
}

static bool all_open(const json_t *s, void *arg)
{
	json_t *routes = json_object_get(s, "routes"), *r;
	size_t i;

	(void)arg;
	json_array_foreach(routes, i, r)
		if (!json_is_true(json_object_get(r, "open")))
			return false;
	return json_array_size(routes) > 0;
}

/* A collector that waits makes this many events. Only with its routes open: in a process
 * that is a moment after it is ready, and what was before is not seen by them. */
static void go(struct daemon *d, const char *collector, const char *how)
{
	json_decref(wait_for(d, all_open, NULL, "open routes"));
	json_decref(daemon_call(d, json_pack("{s:s, s:s, s:s, s:[s]}", "cmd", "query", "plugin", collector,
	                                     "query", "go", "args", how)));
}

static bool nothing_queued(const json_t *s, void *arg)
{
	json_t *routes = json_object_get(s, "routes"), *r;
	size_t i;

	(void)arg;
	json_array_foreach(routes, i, r)
		if (num(r, "queued"))
			return false;
	return true;
}

/* A flood that ends by itself: every event is delivered, in order, none twice; with
 * a ring that is too small the missing ones are ring_full, exactly. */
static void flood_to_the_end(const char *ring, int events, bool may_lose)
{
	struct want want = { "seen", events };
	struct daemon d;
	char yaml[900], how[32];
	json_t *s, *c, *one, *r;

	snprintf(how, sizeof how, "events=%d", events);
	snprintf(yaml, sizeof yaml, COMMON "plugins:\n  count: {queue: 64MiB}\n"
	         "  flood: {wait: true, ring: %s}\n", ring);
	daemon_start(&d, yaml);
	go(&d, "flood", how);
	json_decref(wait_for(&d, route_has, &want, "all events"));
	s = wait_for(&d, nothing_queued, NULL, "empty queues");
	c = counted(&d);
	r = route_of(s, "flood", "count");
	one = json_object_get(json_object_get(c, "collectors"), "flood");
	assert_all_balanced(s);
	assert_int_equal(num(r, "seen"), events);
	assert_int_equal(num(r, "delivered"), num(c, "records"));
	assert_int_equal(num(r, "delivered"), events - dropped(r, NULL));
	assert_int_equal(num(one, "route_gaps"), 0);
	assert_int_equal(num(one, "seq_again"), 0);
	/* The sequence numbers the program gave say the same as the ledger. */
	assert_int_equal(num(one, "last_seq") - num(one, "records"), dropped(r, "ring_full") -
	                 (events - num(one, "last_seq")));
	if (!may_lose)
		assert_int_equal(dropped(r, NULL), 0);
	json_decref(s);
	json_decref(c);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* All of them fit into the ring (88 bytes each; 8 MiB on a machine of 8 GiB) and into
 * the queue, so that nothing is lost however slow the machine. */
static void flood_large_ring(void **state)
{
	(void)state;
	flood_to_the_end("16MiB", 80000, false);
}

static void flood_small_ring(void **state)
{
	(void)state;
	flood_to_the_end("64KiB", 1000000, true);
}

/* Stopping and starting an output under a flood: both routes stay balanced, the
 * other output misses nothing that is not named. */
static void stop_output(void **state)
{
	struct want want = { "delivered", 100000 };
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {queue: 16MiB}\n"
	             "  stdout: {format: json, file: /dev/null, queue: 256KiB}\n  flood: {ring: 1MiB}\n");
	json_decref(wait_for(&d, route_has, &want, "events"));
	for (int i = 0; i < 5; i++) {
		change(&d, "disable", "count");
		s = status(&d);
		assert_all_balanced(s);
		assert_false(json_is_true(json_object_get(route_of(s, "flood", "count"), "open")));
		assert_int_equal(num(route_of(s, "flood", "count"), "queued"), 0);
		json_decref(s);
		change(&d, "enable", "count");
		s = status(&d);
		assert_all_balanced(s);
		json_decref(s);
	}
	change(&d, "restart", "stdout");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A status at any moment balances: while records are made and delivered, while outputs go
 * and come, and while other statuses are under way, whose answers must not be mixed. */
static void status_at_any_moment(void **state)
{
	struct want want = { "delivered", 1000 };
	pid_t others[3];
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {queue: 1MiB}\n"
	             "  stdout: {format: json, file: /dev/null, queue: 256KiB}\n  flood: {ring: 256KiB}\n");
	json_decref(wait_for(&d, route_has, &want, "events"));
	for (size_t i = 0; i < 3; i++) {
		others[i] = fork();
		assert_true(others[i] >= 0);
		while (!others[i]) { /* until it is killed */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			json_decref(status(&d));
		}
	}
	for (int i = 0; i < 60; i++) {
		if (i % 10 == 5)
			change(&d, "disable", "count");
		if (i % 10 == 8)
			change(&d, "enable", "count");
		s = status(&d);
		assert_all_balanced(s);
		assert_true(num(route_of(s, "flood", "stdout"), "queued") >= 0);
		json_decref(s);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(kill(others[i], SIGKILL), 0);
		assert_int_equal(waitpid(others[i], NULL, 0), others[i]);
	}
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

#define LATE                                                                   \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P', '@H']\nplugins:\n  count:\n  late: {pid: %d, lose: %s}\n"

/* Its program counts what it sees, and takes milliseconds to say what became of it: that
 * is on its way, whoever asks in between. */
static void program_under_way(void **state)
{
	struct want want = { "seen", 1 };
	bool under_way = false;
	struct daemon d;
	char yaml[700];
	pid_t caller;
	json_t *s;

	(void)state;
	caller = fork();
	assert_true(caller >= 0);
	if (!caller)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!caller) /* until it is killed: nearly always within the program */
		syscall(SYS_getpriority, PRIO_PROCESS, 0);
	snprintf(yaml, sizeof yaml, LATE, (int)caller, "false");
	daemon_start(&d, yaml);
	json_decref(wait_for(&d, route_has, &want, "events"));
	/* 30 at least; more if the CPU was never taken from the caller within its program. */
	for (int i = 0; i < 30 || (!under_way && i < 3000); i++) {
		s = status(&d);
		assert_all_balanced(s);
		under_way |= num(route_of(s, "late", "count"), "queued") > 0;
		json_decref(s);
	}
	assert_true(under_way);
	assert_int_equal(kill(caller, SIGKILL), 0);
	assert_int_equal(waitpid(caller, NULL, 0), caller);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static bool unexplained(const json_t *s, void *arg)
{
	(void)arg;
	return num(route_of(s, "late", "count"), "unexplained") == 3;
}

/* What a program counts and then forgets is said to be unexplained, to the last one, while
 * it runs and at the end. */
static void program_that_loses(void **state)
{
	struct daemon d;
	char yaml[700], *log;

	(void)state;
	snprintf(yaml, sizeof yaml, LATE, (int)getpid(), "true");
	daemon_start(&d, yaml);
	json_decref(wait_for(&d, all_open, NULL, "an open route"));
	for (int i = 0; i < 3; i++)
		syscall(SYS_getpriority, PRIO_PROCESS, 0);
	json_decref(wait_for(&d, unexplained, NULL, "three records without a reason"));
	daemon_stop(&d, SIGTERM);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "UNEXPLAINED 3"));
	free(log);
	daemon_clean(&d);
}

/* Stopping and starting a collector under a flood: nothing is left unaccounted for,
 * and the counts go on over its lives. */
static void collector_stops(const char *plugins)
{
	struct want want = { "delivered", 50000 };
	struct daemon d;
	long long seen = 0;
	json_t *s;

	daemon_start(&d, plugins);
	for (int i = 0; i < 8; i++) {
		json_decref(wait_for(&d, route_has, &want, "events"));
		change(&d, "disable", "flood");
		s = status(&d);
		assert_all_balanced(s);
		assert_int_equal(num(route_of(s, "flood", "count"), "queued"), 0);
		assert_true(num(route_of(s, "flood", "count"), "seen") > seen);
		seen = num(route_of(s, "flood", "count"), "seen");
		want.at_least = num(route_of(s, "flood", "count"), "delivered") + 50000;
		json_decref(s);
		change(&d, "enable", "flood");
	}
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static void stop_collector(void **state)
{
	(void)state;
	collector_stops(COMMON "plugins:\n  count:\n  flood: {ring: 1MiB}\n");
}

/* Its end of the route is a thread's, the output's a process's. */
static void stop_collector_of_process(void **state)
{
	(void)state;
	collector_stops(COMMON "plugins:\n  count: {isolation: process}\n"
	                "  flood: {isolation: thread, ring: 1MiB}\n");
}

/* A collector that ends while a slow output still has its batches: the output hands
 * them over later, and each record is delivered or crashed, none both. */
static void stop_before_slow_output(void **state)
{
	struct want want = { "seen", 20000 };
	struct daemon d;
	json_t *s, *c;

	(void)state;
	daemon_start(&d, COMMON "shutdown_timeout: 200ms\nplugins:\n  count: {delay: 100ms}\n"
	             "  flood: {wait: true}\n");
	go(&d, "flood", "events=20000");
	json_decref(wait_for(&d, route_has, &want, "events"));
	change(&d, "disable", "flood");
	s = wait_for(&d, nothing_queued, NULL, "empty queues");
	c = counted(&d);
	assert_all_balanced(s);
	assert_int_equal(num(route_of(s, "flood", "count"), "delivered"), num(c, "records"));
	json_decref(s);
	json_decref(c);
	change(&d, "enable", "flood");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A collector that a blocking output holds back ends with its ring full: what the route
 * has no room for is queue_full, nothing is without a reason. */
static void stop_while_blocked(void **state)
{
	struct want want = { "seen", 100000 };
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "shutdown_timeout: 200ms\nplugins:\n"
	             "  count: {delay: 100ms, on_full: block, queue: 256KiB}\n  flood:\n");
	json_decref(wait_for(&d, route_has, &want, "events"));
	change(&d, "disable", "flood");
	s = status(&d);
	assert_all_balanced(s);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* SIGTERM under a flood with a slow, a refusing and a quick output: each route's last
 * line says balanced, and the daemon exits 0. */
static void sigterm(void **state)
{
	struct want want = { "seen", 300000 };
	struct daemon d;
	char *log, *at;
	int lines = 0;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {reject_every: 7, delay: 1ms, queue: 128KiB}\n"
	             "  stdout: {format: json, file: /dev/null}\n  flood:\n");
	json_decref(wait_for(&d, route_has, &want, "events"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	log = daemon_log(&d);
	for (at = log; (at = strstr(at, "ledger to ")); at++) {
		char *end = strchr(at, '\n');

		assert_non_null(end);
		*end = 0;
		assert_non_null(strstr(at, "balanced"));
		assert_non_null(strstr(at, "queued 0"));
		*end = '\n';
		lines++;
	}
	assert_int_equal(lines, 2);
	assert_non_null(strstr(log, "every record is accounted for"));
	free(log);
	daemon_clean(&d);
}

/* With on_full: block a slow output holds the collector back: nothing is dropped at
 * the queue, the kernel counts what the ring could not take. */
static void block_policy(void **state)
{
	struct want want = { "delivered", 20000 };
	struct daemon d;
	json_t *s, *r;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {delay: 2ms, queue: 512KiB, on_full: block}\n"
	             "  flood: {ring: 256KiB}\n");
	json_decref(wait_for(&d, route_has, &want, "events"));
	s = status(&d);
	r = route_of(s, "flood", "count");
	assert_all_balanced(s);
	assert_int_equal(dropped(r, "queue_full"), 0);
	assert_true(dropped(r, "ring_full") > 0);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood_large_ring), cmocka_unit_test(flood_small_ring),
		cmocka_unit_test(stop_output), cmocka_unit_test(status_at_any_moment),
		cmocka_unit_test(program_under_way), cmocka_unit_test(program_that_loses),
		cmocka_unit_test(stop_collector),
		cmocka_unit_test(stop_collector_of_process),
		cmocka_unit_test(stop_before_slow_output), cmocka_unit_test(stop_while_blocked),
		cmocka_unit_test(sigterm), cmocka_unit_test(block_policy),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
