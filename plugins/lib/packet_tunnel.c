/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets in packets: IP in IP, GRE with what it carries (IP, MPLS, Ethernet, ERSPAN, PPTP's
 * PPP), GRE over UDP, VXLAN, Geneve; WireGuard is only named.
 *
 * Happy path: the layer is marked with the tunnel and its id, and the walk goes on inside.
 * Failure: a UDP port is a hint, no proof. What does not look like the tunnel is no tunnel
 * and no error; what does, and then contradicts itself, is the inner packet's error.
 * Threads: any. RFC 2003, 4213, 2784, 2890, 2637, 8086, 7348, 8926, draft-foschiano-erspan.
 */
#include "packet_walk.h"

#define GRE_UDP_PORT 4754

enum gre_flags {
	GRE_CHECKSUM = 0x8000, GRE_ROUTING = 0x4000, GRE_KEY = 0x2000, GRE_SEQUENCE = 0x1000,
	GRE_ACK = 0x0080, GRE_VERSION = 0x0007,
};
#define ERSPAN_CUT 0x0400   /* T: the mirrored frame was truncated */
#define ERSPAN3_SUBHEADER 1 /* O */

static void mark(struct pkt_layer *l, enum weir_flow_tunnel tunnel, uint32_t id)
{
	l->tunnel = tunnel;
	l->tunnel_id = id;
}

/* PPP as PPTP carries it: address and control may be left out, as may the protocol's upper byte. */
static enum pkt_error ppp(struct pkt_walk *w, uint32_t off)
{
	enum pkt_error e;
	uint16_t type;

	if (!pkt_need(w, off, 2) && pkt_be16(w->data + off) == 0xff03)
		off += 2;
	if ((e = pkt_need(w, off, 1)))
		return e;
	type = w->data[off++];
	if (!(type & 1)) {
		if ((e = pkt_need(w, off, 1)))
			return e;
		type = (uint16_t)(type << 8 | w->data[off++]);
	}
	switch (type) {
	case 0x0021: return pkt__ip(w, off, 4);
	case 0x0057: return pkt__ip(w, off, 6);
	default: return PKT_NOT_IP; /* LCP, CCP, compressed, encrypted */
	}
}

static enum pkt_error erspan3(struct pkt_walk *w, uint32_t off)
{
	enum pkt_error e = pkt_need(w, off, 12);
	uint16_t type;

	if (e)
		return e;
	w->cut = w->cut || pkt_be16(w->data + off + 2) & ERSPAN_CUT;
	type = pkt_be16(w->data + off + 10);
	off += type & ERSPAN3_SUBHEADER ? 20 : 12;
	switch (type >> 10 & 0x1f) {
	case 0: return pkt__ethernet(w, off, false);
	case 2: return pkt__ip_any(w, off);
	default: return PKT_NOT_IP;
	}
}

/* Type I has no header of its own, and no sequence number: that tells them apart. */
static enum pkt_error erspan(struct pkt_walk *w, uint32_t off, bool has_header)
{
	enum pkt_error e;

	if (!has_header)
		return pkt__ethernet(w, off, false);
	if ((e = pkt_need(w, off, 8)))
		return e;
	w->cut = w->cut || pkt_be16(w->data + off + 2) & ERSPAN_CUT;
	return pkt__ethernet(w, off + 8, false);
}

static enum pkt_error gre_payload(struct pkt_walk *w, uint32_t off, uint16_t flags, uint16_t type)
{
	switch (type) {
	case PKT_ETH_TEB: return pkt__ethernet(w, off, false);
	case PKT_ETH_ERSPAN: return erspan(w, off, flags & GRE_SEQUENCE);
	case PKT_ETH_ERSPAN3: return erspan3(w, off);
	default: return pkt__ethertype(w, off, type, false);
	}
}

/* RFC 2637: PPTP's GRE has the payload's length and the call's id for a key. */
static enum pkt_error gre_pptp(struct pkt_walk *w, struct pkt_layer *l, uint32_t off, uint16_t flags)
{
	enum pkt_error e = pkt_need(w, off, 8);
	uint32_t size = 8, inside;

	if (e)
		return e;
	if (!(flags & GRE_KEY) || pkt_be16(w->data + off + 2) != PKT_ETH_PPP)
		return PKT_OK;
	size += flags & GRE_SEQUENCE ? 4 : 0;
	size += flags & GRE_ACK ? 4 : 0;
	if ((e = pkt_need(w, off, size)))
		return e;
	mark(l, WEIR_TUNNEL_GRE, pkt_be16(w->data + off + 6));
	inside = pkt_be16(w->data + off + 4);
	if (!inside || !(flags & GRE_SEQUENCE))
		return PKT_OK; /* an acknowledgement only */
	if (inside < w->end - off - size)
		w->end = off + size + inside;
	return ppp(w, off + size);
}

static enum pkt_error gre(struct pkt_walk *w, struct pkt_layer *l)
{
	uint32_t off = l->payload_off, size = 4, id = 0;
	enum pkt_error e = pkt_need(w, off, 4);
	uint16_t flags;

	if (e)
		return e;
	flags = pkt_be16(w->data + off);
	if ((flags & GRE_VERSION) == 1)
		return gre_pptp(w, l, off, flags);
	if (flags & (GRE_ROUTING | GRE_VERSION)) {
		/* Source routes went with RFC 2784; where the payload begins is not guessed. */
		mark(l, WEIR_TUNNEL_GRE, 0);
		return PKT_OK;
	}
	size += flags & GRE_CHECKSUM ? 4 : 0;
	if (flags & GRE_KEY) {
		if ((e = pkt_need(w, off, size + 4)))
			return e;
		id = pkt_be32(w->data + off + size);
		size += 4;
	}
	size += flags & GRE_SEQUENCE ? 4 : 0;
	if ((e = pkt_need(w, off, size)))
		return e;
	mark(l, WEIR_TUNNEL_GRE, id);
	return gre_payload(w, off + size, flags, pkt_be16(w->data + off + 2));
}

static enum pkt_error vxlan(struct pkt_walk *w, struct pkt_layer *l)
{
	const uint8_t *d = w->data + l->payload_off;
	enum pkt_error e;

	if (l->payload_len < 8)
		return PKT_OK;
	if ((e = pkt_need(w, l->payload_off, 8)))
		return e;
	if (!(d[0] & 0x08)) /* I: the id is valid, RFC 7348 5 */
		return PKT_OK;
	mark(l, WEIR_TUNNEL_VXLAN, pkt_be32(d + 4) >> 8);
	return pkt__ethernet(w, l->payload_off + 8, false);
}

static enum pkt_error geneve(struct pkt_walk *w, struct pkt_layer *l)
{
	const uint8_t *d = w->data + l->payload_off;
	enum pkt_error e;
	uint32_t size;

	if (l->payload_len < 8)
		return PKT_OK;
	if ((e = pkt_need(w, l->payload_off, 8)))
		return e;
	size = 8 + (d[0] & 0x3fu) * 4;
	if (d[0] >> 6 || size > l->payload_len)
		return PKT_OK;
	mark(l, WEIR_TUNNEL_GENEVE, pkt_be32(d + 4) >> 8);
	if ((e = pkt_need(w, l->payload_off, size)))
		return e;
	if (pkt_be16(d + 2) == PKT_ETH_TEB)
		return pkt__ethernet(w, l->payload_off + size, false);
	return pkt__ethertype(w, l->payload_off + size, pkt_be16(d + 2), false);
}

/* The default port is one that any client may get for its own: a message begins with its type, 1
 * to 4, and three zero bytes. What was not captured is believed. */
static void wireguard(struct pkt_walk *w, struct pkt_layer *l)
{
	const uint8_t *d = w->data + l->payload_off;

	if (l->payload_len < 32) /* the shortest message: a keepalive */
		return;
	if (pkt_need(w, l->payload_off, 4) || (d[0] >= 1 && d[0] <= 4 && !d[1] && !d[2] && !d[3]))
		mark(l, WEIR_TUNNEL_WIREGUARD, 0);
}

static enum pkt_error over_udp(struct pkt_walk *w, struct pkt_layer *l)
{
	uint16_t wg = w->c->wireguard_port;

	if (l->payload_len < w->end - l->payload_off)
		w->end = l->payload_off + l->payload_len;
	if (w->c->vxlan_port && l->dport == w->c->vxlan_port)
		return vxlan(w, l);
	if (w->c->geneve_port && l->dport == w->c->geneve_port)
		return geneve(w, l);
	if (l->dport == GRE_UDP_PORT && l->payload_len >= 4)
		return gre(w, l);
	if (wg && (l->dport == wg || l->sport == wg))
		wireguard(w, l);
	return PKT_OK;
}

enum pkt_error pkt__tunnel(struct pkt_walk *w, struct pkt_layer *l)
{
	switch (l->proto) {
	case PKT_IPIP:
		mark(l, WEIR_TUNNEL_IPIP, 0);
		return pkt__ip(w, l->payload_off, 4);
	case PKT_IPV6:
		mark(l, WEIR_TUNNEL_IPIP, 0);
		return pkt__ip(w, l->payload_off, 6);
	case PKT_GRE:
		return gre(w, l);
	case PKT_UDP:
		return over_udp(w, l);
	default:
		return PKT_OK;
	}
}
