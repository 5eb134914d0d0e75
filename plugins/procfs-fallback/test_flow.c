/* SPDX-License-Identifier: Apache-2.0 */
/* Topic flow: there while it is wanted, and what real sockets sent is in the records, once. */
#include "test_procfs.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow_events.h"

#define SENT 123456
#define HEADERS 52

/* One connection over loopback. */
static void connect_pair(int pair[2], uint16_t port[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof a;

	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&a, sizeof a), 0);
	pair[1] = accept(listener, NULL, NULL);
	port[1] = ntohs(a.sin_port);
	assert_int_equal(getsockname(pair[0], (struct sockaddr *)&a, &len), 0);
	port[0] = ntohs(a.sin_port);
	close(listener);
}

static void transfer(const int pair[2], size_t left)
{
	static char buf[4096];

	while (left) {
		size_t n = left < sizeof buf ? left : sizeof buf;

		assert_int_equal(send(pair[0], buf, n, 0), n);
		assert_int_equal(recv(pair[1], buf, n, MSG_WAITALL), n);
		left -= n;
	}
}

/* Payload that the records of the client's socket say it sent. */
static uint64_t recorded(struct weir_test *t, const uint16_t port[2], unsigned *ret_ends)
{
	uint64_t bytes = 0;

	*ret_ends = 0;
	for (size_t i = 0; i < weir_test_event_count(t); i++) {
		const struct weir_test_event *e = weir_test_event(t, i);
		const struct weir_flow *r = e->payload;
		bool ahead = e->kind == PROCFS_FLOW && r->source_port == port[0];

		if (e->kind != PROCFS_FLOW || r->direction != WEIR_DIR_CLIENT ||
		    (ahead ? r->destination_port : r->source_port) != port[1])
			continue;
		assert_string_equal(r->source_name, "diag");
		assert_true(r->approx);
		bytes += (ahead ? r->bytes_delta - HEADERS * r->packets_delta
		                : r->reverse_bytes_delta - HEADERS * r->reverse_packets_delta);
		*ret_ends += r->end_reason == WEIR_END_FORCED;
	}
	return bytes;
}

static struct weir_test *begin(const char *from)
{
	struct weir_test *t = weir_test_new(&weir_plugin, from, "flow.interval=1s");

	weir_test_file(t, "/proc/vmstat", "nr_file_pages 100\n");
	assert_int_equal(weir_test_init(t), 0);
	weir_test_want(t, "io", false);
	weir_test_want(t, "memory", false);
	return t;
}

/* What passes while it is wanted is recorded, to the byte: not what was before, nor after. */
static void on_and_off(void **state)
{
	struct weir_test *t = begin("flow.from=diag");
	uint16_t port[2];
	unsigned ends;
	int pair[2];

	(void)state;
	weir_test_want(t, "flow", false);
	connect_pair(pair, port);
	transfer(pair, 5000);
	assert_int_equal(weir_test_start(t, "procfs"), 0);
	weir_test_want(t, "flow", true);
	weir_test_advance(t, 10 * WEIR_TEST_SECOND);
	weir_test_want(t, "flow", false);
	weir_test_advance(t, WEIR_TEST_SECOND);
	if (weir_test_tick_errors(t, NULL)) {
		printf("SKIP: on_and_off: %s\n", weir_test_reason(t));
		weir_test_free(t);
		skip();
	}
	for (int turn = 1; turn <= 2; turn++) {
		weir_test_want(t, "flow", true);
		weir_test_advance(t, 3 * WEIR_TEST_SECOND);
		transfer(pair, SENT);
		weir_test_advance(t, 2 * WEIR_TEST_SECOND);
		transfer(pair, 1000);
		weir_test_want(t, "flow", false);
		weir_test_advance(t, WEIR_TEST_SECOND);
		assert_int_equal(recorded(t, port, &ends), (uint64_t)turn * (SENT + 1000));
		assert_int_equal(ends, turn);
		/* Nobody counted until the tick that found it wanted. */
		assert_true(weir_test_metric(t, "weir_procfs_flow_unserved_seconds_total", NULL) > 0);
		transfer(pair, 7777); /* nobody looks */
	}
	assert_int_equal(weir_test_tick_errors(t, NULL), 0);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(weir_test_free(t), 0);
}

/* /proc/net: the flow is there, with nothing counted. */
static void proc(void **state)
{
	struct weir_test *t = begin("flow.from=proc");
	uint16_t port[2];
	int pair[2];
	bool seen = false;

	(void)state;
	connect_pair(pair, port);
	assert_int_equal(weir_test_start(t, "procfs"), 0);
	weir_test_advance(t, 3 * WEIR_TEST_SECOND);
	weir_test_stop(t);
	for (size_t i = 0; i < weir_test_event_count(t); i++) {
		const struct weir_test_event *e = weir_test_event(t, i);
		const struct weir_flow *r = e->payload;

		if (e->kind != PROCFS_FLOW || (r->source_port != port[0] && r->destination_port != port[0]))
			continue;
		assert_string_equal(r->source_name, "proc");
		assert_int_equal(r->packets_total + r->reverse_packets_total, 0);
		assert_int_equal(r->state, WEIR_STATE_ESTABLISHED);
		seen = true;
	}
	assert_true(seen);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(weir_test_free(t), 0);
}

int flow_tests(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(on_and_off), cmocka_unit_test(proc) };

	return cmocka_run_group_tests_name("procfs flows", tests, NULL, NULL);
}
