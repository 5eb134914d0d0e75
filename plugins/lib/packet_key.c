/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a packet's layer to its flow's key, and to what it adds to the flow.
 *
 * Pure; nothing can fail. Threads: any. The BPF programs make the same keys of the same packets.
 */
#include "packet_walk.h"

#include <string.h>

#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

uint16_t pkt_icmp_port(uint8_t type, bool v6)
{
	/* Community ID's pairs, the smaller first. */
	static const uint8_t pairs[2][6][2] = {
		{ { 0, 8 }, { 13, 14 }, { 15, 16 }, { 9, 10 }, { 17, 18 }, { 17, 18 } },
		{ { 128, 129 }, { 130, 131 }, { 133, 134 }, { 135, 136 }, { 139, 140 }, { 144, 145 } },
	};

	for (int i = 0; i < 6; i++)
		if (pairs[v6][i][0] == type || pairs[v6][i][1] == type)
			return pairs[v6][i][0];
	return (uint16_t)(WEIR_FLOW_ICMP_ONE_WAY + type);
}

/* Source's and destination's port, or what stands for them. */
static void key_ports(const struct pkt_layer *l, uint16_t ret[2])
{
	bool icmp = l->proto == PKT_ICMP || l->proto == PKT_ICMPV6;

	ret[0] = ret[1] = 0;
	if (!l->has_ports)
		return;
	ret[0] = icmp ? pkt_icmp_port(l->icmp_type, l->proto == PKT_ICMPV6) : l->sport;
	ret[1] = icmp ? ret[0] : l->dport;
}

static void make_key(const struct pkt_layer *l, unsigned source_end, struct weir_flow_key *ret)
{
	uint16_t port[2];

	memset(ret, 0, sizeof *ret);
	key_ports(l, port);
	memcpy(ret->addr[source_end], l->src, 16);
	memcpy(ret->addr[!source_end], l->dst, 16);
	ret->port[source_end] = port[0];
	ret->port[!source_end] = port[1];
	ret->proto = l->proto;
}

void pkt_key(const struct pkt_layer *l, uint16_t vlan, uint64_t netns, struct weir_flow_key *ret,
             unsigned *ret_direction)
{
	int order = memcmp(l->src, l->dst, 16);
	uint16_t port[2];

	key_ports(l, port);
	*ret_direction = order > 0 || (!order && port[0] > port[1]);
	make_key(l, *ret_direction, ret);
	ret->scope = WEIR_FLOW_WIRE;
	ret->vlan = vlan;
	ret->netns = netns;
}

void pkt_key_host(const struct pkt_layer *l, bool local_is_src, uint64_t netns,
                  struct weir_flow_key *ret)
{
	make_key(l, !local_is_src, ret);
	ret->scope = WEIR_FLOW_HOST;
	ret->netns = netns;
}

static bool has_turns(uint8_t proto)
{
	return proto == PKT_TCP || proto == PKT_UDP || proto == PKT_SCTP;
}

void pkt_delta(const struct pkt_layer *l, unsigned direction, uint64_t now_ns, uint32_t ifindex,
               struct weir_flow_delta *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->packets[direction] = 1;
	ret->bytes[direction] = l->l3_len;
	ret->first_ns = now_ns;
	ret->ifindex = ifindex;
	ret->tos[direction] = l->tos;
	ret->ttl[direction] = l->ttl;
	ret->label[direction] = l->label;
	ret->bits = direction ? WEIR_FLOW_FIRST_DIR : 0;
	if (has_turns(l->proto) && l->payload_len && !(l->fragment && !l->first_fragment)) {
		ret->turn_ns = now_ns;
		ret->bits |= direction ? WEIR_FLOW_TURN_DIR : 0;
	}
	if (l->proto == PKT_TCP) {
		ret->flags[direction] = l->tcp_flags;
		ret->resets = !!(l->tcp_flags & TCP_RST);
		if ((l->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK))
			ret->synack_ns = now_ns;
		return;
	}
	ret->tunnel_id = l->tunnel_id;
	ret->tunnel_type = l->tunnel;
	if ((l->proto == PKT_ICMP || l->proto == PKT_ICMPV6) && l->has_ports) {
		ret->icmp_type[direction] = l->icmp_type;
		ret->icmp_code[direction] = l->icmp_code;
		ret->icmp_seen = (uint8_t)(1u << direction);
	}
}

uint32_t pkt_segments(const struct pkt *p, unsigned n, unsigned direction, uint16_t gso_size,
                      struct weir_flow_delta *d)
{
	const struct pkt_layer *inner;
	uint32_t count;

	if (!gso_size || n >= p->layers)
		return 1;
	inner = &p->layer[p->layers - 1];
	if (!inner->transport_len || inner->payload_len <= gso_size)
		return 1;
	count = inner->payload_len / gso_size + !!(inner->payload_len % gso_size);
	d->packets[direction] = count;
	d->bytes[direction] += (uint64_t)(count - 1) * (inner->payload_off - p->layer[n].l3_off);
	return count;
}
