/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the flow engine costs: memory of a flow, a new flow with its record, an update.
 *
 *     bench-flow [FLOWS [ROUNDS]]
 *
 * Prints lines "name value unit limit". Flows are updated in an order that no cache likes.
 */
#include "flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t bytes;
static void *heap(void *arg, void *ptr, size_t size)
{
	size_t *p = ptr ? (size_t *)ptr - 2 : NULL;

	(void)arg;
	if (p)
		bytes -= *p;
	if (!size) {
		free(p);
		return NULL;
	}
	p = realloc(p, size + 16);
	if (!p)
		abort();
	*p = size;
	bytes += size;
	return p + 2;
}

static uint64_t emitted, sum;
static int emit(void *arg, const struct weir_flow *r)
{
	(void)arg;
	emitted++;
	sum += r->packets_delta + (uint64_t)r->community_id[5];
	return 0;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void fill(struct weir_flow_key *k, uint32_t i)
{
	memset(k, 0, sizeof *k);
	for (int e = 0; e < 2; e++) {
		k->addr[e][10] = k->addr[e][11] = 0xff;
		k->addr[e][12] = 10;
	}
	memcpy(&k->addr[1][12], &i, 4);
	k->port[0] = (uint16_t)(32768 + i % 28000);
	k->port[1] = 443;
	k->proto = 6;
	k->netns = 1;
}

static uint64_t now = 1000000000000ull;
static void add(struct flow_table *t, uint32_t i, uint8_t flags)
{
	struct weir_flow_key k;
	struct weir_flow_delta d = { .packets = { 3, 4 },
				     .bytes = { 300, 4000 },
				     .first_ns = now,
				     .span = 10,
				     .flags = { flags, 16 },
				     .ttl = { 64, 60 },
				     .bits = WEIR_FLOW_OWNER,
				     .cookie = i + 1,
				     .turn_ns = now,
				     .waits = 1,
				     .wait_sum_ns = 1000 };

	d.pid = 1000 + i % 200;
	fill(&k, i);
	while (flow_add(t, &k, &d, NULL) == -EAGAIN)
		flow_work(t, now, UINT64_MAX);
}

int main(int argc, char **argv)
{
	uint32_t flows = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000,
		 rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 20;
	const uint64_t s = 1000000000ull;
	struct flow_options o = { .max_record_interval = 60 * s,
				  .generic_timeout = 30 * s,
				  .icmp_timeout = 10 * s,
				  .tcp_timeout = 20 * s,
				  .tcp_fin_timeout = 5 * s,
				  .tcp_rst_timeout = 5 * s,
				  .udp_timeout = 60 * s,
				  .capacity = flows,
				  .shards = 4,
				  .queue = 1024 };
	const struct pkt_memory m = { heap, NULL };
	struct flow_table *t;
	size_t fixed, capacity_bytes;
	double begin, took;

	if (!flows || flows > 1u << 24 || flow_table_new(&m, &o, emit, NULL, NULL, &t))
		return 2;
	fixed = bytes;
	begin = seconds();
	for (uint32_t i = 0; i < flows; i++)
		add(t, i, 2);
	while (flow_work(t, now, UINT64_MAX))
		;
	took = seconds() - begin;
	capacity_bytes = bytes;
	printf("new_flow %.0f ns -\n", took * 1e9 / flows);
	/* The queues are there for any number of flows: 264 bytes for each update that waits. */
	printf("flow_bytes %.1f bytes 192\n",
	       (double)(capacity_bytes - o.shards * o.queue * 272) / flows);
	printf("queue_bytes %llu bytes -\n", (unsigned long long)(o.shards * o.queue * 272));
	begin = seconds();
	for (uint32_t r = 0; r < rounds; r++) {
		now += s;
		for (uint32_t i = 0; i < flows; i++)
			add(t, (uint32_t)((uint64_t)i * 2654435761u % flows), 16);
		while (flow_work(t, now, UINT64_MAX))
			;
	}
	took = seconds() - begin;
	printf("updates %.0f /s 1500000\n", (double)flows * rounds / took);
	now += 61 * s;
	emitted = 0;
	begin = seconds();
	while (flow_work(t, now, UINT64_MAX))
		;
	printf("end_record %.0f ns -\n", (seconds() - begin) * 1e9 / flows);
	if (emitted != flows)
		return 1;
	begin = seconds();
	for (uint32_t i = 0; i < flows; i++)
		add(t, i + flows, 2);
	now += 61 * s;
	while (flow_work(t, now, UINT64_MAX))
		;
	printf("life %.0f ns 2000\n", (seconds() - begin) * 1e9 / flows);
	flow_table_free(t);
	return bytes || fixed == 0 || sum == 0;
}
