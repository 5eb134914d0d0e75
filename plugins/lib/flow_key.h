/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What identifies a flow, and what one interval adds to it: the bytes that BPF programs
 * write into their maps and that every other source makes of its packets or sockets.
 *
 * Included by both compilers: fixed widths, no packing, sizes asserted. Addresses are 16
 * bytes in network order, IPv4 as v4-mapped IPv6 (RFC 4291 2.5.5.2); ports are in host order.
 *
 * End 0 and end 1 of a flow are
 *   - scope host: 0 is the local socket, 1 its peer; so a connection between two local
 *     sockets is two flows with the same Community ID, one per socket;
 *   - any other scope: 0 is the lower (address, port) by byte comparison of addresses,
 *     then the port.
 * Direction d of a packet is the end that sent it: 0 from end 0 to end 1.
 */
#ifndef WEIR_LIB_FLOW_KEY_H
#define WEIR_LIB_FLOW_KEY_H

#include <linux/types.h>

enum weir_flow_scope {
	WEIR_FLOW_HOST = 0,   /* packets of local sockets */
	WEIR_FLOW_WIRE = 1,   /* packets at interfaces */
};

struct weir_flow_key {
	__u8 addr[2][16];
	__u16 port[2];        /* ICMP: see below; 0 where the protocol has none, or a fragment's
	                       * first part was not seen */
	__u8 proto;           /* IP protocol number of the innermost header counted */
	__u8 scope;           /* enum weir_flow_scope */
	__u16 vlan;           /* outermost VLAN id, 0: none */
	__u64 netns;          /* cookie of the network namespace, 0: unknown */
};
_Static_assert(sizeof(struct weir_flow_key) == 48, "flow key: BPF map key");

/* ICMP and ICMPv6 have no ports. Types that have a counterpart (Community ID's list:
 * 8-0, 13-14, 15-16, 10-9, 17-18; 128-129, 130-131, 133-134, 135-136, 139-140, 144-145)
 * share a flow with it: port[0] = port[1] = the smaller type of the pair. Others:
 * port[0] = port[1] = 0x100 + type. Types and codes as seen are in the delta. */
#define WEIR_FLOW_ICMP_ONE_WAY 0x100

/* bits of weir_flow_delta.bits */
enum weir_flow_bits {
	WEIR_FLOW_CLOSED = 1,       /* the kernel's socket reached CLOSE */
	WEIR_FLOW_OWNER = 2,        /* the owner's fields hold */
	WEIR_FLOW_OWNER_WEAK = 4,   /* ... of the listener, or of who made the socket: may change */
	WEIR_FLOW_TURN_DIR = 8,     /* direction of the last payload, with turn_ns */
	WEIR_FLOW_FIRST_DIR = 16,   /* direction of the first packet */
	WEIR_FLOW_SAMPLED = 32,     /* counts are scaled estimates, at least in part */
	WEIR_FLOW_PASSIVE = 64,     /* a listener's: this end accepted it */
	WEIR_FLOW_ACTIVE = 128,     /* this end called connect() */
};

/* What one interval added. Counts are exact unless WEIR_FLOW_SAMPLED. `packets` are packets
 * as on the wire (a segmentation-offload packet counts as its segments), `bytes` their bytes
 * from the IP header on. Everything else is "last seen", or a sum, as its comment says.
 * 152 bytes: with the key and the kernel's header an element is 248, within a slab of 256. */
struct weir_flow_delta {
	__u64 packets[2], bytes[2];   /* by direction; atomic adds */
	__u64 first_ns;               /* CLOCK_MONOTONIC of the first packet of the interval */
	__u32 span;                   /* last packet, in 1024 ns after first_ns */
	__u32 ifindex;                /* interface: wire scope; host scope: of the last ingress */
	union {
		__u64 synack_ns;      /* TCP: when the SYN-ACK passed; 0: not in this interval */
		struct {
			__u8 icmp_type[2], icmp_code[2]; /* by direction */
			__u8 icmp_seen;                  /* bit per direction */
		};
	};
	__u64 turn_ns;                /* time of the last payload packet that changed direction */
	__u64 wait_sum_ns;            /* over `waits` turns: payload one way, then the other way */
	__u32 waits;
	__u32 jitter_ns;              /* smoothed change between successive waits, RFC 3550 6.4.1 */
	__u64 cookie;                 /* socket, 0: unknown */
	__u64 cgroup;                 /* cgroup v2 id */
	__u32 pid, uid;
	char comm[16];
	union {
		struct { __u32 srtt_us, retransmits; };     /* TCP: last; retransmits: sum */
		struct { __u32 tunnel_id, tunnel_type; };   /* others: enum weir_flow_tunnel */
	};
	__u32 drops;                  /* sum */
	__u16 drop_reason;            /* last; enum skb_drop_reason of the running kernel */
	__u8 error;                   /* errno of the socket, last */
	__u8 resets;                  /* RST sent or received, sum, stays at 255 */
	__u8 flags[2];                /* TCP flags, or-ed, by direction */
	__u8 state;                   /* TCP state of the socket + 1 (enum of the kernel); 0: unknown */
	__u8 bits;                    /* enum weir_flow_bits */
	__u8 tos[2], ttl[2];          /* first of the interval, by direction; ttl 0: none seen */
	__u32 label[2];               /* IPv6 flow label, first of the interval */
};
_Static_assert(sizeof(struct weir_flow_delta) == 152, "flow delta: BPF map value");

enum weir_flow_tunnel {
	WEIR_TUNNEL_NONE, WEIR_TUNNEL_VXLAN, WEIR_TUNNEL_GENEVE, WEIR_TUNNEL_GRE,
	WEIR_TUNNEL_IPIP, WEIR_TUNNEL_WIREGUARD,
};

#endif
