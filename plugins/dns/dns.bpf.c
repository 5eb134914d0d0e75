/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * dns in the kernel: copies DNS packets of local sockets to user space, with the socket's
 * owner. At the root of the cgroup tree, so every network namespace is seen, and whole
 * datagrams: what is sent before fragmentation, what is received after reassembly.
 *
 * All other packets cost the IP header's parse and two loads from a bitmap for the ports. Between
 * two sockets over the loopback interface only the client's side is taken, so that a question
 * is seen once. Nothing is decided about names here.
 * Failure: no room in the ring is counted as ring_full; a packet that cannot be parsed is not
 * DNS. Runs in process context or softirq, also nested.
 */
#include "owner_fill.bpf.h"

#include "dns_events.h"
#include <bpf/bpf_endian.h>

#define DNS_UDP 17
#define DNS_TCP 6
#define DNS_LOOPBACK 1 /* interface index of lo in every namespace (LOOPBACK_IFINDEX) */
#define DNS_EXTENSIONS 6

/* Ports in two steps: a bit for each port modulo 4096, which nearly all packets fail, then
 * the list. */
const volatile __u64 dns_port_bits[64] = {};
const volatile __u16 dns_ports[16] = {};
const volatile __u32 dns_payload = 1232;   /* bytes copied of a packet's payload at most */

/* 6.1 (cast from context); weak: absent before. */
extern void *bpf_cast_to_kern_ctx(void *obj) __ksym __weak;

struct dns_head {
	u64 src[2], dst[2];
	u32 l4;         /* offset of the transport header */
	u32 end;        /* of the packet, without padding */
	u8 proto;
};

static __always_inline bool dns_is_port(u16 port)
{
	if (!(dns_port_bits[port >> 6 & 63] >> (port & 63) & 1))
		return false;
	for (int i = 0; i < 16 && dns_ports[i]; i++)
		if (dns_ports[i] == port)
			return true;
	return false;
}

static __always_inline bool dns_parse4(struct __sk_buff *skb, struct dns_head *h)
{
	struct { u8 vihl, tos; u16 len, id, frag; u8 ttl, proto; u16 check; u32 src, dst; } ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip))
		return false;
	h->src[0] = h->dst[0] = 0;
	h->src[1] = (u64)ip.src << 32 | 0xffff0000u;
	h->dst[1] = (u64)ip.dst << 32 | 0xffff0000u;
	h->proto = ip.proto;
	h->l4 = (ip.vihl & 15) * 4;
	h->end = skb->gso_size ? skb->len : bpf_ntohs(ip.len);
	return !(ip.frag & bpf_htons(0x1fff));
}

static __always_inline bool dns_parse6(struct __sk_buff *skb, struct dns_head *h)
{
	struct { u32 label; u16 len; u8 next, hops; u64 src[2], dst[2]; } ip;
	u32 off = sizeof ip;
	u8 next;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip))
		return false;
	h->src[0] = ip.src[0];
	h->src[1] = ip.src[1];
	h->dst[0] = ip.dst[0];
	h->dst[1] = ip.dst[1];
	h->end = skb->gso_size || !ip.len ? skb->len : bpf_ntohs(ip.len) + sizeof ip;
	next = ip.next;
	for (int i = 0; i < DNS_EXTENSIONS; i++) {
		u8 e[2];

		if (next == DNS_UDP || next == DNS_TCP)
			break;
		if (next != 0 && next != 43 && next != 60 && next != 44)
			return false;
		if (bpf_skb_load_bytes(skb, off, e, sizeof e))
			return false;
		off += next == 44 ? 8 : (e[1] + 1) * 8;
		next = e[0];
	}
	h->proto = next;
	h->l4 = off;
	return next == DNS_UDP || next == DNS_TCP;
}

static __always_inline u64 dns_netns(struct __sk_buff *skb, const struct weir_owner *o)
{
	if (weir_has_cast) {
		struct sk_buff *k = bpf_cast_to_kern_ctx(skb);
		struct sock *s = k->sk;

		return s ? s->__sk_common.skc_net.net->net_cookie : 0;
	}
	return o ? o->netns : 0;
}

struct dns_found {
	u32 payload, len, seq;
	u16 sport, dport;
	u8 flags, egress;
	u64 by;         /* the same for a question and its answer */
};

static __always_inline void dns_fill(struct __sk_buff *skb, const struct dns_head *h,
                                     const struct dns_found *f, struct weir_dns_packet *r)
{
	struct bpf_sock *sk = skb->sk;
	struct weir_owner *o = 0;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk)
		o = bpf_sk_storage_get(&weir_owners, sk, 0, 0);
	__builtin_memcpy(r->src, h->src, 16);
	__builtin_memcpy(r->dst, h->dst, 16);
	r->sport = f->sport;
	r->dport = f->dport;
	r->len = f->len;
	r->seq = f->seq;
	r->ifindex = skb->ifindex;
	/* A socket of UDP is nobody's clone, so what is noted is its own. */
	if (o && h->proto == DNS_UDP && o->netns) {
		r->netns = o->netns;
		r->cookie = o->cookie;
	} else {
		r->netns = dns_netns(skb, o);
		r->cookie = bpf_get_socket_cookie(skb);
	}
	r->cgroup = o ? o->cgroup : 0;
	r->pid = o ? o->pid : 0;
	r->uid = o ? o->uid : 0;
	r->owned = o != 0;
	r->proto = h->proto;
	r->tcp_flags = f->flags;
	r->egress = f->egress;
	if (o)
		__builtin_memcpy(r->comm, o->comm, sizeof r->comm);
	else
		__builtin_memset(r->comm, 0, sizeof r->comm);
	__builtin_memset(r->pad, 0, sizeof r->pad);
}

enum dns_sight { DNS_LOOK, DNS_NOT, DNS_IS };

/* Most packets by far: IPv4 without options, headers in the linear part. Read in place: no
 * helper is called for a packet of other ports, of a server's side, or a datagram of DNS.
 * DNS_LOOK: it is something else, which the long way looks at; DNS_IS: h and f say all. */
static __always_inline enum dns_sight dns_quick(struct __sk_buff *skb, struct dns_head *h, struct dns_found *f)
{
	struct {
		u8 vihl, tos; u16 len, id, frag; u8 ttl, proto; u16 check; u32 src, dst;
		u16 sport, dport, ulen, ucheck, dns_id, dns_flags; /* of UDP */
	} *ip = (void *)(long)skb->data;
	u16 sport, dport, len;
	bool from, to;

	if (skb->protocol != bpf_htons(0x0800) || (void *)(ip + 1) > (void *)(long)skb->data_end)
		return DNS_LOOK;
	if (ip->vihl != 0x45 || (ip->proto != DNS_UDP && ip->proto != DNS_TCP))
		return DNS_LOOK;
	sport = bpf_ntohs(ip->sport);
	dport = bpf_ntohs(ip->dport);
	from = dns_is_port(sport);
	to = dns_is_port(dport);
	if (!from && !to)
		return DNS_NOT;
	/* Between two ports of DNS only the header says which side is the server's. */
	if (skb->ifindex == DNS_LOOPBACK && !(f->egress ? to : from))
		return DNS_NOT;
	if (ip->proto != DNS_UDP || skb->gso_size)
		return DNS_LOOK;
	if ((ip->frag & bpf_htons(0x1fff)) || bpf_ntohs(ip->len) > skb->len)
		return DNS_NOT;
	len = bpf_ntohs(ip->ulen);
	if (len < 8 + 12 || len > bpf_ntohs(ip->len) - 20)
		return DNS_NOT;
	if (skb->ifindex == DNS_LOOPBACK && f->egress == (bpf_ntohs(ip->dns_flags) >> 15))
		return DNS_NOT; /* the server's side */
	h->src[1] = (u64)ip->src << 32 | 0xffff0000u;
	h->dst[1] = (u64)ip->dst << 32 | 0xffff0000u;
	h->proto = DNS_UDP;
	f->sport = sport;
	f->dport = dport;
	f->payload = 20 + 8;
	f->len = len - 8;
	f->by = (u64)ip->dns_id << 32 | 1;
	return DNS_IS;
}

/* A ring's record has a size that is known beforehand: the smallest of these that is enough. The
 * length is compared again where it is used, in a way that no compiler takes away or apart: the verifier
 * of 6.1 has forgotten the comparison before, and does not learn from one with 0 that it is not. */
#define DNS_TAKE(n)                                                                        \
	if (want <= (n)) {                                                                 \
		struct weir_dns_packet *r = weir_reserve_by(WEIR_DNS_PACKET, sizeof *r + (n), f->by); \
		u64 but_one = (u64)want - 1;                                               \
		if (!r)                                                                    \
			return;                                                            \
		dns_fill(skb, h, f, r);                                                    \
		r->copied = 0;                                                             \
		asm volatile("" : "+r"(but_one));                                          \
		if (but_one < (n) && !bpf_skb_load_bytes(skb, f->payload, r + 1, but_one + 1)) \
			r->copied = want;                                                  \
		weir_submit(r);                                                            \
		return;                                                                    \
	}
static __always_inline void dns_take(struct __sk_buff *skb, const struct dns_head *h,
                                     const struct dns_found *f)
{
	u32 want = f->len < dns_payload ? f->len : dns_payload;

	asm volatile("" : "+r"(want)); /* one value for the verifier, checked below */
	DNS_TAKE(64)
	DNS_TAKE(128)
	DNS_TAKE(256)
	DNS_TAKE(512)
	DNS_TAKE(1280)
	want = want < 4096 ? want : 4096;
	DNS_TAKE(4096)
}

static __always_inline void dns_udp(struct __sk_buff *skb, const struct dns_head *h,
                                    struct dns_found *f)
{
	struct { u16 sport, dport, len, check; u16 id, flags; } u;
	u32 len;

	if (bpf_skb_load_bytes(skb, h->l4, &u, sizeof u))
		return; /* shorter than a DNS header */
	f->sport = bpf_ntohs(u.sport);
	f->dport = bpf_ntohs(u.dport);
	if (!dns_is_port(f->sport) && !dns_is_port(f->dport))
		return;
	len = bpf_ntohs(u.len);
	if (len < 8 + 12 || len > h->end - h->l4)
		return;
	if (skb->ifindex == DNS_LOOPBACK && f->egress == (u.flags >> 7 & 1))
		return; /* the server's side: its socket's peer has it too */
	f->payload = h->l4 + 8;
	f->len = len - 8;
	f->by = (u64)u.id << 32 | 1; /* never 0, which says no; an id may be */
}

static __always_inline void dns_tcp(struct __sk_buff *skb, const struct dns_head *h,
                                    struct dns_found *f)
{
	struct { u16 sport, dport; u32 seq, ack; u8 off, flags; } t;
	u32 header;
	bool server;

	if (bpf_skb_load_bytes(skb, h->l4, &t, 14))
		return;
	f->sport = bpf_ntohs(t.sport);
	f->dport = bpf_ntohs(t.dport);
	server = dns_is_port(f->sport);
	if (!server && !dns_is_port(f->dport))
		return;
	if (skb->ifindex == DNS_LOOPBACK && f->egress == server)
		return;
	header = h->l4 + (t.off >> 4) * 4;
	f->len = h->end > header ? h->end - header : 0;
	if (!f->len && !(t.flags & 7))
		return; /* a bare acknowledgement */
	f->payload = header;
	f->seq = bpf_ntohl(t.seq);
	f->flags = t.flags;
	f->by = 1; /* with ports and addresses: the whole connection */
}

/* IPv6, TCP, options, extension headers: whatever dns_quick() has not decided. */
static __always_inline bool dns_look(struct __sk_buff *skb, struct dns_head *h, struct dns_found *f)
{
	u32 proto = skb->protocol;

	if (proto == bpf_htons(0x0800)) {
		if (!dns_parse4(skb, h))
			return false;
	} else if (proto != bpf_htons(0x86dd) || !dns_parse6(skb, h)) {
		return false;
	}
	if (h->end > skb->len || h->l4 > h->end)
		return false;
	if (h->proto == DNS_UDP)
		dns_udp(skb, h, f);
	else if (h->proto == DNS_TCP)
		dns_tcp(skb, h, f);
	return f->by;
}

static __always_inline int dns_packet(struct __sk_buff *skb, u8 egress)
{
	struct dns_found f = { .egress = egress };
	struct dns_head h = {};
	enum dns_sight sight = dns_quick(skb, &h, &f);

	if (sight == DNS_NOT || (sight == DNS_LOOK && !dns_look(skb, &h, &f)))
		return 1;
	f.by += (f.sport ^ f.dport) + (h.src[0] ^ h.dst[0]) + (h.src[1] ^ h.dst[1]);
	dns_take(skb, &h, &f);
	return 1;
}

/* Sockets older than Weir: who has them open. Run once at start, over all open files. */
SEC("iter/task_file")
int dns_sockets(struct bpf_iter__task_file *ctx)
{
	return weir_owner_by_file(ctx);
}

SEC("cgroup_skb/egress")
int WEIR_SKB_PROG(dns_egress, skb, 1)
{
	return dns_packet(skb, 1);
}

SEC("cgroup_skb/ingress")
int WEIR_SKB_PROG(dns_ingress, skb, 1)
{
	return dns_packet(skb, 0);
}
