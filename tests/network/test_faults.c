/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs full, behind or away: the kernel's map, the ring, the engine's queues, its store, an
 * interface, a namespace. Counts stay exact, or what is lost is counted to the packet; it is
 * said; and it ends when its cause does. Every ledger balances throughout.
 *
 * The daemon's filter keeps the machine's other traffic out of the maps.
 */
#include "expect.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRST_PORT 5100
#define ONLY_OURS "    filter: {address: {match: ['10.77.51.0/24', 'fd77:51::/64']}}\n"

static struct watch w;
static struct net_pair pair;

static uint64_t stat_of(const char *name)
{
	json_t *answer = daemon_call(&w.d, json_pack("{s:s,s:s,s:s}", "cmd", "query", "plugin", "network", "query", "stats"));
	const char *text = json_string_value(json_object_get(answer, "body"));
	json_t *o = text ? json_loads(text, 0, NULL) : NULL, *v;
	uint64_t n;

	if (!o)
		fail_msg("network.stats does not answer with JSON");
	v = json_object_get(o, name);
	if (!json_is_integer(v))
		fail_msg("network.stats has no %s", name);
	n = (uint64_t)json_integer_value(v);
	json_decref(o);
	json_decref(answer);
	return n;
}

/* Of both sockets' flows: each packet between them was seen twice. */
static struct counts sum_of_pair(void)
{
	struct counts c = { 0 };

	for (size_t i = 0; i < w.flows.pool_used; i++) {
		const struct flow *f = &w.flows.pool[i];

		if (f->netns != pair.client.cookie && f->netns != pair.server.cookie)
			continue;
		c.packets += f->from[0].packets + f->from[1].packets;
		c.bytes += f->from[0].bytes + f->from[1].bytes;
	}
	return c;
}

struct sum {
	struct counts want, got;
};

static bool reached(struct watch *watch, void *arg)
{
	struct sum *s = arg;

	(void)watch;
	s->got = sum_of_pair();
	return s->got.packets >= s->want.packets;
}

/* So many short connections; returns what the interface counted, twice. */
static struct counts traffic(uint32_t count)
{
	struct shorts *s = shorts_new(count);
	struct link_counters before, d;

	s->len = pair_address(&pair, AF_INET, 2, FIRST_PORT, &s->to);
	s->clients = 2;
	s->servers = 2;
	s->ends = 7;
	link_counters(&pair.client, "c0", &before);
	shorts_run(s, &pair.client, &pair.server);
	d = link_since(&pair.client, "c0", &before);
	shorts_free(s);
	return (struct counts){ 2 * (d.tx_packets + d.rx_packets),
		2 * (pair_l3(&pair, d.tx_bytes, d.tx_packets) + pair_l3(&pair, d.rx_bytes, d.rx_packets)) };
}

static void expect_exact(const struct counts *want, unsigned seconds)
{
	struct sum s = { *want, { 0 } };
	bool there = watch_until(&w, reached, &s, seconds);

	printf("    records %llu packets %llu bytes; interface %llu, %llu\n", (unsigned long long)s.got.packets,
	       (unsigned long long)s.got.bytes, (unsigned long long)want->packets,
	       (unsigned long long)want->bytes);
	assert_true(there);
	watch_nothing_lost(&w);
	watch_stop(&w);
	s.got = sum_of_pair();
	assert_int_equal(s.got.packets, want->packets);
	assert_int_equal(s.got.bytes, want->bytes);
}

struct words {
	const char *what;
	unsigned times;
};

static bool said_so_often(struct watch *watch, void *arg)
{
	const struct words *x = arg;
	char *log = daemon_log(&watch->d), *at = log;
	unsigned n = 0;

	while ((at = strstr(at, x->what))) {
		at++;
		n++;
	}
	free(log);
	return n >= x->times;
}

static void expect_said(const char *what)
{
	struct words words = { what, 1 };

	if (!watch_until(&w, said_so_often, &words, 10))
		fail_msg("the log does not say \"%s\"", what);
}

/* ---- full ------------------------------------------------------------------------------ */

static void test_a_full_map_loses_nothing(void **state)
{
	struct counts want;

	(void)state;
	watch_start(&w, NULL, ONLY_OURS "    ring: 64MiB\n"
	            "    flow_capture: {flow_stats_capacity: 64, flow_events_capacity: 131072}\n", 50000);
	want = traffic(2000);
	assert_true(stat_of("overflows") > 100);
	assert_int_equal(stat_of("lost_packets"), 0);
	expect_said("went over the ring");
	expect_exact(&want, 20);
}

/* The daemon stands still meanwhile: map and ring run full, and what does not fit is gone. */
static void test_a_full_ring_counts_what_it_loses(void **state)
{
	struct sum s = { 0 };
	uint64_t lost_packets, lost_bytes;
	struct counts more;
	json_t *status;

	(void)state;
	watch_start(&w, NULL, ONLY_OURS "    ring: 64KiB\n"
	            "    flow_capture: {flow_stats_capacity: 64, flow_events_capacity: 64}\n", 50000);
	kill(w.d.pid, SIGSTOP);
	s.want = traffic(2000);
	kill(w.d.pid, SIGCONT);
	nap_ms(500);
	lost_packets = stat_of("lost_packets");
	lost_bytes = stat_of("lost_bytes");
	assert_true(lost_packets > 1000);
	expect_said("have no record");
	s.want.packets -= lost_packets;
	s.want.bytes -= lost_bytes;
	status = daemon_call(&w.d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(status);
	assert_true(dropped(route_of(status, "network", "stdout"), "ring_full") >= (long long)lost_packets);
	json_decref(status);
	/* Recovered: of what comes now nothing is lost. */
	more = traffic(20);
	s.want.packets += more.packets;
	s.want.bytes += more.bytes;
	nap_ms(500);
	assert_int_equal(stat_of("lost_packets"), lost_packets);
	/* Ends of connections were lost as well, so some flows end only now. */
	watch_stop(&w);
	s.got = sum_of_pair();
	printf("    records %llu packets %llu bytes; without the %llu lost: %llu, %llu\n",
	       (unsigned long long)s.got.packets, (unsigned long long)s.got.bytes,
	       (unsigned long long)lost_packets, (unsigned long long)s.want.packets,
	       (unsigned long long)s.want.bytes);
	assert_int_equal(s.got.packets, s.want.packets);
	assert_int_equal(s.got.bytes, s.want.bytes);
}

static void test_full_queues_of_the_engine_lose_nothing(void **state)
{
	struct counts want;

	(void)state;
	watch_start_plain(&w, NULL, "  network:\n    budget: {events: 0}\n" ONLY_OURS
	                  "    flow_producer: {workers: 1, worker_queue_capacity: 16, flow_span_queue_capacity: 16,"
	                  " flow_store_poll_interval: 200ms}\n    span: {tcp_fin_timeout: 1s, tcp_rst_timeout: 1s}\n",
	                  50000);
	want = traffic(3000);
	/* They fill if a poll finds enough at once: again until one has. */
	for (int i = 0; i < 5 && !stat_of("refused"); i++) {
		struct counts more = traffic(3000);

		want.packets += more.packets;
		want.bytes += more.bytes;
	}
	assert_true(stat_of("refused") > 0);
	expect_exact(&want, 40);
}

static void test_a_full_store_ends_flows_early_and_loses_nothing(void **state)
{
	struct counts want;

	(void)state;
	watch_start_plain(&w, NULL, "  network:\n    budget: {events: 0}\n    store_capacity: 64\n" ONLY_OURS
	                  "    flow_producer: {flow_store_poll_interval: 200ms}\n", 50000);
	want = traffic(3000);
	nap_ms(500);
	assert_true(stat_of("evicted") > 1000);
	expect_exact(&want, 40);
}

/* ---- gone ------------------------------------------------------------------------------ */

static void bulk_over(struct bulk *b, uint16_t port, struct expectation *x)
{
	struct link_counters before, d;

	b->len = pair_address(&pair, AF_INET, 2, port, &b->to);
	b->bytes = 4 << 20;
	link_counters(&pair.client, "c0", &before);
	bulk_run(b, &pair.client, &pair.server);
	d = link_since(&pair.client, "c0", &before);
	*x = (struct expectation){ .scope = FLOW_WIRE, .transport = IPPROTO_TCP, .b = b->to };
	pair_address(&pair, AF_INET, 1, b->client.port, &x->a);
	snprintf(x->what, sizeof x->what, "port %u", port);
	x->from_a = (struct counts){ b->client.segs_out, pair_l3(&pair, d.tx_bytes, d.tx_packets) +
		(b->client.segs_out - d.tx_packets) * truth_headers(AF_INET) };
	x->from_b = (struct counts){ d.rx_packets, pair_l3(&pair, d.rx_bytes, d.rx_packets) };
}

static void test_an_interface_that_goes_and_comes_again(void **state)
{
	struct bulk *b = shared_new(sizeof *b);
	struct words watched = { "interface c0 is watched", 1 }, gone = { "interface c0 is gone", 1 };
	struct expectations e;
	struct expectation x;

	(void)state;
	expect_init(&e, 8);
	watch_start(&w, &pair.client, "    scope: wire\n    discovery: {interfaces: [c0]}\n", 10000);
	for (unsigned i = 0; i < 2; i++) {
		bulk_over(b, (uint16_t)(6200 + i), &x);
		expect(&e, &x);
		if (i)
			break;
		link_delete(&pair.client, "c0");
		assert_true(watch_until(&w, said_so_often, &gone, 10));
		pair_link(&pair);
		assert_true(watch_until(&w, said_so_often, &watched, 20));
	}
	assert_true(expect_ends(&e, &w, 20));
	watch_nothing_lost(&w);
	watch_stop(&w);
	assert_int_equal(expect_differences(&e, &w), 0);
	expect_fini(&e);
	shared_free(b, sizeof *b);
}

static bool both_ended(struct watch *watch, void *arg)
{
	unsigned n = 0;

	(void)arg;
	for (size_t i = 0; i < watch->flows.pool_used; i++)
		n += watch->flows.pool[i].ends && (watch->flows.pool[i].netns == pair.client.cookie ||
		                                   watch->flows.pool[i].netns == pair.server.cookie);
	return n >= 2;
}

/* All that is left of a namespace are its flows; they end as ever. */
static void test_a_namespace_that_goes(void **state)
{
	struct datagrams *d = shared_new(sizeof *d);
	struct counts want;

	(void)state;
	watch_start(&w, NULL, ONLY_OURS, 10000);
	d->len = pair_address(&pair, AF_INET6, 2, 6210, &d->to);
	d->count = 1000;
	d->size = 500;
	datagrams_run(d, &pair.client, &pair.server);
	want = (struct counts){ 2000, 2000 * 548 };
	pair_free(&pair);
	assert_true(watch_until(&w, both_ended, NULL, 20));
	expect_exact(&want, 5);
	shared_free(d, sizeof *d);
}

static int setup(void **state)
{
	(void)state;
	pair_new(&pair, 51);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (w.d.pid)
		kill(w.d.pid, SIGCONT);
	watch_clean(&w);
	pair_free(&pair);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_full_map_loses_nothing),
		TEST(test_a_full_ring_counts_what_it_loses),
		TEST(test_full_queues_of_the_engine_lose_nothing),
		TEST(test_a_full_store_ends_flows_early_and_loses_nothing),
		TEST(test_an_interface_that_goes_and_comes_again),
		TEST(test_a_namespace_that_goes),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
