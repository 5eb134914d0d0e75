/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds of any parsed packet, whatever its bytes; for the tests and the fuzzer.
 * Says what does not hold, or NULL. Threads: any.
 */
#ifndef WEIR_LIB_TEST_PACKET_H
#define WEIR_LIB_TEST_PACKET_H

#include "packet.h"
#include <string.h>

#define HOLDS(x) do { if (!(x)) return #x; } while (0)

static inline const char *layer_broken(const struct pkt_layer *l, bool last, enum pkt_error e,
                                       uint32_t caplen)
{
	bool icmp = l->proto == 1 || l->proto == 58;

	HOLDS(l->version == 4 || l->version == 6);
	HOLDS(l->l3_off <= caplen && caplen - l->l3_off >= (l->version == 4 ? 20u : 40u));
	HOLDS(l->l3_len >= (l->version == 4 ? 20u : 40u));
	HOLDS(l->header_len >= (l->version == 4 ? 20 : 40));
	HOLDS(l->has_ports || (!l->sport && !l->dport && !l->icmp_type && !l->icmp_code));
	HOLDS(!l->has_ports || !icmp || (!l->sport && !l->dport));
	HOLDS(!l->has_ports || icmp || l->proto == 6 || l->proto == 17 || l->proto == 132);
	HOLDS(l->proto == 6 || (!l->tcp_flags && !l->tcp_seq && !l->tcp_ack));
	HOLDS(l->fragment || (!l->first_fragment && !l->last_fragment && !l->frag_off && !l->frag_id));
	HOLDS(!l->frag_off || (l->fragment && !l->first_fragment));
	HOLDS(!l->transport_len || l->payload_off == l->l3_off + l->header_len + l->transport_len);
	HOLDS(!l->payload_len || l->payload_off > l->l3_off);
	HOLDS(l->payload_len <= l->l3_len);
	HOLDS(l->tunnel <= WEIR_TUNNEL_WIREGUARD);
	HOLDS(l->tunnel || (!l->tunnel_id && last));
	HOLDS(e || !l->transport_len || l->payload_off <= caplen);
	HOLDS(e || l->l3_len >= l->header_len);
	return NULL;
}

static inline const char *packet_broken(const struct pkt *p, enum pkt_error e, uint32_t caplen)
{
	const char *broken;

	HOLDS((unsigned)e < PKT_ERRORS);
	HOLDS(p->layers <= PKT_LAYERS && p->vlans <= PKT_VLANS && p->mpls <= 8);
	HOLDS(e != PKT_OK || p->layers);
	HOLDS(e != PKT_NOT_IP || !p->layers);
	for (unsigned i = 0; i < p->layers; i++) {
		struct weir_flow_key key;
		struct weir_flow_delta delta;
		unsigned direction;

		broken = layer_broken(&p->layer[i], i + 1u == p->layers, e, caplen);
		if (broken)
			return broken;
		HOLDS(!i || p->layer[i].l3_off > p->layer[i - 1].l3_off);
		pkt_key(&p->layer[i], p->vlan[0], 1, &key, &direction);
		HOLDS(direction < 2);
		HOLDS(!memcmp(key.addr[direction], p->layer[i].src, 16));
		HOLDS(memcmp(key.addr[0], key.addr[1], 16) <= 0);
		pkt_delta(&p->layer[i], direction, 1, 1, &delta);
		HOLDS(delta.packets[direction] == 1 && !delta.packets[!direction]);
		HOLDS(pkt_segments(p, i, direction, 1000, &delta) == delta.packets[direction]);
		HOLDS(delta.bytes[direction] >= p->layer[i].l3_len);
	}
	return NULL;
}
#undef HOLDS
#endif
