/* SPDX-License-Identifier: Apache-2.0 */
/* The user side of the bpf source: which interfaces are looked at, and that a drain loses nothing. */
#include "iface.h"
#include "source_bpf.h"
#include "test_bpf.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <weir/testhost.h>

#include <cmocka.h>

/* ---- interfaces -------------------------------------------------------------------------- */

struct link_row {
	int ifindex, lower, master;
	const char *kind;
	bool fits, chosen;
};

static void choose(const struct link_row *rows, uint32_t count)
{
	struct net_iface all[8];
	struct net_ifaces s = { .all = all, .count = count };

	memset(all, 0, sizeof all);
	for (uint32_t i = 0; i < count; i++) {
		all[i].ifindex = rows[i].ifindex;
		all[i].lower = rows[i].lower;
		all[i].master = rows[i].master;
		all[i].class = NET_IFACE_ETHERNET;
		all[i].fits = rows[i].fits;
		snprintf(all[i].kind, sizeof all[i].kind, "%s", rows[i].kind);
	}
	net_ifaces_choose(&s);
	for (uint32_t i = 0; i < count; i++)
		if (all[i].chosen != rows[i].chosen)
			fail_msg("interface %d (%s): chosen %d", rows[i].ifindex, rows[i].kind, all[i].chosen);
}

/* What is seen at a device is not looked at again at one on top of it; tunnels are. */
static void test_no_packet_is_looked_at_twice(void **state)
{
	static const struct link_row stacked[] = {
		{ 1, 0, 3, "", true, true },        { 2, 0, 3, "", true, true },
		{ 3, 0, 4, "bond", true, false },   { 4, 0, 0, "bridge", true, false },
		{ 5, 3, 0, "vlan", true, false },   { 6, 1, 0, "vxlan", true, true },
		{ 7, 0, 0, "", false, false },      { 8, 7, 0, "vlan", true, true },
	};
	static const struct link_row pair[] = {
		{ 4, 5, 0, "veth", true, true },    { 5, 4, 0, "veth", true, false },
		{ 6, 7, 0, "veth", false, false },  { 7, 6, 0, "veth", true, true },
		{ 8, 0, 0, "veth", true, true },    { 9, 0, 10, "", true, true },
		{ 10, 0, 0, "vrf", true, true },
	};

	(void)state;
	choose(stacked, 8);
	choose(pair, 7);
}

/* A message that ends too early is no link; attributes are read as far as they go. */
static void test_cut_messages_are_no_links(void **state)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
		struct rtattr name_is;
		char name[8];
		struct rtattr lower_is;
		int lower;
	} m = { .h = { sizeof m, RTM_NEWLINK, 0, 0, 0 },
		.i = { .ifi_family = AF_UNSPEC, .ifi_type = ARPHRD_NONE, .ifi_index = 7 },
		.name_is = { RTA_LENGTH(8), IFLA_IFNAME }, .name = "wg0",
		.lower_is = { RTA_LENGTH(4), IFLA_LINK }, .lower = 3 };
	struct net_iface f;
	bool gone;

	(void)state;
	assert_true(net_iface_parse(&m, sizeof m, &f, &gone));
	assert_false(gone);
	assert_string_equal(f.name, "wg0");
	assert_int_equal(f.lower, 3);
	assert_int_equal(f.class, NET_IFACE_RAW);
	assert_false(net_iface_parse(&m, sizeof m - 1, &f, &gone));
	m.lower_is.rta_len = 64;
	assert_true(net_iface_parse(&m, sizeof m, &f, &gone));
	assert_int_equal(f.lower, 0);
	m.h.nlmsg_type = RTM_DELLINK;
	assert_true(net_iface_parse(&m, sizeof m, &f, &gone));
	assert_true(gone);
	m.i.ifi_family = AF_BRIDGE;
	assert_false(net_iface_parse(&m, sizeof m, &f, &gone));
	for (uint32_t n = 0; n < NLMSG_LENGTH(sizeof m.i); n++) {
		m.h.nlmsg_len = n;
		assert_false(net_iface_parse(&m, sizeof m, &f, &gone));
	}
}

/* ---- drains ------------------------------------------------------------------------------------ */

static void make_maps(struct weir_test *t)
{
	weir_test_map(t, "net_flows_a", sizeof(struct weir_flow_key), sizeof(struct weir_flow_delta));
	weir_test_map(t, "net_flows_b", sizeof(struct weir_flow_key), sizeof(struct weir_flow_delta));
	weir_test_map(t, "net_control", 4, sizeof(struct weir_net_control));
	weir_test_map(t, "net_names", 8, 4);
	weir_test_map(t, "net_recent", 4, WEIR_NET_RECENTS * sizeof(struct weir_net_recent));
}

static void put(struct weir_test *t, const char *map, uint16_t port, uint64_t packets)
{
	struct weir_flow_key k = { .proto = 17, .netns = 1, .port = { port, 53 } };
	struct weir_flow_delta d = { .packets = { packets, 1 }, .bytes = { packets * 100, 60 },
		.first_ns = WEIR_TEST_NOW };

	k.addr[0][15] = 1;
	k.addr[1][15] = 2;
	weir_test_map_put(t, map, &k, &d);
}

/* All of both maps is in the engine when the source has ended, whatever a batch holds. */
static void test_the_rest_of_both_maps_is_added(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "stats_interval=0s");
	struct net_drain d = { 0 };
	struct weir_plugin *p;
	struct flow_stats s;
	struct network *n;
	uint64_t want = 0;

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	p = weir_test_plugin(t);
	n = weir_state(p);
	assert_int_equal(net_engine_start(p), 0);
	make_maps(t);
	for (uint16_t i = 1; i <= 3000; i++) {
		put(t, i % 3 ? "net_flows_a" : "net_flows_b", i, i);
		want += i + 1u;
	}
	assert_int_equal(net_drain_init(p, &d), 0);
	net_drain_rest(p, &d);
	assert_int_equal(d.drained, 3000);
	assert_int_equal(d.refused_packets, 0);
	flow_stats(n->flows, &s);
	assert_int_equal(s.added_packets, want);
	net_drain_fini(p, &d);
	net_drain_fini(p, &d);
	net_engine_stop(p);
	assert_int_equal(weir_test_timers(t), 0);
	weir_test_free(t);
}

/* A drain in the rounds of the loop: more than a batch is read, added, and then deleted. */
static void test_a_drain_on_the_pool_adds_all_once(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "stats_interval=0s");
	static const uint16_t sizes[] = { 1, NET_BATCH, NET_BATCH + 1, 4 * NET_BATCH + 7 };
	struct net_bpf b = { 0 };
	struct weir_plugin *p;
	struct flow_stats s;
	struct network *n;
	uint64_t want = 0, flows = 0;

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	p = weir_test_plugin(t);
	n = weir_state(p);
	assert_int_equal(net_engine_start(p), 0);
	make_maps(t);
	n->bpf = &b;
	assert_int_equal(net_drain_init(p, &b.drain), 0);
	for (unsigned round = 0; round < sizeof sizes / sizeof *sizes; round++) {
		for (uint16_t i = 1; i <= sizes[round]; i++) {
			put(t, round % 2 ? "net_flows_b" : "net_flows_a", i, i);
			want += i + 1u;
		}
		flows += sizes[round];
		net_drain_tick(p, &b.drain);
		for (int i = 0; i < 100 && b.drain.phase != NET_DRAIN_IDLE; i++) {
			weir_test_poll(t, 0);
			weir_test_advance(t, WEIR_TEST_SECOND / 500);
		}
		assert_int_equal(b.drain.phase, NET_DRAIN_IDLE);
		assert_int_equal(b.drain.drained, flows);
		assert_int_equal(b.drain.took.flows, sizes[round]);
	}
	flow_stats(n->flows, &s);
	assert_int_equal(s.added_packets, want);
	net_drain_rest(p, &b.drain);
	assert_int_equal(b.drain.drained, flows); /* nothing is there a second time */
	n->bpf = NULL;
	net_drain_fini(p, &b.drain);
	net_engine_stop(p);
	assert_int_equal(weir_test_timers(t), 0);
	weir_test_free(t);
}

/* What a CPU has in its slots is in the engine too, once. */
static void test_the_slots_of_a_cpu_are_taken(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "stats_interval=0s");
	struct weir_net_recent slots[WEIR_NET_RECENTS] = { 0 };
	struct net_drain d = { 0 };
	struct weir_plugin *p;
	struct flow_stats s;
	uint32_t at = 0;

	(void)state;
	assert_int_equal(weir_test_init(t), 0);
	p = weir_test_plugin(t);
	assert_int_equal(net_engine_start(p), 0);
	weir_test_map(t, "net_flows_a", sizeof(struct weir_flow_key), sizeof(struct weir_flow_delta));
	weir_test_map(t, "net_flows_b", sizeof(struct weir_flow_key), sizeof(struct weir_flow_delta));
	weir_test_map(t, "net_control", 4, sizeof(struct weir_net_control));
	weir_test_map(t, "net_names", 8, 4);
	weir_test_map(t, "net_recent", 4, sizeof slots);
	put(t, "net_flows_a", 7, 10);
	slots[3] = (struct weir_net_recent){ .cookie = 3, .packets = { 5, 6 }, .bytes = { 500, 60 },
		.last_ns = WEIR_TEST_NOW + 1,
		.key = { .proto = 17, .netns = 1, .port = { 7, 53 }, .addr = { { [15] = 1 }, { [15] = 2 } } } };
	weir_test_map_put(t, "net_recent", &at, slots);
	assert_int_equal(net_drain_init(p, &d), 0);
	net_drain_rest(p, &d);
	flow_stats(((struct network *)weir_state(p))->flows, &s);
	assert_int_equal(s.created, 1);
	assert_int_equal(s.added_packets, 11 + 11);
	assert_int_equal(s.added_bytes, 1060 + 560);
	assert_int_equal(((struct weir_net_recent *)weir_test_map_get(t, "net_recent", &at))[3].cookie, 0);
	net_drain_fini(p, &d);
	net_engine_stop(p);
	weir_test_free(t);
}

int net_test_bpf(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_packet_is_looked_at_twice),
		cmocka_unit_test(test_cut_messages_are_no_links),
		cmocka_unit_test(test_the_rest_of_both_maps_is_added),
		cmocka_unit_test(test_a_drain_on_the_pool_adds_all_once),
		cmocka_unit_test(test_the_slots_of_a_cpu_are_taken),
	};

	return cmocka_run_group_tests_name("bpf source", tests, NULL, NULL);
}
