/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loss-free: what the records say is what the interface and the sender counted, packet by
 * packet and byte by byte, in both scopes, at both ends and on the way, with segmentation left to
 * the device, done before it, and undone by the receiver.
 *
 * The truth about TCP is the interface's counters, and the sockets' own count of segments for what
 * is in a super-packet; so retransmissions do not matter. WEIR_NETWORK_FULL=1: 1 GB and 1 000 000
 * datagrams instead of 64 MB and 50 000.
 */
#include "expect.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct watch w;
static struct expectations e;
static uint16_t port;      /* a new one for each flow */

static const char *const offload_name[] = { "off", "on", "merge" };

static uint64_t bulk_bytes(void)
{
	return full_size() ? 1000000000 : 64 << 20;
}

static uint32_t datagram_count(void)
{
	return full_size() ? 1000000 : 50000;
}

/* One flow in each of these places; netns 0 ends them. */
struct place {
	enum flow_scope scope;
	uint64_t netns;
};

static void expect_at(const struct place *places, const struct expectation *row)
{
	struct expectation x = *row;

	for (; places->netns; places++) {
		x.scope = places->scope;
		x.netns = places->scope == FLOW_HOST ? places->netns : 0;
		snprintf(x.what, sizeof x.what, "%.48s, %s", row->what,
		         places->scope == FLOW_WIRE ? "wire" : "host");
		expect(&e, &x);
	}
}

static void check_bulk(struct net_pair *p, int family, enum offload how, const struct place *places)
{
	struct bulk *b = shared_new(sizeof *b);
	struct expectation x = { .transport = IPPROTO_TCP };
	struct link_counters before, d;

	pair_offload(p, how);
	b->len = pair_address(p, family, 2, ++port, &b->to);
	b->bytes = bulk_bytes();
	link_counters(&p->client, "c0", &before);
	bulk_run(b, &p->client, &p->server);
	d = link_since(&p->client, "c0", &before);
	assert_int_equal(d.tx_dropped, 0);
	x.b = b->to;
	pair_address(p, family, 1, b->client.port, &x.a);
	x.from_a = (struct counts){ b->client.segs_out, pair_l3(p, d.tx_bytes, d.tx_packets) +
		(b->client.segs_out - d.tx_packets) * truth_headers(family) };
	x.from_b = (struct counts){ d.rx_packets, pair_l3(p, d.rx_bytes, d.rx_packets) };
	snprintf(x.what, sizeof x.what, "TCP v%d, offload %s", family == AF_INET ? 4 : 6, offload_name[how]);
	printf("    %s: %llu packets in %llu at the interface, %u sent again\n", x.what,
	       (unsigned long long)x.from_a.packets, (unsigned long long)d.tx_packets, b->client.retransmits);
	expect_at(places, &x);
	shared_free(b, sizeof *b);
}

static void check_datagrams(struct net_pair *p, int family, enum offload offload, enum udp_how how,
                            const struct place *places)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct expectation x = { .transport = IPPROTO_UDP };
	uint32_t headers = 8 + (family == AF_INET ? 20 : 40);
	struct link_counters before, c;

	pair_offload(p, offload);
	d->len = pair_address(p, family, 2, ++port, &d->to);
	d->count = datagram_count();
	d->size = 100 + 100 * how;
	d->how = how;
	link_counters(&p->client, "c0", &before);
	datagrams_run(d, &p->client, &p->server);
	c = link_since(&p->client, "c0", &before);
	assert_int_equal(c.tx_dropped, 0);
	assert_int_equal(d->sent, d->count);
	assert_int_equal(pair_l3(p, c.tx_bytes, c.tx_packets) + (d->count - c.tx_packets) * headers,
	                 (uint64_t)d->count * (d->size + headers));
	x.b = d->to;
	pair_address(p, family, 1, d->port, &x.a);
	x.from_a = (struct counts){ d->count, (uint64_t)d->count * (d->size + headers) };
	snprintf(x.what, sizeof x.what, "UDP v%d, how %d, offload %s", family == AF_INET ? 4 : 6, how,
	         offload_name[offload]);
	expect_at(places, &x);
	shared_free(d, sizeof *d);
}

static void check_all(struct net_pair *p, const struct place *places)
{
	port = 5000;
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		for (enum offload o = OFFLOAD_OFF; o <= OFFLOAD_MERGE; o++)
			check_bulk(p, family, o, places);
		for (enum udp_how how = UDP_SEND; how <= UDP_GSO; how++)
			check_datagrams(p, family, OFFLOAD_OFF, how, places);
		check_datagrams(p, family, OFFLOAD_ON, UDP_GSO, places);
	}
}

static void hold_against(void)
{
	bool ended = expect_ends(&e, &w, 30);

	watch_nothing_lost(&w);
	watch_stop(&w);
	assert_int_equal(expect_differences(&e, &w), 0);
	assert_true(ended);
}

/* Beside the client, then beside the server: both sockets in scope host, and their
 * namespace's interface in scope wire. */
static void check_beside(bool server)
{
	struct net_pair p;

	pair_new(&p, 11);
	const struct place places[] = { { FLOW_HOST, p.client.cookie }, { FLOW_HOST, p.server.cookie },
		                        { FLOW_WIRE, server ? p.server.cookie : p.client.cookie }, { 0, 0 } };

	expect_init(&e, 100);
	watch_start(&w, server ? &p.server : &p.client,
	            "    scope: both\n    discovery: {interfaces: [c0, s0]}\n", 10000);
	check_all(&p, places);
	hold_against();
	pair_free(&p);
}

static void test_beside_the_client_nothing_is_lost(void **state)
{
	(void)state;
	check_beside(false);
}

static void test_beside_the_server_nothing_is_lost(void **state)
{
	(void)state;
	check_beside(true);
}

/* A router between them: c0 - r0, r1 - s0. What passes two interfaces counts once. */
static void test_what_is_forwarded_counts_once(void **state)
{
	struct net_pair p = { .n = 12 };
	struct ns router;
	static const struct place places[] = { { FLOW_WIRE, 1 }, { 0, 0 } };

	(void)state;
	ns_new(&router);
	pair_new_routed(&p, 12, &router);
	expect_init(&e, 100);
	watch_start(&w, &router, "    scope: wire\n    discovery: {interfaces: ['r*']}\n", 10000);
	check_all(&p, places);
	hold_against();
	pair_free(&p);
	ns_free(&router);
}

static int teardown(void **state)
{
	(void)state;
	watch_clean(&w);
	expect_fini(&e);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_beside_the_client_nothing_is_lost, teardown),
		cmocka_unit_test_teardown(test_beside_the_server_nothing_is_lost, teardown),
		cmocka_unit_test_teardown(test_what_is_forwarded_counts_once, teardown),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
