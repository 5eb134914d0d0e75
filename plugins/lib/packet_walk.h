/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the packet parser share: the walk over one packet's bytes.
 *
 * Two limits hold at any time. `caplen` is how many bytes there are to read. `end` is where the
 * packet that is being looked at ends on the wire: at first the end of the frame, then that of
 * each IP packet inside it, so that an inner header cannot claim bytes of its carrier's padding.
 * Private to plugins/lib/packet*.c.
 */
#ifndef WEIR_LIB_PACKET_WALK_H
#define WEIR_LIB_PACKET_WALK_H

#include "packet.h"

struct pkt_walk {
	const struct pkt_config *c;
	struct pkt_fragments *f;
	const uint8_t *data;
	uint32_t caplen;
	uint32_t end;       /* >= every offset that was reached */
	uint64_t now_ns;
	uint8_t raw_proto;  /* IPv4: the header's own, part of a datagram's identity */
	bool cut;           /* less came than inner headers say, and that is right */
	struct pkt *p;
};

/* What follows a link header, a tag, or a tunnel's header. */
enum pkt_ethertype {
	PKT_ETH_IPV4 = 0x0800, PKT_ETH_IPV6 = 0x86dd, PKT_ETH_VLAN = 0x8100, PKT_ETH_QINQ = 0x88a8,
	PKT_ETH_QINQ_OLD = 0x9100, PKT_ETH_MPLS = 0x8847, PKT_ETH_MPLS_UP = 0x8848,
	PKT_ETH_TEB = 0x6558, PKT_ETH_PPP = 0x880b, PKT_ETH_ERSPAN = 0x88be,
	PKT_ETH_ERSPAN3 = 0x22eb,
};
enum pkt_proto {
	PKT_HOPOPT = 0, PKT_ICMP = 1, PKT_IPIP = 4, PKT_TCP = 6, PKT_UDP = 17, PKT_IPV6 = 41,
	PKT_ROUTING = 43, PKT_FRAGMENT = 44, PKT_GRE = 47, PKT_ESP = 50, PKT_AH = 51,
	PKT_ICMPV6 = 58, PKT_NONE = 59, PKT_DSTOPTS = 60, PKT_SCTP = 132,
};

static inline uint16_t pkt_be16(const uint8_t *d)
{
	return (uint16_t)(d[0] << 8 | d[1]);
}

static inline uint32_t pkt_be32(const uint8_t *d)
{
	return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
}

/* May n bytes at off be read? */
static inline enum pkt_error pkt_need(const struct pkt_walk *w, uint32_t off, uint32_t n)
{
	if (off > w->end || n > w->end - off) /* it never was there */
		return w->cut ? PKT_TRUNCATED : PKT_MALFORMED;
	return off > w->caplen || n > w->caplen - off ? PKT_TRUNCATED : PKT_OK;
}

/* packet.c: what an Ethernet type says begins at off; tags: VLAN tags are of the outermost frame */
enum pkt_error pkt__ethertype(struct pkt_walk *w, uint32_t off, uint16_t type, bool outermost);
/* ... or IP of whatever version */
enum pkt_error pkt__ip_any(struct pkt_walk *w, uint32_t off);
enum pkt_error pkt__ethernet(struct pkt_walk *w, uint32_t off, bool outermost);
/* packet_ip.c */
enum pkt_error pkt__ip(struct pkt_walk *w, uint32_t off, unsigned version);
/* packet_transport.c: the transport's header, at the payload_off that the IP header gave */
enum pkt_error pkt__transport(struct pkt_walk *w, struct pkt_layer *l);
/* packet_tunnel.c: what the layer carries, if it is a tunnel; PKT_OK if not */
enum pkt_error pkt__tunnel(struct pkt_walk *w, struct pkt_layer *l);
/* packet_fragments.c: the first fragment's ports are kept, a later one's are looked up */
void pkt__fragment_keep(struct pkt_walk *w, const struct pkt_layer *l);
void pkt__fragment_find(struct pkt_walk *w, struct pkt_layer *l);

#endif
