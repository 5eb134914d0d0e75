/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: a packet from its IP header on, read directly.
 *
 * Never beyond data_end. Fills what it can: an IP packet whose transport header is not there
 * still counts, without ports. Bounds: 8 IPv6 extension headers, as plugins/lib/packet.h.
 */
#ifndef NET_PARSE_BPF_H
#define NET_PARSE_BPF_H

#include "net_flow.bpf.h"
#include <bpf/bpf_endian.h>

#define NET_TCP 6
#define NET_UDP 17
#define NET_SCTP 132
#define NET_ICMP 1
#define NET_ICMP6 58
#define NET_GRE 47
#define NET_EXTENSIONS 8

struct net_ip4 {
	u8 version_ihl, tos;
	u16 len, id, frag;
	u8 ttl, proto;
	u16 check;
	u32 src, dst;
};
struct net_ip6 {
	u32 version_class_label;
	u16 payload;
	u8 next, hops;
	u64 src[2], dst[2];
};

/* Ports of a datagram by its fragments: the first has them, the others only the id. */
struct net_fragment {
	u8 addr[2][16];
	u32 id;
	u32 proto;
};
/* Datagrams under way at a time, as the kernel's own reassembly would hold (4 MiB of
 * 1500-byte ones are 2800): the oldest goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct net_fragment);
	__type(value, u32);
} net_fragments SEC(".maps");

static __always_inline void net_put4(u8 *to, u32 addr)
{
	*(u64 *)to = 0;
	*(u64 *)(to + 8) = (u64)addr << 32 | 0xffff0000u;
}

static __always_inline void net_put6(u8 *to, const u64 *addr)
{
	*(u64 *)to = addr[0];
	*(u64 *)(to + 8) = addr[1];
}

static __always_inline void net_swap(struct weir_flow_key *k)
{
	u64 *a = (u64 *)k->addr[0], *b = (u64 *)k->addr[1], t0 = a[0], t1 = a[1];
	u16 port = k->port[0];

	a[0] = b[0];
	a[1] = b[1];
	b[0] = t0;
	b[1] = t1;
	k->port[0] = k->port[1];
	k->port[1] = port;
}

/* ICMP types that have a counterpart share a flow: the smaller type. (packet.h has the rule.) */
static __always_inline u16 net_icmp_port(u8 type, bool v6)
{
	if (!v6) {
		if (type == 8 || type == 0)
			return 0;
		if (type == 13 || type == 14 || type == 15 || type == 16 || type == 17 || type == 18)
			return type & 1 ? type : type - 1;
		if (type == 9 || type == 10)
			return 9;
	} else {
		if ((type >= 128 && type <= 131) || type == 144 || type == 145)
			return type & ~1;
		if ((type >= 133 && type <= 136) || type == 139 || type == 140)
			return type & 1 ? type : type - 1;
	}
	return WEIR_FLOW_ICMP_ONE_WAY + type;
}

/* Ports and what else the transport header at l4 has. s: index of the sender's end. */
static __always_inline bool net_parse_transport(void *l4, void *end, u32 s, struct net_packet *p)
{
	u8 proto = p->key.proto;

	if (proto == NET_TCP) {
		if (l4 + 14 > end)
			return false;
		p->header += (*(u8 *)(l4 + 12) >> 4) * 4;
		p->flags = *(u8 *)(l4 + 13);
	} else if (proto == NET_UDP || proto == NET_SCTP) {
		if (l4 + 8 > end)
			return false;
		p->header += proto == NET_UDP ? 8 : 12;
	} else if (proto == NET_ICMP || proto == NET_ICMP6) {
		if (l4 + 2 > end)
			return false;
		p->icmp_type = *(u8 *)l4;
		p->icmp_code = *(u8 *)(l4 + 1);
		p->key.port[0] = p->key.port[1] = net_icmp_port(p->icmp_type, proto == NET_ICMP6);
		return true;
	} else {
		return true;
	}
	p->key.port[s] = bpf_ntohs(*(u16 *)l4);
	p->key.port[s ^ 1] = bpf_ntohs(*(u16 *)(l4 + 2));
	return true;
}

/* A fragment: the first one's ports are kept for the others. */
static __always_inline void net_fragment(struct net_packet *p, u32 id, bool first, u32 s)
{
	struct net_fragment f = { .id = id, .proto = p->key.proto };
	u32 ports = p->key.port[s] | (u32)p->key.port[s ^ 1] << 16, *known;
	struct weir_net_cpu *c;

	net_put6(f.addr[0], (u64 *)p->key.addr[s & 1]);
	net_put6(f.addr[1], (u64 *)p->key.addr[(s & 1) ^ 1]);
	if (first) {
		bpf_map_update_elem(&net_fragments, &f, &ports, BPF_ANY);
		return;
	}
	known = bpf_map_lookup_elem(&net_fragments, &f);
	if (known) {
		p->key.port[s] = *known;
		p->key.port[s ^ 1] = *known >> 16;
		return;
	}
	c = net_this_cpu();
	if (c)
		__sync_fetch_and_add(&c->fragments, 1);
}

static __always_inline bool net_parse4(struct net_ip4 *ip, void *end, u32 s, struct net_packet *p)
{
	u32 header, frag;

	if ((void *)(ip + 1) > end)
		return false;
	header = (ip->version_ihl & 15) * 4;
	frag = bpf_ntohs(ip->frag);
	net_put4(p->key.addr[s], ip->src);
	net_put4(p->key.addr[s ^ 1], ip->dst);
	p->key.proto = ip->proto;
	p->tos = ip->tos;
	p->ttl = ip->ttl;
	p->header = header;
	if (header < sizeof *ip)
		return false;
	if (!(frag & 0x3fff))
		return net_parse_transport((void *)ip + header, end, s, p);
	if (!(frag & 0x1fff) && !net_parse_transport((void *)ip + header, end, s, p))
		return false;
	net_fragment(p, ip->id, !(frag & 0x1fff), s);
	return true;
}

/* Hop-by-hop, routing, destination options, mobility, HIP, shim6. */
static __always_inline bool net_is_extension(u8 next)
{
	return next == 0 || next == 43 || next == 60 || next == 135 || next == 139 || next == 140;
}

static __always_inline bool net_parse6_more(struct net_ip6 *ip, void *end, u32 s, struct net_packet *p)
{
	u32 off = sizeof *ip, id = 0;
	bool fragment = false, first = true;
	u8 next = ip->next;

	for (u32 i = 0; i < NET_EXTENSIONS; i++) {
		u8 *h = (void *)ip + off;

		if (!net_is_extension(next) && next != 44)
			break;
		if ((void *)(h + 8) > end)
			return false;
		if (next == 44) {
			fragment = true;
			first = !(bpf_ntohs(*(u16 *)(h + 2)) & 0xfff8);
			id = *(u32 *)(h + 4);
			off += 8;
		} else {
			off += (h[1] + 1) * 8;
		}
		next = h[0];
		if (!first || off > 1024)
			break;
	}
	p->key.proto = next;
	p->header = off;
	if (off > 1024)
		return false;
	if (first && !net_parse_transport((void *)ip + off, end, s, p))
		return false;
	if (fragment)
		net_fragment(p, id, first, s);
	return true;
}

static __always_inline bool net_parse6(struct net_ip6 *ip, void *end, u32 s, struct net_packet *p)
{
	u32 word;

	if ((void *)(ip + 1) > end)
		return false;
	word = bpf_ntohl(ip->version_class_label);
	net_put6(p->key.addr[s], ip->src);
	net_put6(p->key.addr[s ^ 1], ip->dst);
	p->key.proto = ip->next;
	p->tos = word >> 20;
	p->ttl = ip->hops;
	p->label = word & 0xfffff;
	p->header = sizeof *ip;
	if (net_is_extension(ip->next) || ip->next == 44)
		return net_parse6_more(ip, end, s, p);
	return net_parse_transport(ip + 1, end, s, p);
}

/* An IP packet at `ip`, `len` bytes long. False: headers are missing or contradict each
 * other; addresses and protocol hold if p->ttl is not 0. s: index of the sender's end. */
static __always_inline bool net_parse(void *ip, void *end, bool v6, u32 s, struct net_packet *p)
{
	return v6 ? net_parse6(ip, end, s, p) : net_parse4(ip, end, s, p);
}

static __always_inline u32 net_segment_count(u32 len, u32 header, u32 gso_size)
{
	return len > header + gso_size ? (len - header + gso_size - 1) / gso_size : 1;
}

/* Packets and bytes as on the wire. A segmentation-offload packet has its headers once here,
 * and once per segment there. */
static __always_inline void net_segments(struct net_packet *p, u32 gso_size)
{
	p->packets = 1;
	p->bytes = p->len;
	if (gso_size) {
		p->packets = net_segment_count(p->len, p->header, gso_size);
		p->bytes += (u64)(p->packets - 1) * p->header;
	}
}

#endif
