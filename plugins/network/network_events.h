/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of record of the network plugin, for both compilers. Kinds 0 and 1 are what
 * outputs see (flow_events.h); 2 and 3 only cross the ring, to be taken up by the engine.
 */
#ifndef NETWORK_EVENTS_H
#define NETWORK_EVENTS_H

#include "flow_events.h"
#include "flow_key.h"

enum weir_net_kind {
	WEIR_NET_FLOW,      /* struct weir_flow */
	WEIR_NET_LISTEN,    /* struct weir_flow_listen */
	WEIR_NET_OVERFLOW,  /* struct weir_net_overflow */
	WEIR_NET_OWNER,     /* struct weir_net_owner */
	WEIR_NET_KINDS
};

/* One packet, or one mark, that the map had no room for. */
struct weir_net_overflow {
	struct weir_flow_key key;
	struct weir_flow_delta delta;
};

/* A socket has another owner than it had; for its flows that are known already. */
struct weir_net_owner {
	__u64 cookie, cgroup;
	__u32 pid, uid;
	char comm[16];
	__u32 bits;         /* WEIR_FLOW_OWNER, WEIR_FLOW_OWNER_WEAK, WEIR_FLOW_PASSIVE */
	__u32 pad;
};

#endif
