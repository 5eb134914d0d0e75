/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for tests, written as the headers they consist of. For a test program: after cmocka.
 */
#ifndef WEIR_LIB_TEST_PACKET_HEX_H
#define WEIR_LIB_TEST_PACKET_HEX_H

#include "test_packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Headers as hex. Lengths are put in where they depend on what follows. */
#define ETH "0a0000000002 0a0000000001 "
#define ETH4 ETH "0800 "
#define ETH6 ETH "86dd "
/* 10.0.0.1 to 10.0.0.2, ttl 64 */
#define IP4(len, proto) "4500 " len " 0001 0000 40 " proto " 0000 0a000001 0a000002 "
#define IP4_INNER(len, proto) "4510 " len " 0001 0000 3f " proto " 0000 c0a80001 c0a80002 "
#define IP4_FRAGMENT(len, proto, id, off) "4500 " len id off " 40 " proto " 0000 0a000001 0a000002 "
/* 2001:db8::1 to 2001:db8::2, traffic class 0xb9, label 0x12345, hop limit 63 */
#define IP6(len, next) "6b912345 " len next " 3f 20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define UDP(dport, len) "3039 " dport len " 0000 "
#define TCP_SYN "3039 0050 01020304 00000000 5002 ffff 0000 0000 "
#define TCP_OPTIONS "3039 0050 01020304 0a0b0c0d 6018 ffff 0000 0000 02040578 "
#define UDP_DNS UDP("0035", "000c") "01020304 "

struct hex {
	uint8_t *data;
	uint32_t n;
};

static inline struct hex unhex(const char *text)
{
	struct hex h = { malloc(strlen(text) / 2 + 1), 0 };
	unsigned byte;
	int used;

	assert_non_null(h.data);
	for (; sscanf(text, " %2x%n", &byte, &used) == 1; text += used)
		h.data[h.n++] = (uint8_t)byte;
	/* just as large as the packet: a sanitizer sees one byte too far */
	h.data = realloc(h.data, h.n ? h.n : 1);
	assert_non_null(h.data);
	return h;
}

static inline void *heap(void *arg, void *ptr, size_t size)
{
	unsigned *fail_in = arg;

	if (!size) {
		free(ptr);
		return NULL;
	}
	if (fail_in && !*fail_in)
		return NULL;
	if (fail_in)
		--*fail_in;
	return realloc(ptr, size);
}

static struct pkt_fragments *fragments; /* of the test that runs, or NULL */
static uint64_t now_ns = 1000;

/* more: bytes of the packet that were on the wire and not captured */
static inline enum pkt_error parse_link(uint32_t link, const char *text, uint32_t more, struct pkt *ret)
{
	struct hex h = unhex(text);
	enum pkt_error e = pkt_parse(&pkt_defaults, fragments, link, h.data, h.n, h.n + more, now_ns, ret);
	const char *broken = packet_broken(ret, e, h.n);

	if (broken)
		fail_msg("%s: %s", broken, text);
	free(h.data);
	return e;
}

static inline enum pkt_error parse(const char *text, struct pkt *ret)
{
	return parse_link(PKT_LINK_ETHERNET, text, 0, ret);
}

#endif
