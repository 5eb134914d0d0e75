/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: is a flow wanted? Asked when a flow has no entry, so the packets of
 * wanted flows pay nothing. A filter that asks for a process decides only where the owner is
 * sure; other flows pass, and user space decides when it knows.
 */
#ifndef NET_FILTER_BPF_H
#define NET_FILTER_BPF_H

#include "net_flow.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_NET_PREFIXES);
	__type(key, struct weir_net_prefix);
	__type(value, u32);
} net_nets SEC(".maps");

/* A byte of enum weir_net_list per port. */
struct net_port_lists {
	u8 list[65536];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct net_port_lists);
} net_ports SEC(".maps");

static __always_inline u32 net_net_lists(const u8 *addr)
{
	struct weir_net_prefix k = { .bits = 128 };
	u32 *lists;

	__builtin_memcpy(k.addr, addr, 16);
	lists = bpf_map_lookup_elem(&net_nets, &k);
	return lists ? *lists : 0;
}

static __always_inline bool net_lists_want(u32 have, u32 on)
{
	return !(on & WEIR_NET_NOT_MATCH) && (!(have & WEIR_NET_MATCH) || on & WEIR_NET_MATCH);
}

static __always_inline bool net_comm_is(const char *comm, const volatile struct weir_net_comm *c)
{
	for (u32 i = 0; i < 16; i++) {
		if (i >= c->len)
			return true;
		if (comm[i] != c->name[i])
			return false;
	}
	return true;
}

static __always_inline bool net_process_wanted(const struct weir_flow_delta *d)
{
	if (!net_filter.comms || !(d->bits & WEIR_FLOW_OWNER) || d->bits & WEIR_FLOW_OWNER_WEAK)
		return true;
	for (u32 i = 0; i < WEIR_NET_NAMES && i < net_filter.comms; i++)
		if (net_comm_is(d->comm, &net_filter.comm[i]))
			return true;
	return false;
}

static __always_inline bool net_wanted(const struct weir_flow_key *k, const struct weir_flow_delta *d)
{
	struct net_port_lists *ports;
	u32 zero = 0, on;

	if (net_filter.proto_filter && !(net_filter.protos[k->proto >> 5] & 1u << (k->proto & 31)))
		return false;
	if (net_filter.nets && !net_lists_want(net_filter.nets, net_net_lists(k->addr[0]) |
	                                       net_net_lists(k->addr[1])))
		return false;
	if (net_filter.ports) {
		ports = bpf_map_lookup_elem(&net_ports, &zero);
		if (k->proto == 1 || k->proto == 58) /* what is there is a type */
			on = ports ? ports->list[0] : 0;
		else
			on = ports ? ports->list[k->port[0]] | ports->list[k->port[1]] : 0;
		if (!net_lists_want(net_filter.ports, on))
			return false;
	}
	return net_process_wanted(d);
}

/* False: not wanted, and counted so. */
static __always_inline bool net_pass(const struct net_packet *p, const struct weir_flow_delta *d)
{
	struct weir_net_cpu *c;

	if (!net_filtering || net_wanted(&p->key, d))
		return true;
	c = net_this_cpu();
	if (c) {
		__sync_fetch_and_add(&c->filtered_packets, p->packets);
		__sync_fetch_and_add(&c->filtered_bytes, p->bytes);
	}
	weir_count(WEIR_NET_FLOW, filtered);
	return false;
}

#endif
