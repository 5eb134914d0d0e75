/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner of a flow is the process that uses the socket, however it came by it: made it, accepted
 * it before or after a fork, inherited it, got it passed, shares its port with another process;
 * TCP and UDP, IPv4 and IPv6, in namespaces with the same addresses, and from before Weir began.
 */
#include "expect.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct watch w;
static struct net_pair pair;
static const int families[] = { AF_INET, AF_INET6 };

/* ---- what the actors share ------------------------------------------------------------- */

#define SIZE 1000

struct scene {
	struct sockaddr_storage to;
	socklen_t len;
	_Atomic uint32_t listening, go, done;
	uint32_t client, server;              /* pids that use the sockets */
	uint32_t opener;                      /* pid that opened one, and does not use it */
	uint16_t client_port;
	uint32_t by_port[65536];              /* REUSEPORT: who had the client with this port */
};

static struct scene *scene_new(int family, uint16_t port)
{
	struct scene *s = shared_new(sizeof *s);

	s->len = pair_address(&pair, family, 2, port, &s->to);
	return s;
}

static struct flow *flow_of_scene(const struct scene *s, const struct ns *ns, uint16_t client_port, int transport)
{
	struct sockaddr_storage a;

	pair_address(&pair, s->to.ss_family, 1, client_port, &a);
	return flows_find(&w.flows, FLOW_HOST, ns->cookie, transport, &a, &s->to);
}

struct question {
	const struct scene *s;
	const struct ns *ns;
	uint16_t port;
	int transport;
};

static bool has_ended(struct watch *watch, void *arg)
{
	const struct question *q = arg;
	const struct flow *f = flow_of_scene(q->s, q->ns, q->port, q->transport);

	(void)watch;
	return f && f->ends;
}

static void expect_owner(const struct scene *s, const struct ns *ns, uint16_t port, int transport, uint32_t pid,
                         const char *comm, const char *what)
{
	struct question q = { s, ns, port, transport };
	bool ended = watch_until(&w, has_ended, &q, 15);
	struct flow *f = flow_of_scene(s, ns, port, transport);

	if (!f || f->pid != pid || strcmp(f->comm, comm)) {
		printf("    %s: expected %u %s, opened by %u\n", what, pid, comm, s->opener);
		if (f)
			flow_print(f, "got");
		else
			printf("    no record\n");
		fail();
	}
	assert_true(ended);
	assert_string_equal(f->owner_from, "user");
}

/* ---- actors ---------------------------------------------------------------------------- */

static void simple_client(void *arg)
{
	struct scene *s = arg;
	int fd;

	flag_wait(&s->listening, 1);
	fd = open_client(&s->to, s->len);
	s->client = (uint32_t)getpid();
	s->client_port = port_of(fd);
	send_all(fd, SIZE);
	receive(fd, SIZE);
	close(fd);
}

static void answer(int fd)
{
	receive(fd, SIZE);
	send_all(fd, SIZE);
	receive(fd, SIZE_MAX);
	close(fd);
}

static int accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		net_die("cannot accept");
	return fd;
}

/* The opener's child does all the rest, the accept too. */
struct child {
	struct scene *s;
	int fd;
};

static void accepting_child(void *arg)
{
	struct child *c = arg;

	c->s->server = (uint32_t)getpid();
	atomic_store(&c->s->listening, 1);
	answer(accept_one(c->fd));
}

static void prefork_server(void *arg)
{
	struct scene *s = arg;
	struct child c = { s, open_listener(&s->to, s->len, false) };

	s->opener = (uint32_t)getpid();
	actor_wait(actor_start(NULL, "the-worker", accepting_child, &c), 30);
}

/* The parent accepts, and leaves the connection to a child. */
static void serving_child(void *arg)
{
	struct child *c = arg;

	c->s->server = (uint32_t)getpid();
	answer(c->fd);
}

static void forking_server(void *arg)
{
	struct scene *s = arg;
	int listener = open_listener(&s->to, s->len, false), fd;
	struct child c = { s, -1 };
	pid_t pid;

	s->opener = (uint32_t)getpid();
	atomic_store(&s->listening, 1);
	fd = c.fd = accept_one(listener);
	pid = actor_start(NULL, "the-child", serving_child, &c);
	close(fd);
	actor_wait(pid, 30);
}

/* The parent connects, its child speaks. */
static void speaking_child(void *arg)
{
	struct child *c = arg;

	c->s->client = (uint32_t)getpid();
	send_all(c->fd, SIZE);
	receive(c->fd, SIZE);
	close(c->fd);
}

static void inheriting_client(void *arg)
{
	struct scene *s = arg;
	struct child c = { s, -1 };
	pid_t pid;

	flag_wait(&s->listening, 1);
	c.fd = open_client(&s->to, s->len);
	s->opener = (uint32_t)getpid();
	s->client_port = port_of(c.fd);
	pid = actor_start(NULL, "the-heir", speaking_child, &c);
	close(c.fd);
	actor_wait(pid, 30);
}

static void run_two(const struct scene *s, actor_fn client, const char *client_comm, actor_fn server,
                    const char *server_comm)
{
	pid_t b = actor_start(&pair.server, server_comm, server, (void *)(uintptr_t)s);
	pid_t a = actor_start(&pair.client, client_comm, client, (void *)(uintptr_t)s);

	actor_wait(a, 30);
	actor_wait(b, 30);
}

/* ---- tests ----------------------------------------------------------------------------- */

static void test_pre_fork_and_client(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene *s = scene_new(families[i], 6001);

		run_two(s, simple_client, "the-client", prefork_server, "the-opener");
		expect_owner(s, &pair.client, s->client_port, IPPROTO_TCP, s->client, "the-client", "client");
		expect_owner(s, &pair.server, s->client_port, IPPROTO_TCP, s->server, "the-worker", "pre-fork");
		shared_free(s, sizeof *s);
	}
}

static void test_accepted_and_handed_on(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene *s = scene_new(families[i], 6002);

		run_two(s, simple_client, "the-client", forking_server, "the-parent");
		expect_owner(s, &pair.server, s->client_port, IPPROTO_TCP, s->server, "the-child", "fork");
		shared_free(s, sizeof *s);
	}
}

static void test_inherited_by_a_child(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene *s = scene_new(families[i], 6003);

		run_two(s, inheriting_client, "the-parent", prefork_server, "the-opener");
		expect_owner(s, &pair.client, s->client_port, IPPROTO_TCP, s->client, "the-heir", "inherited");
		shared_free(s, sizeof *s);
	}
}

/* Two processes with one port; each notes whose it was. */
static void reuse_tcp(void *arg)
{
	struct scene *s = arg;
	int listener = open_listener(&s->to, s->len, true), fd;

	atomic_fetch_add(&s->listening, 1);
	for (;;) { /* until it is killed */
		fd = accept_one(listener);
		s->by_port[peer_port_of(fd)] = (uint32_t)getpid();
		answer(fd);
	}
}

static void reuse_udp(void *arg)
{
	struct scene *s = arg;
	int fd = open_udp(&s->to, s->len, true);
	struct sockaddr_storage from;
	char buf[SIZE];

	atomic_fetch_add(&s->listening, 1);
	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);

		s->by_port[address_port(&from)] = (uint32_t)getpid();
		sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

#define REUSERS 40
static uint16_t (*reuse_ports)[REUSERS];

static void reuse_client(void *arg)
{
	struct scene *s = arg;
	bool tcp = address_port(&s->to) == 6004;

	flag_wait(&s->listening, 2);
	s->client = (uint32_t)getpid();
	for (unsigned i = 0; i < REUSERS; i++) {
		int fd = tcp ? open_client(&s->to, s->len) : socket(s->to.ss_family, SOCK_DGRAM, 0);

		if (!tcp && connect(fd, (struct sockaddr *)&s->to, s->len))
			net_die("cannot connect");
		(*reuse_ports)[i] = port_of(fd);
		send_all(fd, 100);
		if (tcp)
			send_all(fd, SIZE - 100);
		receive(fd, tcp ? SIZE : 100);
		close(fd);
	}
}

static void check_reuse(int family, bool tcp)
{
	struct scene *s = scene_new(family, tcp ? 6004 : 6005);
	actor_fn fn = tcp ? reuse_tcp : reuse_udp;
	pid_t one = actor_start(&pair.server, "reuse-one", fn, s);
	pid_t two = actor_start(&pair.server, "reuse-two", fn, s);
	pid_t c = actor_start(&pair.client, "reuse-client", reuse_client, s);
	unsigned ones = 0;

	actor_wait(c, 30);
	for (unsigned i = 0; i < REUSERS; i++) {
		uint16_t port = (*reuse_ports)[i];
		bool first = s->by_port[port] == (uint32_t)one;

		ones += first;
		expect_owner(s, &pair.server, port, tcp ? IPPROTO_TCP : IPPROTO_UDP, s->by_port[port],
		             first ? "reuse-one" : "reuse-two", "SO_REUSEPORT");
	}
	actor_kill(one);
	actor_kill(two);
	assert_true(ones > 0 && ones < REUSERS);
	shared_free(s, sizeof *s);
}

static void test_shared_port(void **state)
{
	(void)state;
	reuse_ports = shared_new(sizeof *reuse_ports);
	for (int i = 0; i < 2; i++) {
		check_reuse(families[i], true);
		check_reuse(families[i], false);
	}
	shared_free(reuse_ports, sizeof *reuse_ports);
}

static void test_datagrams_connected_and_not(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct datagrams *d = shared_new(sizeof *d);
		struct scene *s = scene_new(families[i & 1], (uint16_t)(6010 + i));

		d->to = s->to;
		d->len = s->len;
		d->count = 50;
		d->size = 100;
		d->how = i & 2 ? UDP_SENDTO : UDP_SEND;
		datagrams_run(d, &pair.client, &pair.server);
		expect_owner(s, &pair.client, d->port, IPPROTO_UDP, d->client_pid, "udp-client", "UDP sender");
		expect_owner(s, &pair.server, d->port, IPPROTO_UDP, d->server_pid, "udp-server", "UDP receiver");
		shared_free(d, sizeof *d);
		shared_free(s, sizeof *s);
	}
}

/* The same addresses, and the same ports, in two pairs of namespaces at once. */
static void bound_client(void *arg)
{
	struct scene *s = arg;
	struct sockaddr_storage at;
	socklen_t len = pair_address(&pair, s->to.ss_family, 1, 7001, &at);
	int fd = socket(at.ss_family, SOCK_STREAM, 0);

	flag_wait(&s->listening, 1);
	s->client = (uint32_t)getpid();
	s->client_port = 7001;
	if (bind(fd, (struct sockaddr *)&at, len) || connect(fd, (struct sockaddr *)&s->to, s->len))
		net_die("cannot connect");
	atomic_store(&s->go, 1);
	flag_wait(&s->done, 1);
	send_all(fd, SIZE);
	receive(fd, SIZE);
	close(fd);
}

static void test_namespaces_with_the_same_addresses(void **state)
{
	struct net_pair other;

	(void)state;
	pair_new(&other, pair.n);
	for (int i = 0; i < 2; i++) {
		struct scene *s = scene_new(families[i], 6020), *t = scene_new(families[i], 6020);
		pid_t pids[] = {
			actor_start(&pair.server, "server-one", prefork_server, s),
			actor_start(&other.server, "server-two", prefork_server, t),
			actor_start(&pair.client, "client-one", bound_client, s),
			actor_start(&other.client, "client-two", bound_client, t),
		};

		flag_wait(&s->go, 1);
		flag_wait(&t->go, 1);
		atomic_store(&s->done, 1);
		atomic_store(&t->done, 1);
		for (int k = 3; k >= 0; k--)
			actor_wait(pids[k], 30);
		expect_owner(s, &pair.client, 7001, IPPROTO_TCP, s->client, "client-one", "first");
		expect_owner(s, &other.client, 7001, IPPROTO_TCP, t->client, "client-two", "second");
		expect_owner(s, &pair.server, 7001, IPPROTO_TCP, s->server, "the-worker", "first");
		expect_owner(s, &other.server, 7001, IPPROTO_TCP, t->server, "the-worker", "second");
		shared_free(s, sizeof *s);
		shared_free(t, sizeof *t);
	}
	pair_free(&other);
}

/* ---- older than Weir -------------------------------------------------------------------- */

static void test_connections_older_than_weir(void **state)
{
	struct scene *s[2];
	pid_t pids[4];

	(void)state;
	watch_clean(&w);
	for (int i = 0; i < 2; i++) {
		s[i] = scene_new(families[i], 6030);
		pids[2 * i] = actor_start(&pair.server, "old-server", prefork_server, s[i]);
		pids[2 * i + 1] = actor_start(&pair.client, "old-client", bound_client, s[i]);
		flag_wait(&s[i]->go, 1);
	}
	watch_start(&w, NULL, "", 100000);
	for (int i = 0; i < 2; i++) {
		atomic_store(&s[i]->done, 1);
		actor_wait(pids[2 * i + 1], 30);
		actor_wait(pids[2 * i], 30);
		expect_owner(s[i], &pair.client, 7001, IPPROTO_TCP, s[i]->client, "old-client", "older client");
		expect_owner(s[i], &pair.server, 7001, IPPROTO_TCP, s[i]->server, "the-worker", "older server");
		shared_free(s[i], sizeof **s);
	}
}

static int setup(void **state)
{
	(void)state;
	pair_new(&pair, 31);
	watch_start(&w, NULL, "", 100000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (w.d.pid) {
		watch_nothing_lost(&w);
		watch_stop(&w);
	}
	watch_clean(&w);
	pair_free(&pair);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pre_fork_and_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_accepted_and_handed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherited_by_a_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_datagrams_connected_and_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_namespaces_with_the_same_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connections_older_than_weir, setup, teardown),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
