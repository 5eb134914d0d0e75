/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in: from packets to messages that are matched. UDP fragments and TCP segments wait
 * here until they are whole. Whatever is no DNS message ends here, counted by why.
 */
#include "dns.h"

#include <linux/if_packet.h>
#include <string.h>

static void message(struct weir_plugin *p, const struct dns_seen *seen, const uint8_t *data,
                    uint32_t have, uint32_t len)
{
	struct dns *d = weir_state(p);
	struct dns_msg m;
	enum dns_error e = dns_parse_head(data, have, len, &m);

	if (e > DNS_LAST_USABLE) {
		d->counts.errors[e]++;
		return;
	}
	switch (dns_judge(d, seen, &m)) {
	case DNS_WANTED:
		break;
	case DNS_IGNORED:
		d->counts.filtered++;
		if (!(m.flags & DNS_QR))
			p->host->count(p, WEIR_DNS_TRANSACTION, WEIR_RECORD_FILTERED, 1);
		return;
	case DNS_SAMPLED:
		d->counts.sampled++;
		if (!(m.flags & DNS_QR))
			p->host->count(p, WEIR_DNS_TRANSACTION, WEIR_RECORD_FILTERED, 1);
		return;
	}
	e = dns_parse_records(&m);
	if (e)
		d->counts.errors[e]++;
	if (m.flags & DNS_QR)
		d->counts.responses[dns_rcode_slot(m.rcode)]++;
	else
		d->counts.queries[dns_type_slot(m.qtype)]++;
	d->last_ns = seen->time_ns;
	dns_match_message(d->match, seen, &m);
}

void dns_take_datagram(struct weir_plugin *p, const struct dns_seen *seen, const uint8_t *data,
                       uint32_t have, uint32_t len)
{
	struct dns *d = weir_state(p);

	/* What is no DNS at all, on a port that others use too. */
	if (have >= DNS_HEADER && !dns_plausible(data, have, len)) {
		d->counts.not_dns++;
		return;
	}
	message(p, seen, data, have, len);
}

void dns_stream_message(void *plugin, const struct dns_seen *seen, const uint8_t *msg,
                        uint32_t have, uint32_t len)
{
	message(plugin, seen, msg, have, len);
}

void dns_take_segment(struct weir_plugin *p, const struct dns_seen *seen, const struct dns_segment *g)
{
	struct dns *d = weir_state(p);

	if (dns_streams_add(d->streams, seen, g))
		dns_match_lost(d->match);
}

/* ---- packets ------------------------------------------------------------------- */

static void udp(struct weir_plugin *p, struct dns_seen *seen, const uint8_t *data, uint32_t have,
                uint32_t len)
{
	seen->transport = WEIR_DNS_UDP;
	dns_take_datagram(p, seen, data, have, len);
}

/* A fragment: when it is the last that was missing, the datagram. */
static void fragment(struct weir_plugin *p, struct dns_seen *seen, const struct pkt_layer *l,
                     const struct capture_packet *c)
{
	struct dns *d = weir_state(p);
	const uint8_t *data;
	uint32_t len = 0, said;

	data = dns_defrag_add(d->defrag, l, seen->netns, c->data, c->caplen, seen->time_ns, &len);
	if (!data || len < 8)
		return;
	seen->sport = (uint16_t)(data[0] << 8 | data[1]);
	seen->dport = (uint16_t)(data[2] << 8 | data[3]);
	said = (uint32_t)(data[4] << 8 | data[5]);
	if (said < 8 || said > len) {
		d->counts.packet_errors[PKT_MALFORMED]++;
		return;
	}
	if (dns_is_port(d, seen->sport) || dns_is_port(d, seen->dport))
		udp(p, seen, data + 8, said - 8, said - 8);
}

static void segment(struct weir_plugin *p, struct dns_seen *seen, const struct pkt_layer *l,
                    const struct capture_packet *c, uint32_t have)
{
	const struct dns_segment g = {
		.seq = l->tcp_seq, .ack = l->tcp_ack, .has_ack = l->tcp_flags & 16,
		.flags = l->tcp_flags, .data = (const uint8_t *)c->data + l->payload_off,
		.have = have, .len = l->payload_len,
	};

	seen->transport = WEIR_DNS_TCP;
	dns_take_segment(p, seen, &g);
}

/* Is it this source's, at a hand-over? *ret_theirs: the other's too. */
static bool within(const struct dns_edge *e, uint64_t at_ns, bool *ret_theirs)
{
	*ret_theirs = at_ns < e->own_from_ns || (e->own_until_ns && at_ns >= e->own_until_ns);
	return at_ns >= e->from_ns && (!e->until_ns || at_ns < e->until_ns);
}

void dns_take_packet(struct weir_plugin *p, const struct capture_packet *c)
{
	struct dns *d = weir_state(p);
	struct dns_seen seen = { .time_ns = c->time_ns - d->clock_offset, .ifindex = c->ifindex,
		.role = WEIR_DNS_WIRE, .weight = (uint32_t)d->sample };
	const struct pkt_layer *l;
	enum pkt_error e;
	struct pkt pkt;
	uint32_t have;

	if (!within(&d->edge, seen.time_ns, &seen.theirs))
		return;
	d->counts.packets++;
	/* The loopback interface shows each packet going out and coming in. */
	seen.loopback = c->ifindex == 1;
	if (seen.loopback && c->pkttype == PACKET_OUTGOING)
		return;
	e = pkt_parse(&pkt_defaults, NULL, c->link, c->data, c->caplen, c->len, seen.time_ns, &pkt);
	if (e != PKT_OK)
		d->counts.packet_errors[e]++;
	if (!pkt.layers)
		return;
	l = &pkt.layer[pkt.layers - 1];
	memcpy(seen.src, l->src, 16);
	memcpy(seen.dst, l->dst, 16);
	seen.sport = l->sport;
	seen.dport = l->dport;
	if (l->fragment && l->proto == 17) {
		fragment(p, &seen, l, c);
		return;
	}
	if (l->fragment || !l->transport_len || (l->proto != 17 && l->proto != 6) ||
	    (!dns_is_port(d, l->sport) && !dns_is_port(d, l->dport)))
		return;
	have = l->payload_off < c->caplen ? c->caplen - l->payload_off : 0;
	have = have < l->payload_len ? have : l->payload_len;
	if (l->proto == 17)
		udp(p, &seen, (const uint8_t *)c->data + l->payload_off, have, l->payload_len);
	else
		segment(p, &seen, l, c, have);
}

void dns_take_end(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	dns_streams_flush(d->streams);
	dns_defrag_flush(d->defrag);
}
