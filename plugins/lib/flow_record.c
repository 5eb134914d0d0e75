/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow as a record: everything in one frame, the initiator is the source.
 */
#include "flow_priv.h"

#include "community_id.h"
#include <string.h>

#define TCP 6
#define IS_ICMP(p) ((p) == 1 || (p) == 58)

static bool is_v4(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	return !memcmp(a, mapped, 12);
}

static uint32_t netns_inode(const struct flow_table *t, uint64_t cookie)
{
	return cookie && t->netns[cookie % FLOW_NETNS].cookie == cookie ?
	       t->netns[cookie % FLOW_NETNS].inode : 0;
}

static enum weir_flow_direction direction(const struct flow_table *t, const struct flow_row *r)
{
	bool ours, theirs;

	if (r->rank <= FLOW_RANK_FIRST) /* a guess is no role */
		return WEIR_DIR_INTERNAL;
	if (r->key.scope == WEIR_FLOW_HOST)
		return r->src ? WEIR_DIR_SERVER : WEIR_DIR_CLIENT;
	ours = flow_is_local(t, r->key.addr[r->src]);
	theirs = flow_is_local(t, r->key.addr[!r->src]);
	return ours == theirs ? WEIR_DIR_INTERNAL : ours ? WEIR_DIR_CLIENT : WEIR_DIR_SERVER;
}

static void fill_counts(const struct flow_row *r, struct weir_flow *o)
{
	unsigned s = r->src, d = !s;

	o->packets_delta = r->delta_packets[s];
	o->bytes_delta = flow_delta_bytes(r, s);
	o->packets_total = r->packets[s];
	o->bytes_total = r->bytes[s];
	o->reverse_packets_delta = r->delta_packets[d];
	o->reverse_bytes_delta = flow_delta_bytes(r, d);
	o->reverse_packets_total = r->packets[d];
	o->reverse_bytes_total = r->bytes[d];
}

static void fill_headers(const struct flow_row *r, struct weir_flow *o)
{
	unsigned s = r->src, d = !s;

	o->dscp = r->tos[s] >> 2;
	o->ecn = r->tos[s] & 3;
	o->ttl = r->ttl[s];
	o->flow_label = flow_label(r, s);
	o->reverse_dscp = r->tos[d] >> 2;
	o->reverse_ecn = r->tos[d] & 3;
	o->reverse_ttl = r->ttl[d];
	o->reverse_flow_label = flow_label(r, d);
	if (IS_ICMP(r->key.proto)) {
		o->icmp_type = r->icmp_type[s];
		o->icmp_code = r->icmp_code[s];
		o->reverse_icmp_type = r->icmp_type[d];
		o->reverse_icmp_code = r->icmp_code[d];
		return;
	}
	if (r->key.proto != TCP)
		return;
	o->tcp_flags = r->flags[s];
	o->reverse_tcp_flags = r->flags[d];
	o->state = r->state;
	o->handshake_latency_ns = (uint64_t)r->handshake << FLOW_HANDSHAKE_SHIFT;
	o->srtt_ns = r->srtt_us * 1000ull;
}

static void fill_owner(const struct flow_table *t, const struct flow_row *r, struct weir_flow *o)
{
	const struct flow_owner_entry *e;
	const struct flow_place *p;

	if (!r->owner)
		return;
	e = flow_intern_at(&t->owners, r->owner);
	o->pid = e->pid;
	o->uid = e->uid;
	o->cgroup_id = e->cgroup;
	o->owner_from = r->owner_from;
	memcpy(o->comm, e->comm, sizeof o->comm);
	if (!e->place)
		return;
	p = flow_intern_at(&t->places, e->place);
	memcpy(o->container_id, p->container, sizeof o->container_id);
	memcpy(o->unit, p->unit, sizeof o->unit);
	memcpy(o->pod_uid, p->pod, sizeof o->pod_uid);
}

static void fill_ext(const struct flow_table *t, const struct flow_row *r, struct weir_flow *o)
{
	const struct flow_ext *e;

	if (!r->ext)
		return;
	e = flow_pool_at(&t->exts, r->ext);
	o->drops = e->drops;
	o->drop_number = e->drop_reason;
	o->retransmits = e->retransmits;
	o->resets = e->resets;
	o->error = e->error;
	o->spi = e->spi;
	o->tunnel_type = e->tunnel_type;
	o->tunnel_id = e->tunnel_id;
	if (!e->outer)
		return;
	memcpy(o->tunnel_source_address, e->tunnel_src, 16);
	memcpy(o->tunnel_destination_address, e->tunnel_dst, 16);
	o->tunnel_source_port = e->tunnel_sport;
	o->tunnel_destination_port = e->tunnel_dport;
}

void flow_fill(const struct flow_table *t, const struct flow_row *r, struct weir_flow *o)
{
	const struct weir_flow_key *k = &r->key;
	unsigned s = r->src, d = !s;
	bool ports = !IS_ICMP(k->proto);

	memset(o, 0, sizeof *o);
	o->start_ns = r->first_ns;
	o->end_ns = r->last_ns;
	memcpy(o->source_address, k->addr[s], 16);
	memcpy(o->destination_address, k->addr[d], 16);
	o->source_port = ports ? k->port[s] : 0;
	o->destination_port = ports ? k->port[d] : 0;
	o->transport = k->proto;
	o->type = !is_v4(k->addr[0]);
	o->scope = k->scope;
	o->vlan = k->vlan;
	o->netns_cookie = k->netns;
	o->netns = netns_inode(t, k->netns);
	o->socket_cookie = r->cookie;
	o->interface_index = r->ifindex;
	o->direction = (uint8_t)direction(t, r);
	o->sampled = r->sampled;
	o->approx = r->approx;
	o->waits = r->waits;
	o->latency_ns = r->waits ? r->wait_sum_ns / r->waits : 0;
	o->jitter_ns = r->jitter_ns;
	strncpy(o->source_name, t->sources[r->source], sizeof o->source_name - 1);
	fill_counts(r, o);
	fill_headers(r, o);
	fill_owner(t, r, o);
	fill_ext(t, r, o);
}

/* As in a packet of the flow: the initiator's, unless only the other end was ever seen. */
static void fill_community_id(const struct flow_table *t, const struct flow_row *r,
                              struct weir_flow *o)
{
	unsigned s = r->src;
	uint16_t sport = r->key.port[s], dport = r->key.port[!s];

	if (IS_ICMP(r->key.proto)) {
		if (!(r->icmp_seen >> s & 1))
			s = !s;
		sport = r->icmp_type[s];
		dport = r->icmp_code[s];
	}
	community_id(t->o.community_id_seed, r->key.addr[s], r->key.addr[!s], r->key.proto, sport,
		     dport, o->community_id);
}

int flow_emit(struct flow_table *t, struct flow_row *r, enum weir_flow_event event,
              enum weir_flow_end_reason why)
{
	struct weir_flow o;
	int rc;

	flow_fill(t, r, &o);
	fill_community_id(t, r, &o);
	o.phase = (uint8_t)event;
	o.end_reason = (uint8_t)why;
	rc = t->emit(t->arg, &o);
	if (rc < 0)
		return rc;
	t->stats.records++;
	for (unsigned e = 0; e < 2; e++) {
		t->stats.emitted_packets += r->delta_packets[e];
		t->stats.emitted_bytes += flow_delta_bytes(r, e);
		r->delta_packets[e] = r->delta_bytes[e] = r->delta_bytes_high[e] = 0;
	}
	r->fresh = 0;
	r->start_due = 0;
	r->recorded = 1;
	r->record_tick = (uint16_t)(t->now >> FLOW_TICK_SHIFT);
	return 0;
}
