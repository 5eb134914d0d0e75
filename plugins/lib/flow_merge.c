/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an interval gave, added to a flow.
 *
 * Counts add up and are exact. The rest is "the last known", "the first of the interval", or a
 * sum, as flow_key.h says of each. What may fail: memory for the owner or for the extension;
 * then that detail is not kept, and counted.
 */
#include "flow_priv.h"

#include <string.h>

#define TCP 6
#define SYN 2
#define IS_ICMP(p) ((p) == 1 || (p) == 58)

/* ---- owner ---------------------------------------------------------------------------------- */

enum weir_flow_owner flow_owner_of(const struct weir_flow_delta *d, struct flow_owner_entry *ret)
{
	if (!(d->bits & WEIR_FLOW_OWNER) || !d->pid)
		return WEIR_OWNER_NONE;
	*ret = (struct flow_owner_entry){ .cgroup = d->cgroup, .pid = d->pid, .uid = d->uid };
	memcpy(ret->comm, d->comm, sizeof ret->comm);
	if (!(d->bits & WEIR_FLOW_OWNER_WEAK))
		return WEIR_OWNER_USER;
	return d->bits & WEIR_FLOW_PASSIVE ? WEIR_OWNER_LISTENER : WEIR_OWNER_CREATOR;
}

static void put_owner(struct flow_table *t, uint32_t id)
{
	uint32_t place = ((struct flow_owner_entry *)flow_intern_at(&t->owners, id))->place;

	if (flow_intern_put(&t->owners, id) && place)
		flow_intern_put(&t->places, place);
}

/* Where it runs: asked while the process is likely to be there. */
static uint32_t place_of(struct flow_table *t, const struct flow_owner_entry *o)
{
	const struct owner_cgroup *c;
	struct flow_place *p, key = { .cgroup = o->cgroup };
	uint32_t id;
	bool new;

	if (!t->o.place)
		return 0;
	c = t->o.place(t->arg, o->cgroup, o->pid);
	if (!c || (!c->container[0] && !c->unit[0] && !c->pod[0]))
		return 0;
	id = flow_intern_get(t, &t->places, &key, &new);
	if (!id)
		return 0;
	p = flow_intern_at(&t->places, id);
	memcpy(p->container, c->container, sizeof p->container);
	memcpy(p->unit, c->unit, sizeof p->unit);
	memcpy(p->pod, c->pod, sizeof c->pod < sizeof p->pod ? sizeof c->pod : sizeof p->pod);
	return id;
}

void flow_set_owner(struct flow_table *t, struct flow_row *r, const struct flow_owner_entry *o,
                    enum weir_flow_owner from)
{
	uint32_t id;
	bool new;

	if (r->owner_from == WEIR_OWNER_USER && from != WEIR_OWNER_USER)
		return;
	if (!r->owner || memcmp(flow_intern_at(&t->owners, r->owner), o, FLOW_OWNER_KEY)) {
		id = flow_intern_get(t, &t->owners, o, &new);
		if (!id) {
			t->stats.lost_details++;
			return;
		}
		if (new)
			((struct flow_owner_entry *)flow_intern_at(&t->owners, id))->place =
				place_of(t, o);
		if (r->owner)
			put_owner(t, r->owner);
		r->owner = id;
	}
	r->owner_from = from & 3;
}

/* ---- what few flows have ---------------------------------------------------------------------- */

static void merge_ext(struct flow_table *t, struct flow_row *r, const struct flow_update *u)
{
	const struct weir_flow_delta *d = &u->d;
	bool tcp = r->key.proto == TCP;
	uint32_t again = tcp ? d->retransmits : 0, inside = tcp ? 0 : d->tunnel_type;
	struct flow_ext *e;

	if (!(d->drops | d->drop_reason | d->error | d->resets | again | inside | u->spi | u->outer))
		return;
	if (!r->ext)
		r->ext = flow_pool_get(t, &t->exts);
	if (!r->ext) {
		t->stats.lost_details++;
		return;
	}
	e = flow_pool_at(&t->exts, r->ext);
	e->drops += d->drops;
	e->retransmits += again;
	e->resets =
		(uint16_t)(e->resets + d->resets < UINT16_MAX ? e->resets + d->resets : UINT16_MAX);
	if (d->drop_reason)
		e->drop_reason = d->drop_reason;
	if (d->error)
		e->error = d->error;
	if (u->spi)
		e->spi = u->spi;
	if (u->outer) {
		e->outer = 1;
		memcpy(e->tunnel_src, u->tunnel_src, 16);
		memcpy(e->tunnel_dst, u->tunnel_dst, 16);
		e->tunnel_sport = u->tunnel_sport;
		e->tunnel_dport = u->tunnel_dport;
		e->tunnel_type = u->tunnel_type;
		e->tunnel_id = u->tunnel_id;
	} else if (inside && !e->outer) {
		e->tunnel_type = (uint8_t)d->tunnel_type;
		e->tunnel_id = d->tunnel_id;
	}
}

void flow_forget(struct flow_table *t, struct flow_row *r)
{
	if (r->owner)
		put_owner(t, r->owner);
	if (r->ext)
		flow_pool_put(&t->exts, r->ext);
	r->owner = r->ext = 0;
	r->alive = 0;
}

/* ---- the rest ---------------------------------------------------------------------------------- */

/* A turn: payload one way, then the other way. A wait begun in one interval may end in the
 * next; it counts if it is the responder's, since what passes until the next request is not
 * the network's time. */
static void merge_waits(struct flow_row *r, const struct weir_flow_delta *d)
{
	unsigned dir = !!(d->bits & WEIR_FLOW_TURN_DIR);
	uint64_t sum = d->wait_sum_ns, waits = d->waits;
	uint32_t turn = (uint32_t)(d->turn_ns >> 10), jitter = d->jitter_ns;

	if (!d->turn_ns)
		return;
	if (!waits && r->turned && dir == r->turn_dir)
		return;
	if (!waits && r->turned && dir != r->src && (int32_t)(turn - r->turn) >= 0) {
		uint64_t wait = (uint64_t)(turn - r->turn) << 10,
			 mean = r->waits ? r->wait_sum_ns / r->waits : wait;

		sum = wait;
		waits = 1;
		jitter = (uint32_t)(wait > mean ? wait - mean : mean - wait);
	}
	if (waits) {
		/* Smoothed as within the interval: 1/16 per wait, RFC 3550 6.4.1. */
		int64_t share = waits < 16 ? (int64_t)waits : 16;

		if (!r->waits)
			r->jitter_ns = jitter;
		else
			r->jitter_ns = (uint32_t)(r->jitter_ns +
						  ((int64_t)jitter - r->jitter_ns) * share / 16);
		r->wait_sum_ns += sum;
		r->waits += (uint32_t)waits;
	}
	r->turn = turn;
	r->turned = 1;
	r->turn_dir = dir & 1;
}

static void merge_header(struct flow_row *r, const struct weir_flow_delta *d)
{
	for (unsigned e = 0; e < 2; e++) {
		r->flags[e] |= d->flags[e];
		if (!d->ttl[e] || r->fresh >> e & 1)
			continue;
		r->fresh |= (1u << e) & 3;
		r->ttl[e] = d->ttl[e];
		r->tos[e] = d->tos[e];
		if (e)
			r->label1 = d->label[e] & 0xfffff;
		else
			r->label0 = d->label[e] & 0xfffff;
	}
	if (IS_ICMP(r->key.proto)) {
		for (unsigned e = 0; e < 2; e++) {
			if (!(d->icmp_seen >> e & 1))
				continue;
			r->icmp_seen |= (1u << e) & 3;
			r->icmp_type[e] = d->icmp_type[e];
			r->icmp_code[e] = d->icmp_code[e];
		}
	}
}

static void merge_tcp(struct flow_row *r, const struct weir_flow_delta *d)
{
	if (d->synack_ns > r->first_ns && r->syn_first && !r->handshake) {
		uint64_t units = (d->synack_ns - r->first_ns) >> FLOW_HANDSHAKE_SHIFT;

		r->handshake = units > UINT32_MAX ? UINT32_MAX : units ? (uint32_t)units : 1;
	}
	if (d->srtt_us)
		r->srtt_us = d->srtt_us & 0x3fffffff;
	flow_tcp_state(r, d);
}

/* Would the deltas of this interval overflow? Then they must go out first. */
bool flow_merge_fits(const struct flow_row *r, const struct weir_flow_delta *d)
{
	for (unsigned e = 0; e < 2; e++)
		if (d->packets[e] > UINT32_MAX - r->delta_packets[e] ||
		    d->bytes[e] > FLOW_BYTES_MAX - flow_delta_bytes(r, e))
			return false;
	return true;
}

void flow_begin(struct flow_table *t, struct flow_row *r, const struct flow_update *u)
{
	uint32_t next = r->next;
	enum flow_rank rank;

	memset(r, 0, sizeof *r);
	r->next = next;
	r->key = u->key;
	r->first_ns = r->last_ns = u->d.first_ns ? u->d.first_ns : t->now;
	r->src = flow_initiator(t, &u->key, &u->d, &rank) & 1;
	r->rank = rank & 7;
	r->record_tick = (uint16_t)(r->first_ns >> FLOW_TICK_SHIFT);
	r->syn_first = u->key.proto == TCP && u->d.flags[r->src] & SYN;
	r->start_due = t->o.start_records;
	r->alive = 1;
}

void flow_merge(struct flow_table *t, struct flow_row *r, const struct flow_update *u)
{
	const struct weir_flow_delta *d = &u->d;
	struct flow_owner_entry owner;
	enum weir_flow_owner from = flow_owner_of(d, &owner);
	enum flow_rank rank;
	unsigned src;

	for (unsigned e = 0; e < 2; e++) {
		uint64_t bytes = flow_delta_bytes(r, e) + d->bytes[e];

		r->packets[e] += d->packets[e];
		r->bytes[e] += d->bytes[e];
		r->delta_packets[e] += (uint32_t)d->packets[e];
		r->delta_bytes[e] = (uint32_t)bytes;
		r->delta_bytes_high[e] = (uint16_t)(bytes >> 32);
	}
	if (d->first_ns) {
		uint64_t last = d->first_ns + ((uint64_t)d->span << 10);

		r->first_ns = d->first_ns < r->first_ns ? d->first_ns : r->first_ns;
		r->last_ns = last > r->last_ns ? last : r->last_ns;
	}
	if (!r->recorded) {
		src = flow_initiator(t, &u->key, d, &rank);
		if (rank > r->rank) {
			r->src = src & 1;
			r->rank = rank & 7;
		}
	}
	merge_header(r, d);
	if (d->bits & WEIR_FLOW_CLOSED)
		r->closed = 1;
	if (r->key.proto == TCP)
		merge_tcp(r, d);
	merge_waits(r, d);
	merge_ext(t, r, u);
	/* An accepted socket was made by nobody: what it has by birth is its listener's. */
	if (from == WEIR_OWNER_CREATOR && r->key.proto == TCP && r->key.scope == WEIR_FLOW_HOST &&
	    r->src && r->rank > FLOW_RANK_FIRST)
		from = WEIR_OWNER_LISTENER;
	if (from)
		flow_set_owner(t, r, &owner, from);
	if (d->cookie)
		r->cookie = d->cookie;
	if (d->ifindex)
		r->ifindex = d->ifindex;
	if (d->bits & WEIR_FLOW_SAMPLED)
		r->sampled = 1;
	if (u->approx)
		r->approx = 1;
	if (u->source)
		r->source = u->source & 7;
}
