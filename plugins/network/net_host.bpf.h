/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: scope host. Every packet of a local socket, once as the socket sees
 * it, at the root of the cgroup tree: what it sends after routing, before fragmentation; what
 * it receives when the socket has been found. TCP packets for a socket in TIME_WAIT pass no
 * cgroup hook; net_tcp.bpf.h counts those.
 */
#ifndef NET_HOST_BPF_H
#define NET_HOST_BPF_H

#include "net_filter.bpf.h"
#include "net_owner.bpf.h"
#include "net_parse.bpf.h"
#include "net_recent.bpf.h"

static __always_inline u64 net_skb_netns(struct __sk_buff *skb)
{
	struct bpf_sock *sk;
	struct tcp_sock *tp;
	struct weir_owner *o;
	u64 cookie;

	if (weir_has_cast) {
		struct sk_buff *k = bpf_cast_to_kern_ctx(skb);
		struct sock *s = k->sk;

		return s ? s->__sk_common.skc_net.net->net_cookie : 0;
	}
	/* Before: from the TCP socket, else as the owner's record has it. */
	sk = skb->sk;
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		cookie = tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->net_cookie;
		/* Not one load with the one below: the verifier knows two kinds of pointer. */
		asm volatile("" : "+r"(cookie));
		return cookie;
	}
	sk = bpf_sk_fullsock(sk);
	o = sk ? bpf_sk_storage_get(&weir_owners, sk, 0, 0) : 0;
	return o ? o->netns : 0;
}

/* Every 16th packet or so: what the stack knows of the path. */
static __always_inline void net_sample_sock(struct __sk_buff *skb, struct weir_flow_delta *d)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tp;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	d->state = sk->state + 1;
	tp = bpf_tcp_sock(sk);
	if (tp && tp->srtt_us)
		d->srtt_us = tp->srtt_us >> 3;
}

static __always_inline void net_name_skb(struct __sk_buff *skb, u64 cookie)
{
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock *tp;
	struct sk_buff *k;
	struct sock *s;

	if (weir_has_cast) {
		k = bpf_cast_to_kern_ctx(skb);
		s = k->sk;
		if (s)
			net_name(cookie, s->__sk_common.skc_net.net->ns.inum);
		return;
	}
	tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;
	if (tp)
		net_name(cookie, tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum);
}

static __always_inline void net_host_begin(struct __sk_buff *skb, struct net_packet *p, u32 dir,
                                           u64 generation)
{
	struct weir_flow_delta d = {};
	struct bpf_sock *sk = skb->sk;
	struct weir_net_cpu *c;
	struct weir_owner *o = 0;

	net_begin(&d, p, dir);
	net_name_skb(skb, p->key.netns);
	d.ifindex = dir ? skb->ifindex : 0;
	d.cookie = bpf_get_socket_cookie(skb);
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk)
		o = bpf_sk_storage_get(&weir_owners, sk, 0, 0);
	if (o) {
		net_delta_owner(&d, o, d.cookie);
	} else {
		c = net_this_cpu();
		if (c)
			__sync_fetch_and_add(&c->no_owner, 1);
	}
	if (sk && p->key.proto == NET_TCP && sk->state != BPF_TCP_LISTEN)
		net_sample_sock(skb, &d);
	if (net_pass(p, &d))
		net_new(p, dir, &d, generation);
}

/* dir: 0 sent by the local socket, 1 received. */
static __always_inline void net_host_packet(struct __sk_buff *skb, bool v6, u32 dir, u64 generation)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct net_packet p = {};
	struct weir_flow_delta *d;

	p.len = skb->len;
	if (!net_parse(data, end, v6, dir, &p)) {
		struct weir_net_cpu *c = net_this_cpu();

		if (c)
			__sync_fetch_and_add(&c->unparsed, 1);
	}
	p.key.netns = net_skb_netns(skb);
	net_segments(&p, skb->gso_size);
	if (!net_keep(&p))
		return;
	d = net_find(&p.key, generation);
	if (!d) {
		net_host_begin(skb, &p, dir, generation);
		return;
	}
	if (!(net_add(d, &p, dir, bpf_ktime_get_coarse_ns()) & 15) && p.key.proto == NET_TCP && !(p.flags & NET_SYN))
		net_sample_sock(skb, d);
	if (weir_has_cast)
		net_recent_begin(skb, &p, dir, generation);
}

static __always_inline int net_host(struct __sk_buff *skb, u32 dir)
{
	u32 proto = skb->protocol;
	u64 generation = net_generation();

	if (proto != bpf_htons(0x0800) && proto != bpf_htons(0x86dd))
		return 1;
	if (!weir_has_cast || !net_recent_packet(skb, proto != bpf_htons(0x0800), dir, generation))
		net_host_packet(skb, proto != bpf_htons(0x0800), dir, generation);
	return 1;
}

SEC("cgroup_skb/egress")
int WEIR_SKB_PROG(net_egress, skb, 1)
{
	return net_host(skb, 0);
}

SEC("cgroup_skb/ingress")
int WEIR_SKB_PROG(net_ingress, skb, 1)
{
	return net_host(skb, 1);
}

#endif
