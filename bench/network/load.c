/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP over a veth pair at MTU 1500: bulk throughput with segmentation left to the device and
 * without, and round trips of one byte. Client and server have a CPU each.
 *
 * A round is a slice in each of three states, in an order that changes from round to round: the
 * plugin off, empty programs at its hooks, the plugin on. Of each round the share that is left is
 * taken against the round's own slice without; the median of these shares counts, their quartiles
 * are the spread. So what the machine does to a whole round is in both and falls out.
 */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SLICE_S 0.6
#define SETTLE_MS 200
#define ROUNDS_MAX 100

enum state { OFF, EMPTY, ON, STATES };
enum kind { OFFLOAD, SINGLE, ROUND_TRIPS, KINDS };

struct slice {
	struct sockaddr_storage to;
	socklen_t len;
	bool round_trips;
	_Atomic uint32_t listening;
	double done, seconds;         /* bytes, or round trips */
};

/* The n-th CPU this process may use; the last there is. */
static void stay_on(int n)
{
	cpu_set_t may, one;

	sched_getaffinity(0, sizeof may, &may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!n--)
			break;
	}
	sched_setaffinity(0, sizeof one, &one);
}

static void no_delay(int fd)
{
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void slice_server(void *arg)
{
	struct slice *s = arg;
	int listener = open_listener(&s->to, s->len, false), fd;
	char byte;

	stay_on(1);
	atomic_store(&s->listening, 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	no_delay(fd);
	if (!s->round_trips) {
		receive(fd, SIZE_MAX);
		return;
	}
	while (recv(fd, &byte, 1, 0) == 1)
		send(fd, &byte, 1, MSG_NOSIGNAL);
}

static void slice_client(void *arg)
{
	struct slice *s = arg;
	double start;
	char byte = 0;
	int fd;

	stay_on(0);
	flag_wait(&s->listening, 1);
	fd = open_client(&s->to, s->len);
	no_delay(fd);
	start = now_seconds();
	while (now_seconds() - start < SLICE_S) {
		if (!s->round_trips) {
			send_all(fd, 1 << 20);
			s->done += 1 << 20;
			continue;
		}
		for (int i = 0; i < 100; i++) {
			send(fd, &byte, 1, MSG_NOSIGNAL);
			recv(fd, &byte, 1, 0);
		}
		s->done += 100;
	}
	s->seconds = now_seconds() - start;
}

static double run_slice(struct net_pair *p, enum kind kind)
{
	struct slice *s = shared_new(sizeof *s);
	double rate;
	pid_t a, c;

	pair_offload(p, kind == SINGLE ? OFFLOAD_OFF : OFFLOAD_ON);
	s->len = pair_address(p, AF_INET, 2, (uint16_t)(6300 + kind), &s->to);
	s->round_trips = kind == ROUND_TRIPS;
	a = actor_start(&p->server, "bench-server", slice_server, s);
	c = actor_start(&p->client, "bench-client", slice_client, s);
	actor_wait(c, 60);
	actor_wait(a, 60);
	rate = s->done / s->seconds;
	shared_free(s, sizeof *s);
	return rate;
}

static void command(const char *text)
{
	if (system(text))
		net_die("failed: %s", text);
}

static void enter(const struct bench *b, enum state state)
{
	command(state == ON ? b->on : b->off);
	if (state == EMPTY)
		empty_on();
	nap_ms(SETTLE_MS);
}

static void print_kind(const char *name, double got[STATES][ROUNDS_MAX], unsigned rounds)
{
	double share[STATES][ROUNDS_MAX];

	for (unsigned s = 0; s < STATES; s++)
		for (unsigned r = 0; r < rounds; r++)
			share[s][r] = got[s][r] / got[OFF][r];
	for (unsigned s = 0; s < STATES; s++) {
		qsort(share[s], rounds, sizeof(double), compare_doubles);
		qsort(got[s], rounds, sizeof(double), compare_doubles);
	}
	printf("\"%s\": {\"off\": %.0f, \"on\": %.0f, \"share\": %.4f, \"share_low\": %.4f, \"share_high\": %.4f, "
	       "\"empty\": %.4f, \"empty_low\": %.4f, \"empty_high\": %.4f}", name, got[OFF][rounds / 2],
	       got[ON][rounds / 2], share[ON][rounds / 2], share[ON][rounds / 4], share[ON][rounds * 3 / 4],
	       share[EMPTY][rounds / 2], share[EMPTY][rounds / 4], share[EMPTY][rounds * 3 / 4]);
}

int bench_speed(const struct bench *b)
{
	static const char *const names[KINDS] = { "tcp_offload", "tcp_single", "round_trips" };
	static double got[KINDS][STATES][ROUNDS_MAX];
	unsigned rounds = b->rounds < ROUNDS_MAX ? b->rounds : ROUNDS_MAX;
	struct net_pair p;

	if (!b->on || !b->off || !rounds)
		net_die("speed needs --on and --off");
	pair_new(&p, 61);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned k = 0; k < STATES; k++) {
			enum state state = (r + k) % STATES;

			enter(b, state);
			for (enum kind i = 0; i < KINDS; i++)
				got[i][state][r] = run_slice(&p, i);
			empty_off();
		}
	}
	printf("{");
	for (enum kind i = 0; i < KINDS; i++) {
		printf("%s", i ? ", " : "");
		print_kind(names[i], got[i], rounds);
	}
	printf("}\n");
	return 0;
}
