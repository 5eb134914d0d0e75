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
struct net_packets {
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
