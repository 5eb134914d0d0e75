/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels made by hand: each shows what it carries, with its id, and what only looks like one is
 * none; keys and deltas that are made of the layers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test_packet_hex.h"

/* What is inside: 192.168.0.1:12345 > 192.168.0.2:53, 32 bytes, ttl 63, DSCP 4 */
#define INNER IP4_INNER("0020", "11") UDP_DNS
#define INNER_ETH ETH "8100 0005 0800" INNER /* 50 bytes */

static const struct {
	const char *what, *text;
	unsigned layers, tunnel, id, outer_len;
} tunnels[] = {
	{ "ipip", ETH4 IP4("0034", "04") INNER, 2, WEIR_TUNNEL_IPIP, 0, 52 },
	{ "ipv4 in ipv6", ETH6 IP6("0020", "04") INNER, 2, WEIR_TUNNEL_IPIP, 0, 72 },
	{ "gre", ETH4 IP4("0038", "2f") "0000 0800" INNER, 2, WEIR_TUNNEL_GRE, 0, 56 },
	{ "gre, all flags", ETH4 IP4("0044", "2f") "b000 0800 00000000 00000007 00000001" INNER, 2,
	  WEIR_TUNNEL_GRE, 7, 68 },
	{ "gre, key", ETH4 IP4("003c", "2f") "2000 0800 0a0b0c0d" INNER, 2, WEIR_TUNNEL_GRE, 0x0a0b0c0d, 60 },
	{ "gre, ethernet", ETH4 IP4("004a", "2f") "0000 6558" INNER_ETH, 2, WEIR_TUNNEL_GRE, 0, 74 },
	{ "gre, mpls", ETH4 IP4("003c", "2f") "0000 8847 00010140" INNER, 2, WEIR_TUNNEL_GRE, 0, 60 },
	{ "gre, source routes", ETH4 IP4("0038", "2f") "4000 0800" INNER, 1, WEIR_TUNNEL_GRE, 0, 56 },
	{ "gre, something else", ETH4 IP4("0038", "2f") "0000 883e" INNER, 1, WEIR_TUNNEL_GRE, 0, 56 },
	{ "erspan I", ETH4 IP4("004a", "2f") "0000 88be" INNER_ETH, 2, WEIR_TUNNEL_GRE, 0, 74 },
	{ "erspan II", ETH4 IP4("0056", "2f") "1000 88be 00000001 1001 0064 00000000" INNER_ETH, 2,
	  WEIR_TUNNEL_GRE, 0, 86 },
	{ "erspan III", ETH4 IP4("005a", "2f") "1000 22eb 00000001 2001 0064 00000000 0000 0000" INNER_ETH, 2,
	  WEIR_TUNNEL_GRE, 0, 90 },
	{ "erspan III, subheader, IP", ETH4 IP4("0050", "2f")
	  "1000 22eb 00000001 2001 0064 00000000 0000 0801 0000000000000000" INNER, 2, WEIR_TUNNEL_GRE, 0, 80 },
	{ "pptp", ETH4 IP4("0044", "2f") "3001 880b 0024 0007 00000001 ff03 0021" INNER, 2, WEIR_TUNNEL_GRE, 7, 68 },
	{ "pptp, short, ack", ETH4 IP4("0045", "2f") "3081 880b 0021 0007 00000001 00000001 21" INNER, 2,
	  WEIR_TUNNEL_GRE, 7, 69 },
	{ "pptp, control", ETH4 IP4("0028", "2f") "3001 880b 0008 0007 00000001 ff03 c021 01010004", 1,
	  WEIR_TUNNEL_GRE, 7, 40 },
	{ "pptp, only an ack", ETH4 IP4("0020", "2f") "2081 880b 0000 0007 00000001", 1, WEIR_TUNNEL_GRE, 7, 32 },
	{ "gre over udp", ETH4 IP4("0040", "11") UDP("1292", "002c") "0000 0800" INNER, 2, WEIR_TUNNEL_GRE, 0, 64 },
	{ "vxlan", ETH4 IP4("0056", "11") UDP("12b5", "0042") "08000000 00007b00" INNER_ETH, 2,
	  WEIR_TUNNEL_VXLAN, 123, 86 },
	{ "vxlan over ipv6", ETH6 IP6("0042", "11") UDP("12b5", "0042") "08000000 ffffff00" INNER_ETH, 2,
	  WEIR_TUNNEL_VXLAN, 0xffffff, 106 },
	{ "vxlan, arp", ETH4 IP4("0032", "11") UDP("12b5", "001e") "08000000 00007b00" ETH "0806", 1,
	  WEIR_TUNNEL_VXLAN, 123, 50 },
	{ "vxlan without id", ETH4 IP4("0056", "11") UDP("12b5", "0042") "00000000 00007b00" INNER_ETH, 1, 0, 0, 86 },
	{ "vxlan, too short", ETH4 IP4("0020", "11") UDP("12b5", "000c") "08000000", 1, 0, 0, 32 },
	{ "geneve", ETH4 IP4("0056", "11") UDP("17c1", "0042") "0000 6558 00000a00" INNER_ETH, 2,
	  WEIR_TUNNEL_GENEVE, 10, 86 },
	{ "geneve, options, IP", ETH4 IP4("004c", "11") UDP("17c1", "0038") "0240 0800 00000a00 0103000101020304"
	  INNER, 2, WEIR_TUNNEL_GENEVE, 10, 76 },
	{ "geneve, longer than it is", ETH4 IP4("0044", "11") UDP("17c1", "0030") "3f00 0800 00000a00" INNER, 1,
	  0, 0, 68 },
	{ "geneve of version 1", ETH4 IP4("0044", "11") UDP("17c1", "0030") "4000 0800 00000a00" INNER, 1, 0, 0, 68 },
	{ "wireguard", ETH4 IP4("003c", "11") UDP("ca6c", "0028") "04000000 00000001 0000000000000000"
	  "00000000000000000000000000000000", 1, WEIR_TUNNEL_WIREGUARD, 0, 60 },
	{ "a client at wireguard's port", ETH4 IP4("003c", "11") "ca6c 0035 0028 0000" "abcd0100 00010000"
	  "0000000000000000 00000000000000000000000000000000", 1, 0, 0, 60 },
};

static void each_tunnel(void **state)
{
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof tunnels / sizeof tunnels[0]; i++) {
		enum pkt_error e = parse(tunnels[i].text, &p);
		const struct pkt_layer *in = &p.layer[1];

		if (e || p.layers != tunnels[i].layers || p.layer[0].tunnel != tunnels[i].tunnel ||
		    p.layer[0].tunnel_id != tunnels[i].id || p.layer[0].l3_len != tunnels[i].outer_len)
			fail_msg("%s: %s, %u layers, tunnel %u, id %u, %u bytes", tunnels[i].what,
			         pkt_error_name(e), p.layers, p.layer[0].tunnel, p.layer[0].tunnel_id,
			         p.layer[0].l3_len);
		assert_int_equal(p.vlans, 0); /* the tags inside are not this frame's */
		if (p.layers == 1)
			continue;
		if (in->l3_len != 32 || in->dport != 53 || in->ttl != 63 || in->tos != 16 || in->tunnel)
			fail_msg("%s: inside: %u bytes, port %u", tunnels[i].what, in->l3_len, in->dport);
	}
}

static void ipv6_inside(void **state)
{
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0048", "29") IP6("000c", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.layers, 2);
	assert_int_equal(p.layer[0].tunnel, WEIR_TUNNEL_IPIP);
	assert_int_equal(p.layer[1].version, 6);
	assert_int_equal(parse(ETH6 IP6("0034", "29") IP6("000c", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.layers, 2);
	assert_int_equal(p.layer[1].dport, 53);
	assert_int_equal(parse(ETH4 IP4("004c", "2f") "0000 86dd" IP6("000c", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.layers, 2);
}

static void depth(void **state)
{
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH4 IP4("005c", "04") IP4("0048", "04") IP4("0034", "04") INNER, &p), PKT_OK);
	assert_int_equal(p.layers, 4);
	assert_int_equal(p.layer[3].dport, 53);
	assert_int_equal(parse(ETH4 IP4("0070", "04") IP4("005c", "04") IP4("0048", "04") IP4("0034", "04") INNER,
	                       &p), PKT_TOO_DEEP);
	assert_int_equal(p.layers, 4);
}

/* What is wrong inside leaves the outside as it is. */
static void wrong_inside(void **state)
{
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0034", "04") IP4_INNER("0021", "11") UDP_DNS "00", &p), PKT_MALFORMED);
	assert_int_equal(p.layers, 2); /* one byte more than its carrier: padding is no data */
	assert_int_equal(parse(ETH4 IP4("0038", "2f") "2000 0800 0a0b" "0c0d", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH4 IP4("001c", "2f") "2000 0800 0a0b0c0d", &p), PKT_MALFORMED);
	assert_int_equal(p.layers, 1);
	assert_int_equal(p.layer[0].tunnel_id, 0x0a0b0c0d);
	/* the first part of a fragmented tunnel shows all of what is inside */
	assert_int_equal(parse(ETH4 IP4_FRAGMENT("0038", "04", "0001", "2000") IP4_INNER("0400", "11")
	                       UDP("0035", "03ec") "0102030405060708", &p), PKT_OK);
	assert_int_equal(p.layers, 2);
	assert_int_equal(p.layer[1].l3_len, 1024);
	assert_int_equal(p.layer[1].payload_len, 996);
	/* as does a mirrored frame that was cut */
	assert_int_equal(parse(ETH4 IP4("0056", "2f") "1000 88be 00000001 1001 0464 00000000"
	                       ETH "8100 0005 0800" IP4_INNER("0400", "11") UDP("0035", "03ec") "01020304", &p),
	                 PKT_OK);
	assert_int_equal(p.layer[1].l3_len, 1024);
}

static void keys(void **state)
{
	struct weir_flow_key there, back;
	unsigned d1, d2;
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0028", "06") TCP_SYN, &p), PKT_OK);
	pkt_key(&p.layer[0], 7, 9, &there, &d1);
	assert_int_equal(parse(ETH4 "4500 0028 00010000 40060000 0a000002 0a000001"
	                       "0050 3039 00000000 01020305 5012 ffff 0000 0000", &p), PKT_OK);
	pkt_key(&p.layer[0], 7, 9, &back, &d2);
	assert_memory_equal(&there, &back, sizeof there);
	assert_int_equal(d1, 0);
	assert_int_equal(d2, 1);
	assert_int_equal(there.port[0], 12345);
	assert_int_equal(there.port[1], 80);
	assert_int_equal(there.vlan, 7);
	assert_int_equal(there.netns, 9);
	assert_int_equal(there.scope, WEIR_FLOW_WIRE);
	/* host scope: the local end is 0 whatever its address */
	pkt_key_host(&p.layer[0], true, 9, &there);
	assert_int_equal(there.port[0], 80);
	assert_int_equal(there.scope, WEIR_FLOW_HOST);
	pkt_key_host(&p.layer[0], false, 9, &there);
	assert_int_equal(there.port[0], 12345);
	/* equal addresses: the ports decide */
	assert_int_equal(parse(ETH4 "4500 0020 00010000 40110000 7f000001 7f000001" UDP_DNS, &p), PKT_OK);
	pkt_key(&p.layer[0], 0, 0, &there, &d1);
	assert_int_equal(d1, 1);
	assert_int_equal(there.port[0], 53);
}

static void icmp_keys(void **state)
{
	(void)state;
	assert_int_equal(pkt_icmp_port(8, false), 0);
	assert_int_equal(pkt_icmp_port(0, false), 0);
	assert_int_equal(pkt_icmp_port(14, false), 13);
	assert_int_equal(pkt_icmp_port(10, false), 9);
	assert_int_equal(pkt_icmp_port(18, false), 17);
	assert_int_equal(pkt_icmp_port(3, false), 0x103);
	assert_int_equal(pkt_icmp_port(128, false), 0x100 + 128);
	assert_int_equal(pkt_icmp_port(129, true), 128);
	assert_int_equal(pkt_icmp_port(145, true), 144);
	assert_int_equal(pkt_icmp_port(8, true), 0x108);
	assert_int_equal(pkt_icmp_port(146, true), 0x100 + 146);
}

static void deltas(void **state)
{
	struct weir_flow_delta d;
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0028", "06") TCP_SYN "000000000000", &p), PKT_OK);
	pkt_delta(&p.layer[0], 1, 77, 3, &d);
	assert_int_equal(d.packets[1], 1);
	assert_int_equal(d.packets[0], 0);
	assert_int_equal(d.bytes[1], 40);
	assert_int_equal(d.flags[1], 2);
	assert_int_equal(d.ttl[1], 64);
	assert_int_equal(d.first_ns, 77);
	assert_int_equal(d.ifindex, 3);
	assert_int_equal(d.turn_ns, 0);
	assert_int_equal(d.synack_ns, 0);
	assert_int_equal(d.bits, WEIR_FLOW_FIRST_DIR);
	assert_int_equal(parse(ETH4 IP4("0028", "06") "0050 3039 01020304 00000000 5012 ffff 0000 0000", &p), PKT_OK);
	pkt_delta(&p.layer[0], 0, 78, 3, &d);
	assert_int_equal(d.synack_ns, 78);
	assert_int_equal(parse(ETH4 IP4("0028", "06") "0050 3039 01020304 00000000 5014 ffff 0000 0000", &p), PKT_OK);
	pkt_delta(&p.layer[0], 0, 78, 3, &d);
	assert_int_equal(d.resets, 1);
	assert_int_equal(parse(ETH4 IP4("001c", "01") "0301 0000 0001 0001", &p), PKT_OK);
	pkt_delta(&p.layer[0], 1, 78, 3, &d);
	assert_int_equal(d.icmp_type[1], 3);
	assert_int_equal(d.icmp_code[1], 1);
	assert_int_equal(d.icmp_seen, 2);
	assert_int_equal(d.turn_ns, 0);
	assert_int_equal(parse(tunnels[18].text, &p), PKT_OK);
	pkt_delta(&p.layer[0], 0, 78, 3, &d);
	assert_int_equal(d.tunnel_id, 123);
	assert_int_equal(d.tunnel_type, WEIR_TUNNEL_VXLAN);
	assert_int_equal(d.turn_ns, 78);
}

/* What offload joined counts as it is on the wire: each part with all the headers. */
static void segments(void **state)
{
	struct weir_flow_delta d;
	struct pkt p;

	(void)state;
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 IP4("0bb9", "06") TCP_SYN, 2961, &p), PKT_OK);
	assert_int_equal(p.layer[0].payload_len, 2961);
	pkt_delta(&p.layer[0], 0, 1, 1, &d);
	assert_int_equal(pkt_segments(&p, 0, 0, 1480, &d), 3);
	assert_int_equal(d.packets[0], 3);
	assert_int_equal(d.bytes[0], 2961 + 3 * 40);
	pkt_delta(&p.layer[0], 0, 1, 1, &d);
	assert_int_equal(pkt_segments(&p, 0, 0, 0, &d), 1);
	assert_int_equal(d.bytes[0], 3001);
	/* in a tunnel, outside and inside */
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 IP4("0430", "04") IP4_INNER("041c", "06") TCP_SYN,
	                            1012, &p), PKT_OK);
	pkt_delta(&p.layer[0], 0, 1, 1, &d);
	assert_int_equal(pkt_segments(&p, 0, 0, 506, &d), 2);
	assert_int_equal(d.bytes[0], 1012 + 2 * 60);
	pkt_delta(&p.layer[1], 0, 1, 1, &d);
	assert_int_equal(pkt_segments(&p, 1, 0, 506, &d), 2);
	assert_int_equal(d.bytes[0], 1012 + 2 * 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_tunnel), cmocka_unit_test(ipv6_inside), cmocka_unit_test(depth),
		cmocka_unit_test(wrong_inside), cmocka_unit_test(keys), cmocka_unit_test(icmp_keys),
		cmocka_unit_test(deltas), cmocka_unit_test(segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
