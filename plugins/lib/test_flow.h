/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the flow engine run it in: a heap that may fail, an emitter that may refuse,
 * a clock, and packets. For one test program each: everything is static.
 */
#ifndef WEIR_LIB_TEST_FLOW_H
#define WEIR_LIB_TEST_FLOW_H

#include "flow.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000ull
#define ALL UINT64_MAX
#define FIN 1
#define SYN 2
#define RST 4
#define PSH 8
#define ACK 16

/* ---- what the engine runs in ------------------------------------------------------------------ */

static long blocks, fail_at = -1, allocs;
static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (!size) {
		free(ptr);
		blocks -= ptr != NULL;
		return NULL;
	}
	if (fail_at >= 0 && allocs++ == fail_at)
		return NULL;
	void *p = realloc(ptr, size);
	blocks += p && !ptr;
	return p;
}
static const struct pkt_memory memory = { heap, NULL };

#define RECORDS 65536
static struct weir_flow *records;
static size_t count;
static long room = -1;  /* records the emitter still takes; -1: any number */

static int emit(void *arg, const struct weir_flow *r)
{
	(void)arg;
	if (!room)
		return -EAGAIN;
	if (room > 0)
		room--;
	assert_true(count < RECORDS);
	records[count++] = *r;
	return 0;
}

static struct flow_table *t;
static struct flow_options o;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	records = calloc(RECORDS, sizeof *records);
	count = 0;
	room = -1;
	fail_at = -1;
	blocks = 0;
	now = 1000 * S;
	o = (struct flow_options){ .max_record_interval = 60 * S,
				   .generic_timeout = 30 * S,
				   .icmp_timeout = 10 * S,
				   .tcp_timeout = 20 * S,
				   .tcp_fin_timeout = 5 * S,
				   .tcp_rst_timeout = 5 * S,
				   .udp_timeout = 60 * S,
				   .capacity = 1000,
				   .shards = 4,
				   .queue = 64 };
	t = NULL;
	return records ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_free(t);
	free(records);
	return blocks ? -1 : 0;
}

static inline void begin(void)
{
	assert_int_equal(flow_table_new(&memory, &o, emit, NULL, NULL, &t), 0);
}

static inline void work(void)
{
	while (flow_work(t, now, ALL))
		assert_int_not_equal(room, 0);
}

/* The engine's promise. */
static inline void balanced_with(uint64_t waiting_packets, uint64_t waiting_bytes)
{
	struct flow_stats s;

	flow_stats(t, &s);
	assert_int_equal(s.added_packets, s.emitted_packets + s.filtered_packets + waiting_packets);
	assert_int_equal(s.added_bytes, s.emitted_bytes + s.filtered_bytes + waiting_bytes);
}

static inline struct weir_flow_key key(uint8_t proto, uint16_t local, uint16_t peer)
{
	struct weir_flow_key k = { .port = { local, peer }, .proto = proto, .scope = WEIR_FLOW_HOST };

	for (int e = 0; e < 2; e++) {
		k.addr[e][10] = k.addr[e][11] = 0xff;
		k.addr[e][12] = 10;
		k.addr[e][15] = (uint8_t)(e + 1);
	}
	return k;
}

/* One packet from end `e`. */
static inline struct weir_flow_delta packet(unsigned e, uint8_t flags, uint64_t bytes)
{
	struct weir_flow_delta d = { .first_ns = now };

	d.packets[e] = 1;
	d.bytes[e] = bytes;
	d.flags[e] = flags;
	d.ttl[e] = 64;
	if (e)
		d.bits |= WEIR_FLOW_FIRST_DIR;
	if ((flags & (SYN | ACK)) == (SYN | ACK))
		d.synack_ns = now;
	return d;
}

static inline void add(const struct weir_flow_key *k, const struct weir_flow_delta *d)
{
	while (flow_add(t, k, d, NULL) == -EAGAIN)
		work();
}
static inline void send(const struct weir_flow_key *k, unsigned e, uint8_t flags, uint64_t bytes)
{
	struct weir_flow_delta d = packet(e, flags, bytes);

	add(k, &d);
	work();
}
/* Time passes, a second at a time. */
static inline void pass(uint64_t seconds)
{
	while (seconds--) {
		now += S;
		work();
	}
}

#endif
