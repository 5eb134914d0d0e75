/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of bench-network offer each other. Every figure is printed as JSON. */
#ifndef BENCH_NETWORK_H
#define BENCH_NETWORK_H

#include "traffic.h"

struct bench {
	pid_t pid;                    /* the daemon */
	const char *on, *off;         /* commands that switch the plugin on and off */
	unsigned rounds;
	uint32_t count, per_second;
};

/* programs.c: ns per packet of each program of the daemon that sees packets */
int bench_programs(const struct bench *b);
/* load.c: throughput and round trips over a veth pair, with the plugin, with empty programs, without */
int bench_speed(const struct bench *b);
/* empty.c: programs that do nothing where the plugin's are */
void empty_on(void);
void empty_off(void);
/* The two at packets alone, for a load that somebody else makes, until standard input ends. */
int bench_empty(const struct bench *b);
/* flows.c: memory of many flows at once; CPU of many new ones; connections for tcplife */
int bench_flows(const struct bench *b);
int bench_births(const struct bench *b);

/* The daemon's user CPU so far, in seconds. */
double user_seconds(pid_t pid);
int compare_doubles(const void *a, const void *b);

#endif
