/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting what is emitted, for the metrics and the line of statistics.
 *
 * A record is counted once, when the engine has given it out. Series appear with their first
 * count. What may fail: no room for a series; the host counts that.
 */
#include "network.h"

#include "flow_names.h"
#include <string.h>

const double net_handshake_buckets[NET_HANDSHAKE_BUCKETS] = {
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3,
};
static const uint8_t protos[NET_TRANSPORTS - 1] = { 6, 17, 1, 58, 132, 47, 50, 51 };

static unsigned transport_of(uint8_t proto)
{
	unsigned i = 0;

	while (i < NET_TRANSPORTS - 1 && protos[i] != proto)
		i++;
	return i;
}

static const char *transport_name(unsigned i)
{
	return i < NET_TRANSPORTS - 1 ? flow_transport_name(protos[i]) : "other";
}

static void count_process(struct net_counts *c, const struct weir_flow *r)
{
	uint32_t i = 0;

	if (!r->pid || r->scope != WEIR_FLOW_HOST)
		return;
	while (i < c->processes && memcmp(c->process[i].comm, r->comm, sizeof r->comm))
		i++;
	if (i == c->processes && c->processes < NET_PROCESSES)
		memcpy(c->process[c->processes++].comm, r->comm, sizeof r->comm);
	c->process[i].bytes += r->bytes_delta + r->reverse_bytes_delta;
	c->process[i].packets += r->packets_delta + r->reverse_packets_delta;
}

static void count_end(struct net_counts *c, const struct weir_flow *r)
{
	double s = (double)r->handshake_latency_ns / 1e9;
	unsigned b = 0;

	c->ended[r->end_reason <= WEIR_END_RESOURCES ? r->end_reason : 0][transport_of(r->transport)]
	        [r->direction < 3 ? r->direction : 0]++;
	c->retransmits += r->retransmits;
	c->resets += r->resets;
	c->drops += r->drops;
	c->failed += r->error != 0;
	if (!r->handshake_latency_ns)
		return;
	while (b < NET_HANDSHAKE_BUCKETS && s > net_handshake_buckets[b])
		b++;
	c->handshake[b]++;
	c->handshake_ns += r->handshake_latency_ns;
}

void net_count(struct network *n, const struct weir_flow *r)
{
	struct net_counts *c = &n->counts;
	unsigned scope = r->scope == WEIR_FLOW_WIRE, t = transport_of(r->transport);

	c->records[r->phase < 3 ? r->phase : 0]++;
	c->packets[scope][t][0] += r->packets_delta;
	c->packets[scope][t][1] += r->reverse_packets_delta;
	c->bytes[scope][t][0] += r->bytes_delta;
	c->bytes[scope][t][1] += r->reverse_bytes_delta;
	count_process(c, r);
	if (r->phase == WEIR_FLOW_END)
		count_end(c, r);
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void publish_traffic(struct weir_plugin *p, const struct net_counts *c)
{
	static const char *const scopes[] = { "host", "wire" }, *const ways[] = { "forward",
										  "reverse" };

	for (unsigned s = 0; s < 2; s++)
		for (unsigned t = 0; t < NET_TRANSPORTS; t++)
			for (unsigned w = 0; w < 2; w++) {
				if (!c->packets[s][t][0] && !c->packets[s][t][1])
					continue;
				weir_set(p, M_PACKETS, (double)c->packets[s][t][w], scopes[s],
				         transport_name(t), ways[w]);
				weir_set(p, M_BYTES, (double)c->bytes[s][t][w], scopes[s],
				         transport_name(t), ways[w]);
			}
}

static void publish_ends(struct weir_plugin *p, const struct net_counts *c)
{
	char reason[24], direction[16], phase[16];

	for (unsigned e = 0; e <= WEIR_END_RESOURCES; e++)
		for (unsigned t = 0; t < NET_TRANSPORTS; t++)
			for (unsigned d = 0; d < 3; d++)
				if (c->ended[e][t][d])
					weir_set(p, M_ENDED, (double)c->ended[e][t][d],
						 flow_word(WEIR_FLOW_END_NAMES, e, reason,
							   sizeof reason),
						 transport_name(t),
						 flow_word(WEIR_FLOW_DIRECTION_NAMES, d, direction,
							   sizeof direction));
	for (unsigned i = 0; i < 3; i++)
		weir_set(p, M_RECORDS, (double)c->records[i],
		         flow_word(WEIR_FLOW_EVENT_NAMES, i, phase, sizeof phase));
}

static void publish_processes(struct weir_plugin *p, const struct net_counts *c)
{
	for (uint32_t i = 0; i <= c->processes; i++) {
		char name[17] = "other";

		if (!c->process[i].packets)
			continue;
		if (i < NET_PROCESSES)
			snprintf(name, sizeof name, "%.16s", c->process[i].comm);
		weir_set(p, M_PROCESS_BYTES, (double)c->process[i].bytes, name);
		weir_set(p, M_PROCESS_PACKETS, (double)c->process[i].packets, name);
	}
}

int net_publish(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	const struct net_counts *c = &n->counts;
	struct flow_stats s;

	if (!n->flows)
		return 0;
	flow_stats(n->flows, &s);
	const struct { unsigned metric; uint64_t value; } plain[] = {
		{ M_FLOWS, s.flows }, { M_QUEUED, s.queued }, { M_MEMORY, s.memory_bytes },
		{ M_CREATED, s.created }, { M_EVICTED, s.evicted }, { M_RETRANSMITS, c->retransmits },
		{ M_RESETS, c->resets }, { M_DROPS, c->drops }, { M_FAILED, c->failed },
		{ M_FILTERED_PACKETS, s.filtered_packets }, { M_FILTERED_BYTES, s.filtered_bytes },
		{ M_REFUSED, s.refused }, { M_LOST, n->lost_packets },
		{ M_DETAILS, s.lost_details }, { M_UNMATCHED, s.unmatched },
	};

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		weir_set(p, plain[i].metric, (double)plain[i].value);
	p->host->series_histogram(p->host->series(p, M_HANDSHAKE, (const char *const[]){ NULL }),
	                          c->handshake, (double)c->handshake_ns / 1e9);
	weir_set(p, M_UNSURE, (double)n->unsure_packets, "packets");
	weir_set(p, M_UNSURE, (double)n->unsure_bytes, "bytes");
	publish_traffic(p, c);
	publish_ends(p, c);
	publish_processes(p, c);
	return 0;
}

void net_log_stats(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct flow_stats s, *l = &n->logged;

	flow_stats(n->flows, &s);
#define SINCE(m) ((unsigned long long)(s.m - l->m))
	weir_log(p, WEIR_INFO,
		 "%llu flows; since the last line: %llu began, %llu ended (%llu idle, %llu "
		 "closed, %llu early for want of room), %llu records, %llu packets, %llu bytes; "
		 "%llu packets filtered, %llu times a queue was full; %llu KiB",
		 (unsigned long long)s.flows, SINCE(created),
		 SINCE(ended[WEIR_END_IDLE]) + SINCE(ended[WEIR_END_DETECTED]) +
			 SINCE(ended[WEIR_END_FORCED]) + SINCE(ended[WEIR_END_RESOURCES]),
		 SINCE(ended[WEIR_END_IDLE]), SINCE(ended[WEIR_END_DETECTED]), SINCE(evicted),
		 SINCE(records), SINCE(added_packets), SINCE(added_bytes), SINCE(filtered_packets),
		 SINCE(refused), (unsigned long long)(s.memory_bytes >> 10));
#undef SINCE
	*l = s;
}
