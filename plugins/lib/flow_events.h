/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow record: what every source of flows emits, with one schema. Types and limits only.
 *
 * One frame for names and counters alike: `source` is the initiator as far as is known (who
 * sent the SYN, asked the question, or has the ephemeral port), and packets, bytes, flags
 * without a prefix are from source to destination, `reverse_` the other way.
 * Units: bytes count from the IP header on, as on the wire; packets are wire packets.
 */
#ifndef WEIR_LIB_FLOW_EVENTS_H
#define WEIR_LIB_FLOW_EVENTS_H

#include <linux/types.h>

struct weir_flow {
	__u64 start_ns, end_ns;            /* CLOCK_MONOTONIC: first and last packet of the flow */
	__u64 packets_delta, bytes_delta, packets_total, bytes_total;
	__u64 reverse_packets_delta, reverse_bytes_delta, reverse_packets_total, reverse_bytes_total;
	__u64 handshake_latency_ns;        /* SYN to SYN-ACK; 0: not seen */
	__u64 srtt_ns;                     /* of the stack; 0: unknown */
	__u64 latency_ns, jitter_ns;       /* of transactions: mean, smoothed change; 0: none */
	__u64 netns_cookie, socket_cookie, cgroup_id;
	__u8 source_address[16], destination_address[16];
	__u8 tunnel_source_address[16], tunnel_destination_address[16]; /* zero: no tunnel seen around it */
	__u16 source_port, destination_port;
	__u16 tunnel_source_port, tunnel_destination_port;
	__u32 interface_index, netns;      /* netns: inode number, as lsns(8) shows it; 0: unknown */
	__u32 pid, uid;                    /* pid 0: no owner known; then uid is not valid */
	__u32 waits;                       /* transactions that latency is the mean of */
	__u32 retransmits, resets, drops, drop_number, error; /* totals; last reason, errno */
	__u32 flow_label, reverse_flow_label;
	__u32 tunnel_id;                   /* VNI or key */
	__u32 spi;                         /* ESP, AH */
	__u16 vlan;
	__u8 phase;                        /* enum weir_flow_event */
	__u8 end_reason;                   /* IPFIX flowEndReason; 0 while it lasts */
	__u8 direction;                    /* enum weir_flow_direction */
	__u8 scope;                        /* enum weir_flow_scope */
	__u8 transport;                    /* IP protocol number */
	__u8 type;                         /* 0 ipv4, 1 ipv6 */
	__u8 state;                        /* enum weir_flow_state */
	__u8 tcp_flags, reverse_tcp_flags;
	__u8 dscp, ecn, ttl, reverse_dscp, reverse_ecn, reverse_ttl;
	__u8 icmp_type, icmp_code, reverse_icmp_type, reverse_icmp_code;
	__u8 tunnel_type;                  /* enum weir_flow_tunnel */
	__u8 owner_from;                   /* enum weir_flow_owner */
	__u8 sampled, approx;              /* counts are estimates; source could not know exactly */
	char community_id[32];
	char comm[16];
	char interface_name[16];
	char interface_mac[18];            /* "" unknown */
	char source_name[14];              /* "bpf", "wire", "packet", "diag", "proc", "replay" */
	char container_id[64];             /* no NUL when full: WEIR_CHARS */
	char unit[64];
	char pod_uid[40];
	char drop_reason[32];              /* drop_number, as this kernel calls it */
};

enum weir_flow_event { WEIR_FLOW_START, WEIR_FLOW_UPDATE, WEIR_FLOW_END };
#define WEIR_FLOW_EVENT_NAMES "start update end"
/* RFC 5102 5.11.3 */
enum weir_flow_end_reason {
	WEIR_END_NONE, WEIR_END_IDLE, WEIR_END_ACTIVE, WEIR_END_DETECTED, WEIR_END_FORCED,
	WEIR_END_RESOURCES,
};
#define WEIR_FLOW_END_NAMES "none idle_timeout active_timeout end_of_flow forced_end lack_of_resources"
enum weir_flow_direction { WEIR_DIR_INTERNAL, WEIR_DIR_CLIENT, WEIR_DIR_SERVER };
#define WEIR_FLOW_DIRECTION_NAMES "internal client server"
enum weir_flow_state {
	WEIR_STATE_NONE, WEIR_STATE_SYN_SENT, WEIR_STATE_SYN_RECEIVED, WEIR_STATE_ESTABLISHED,
	WEIR_STATE_FIN_WAIT_1, WEIR_STATE_FIN_WAIT_2, WEIR_STATE_CLOSE_WAIT, WEIR_STATE_CLOSING,
	WEIR_STATE_LAST_ACK, WEIR_STATE_TIME_WAIT, WEIR_STATE_CLOSED,
};
#define WEIR_FLOW_STATE_NAMES "none syn_sent syn_received established fin_wait_1 fin_wait_2 close_wait closing last_ack time_wait closed"
enum weir_flow_owner { WEIR_OWNER_NONE, WEIR_OWNER_CREATOR, WEIR_OWNER_USER, WEIR_OWNER_LISTENER };
#define WEIR_FLOW_OWNER_NAMES "none creator user listener"
/* IP protocol numbers as words, by number; those without a common name are their number. */
#define WEIR_FLOW_TRANSPORT_NAMES \
	"hopopt icmp igmp 3 ipip 5 tcp 7 egp 9 10 11 12 13 14 15 16 udp 18 19 20 21 22 23 24 " \
	"25 26 rdp 28 29 30 31 32 dccp 34 35 36 37 38 39 40 ipv6 42 43 44 45 rsvp gre 48 49 " \
	"esp ah 52 53 54 55 56 57 icmpv6 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 " \
	"76 77 78 79 80 81 82 83 84 85 86 87 eigrp ospf 90 91 92 93 94 95 96 97 98 99 100 " \
	"101 102 pim 104 105 106 107 108 109 110 111 vrrp 113 114 l2tp 116 117 118 119 120 " \
	"121 122 123 124 125 126 127 128 129 130 131 sctp"
#define WEIR_FLOW_TUNNEL_NAMES "none vxlan geneve gre ipip wireguard"

/* A TCP or UDP socket that listens, when it begins and when it ends. */
struct weir_flow_listen {
	__u64 netns_cookie, socket_cookie, cgroup_id;
	__u8 address[16];
	__u32 netns, pid, uid;
	__u16 port;
	__u8 transport;
	__u8 open;                         /* 1 begins, 0 ends */
	char comm[16];
};

#endif
