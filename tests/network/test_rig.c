/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig itself, without a daemon: what the actors say they sent is what the interfaces
 * counted, packet by packet and byte by byte. Only then is either a truth to hold records against.
 */
#include "traffic.h"
#include "truth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct net_pair pair;

static const char *const offload_name[] = { "off", "on", "merge" };

/* A busy machine may make a stack believe in a loss; then it is done again. */
static struct link_counters run_without_loss(struct bulk *b)
{
	struct link_counters c0;

	for (int tries = 0; tries < 5; tries++) {
		link_counters(&pair.client, "c0", &c0);
		bulk_run(b, &pair.client, &pair.server);
		if (!b->client.retransmits)
			return link_since(&pair.client, "c0", &c0);
	}
	fail_msg("five connections, none without a retransmission");
	return c0;
}

static void check_bulk(int family, enum offload how)
{
	struct bulk *b = shared_new(sizeof *b);
	struct link_counters d;
	struct counts out, in;

	pair_offload(&pair, how);
	b->len = pair_address(&pair, family, 2, 5001, &b->to);
	b->bytes = 32 << 20;
	b->in_order = true;
	d = run_without_loss(b);
	truth_tcp(&b->client, family, &out, &in);
	printf("    TCP v%d offload %-5s  socket %llu packets %llu bytes; interface %llu, %llu; "
	       "back %llu %llu; %llu %llu\n",
	       family == AF_INET ? 4 : 6, offload_name[how], (unsigned long long)out.packets,
	       (unsigned long long)out.bytes, (unsigned long long)d.tx_packets,
	       (unsigned long long)pair_l3(&pair, d.tx_bytes, d.tx_packets), (unsigned long long)in.packets,
	       (unsigned long long)in.bytes, (unsigned long long)d.rx_packets,
	       (unsigned long long)pair_l3(&pair, d.rx_bytes, d.rx_packets));
	/* Both ends' sockets agree, but for the SYN-ACK: it was not the server's socket that sent it. */
	assert_int_equal(b->client.bytes_sent, b->bytes);
	assert_int_equal(b->client.segs_out, b->server.segs_in);
	assert_int_equal(b->client.segs_in, b->server.segs_out + 1);
	/* A super-packet carries its headers once. */
	assert_true(how == OFFLOAD_ON ? d.tx_packets < out.packets / 4 : d.tx_packets == out.packets);
	assert_int_equal(pair_l3(&pair, d.tx_bytes, d.tx_packets) +
	                 (out.packets - d.tx_packets) * truth_headers(family), out.bytes);
	assert_int_equal(d.rx_packets, in.packets);
	assert_int_equal(pair_l3(&pair, d.rx_bytes, d.rx_packets), in.bytes);
	shared_free(b, sizeof *b);
}

static void test_tcp_socket_and_interface_agree(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		check_bulk(i & 1 ? AF_INET6 : AF_INET, i / 2);
}

static void check_datagrams(int family, enum udp_how kind, enum offload how)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct link_counters c0, s0, c, s;
	uint64_t each = 1000 + 8 + (family == AF_INET ? 20 : 40);

	pair_offload(&pair, how);
	d->len = pair_address(&pair, family, 2, 5002, &d->to);
	d->count = 20000;
	d->size = 1000;
	d->how = kind;
	link_counters(&pair.client, "c0", &c0);
	link_counters(&pair.server, "s0", &s0);
	datagrams_run(d, &pair.client, &pair.server);
	c = link_since(&pair.client, "c0", &c0);
	s = link_since(&pair.server, "s0", &s0);
	printf("    UDP v%d kind %d offload %-5s  sent %llu received %llu; c0 sent %llu, s0 received %llu\n",
	       family == AF_INET ? 4 : 6, kind, offload_name[how], (unsigned long long)d->sent,
	       (unsigned long long)d->received, (unsigned long long)c.tx_packets,
	       (unsigned long long)s.rx_packets);
	assert_int_equal(d->sent, d->count);
	assert_int_equal(d->received, d->count);
	if (kind != UDP_GSO || how != OFFLOAD_ON) {
		assert_int_equal(c.tx_packets, d->count);
		assert_int_equal(s.rx_packets, d->count);
	}
	assert_int_equal(pair_l3(&pair, c.tx_bytes, c.tx_packets) + (d->count - c.tx_packets) * (each - 1000),
	                 d->count * each);
	shared_free(d, sizeof *d);
}

static void test_datagrams_sent_are_datagrams_counted(void **state)
{
	(void)state;
	for (int family = 0; family < 2; family++)
		for (enum udp_how kind = UDP_SEND; kind <= UDP_GSO; kind++)
			for (enum offload how = OFFLOAD_OFF; how <= OFFLOAD_MERGE; how++)
				check_datagrams(family ? AF_INET6 : AF_INET, kind, how);
}

static void check_shorts(int family)
{
	struct shorts *s = shorts_new(3000);
	struct link_counters c0, d;
	struct counts out = { 0 }, in = { 0 };
	uint64_t payload_out = 0, payload_in = 0, served = 0;

	s->len = pair_address(&pair, family, 2, 5100, &s->to);
	s->clients = 2;
	s->servers = 2;
	s->ends = 7;
	link_counters(&pair.client, "c0", &c0);
	shorts_run(s, &pair.client, &pair.server);
	d = link_since(&pair.client, "c0", &c0);
	out.packets = d.tx_packets;
	in.packets = d.rx_packets;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct short_conn *c = &s->conn[i];

		payload_out += c->sent;
		payload_in += c->answered;
		served += s->served[c->server_port - 5100][c->port] != 0;
	}
	assert_int_equal(served, s->count);
	assert_int_equal(pair_l3(&pair, d.tx_bytes, d.tx_packets) - out.packets * truth_headers(family),
	                 payload_out + s->count * 8ull);
	assert_int_equal(pair_l3(&pair, d.rx_bytes, d.rx_packets) - in.packets * truth_headers(family),
	                 payload_in + s->count * 8ull);
	shorts_free(s);
}

/* Every packet is its headers, the time stamps' twelve bytes among them, and payload; a SYN
 * has eight bytes more of options. */
static void test_short_connections_carry_what_they_say(void **state)
{
	(void)state;
	pair_offload(&pair, OFFLOAD_ON);
	check_shorts(AF_INET);
	check_shorts(AF_INET6);
}

static int setup(void **state)
{
	(void)state;
	pair_new(&pair, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_free(&pair);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_socket_and_interface_agree),
		cmocka_unit_test(test_datagrams_sent_are_datagrams_counted),
		cmocka_unit_test(test_short_connections_carry_what_they_say),
	};
	const char *why = no_net();

	if (why) {
		printf("SKIP: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
