/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets made by hand, one header after the other: what each kind of link, header, fragment and
 * tunnel is parsed to, and what a wrong one is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test_packet_hex.h"

static void links(void **state)
{
	static const struct {
		uint32_t link;
		const char *header;
	} all[] = {
		{ PKT_LINK_ETHERNET, ETH4 }, { PKT_LINK_RAW, "" }, { PKT_LINK_RAW_OLD, "" },
		{ PKT_LINK_IPV4, "" }, { PKT_LINK_NULL, "02000000 " }, { PKT_LINK_NULL, "00000002 " },
		{ PKT_LINK_LOOP, "00000002 " },
		{ PKT_LINK_LINUX_SLL, "0000 0001 0006 0a0000000001 0000 0800 " },
		{ PKT_LINK_SLL2, "0800 0000 00000003 0001 00 06 0a0000000001 0000 " },
		{ PKT_LINK_ETHERNET, ETH "8100 2007 0800 " }, { PKT_LINK_ETHERNET, ETH "88a8 0001 8100 000a 0800 " },
		{ PKT_LINK_ETHERNET, ETH "8847 00010040 00011140 " },
	};
	char text[512];
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		snprintf(text, sizeof text, "%s" IP4("0020", "11") UDP_DNS, all[i].header);
		assert_int_equal(parse_link(all[i].link, text, 0, &p), PKT_OK);
		assert_int_equal(p.layers, 1);
		assert_int_equal(p.layer[0].sport, 12345);
		assert_int_equal(p.layer[0].dport, 53);
		assert_int_equal(p.layer[0].l3_len, 32);
		assert_int_equal(p.layer[0].payload_len, 4);
	}
	assert_int_equal(parse_link(PKT_LINK_IPV6, IP6("000c", "11") UDP_DNS, 0, &p), PKT_OK);
	assert_int_equal(parse_link(PKT_LINK_NULL, "1e000000" IP6("000c", "11") UDP_DNS, 0, &p), PKT_OK);
	assert_int_equal(parse_link(PKT_LINK_IPV6, IP4("0020", "11") UDP_DNS "00000000 00000000", 0, &p),
	                 PKT_MALFORMED);
	assert_int_equal(parse_link(147, IP4("0020", "11") UDP_DNS, 0, &p), PKT_NOT_IP);
	assert_int_equal(parse_link(PKT_LINK_RAW, "", 0, &p), PKT_MALFORMED);
}

static void not_ip(void **state)
{
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH "0806 0001080006040001", &p), PKT_NOT_IP);
	assert_true(p.has_mac && p.src_mac[5] == 1 && p.dst_mac[5] == 2);
	/* 802.3: STP; SNAP */
	assert_int_equal(parse("0180c2000000 0a0000000001 0026 424203 0000000000", &p), PKT_NOT_IP);
	assert_int_equal(parse(ETH "0020 aaaa03 000000 0800" IP4("0020", "11") UDP_DNS, &p), PKT_NOT_IP);
	assert_int_equal(parse(ETH "8100 0007 0806 0001", &p), PKT_NOT_IP);
	assert_int_equal(p.vlan[0], 7);
	assert_int_equal(parse(ETH "08", &p), PKT_MALFORMED);
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH "08", 60, &p), PKT_TRUNCATED);
}

static void tags_and_labels(void **state)
{
	struct pkt p;

	(void)state;
	assert_int_equal(parse(ETH "88a8 e001 8100 000a 0800" IP4("0020", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.vlans, 2);
	assert_int_equal(p.vlan[0], 1);
	assert_int_equal(p.vlan[1], 10);
	assert_int_equal(parse(ETH "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 0800", &p), PKT_TOO_DEEP);
	assert_int_equal(p.vlans, 4);
	assert_int_equal(parse(ETH "8847 00010040 00020140" IP6("000c", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.mpls, 2);
	assert_int_equal(p.layer[0].version, 6);
	assert_int_equal(parse(ETH "8847 00010040", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH "8847 00010040 00010040 00010040 00010040 00010040 00010040 00010040 "
	                       "00010040 00010140" IP4("0020", "11") UDP_DNS, &p), PKT_TOO_DEEP);
	assert_int_equal(p.mpls, 8);
	/* a pseudo wire: control word, Ethernet; one with ARP inside, and one without a word */
	assert_int_equal(parse(ETH "8847 00010140 00000000" ETH4 IP4("0020", "11") UDP_DNS, &p), PKT_OK);
	assert_int_equal(p.layer[0].dport, 53);
	assert_int_equal(parse(ETH "8847 00010140 00000000" ETH "0806 0001080006040001", &p), PKT_NOT_IP);
	assert_int_equal(parse(ETH "8847 00010140" ETH4 IP4("0020", "11") UDP_DNS, &p), PKT_NOT_IP);
}

static void ipv4_fields(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	assert_int_equal(parse(ETH4 "46b9 0030 0001 4000 39 06 0000 0a000001 0a000002 94040000" TCP_OPTIONS, &p),
	                 PKT_OK);
	assert_int_equal(l->version, 4);
	assert_int_equal(l->proto, 6);
	assert_int_equal(l->tos, 0xb9);
	assert_int_equal(l->ttl, 0x39);
	assert_int_equal(l->header_len, 24);
	assert_int_equal(l->transport_len, 24);
	assert_int_equal(l->l3_off, 14);
	assert_int_equal(l->payload_off, 62);
	assert_int_equal(l->payload_len, 0);
	assert_int_equal(l->tcp_flags, 0x18);
	assert_int_equal(l->tcp_seq, 0x01020304);
	assert_int_equal(l->tcp_ack, 0x0a0b0c0d);
	assert_false(l->fragment);
	assert_memory_equal(l->src, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01", 16);
	assert_memory_equal(l->dst, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02", 16);
}

/* The frame's padding is no payload; a length of 0 is all there is. */
static void lengths(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0028", "06") TCP_SYN "000000000000", &p), PKT_OK);
	assert_int_equal(l->l3_len, 40);
	assert_int_equal(l->payload_len, 0);
	assert_int_equal(parse(ETH6 IP6("0000", "3b") "000000000000", &p), PKT_OK);
	assert_int_equal(l->l3_len, 40);
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 IP4("0000", "06") TCP_SYN, 70000, &p), PKT_OK);
	assert_int_equal(l->l3_len, 70040);
	assert_int_equal(l->payload_len, 70000);
	/* more than was captured, not more than there was */
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 IP4("05dc", "06") TCP_SYN, 1460, &p), PKT_OK);
	assert_int_equal(l->payload_len, 1460);
	assert_int_equal(parse(ETH4 IP4("05dc", "06") TCP_SYN, &p), PKT_MALFORMED);
	assert_int_equal(l->l3_len, 1500);
	assert_int_equal(l->dport, 80);
	/* less than its own headers */
	assert_int_equal(parse(ETH4 IP4("0013", "06") TCP_SYN, &p), PKT_MALFORMED);
	assert_int_equal(p.layers, 0);
	assert_int_equal(parse(ETH4 IP4("0020", "06") TCP_SYN, &p), PKT_MALFORMED);
	assert_int_equal(l->dport, 80);
	assert_int_equal(l->transport_len, 0);
	assert_int_equal(parse(ETH4 "44000028 00010000 40060000 0a000001 0a000002", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH4 "65000028 00010000 40060000 0a000001 0a000002", &p), PKT_MALFORMED);
	/* the options are cut off */
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 "4f000050 00010000 40060000 0a000001 0a000002", 60,
	                            &p), PKT_TRUNCATED);
	assert_int_equal(p.layers, 1);
	assert_false(l->has_ports);
}

static void transports(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0020", "84") "0007 0050 01020304 05060708", &p), PKT_OK);
	assert_int_equal(l->dport, 80);
	assert_int_equal(l->transport_len, 12);
	assert_int_equal(parse(ETH4 IP4("001c", "01") "0800 0000 0001 0001", &p), PKT_OK);
	assert_true(l->has_ports);
	assert_int_equal(l->icmp_type, 8);
	assert_int_equal(l->sport, 0);
	assert_int_equal(parse(ETH6 IP6("0008", "3a") "0104 0000 0000 0000", &p), PKT_OK);
	assert_int_equal(l->icmp_type, 1);
	assert_int_equal(l->icmp_code, 4);
	assert_int_equal(parse(ETH4 IP4("0024", "32") "c0000001 00000001 0102030405060708", &p), PKT_OK);
	assert_int_equal(l->spi, 0xc0000001);
	assert_false(l->has_ports);
	assert_int_equal(parse(ETH4 IP4("0038", "33") "11 04 0000 c0000002 00000001 0102030405060708090a0b0c"
	                       UDP_DNS, &p), PKT_OK);
	assert_int_equal(l->spi, 0xc0000002);
	assert_int_equal(l->proto, 17);
	assert_int_equal(l->dport, 53);
	assert_int_equal(l->header_len, 44);
	/* OSPF: nothing known but how long it is */
	assert_int_equal(parse(ETH4 IP4("0018", "59") "02010000", &p), PKT_OK);
	assert_int_equal(l->payload_len, 4);
	assert_int_equal(l->transport_len, 0);
}

static void wrong_transports(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	assert_int_equal(parse(ETH4 IP4("0028", "06") "3039 0050 01020304 00000000 4002 ffff 0000 0000", &p),
	                 PKT_MALFORMED);
	assert_int_equal(parse(ETH4 IP4("0028", "06") "3039 0050 01020304 00000000 f002 ffff 0000 0000", &p),
	                 PKT_MALFORMED);
	assert_int_equal(parse(ETH4 IP4("0020", "11") UDP("0035", "0007") "01020304", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH4 IP4("0020", "11") UDP("0035", "000d") "01020304", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH4 IP4("0020", "11") UDP("0035", "000a") "01020304", &p), PKT_OK);
	assert_int_equal(l->payload_len, 2);
	assert_int_equal(parse(ETH4 IP4("0020", "11") UDP("0035", "0000") "01020304", &p), PKT_OK);
	assert_int_equal(l->payload_len, 4);
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH4 IP4("0028", "06") "30390050", 16, &p), PKT_TRUNCATED);
	assert_int_equal(l->dport, 80);
	assert_int_equal(parse(ETH4 IP4("0028", "33") "06 00 0000 00000001 00000001" "00000000 00000000", &p),
	                 PKT_MALFORMED);
}

static void ipv6_fields(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	/* hop by hop with router alert, routing, destination options, AH */
	assert_int_equal(parse(ETH6 IP6("003c", "00") "2b 00 0502 0000 0100" "3c 00 0000 00000000"
	                       "33 00 0104 00000000" "11 04 0000 00000009 00000001 0102030405060708090a0b0c"
	                       UDP_DNS, &p), PKT_OK);
	assert_int_equal(l->version, 6);
	assert_int_equal(l->proto, 17);
	assert_int_equal(l->tos, 0xb9);
	assert_int_equal(l->ttl, 63);
	assert_int_equal(l->label, 0x12345);
	assert_int_equal(l->header_len, 40 + 24 + 24);
	assert_int_equal(l->spi, 9);
	assert_int_equal(l->dport, 53);
	assert_int_equal(l->l3_len, 100);
	/* one header more than anyone sends */
	assert_int_equal(parse(ETH6 IP6("0048", "00") "3c00010400000000 3c00010400000000 3c00010400000000"
	                       "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000"
	                       "3c00010400000000 3b00010400000000", &p), PKT_TOO_DEEP);
	assert_int_equal(p.layers, 1);
	/* an extension header that is longer than the packet */
	assert_int_equal(parse(ETH6 IP6("0008", "00") "11ff010400000000" "0000", &p), PKT_MALFORMED);
	assert_int_equal(parse(ETH6 IP6("0008", "00") "1101010400000000" "0000000000000000", &p), PKT_MALFORMED);
}

static void jumbograms(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	/* by option, after a Pad1 and a PadN; 70028 = 8 + 20 + 70000 */
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH6 IP6("0000", "00") "06 00 c204 0001118c" TCP_SYN,
	                            70000, &p), PKT_OK);
	assert_int_equal(l->l3_len, 70068);
	assert_int_equal(l->payload_len, 70000);
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH6 IP6("0000", "00")
	                            "06 01 00 0100 c204 00011194 00000000 00" TCP_SYN, 70000, &p), PKT_OK);
	assert_int_equal(l->l3_len, 70076);
	/* one that is not over 64 KiB is not legal */
	assert_int_equal(parse(ETH6 IP6("0000", "00") "06 00 c204 0000001c" TCP_SYN, &p), PKT_MALFORMED);
	/* none: Linux' own */
	assert_int_equal(parse_link(PKT_LINK_ETHERNET, ETH6 IP6("0000", "06") TCP_SYN, 70000, &p), PKT_OK);
	assert_int_equal(l->l3_len, 70060);
}

static void use_fragments(void)
{
	const struct pkt_memory memory = { heap, NULL };

	assert_int_equal(pkt_fragments_new(&memory, 8, &fragments), 0);
}

static void forget_fragments(void)
{
	pkt_fragments_free(fragments);
	fragments = NULL;
}

#define FIRST(id) ETH4 IP4_FRAGMENT("0024", "11", id, "2000") UDP("0035", "0018") "0102030405060708"
#define LATER(id) ETH4 IP4_FRAGMENT("001c", "11", id, "0002") "0102030405060708"

static void ipv4_fragments(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	use_fragments();
	assert_int_equal(parse(LATER("0007"), &p), PKT_OK); /* before the first: no ports */
	assert_true(l->fragment && !l->first_fragment && l->last_fragment);
	assert_false(l->has_ports);
	assert_int_equal(l->frag_off, 16);
	assert_int_equal(parse(FIRST("0007"), &p), PKT_OK);
	assert_true(l->fragment && l->first_fragment && !l->last_fragment);
	assert_int_equal(l->payload_len, 8);
	assert_int_equal(parse(LATER("0007"), &p), PKT_OK);
	assert_true(l->has_ports);
	assert_int_equal(l->sport, 12345);
	assert_int_equal(l->dport, 53);
	assert_int_equal(l->frag_id, 7);
	assert_int_equal(l->payload_len, 8);
	assert_int_equal(parse(LATER("0008"), &p), PKT_OK);
	assert_false(l->has_ports);
	now_ns += 31000000000ull; /* nobody waits so long */
	assert_int_equal(parse(LATER("0007"), &p), PKT_OK);
	assert_false(l->has_ports);
	forget_fragments();
	assert_int_equal(parse(FIRST("0007"), &p), PKT_OK);
	assert_int_equal(parse(LATER("0007"), &p), PKT_OK);
	assert_false(l->has_ports);
}

/* A table of eight forgets the oldest of nine, and no other. */
static void oldest_fragment_goes(void **state)
{
	char text[512];
	struct pkt p;

	(void)state;
	use_fragments();
	for (int i = 1; i <= 9; i++) {
		now_ns++;
		snprintf(text, sizeof text, ETH4 "4500 0024 %04x 2000 40 11 0000 0a000001 0a000002"
		         UDP("0035", "0018") "0102030405060708", i);
		assert_int_equal(parse(text, &p), PKT_OK);
	}
	for (int i = 1; i <= 9; i++) {
		snprintf(text, sizeof text, ETH4 "4500 001c %04x 0002 40 11 0000 0a000001 0a000002 0102030405060708",
		         i);
		assert_int_equal(parse(text, &p), PKT_OK);
		assert_int_equal(p.layer[0].has_ports, i > 1);
	}
	forget_fragments();
}

static void ipv6_fragments(void **state)
{
	struct pkt p;
	const struct pkt_layer *l = &p.layer[0];

	(void)state;
	use_fragments();
	/* destination options stand between: a later fragment's own next header is no transport */
	assert_int_equal(parse(ETH6 IP6("0020", "2c") "3c 00 0001 0000abcd" "11 00 010400000000"
	                       UDP("0035", "0018") "0102030405060708", &p), PKT_OK);
	assert_true(l->first_fragment && !l->last_fragment);
	assert_int_equal(l->dport, 53);
	assert_int_equal(parse(ETH6 IP6("0010", "2c") "3c 00 0018 0000abcd" "0102030405060708", &p), PKT_OK);
	assert_int_equal(l->frag_off, 24);
	assert_int_equal(l->proto, 17);
	assert_int_equal(l->dport, 53);
	/* an atomic fragment (RFC 6946) is all of it */
	assert_int_equal(parse(ETH6 IP6("0014", "2c") "11 00 0000 0000abce" UDP_DNS, &p), PKT_OK);
	assert_true(l->first_fragment && l->last_fragment);
	assert_int_equal(l->payload_len, 4);
	forget_fragments();
}

static void fragments_memory(void **state)
{
	unsigned fail_in = 0;
	const struct pkt_memory memory = { heap, &fail_in };

	(void)state;
	assert_int_equal(pkt_fragments_new(&memory, 100, &fragments), -ENOMEM);
	fail_in = 1;
	assert_int_equal(pkt_fragments_new(&memory, 0, &fragments), -EINVAL);
	assert_int_equal(pkt_fragments_new(&memory, UINT32_MAX, &fragments), -EINVAL);
	assert_int_equal(pkt_fragments_new(&memory, 100, &fragments), 0);
	forget_fragments();
	forget_fragments();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links), cmocka_unit_test(not_ip), cmocka_unit_test(tags_and_labels),
		cmocka_unit_test(ipv4_fields), cmocka_unit_test(lengths), cmocka_unit_test(transports),
		cmocka_unit_test(wrong_transports), cmocka_unit_test(ipv6_fields),
		cmocka_unit_test(jumbograms), cmocka_unit_test(ipv4_fragments),
		cmocka_unit_test(oldest_fragment_goes), cmocka_unit_test(ipv6_fragments),
		cmocka_unit_test(fragments_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
