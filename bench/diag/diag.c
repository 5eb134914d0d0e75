/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to look at all TCP sockets: INET_DIAG with the deltas made of it, beside reading
 * /proc/net/tcp. In ns of CPU per socket, user and kernel, the best of several rounds.
 *
 *     bench-diag [SOCKETS]        20000; makes them on loopback, in a network namespace of its own
 *
 * Idle: no socket has done anything since the round before. Busy: each has sent a byte or got one,
 * so each makes a delta. Lines are "name value unit limit". Exit status 1: over a limit.
 */
#include "diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_NS 1500
#define ROUNDS 7

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "bench-diag: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void lo_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r))
		die("lo");
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r))
		die("lo up");
	close(fd);
}

/* One process's share: pairs from number `first` on, 1000 to an address, so that none runs
 * out of ports. Then a byte over each, once for every byte that it gets. */
__attribute__((noreturn)) static void hold(unsigned first, unsigned pairs, int order)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int *fds = calloc(pairs, sizeof *fds), listener = -1;
	char c = 0;

	for (unsigned i = 0; i < pairs; i++) {
		if (!(i % 1000)) {
			socklen_t len = sizeof a;

			if (listener >= 0)
				close(listener);
			listener = socket(AF_INET, SOCK_STREAM, 0);
			a.sin_addr.s_addr = htonl(0x7f000001 + first / 1000 + i / 1000);
			a.sin_port = 0;
			if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 100) ||
			    getsockname(listener, (struct sockaddr *)&a, &len))
				die("listen");
		}
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&a, sizeof a))
			die("connect");
		if (accept(listener, NULL, NULL) < 0)
			die("accept");
	}
	close(listener);
	do {
		if (write(order, &c, 1) != 1 || read(order, &c, 1) != 1)
			exit(0);
		for (unsigned i = 0; i < pairs; i++)
			if (send(fds[i], "x", 1, 0) != 1)
				die("send");
	} while (true);
}

#define PROCESSES 64
#define PAIRS 4000
static int orders[PROCESSES];
static unsigned processes;

static void await(void)
{
	char c;

	for (unsigned i = 0; i < processes; i++)
		if (read(orders[i], &c, 1) != 1)
			die("a process that holds sockets");
}

static void connect_all(unsigned pairs)
{
	for (unsigned first = 0; first < pairs && processes < PROCESSES; first += PAIRS) {
		unsigned share = pairs - first < PAIRS ? pairs - first : PAIRS;
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			die("socketpair");
		switch (fork()) {
		case -1:
			die("fork");
		case 0:
			close(pair[0]);
			hold(first, share, pair[1]);
		}
		close(pair[1]);
		orders[processes++] = pair[0];
	}
	await();
}

static void send_all(void)
{
	for (unsigned i = 0; i < processes; i++)
		if (write(orders[i], "", 1) != 1)
			die("write");
	await();
}

static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}

static uint64_t deltas;
static int flow(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	(void)arg, (void)k, (void)x;
	deltas += d->packets[0] + d->packets[1] > 0;
	return 0;
}

/* Reading alone: what any parser of it would come on top of. */
static uint64_t read_proc(void)
{
	static char buf[256 * 1024];
	int fd = open("/proc/net/tcp", O_RDONLY);
	uint64_t t = cpu_ns();

	if (fd < 0)
		die("/proc/net/tcp");
	while (read(fd, buf, sizeof buf) > 0)
		;
	close(fd);
	return cpu_ns() - t;
}

static uint64_t one_round(struct diag *d)
{
	static uint64_t now = 1000000000;
	uint64_t t = cpu_ns();

	diag_begin(d, now += 1000000000);
	while (diag_work(d, now, 1000000))
		;
	return cpu_ns() - t;
}

int main(int argc, char **argv)
{
	unsigned sockets = argc > 1 ? (unsigned)atoi(argv[1]) : 20000, pairs = sockets / 2;
	struct rlimit lim;
	uint64_t best[3] = { UINT64_MAX, UINT64_MAX, UINT64_MAX }, v;
	struct pkt_memory m = { heap, NULL };
	/* owners are looked for elsewhere, not here */
	struct diag_options o = { .capacity = 1 << 17, .proc = "/dev/null" };
	struct sock_sink sink = { .flow = flow };
	struct sock_stats s;
	struct diag_stats ds;
	struct diag *d;
	char why[256];

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	if (!pairs || setrlimit(RLIMIT_NOFILE, &lim) || unshare(CLONE_NEWNET))
		die("needs root");
	lo_up();
	connect_all(pairs);
	if (diag_open(&m, &o, &sink, &d, why, sizeof why)) {
		fprintf(stderr, "bench-diag: %s\n", why);
		return 2;
	}
	v = one_round(d);
	printf("first %.0f ns -\n", (double)v / sockets);
	for (int i = 0; i < ROUNDS; i++) {
		if ((v = read_proc()) < best[0])
			best[0] = v;
		if ((v = one_round(d)) < best[1])
			best[1] = v;
		send_all();
		deltas = 0;
		if ((v = one_round(d)) < best[2])
			best[2] = v;
	}
	diag_stats(d, &ds, &s);
	printf("proc_read %.0f ns -\n", (double)best[0] / sockets);
	printf("idle %.0f ns %d\n", (double)best[1] / sockets, LIMIT_NS);
	printf("busy %.0f ns %d\n", (double)best[2] / sockets, LIMIT_NS);
	printf("memory %.0f bytes -\n", (double)s.memory_bytes / sockets);
	if (deltas < sockets || s.sockets < sockets || ds.errors || ds.malformed)
		fprintf(stderr, "bench-diag: %llu deltas, %llu sockets, %llu errors, %llu malformed\n",
		        (unsigned long long)deltas, (unsigned long long)s.sockets,
		        (unsigned long long)ds.errors, (unsigned long long)ds.malformed);
	diag_close(d);
	return best[2] / sockets > LIMIT_NS || s.sockets < sockets;
}
