/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: the life of TCP sockets, packets sent again, packets dropped, and
 * those that no full socket takes (TIME_WAIT, no socket at all).
 */
#ifndef NET_TCP_BPF_H
#define NET_TCP_BPF_H

#include "net_host.bpf.h"

/* ---- states ---------------------------------------------------------------------------- */

/* The port as bind() left it: skc_num is 0 already when a socket closes. */
static __always_inline void net_tcp_key(struct sock *sk, struct weir_flow_key *k)
{
	struct inet_sock *inet = (struct inet_sock *)bpf_skc_to_tcp_sock(sk);

	net_sock_key(sk, k);
	if (inet && !k->port[0])
		k->port[0] = bpf_ntohs(inet->inet_sport);
}

static __always_inline void net_listen(struct sock *sk, bool open)
{
	struct weir_flow_key k = {};
	struct weir_flow_listen *r;
	struct weir_owner *o;

	net_tcp_key(sk, &k);
	r = weir_reserve(WEIR_NET_LISTEN, sizeof *r);
	if (!r)
		return;
	__builtin_memset(r, 0, sizeof *r);
	r->netns_cookie = k.netns;
	r->netns = sk->__sk_common.skc_net.net->ns.inum;
	r->socket_cookie = bpf_get_socket_cookie(sk);
	r->port = k.port[0];
	r->transport = NET_TCP;
	r->open = open;
	__builtin_memcpy(r->address, k.addr[0], 16);
	if (sk->__sk_common.skc_family == WEIR_AF_INET && !*(u32 *)(k.addr[0] + 12))
		__builtin_memset(r->address, 0, 16); /* any, IPv4 or not */
	o = bpf_sk_storage_get(&weir_owners, sk, 0, 0);
	if (o) {
		r->pid = o->pid;
		r->uid = o->uid;
		r->cgroup_id = o->cgroup;
		__builtin_memcpy(r->comm, o->comm, sizeof r->comm);
	}
	weir_submit(r);
}

/* A connection has ended, or never began: with the error its user gets, if any. */
static __always_inline void net_close(struct sock *sk)
{
	struct weir_flow_delta d = {}, *e;
	struct weir_flow_key k = {};
	struct weir_owner *o;
	struct tcp_sock *tp;

	net_tcp_key(sk, &k);
	if (!k.port[0] || !k.port[1])
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	d.srtt_us = tp ? tp->srtt_us >> 3 : 0;
	d.error = sk->sk_err;
	d.state = WEIR_TCP_CLOSE + 1;
	d.bits = WEIR_FLOW_CLOSED;
	d.cookie = bpf_get_socket_cookie(sk);
	o = bpf_sk_storage_get(&weir_owners, sk, 0, 0);
	if (o)
		net_delta_owner(&d, o, d.cookie);
	e = net_find(&k, net_generation());
	if (!e) {
		e = net_sock_begin(&k, &d, net_generation());
		if (!e)
			net_overflow(&k, &d);
		return;
	}
	if (d.srtt_us)
		e->srtt_us = d.srtt_us;
	if (d.error)
		e->error = d.error;
	e->state = d.state;
	net_set_word(e, NET_WORD_BITS(WEIR_FLOW_CLOSED));
}

SEC("tp_btf/inet_sock_set_state")
int WEIR_PROG(net_state, struct sock *sk, int old, int state)
{
	if (sk->sk_protocol != NET_TCP)
		return 0;
	if (state == WEIR_TCP_LISTEN)
		net_listen(sk, true);
	else if (state == WEIR_TCP_CLOSE && old == WEIR_TCP_LISTEN)
		net_listen(sk, false);
	else if (state == WEIR_TCP_CLOSE)
		net_close(sk);
	return 0;
}

/* ---- sent again ------------------------------------------------------------------------- */

SEC("tp_btf/tcp_retransmit_skb")
int WEIR_PROG(net_retransmit, struct sock *sk, struct sk_buff *skb)
{
	struct weir_flow_delta d = {}, *e;
	struct weir_flow_key k = {};

	if (!net_sock_key(sk, &k))
		return 0;
	e = net_sock_begin(&k, &d, net_generation());
	if (e) {
		__sync_fetch_and_add(&e->retransmits, 1);
	} else {
		d.retransmits = 1;
		net_overflow(&k, &d);
	}
	return 0;
}

/* ---- dropped ------------------------------------------------------------------------------ */

/* The headers of a packet that is about to be freed, copied: it is not a context that may be
 * read directly. The sender is end 0. False: none of ours. */
static __always_inline bool net_copy4(const u8 *l3, struct net_packet *p)
{
	struct net_ip4 ip = {};
	u8 l4[16] = {};

	if (bpf_probe_read_kernel(&ip, sizeof ip, l3) || ip.version_ihl >> 4 != 4 ||
	    bpf_probe_read_kernel(l4, 14, l3 + (ip.version_ihl & 15) * 4))
		return false;
	net_put4(p->key.addr[0], ip.src);
	net_put4(p->key.addr[1], ip.dst);
	p->key.proto = ip.proto;
	p->len = bpf_ntohs(ip.len);
	p->tos = ip.tos;
	p->ttl = ip.ttl;
	p->header = (ip.version_ihl & 15) * 4 + (ip.proto == NET_TCP ? (l4[12] >> 4) * 4 : 8);
	p->flags = ip.proto == NET_TCP ? l4[13] : 0;
	p->key.port[0] = bpf_ntohs(*(u16 *)l4);
	p->key.port[1] = bpf_ntohs(*(u16 *)(l4 + 2));
	return (ip.proto == NET_TCP || ip.proto == NET_UDP) && !(bpf_ntohs(ip.frag) & 0x1fff);
}

static __always_inline bool net_copy6(const u8 *l3, struct net_packet *p)
{
	struct net_ip6 ip = {};
	u8 l4[16] = {};

	if (bpf_probe_read_kernel(&ip, sizeof ip, l3) ||
	    bpf_probe_read_kernel(l4, 14, l3 + sizeof ip))
		return false;
	net_put6(p->key.addr[0], ip.src);
	net_put6(p->key.addr[1], ip.dst);
	p->key.proto = ip.next;
	p->len = bpf_ntohs(ip.payload) + sizeof ip;
	p->tos = bpf_ntohl(ip.version_class_label) >> 20;
	p->label = bpf_ntohl(ip.version_class_label) & 0xfffff;
	p->ttl = ip.hops;
	p->header = sizeof ip + (ip.next == NET_TCP ? (l4[12] >> 4) * 4 : 8);
	p->flags = ip.next == NET_TCP ? l4[13] : 0;
	p->key.port[0] = bpf_ntohs(*(u16 *)l4);
	p->key.port[1] = bpf_ntohs(*(u16 *)(l4 + 2));
	return ip.next == NET_TCP || ip.next == NET_UDP;
}

static __always_inline bool net_copy(struct sk_buff *skb, struct net_packet *p)
{
	u16 proto = skb->protocol;
	const u8 *l3 = skb->head + skb->network_header;

	p->packets = 1;
	p->weight = 1;
	if (proto == bpf_htons(0x0800) ? !net_copy4(l3, p) :
	    proto == bpf_htons(0x86dd) ? !net_copy6(l3, p) : true)
		return false;
	p->bytes = p->len;
	return true;
}

/* A packet to this host that passes no cgroup hook, since no full socket takes it. */
static __always_inline void net_stray(const struct net_packet *p, u32 dir, u32 reason)
{
	u64 generation = net_generation();
	struct weir_flow_delta d = {}, *e;

	e = net_find(&p->key, generation);
	if (e) {
		net_add(e, p, dir, bpf_ktime_get_ns());
	} else {
		net_begin(&d, p, dir);
		if (net_pass(p, &d))
			net_new(p, dir, &d, generation);
		e = reason ? net_find(&p->key, generation) : 0;
	}
	if (e && reason) {
		__sync_fetch_and_add(&e->drops, 1);
		e->drop_reason = reason;
	}
}


/* waiting: the packet was for a socket in TIME_WAIT, which is no drop. */
static __always_inline int net_freed(struct sk_buff *skb, u32 reason, bool waiting)
{
	bool unknown = reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED);
	bool no_socket = reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET);
	struct net_packet p = {};
	struct weir_flow_delta *e;
	struct weir_net_cpu *c;
	struct net_device *dev;
	struct sock *sk;

	if (unknown && !waiting)
		return 0;
	/* What a closed socket still had in its queues: nothing was lost on the way. */
	if (bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE) &&
	    reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE))
		return 0;
	sk = skb->sk;
	dev = skb->dev;
	if (!net_copy(skb, &p))
		return 0;
	if (!sk)
		net_swap(&p.key); /* received: this end is end 0 */
	if (sk)
		p.key.netns = sk->__sk_common.skc_net.net->net_cookie;
	else if (dev)
		p.key.netns = dev->nd_net.net->net_cookie;
	if (waiting || (no_socket && !sk)) {
		c = net_this_cpu();
		if (c && waiting)
			__sync_fetch_and_add(&c->time_wait, 1);
		net_stray(&p, 1, no_socket ? reason : 0);
		return 0;
	}
	e = net_find(&p.key, net_generation());
	if (e) {
		__sync_fetch_and_add(&e->drops, 1);
		e->drop_reason = reason;
	}
	return 0;
}

/* 6.11 (c53795d48ee8): which socket it was for. */
SEC("tp_btf/kfree_skb")
int WEIR_PROG(net_drop, struct sk_buff *skb, void *location, int reason, struct sock *rx_sk)
{
	return net_freed(skb, reason, rx_sk && rx_sk->__sk_common.skc_state == WEIR_TCP_TIME_WAIT);
}

/* Before, it says no more than why; then the function that answers for TIME_WAIT is hooked. */
SEC("tp_btf/kfree_skb")
int WEIR_PROG(net_drop_5_17, struct sk_buff *skb, void *location, int reason)
{
	return net_freed(skb, reason, false);
}

/* ---- TIME_WAIT ------------------------------------------------------------------------------- */

/* Devices on top of one another queue the same packet one after the other: that is one. */
#define NET_SAME_NS 1000000

static __always_inline void net_answer(struct sk_buff *skb, struct sock *sk)
{
	struct weir_net_cpu *c = net_this_cpu();
	struct net_packet p = {};
	u64 now, id;

	if (!c || !net_copy(skb, &p) || p.key.proto != NET_TCP)
		return;
	now = bpf_ktime_get_ns();
	id = (u64)skb->head ^ (u64)p.key.port[1] << 48 ^ (u64)p.key.port[0] << 32;
	if (c->answer == id && now - c->answer_ns < NET_SAME_NS)
		return;
	c->answer = id;
	c->answer_ns = now;
	__sync_fetch_and_add(&c->time_wait, 1);
	p.key.netns = sk->__sk_common.skc_net.net->net_cookie;
	net_stray(&p, 0, 0);
}

/* 6.13 (507a96737d99): what TIME_WAIT answers belongs to its half a socket, and passes the
 * cgroup hook no more. Every packet sent comes here, so first the one test that tells. */
SEC("tp_btf/net_dev_queue")
int WEIR_PROG(net_queue, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	if (sk && sk->__sk_common.skc_state == WEIR_TCP_TIME_WAIT)
		net_answer(skb, sk);
	return 0;
}

#define NET_TW_SYN 3 /* enum tcp_tw_status: TCP_TW_SYN */

/* Where kfree_skb does not tell the socket. A SYN goes on to a listener, and its hook. */
SEC("fexit/tcp_timewait_state_process")
int WEIR_PROG(net_time_wait, struct inet_timewait_sock *tw, struct sk_buff *skb, void *th, int ret)
{
	struct net_packet p = {};
	struct weir_net_cpu *c;

	if (ret == NET_TW_SYN || !net_copy(skb, &p))
		return 0;
	net_swap(&p.key);
	p.key.netns = tw->__tw_common.skc_net.net->net_cookie;
	c = net_this_cpu();
	if (c)
		__sync_fetch_and_add(&c->time_wait, 1);
	net_stray(&p, 1, 0);
	return 0;
}

#endif
