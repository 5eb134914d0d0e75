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
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OPTIONS "    sources: [packet]\n"
#define BYTES (16u << 20)
#define COUNT 10000u
#define TUNNEL(local, remote, address)                                                             \
	"ip link add t0 type vxlan id 7 dstport 4789 local " local " remote " remote               \
	" && ip addr add " address " dev t0 && ip link set t0 up"

static struct watch w;
static struct expectations e;
static uint16_t port;
static uint64_t netns;   /* where the daemon is */

/* False: IPv6 sent a report of its own over the interface meanwhile, or packets were dropped at it,
 * so its counters are not what was sent. */
static bool try_bulk(struct net_pair *p, struct bulk *b, int family, struct expectation *x)
{
	struct link_counters before, d;
	struct counts unused;

	b->listening = 0;
	b->len = pair_address(p, family, 2, ++port, &b->to);
	b->bytes = BYTES;
	link_counters(&p->client, "c0", &before);
	bulk_run(b, &p->client, &p->server);
	d = link_since(&p->client, "c0", &before);
	x->b = b->to;
	pair_address(p, family, 1, b->client.port, &x->a);
	truth_tcp(&b->client, family, &x->from_a, &unused);
	/* of what comes back the socket does not say how much was SACK blocks */
	x->from_b = (struct counts){ d.rx_packets, pair_l3(p, d.rx_bytes, d.rx_packets) };
	return !d.tx_dropped && d.rx_packets == b->client.segs_in;
}

static void check_bulk(struct net_pair *p, int family, enum offload how)
{
	struct bulk *b = shared_new(sizeof *b);
	struct expectation x = { .scope = FLOW_WIRE, .netns = netns, .transport = IPPROTO_TCP };
	int tries = 0;

	pair_offload(p, how);
	while (!try_bulk(p, b, family, &x))
		assert_true(++tries < 10);
	snprintf(x.what, sizeof x.what, "TCP v%d, offload %d", family == AF_INET ? 4 : 6, how);
	expect(&e, &x);
	shared_free(b, sizeof *b);
}

static void check_datagrams(struct net_pair *p, int family, enum offload offload, enum udp_how how)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct expectation x = { .scope = FLOW_WIRE, .netns = netns, .transport = IPPROTO_UDP };
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
	netns = p.client.cookie;
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
	netns = router.cookie;
	watch_start(&w, &router, OPTIONS, 10000);
	check_all(&p);
	pair_free(&p);
	ns_free(&router);
}

static bool in_namespace(const struct ns *ns, const char *command)
{
	const struct ns *before = ns_enter(ns);
	int rc = system(command);

	ns_enter(before);
	return !rc;
}

static void tunnel_address(unsigned end, uint16_t at_port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *a = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof *ret);
	a->sin_family = AF_INET;
	a->sin_port = htons(at_port);
	a->sin_addr.s_addr = htonl(0x0a630000 + end);
}

/* What is inside counts where the tunnel's device shows it, and not a second time in its carrier. */
static void test_in_a_tunnel(void **state)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct expectation x = { .what = "inside", .scope = FLOW_WIRE, .transport = IPPROTO_UDP };
	struct net_pair p;
	bool ended;

	(void)state;
	pair_new(&p, 23);
	if (!in_namespace(&p.client, TUNNEL("10.77.23.1", "10.77.23.2", "10.99.0.1/24")) ||
	    !in_namespace(&p.server, TUNNEL("10.77.23.2", "10.77.23.1", "10.99.0.2/24"))) {
		printf("SKIP: test_in_a_tunnel: no VXLAN device here\n");
		pair_free(&p);
		shared_free(d, sizeof *d);
		skip();
	}
	pair_offload(&p, OFFLOAD_OFF);
	expect_init(&e, 10);
	netns = p.client.cookie;
	watch_start(&w, &p.client, OPTIONS, 10000);
	tunnel_address(2, 5000, &d->to);
	d->len = sizeof(struct sockaddr_in);
	d->count = COUNT;
	d->size = 300;
	d->how = UDP_SENDMMSG;
	datagrams_run(d, &p.client, &p.server);
	tunnel_address(1, d->port, &x.a);
	x.b = d->to;
	x.from_a = (struct counts){ COUNT, COUNT * 328ull };
	x.netns = netns;
	expect(&e, &x);
	ended = expect_ends(&e, &w, 30);
	watch_stop(&w);
	assert_int_equal(expect_differences(&e, &w), 0);
	assert_true(ended);
	pair_free(&p);
	shared_free(d, sizeof *d);
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
		cmocka_unit_test_teardown(test_in_a_tunnel, teardown),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
