/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sockets, with made-up readings; and real sockets through INET_DIAG and /proc/net,
 * in a network namespace of this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diag.h"
#include "procnet.h"

#define SECOND 1000000000ull

struct heap {
	long blocks, fail_at;
};

static void *heap_realloc(void *arg, void *ptr, size_t size)
{
	struct heap *h = arg;

	if (!size) {
		h->blocks -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (!h->fail_at--)
		return NULL;
	h->blocks += ptr == NULL;
	return realloc(ptr, size);
}

/* What the sink got, by direction; and of the last delta. */
static struct {
	struct heap heap;
	uint64_t packets[2], bytes[2], retransmits, calls;
	unsigned closed, opens, shuts, owners;
	struct weir_flow_delta last;
	struct weir_flow_key key;
	uint16_t port;                 /* count only what has this port at its peer; 0: all */
	bool refuse;
} got;

static int flow(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	(void)arg;
	assert_true(x->approx);
	assert_int_equal(k->scope, WEIR_FLOW_HOST);
	if (got.refuse)
		return -EAGAIN;
	if (got.port && k->port[1] != got.port)
		return 0;
	for (int i = 0; i < 2; i++) {
		got.packets[i] += d->packets[i];
		got.bytes[i] += d->bytes[i];
	}
	got.retransmits += d->retransmits;
	got.closed += !!(d->bits & WEIR_FLOW_CLOSED);
	got.calls++;
	got.last = *d;
	got.key = *k;
	return 0;
}

static void owner(void *arg, uint64_t cookie, const struct weir_flow_delta *d)
{
	(void)arg;
	assert_true(cookie && d->pid);
	got.owners++;
}

static void on_listen(void *arg, const struct weir_flow_listen *l)
{
	(void)arg;
	if (l->open)
		got.opens++;
	else
		got.shuts++;
}

static const struct sock_sink sink = { .flow = flow, .owner = owner, .listen = on_listen };

static int setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof got);
	got.heap.fail_at = -1;
	return 0;
}

static struct sock_table *table(uint32_t capacity)
{
	struct pkt_memory m = { heap_realloc, &got.heap };
	struct sock_table *t;

	assert_int_equal(sock_table_new(&m, capacity, "test", &sink, &t), 0);
	return t;
}

static struct sock_reading reading(uint64_t id, uint32_t segs, uint64_t payload)
{
	return (struct sock_reading){
		.id = id, .cookie = id, .state = 1, .header = 40, .counts = true, .inode = (uint32_t)id,
		.key = { .proto = 6, .port = { (uint16_t)id, 80 } },
		.now = { .segs = { segs, segs }, .payload = { payload, 2 * payload } } };
}

static void see(struct sock_table *t, struct sock_reading r, uint64_t now)
{
	sock_seen(t, &r, now);
}

/* An old socket counts from its first reading on, a new one from its birth. */
static void old_and_new(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 100, 5000), SECOND);
	sock_swept(t, true, SECOND);
	assert_int_equal(got.calls, 0);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 103, 5100), 2 * SECOND);
	assert_int_equal(got.packets[0], 3);
	assert_int_equal(got.bytes[0], 3 * 40 + 100);
	assert_int_equal(got.bytes[1], 3 * 40 + 200);
	see(t, reading(2, 10, 10), 2 * SECOND);
	assert_int_equal(got.packets[1], 13);
	assert_int_equal(got.last.first_ns, SECOND);
	see(t, reading(2, 10, 10), 2 * SECOND); /* nothing new: nothing said */
	assert_int_equal(got.calls, 2);
	r = reading(1, 104, 5100);
	r.now.segs[1] = 2; /* wrapped, after some 4 billion */
	sock_swept(t, true, 2 * SECOND);
	r = reading(1, 105, 5100);
	r.state = 7;
	sock_closed(t, &r, 3 * SECOND);
	assert_int_equal(got.packets[0], 15);
	assert_int_equal(got.closed, 1);
	r = reading(3, 7, 70); /* born and dead between two rounds */
	sock_closed(t, &r, 3 * SECOND);
	assert_int_equal(got.packets[0], 22);
	assert_int_equal(got.bytes[1], 22 * 40 + 200 + 20 + 2 * 70 - 1); /* one for the FIN */
	assert_int_equal(got.closed, 2);
	sock_table_free(t);
	assert_int_equal(got.heap.blocks, 0);
}

/* Counts are u32 in the kernel, and wrap. */
static void wrapped(void **state)
{
	struct sock_table *t = table(1024);

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, UINT32_MAX - 1, 5000), SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 3, 5000), 2 * SECOND);
	assert_int_equal(got.packets[0], 5);
	sock_table_free(t);
}

/* A sink without room loses nothing: neither of a socket that lives nor of one that is gone. */
static void refused(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 1, 0), SECOND);
	sock_swept(t, true, SECOND);
	got.refuse = true;
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 5, 0), 2 * SECOND);
	see(t, reading(2, 5, 0), 2 * SECOND);
	r = reading(2, 7, 0);
	sock_closed(t, &r, 2 * SECOND);
	sock_closed(t, &r, 2 * SECOND);
	sock_swept(t, true, 2 * SECOND);
	assert_int_equal(got.calls, 0);
	assert_int_equal(sock_owed(t), 1);
	got.refuse = false;
	sock_round(t, 3 * SECOND);
	see(t, reading(1, 6, 0), 3 * SECOND);
	sock_swept(t, true, 3 * SECOND);
	assert_int_equal(got.packets[0], 5 + 7);
	assert_int_equal(sock_owed(t), 0);
	sock_table_free(t);
}

/* A socket that is listed no more ends after two rounds, and its late last word adds only the
 * rest; when a round was not whole, nothing is concluded. */
static void vanished(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 10, 0), 2 * SECOND);
	sock_swept(t, true, 2 * SECOND);
	for (uint64_t i = 3; i < 6; i++) {
		sock_round(t, i * SECOND);
		sock_swept(t, i == 5, i * SECOND);
		assert_int_equal(got.closed, i == 5);
	}
	r = reading(1, 11, 0);
	sock_closed(t, &r, 6 * SECOND);
	assert_int_equal(got.packets[0], 11);
	sock_table_free(t);
}

/* connect() again after a disconnect: the same cookie, and counts from zero. */
static void used_again(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 100, 1000), SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	r = reading(1, 4, 10);
	r.key.port[1] = 81;
	see(t, r, 2 * SECOND);
	assert_int_equal(got.packets[0], 4);
	assert_int_equal(got.key.port[1], 81);
	see(t, reading(1, 2, 10), 2 * SECOND);
	assert_int_equal(got.packets[0], 6);
	assert_int_equal(got.closed, 1);
	sock_table_free(t);
}

/* Beyond the capacity sockets are counted, not followed; a closed one's counts as lost. Sockets
 * left out of the first round are never taken for new. */
static void full(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;
	struct sock_stats s;

	(void)state;
	sock_round(t, SECOND);
	for (uint64_t i = 1; i <= 1100; i++)
		see(t, reading(i, 5, 0), SECOND);
	sock_swept(t, true, SECOND);
	sock_stats(t, &s);
	assert_int_equal(s.sockets, 1024);
	assert_int_equal(s.untracked, 76);
	r = reading(2000, 5, 100);
	sock_closed(t, &r, SECOND);
	sock_stats(t, &s);
	assert_int_equal(s.lost_packets, 10);
	assert_int_equal(s.lost_bytes, 10 * 40 + 300);
	r = reading(1, 5, 0);
	sock_closed(t, &r, SECOND);
	see(t, reading(1100, 5, 0), SECOND);
	assert_int_equal(got.packets[0], 0);
	sock_table_free(t);
	assert_int_equal(got.heap.blocks, 0);
}

/* The n-th allocation fails: a socket is not followed, and nothing else happens. */
static void no_memory(void **state)
{
	struct pkt_memory m = { heap_realloc, &got.heap };

	(void)state;
	for (long n = 0; n < 8; n++) {
		struct sock_table *t;

		got.heap.fail_at = n;
		if (sock_table_new(&m, 8192, "test", &sink, &t)) {
			assert_int_equal(n, 0);
			continue;
		}
		sock_round(t, SECOND);
		for (uint64_t i = 1; i <= 5000; i++)
			see(t, reading(i, 5, 0), SECOND);
		sock_find_owners(t, "/proc", 1000);
		sock_swept(t, true, SECOND);
		sock_table_free(t);
		assert_int_equal(got.heap.blocks, 0);
	}
}

/* ---- real sockets ------------------------------------------------------------------ */

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

/* Lines as kernels write them, and those that are none. */
static void lines(void **state)
{
	static const char v4[] = "   0: 0100007F:1F90 0200000A:C001 01 00000000:00000000 00:00000000 00000000"
	                         "  1000        0 12345 1 ffff8880 20 4 30 10 -1";
	static const char v6[] = "  12: B80D01200000000000000000 is short";
	static const char *const bad[] = { "", ":", "  sl  local_address rem_address", "1:", "x: 0",
		"   0: 0100007F:1F90 0200000A:C001 01 00000000:00000000 00:00000000 00000000  1000        0 99999999999 1" };
	struct sock_reading r;

	(void)state;
	assert_true(procnet_parse(v4, strlen(v4), false, 6, 9, &r));
	assert_memory_equal(r.key.addr[0] + 12, "\x7f\0\0\1", 4);
	assert_memory_equal(r.key.addr[1] + 12, "\x0a\0\0\2", 4);
	assert_int_equal(r.key.port[0], 8080);
	assert_int_equal(r.key.port[1], 0xc001);
	assert_int_equal(r.uid, 1000);
	assert_int_equal(r.inode, 12345);
	assert_false(procnet_parse(v6, strlen(v6), true, 6, 9, &r));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(procnet_parse(bad[i], strlen(bad[i]), false, 6, 9, &r));
	for (size_t len = 0; len < (size_t)(strstr(v4, " 12345") + 2 - v4); len++)
		assert_false(procnet_parse(v4, len, false, 6, 9, &r));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	static const struct CMUnitTest pure[] = {
		TEST(old_and_new), TEST(wrapped), TEST(refused), TEST(vanished),
		TEST(used_again), TEST(full), TEST(no_memory), TEST(lines),
	};
	static const struct CMUnitTest real[] = {
		TEST(counted_v4), TEST(counted_v6), TEST(packets), TEST(other_namespace), TEST(from_proc),
	};
	int failed = cmocka_run_group_tests(pure, NULL, NULL);

	if (!own_namespace()) {
		puts("SKIP: real sockets: no network namespace can be made here");
		return failed ? 1 : 77;
	}
	return failed + cmocka_run_group_tests(real, NULL, NULL) ? 1 : 0;
}
