/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID v1, with nettle's SHA-1 and base64. See the header; nothing can fail.
 *
 * The spec's pseudo code passes protocol 1 for ICMPv6; every published vector has 58, and so
 * does this. Threads: any.
 */
#include "community_id.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdbool.h>
#include <string.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };

/* Messages that have an answer of another type; no others have. */
static bool counterpart(uint8_t proto, uint16_t type, uint16_t *ret)
{
	static const struct {
		uint8_t proto, a, b;
	} pairs[] = {
		{ ICMP, 8, 0 }, { ICMP, 13, 14 }, { ICMP, 15, 16 }, { ICMP, 10, 9 }, { ICMP, 17, 18 },
		{ ICMPV6, 128, 129 }, { ICMPV6, 130, 131 }, { ICMPV6, 133, 134 },
		{ ICMPV6, 135, 136 }, { ICMPV6, 139, 140 }, { ICMPV6, 144, 145 },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		if (pairs[i].proto != proto || (pairs[i].a != type && pairs[i].b != type))
			continue;
		*ret = pairs[i].a == type ? pairs[i].b : pairs[i].a;
		return true;
	}
	return false;
}

static bool is_v4(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(a, mapped, 12);
}

void community_id_raw(uint16_t seed, const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                      uint16_t sport, uint16_t dport, uint8_t ret[20])
{
	bool icmp = proto == ICMP || proto == ICMPV6;
	bool ports = icmp || proto == TCP || proto == UDP || proto == SCTP;
	bool one_way = icmp && !counterpart(proto, sport, &dport);
	size_t skip = is_v4(src) && is_v4(dst) ? 12 : 0, n = 0;
	int order = memcmp(src, dst, 16);
	uint8_t in[2 + 16 + 16 + 2 + 4];
	struct sha1_ctx sha;

	if (!one_way && (order > 0 || (!order && ports && sport > dport))) {
		const uint8_t *a = src;
		uint16_t p = sport;

		src = dst, dst = a;
		sport = dport, dport = p;
	}
	in[n++] = (uint8_t)(seed >> 8);
	in[n++] = (uint8_t)seed;
	memcpy(in + n, src + skip, 16 - skip);
	n += 16 - skip;
	memcpy(in + n, dst + skip, 16 - skip);
	n += 16 - skip;
	in[n++] = proto;
	in[n++] = 0;
	if (ports) {
		in[n++] = (uint8_t)(sport >> 8);
		in[n++] = (uint8_t)sport;
		in[n++] = (uint8_t)(dport >> 8);
		in[n++] = (uint8_t)dport;
	}
	sha1_init(&sha);
	sha1_update(&sha, n, in);
	sha1_digest(&sha, 20, ret);
}

void community_id(uint16_t seed, const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                  uint16_t sport, uint16_t dport, char ret[COMMUNITY_ID_SIZE])
{
	uint8_t raw[20];

	_Static_assert(COMMUNITY_ID_SIZE == 2 + BASE64_ENCODE_RAW_LENGTH(20) + 1, "base64 of SHA-1");
	community_id_raw(seed, src, dst, proto, sport, dport, raw);
	memcpy(ret, "1:", 2);
	base64_encode_raw(ret + 2, sizeof raw, raw);
	ret[COMMUNITY_ID_SIZE - 1] = '\0';
}
