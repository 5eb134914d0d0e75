/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source packet: where no BPF program may run, a packet socket counts the same, packet by packet
 * and byte by byte; at an end and on the way, where each packet is tapped twice and counts once.
 */
#include "expect.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OPTIONS "    sources: [packet]\n"
#define BYTES (16u << 20)
#define COUNT 10000u

static struct watch w;
static struct expectations e;
static uint16_t port;

static void check_bulk(struct net_pair *p, int family, enum offload how)
{
	struct bulk *b = shared_new(sizeof *b);
	struct expectation x = { .scope = FLOW_WIRE, .transport = IPPROTO_TCP };
	struct link_counters before, d;

	pair_offload(p, how);
	b->len = pair_address(p, family, 2, ++port, &b->to);
	b->bytes = BYTES;
	link_counters(&p->client, "c0", &before);
	bulk_run(b, &p->client, &p->server);
	d = link_since(&p->client, "c0", &before);
	assert_int_equal(d.tx_dropped, 0);
	x.b = b->to;
	pair_address(p, family, 1, b->client.port, &x.a);
	x.from_a = (struct counts){ b->client.segs_out, pair_l3(p, d.tx_bytes, d.tx_packets) +
		(b->client.segs_out - d.tx_packets) * truth_headers(family) };
	x.from_b = (struct counts){ d.rx_packets, pair_l3(p, d.rx_bytes, d.rx_packets) };
	snprintf(x.what, sizeof x.what, "TCP v%d, offload %d", family == AF_INET ? 4 : 6, how);
	expect(&e, &x);
	shared_free(b, sizeof *b);
}

static void check_datagrams(struct net_pair *p, int family, enum offload offload, enum udp_how how)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct expectation x = { .scope = FLOW_WIRE, .transport = IPPROTO_UDP };
	uint32_t headers = 8 + (family == AF_INET ? 20 : 40);

	pair_offload(p, offload);
	d->len = pair_address(p, family, 2, ++port, &d->to);
	d->count = COUNT;
	d->size = 100 + 100 * how;
	d->how = how;
	datagrams_run(d, &p->client, &p->server);
	assert_int_equal(d->sent, d->count);
	x.b = d->to;
	pair_address(p, family, 1, d->port, &x.a);
	x.from_a = (struct counts){ d->count, (uint64_t)d->count * (d->size + headers) };
	snprintf(x.what, sizeof x.what, "UDP v%d, how %d, offload %d", family == AF_INET ? 4 : 6, how, offload);
	expect(&e, &x);
	shared_free(d, sizeof *d);
}

static void check_all(struct net_pair *p)
{
	bool ended;

	port = 5000;
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		for (enum offload o = OFFLOAD_OFF; o <= OFFLOAD_MERGE; o++)
			check_bulk(p, family, o);
		check_datagrams(p, family, OFFLOAD_OFF, UDP_SENDMMSG);
		check_datagrams(p, family, OFFLOAD_OFF, UDP_GSO);
		check_datagrams(p, family, OFFLOAD_ON, UDP_GSO);
	}
	ended = expect_ends(&e, &w, 30);
	watch_nothing_lost(&w);
	watch_stop(&w);
	assert_int_equal(expect_differences(&e, &w), 0);
	assert_true(ended);
}

static void test_beside_the_client(void **state)
{
	struct net_pair p;

	(void)state;
	pair_new(&p, 21);
	expect_init(&e, 100);
	watch_start(&w, &p.client, OPTIONS, 10000);
	check_all(&p);
	pair_free(&p);
}

static void test_on_the_way(void **state)
{
	struct net_pair p = { .n = 22 };
	struct ns router;

	(void)state;
	ns_new(&router);
	pair_new_routed(&p, 22, &router);
	expect_init(&e, 100);
	watch_start(&w, &router, OPTIONS, 10000);
	check_all(&p);
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
		cmocka_unit_test_teardown(test_beside_the_client, teardown),
		cmocka_unit_test_teardown(test_on_the_way, teardown),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
