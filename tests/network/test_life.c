/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection's record says of its life beside counts: refused, timed out, reset,
 * closed; who asked, and why it failed. And ports that listen.
 */
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct watch w;
static struct net_pair pair;

struct attempt {
	struct sockaddr_storage to;
	socklen_t len;
	int error;           /* what connect() said */
	uint16_t port;
	uint32_t pid;
};

/* A connect() that shall fail. Bound first, so that its port is known afterwards. */
static void attempt_client(void *arg)
{
	struct attempt *a = arg;
	struct sockaddr_storage at;
	socklen_t len = pair_address(&pair, a->to.ss_family, 1, 0, &at);
	int fd = socket(at.ss_family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&at, len))
		net_die("cannot bind");
	a->port = port_of(fd);
	a->pid = (uint32_t)getpid();
	a->error = connect(fd, (struct sockaddr *)&a->to, a->len) ? errno : 0;
	close(fd);
}

struct question {
	const struct attempt *a;
	const struct ns *ns;
};

static struct flow *flow_of_attempt(const struct attempt *a, const struct ns *ns)
{
	struct sockaddr_storage from;

	pair_address(&pair, a->to.ss_family, 1, a->port, &from);
	return flows_find(&w.flows, FLOW_HOST, ns->cookie, IPPROTO_TCP, &from, &a->to);
}

static bool ended(struct watch *watch, void *arg)
{
	const struct question *q = arg;
	const struct flow *f = flow_of_attempt(q->a, q->ns);

	(void)watch;
	return f && f->ends;
}

static struct flow *run_attempt(struct attempt *a, int family, unsigned end, uint16_t port)
{
	struct question q = { a, &pair.client };

	a->len = pair_address(&pair, family, end, port, &a->to);
	actor_wait(actor_start(&pair.client, "the-client", attempt_client, a), 30);
	if (!watch_until(&w, ended, &q, 20))
		fail_msg("no record of the attempt on port %u", port);
	return flow_of_attempt(a, &pair.client);
}

static void expect_failure(const struct flow *f, const struct attempt *a, int error, uint64_t out, uint64_t in)
{
	unsigned client = f->source_end;
	struct sockaddr_storage from;

	pair_address(&pair, a->to.ss_family, 1, a->port, &from);
	flow_print(f, strerror(error));
	flow_check(f);
	assert_int_equal(a->error, error);
	assert_int_equal(f->error, error);
	assert_int_equal(client, flow_end(f, &from));
	assert_string_equal(f->direction, "client");
	assert_string_equal(f->state, "closed");
	assert_int_equal(f->pid, a->pid);
	assert_string_equal(f->comm, "the-client");
	assert_int_equal(f->from[client].packets, out);
	assert_int_equal(f->from[!client].packets, in);
}

static void test_refused(void **state)
{
	struct attempt *a = shared_new(sizeof *a);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct flow *f = run_attempt(a, i ? AF_INET6 : AF_INET, 2, 6100);

		expect_failure(f, a, ECONNREFUSED, 1, 1);
		/* The answer is 20 bytes of TCP: it has no options. */
		assert_int_equal(f->from[!f->source_end].bytes, i ? 60 : 40);
		assert_int_equal(f->from[f->source_end].bytes, i ? 80 : 60);
		assert_int_equal(f->resets, 1);
	}
	shared_free(a, sizeof *a);
}

static bool has_dropped(struct watch *watch, void *arg)
{
	const struct question *q = arg;
	const struct flow *f = flow_of_attempt(q->a, q->ns);

	(void)watch;
	return f && f->drops && f->ends;
}

/* The other end has no socket: the kernel says so when it drops the packet. */
static void test_a_drop_has_the_name_of_its_reason(void **state)
{
	struct attempt *a = shared_new(sizeof *a);
	struct question q = { a, &pair.server };

	(void)state;
	run_attempt(a, AF_INET, 2, 6103);
	if (!watch_until(&w, has_dropped, &q, 20))
		fail_msg("no drop at port 6103");
	assert_string_equal(flow_of_attempt(a, &pair.server)->drop_reason, "NO_SOCKET");
	shared_free(a, sizeof *a);
}

/* Packets are exact, each time. Of retransmissions, which a tracepoint tells, one was missing in 3 of
 * some 190 tries on a busy machine; why is not known. One try of three must be exact. */
static void time_out(struct attempt *a, int family)
{
	struct link_counters before, d;
	uint32_t again = 0;
	struct flow *f;

	for (int try = 0; try < 3; try++) {
		link_counters(&pair.client, "c0", &before);
		f = run_attempt(a, family, 77, 6101);
		d = link_since(&pair.client, "c0", &before);
		assert_true(d.tx_packets > 1);
		expect_failure(f, a, ETIMEDOUT, d.tx_packets, 0);
		assert_int_equal(f->resets, 0);
		again = f->retransmits;
		assert_true(again < d.tx_packets);
		if (again == d.tx_packets - 1)
			return;
		printf("    %u retransmissions of %u told\n", again, (unsigned)d.tx_packets - 1);
	}
	assert_int_equal(again, d.tx_packets - 1);
}

static void test_timed_out(void **state)
{
	struct attempt *a = shared_new(sizeof *a);

	(void)state;
	/* How many tries that makes is the kernel's business (tcp_syn_linear_timeouts): the
	 * interface says. */
	ns_sysctl(&pair.client, "ipv4/tcp_syn_retries", "1");
	time_out(a, AF_INET);
	time_out(a, AF_INET6);
	shared_free(a, sizeof *a);
}

/* ---- a reset in the middle --------------------------------------------------------------- */

static void rude_server(void *arg)
{
	struct bulk *b = arg;
	int listener = open_listener(&b->to, b->len, false), fd;
	struct linger reset = { 1, 0 };

	atomic_store(&b->listening, 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	b->server.pid = (uint32_t)getpid();
	receive(fd, 100);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

static void surprised_client(void *arg)
{
	struct bulk *b = arg;
	char byte;
	int fd;

	flag_wait(&b->listening, 1);
	fd = open_client(&b->to, b->len);
	b->client.port = port_of(fd);
	b->client.pid = (uint32_t)getpid();
	send_all(fd, 100);
	if (recv(fd, &byte, 1, 0) != -1 || errno != ECONNRESET)
		net_die("no reset came");
	close(fd);
}

static void check_reset(int family)
{
	struct bulk *b = shared_new(sizeof *b);
	struct attempt a = { 0 };
	struct question q = { &a, &pair.client }, r = { &a, &pair.server };
	struct flow *c, *s;
	pid_t pids[2];

	b->len = a.len = pair_address(&pair, family, 2, 6102, &b->to);
	a.to = b->to;
	pids[0] = actor_start(&pair.server, "the-server", rude_server, b);
	pids[1] = actor_start(&pair.client, "the-client", surprised_client, b);
	actor_wait(pids[1], 30);
	actor_wait(pids[0], 30);
	a.port = b->client.port;
	assert_true(watch_until(&w, ended, &q, 20));
	assert_true(watch_until(&w, ended, &r, 20));
	c = flow_of_attempt(&a, &pair.client);
	s = flow_of_attempt(&a, &pair.server);
	flow_print(c, "client of a reset");
	flow_print(s, "server of a reset");
	assert_int_equal(c->error, ECONNRESET);
	assert_int_equal(s->error, 0);
	assert_int_equal(c->resets, 1);
	assert_int_equal(s->resets, 1);
	assert_int_equal(c->pid, b->client.pid);
	assert_int_equal(s->pid, b->server.pid);
	assert_string_equal(c->direction, "client");
	assert_string_equal(s->direction, "server");
	assert_string_equal(c->end_reason, "end_of_flow");
	shared_free(b, sizeof *b);
}

static void test_reset_by_the_server(void **state)
{
	(void)state;
	check_reset(AF_INET);
	check_reset(AF_INET6);
}

/* ---- listeners --------------------------------------------------------------------------- */

/* Lines of the file with this in them. */
static unsigned lines_with(const char *a, const char *b, const char *c)
{
	static char line[16384];
	FILE *f = fopen(w.flows.path, "r");
	unsigned n = 0;

	while (f && fgets(line, sizeof line, f))
		n += strstr(line, a) && strstr(line, b) && strstr(line, c);
	if (f)
		fclose(f);
	return n;
}

static bool both_said(struct watch *watch, void *arg)
{
	const char *port = arg;

	(void)watch;
	return lines_with("\"flow_listen\"", port, "\"open\":true") && lines_with("\"flow_listen\"", port, "\"open\":false");
}

static void listen_and_end(void *arg)
{
	struct attempt *a = arg;

	open_listener(&a->to, a->len, false);
}

static void test_a_listener_is_said_when_it_begins_and_ends(void **state)
{
	static char port[] = "\"port\":6103,";
	struct attempt a;

	(void)state;
	a.len = pair_address(&pair, AF_INET6, 2, 6103, &a.to);
	actor_wait(actor_start(&pair.server, "the-listener", listen_and_end, &a), 10);
	assert_true(watch_until(&w, both_said, port, 20));
	assert_int_equal(lines_with("\"flow_listen\"", port, "the-listener"), 2);
}

static int setup(void **state)
{
	(void)state;
	pair_new(&pair, 41);
	watch_start(&w, NULL, "", 100000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	watch_nothing_lost(&w);
	watch_stop(&w);
	watch_clean(&w);
	pair_free(&pair);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_a_drop_has_the_name_of_its_reason),
		cmocka_unit_test(test_timed_out),
		cmocka_unit_test(test_reset_by_the_server),
		cmocka_unit_test(test_a_listener_is_said_when_it_begins_and_ends),
	};

	need_network();
	return cmocka_run_group_tests(tests, setup, teardown);
}
