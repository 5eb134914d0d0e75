/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources replay and packet in the test host: a published capture gives the flows of its log, in
 * the time of its packets; live traffic in a network namespace of the test's own is counted once,
 * packet by packet and byte by byte.
 */
#include "source_packet.h"
#include "test_network_packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <weir/testhost.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct weir_test *t;

static int end(void **state)
{
	(void)state;
	if (t)
		assert_int_equal(weir_test_free(t), 0);
	t = NULL;
	return 0;
}

struct sum {
	uint64_t records, packets, bytes, back_packets, back_bytes;
	struct weir_flow last;
};

/* All records with this destination port and transport; 0: any. */
static struct sum sum_of(uint16_t port, uint8_t transport)
{
	struct sum s = { 0 };

	for (size_t i = 0; i < weir_test_event_count(t); i++) {
		const struct weir_flow *r = weir_test_event(t, i)->payload;

		if (weir_test_event(t, i)->kind != WEIR_NET_FLOW || (port && r->destination_port != port) ||
		    (transport && r->transport != transport))
			continue;
		s.records++;
		s.packets += r->packets_delta;
		s.bytes += r->bytes_delta;
		s.back_packets += r->reverse_packets_delta;
		s.back_bytes += r->reverse_bytes_delta;
		s.last = *r;
	}
	return s;
}

static void start_replay(const char *file)
{
	char option[512];

	snprintf(option, sizeof option, "replay.file=%s", file);
	t = weir_test_new(&weir_plugin, option, "owner=off");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "replay"), 0);
	for (int i = 0; i < 200; i++)
		weir_test_advance(t, WEIR_TEST_MS);
}

#define DATA "../../tests/data/flow/" /* run where the sources are */

static void test_a_capture_gives_the_flows_of_its_log(void **state)
{
	struct sum s;

	(void)state;
	start_replay(DATA "gre-sample.pcap");
	assert_true(weir_test_logged(t, "40 packets read"));
	s = sum_of(22, 6); /* inside the tunnel; core.tunnels.gre.conn.log */
	assert_int_equal(s.packets, 12);
	assert_int_equal(s.bytes, 1584);
	assert_int_equal(s.back_packets, 10);
	assert_int_equal(s.back_bytes, 2199);
	assert_int_equal(s.last.tunnel_type, WEIR_TUNNEL_GRE);
	assert_int_equal(s.last.tunnel_source_address[12], 172);
	s = sum_of(53, 17);
	assert_int_equal(s.packets, 2);
	assert_int_equal(s.bytes, 122);
	s = sum_of(0, 47); /* the tunnel itself: one flow with all packets */
	assert_int_equal(s.packets + s.back_packets, 40);
	assert_string_equal(s.last.source_name, "replay");
}

static void test_a_capture_of_vlans(void **state)
{
	struct sum s;

	(void)state;
	start_replay(DATA "mixed-vlan-mpls.pcap");
	s = sum_of(80, 6);
	assert_int_equal(s.packets, 19);
	assert_int_equal(s.bytes, 730 + 381);
	assert_int_equal(s.back_bytes, 9945 + 3801);
	assert_true(s.last.end_ns > s.last.start_ns);
}

static void test_a_file_that_is_none_fails_the_source(void **state)
{
	(void)state;
	t = weir_test_new(&weir_plugin, "replay.file=/nonexistent/x.pcap");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "replay"), -ENOENT);
	assert_non_null(strstr(weir_test_reason(t), "/nonexistent/x.pcap"));
	end(NULL);
	t = weir_test_new(&weir_plugin, "replay.file=../../tests/data/flow/LICENSE.zeek");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "replay"), -EBADMSG);
}

/* ---- a hand-over ------------------------------------------------------------------------------ */

/* A datagram of 38 bytes at this time. */
static void take_at(struct net_packets *s, uint64_t at_ns)
{
	uint8_t b[52] = { [12] = 8, [14] = 0x45, [17] = 38, [22] = 64, [23] = 17, [26] = 192, [29] = 1,
		[30] = 192, [33] = 2, [34] = 0x30, [36] = 0x40, [39] = 18 };
	const struct capture_packet c = { .data = b, .caplen = sizeof b, .len = sizeof b,
		.link = PKT_LINK_ETHERNET, .time_ns = at_ns + s->clock_offset, .ifindex = 2 };

	assert_int_equal(net_packets_take(weir_test_plugin(t), s, &c, UINT64_MAX), 0);
}

/* Its time says whose a packet is; those within a millisecond of the hand-over are named besides. */
static void test_a_packet_is_on_one_side_of_a_hand_over(void **state)
{
	const uint64_t at = 1000000000, ms = 1000000;
	const uint64_t times[] = { at - 5 * ms, at - 2 * ms, at - ms / 2, at - 1, at, at + ms / 2, at + 2 * ms };

	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		struct net_packets s;
		struct sum sum;

		t = weir_test_new(&weir_plugin, "owner=off");
		assert_int_equal(weir_test_init(t), 0);
		assert_int_equal(weir_test_start(t, NULL), 0);
		assert_int_equal(net_packets_init(weir_test_plugin(t), &s, "packet"), 0);
		if (ends)
			net_edge_end(&s.edge, at, 0);
		else
			net_edge_begin(&s.edge, at, 0);
		for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
			take_at(&s, times[i]);
		assert_int_equal(s.edge.packets, 4);
		assert_int_equal(s.edge.bytes, 4 * 38);
		net_packets_fini(&s);
		weir_test_stop(t);
		sum = sum_of(0x4000, 17);
		assert_int_equal(sum.packets, ends ? 4 : 3);
		end(NULL);
	}
}

/* ---- live ------------------------------------------------------------------------------------ */

static bool own_network(const char *test)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	if (unshare(CLONE_NEWNET)) {
		printf("SKIP: %s: no network namespace of its own: %s\n", test, strerror(errno));
		return false;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
	return true;
}

static void start_live(void)
{
	t = weir_test_new(&weir_plugin, "owner=off");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "packet"), 0);
}

static struct net_packet *packet_state(void)
{
	return ((struct network *)weir_state(weir_test_plugin(t)))->packet;
}

/* Until the source has taken so many packets, 20 s at most. */
static void run_until(uint64_t packets)
{
	for (int i = 0; i < 1000 && packet_state()->packets.packets < packets; i++) {
		struct pollfd p = { .fd = capture_fd(packet_state()->capture), .events = POLLIN };

		poll(&p, 1, 20);
		weir_test_tick(t);
	}
}

static int bound(uint16_t port, struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), room = 16 << 20;

	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
	                             .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
	return fd;
}

static void test_live_traffic_is_counted_once(void **state)
{
	struct sockaddr_in a, b;
	char data[1000] = "", gso[20000] = "";
	uint64_t bytes = 0, packets = 2000;
	struct sum s;
	int from, to, size = 1000;

	(void)state;
	if (!own_network("test_live_traffic_is_counted_once"))
		skip();
	start_live();
	from = bound(47200, &a);
	to = bound(47201, &b);
	for (unsigned i = 0; i < packets; i++) {
		size_t len = i % sizeof data;

		assert_int_equal(sendto(from, data, len, 0, (struct sockaddr *)&b, sizeof b), len);
		bytes += 28 + len;
		if (i % 100 == 0) {
			assert_int_equal(sendto(to, data, 5, 0, (struct sockaddr *)&a, sizeof a), 5);
			weir_test_tick(t);
		}
	}
	run_until(packets + 20);
	/* 20 more in one call */
	if (!packet_state()->packets.blind_to_gso &&
	    !setsockopt(from, SOL_UDP, UDP_SEGMENT, &size, sizeof size)) {
		assert_int_equal(sendto(from, gso, sizeof gso, 0, (struct sockaddr *)&b, sizeof b), sizeof gso);
		packets += 20;
		bytes += 20 * 1028;
		run_until(packet_state()->packets.packets + 1);
	}
	weir_test_stop(t);
	s = sum_of(0, 17);
	assert_int_equal(s.packets + s.back_packets, packets + 20);
	assert_int_equal(s.bytes + s.back_bytes, bytes + 20 * 33);
	assert_string_equal(s.last.source_name, "packet");
	assert_int_equal(s.last.scope, WEIR_FLOW_WIRE);
	close(from);
	close(to);
}

/* The kernel still fills the block that they are in. */
static void test_stop_takes_what_was_sent_before(void **state)
{
	struct sockaddr_in a, b;
	struct sum s;
	int from, to;

	(void)state;
	if (!own_network("test_stop_takes_what_was_sent_before"))
		skip();
	start_live();
	from = bound(47200, &a);
	to = bound(47201, &b);
	for (int i = 0; i < 50; i++)
		assert_int_equal(sendto(from, "12345", 5, 0, (struct sockaddr *)&b, sizeof b), 5);
	weir_test_stop(t);
	s = sum_of(0, 17);
	assert_int_equal(s.packets + s.back_packets, 50);
	assert_int_equal(s.bytes + s.back_bytes, 50 * 33);
	close(from);
	close(to);
}

static void test_what_the_ring_has_no_room_for_is_said(void **state)
{
	struct sockaddr_in a, b;
	char data[200] = "";
	const uint64_t sent = 60000;
	struct sum s;
	int from, to;

	(void)state;
	if (!own_network("test_what_the_ring_has_no_room_for_is_said"))
		skip();
	start_live();
	from = bound(47200, &a);
	to = bound(47201, &b);
	for (unsigned i = 0; i < sent; i++) {
		char got[200];

		assert_int_equal(sendto(from, data, sizeof data, 0, (struct sockaddr *)&b, sizeof b), sizeof data);
		assert_int_equal(recv(to, got, sizeof got, 0), sizeof got);
	}
	weir_test_stop(t);
	weir_test_collect(t);
	s = sum_of(0, 17);
	assert_true(s.packets + s.back_packets < sent);
	/* it drops sent and received ones alike, and only the latter are counted */
	assert_true(weir_test_metric(t, "weir_network_lost_packets_total") > 0);
	assert_true((uint64_t)weir_test_metric(t, "weir_network_lost_packets_total") + s.packets +
	            s.back_packets >= sent);
	assert_true(weir_test_logged(t, "dropped"));
	close(from);
	close(to);
}

int test_network_packets(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_capture_gives_the_flows_of_its_log, end),
		cmocka_unit_test_teardown(test_a_capture_of_vlans, end),
		cmocka_unit_test_teardown(test_a_file_that_is_none_fails_the_source, end),
		cmocka_unit_test_teardown(test_a_packet_is_on_one_side_of_a_hand_over, end),
		cmocka_unit_test_teardown(test_live_traffic_is_counted_once, end),
		cmocka_unit_test_teardown(test_stop_takes_what_was_sent_before, end),
		cmocka_unit_test_teardown(test_what_the_ring_has_no_room_for_is_said, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
