/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin at cgroups and interfaces in a real daemon, that has become its own user with the
 * declared capabilities only: on a thread, and in a process of its own behind the filter of
 * system calls. Its map is emptied by threads without any right. When the daemon is killed,
 * nothing is left.
 */
#include "fixture.h"
#include "gates_events.h"
#include "net.h"
#include "traffic_gates.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct net_pair pair;

static json_t *seen(struct daemon *d)
{
	json_t *a = daemon_call(d, json_pack("{s:s, s:s, s:s}", "cmd", "query", "plugin", "gates", "query", "seen"));
	json_t *o = json_loads(json_string_value(json_object_get(a, "body")), 0, NULL);

	json_decref(a);
	assert_non_null(o);
	return o;
}

static long long sum_of(struct daemon *d, enum gate gate)
{
	json_t *o = seen(d);
	long long n = json_integer_value(json_array_get(json_object_get(o, "seen"), gate));

	json_decref(o);
	return n;
}

static void wait_sum(struct daemon *d, enum gate gate, long long want)
{
	for (int i = 0; i < 1000 && sum_of(d, gate) < want; i++)
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	assert_int_equal(sum_of(d, gate), want);
}

static void all_attached(struct daemon *d)
{
	json_t *s = daemon_call(d, json_pack("{s:s}", "cmd", "status")), *g;
	size_t i;

	json_array_foreach(json_object_get(plugin_of(s, "gates"), "programs"), i, g)
		if (!json_is_true(json_object_get(g, "attached")))
			fail_msg("%s: %s", json_string_value(json_object_get(g, "name")),
			         json_string_value(json_object_get(g, "error")));
	assert_int_equal(i, GATES);
	json_decref(s);
}

static void counts(const char *isolation)
{
	uint32_t before = at_root();
	struct daemon d;
	char yaml[800];

	snprintf(yaml, sizeof yaml, "control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nplugins:\n"
	         "  gates: {path: '%s', isolation: %s, pid: %d, port: %d, ifindex: %u}\n"
	         "  stdout: {path: '@P/stdout.so', file: /dev/null}\n",
	         WEIR_GATES, isolation, (int)getpid(), GATES_PORT, link_index(&pair.client, "c0"));
	ns_enter(&pair.client);
	daemon_start(&d, yaml);
	ns_enter(NULL);
	all_attached(&d);
	assert_int_equal(at_root(), before + 1);
	send_from(&pair, 1, 30);
	wait_sum(&d, GATE_TC, 30);
	wait_sum(&d, GATE_EGRESS, 30);
	wait_sum(&d, GATE_INGRESS, 30);
	wait_sum(&d, GATE_CREATE, 2);
	assert_int_equal(daemon_stop(&d, SIGKILL), -1);
	for (int i = 0; i < 1000 && at_root() > before; i++) /* a process of its own ends just after */
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	assert_int_equal(at_root(), before);
	send_from(&pair, 1, 3);
	daemon_clean(&d);
}

static void thread(void **state)
{
	(void)state;
	counts("thread");
}

static void process(void **state)
{
	(void)state;
	counts("process");
}

/* Without the right to networks the plugin says what it lacks, program by program. */
static void without_right(void **state)
{
	struct daemon d;
	char yaml[800];
	json_t *s;
	char *text;

	(void)state;
	snprintf(yaml, sizeof yaml, "control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nplugins:\n"
	         "  gates: {path: '%s', isolation: thread}\n  stdout: {path: '@P/stdout.so', file: /dev/null}\n",
	         WEIR_GATES);
	fixture_without = 1ull << 12;
	daemon_start(&d, yaml);
	fixture_without = 0;
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	text = json_dumps(json_object_get(plugin_of(s, "gates"), "programs"), 0);
	assert_non_null(strstr(text, "gate_egress"));
	if (!strstr(text, "CAP_NET_ADMIN"))
		fail_msg("%s", text);
	free(text);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thread), cmocka_unit_test(process), cmocka_unit_test(without_right),
	};
	int rc;

	need_bpf();
	if (no_net()) {
		printf("SKIP: %s\n", no_net());
		return 77;
	}
	pair_new(&pair, 42);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free(&pair);
	return rc;
}
