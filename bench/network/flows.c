/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many flows: what they take of memory while all are there, and what new ones take of CPU.
 *
 * Memory all told is the daemon's resident set and its maps (memlock of /proc/PID/fdinfo; a map
 * without preallocation counts its elements there), sampled while the kernel's map fills, is
 * drained into the store, and the store holds everything; the greatest sum counts.
 */
#include "bench.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The plugin polls each second, and a second later the last flows end. */
#define SETTLE_MS 5000

static uint64_t field_of(const char *path, const char *name)
{
	char line[256];
	uint64_t n = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, name, strlen(name)))
			n = strtoull(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static uint64_t map_bytes(pid_t pid)
{
	static uint64_t seen[512]; /* map ids: two descriptors of one map count once */
	char path[320];
	size_t count = 0;
	uint64_t sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fdinfo", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		uint64_t id;
		bool known = false;

		snprintf(path, sizeof path, "/proc/%d/fdinfo/%.20s", pid, e->d_name);
		id = field_of(path, "map_id:");
		for (size_t i = 0; i < count; i++)
			known |= seen[i] == id;
		if (!id || known || count == 512)
			continue;
		seen[count++] = id;
		sum += field_of(path, "memlock:");
	}
	if (d)
		closedir(d);
	return sum;
}

static uint64_t resident(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	return field_of(path, "VmRSS:") * 1024;
}

/* One datagram to each of many ports of addresses that nobody has. */
struct spray {
	struct net_pair *p;
	uint32_t count;
};

static void spray(void *arg)
{
	struct spray *s = arg;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (uint32_t i = 0; i < s->count; i++) {
		struct sockaddr_storage to;
		socklen_t len = pair_address(s->p, AF_INET, 100 + i / 50000, (uint16_t)(1024 + i % 50000), &to);

		if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, len) != 1)
			net_die("cannot send");
	}
}

int bench_flows(const struct bench *b)
{
	struct net_pair p;
	struct spray s = { &p, b->count };
	uint64_t rss = resident(b->pid), maps = map_bytes(b->pid), most = 0, most_rss = 0, most_maps = 0;
	double start;
	pid_t pid;

	pair_new(&p, 62);
	start = now_seconds();
	pid = actor_start(&p.client, "bench-spray", spray, &s);
	while (now_seconds() - start < 14) {
		uint64_t r = resident(b->pid), m = map_bytes(b->pid);

		most_rss = r > most_rss ? r : most_rss;
		most_maps = m > most_maps ? m : most_maps;
		most = r + m > most ? r + m : most;
		nap_ms(20);
	}
	actor_wait(pid, 10);
	printf("{\"count\": %u, \"before_rss\": %llu, \"before_maps\": %llu, \"rss\": %llu, \"maps\": %llu, "
	       "\"most\": %llu, \"added\": %llu}\n", b->count, (unsigned long long)rss, (unsigned long long)maps,
	       (unsigned long long)most_rss, (unsigned long long)most_maps, (unsigned long long)most,
	       (unsigned long long)(most - rss - maps));
	return 0;
}

/* With all the work that comes after the traffic, in the time of the traffic. */
int bench_births(const struct bench *b)
{
	struct shorts *s = shorts_new(b->count);
	double user, start, seconds;
	struct net_pair p;

	pair_new(&p, 63);
	s->len = pair_address(&p, AF_INET, 2, 5100, &s->to);
	s->clients = 2;
	s->servers = 1;
	s->ends = 1u << SHORT_CLIENT_CLOSES | 1u << SHORT_SERVER_CLOSES;
	s->per_second = b->per_second;
	user = b->pid ? user_seconds(b->pid) : 0;
	start = now_seconds();
	shorts_run(s, &p.client, &p.server);
	seconds = now_seconds() - start;
	nap_ms(SETTLE_MS);
	user = b->pid ? user_seconds(b->pid) - user : 0;
	/* Two sockets a connection: two flows in scope host. */
	printf("{\"connections\": %u, \"flows_per_s\": %.0f, \"seconds\": %.2f, \"user_percent\": %.2f}\n", s->count,
	       2.0 * s->count / seconds, seconds, 100 * user / seconds);
	shorts_free(s);
	return 0;
}
