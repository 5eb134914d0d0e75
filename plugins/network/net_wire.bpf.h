/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: scope wire. Packets at the interfaces that user space attached to,
 * two variants of each program: for devices with an Ethernet header, and for those that carry
 * IP alone (tun, ipip, WireGuard).
 *
 * Once per packet, not per interface: where it comes in always; where it goes out only if it
 * did not come in at an interface that is watched too.
 */
#ifndef NET_WIRE_BPF_H
#define NET_WIRE_BPF_H

#include "net_filter.bpf.h"
#include "net_owner.bpf.h"
#include "net_parse.bpf.h"

#define NET_VLANS 4
#define NET_LABELS 8
/* Headers up to a TCP header without its options: Ethernet, tags, labels, IPv6 with room. */
#define NET_HEADERS 160

/* Interfaces with an ingress program: at egress, what came in there is not counted again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096); /* as many as the host attaches to */
	__type(key, u32);
	__type(value, u32);
} net_watched SEC(".maps");

static __always_inline bool net_seen_before(struct __sk_buff *skb)
{
	u32 ifindex = skb->ingress_ifindex;

	return ifindex && bpf_map_lookup_elem(&net_watched, &ifindex);
}

static __always_inline bool net_is_tag(u16 proto)
{
	return proto == bpf_htons(0x8100) || proto == bpf_htons(0x88a8) || proto == bpf_htons(0x9100);
}

/* From the Ethernet header to the IP header, by tags and labels. Returns its offset, or 0. */
static __always_inline u32 net_ethernet(void *data, void *end, u16 *ret_vlan, bool *ret_v6)
{
	u32 off = 14;
	u16 proto;

	if (data + 14 > end)
		return 0;
	proto = *(u16 *)(data + 12);
	for (u32 i = 0; i < NET_VLANS && net_is_tag(proto); i++) {
		if (data + off + 4 > end)
			return 0;
		if (!*ret_vlan)
			*ret_vlan = bpf_ntohs(*(u16 *)(data + off)) & 0xfff;
		proto = *(u16 *)(data + off + 2);
		off += 4;
	}
	if (proto == bpf_htons(0x8847) || proto == bpf_htons(0x8848)) {
		u32 bottom = 0;

		for (u32 i = 0; i < NET_LABELS && !bottom; i++) {
			if (data + off + 4 > end)
				return 0;
			bottom = *(u8 *)(data + off + 2) & 1;
			off += 4;
		}
		if (!bottom || data + off + 1 > end)
			return 0;
		bottom = *(u8 *)(data + off) >> 4;
		proto = bottom == 4 ? bpf_htons(0x0800) : bottom == 6 ? bpf_htons(0x86dd) : 0;
	}
	*ret_v6 = proto == bpf_htons(0x86dd);
	return *ret_v6 || proto == bpf_htons(0x0800) ? off : 0;
}

/* End 0 is the lower address, then the lower port. True: sender and receiver changed places. */
static __always_inline bool net_order(struct weir_flow_key *k)
{
	const u64 *a = (u64 *)k->addr[0], *b = (u64 *)k->addr[1];
	u64 a0 = bpf_be64_to_cpu(a[0]), b0 = bpf_be64_to_cpu(b[0]);
	u64 a1 = bpf_be64_to_cpu(a[1]), b1 = bpf_be64_to_cpu(b[1]);

	if (a0 < b0 || (a0 == b0 && (a1 < b1 || (a1 == b1 && k->port[0] <= k->port[1]))))
		return false;
	net_swap(k);
	return true;
}

/* A tunnel shows by its protocol or its port; at is behind the IP header. */
static __always_inline void net_tunnel(void *at, void *end, struct net_packet *p)
{
	u16 a = p->key.port[0], b = p->key.port[1];

	if (p->key.proto == 4 || p->key.proto == 41) {
		p->tunnel_type = WEIR_TUNNEL_IPIP;
	} else if (p->key.proto == NET_GRE) {
		p->tunnel_type = WEIR_TUNNEL_GRE;
		if (at + 12 > end || !(*(u8 *)at & 0x20))
			return;
		/* The key follows the checksum, if there is one. */
		p->tunnel_id = bpf_ntohl(*(u8 *)at & 0x80 ? *(u32 *)(at + 8) : *(u32 *)(at + 4));
	} else if (p->key.proto == NET_UDP) {
		if (net_vxlan_port && (a == net_vxlan_port || b == net_vxlan_port))
			p->tunnel_type = WEIR_TUNNEL_VXLAN;
		else if (net_geneve_port && (a == net_geneve_port || b == net_geneve_port))
			p->tunnel_type = WEIR_TUNNEL_GENEVE;
		else if (net_wireguard_port && (a == net_wireguard_port || b == net_wireguard_port))
			p->tunnel_type = WEIR_TUNNEL_WIREGUARD;
		if (p->tunnel_type && p->tunnel_type != WEIR_TUNNEL_WIREGUARD && at + 16 <= end)
			p->tunnel_id = bpf_ntohl(*(u32 *)(at + 12)) >> 8;
	}
}

/* A segmentation-offload packet in a tunnel repeats the inner headers too. */
static __always_inline void net_inner_header(struct __sk_buff *skb, struct net_packet *p)
{
	struct sk_buff *k;
	u32 inner;
	u8 doff = 0;

	if (!weir_has_cast || !p->tunnel_type)
		return;
	k = bpf_cast_to_kern_ctx(skb);
	if (k->inner_transport_header <= k->network_header)
		return;
	inner = k->inner_transport_header - k->network_header;
	if (bpf_probe_read_kernel(&doff, 1, k->head + k->inner_transport_header + 12))
		return;
	p->header = inner + (doff >> 4) * 4;
}

static __always_inline void net_wire_begin(struct __sk_buff *skb, struct net_packet *p, bool swapped,
                                           u64 generation)
{
	struct weir_flow_delta d = {};

	if (swapped)
		net_begin(&d, p, 1);
	else
		net_begin(&d, p, 0);
	d.ifindex = skb->ifindex;
	if (net_pass(p, &d))
		net_new(p, swapped, &d, generation);
}

/* off: where the IP header starts. */
static __always_inline void net_wire_ip(struct __sk_buff *skb, void *ip, void *end, bool v6, u32 off,
                                        struct net_packet *p)
{
	u32 gso = skb->gso_size, len = skb->len - off, said;
	struct weir_net_control *c = net_get_control();
	struct weir_flow_delta *d;
	bool swapped;

	if (ip + 20 > end || !c)
		return;
	said = v6 ? bpf_ntohs(*(u16 *)(ip + 4)) + 40u : bpf_ntohs(*(u16 *)(ip + 2));
	/* What the header says, without the link's padding; but 0 means longer than it can. */
	p->len = gso || said > len || said <= (v6 ? 40 : 0) ? len : said;
	if (!net_parse(ip, end, v6, 0, p)) {
		struct weir_net_cpu *n = net_this_cpu();

		if (n)
			__sync_fetch_and_add(&n->unparsed, 1);
		if (!p->ttl && !p->key.proto)
			return;
	}
	if (p->key.proto != NET_TCP) {
		u64 behind = p->header - (p->key.proto == NET_UDP ? 8 : 0);

		/* In a way that the compiler does not take out: the verifier of 6.12 wants it. */
		asm volatile("%0 &= 1023" : "+r"(behind));
		net_tunnel(ip + behind, end, p);
	}
	p->key.scope = WEIR_FLOW_WIRE;
	p->key.netns = c->wire_netns;
	if (gso)
		net_inner_header(skb, p);
	net_segments(p, gso);
	if (!net_keep(p))
		return;
	swapped = net_order(&p->key);
	d = net_find(&p->key, c->generation & 1);
	if (d)
		net_add(d, p, swapped, bpf_ktime_get_coarse_ns());
	else
		net_wire_begin(skb, p, swapped, c->generation & 1);
}

/* The headers may lie outside the part that can be read at once: fetch them, rarely. */
static __always_inline bool net_linear(struct __sk_buff *skb)
{
	u32 have = skb->data_end - skb->data, want = skb->len < NET_HEADERS ? skb->len : NET_HEADERS;

	return have >= want || !bpf_skb_pull_data(skb, want);
}

static __always_inline int net_wire_ethernet(struct __sk_buff *skb)
{
	struct net_packet p = {};
	void *data, *end;
	bool v6 = false;
	u16 vlan = 0;
	u32 off;

	net_linear(skb);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (skb->vlan_present)
		vlan = skb->vlan_tci & 0xfff;
	off = net_ethernet(data, end, &vlan, &v6);
	if (!off)
		return TC_ACT_UNSPEC;
	p.key.vlan = vlan;
	net_wire_ip(skb, data + off, end, v6, off, &p);
	return TC_ACT_UNSPEC;
}

static __always_inline int net_wire_raw(struct __sk_buff *skb)
{
	struct net_packet p = {};
	u32 proto = skb->protocol;
	void *data, *end;

	if (proto != bpf_htons(0x0800) && proto != bpf_htons(0x86dd))
		return TC_ACT_UNSPEC;
	net_linear(skb);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	net_wire_ip(skb, data, end, proto == bpf_htons(0x86dd), 0, &p);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int WEIR_SKB_PROG(net_eth_in, skb, TC_ACT_UNSPEC)
{
	return net_wire_ethernet(skb);
}

SEC("tc")
int WEIR_SKB_PROG(net_eth_out, skb, TC_ACT_UNSPEC)
{
	return net_seen_before(skb) ? TC_ACT_UNSPEC : net_wire_ethernet(skb);
}

SEC("tc")
int WEIR_SKB_PROG(net_raw_in, skb, TC_ACT_UNSPEC)
{
	return net_wire_raw(skb);
}

SEC("tc")
int WEIR_SKB_PROG(net_raw_out, skb, TC_ACT_UNSPEC)
{
	return net_seen_before(skb) ? TC_ACT_UNSPEC : net_wire_raw(skb);
}

#endif
