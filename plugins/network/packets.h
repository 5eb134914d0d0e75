/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From captured packets to flows, for the sources that see packets in user space: packet, replay.
 *
 * Each layer of a packet is a packet of a flow of its own: the outer one says what tunnel it
 * is, the inner ones what is around them. When the engine has no room for a moment, what is left
 * of the packet is kept, and the walk stops. Threads: the host's loop.
 */
#ifndef NETWORK_PACKETS_H
#define NETWORK_PACKETS_H

#include "capture.h"
#include "network.h"

struct net_pending {
	struct weir_flow_key key;
	struct weir_flow_delta delta;
	struct flow_extra extra;
	struct pkt_layer outer;      /* extra.outer's target */
};
/* Which packets are this source's, at its hand-over from and to another. What is written on a
 * packet is the time at which it came to the packet socket; programs meet it NET_SKEW_NS sooner
 * or later at most, but for a queue at the interface. Zero: all. CLOCK_MONOTONIC. */
#define NET_SKEW_NS 1000000ull
struct net_edge {
	uint64_t from_ns, until_ns;  /* until 0: for ever */
	uint64_t near_ns, far_ns;    /* between them it may have been met by both, or by none */
	uint64_t packets, bytes;     /* of those, whether they are this source's or not */
};
void net_edge_begin(struct net_edge *e, uint64_t at_ns, uint64_t unsure_ns);
void net_edge_end(struct net_edge *e, uint64_t at_ns, uint64_t unsure_ns);

struct net_packets {
	struct net_edge edge;
	const char *source;          /* name in the records */
	struct pkt_fragments *fragments;
	uint64_t clock_offset;       /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	uint64_t netns;              /* cookie, 0: unknown */
	bool blind_to_gso;
	/* Is this layer to be counted? NULL: all are. */
	bool (*wanted)(void *arg, const struct capture_packet *c, const struct pkt *p, unsigned layer);
	void *arg;
	uint64_t latest_ns;          /* of the packets that were taken, CLOCK_MONOTONIC */
	uint64_t packets, errors[PKT_ERRORS];
	struct net_pending pending[PKT_LAYERS];
	unsigned waiting;
};

int net_packets_init(struct weir_plugin *p, struct net_packets *s, const char *source);
void net_packets_fini(struct net_packets *s);
/* Is there room again for what was kept? Call it before each walk. */
bool net_packets_ready(struct weir_plugin *p, struct net_packets *s);
/* One packet. up_to_ns: no later than this. Non-zero: the engine is full, stop the walk. */
int net_packets_take(struct weir_plugin *p, struct net_packets *s, const struct capture_packet *c,
                     uint64_t up_to_ns);

#endif
