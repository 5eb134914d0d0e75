/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets through INET_DIAG and /proc/net, in a network namespace of this test's own. */
#include "test_sock.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool own_namespace(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
	return true;
}

static int listen_on(bool v6, uint16_t *port)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr *a = v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
	socklen_t len = v6 ? sizeof a6 : sizeof a4;

	assert_int_equal(bind(fd, a, len), 0);
	assert_int_equal(listen(fd, 10), 0);
	assert_int_equal(getsockname(fd, a, &len), 0);
	*port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
	return fd;
}

static void connect_to(int listener, int pair[2])
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;

	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	pair[0] = socket(a.ss_family, SOCK_STREAM, 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&a, len), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
}

static void transfer(const int pair[2], size_t bytes)
{
	static char buf[65536];

	while (bytes) {
		size_t n = bytes < sizeof buf ? bytes : sizeof buf;

		assert_int_equal(send(pair[0], buf, n, 0), n);
		for (size_t got_now = 0; got_now < n;) {
			ssize_t r = recv(pair[1], buf, n - got_now, 0);

			assert_true(r > 0);
			got_now += (size_t)r;
		}
		bytes -= n;
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static void round_of(struct diag *d)
{
	uint64_t now = now_ns();

	diag_begin(d, now);
	while (diag_work(d, now, SECOND))
		;
}

/* Closings come over a queue of the kernel's: wait for them, ten seconds at most. */
static void await_closed(struct diag *d, unsigned n)
{
	for (int i = 0; i < 1000 && got.closed < n; i++) {
		diag_events(d, now_ns(), SECOND);
		usleep(got.closed < n ? 10000 : 0);
	}
	assert_int_equal(got.closed, n);
}

static struct diag *open_diag(bool others)
{
	struct pkt_memory m = { heap_realloc, &got.heap };
	struct diag_options o = { .capacity = 4096, .proc = "/proc", .other_namespaces = others };
	struct diag *d;
	char why[256];
	int err = diag_open(&m, &o, &sink, &d, why, sizeof why);

	if (err) {
		printf("SKIP: %s\n", why);
		skip();
	}
	return d;
}

/* Payload of transfers is counted to the byte, whether the connection is older than the source
 * (then from there on), lasts over rounds, or is shorter than one; over IPv4 and IPv6. */
static void counted_exactly(bool v6)
{
	struct sock_stats s;
	struct diag_stats ds;
	uint16_t port;
	int listener = listen_on(v6, &port), old[2], new[2], brief[2];
	struct diag *d;

	connect_to(listener, old);
	transfer(old, 100000);
	d = open_diag(false);
	got.port = port; /* of client sockets, whose peer it is */
	round_of(d);
	assert_int_equal(got.opens, 1);
	assert_int_equal(got.calls, 0);
	transfer(old, 300000);
	connect_to(listener, new);
	round_of(d);
	transfer(new, 50001);
	round_of(d);
	assert_int_equal(got.last.pid, getpid());
	assert_int_equal(got.key.port[1], port);
	for (int i = 0; i < 20; i++) {
		connect_to(listener, brief);
		transfer(brief, 1000);
		close(brief[0]);
		close(brief[1]);
	}
	await_closed(d, 20);
	close(new[0]);
	close(new[1]);
	close(old[0]);
	close(old[1]);
	await_closed(d, 22);
	/* headers of one size: with time stamps, which both ends have here */
	assert_int_equal(got.bytes[0] - got.packets[0] * ((v6 ? 40 : 20) + 32), 300000 + 50001 + 20 * 1000);
	close(listener);
	assert_true(diag_finish(d, now_ns(), 10 * SECOND));
	round_of(d);
	round_of(d);
	assert_int_equal(got.shuts, 1);
	diag_stats(d, &ds, &s);
	assert_int_equal(s.born_dead, 40);
	assert_int_equal(ds.overruns + ds.malformed + ds.errors + s.untracked + s.lost_packets, 0);
	diag_close(d);
	assert_int_equal(got.heap.blocks, 0);
}

static void counted_v4(void **state)
{
	(void)state;
	counted_exactly(false);
}

static void counted_v6(void **state)
{
	(void)state;
	counted_exactly(true);
}

/* Tcp OutSegs and InSegs of this namespace. */
static void kernel_segments(uint64_t ret[2])
{
	FILE *f = fopen("/proc/thread-self/net/snmp", "r");
	char line[512];
	unsigned long long in = 0, out = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %llu %llu", &in, &out);
	fclose(f);
	ret[0] = out;
	ret[1] = in;
}

/* Packets are those that the kernel's own counters have, but for what is exchanged after a socket
 * has become TIME_WAIT; never more. */
static void packets(void **state)
{
	struct diag *d = open_diag(false);
	uint64_t before[2], after[2];
	uint16_t port;
	int listener = listen_on(false, &port), pair[2];

	(void)state;
	round_of(d);
	kernel_segments(before);
	for (int i = 0; i < 10; i++) {
		connect_to(listener, pair);
		transfer(pair, 500000);
		close(pair[0]);
		close(pair[1]);
	}
	await_closed(d, 20);
	kernel_segments(after);
	for (int i = 0; i < 2; i++) {
		printf("%s: kernel %llu, diag %llu\n", i ? "in" : "out", (unsigned long long)(after[i] - before[i]),
		       (unsigned long long)got.packets[i]);
		assert_true(got.packets[i] <= after[i] - before[i]);
		assert_true(got.packets[i] + 10 >= after[i] - before[i]);
	}
	close(listener);
	diag_close(d);
}

/* Has a netlink socket of this namespace lost messages? The kernel sends them from a worker. */
static bool netlink_dropped(void)
{
	FILE *f = fopen("/proc/thread-self/net/netlink", "r");
	char line[256];
	unsigned drops, any = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %u", &drops) == 1)
			any |= drops;
	fclose(f);
	return any;
}

/* More closings than their queue holds: that is noticed, all sockets are read anew, and still
 * nothing counts that the kernel did not. */
static void overrun(void **state)
{
	struct diag *d = open_diag(false);
	uint64_t before[2], after[2];
	struct diag_stats ds;
	struct sock_stats s;
	uint16_t port;
	int listener = listen_on(false, &port), pair[2];

	(void)state;
	round_of(d);
	kernel_segments(before);
	for (int i = 0; i < 12000; i++) { /* some 30 MB of messages */
		connect_to(listener, pair);
		close(pair[0]);
		close(pair[1]);
	}
	/* Nobody reads until the queue has overflowed. */
	for (int i = 0; i < 1000 && !netlink_dropped(); i++)
		usleep(10000);
	for (int i = 0; i < 1000; i++) {
		while (diag_events(d, now_ns(), SECOND) && !diag_running(d))
			;
		diag_stats(d, &ds, &s);
		if (ds.overruns)
			break;
		usleep(10000);
	}
	assert_true(ds.overruns > 0);
	assert_true(diag_running(d));
	assert_true(diag_finish(d, now_ns(), 10 * SECOND));
	assert_false(diag_running(d));
	kernel_segments(after);
	for (int i = 0; i < 2; i++) {
		assert_true(got.packets[i] > 0);
		assert_true(got.packets[i] <= after[i] - before[i]);
	}
	close(listener);
	diag_close(d);
	assert_int_equal(got.heap.blocks, 0);
}

/* A connection in another namespace is seen, with another cookie, and no thread of ours has
 * stayed there. */
static void other_namespace(void **state)
{
	int up[2], down[2], pair[2], listener;
	struct diag_stats ds;
	struct sock_stats s;
	struct diag *d;
	uint16_t port;
	char c = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(up) | pipe(down), 0);
	pid = fork();
	if (!pid) {
		own_namespace();
		listener = listen_on(false, &port);
		connect_to(listener, pair);
		if (write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(1);
		transfer(pair, 12345);
		if (write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	d = open_diag(true);
	round_of(d);
	diag_stats(d, &ds, &s);
	assert_int_equal(write(down[1], &c, 1), 1);
	assert_int_equal(read(up[0], &c, 1), 1);
	got.bytes[0] = got.packets[0] = 0;
	round_of(d);
	if (ds.namespaces > 1)
		assert_true(got.bytes[0] >= 12345);
	else
		printf("SKIP: other_namespace: refused (%s)\n", strerror(-ds.refused_error));
	assert_int_equal(write(down[1], &c, 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	listener = listen_on(false, &port); /* still our own: the rounds find this one */
	got.opens = 0;
	round_of(d);
	assert_int_equal(got.opens, 1);
	close(listener);
	diag_close(d);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

/* /proc/net knows that a connection is there, and whose, and when it is no more. */
static void from_proc(void **state)
{
	struct pkt_memory m = { heap_realloc, &got.heap };
	struct procnet_stats ps;
	struct sock_stats s;
	struct procnet *n;
	char why[256];
	uint16_t port;
	int listener = listen_on(false, &port), pair[2];

	(void)state;
	connect_to(listener, pair);
	assert_int_equal(procnet_open(&m, "/proc", 4096, &sink, &n, why, sizeof why), 0);
	got.port = port;
	for (uint64_t i = 1; i < 6; i++) {
		procnet_begin(n, i * SECOND);
		while (procnet_work(n, i * SECOND, SECOND))
			;
		if (i == 1) {
			assert_int_equal(got.calls, 1);
			assert_int_equal(got.opens, 1);
			assert_int_equal(got.last.state, 1 + 1);
		}
		if (i == 2) {
			assert_int_equal(got.calls, 2); /* with the owner now */
			assert_int_equal(got.last.pid, getpid());
			close(pair[0]);
			close(pair[1]);
			close(listener);
		}
	}
	assert_int_equal(got.closed, 1);
	assert_int_equal(got.packets[0] + got.bytes[0], 0);
	assert_int_equal(got.shuts, 1);
	procnet_stats(n, &ps, &s);
	assert_int_equal(ps.malformed + ps.errors, 0);
	procnet_close(n);
	assert_int_equal(got.heap.blocks, 0);
	assert_int_not_equal(procnet_open(&m, "/nowhere", 4096, &sink, &n, why, sizeof why), 0);
	assert_int_equal(got.heap.blocks, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(counted_v4), TEST(counted_v6), TEST(packets), TEST(overrun),
		TEST(other_namespace), TEST(from_proc),
	};

	if (!own_namespace()) {
		puts("SKIP: no network namespace can be made here");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
