/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-network: what the network plugin of a running daemon costs.
 *
 *     programs                   ns per packet of each program (BPF_PROG_TEST_RUN), beside an empty one
 *     speed                      TCP throughput and round trips on a veth pair, MTU 1500: on, off, empty
 *     flows  --count N           memory of the daemon and its maps with N flows at once
 *     births --count N --rate R  user CPU while N short connections are made, R a second
 *
 *     empty                      none of this: the empty programs are there until standard input ends
 *
 *     bench-network WHAT --pid PID [--on COMMAND --off COMMAND] [--rounds 8] [--count N] [--rate R]
 *
 * Prints one JSON object. Failure: exit 1 with the reason. One thread, and actors of its own.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double user_seconds(pid_t pid)
{
	char path[64], line[1024], *at;
	unsigned long user = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof line, f) || !(at = strrchr(line, ')')))
		net_die("no process %d", pid);
	fclose(f);
	/* Fields 3 to 13, then utime: proc(5). */
	if (sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &user) != 1)
		net_die("cannot read %s", path);
	return (double)user / (double)sysconf(_SC_CLK_TCK);
}

int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct bench b = { .rounds = 8, .count = 100000, .per_second = 5000 };
	static const struct {
		const char *name;
		int (*run)(const struct bench *b);
	} whats[] = { { "programs", bench_programs }, { "speed", bench_speed }, { "flows", bench_flows },
		      { "births", bench_births }, { "empty", bench_empty } };
	const char *why = no_net();

	for (int i = 2; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (!strcmp(name, "--pid"))
			b.pid = atoi(value);
		else if (!strcmp(name, "--on"))
			b.on = value;
		else if (!strcmp(name, "--off"))
			b.off = value;
		else if (!strcmp(name, "--rounds"))
			b.rounds = (unsigned)atoi(value);
		else if (!strcmp(name, "--count"))
			b.count = (uint32_t)atoi(value);
		else if (!strcmp(name, "--rate"))
			b.per_second = (uint32_t)atoi(value);
	}
	if (why) {
		fprintf(stderr, "bench-network: %s\n", why);
		return 1;
	}
	for (size_t i = 0; argc > 1 && i < sizeof whats / sizeof *whats; i++)
		if (!strcmp(argv[1], whats[i].name))
			return whats[i].run(&b);
	fprintf(stderr, "bench-network: programs, speed, flows, births or empty\n");
	return 2;
}
