/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir flows against the network plugin: a connection of this test's own is found by its
 * port, with who it belongs to and what went over it. Needs root and BPF.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define NETWORK                                                                \
	"control: {socket: '@S'}\nstate_dir: '@D'\nhttp: {listen: ''}\n"        \
	"plugin_dirs: ['@B', '@P']\n"                                          \
	"plugins:\n  network: {flow_producer: {flow_store_poll_interval: 200ms}}\n  count:\n"
#define DEADLINE_S 30
/* More than headers and handshakes are. */
#define SENT 1000000

static struct {
	int listener, client, server;
	unsigned port;
} pair = { -1, -1, -1, 0 };

static void connect_pair(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	pair.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(pair.listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(pair.listener, 1), 0);
	assert_int_equal(getsockname(pair.listener, (struct sockaddr *)&a, &len), 0);
	pair.port = ntohs(a.sin_port);
	pair.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&a, sizeof a), 0);
	pair.server = accept(pair.listener, NULL, NULL);
	assert_true(pair.server >= 0);
}

static void send_some(size_t bytes)
{
	static char buf[10000];

	for (; bytes; bytes -= sizeof buf) {
		assert_int_equal(send(pair.client, buf, sizeof buf, 0), (ssize_t)sizeof buf);
		assert_int_equal(recv(pair.server, buf, sizeof buf, MSG_WAITALL), (ssize_t)sizeof buf);
	}
}

/* A frame of weir flows; json_decref it. NULL: it failed. */
static json_t *flows(const struct daemon *d, const char *options)
{
	char line[700];
	json_t *j;
	FILE *f;

	snprintf(line, sizeof line, "timeout 30 %s flows --json --once -i 200ms -s %s %s </dev/null",
	         WEIR_BINARY, d->socket, options);
	f = popen(line, "r");
	assert_non_null(f);
	j = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	if (pclose(f) == 0)
		return j;
	json_decref(j);
	return NULL;
}

static double number(const json_t *o, const char *a, const char *b)
{
	const json_t *v = json_object_get(o, a);

	return json_number_value(v ? v : json_object_get(o, b));
}

/* The flow of that end of the connection; NULL: it is not there. */
static json_t *flow_of(const json_t *frame, const char *direction)
{
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(frame, "flows"), i, o) {
		const char *is = json_string_value(json_object_get(o, "direction"));

		if (number(o, "destination_port", "") == pair.port && is && !strcmp(is, direction))
			return o;
	}
	return NULL;
}

/* The client's end is found, with its process, at least what it sent, and a rate. */
static void own_connection(void **state)
{
	char filter[64], own[64] = "";
	time_t until = time(NULL) + DEADLINE_S;
	bool counted = false, rated = false, owned = false;
	FILE *comm = fopen("/proc/self/comm", "r");

	assert_non_null(comm);
	assert_non_null(fgets(own, sizeof own, comm));
	fclose(comm);
	own[strcspn(own, "\n")] = 0;
	connect_pair();
	snprintf(filter, sizeof filter, "--filter port=%u", pair.port);
	send_some(SENT);
	while (!(counted && rated && owned) && time(NULL) < until) {
		json_t *frame, *flow;

		send_some(100000); /* so that there is something to have a rate */
		frame = flows(*state, filter);
		flow = flow_of(frame, "client");
		if (flow) {
			const char *name = json_string_value(json_object_get(flow, "comm"));

			counted |= number(flow, "bytes", "bytes_total") >= SENT;
			owned |= name && !strcmp(name, own) &&
			         number(flow, "pid", "") == (double)getpid();
			/* What was sent just before the first answer may come after it. */
			rated |= json_is_number(json_object_get(flow, "tx_bytes_per_s"));
		}
		json_decref(frame);
	}
	assert_true(counted);
	assert_true(owned);
	assert_true(rated);
}

/* The same connection, summed up by port. */
static void own_port(void **state)
{
	time_t until = time(NULL) + DEADLINE_S;
	bool found = false;

	while (!found && time(NULL) < until) {
		json_t *frame = flows(*state, "--by port --limit 1000"), *o;
		size_t i;

		json_array_foreach(json_object_get(frame, "talkers"), i, o) {
			const char *key = json_string_value(json_object_get(o, "key"));

			found |= number(o, "port", "") == pair.port ||
			         (key && strtoul(key, NULL, 10) == pair.port);
		}
		json_decref(frame);
	}
	assert_true(found);
}

/* Another port than those there are: an empty list, and no error. */
static void no_such_flow(void **state)
{
	json_t *frame = flows(*state, "--filter port=1");

	assert_non_null(frame);
	assert_int_equal(json_array_size(json_object_get(frame, "flows")), 0);
	json_decref(frame);
}

static int setup(void **state)
{
	static struct daemon d;

	*state = &d;
	daemon_start(&d, NETWORK);
	return 0;
}

static int teardown(void **state)
{
	close(pair.client);
	close(pair.server);
	close(pair.listener);
	daemon_clean(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_connection),
		cmocka_unit_test(own_port),
		cmocka_unit_test(no_such_flow),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, setup, teardown);
}
