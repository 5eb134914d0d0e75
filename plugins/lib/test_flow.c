/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine, by itself: whole lives of flows, their owners, and what happens without room.
 */
#include "test_flow.h"

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
	static const struct {
		uint8_t proto, flags;
		uint64_t s;
		enum weir_flow_end_reason why;
	} cases[] = {
		{ 6, ACK, 20, WEIR_END_IDLE },
		{ 6, RST, 5, WEIR_END_DETECTED },
		{ 6, FIN | ACK, 5, WEIR_END_DETECTED },
		{ 17, 0, 60, WEIR_END_IDLE },
		{ 1, 0, 10, WEIR_END_IDLE },
		{ 58, 0, 10, WEIR_END_IDLE },
		{ 47, 0, 30, WEIR_END_IDLE },
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
	struct weir_flow_delta d = { .packets = { 5, 6 },
				     .bytes = { 5000, 600 },
				     .first_ns = now,
				     .span = 1000000,
				     .synack_ns = now + 1000,
				     .flags = { SYN | ACK | FIN, SYN | ACK | FIN | PSH },
				     .bits = WEIR_FLOW_FIRST_DIR | WEIR_FLOW_CLOSED,
				     .state = 8,
				     .srtt_us = 1500,
				     .retransmits = 2,
				     .resets = 1,
				     .drops = 3,
				     .drop_reason = 7,
				     .error = 104,
				     .wait_sum_ns = 3000,
				     .waits = 2 };

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
	assert_int_equal(records[0].drop_number, 7);
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
	static const struct {
		uint32_t pid;
		unsigned bits;
		uint32_t pid_after;
		enum weir_flow_owner from;
	} steps[] = {
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

static void test_what_an_accepted_socket_has_by_birth_is_its_listeners(void **state)
{
	struct weir_flow_key k = key(6, 80, 50000);
	struct weir_flow_delta d = owned(9, WEIR_FLOW_OWNER_WEAK);

	(void)state;
	begin();
	send(&k, 1, SYN, 60);
	add(&k, &d);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(records[0].pid, 9);
	assert_int_equal(records[0].owner_from, WEIR_OWNER_LISTENER);
}

static unsigned asked;
static const struct owner_cgroup *place(void *arg, uint64_t cgroup, uint32_t pid)
{
	static struct owner_cgroup c = { .container = "c0ffee", .unit = "web.service", .pod = "p-1" };

	(void)arg;
	(void)pid;
	asked++;
	return cgroup == 7 ? &c : NULL;
}

static void test_where_a_process_runs_is_asked_once(void **state)
{
	struct weir_flow_key k = key(17, 53, 50000);

	(void)state;
	asked = 0;
	o.place = place;
	begin();
	for (uint16_t i = 0; i < 20; i++) {
		struct weir_flow_delta d = owned(i & 1, 0);

		k.port[1] = 50000 + i;
		d.pid = 1 + (i & 1);
		d.cgroup = i & 1 ? 7 : 8;
		add(&k, &d);
	}
	work();
	assert_int_equal(asked, 2);
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	assert_int_equal(count, 20);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(records[i].unit, records[i].cgroup_id == 7 ? "web.service" : "");
		assert_string_equal(records[i].container_id, records[i].cgroup_id == 7 ? "c0ffee" : "");
		assert_string_equal(records[i].pod_uid, records[i].cgroup_id == 7 ? "p-1" : "");
	}
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
		assert_int_equal(records[i].source_port == 53 ? records[i].destination_port
							      : records[i].source_port,
				 1001 + i);
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
		T(test_what_an_accepted_socket_has_by_birth_is_its_listeners),
		T(test_where_a_process_runs_is_asked_once),
		T(test_the_longest_idle_flow_makes_room),
		T(test_a_full_queue_refuses_and_nothing_is_lost),
		T(test_what_is_filtered_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
