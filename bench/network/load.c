/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP over a veth pair at MTU 1500, in slices that alternate between the plugin on and off:
 * bulk throughput with segmentation left to the device and without, and round trips of one byte.
 * The median and the best of each state are printed, and the share that is left with the plugin.
 */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SLICE_S 1.0
#define ROUNDS_MAX 100

struct slice {
	struct sockaddr_storage to;
	socklen_t len;
	bool round_trips;
	_Atomic uint32_t listening;
	double done, seconds;         /* bytes, or round trips */
};

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

static double run_slice(struct net_pair *p, bool round_trips, uint16_t port)
{
	struct slice *s = shared_new(sizeof *s);
	double rate;
	pid_t a, c;

	s->len = pair_address(p, AF_INET, 2, port, &s->to);
	s->round_trips = round_trips;
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

int bench_speed(const struct bench *b)
{
	static const char *const names[] = { "tcp_offload", "tcp_single", "round_trips" };
	static double got[3][2][ROUNDS_MAX];
	unsigned rounds = b->rounds < ROUNDS_MAX ? b->rounds : ROUNDS_MAX;
	struct net_pair p;

	if (!b->on || !b->off || !rounds)
		net_die("speed needs --on and --off");
	pair_new(&p, 61);
	for (unsigned r = 0; r < rounds; r++) {
		/* Who is first takes turns as well. */
		for (unsigned k = 0; k < 2; k++) {
			unsigned state = (r + k) & 1;

			command(state ? b->on : b->off);
			for (unsigned i = 0; i < 3; i++) {
				pair_offload(&p, i == 1 ? OFFLOAD_OFF : OFFLOAD_ON);
				got[i][state][r] = run_slice(&p, i == 2, (uint16_t)(6300 + i));
			}
		}
	}
	printf("{");
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned s = 0; s < 2; s++)
			qsort(got[i][s], rounds, sizeof(double), compare_doubles);
		printf("%s\"%s\": {\"off\": %.0f, \"on\": %.0f, \"share\": %.4f, \"off_best\": %.0f, \"on_best\": %.0f, "
		       "\"share_best\": %.4f}", i ? ", " : "", names[i], got[i][0][rounds / 2], got[i][1][rounds / 2],
		       got[i][1][rounds / 2] / got[i][0][rounds / 2], got[i][0][rounds - 1], got[i][1][rounds - 1],
		       got[i][1][rounds - 1] / got[i][0][rounds - 1]);
	}
	printf("}\n");
	return 0;
}
