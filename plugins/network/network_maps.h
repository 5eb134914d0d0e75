/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What network's BPF programs and its bpf source share beside flow_key.h: control word,
 * per-CPU counters, filters. Types and limits
 * only, for both compilers.
 */
#ifndef NETWORK_MAPS_H
#define NETWORK_MAPS_H

#include "flow_key.h"

/* net_control, one entry. Written by user space, read by every program. */
struct weir_net_control {
	__u64 generation;     /* bit 0: which of the two maps of flows is filled */
	__u64 wire_netns;     /* cookie of the namespace whose interfaces are watched */
};

/* net_cpu, one per CPU, mmapable. Only grows. 128 bytes: two cache lines, so that CPUs
 * do not share one. */
struct weir_net_cpu {
	__u64 inserts;          /* new keys in a map of flows */
	__u64 overflows;        /* packets for which the map had no room: sent as a record */
	__u64 lost_packets;     /* ... and the ring had none either */
	__u64 lost_bytes;
	__u64 filtered_packets, filtered_bytes;
	__u64 sampled_packets, sampled_bytes; /* left out; those kept stand for them */
	__u64 unparsed;         /* IP packets with headers that could not be read */
	__u64 fragments;        /* later fragments whose first was not seen: no ports */
	__u64 time_wait;        /* packets to or of sockets in TIME_WAIT, which pass no cgroup hook */
	__u64 owners;           /* times a socket's owner changed */
	__u64 no_owner;         /* new flows of sockets without one */
	__u64 random;           /* no counter: the state of the sampler */
	__u64 answer, answer_ns;  /* no counters: the last packet that TIME_WAIT sent, and when */
};
_Static_assert(sizeof(struct weir_net_cpu) == 128, "two cache lines");

/* net_recent: connections that a CPU is in the middle of (net_recent.bpf.h), two entries a CPU: one
 * per generation. What a slot holds is counted nowhere else; who takes it, adds it to its flow. */
#define WEIR_NET_RECENTS 8  /* slots: 1 KiB an entry; what a CPU has in hand between two polls of a device is fewer */
struct weir_net_recent {
	__u32 busy;             /* a program is at it */
	__u32 flags;            /* of TCP, or-ed: direction 0 in the lowest byte, 1 in the next */
	__u64 cookie;           /* of the socket; 0: free */
	__u64 packets[2], bytes[2];
	__u64 last_ns;
	__u32 tick;             /* of the system, when last_ns was read */
	__u32 next;             /* of another socket's cookie: the last that would have liked the slot */
	struct weir_flow_key key;
	__u32 other[2];         /* by direction: what the socket had counted of the other's payload */
	__u64 pad;
};
_Static_assert(sizeof(struct weir_net_recent) == 128, "two cache lines, the counts in one");

/* Filters, applied when a flow begins; its packets are then counted `filtered`. */

/* net_nets: longest prefix of an address (v4-mapped for IPv4), to what lists it is on. */
struct weir_net_prefix {
	__u32 bits;
	__u8 addr[16];
};
_Static_assert(sizeof(struct weir_net_prefix) == 20, "LPM key");
#define WEIR_NET_PREFIXES 1024  /* 64 KiB of kernel memory */

/* Bits of a value of net_nets, and of net_ports (one byte a port). */
enum weir_net_list {
	WEIR_NET_MATCH = 1,        /* one end must be on a list of these, if there is any */
	WEIR_NET_NOT_MATCH = 2,    /* no end may be */
};

#define WEIR_NET_NAMES 8           /* names in a filter: compared one by one */
struct weir_net_comm {
	__u8 len;                  /* compare this much; 16: all */
	char name[16];
	__u8 pad[3];
};

/* Constants of the object, set before load. */
struct weir_net_filter {
	__u32 nets;                /* bits of weir_net_list that net_nets has */
	__u32 ports;               /* the same of net_ports */
	__u32 proto_filter;        /* not 0: protos holds */
	__u32 comms;               /* how many; with any, a flow needs one that fits */
	__u32 protos[8];           /* bit per IP protocol that is wanted */
	struct weir_net_comm comm[WEIR_NET_NAMES];
};

#endif
