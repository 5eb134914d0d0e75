/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See packets.h. Nothing is lost on the way: a packet is in the engine, among the pending, or
 * counted by why it has no flow (not IP) or only part of one (truncated, malformed, too deep).
 */
#include "packets.h"

#include <string.h>

#define FRAGMENTS 4096          /* datagrams at a time, 500 KB: 30 s of 136 a second */
#define JOINED 9216             /* larger than any Ethernet frame: many packets made one by offload */

int net_packets_init(struct weir_plugin *p, struct net_packets *s, const char *source)
{
	struct network *n = weir_state(p);

	memset(s, 0, sizeof *s);
	s->source = source;
	s->clock_offset = p->host->realtime(p) - weir_now(p);
	if (pkt_fragments_new(&n->memory, FRAGMENTS, &s->fragments))
		return weir_fail(p, -ENOMEM, "no memory for the table of fragments");
	return 0;
}

void net_packets_fini(struct net_packets *s)
{
	pkt_fragments_free(s->fragments);
	s->fragments = NULL;
}

static void set_near(struct net_edge *e, uint64_t at_ns, uint64_t unsure_ns)
{
	e->near_ns = at_ns - unsure_ns - NET_SKEW_NS;
	e->far_ns = at_ns + NET_SKEW_NS;
}

void net_edge_begin(struct net_edge *e, uint64_t at_ns, uint64_t unsure_ns)
{
	*e = (struct net_edge){ .from_ns = at_ns };
	set_near(e, at_ns, unsure_ns);
}

void net_edge_end(struct net_edge *e, uint64_t at_ns, uint64_t unsure_ns)
{
	e->until_ns = at_ns;
	set_near(e, at_ns, unsure_ns);
}

static bool is_ours(const struct net_edge *e, uint64_t at_ns)
{
	return at_ns >= e->from_ns && (!e->until_ns || at_ns < e->until_ns);
}

static bool is_near(const struct net_edge *e, uint64_t at_ns)
{
	return at_ns >= e->near_ns && at_ns < e->far_ns;
}

bool net_packets_ready(struct weir_plugin *p, struct net_packets *s)
{
	unsigned done = 0;

	while (done < s->waiting) {
		struct net_pending *w = &s->pending[done];

		w->extra.outer = w->extra.outer ? &w->outer : NULL;
		if (net_add(p, &w->key, &w->delta, &w->extra) == -EAGAIN)
			break;
		done++;
	}
	s->waiting -= done;
	memmove(s->pending, s->pending + done, s->waiting * sizeof s->pending[0]);
	return !s->waiting;
}

static void add(struct weir_plugin *p, struct net_packets *s, const struct net_pending *w)
{
	if (!s->waiting && net_add(p, &w->key, &w->delta, &w->extra) != -EAGAIN)
		return;
	s->pending[s->waiting] = *w; /* at most one packet's layers: the walk stops after it */
	if (w->extra.outer)
		s->pending[s->waiting].outer = *w->extra.outer;
	s->waiting++;
}

static void take_layer(struct weir_plugin *p, struct net_packets *s, const struct capture_packet *c,
                       const struct pkt *pkt, unsigned i, enum pkt_error e, uint64_t at_ns,
                       uint64_t stamp_ns)
{
	const struct pkt_layer *l = &pkt->layer[i];
	uint32_t rest = c->len - l->l3_off;
	struct net_pending w;
	unsigned dir;

	/* The tag is the carrier's; what a tunnel carries has none of its own here. */
	pkt_key(l, i ? 0 : c->has_vlan ? c->vlan_tci & 0xfff : pkt->vlan[0], s->netns, &w.key, &dir);
	pkt_delta(l, dir, at_ns, c->ifindex, &w.delta);
	/* A header's claim of more than came is no traffic. */
	if (e == PKT_MALFORMED && w.delta.bytes[dir] > rest)
		w.delta.bytes[dir] = rest;
	pkt_segments(pkt, i, dir, c->gso_size, &w.delta);
	w.extra = (struct flow_extra){ .outer = i ? &pkt->layer[i - 1] : NULL, .spi = l->spi,
	                               .source = s->source,
	                               .approx = s->blind_to_gso && l->l3_len > JOINED };
	if (is_near(&s->edge, stamp_ns)) {
		s->edge.packets += w.delta.packets[dir];
		s->edge.bytes += w.delta.bytes[dir];
	}
	if (is_ours(&s->edge, stamp_ns))
		add(p, s, &w);
}

int net_packets_take(struct weir_plugin *p, struct net_packets *s, const struct capture_packet *c,
                     uint64_t up_to_ns)
{
	struct network *n = weir_state(p);
	uint64_t stamp_ns = c->time_ns - s->clock_offset, at_ns = stamp_ns;
	enum pkt_error e;
	struct pkt pkt;

	if (!is_ours(&s->edge, stamp_ns) && !is_near(&s->edge, stamp_ns))
		return 0; /* another source's */
	at_ns = at_ns < up_to_ns ? at_ns : up_to_ns;
	s->latest_ns = at_ns;
	e = pkt_parse(&n->parser, s->fragments, c->link, c->data, c->caplen, c->len, at_ns, &pkt);
	s->packets++;
	s->errors[e]++;
	for (unsigned i = 0; i < pkt.layers; i++)
		if (!s->wanted || s->wanted(s->arg, c, &pkt, i))
			take_layer(p, s, c, &pkt, i, e, at_ns, stamp_ns);
	return s->waiting != 0;
}
