/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine, by itself: whole lives of flows, then anything at all against a model.
 */
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
	o = (struct flow_options){ .max_record_interval = 60 * S, .generic_timeout = 30 * S,
		.icmp_timeout = 10 * S, .tcp_timeout = 20 * S, .tcp_fin_timeout = 5 * S,
		.tcp_rst_timeout = 5 * S, .udp_timeout = 60 * S, .capacity = 1000, .shards = 4, .queue = 64 };
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

static void begin(void)
{
	assert_int_equal(flow_table_new(&memory, &o, emit, NULL, NULL, &t), 0);
}

static void work(void)
{
	while (flow_work(t, now, ALL))
		assert_int_not_equal(room, 0);
}

/* The engine's promise. */
static void balanced_with(uint64_t waiting_packets, uint64_t waiting_bytes)
{
	struct flow_stats s;

	flow_stats(t, &s);
	assert_int_equal(s.added_packets, s.emitted_packets + s.filtered_packets + waiting_packets);
	assert_int_equal(s.added_bytes, s.emitted_bytes + s.filtered_bytes + waiting_bytes);
}

static struct weir_flow_key key(uint8_t proto, uint16_t local, uint16_t peer)
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
static struct weir_flow_delta packet(unsigned e, uint8_t flags, uint64_t bytes)
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

static void add(const struct weir_flow_key *k, const struct weir_flow_delta *d)
{
	while (flow_add(t, k, d, NULL) == -EAGAIN)
		work();
}
static void send(const struct weir_flow_key *k, unsigned e, uint8_t flags, uint64_t bytes)
{
	struct weir_flow_delta d = packet(e, flags, bytes);

	add(k, &d);
	work();
}
/* Time passes, a second at a time. */
static void pass(uint64_t seconds)
{
	while (seconds--) {
		now += S;
		work();
	}
}

/* ---- whole lives -------------------------------------------------------------------------------- */

static void test_a_connection_is_one_record(void **state)
{
	struct weir_flow_key k = key(6, 40000, 80);
	const struct weir_flow *r = records;

	(void)state;
	begin();
	send(&k, 0, SYN, 60);
	now += 2000000;
	send(&k, 1, SYN | ACK, 60);
	send(&k, 0, ACK, 52);
	send(&k, 0, ACK | PSH, 152);
	send(&k, 1, ACK | PSH, 1052);
	send(&k, 0, FIN | ACK, 52);
	send(&k, 1, FIN | ACK, 52);
	now += 3 * S;
	send(&k, 0, ACK, 52); /* late: in TIME_WAIT */
	assert_int_equal(count, 0);
	pass(4);
	assert_int_equal(count, 0);
	pass(2);
	assert_int_equal(count, 1);
	assert_int_equal(r->phase, WEIR_FLOW_END);
	assert_int_equal(r->end_reason, WEIR_END_DETECTED);
	assert_int_equal(r->source_port, 40000);
	assert_int_equal(r->destination_port, 80);
	assert_int_equal(r->direction, WEIR_DIR_CLIENT);
	assert_int_equal(r->packets_total, 5);
	assert_int_equal(r->packets_delta, 5);
	assert_int_equal(r->bytes_total, 60 + 52 + 152 + 52 + 52);
	assert_int_equal(r->reverse_packets_total, 3);
	assert_int_equal(r->reverse_bytes_total, 60 + 1052 + 52);
	assert_int_equal(r->state, WEIR_STATE_TIME_WAIT);
	assert_int_equal(r->handshake_latency_ns / 1000000, 2);
	assert_int_equal(r->tcp_flags, SYN | ACK | PSH | FIN);
	balanced_with(0, 0);
}

static void test_a_server_is_the_destination_whoever_has_the_lower_address(void **state)
{
	struct weir_flow_key k = key(6, 8080, 2000);

	(void)state;
	begin();
	send(&k, 1, SYN, 60);
	send(&k, 0, SYN | ACK, 60);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(count, 1);
	assert_int_equal(records[0].source_port, 2000);
	assert_int_equal(records[0].destination_port, 8080);
	assert_int_equal(records[0].direction, WEIR_DIR_SERVER);
	assert_int_equal(records[0].bytes_total, 60);
	assert_int_equal(records[0].end_reason, WEIR_END_FORCED);
	assert_int_equal(records[0].state, WEIR_STATE_SYN_RECEIVED);
}

static void test_the_socket_knows_better_than_the_ports(void **state)
{
	struct weir_flow_key k = key(6, 80, 50000);
	struct weir_flow_delta d;

	(void)state;
	begin();
	d = packet(1, ACK, 52);
	d.bits |= WEIR_FLOW_ACTIVE; /* connected from port 80 */
	add(&k, &d);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(records[0].source_port, 80);
	assert_int_equal(records[0].direction, WEIR_DIR_CLIENT);
}

static void test_a_listening_port_is_a_server(void **state)
{
	struct weir_flow_key k = key(17, 40000, 33000);
	static const uint8_t any[16];

	(void)state;
	begin();
	flow_listening(t, 0, any, 40000, 17, true);
	send(&k, 0, 0, 100);
	flow_listening(t, 0, any, 40000, 17, false);
	k.port[1] = 33001;
	send(&k, 0, 0, 100);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(count, 2);
	assert_int_equal(records[0].source_port, 33000);
	assert_int_equal(records[0].direction, WEIR_DIR_SERVER);
	/* Nobody listens: of two ephemeral ports the higher is the client's. */
	assert_int_equal(records[1].source_port, 40000);
}

static void test_on_the_wire_the_addresses_tell_the_role(void **state)
{
	struct weir_flow_key k = key(6, 40000, 443);
	uint8_t ours[2][16] = { { 1 }, { [10] = 0xff, 0xff, 10, 0, 0, 1 } };

	(void)state;
	begin();
	assert_int_equal(flow_local(t, (const uint8_t (*)[16])ours, 2), 0);
	k.scope = WEIR_FLOW_WIRE;
	send(&k, 0, SYN, 60);
	k.port[0] = 443;
	k.port[1] = 40000;
	send(&k, 1, SYN, 60);
	k.addr[0][15] = 7; /* forwarded */
	send(&k, 1, SYN, 60);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(count, 3);
	assert_int_equal(records[0].direction, WEIR_DIR_CLIENT);
	assert_int_equal(records[1].direction, WEIR_DIR_SERVER);
	assert_int_equal(records[2].direction, WEIR_DIR_INTERNAL);
}

static void test_intervals_have_deltas_and_idle_ones_no_record(void **state)
{
	struct weir_flow_key k = key(17, 50000, 443);
	uint64_t sum = 0;

	(void)state;
	o.udp_timeout = 300 * S;
	begin();
	for (int i = 0; i < 100; i++) {
		send(&k, i & 1, 0, 100);
		pass(1);
	}
	assert_int_equal(count, 1);
	assert_int_equal(records[0].phase, WEIR_FLOW_UPDATE);
	assert_int_equal(records[0].end_reason, WEIR_END_ACTIVE);
	pass(280);
	assert_int_equal(count, 2); /* one more with the rest; then silence */
	pass(60);
	assert_int_equal(count, 3);
	assert_int_equal(records[2].phase, WEIR_FLOW_END);
	assert_int_equal(records[2].end_reason, WEIR_END_IDLE);
	assert_int_equal(records[2].packets_delta + records[2].reverse_packets_delta, 0);
	assert_int_equal(records[2].packets_total, 50);
	for (size_t i = 0; i < count; i++)
		sum += records[i].packets_delta + records[i].reverse_packets_delta;
	assert_int_equal(sum, 100);
	balanced_with(0, 0);
}

static void test_a_busy_flow_is_never_cut(void **state)
{
	struct weir_flow_key k = key(6, 50000, 443);

	(void)state;
	begin();
	for (int i = 0; i < 600; i += 10) {
		send(&k, 0, ACK, 100);
		pass(10);
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(records[i].phase, WEIR_FLOW_UPDATE);
	assert_in_range(count, 9, 10);
}

static void test_each_protocol_has_its_timeout(void **state)
{
	static const struct { uint8_t proto, flags; uint64_t s; enum weir_flow_end_reason why; } cases[] = {
		{ 6, ACK, 20, WEIR_END_IDLE }, { 6, RST, 5, WEIR_END_DETECTED },
		{ 6, FIN | ACK, 5, WEIR_END_DETECTED }, { 17, 0, 60, WEIR_END_IDLE },
		{ 1, 0, 10, WEIR_END_IDLE }, { 58, 0, 10, WEIR_END_IDLE }, { 47, 0, 30, WEIR_END_IDLE },
	};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct weir_flow_key k = key(cases[i].proto, 1, 2);

		count = 0;
		send(&k, 0, cases[i].flags, 60);
		pass(cases[i].s - 1);
		assert_int_equal(count, 0);
		pass(2);
		assert_int_equal(count, 1);
		assert_int_equal(records[0].end_reason, cases[i].why);
	}
}

static void test_a_port_used_again_is_another_flow(void **state)
{
	struct weir_flow_key k = key(6, 50000, 443);

	(void)state;
	begin();
	send(&k, 0, SYN, 60);
	send(&k, 1, RST | ACK, 40);
	now += S;
	send(&k, 0, SYN, 60);
	assert_int_equal(count, 1);
	assert_int_equal(records[0].end_reason, WEIR_END_DETECTED);
	assert_int_equal(records[0].bytes_total, 60);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(count, 2);
	assert_int_equal(records[1].packets_total, 1);
	assert_int_equal(records[1].start_ns, now);
	balanced_with(0, 0);
}

static void test_a_whole_connection_in_one_delta(void **state)
{
	struct weir_flow_key k = key(6, 443, 50000);
	struct weir_flow_delta d = { .packets = { 5, 6 }, .bytes = { 5000, 600 }, .first_ns = now,
		.span = 1000000, .synack_ns = now + 1000, .flags = { SYN | ACK | FIN, SYN | ACK | FIN | PSH },
		.bits = WEIR_FLOW_FIRST_DIR | WEIR_FLOW_CLOSED, .state = 8, .srtt_us = 1500, .retransmits = 2,
		.resets = 1, .drops = 3, .drop_reason = 7, .error = 104, .wait_sum_ns = 3000, .waits = 2 };

	(void)state;
	d.turn_ns = now + 5000;
	begin();
	add(&k, &d);
	work();
	pass(7);
	assert_int_equal(count, 1);
	assert_int_equal(records[0].source_port, 50000);
	assert_int_equal(records[0].direction, WEIR_DIR_SERVER);
	assert_int_equal(records[0].end_reason, WEIR_END_DETECTED);
	assert_int_equal(records[0].state, WEIR_STATE_CLOSED);
	assert_int_equal(records[0].srtt_ns, 1500000);
	assert_int_equal(records[0].retransmits, 2);
	assert_int_equal(records[0].resets, 1);
	assert_int_equal(records[0].drops, 3);
	assert_int_equal(records[0].drop_reason, 7);
	assert_int_equal(records[0].error, 104);
	assert_int_equal(records[0].latency_ns, 1500);
	assert_int_equal(records[0].waits, 2);
	assert_in_range(records[0].handshake_latency_ns, 960, 1000);
	assert_int_equal(records[0].end_ns - records[0].start_ns, 1024000000);
}

static void test_a_start_record_comes_first(void **state)
{
	struct weir_flow_key k = key(17, 50000, 53);

	(void)state;
	o.start_records = true;
	begin();
	room = 0;
	struct weir_flow_delta d = packet(0, 0, 80);
	add(&k, &d);
	flow_work(t, now, ALL);
	room = -1;
	pass(1);
	assert_int_equal(count, 1); /* refused at first, and not forgotten */
	assert_int_equal(records[0].phase, WEIR_FLOW_START);
	assert_int_equal(records[0].packets_delta, 1);
	pass(61);
	assert_int_equal(count, 2);
	assert_int_equal(records[1].packets_delta, 0);
	assert_int_equal(records[1].packets_total, 1);
}

/* ---- owners --------------------------------------------------------------------------------------- */

static struct weir_flow_delta owned(uint32_t pid, unsigned bits)
{
	struct weir_flow_delta d = packet(0, 0, 50);

	d.pid = pid;
	d.bits |= WEIR_FLOW_OWNER | (bits & 255);
	d.cookie = 77;
	snprintf(d.comm, sizeof d.comm, "p%u", pid);
	return d;
}

static void test_the_strong_owner_stays(void **state)
{
	static const struct { uint32_t pid; unsigned bits; uint32_t pid_after; enum weir_flow_owner from; } steps[] = {
		{ 1, WEIR_FLOW_OWNER_WEAK | WEIR_FLOW_PASSIVE, 1, WEIR_OWNER_LISTENER },
		{ 2, WEIR_FLOW_OWNER_WEAK, 2, WEIR_OWNER_CREATOR },
		{ 3, 0, 3, WEIR_OWNER_USER },
		{ 4, WEIR_FLOW_OWNER_WEAK, 3, WEIR_OWNER_USER },
		{ 5, 0, 5, WEIR_OWNER_USER },
	};
	struct weir_flow_key k = key(17, 53, 50000);

	(void)state;
	o.start_records = true;
	o.max_record_interval = S;
	begin();
	for (size_t i = 0; i < 5; i++) {
		struct weir_flow_delta d = owned(steps[i].pid, steps[i].bits);

		add(&k, &d);
		count = 0;
		pass(3);
		assert_int_equal(count, 1);
		assert_int_equal(records[0].pid, steps[i].pid_after);
		assert_int_equal(records[0].owner_from, steps[i].from);
	}
	struct weir_flow_delta d = owned(6, 0);
	flow_owner(t, 77, &d);
	send(&k, 0, 0, 10);
	pass(2);
	assert_int_equal(records[count - 1].pid, 6);
	assert_string_equal(records[count - 1].comm, "p6");
}

/* ---- no room ----------------------------------------------------------------------------------------- */

static void test_the_longest_idle_flow_makes_room(void **state)
{
	struct flow_stats s;

	(void)state;
	o.capacity = 100;
	begin();
	for (uint16_t i = 0; i < 150; i++) {
		struct weir_flow_key k = key(17, 1000 + i, 53);

		now += 1000000;
		send(&k, 0, 0, 100);
		k.port[0] = 1000; /* the first one stays busy */
		send(&k, 0, 0, 100);
	}
	flow_stats(t, &s);
	assert_int_equal(s.evicted, 50);
	assert_int_equal(s.flows, 100);
	assert_int_equal(count, 50);
	for (uint16_t i = 0; i < 50; i++) {
		assert_int_equal(records[i].source_port == 53 ? records[i].destination_port : records[i].source_port, 1001 + i);
		assert_int_equal(records[i].end_reason, WEIR_END_RESOURCES);
	}
	pass(62);
	balanced_with(0, 0);
}

static void test_a_full_queue_refuses_and_nothing_is_lost(void **state)
{
	struct weir_flow_key k = key(17, 50000, 53);
	struct weir_flow_delta d = packet(0, 0, 10);
	unsigned accepted = 0;

	(void)state;
	begin();
	while (flow_add(t, &k, &d, NULL) == 0)
		accepted++;
	assert_int_equal(accepted, 64);
	work();
	assert_int_equal(flow_add(t, &k, &d, NULL), 0);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(records[0].packets_total, 65);
	balanced_with(0, 0);
}

static bool odd_ports_only(void *arg, const struct weir_flow *r)
{
	(void)arg;
	return r->source_port & 1;
}

static void test_what_is_filtered_is_counted(void **state)
{
	struct flow_stats s;

	(void)state;
	assert_int_equal(flow_table_new(&memory, &o, emit, odd_ports_only, NULL, &t), 0);
	for (uint16_t i = 0; i < 10; i++) {
		struct weir_flow_key k = key(17, 50000 + i, 53);

		send(&k, 0, 0, 100);
	}
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	flow_stats(t, &s);
	assert_int_equal(count, 5);
	assert_int_equal(s.filtered_packets, 5);
	assert_int_equal(s.filtered_bytes, 500);
	balanced_with(0, 0);
}

/* ---- anything at all, against a model ------------------------------------------------------------------- */

#define FLOWS 300
struct model { uint64_t packets[2], bytes[2], emitted[2], emitted_bytes[2]; };
static struct model model[FLOWS];
static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static struct weir_flow_key random_key(uint32_t i)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 1, 50, 132 };

	return key(protos[i % 7], (uint16_t)(40000 + i), (uint16_t)(i % 5 ? 80 : 60000));
}

static struct weir_flow_delta random_delta(void)
{
	struct weir_flow_delta d = { .first_ns = now - rnd(1000000), .span = rnd(500), .ifindex = rnd(4) };

	for (int e = 0; e < 2; e++) {
		d.packets[e] = rnd(4) ? rnd(1000) : 0;
		d.bytes[e] = d.packets[e] * (20 + rnd(1480));
		d.flags[e] = (uint8_t)(rnd(8) ? ACK : rnd(64));
		d.ttl[e] = (uint8_t)rnd(255);
	}
	d.bits = (uint8_t)(rnd(10) ? WEIR_FLOW_OWNER : rnd(256));
	d.pid = rnd(50);
	d.cookie = rnd(100);
	d.turn_ns = rnd(2) ? now : 0;
	d.waits = rnd(3);
	d.wait_sum_ns = d.waits * (uint64_t)rnd(1000000);
	d.drops = rnd(20) ? 0 : rnd(100);
	d.state = (uint8_t)rnd(14);
	if (!rnd(20)) /* a mark alone */
		d = (struct weir_flow_delta){ .bits = WEIR_FLOW_CLOSED, .resets = 1, .state = 8 };
	return d;
}

static void model_add(uint32_t i, const struct weir_flow_delta *d)
{
	for (int e = 0; e < 2; e++) {
		model[i].packets[e] += d->packets[e];
		model[i].bytes[e] += d->bytes[e];
	}
}

/* Take the records so far to the model's account of what was emitted. */
static void model_take(void)
{
	for (size_t n = 0; n < count; n++) {
		const struct weir_flow *r = &records[n];
		bool swapped = r->source_address[15] != 1; /* ICMP has no ports: by address */
		uint32_t i = 0;

		if (r->transport == 1)
			continue; /* its ports are not shown: only in the sum */
		i = (swapped ? r->destination_port : r->source_port) - 40000u;
		assert_true(i < FLOWS);
		model[i].emitted[swapped] += r->packets_delta;
		model[i].emitted[!swapped] += r->reverse_packets_delta;
		model[i].emitted_bytes[swapped] += r->bytes_delta;
		model[i].emitted_bytes[!swapped] += r->reverse_bytes_delta;
		assert_true(r->end_ns >= r->start_ns);
		assert_true(r->packets_total >= r->packets_delta);
		if (r->phase == WEIR_FLOW_UPDATE)
			assert_true(r->packets_delta + r->reverse_packets_delta > 0);
	}
	count = 0;
}

static uint64_t walked;
static bool walk(void *arg, const struct weir_flow *r)
{
	(void)arg;
	walked += r->packets_delta + r->reverse_packets_delta;
	return true;
}

/* Between two rounds: added = emitted + in the store, with the queues empty. */
static void check_store(void)
{
	struct flow_stats s;

	flow_stats(t, &s);
	if (s.queued)
		return;
	walked = 0;
	flow_walk(t, walk, NULL);
	assert_int_equal(s.added_packets, s.emitted_packets + walked);
}

static void random_life(uint64_t from, int steps)
{
	seed = from;
	memset(model, 0, sizeof model);
	for (int i = 0; i < steps; i++) {
		uint32_t f = rnd(FLOWS);
		struct weir_flow_key k = random_key(f);
		struct weir_flow_delta d = random_delta();

		if (flow_add(t, &k, &d, NULL) == 0)
			model_add(f, &d);
		if (rnd(8) == 0) {
			room = rnd(3) ? -1 : (long)rnd(4);
			now += rnd(2) ? rnd(1000000000) : rnd(4) ? 0 : (uint64_t)rnd(90) * S;
			flow_work(t, now, rnd(2) ? ALL : 1);
			check_store();
			room = -1;
		}
		if (rnd(2000) == 0)
			flow_flush(t, now, rnd(2) ? ALL : 1, WEIR_END_FORCED);
		if (!rnd(50))
			flow_owner(t, rnd(100), &d);
		model_take();
	}
	fail_at = -1;
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	model_take();
	for (uint32_t i = 0; i < FLOWS; i++) {
		if (random_key(i).proto == 1)
			continue;
		for (int e = 0; e < 2; e++) {
			assert_int_equal(model[i].emitted[e], model[i].packets[e]);
			assert_int_equal(model[i].emitted_bytes[e], model[i].bytes[e]);
		}
	}
	balanced_with(0, 0);
}

static void test_whatever_comes_nothing_is_lost(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 20; s++) {
		o.capacity = s % 3 ? 1000 : 64;
		o.start_records = s % 2;
		begin();
		random_life(s, 20000);
		flow_table_free(t);
		t = NULL;
		assert_int_equal(blocks, 0);
	}
}

static void test_memory_may_fail_at_any_call(void **state)
{
	int rc = -ENOMEM;

	(void)state;
	o.capacity = 2000; /* several slabs */
	for (long n = 0; rc; n++) {
		fail_at = n;
		allocs = 0;
		rc = flow_table_new(&memory, &o, emit, NULL, NULL, &t);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(blocks, 0);
		}
	}
	for (long n = 0; n < 12; n++) {
		fail_at = n;
		allocs = 0;
		random_life((uint64_t)n + 100, 3000);
		flow_table_free(t);
		assert_int_equal(blocks, 0);
		begin();
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_connection_is_one_record),
		T(test_a_server_is_the_destination_whoever_has_the_lower_address),
		T(test_the_socket_knows_better_than_the_ports),
		T(test_a_listening_port_is_a_server),
		T(test_on_the_wire_the_addresses_tell_the_role),
		T(test_intervals_have_deltas_and_idle_ones_no_record),
		T(test_a_busy_flow_is_never_cut),
		T(test_each_protocol_has_its_timeout),
		T(test_a_port_used_again_is_another_flow),
		T(test_a_whole_connection_in_one_delta),
		T(test_a_start_record_comes_first),
		T(test_the_strong_owner_stays),
		T(test_the_longest_idle_flow_makes_room),
		T(test_a_full_queue_refuses_and_nothing_is_lost),
		T(test_what_is_filtered_is_counted),
		T(test_whatever_comes_nothing_is_lost),
		T(test_memory_may_fail_at_any_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
