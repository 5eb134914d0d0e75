/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of source packet, and where its packets are counted: taps.c knows the devices and
 * addresses of this network namespace. Threads: the host's loop.
 */
#ifndef NETWORK_SOURCE_PACKET_H
#define NETWORK_SOURCE_PACKET_H

#include "iface.h"
#include "packets.h"

#define NET_ADDRESSES_MAX 16384 /* addresses of one namespace: a /18 on a load balancer */

struct net_taps {
	struct net_ifaces ifaces;
	uint8_t *chosen;                 /* bit by ifindex: counted there */
	uint32_t chosen_max;             /* the largest ifindex there is room for, + 1 */
	uint32_t tunnels;                /* bit per enum weir_flow_tunnel: has a device */
	int addresses;                   /* rtnetlink: says when they change */
	uint8_t (*local)[16];            /* sorted, v4-mapped */
	uint32_t locals;
};
struct net_packet {
	struct capture *capture;
	struct net_packets packets;
	struct net_taps taps;
	struct weir_fd *watch;
	struct weir_timer *more;
	uint64_t now_ns;                 /* of this round: no packet is later */
	uint64_t elsewhere;              /* packets that are counted at another device */
};

int net_taps_open(struct weir_plugin *p, struct net_taps *t);
void net_taps_close(struct weir_plugin *p, struct net_taps *t);
/* Take up what has changed since the last call. */
void net_taps_refresh(struct weir_plugin *p, struct net_taps *t);
bool net_taps_chosen(const struct net_taps *t, uint32_t ifindex);
/* Is it an address of this namespace (or none yet: ::, 0.0.0.0)? */
bool net_taps_local(const struct net_taps *t, const uint8_t address[16]);
/* Does the tunnel with this outer packet begin or end at a device here? */
bool net_taps_unwraps(const struct net_taps *t, const struct pkt_layer *outer, bool outgoing);

#endif
