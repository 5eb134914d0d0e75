/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: flows of sockets. The key of a socket's flow, its owner, and the
 * adding of what is known of a socket rather than of a packet.
 */
#ifndef NET_OWNER_BPF_H
#define NET_OWNER_BPF_H

#include "net_flow.bpf.h"
#include <bpf/bpf_endian.h>

struct weir_owner;
static __always_inline void net_owner_changed(struct sock *sk, struct weir_owner *o);
#define WEIR_OWNER_CHANGED(sk, o) net_owner_changed(sk, o)
#include "owner.bpf.h"

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym __weak;

/* Which namespace a cookie is, as lsns(8) numbers them. As many as a large node has pods,
 * four times over; the longest unused goes, and is put in again by its next flow. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u32);
} net_names SEC(".maps");

static __always_inline void net_name(u64 cookie, u32 inum)
{
	if (!bpf_map_lookup_elem(&net_names, &cookie))
		bpf_map_update_elem(&net_names, &cookie, &inum, BPF_ANY);
}

static __always_inline void net_delta_owner(struct weir_flow_delta *d, const struct weir_owner *o, u64 cookie)
{
	bool weak = o->cookie != cookie || o->how != WEIR_OWNER_BY_USE;

	d->pid = o->pid;
	d->uid = o->uid;
	d->cgroup = o->cgroup;
	__builtin_memcpy(d->comm, o->comm, sizeof d->comm);
	d->bits = (d->bits & ~WEIR_FLOW_OWNER_WEAK) | WEIR_FLOW_OWNER | (weak ? WEIR_FLOW_OWNER_WEAK : 0);
}

/* The key of a socket's flow. False: it has no peer. */
static __always_inline bool net_sock_key(struct sock *sk, struct weir_flow_key *k)
{
	u16 family = sk->__sk_common.skc_family;

	k->proto = sk->sk_protocol;
	k->netns = sk->__sk_common.skc_net.net->net_cookie;
	k->port[0] = sk->__sk_common.skc_num;
	k->port[1] = bpf_ntohs(sk->__sk_common.skc_dport);
	if (family == WEIR_AF_INET) {
		*(u32 *)(k->addr[0] + 8) = *(u32 *)(k->addr[1] + 8) = 0xffff0000;
		*(u32 *)(k->addr[0] + 12) = sk->__sk_common.skc_rcv_saddr;
		*(u32 *)(k->addr[1] + 12) = sk->__sk_common.skc_daddr;
	} else {
		bpf_probe_read_kernel(k->addr[0], 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(k->addr[1], 16, &sk->__sk_common.skc_v6_daddr);
	}
	return k->port[1];
}

/* The entry of a flow in the map that is being filled, made if there is none: with counts of
 * zero. NULL: no room, and then *d is to be handed over as a record, by net_sock_end(). */
static __always_inline struct weir_flow_delta *
net_sock_begin(const struct weir_flow_key *k, struct weir_flow_delta *d, u64 generation)
{
	struct weir_flow_delta *e = net_find(k, generation);

	if (e)
		return e;
	d->first_ns = bpf_ktime_get_ns();
	net_insert(k, d, generation);
	return net_find(k, generation);
}

static __always_inline void net_owner_record(const struct weir_owner *o)
{
	struct weir_net_owner *r = net_reserve(WEIR_NET_OWNER, sizeof *r);

	if (!r)
		return; /* counted; the next new flow of the socket has the owner anyway */
	r->cookie = o->cookie;
	r->cgroup = o->cgroup;
	r->pid = o->pid;
	r->uid = o->uid;
	__builtin_memcpy(r->comm, o->comm, sizeof r->comm);
	r->bits = WEIR_FLOW_OWNER;
	r->pad = 0;
	weir_submit(r);
}

/* A socket has a user that its flows do not have yet. */
static __always_inline void net_owner_changed(struct sock *sk, struct weir_owner *o)
{
	struct weir_flow_delta d = {}, *e;
	struct weir_flow_key k = {};
	struct weir_net_cpu *c = net_this_cpu();

	if (c)
		__sync_fetch_and_add(&c->owners, 1);
	net_name(o->netns, sk->__sk_common.skc_net.net->ns.inum);
	if (!net_sock_key(sk, &k)) {
		net_owner_record(o);
		return;
	}
	e = net_sock_begin(&k, &d, net_generation());
	if (!e) {
		net_owner_record(o);
		return;
	}
	e->cookie = o->cookie;
	net_delta_owner(e, o, o->cookie);
}

#endif
