/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: the connections a CPU is in the middle of. The common packet, one more
 * of an established TCP connection, is added to a slot of this CPU without a helper call, and
 * without a cache line that other CPUs write.
 *
 *   slow path, second packet in a row ─► slot taken ─► packets added ─► another flow takes the
 *   slot: the program adds it to the map; or the map is drained: user space takes the slot too
 *
 * A slot belongs to a generation, as the maps do, so at rest it is nobody's but user space's.
 * Everything that is not plain takes the slow path: flags that begin or end a connection,
 * options of IPv4, payload after payload of the other end (its time is taken), sampling.
 * One program at a time is at a slot (`busy`): one that interrupts another, or on PREEMPT_RT
 * comes between, goes the slow way. Needs bpf_cast_to_kern_ctx() (6.2).
 */
#ifndef NET_RECENT_BPF_H
#define NET_RECENT_BPF_H

#include "net_owner.bpf.h"
#include "net_parse.bpf.h"

struct net_recents {
	struct weir_net_recent slot[WEIR_NET_RECENTS];
};
/* Two entries a CPU, one per generation. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct net_recents);
} net_recent SEC(".maps");

static __always_inline struct weir_net_recent *net_recent_of(u64 cookie, u64 generation)
{
	u32 at = bpf_get_smp_processor_id() * 2 + (generation & 1);
	struct net_recents *all = bpf_map_lookup_elem(&net_recent, &at);

	return all ? &all->slot[cookie & (WEIR_NET_RECENTS - 1)] : 0;
}

/* The socket, if it is that of an established TCP connection, else NULL. */
static __always_inline struct sock *net_established(struct __sk_buff *skb)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(skb);
	struct sock *sk = k->sk;

	if (!sk || sk->__sk_common.skc_state != WEIR_TCP_ESTABLISHED || sk->sk_protocol != NET_TCP)
		return 0;
	return sk;
}

/* Segments with payload that the other way has had so far: of the socket, modulo 2^32. */
static __always_inline u32 net_other_way(struct sock *sk, u32 dir)
{
	return dir ? weir_load(struct tcp_sock, sk, data_segs_out) : weir_load(struct tcp_sock, sk, data_segs_in);
}

static __always_inline bool net_recent_is4(const struct weir_net_recent *r, struct net_ip4 *ip, u32 s)
{
	return ip->version_ihl == 0x45 && ip->proto == NET_TCP && !(ip->frag & bpf_htons(0x3fff)) &&
	       *(u32 *)(r->key.addr[s] + 12) == ip->src && *(u32 *)(r->key.addr[s ^ 1] + 12) == ip->dst;
}

static __always_inline bool net_recent_is6(const struct weir_net_recent *r, struct net_ip6 *ip, u32 s)
{
	const u64 *src = (u64 *)r->key.addr[s], *dst = (u64 *)r->key.addr[s ^ 1];

	return ip->next == NET_TCP && src[0] == ip->src[0] && src[1] == ip->src[1] &&
	       dst[0] == ip->dst[0] && dst[1] == ip->dst[1];
}

static __always_inline void net_recent_add(struct weir_net_recent *r, u32 dir, u32 packets, u64 bytes, u32 flags)
{
	u32 tick = bpf_jiffies64();

	r->packets[dir] += packets;
	r->bytes[dir] += bytes;
	r->flags |= flags << 8 * dir;
	/* The coarse clock moves with the tick. */
	if (r->tick != tick) {
		r->tick = tick;
		r->last_ns = bpf_ktime_get_coarse_ns();
	}
}

/* True: the packet is counted. dir as in net_host(); a constant. */
static __always_inline bool net_recent_packet(struct __sk_buff *skb, bool v6, u32 dir, u64 generation)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct weir_knobs *knobs = weir_get_knobs();
	u32 header, len = skb->len, gso, packets = 1;
	struct sock *sk = net_established(skb);
	struct weir_net_recent *r;
	u64 cookie, bytes = len;
	bool counted;
	u8 *l4;

	if (!sk || !knobs || (u32)knobs->sample_threshold != ~0u)
		return false;
	cookie = sk->__sk_common.skc_cookie.counter;
	r = net_recent_of(cookie, generation);
	if (!r || r->cookie != cookie || !cookie)
		return false;
	l4 = data + (v6 ? 40 : 20);
	if ((void *)(l4 + 20) > end || !(v6 ? net_recent_is6(r, data, dir) : net_recent_is4(r, data, dir)))
		return false;
	if (bpf_ntohs(*(u16 *)l4) != r->key.port[dir] || bpf_ntohs(*(u16 *)(l4 + 2)) != r->key.port[dir ^ 1] ||
	    l4[13] & (NET_SYN | NET_FIN | NET_RST))
		return false;
	header = (v6 ? 40 : 20) + (l4[12] >> 4) * 4;
	if (len > header && net_other_way(sk, dir) != r->other[dir])
		return false;
	gso = skb->gso_size;
	if (gso) {
		packets = net_segment_count(len, header, gso);
		bytes += (u64)(packets - 1) * header;
	}
	if (__sync_val_compare_and_swap(&r->busy, 0, 1))
		return false;
	counted = r->cookie == cookie;
	if (counted)
		net_recent_add(r, dir, packets, bytes, l4[13]);
	*(volatile u32 *)&r->busy = 0;
	return counted;
}

/* What a slot holds, into the flow's entry. */
static __always_inline void net_recent_fold(const struct weir_net_recent *r, struct weir_flow_delta *d)
{
	for (u32 dir = 0; dir < 2; dir++) {
		if (!r->packets[dir])
			continue;
		__sync_fetch_and_add(&d->packets[dir], r->packets[dir]);
		__sync_fetch_and_add(&d->bytes[dir], r->bytes[dir]);
	}
	if (r->last_ns > d->first_ns && (r->last_ns - d->first_ns) >> 10 > d->span)
		d->span = (r->last_ns - d->first_ns) >> 10;
	net_set_word(d, r->flags);
}

/* Takes a slot, if what is in it can go. */
static __always_inline void net_recent_take(struct weir_net_recent *r, struct sock *sk, const struct net_packet *p,
                                            u64 cookie, u32 dir, u64 generation)
{
	struct weir_flow_delta *d = 0;

	if (__sync_val_compare_and_swap(&r->busy, 0, 1))
		return;
	if (r->cookie)
		d = net_find(&r->key, generation);
	if (d || !r->cookie) {
		if (d)
			net_recent_fold(r, d);
		r->cookie = cookie;
		r->packets[0] = r->packets[1] = r->bytes[0] = r->bytes[1] = 0;
		r->flags = 0;
		r->tick = 0;
		r->last_ns = 0;
		r->key = p->key;
		/* Payload of the other end, when it comes, is the slow path's. */
		r->other[dir] = net_other_way(sk, dir) - (p->len <= p->header);
		r->other[dir ^ 1] = net_other_way(sk, dir ^ 1) - 1;
	}
	*(volatile u32 *)&r->busy = 0;
}

/* A packet went the slow way, into an entry that is there: perhaps more follow. */
static __always_inline void net_recent_begin(struct __sk_buff *skb, const struct net_packet *p, u32 dir,
                                             u64 generation)
{
	struct sock *sk = net_established(skb);
	struct weir_net_recent *r;
	u64 cookie;

	if (!sk || p->weight != 1 || p->flags & (NET_SYN | NET_FIN | NET_RST))
		return;
	cookie = sk->__sk_common.skc_cookie.counter;
	r = net_recent_of(cookie, generation);
	if (!r || !cookie)
		return;
	if (r->cookie == cookie) {
		if (p->len > p->header)
			r->other[dir] = net_other_way(sk, dir);
	} else if (r->next == (u32)cookie) {
		net_recent_take(r, sk, p, cookie, dir, generation);
	} else {
		r->next = cookie;
	}
}

#endif
