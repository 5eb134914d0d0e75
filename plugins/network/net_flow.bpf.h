/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Part of network.bpf.c: the two maps of flows, and how a packet is added to one.
 *
 * One map is filled while user space drains the other, so nothing is ever written back.
 * Common path of a packet: one lookup, two atomic adds. A map without room: the packet goes
 * over the ring as a record, and what finds no room there either is counted per CPU.
 */
#ifndef NET_FLOW_BPF_H
#define NET_FLOW_BPF_H

#include "weir_bpf.h"
#include "weir_drift.h"
#include "network_events.h"
#include "network_maps.h"

/* ---- constants, written by prepare() before load ------------------------------------ */

const volatile struct weir_net_filter net_filter = {};
const volatile bool net_filtering = false;  /* any filter at all */
const volatile u16 net_vxlan_port = 4789, net_geneve_port = 6081, net_wireguard_port = 51820;

/* ---- maps ---------------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_net_control);
} net_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_net_cpu);
} net_cpu SEC(".maps");

struct net_flows {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct weir_flow_key);
	__type(value, struct weir_flow_delta);
};
struct net_flows net_flows_a SEC(".maps");
struct net_flows net_flows_b SEC(".maps");

static __always_inline struct weir_net_cpu *net_this_cpu(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&net_cpu, &cpu);
}

static __always_inline struct weir_net_control *net_get_control(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&net_control, &zero);
}

static __always_inline u64 net_generation(void)
{
	struct weir_net_control *c = net_get_control();

	return c ? c->generation & 1 : 0;
}

static __always_inline struct weir_flow_delta *net_find(const struct weir_flow_key *k, u64 generation)
{
	if (generation)
		return bpf_map_lookup_elem(&net_flows_b, k);
	return bpf_map_lookup_elem(&net_flows_a, k);
}

static __always_inline long net_insert(const struct weir_flow_key *k, const struct weir_flow_delta *d,
                                       u64 generation)
{
	if (generation)
		return bpf_map_update_elem(&net_flows_b, k, d, BPF_NOEXIST);
	return bpf_map_update_elem(&net_flows_a, k, d, BPF_NOEXIST);
}

/* ---- a packet, taken apart -------------------------------------------------------------- */

#define NET_FIN 1
#define NET_SYN 2
#define NET_RST 4
#define NET_ACK 16

struct net_packet {
	struct weir_flow_key key;
	u64 bytes;              /* from the IP header on, of all segments */
	u32 packets;            /* segments */
	u32 len;                /* from the IP header on */
	u32 header;             /* IP and transport */
	u32 label;
	u32 tunnel_id;
	u8 tos, ttl, flags;
	u8 icmp_type, icmp_code, tunnel_type;
	u32 weight;             /* of sampling: 1 none; see net_keep() */
};

/* flags[], state and bits of a delta as the one word that is updated atomically. */
#define NET_WORD(d) ((u32 *)&(d)->flags[0])
#define NET_WORD_BITS(b) ((u32)(b) << 24)
_Static_assert(__builtin_offsetof(struct weir_flow_delta, flags) % 4 == 0, "one word");
_Static_assert(__builtin_offsetof(struct weir_flow_delta, bits) ==
               __builtin_offsetof(struct weir_flow_delta, flags) + 3, "one word");

static __always_inline void net_set_word(struct weir_flow_delta *d, u32 want)
{
	u32 *w = NET_WORD(d);

	if ((*(volatile u32 *)w & want) != want)
		__sync_fetch_and_or(w, want);
}

static __always_inline bool net_is_icmp(const struct net_packet *p)
{
	return p->key.proto == 1 || p->key.proto == 58;
}

/* What is kept of the first packet each way in an interval. */
static __always_inline void net_first_way(struct weir_flow_delta *d, const struct net_packet *p, u32 dir)
{
	d->tos[dir] = p->tos;
	d->ttl[dir] = p->ttl ? p->ttl : 1;
	d->label[dir] = p->label;
}

/* Payload one way, then the other: what lies between is a wait. Only those of the end
 * that answers count (the one with the lower port, by far the more likely server): the
 * other's are its user's thinking. Races of two CPUs cost an estimate, not a count. */
static __always_inline void net_turn(struct weir_flow_delta *d, const struct net_packet *p, u32 dir)
{
	u32 bit = dir ? WEIR_FLOW_TURN_DIR : 0;
	u64 now, wait, mean, change;
	bool answers;

	if (d->turn_ns && (d->bits & WEIR_FLOW_TURN_DIR) == bit)
		return;
	now = bpf_ktime_get_ns();
	answers = dir ? p->key.port[1] <= p->key.port[0] : p->key.port[0] <= p->key.port[1];
	if (d->turn_ns && answers) {
		wait = now - d->turn_ns;
		__sync_fetch_and_add(&d->wait_sum_ns, wait);
		d->waits++;
		mean = d->wait_sum_ns / d->waits;
		change = wait > mean ? wait - mean : mean - wait;
		d->jitter_ns += ((s64)change - (s64)d->jitter_ns) >> 4;
	}
	d->turn_ns = now;
	if (dir)
		__sync_fetch_and_or(NET_WORD(d), NET_WORD_BITS(WEIR_FLOW_TURN_DIR));
	else
		__sync_fetch_and_and(NET_WORD(d), ~NET_WORD_BITS(WEIR_FLOW_TURN_DIR));
}

static __always_inline void net_icmp(struct weir_flow_delta *d, const struct net_packet *p, u32 dir)
{
	d->icmp_type[dir] = p->icmp_type;
	d->icmp_code[dir] = p->icmp_code;
	d->icmp_seen |= 1 << dir;
}

/* The rare things of a packet: a SYN, a RST, ICMP. */
static __always_inline void net_special(struct weir_flow_delta *d, const struct net_packet *p, u32 dir)
{
	if (net_is_icmp(p)) {
		net_icmp(d, p, dir);
		return;
	}
	if ((p->flags & (NET_SYN | NET_ACK)) == (NET_SYN | NET_ACK) && !d->synack_ns)
		d->synack_ns = bpf_ktime_get_ns();
	if (p->flags & NET_RST && d->resets < 255)
		d->resets++;
}

/* Bits that a packet shows: which end called, and that its count is an estimate. */
static __always_inline u32 net_bits(const struct net_packet *p, u32 dir)
{
	u32 bits = p->weight > 1 ? WEIR_FLOW_SAMPLED : 0;

	if (p->key.scope == WEIR_FLOW_HOST && (p->flags & (NET_SYN | NET_ACK)) == NET_SYN)
		bits |= dir ? WEIR_FLOW_PASSIVE : WEIR_FLOW_ACTIVE;
	return bits;
}

/* dir: which end sent it; a constant where the packet is parsed. Returns how many packets the
 * flow had before, in this direction. */
static __always_inline u64 net_add(struct weir_flow_delta *d, const struct net_packet *p, u32 dir, u64 now)
{
	u64 before;

	before = __sync_fetch_and_add(&d->packets[dir], p->packets * (u64)p->weight);
	__sync_fetch_and_add(&d->bytes[dir], p->bytes * p->weight);
	if (now > d->first_ns)
		d->span = (now - d->first_ns) >> 10;
	net_set_word(d, (u32)p->flags << 8 * dir | NET_WORD_BITS(net_bits(p, dir)));
	if (!d->ttl[dir])
		net_first_way(d, p, dir);
	if (p->len > p->header && !net_is_icmp(p))
		net_turn(d, p, dir);
	if (p->flags & (NET_SYN | NET_RST) || net_is_icmp(p))
		net_special(d, p, dir);
	return before;
}

/* The first packet of a flow in this interval. d is zero. */
static __always_inline void net_begin(struct weir_flow_delta *d, const struct net_packet *p, u32 dir)
{
	d->packets[dir] = p->packets * (u64)p->weight;
	d->bytes[dir] = p->bytes * p->weight;
	d->first_ns = bpf_ktime_get_ns();
	d->flags[dir] = p->flags;
	d->bits = net_bits(p, dir) | (dir ? WEIR_FLOW_FIRST_DIR : 0);
	net_first_way(d, p, dir);
	if (p->flags & (NET_SYN | NET_RST) || net_is_icmp(p))
		net_special(d, p, dir);
	else if (p->len > p->header) {
		d->turn_ns = d->first_ns;
		d->bits |= dir ? WEIR_FLOW_TURN_DIR : 0;
	}
	if (p->tunnel_type) {
		d->tunnel_type = p->tunnel_type;
		d->tunnel_id = p->tunnel_id;
	}
}

/* ---- records that user space takes up ------------------------------------------------------ */

/* As weir_reserve(), but never sampled: what goes this way was counted in full, or was
 * sampled as a packet already. */
static __always_inline void *net_reserve(u32 kind, u32 size)
{
	u32 len = (sizeof(struct weir_record) + size + 7) & ~7u;
	u32 cpu = bpf_get_smp_processor_id();
	struct weir_cpu *c = bpf_map_lookup_elem(&weir_cpu, &cpu);
	void *ring = bpf_map_lookup_elem(&weir_rings, &cpu);
	struct weir_record *r = 0;

	kind &= WEIR_MAX_KINDS - 1;
	if (!c)
		return 0;
	__sync_fetch_and_add(&c->kind[kind].seen, 1);
	if (ring)
		r = bpf_ringbuf_reserve(ring, len, 0);
	if (!r) {
		__sync_fetch_and_add(&c->kind[kind].ring_full, 1);
		return 0;
	}
	r->len = len;
	r->kind = kind;
	r->flags = 0;
	r->time_ns = bpf_ktime_get_ns();
	r->weight = 1;
	r->cpu = cpu;
	return r + 1;
}

static __always_inline void net_overflow(const struct weir_flow_key *k, const struct weir_flow_delta *d)
{
	struct weir_net_cpu *c = net_this_cpu();
	struct weir_net_overflow *o;

	if (!c)
		return;
	__sync_fetch_and_add(&c->overflows, 1);
	/* Tested at once, with nothing in between: before 6.2 the verifier believes no other. */
	o = net_reserve(WEIR_NET_OVERFLOW, sizeof *o);
	if (!o) {
		__sync_fetch_and_add(&c->lost_packets, d->packets[0] + d->packets[1]);
		__sync_fetch_and_add(&c->lost_bytes, d->bytes[0] + d->bytes[1]);
		return;
	}
	o->key = *k;
	o->delta = *d;
	weir_submit(o);
}

/* A new flow with its first packet. Another CPU may have been first: then add to its. */
static __always_inline void net_new(const struct net_packet *p, u32 dir,
                                    const struct weir_flow_delta *d, u64 generation)
{
	struct weir_net_cpu *c = net_this_cpu();
	struct weir_flow_delta *other;
	long rc;

	rc = net_insert(&p->key, d, generation);
	if (!rc) {
		if (c)
			__sync_fetch_and_add(&c->inserts, 1);
		return;
	}
	other = net_find(&p->key, generation);
	if (other)
		net_add(other, p, dir, d->first_ns);
	else
		net_overflow(&p->key, d);
}

/* ---- sampling --------------------------------------------------------------------------------- */

/* Under pressure: count only some packets, and those for the others too. Packets that
 * begin or end a connection always count, as one. False: left out, and counted so. */
static __always_inline bool net_keep(struct net_packet *p)
{
	struct weir_knobs *knobs = weir_get_knobs();
	struct weir_net_cpu *c;
	u64 sampling;

	p->weight = 1;
	if (!knobs)
		return true;
	sampling = *(volatile u64 *)&knobs->sample_threshold;
	if ((u32)sampling == ~0u || p->flags & (NET_SYN | NET_FIN | NET_RST))
		return true;
	c = net_this_cpu();
	if (!c)
		return true;
	c->random = c->random * 6364136223846793005ull + 1442695040888963407ull;
	if (weir__mix(c->random) <= (u32)sampling) {
		p->weight = sampling >> 32;
		return true;
	}
	__sync_fetch_and_add(&c->sampled_packets, p->packets);
	__sync_fetch_and_add(&c->sampled_bytes, p->bytes);
	weir_count(WEIR_NET_FLOW, sampled);
	return false;
}

#endif
