/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet parser's entry, and what lies below IP: link headers, VLAN tags, MPLS labels.
 *
 *   packet.c link -> packet_ip.c -> packet_transport.c -> packet_tunnel.c -+
 *      ^----------------------- what the tunnel carries -------------------+
 *
 * It goes round at most PKT_LAYERS times, and each part moves on by at least its header, so it
 * ends. Failure: where it stops, what was found before holds. Threads: any.
 */
#include "packet_walk.h"

#include <string.h>

#define MPLS_MAX 8      /* labels: deeper stacks are not seen outside of segment routing's 10 */
#define ETHERNET_TYPES 0x0600 /* smaller: the length of an 802.3 frame */

const struct pkt_config pkt_defaults = { 4789, 6081, 51820 };

const char *pkt_error_name(enum pkt_error e)
{
	static const char *const names[PKT_ERRORS] = {
		"ok", "not_ip", "truncated", "malformed", "too_deep",
	};

	return (unsigned)e < PKT_ERRORS ? names[e] : "?";
}

static bool is_vlan(uint16_t type)
{
	return type == PKT_ETH_VLAN || type == PKT_ETH_QINQ || type == PKT_ETH_QINQ_OLD;
}

/* A pseudo wire: control word (first nibble 0, RFC 4385), then a whole Ethernet frame. Nothing in
 * the packet says so; taken for one only if what would be the frame's type and the version nibble
 * behind it agree, and else left alone. */
static enum pkt_error mpls_pseudowire(struct pkt_walk *w, uint32_t off)
{
	const uint8_t *d = w->data + off;
	uint16_t type;

	if (pkt_need(w, off, 4 + 14 + 1))
		return PKT_NOT_IP;
	type = pkt_be16(d + 16);
	if ((type == PKT_ETH_IPV4 && d[18] >> 4 == 4) || (type == PKT_ETH_IPV6 && d[18] >> 4 == 6))
		return pkt__ip(w, off + 18, d[18] >> 4);
	return PKT_NOT_IP;
}

static enum pkt_error mpls(struct pkt_walk *w, uint32_t off, bool outermost)
{
	enum pkt_error e;
	unsigned n = 0;
	bool bottom;

	do {
		if (n == MPLS_MAX)
			return PKT_TOO_DEEP;
		if ((e = pkt_need(w, off, 4)))
			return e;
		bottom = w->data[off + 2] & 1;
		off += 4;
		n++;
		if (outermost)
			w->p->mpls = (uint8_t)n;
	} while (!bottom);
	if ((e = pkt_need(w, off, 1)))
		return e;
	switch (w->data[off] >> 4) {
	case 4: return pkt__ip(w, off, 4);
	case 6: return pkt__ip(w, off, 6);
	case 0: return mpls_pseudowire(w, off);
	default: return PKT_NOT_IP;
	}
}

enum pkt_error pkt__ethertype(struct pkt_walk *w, uint32_t off, uint16_t type, bool outermost)
{
	enum pkt_error e;

	for (unsigned n = 0; is_vlan(type); n++) {
		if (n == PKT_VLANS)
			return PKT_TOO_DEEP;
		if ((e = pkt_need(w, off, 4)))
			return e;
		if (outermost)
			w->p->vlan[w->p->vlans++] = pkt_be16(w->data + off) & 0xfff;
		type = pkt_be16(w->data + off + 2);
		off += 4;
	}
	switch (type) {
	case PKT_ETH_IPV4: return pkt__ip(w, off, 4);
	case PKT_ETH_IPV6: return pkt__ip(w, off, 6);
	case PKT_ETH_MPLS:
	case PKT_ETH_MPLS_UP: return mpls(w, off, outermost);
	default: return PKT_NOT_IP; /* 802.3 too: what SNAP carries today is no IP */
	}
}

enum pkt_error pkt__ethernet(struct pkt_walk *w, uint32_t off, bool outermost)
{
	enum pkt_error e = pkt_need(w, off, 14);

	if (e)
		return e;
	if (outermost) {
		memcpy(w->p->dst_mac, w->data + off, 6);
		memcpy(w->p->src_mac, w->data + off + 6, 6);
		w->p->has_mac = true;
	}
	if (pkt_be16(w->data + off + 12) < ETHERNET_TYPES)
		return PKT_NOT_IP;
	return pkt__ethertype(w, off + 14, pkt_be16(w->data + off + 12), outermost);
}

enum pkt_error pkt__ip_any(struct pkt_walk *w, uint32_t off)
{
	enum pkt_error e = pkt_need(w, off, 1);

	if (e)
		return e;
	switch (w->data[off] >> 4) {
	case 4: return pkt__ip(w, off, 4);
	case 6: return pkt__ip(w, off, 6);
	default: return PKT_NOT_IP;
	}
}

/* BSD's loopback: an address family, in the byte order of the machine that captured (NULL), or
 * the network's (LOOP). IPv6 has another number on each system, so the packet's nibble decides. */
static enum pkt_error null_link(struct pkt_walk *w)
{
	enum pkt_error e = pkt_need(w, 0, 4);
	uint32_t family;

	if (e)
		return e;
	family = pkt_be32(w->data);
	if (family >> 24)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2: case 10: case 23: case 24: case 26: case 28: case 30: return pkt__ip_any(w, 4);
	default: return PKT_NOT_IP;
	}
}

/* linux/if_packet.h's cooked captures: what is left when there is no common link header. */
static enum pkt_error cooked(struct pkt_walk *w, bool v2)
{
	uint32_t size = v2 ? 20 : 16, type = v2 ? 0 : 14, address = v2 ? 12 : 6;
	enum pkt_error e = pkt_need(w, 0, size);

	if (e)
		return e;
	if ((v2 ? w->data[11] : pkt_be16(w->data + 4)) == 6) {
		memcpy(w->p->src_mac, w->data + address, 6);
		w->p->has_mac = true;
	}
	return pkt__ethertype(w, size, pkt_be16(w->data + type), true);
}

static enum pkt_error link_layer(struct pkt_walk *w, uint32_t link)
{
	switch (link) {
	case PKT_LINK_ETHERNET: return pkt__ethernet(w, 0, true);
	case PKT_LINK_NULL:
	case PKT_LINK_LOOP: return null_link(w);
	case PKT_LINK_RAW:
	case PKT_LINK_RAW_OLD: return pkt__ip_any(w, 0);
	case PKT_LINK_IPV4: return pkt__ip(w, 0, 4);
	case PKT_LINK_IPV6: return pkt__ip(w, 0, 6);
	case PKT_LINK_LINUX_SLL: return cooked(w, false);
	case PKT_LINK_SLL2: return cooked(w, true);
	default: return PKT_NOT_IP;
	}
}

enum pkt_error pkt_parse(const struct pkt_config *c, struct pkt_fragments *f, uint32_t link,
                         const void *data, uint32_t caplen, uint32_t len, uint64_t now_ns,
                         struct pkt *ret)
{
	struct pkt_walk w = { .c = c, .f = f, .data = data, .caplen = caplen,
	                      .end = len > caplen ? len : caplen, .now_ns = now_ns, .p = ret };
	enum pkt_error e;

	memset(ret, 0, sizeof *ret);
	e = link_layer(&w, link);
	/* A tunnel that carries something else (ARP, a bridge's STP) is an IP packet all the same. */
	return e == PKT_NOT_IP && ret->layers ? PKT_OK : e;
}
