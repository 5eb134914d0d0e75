/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network plugin: its state, and what its files offer each other.
 *
 *   source_*.c ── net_add() ──► plugins/lib/flow.h ── record ──► engine.c: filter, name, emit
 *       └──────── net_pump() once all up to a time is in ──┘
 *
 * A source: one row in the table of network.c, a state of its own behind a pointer in struct
 * network (allocated in its start, freed in its stop), and calls of net_add() and net_pump().
 * The engine and its flows outlive the source: they are made in init and freed in fini.
 * Threads: the host's loop only.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "flow.h"
#include "metrics.h"
#include "network_events.h"
#include <weir/weir.h>

enum net_scope { NET_SCOPE_HOST, NET_SCOPE_WIRE, NET_SCOPE_BOTH };
enum net_tcx_order { NET_TCX_FIRST, NET_TCX_LAST };
enum net_owner { NET_OWNER_FULL, NET_OWNER_PROCESS, NET_OWNER_OFF };

/* What can be filtered: X(id, option's name, kind of rule, doc). Each becomes two options,
 * filter.NAME.match (only these) and filter.NAME.not_match (not these). */
#define NET_FILTERS(X)                                                                             \
	X(ADDRESS, "address", ADDR, "address of either end: address, CIDR or first-last")          \
	X(PORT, "port", NUMBER, "port of either end: number or first-last")                        \
	X(PROCESS, "process", TEXT, "name of the owning process, with * and ?")                    \
	X(SOURCE_ADDRESS, "source.address", ADDR, "address of the initiator")                      \
	X(SOURCE_PORT, "source.port", NUMBER, "port of the initiator")                             \
	X(DESTINATION_ADDRESS, "destination.address", ADDR, "address of the responder")            \
	X(DESTINATION_PORT, "destination.port", NUMBER, "port of the responder")                   \
	X(TRANSPORT, "network.transport", TEXT, "transport: tcp, udp, icmp, ... or a number")      \
	X(TYPE, "network.type", TEXT, "ipv4 or ipv6")                                              \
	X(INTERFACE_NAME, "network.interface_name", TEXT, "name of the interface, with * and ?")   \
	X(INTERFACE_INDEX, "network.interface_index", NUMBER, "number of the interface")           \
	X(INTERFACE_MAC, "network.interface_mac", TEXT, "MAC address of the interface")            \
	X(STATE, "flow.connection_state", TEXT, "TCP state at the first sight")                    \
	X(TCP_FLAGS, "flow.tcp_flags_tags", TEXT, "TCP flag: fin syn rst psh ack urg ece cwr")     \
	X(DSCP, "flow.ip_dscp_name", TEXT, "name of the DSCP: df, cs1, af11, ef, ...")             \
	X(ECN, "flow.ip_ecn_name", TEXT, "name of the ECN: non-ect, ect0, ect1, ce")               \
	X(TTL, "flow.ip_ttl", NUMBER, "TTL or hop limit")                                          \
	X(FLOW_LABEL, "flow.ip_flow_label", NUMBER, "IPv6 flow label")                             \
	X(ICMP_TYPE, "flow.icmp_type_name", TEXT, "name of the ICMP type, or its number")          \
	X(ICMP_CODE, "flow.icmp_code_name", TEXT, "name of the ICMP code, or its number")

enum net_filter_id {
#define X(id, ...) NET_F_##id,
	NET_FILTERS(X)
#undef X
	NET_F_COUNT
};
enum net_rule_kind { NET_RULE_ADDR, NET_RULE_NUMBER, NET_RULE_TEXT };

/* One item of a filter's list. A CIDR is a range too: lo and hi are its first and last. */
struct net_rule {
	uint8_t lo[16], hi[16];  /* ADDR: network order, IPv4 v4-mapped */
	uint32_t prefix;         /* ADDR: bits of 128 if it is a CIDR, else 0xff */
	uint32_t min, max;       /* NUMBER */
	const char *text;        /* TEXT: the option's own string */
};
struct net_filter {
	struct weir_strings match, not_match;  /* the options */
	struct net_rule *rules;                /* of both: first match, then not_match */
};

#define NET_TRANSPORTS 9       /* told apart in metrics: tcp to ah, and the others */
#define NET_PROCESSES 32       /* processes by name in metrics; further ones are "other" */
#define NET_LINKS 256          /* interfaces whose names are remembered */
#define NET_HANDSHAKE_BUCKETS 14

/* What was emitted, for metrics: since the plugin began. */
struct net_counts {
	uint64_t packets[2][NET_TRANSPORTS][2], bytes[2][NET_TRANSPORTS][2]; /* scope, -, way */
	uint64_t records[3];                       /* enum weir_flow_event */
	uint64_t ended[WEIR_END_RESOURCES + 1][NET_TRANSPORTS][3];
	uint64_t retransmits, resets, drops, failed;
	uint64_t handshake[NET_HANDSHAKE_BUCKETS + 1], handshake_ns;

	struct { char comm[16]; uint64_t bytes, packets; } process[NET_PROCESSES + 1];
	uint32_t processes;
};
struct net_link { uint32_t index; uint64_t at_ns; char name[16], mac[18]; };

struct net_bpf;     /* source_bpf.c */
struct net_reasons; /* reason.c */
struct net_packet;  /* source_packet.c */
struct net_replay;  /* source_replay.c */
struct net_diag;    /* source_diag.c */
struct net_proc;    /* source_proc.c */

struct network {
	/* ---- options ---- */
	uint64_t flow_stats_capacity, flow_events_capacity;
	uint64_t workers, worker_queue_capacity, poll_ns, span_queue_capacity;
	uint64_t store_capacity;
	struct flow_options flow;       /* span.*: bound in place */
	uint64_t community_id_seed;
	uint64_t geneve_port, vxlan_port, wireguard_port;
	struct weir_strings interfaces;
	bool auto_discover;
	uint64_t tc_priority;
	uint32_t tcx_order;             /* enum net_tcx_order */
	uint32_t scope;                 /* enum net_scope */
	uint32_t owner;                 /* enum net_owner */
	bool start_records;
	uint64_t stats_ns;
	const char *replay_file;
	struct net_filter filter[NET_F_COUNT];

	/* ---- engine.c ---- */
	struct pkt_memory memory;       /* the plugin's account, for all of plugins/lib */
	struct pkt_config parser;       /* from the ports above */
	struct flow_table *flows;
	struct weir_timer *more, *stats_timer;
	uint64_t pumped_ns;             /* all up to here is in the engine */
	uint64_t addresses_ns;          /* when this node's addresses were read */
	uint64_t round_records;         /* emitted in this round of the loop */
	bool filtering;                 /* any filter at all */
	const char *source;             /* that is running, "" none: a source sets it */
	struct owner_cache *owners;
	struct net_reasons *reasons;    /* names of the kernel's; NULL: not read */
	struct net_counts counts;
	struct flow_stats logged;       /* as of the last line of statistics */
	struct net_link links[NET_LINKS];
	uint64_t own_netns;             /* cookie; 0: not known */
	uint32_t own_netns_inode;
	uint64_t lost_packets;          /* dropped in front of source packet, since init */
	uintptr_t barriers;             /* waited for so far, over all starts of source bpf */
	/* Around hand-overs, in both records or in none, since init. */
	uint64_t unsure_packets, unsure_bytes;

	/* ---- what belongs to a source while it runs ---- */
	struct net_bpf *bpf;
	struct net_packet *packet;
	struct net_replay *replay;
	struct net_diag *diag;
	struct net_proc *proc;
};

/* engine.c */
int net_engine_init(struct weir_plugin *p);
void net_engine_fini(struct weir_plugin *p);
int net_engine_start(struct weir_plugin *p);
void net_engine_stop(struct weir_plugin *p);   /* ends all flows: forced end */
/* Add to a flow. 0, or -EAGAIN: the engine's queue is full and the records have nowhere to
 * go; keep it and come again after the next round of the loop. */
int net_add(struct weir_plugin *p, const struct weir_flow_key *k, const struct weir_flow_delta *d,
            const struct flow_extra *x);
/* All packets up to up_to_ns (CLOCK_MONOTONIC) have been added: make records, let flows
 * expire. Works 5 ms at most, and goes on by itself in the next rounds of the loop. */
void net_pump(struct weir_plugin *p, uint64_t up_to_ns);
/* A listener begins or ends: tells the engine, and emits WEIR_NET_LISTEN. */
void net_listen(struct weir_plugin *p, const struct weir_flow_listen *l);

/* filter.c */
int net_filters_init(struct weir_plugin *p);
void net_filters_fini(struct weir_plugin *p);
bool net_filter_text(const char *pattern, const char *text, size_t max);
bool net_filter_address(const char *item, struct net_rule *ret);

/* filter_match.c: is a flow with this record wanted? */
bool net_filter_wants(const struct network *n, const struct weir_flow *r);
/* Is this a word that a filter of names may ask for? */
bool net_filter_knows(int filter, const char *word);

/* interface.c: name and MAC address of the interface, number of the namespace, where it is Weir's own */
#define NET_ADDRESSES 1024      /* as many as the engine takes */
void net_interface_init(struct network *n);
void net_addresses_read(struct network *n);    /* what is ours, for directions on the wire */
void net_interface_fill(struct weir_plugin *p, struct weir_flow *r);

/* reason.c: names of the reasons for drops, read once; into a record. */
void net_reasons_read(struct weir_plugin *p);
void net_reasons_free(struct weir_plugin *p);
void net_reason_fill(const struct network *n, struct weir_flow *r);

/* publish.c: metrics and the line of statistics */
extern const double net_handshake_buckets[NET_HANDSHAKE_BUCKETS];
void net_count(struct network *n, const struct weir_flow *r);
int net_publish(struct weir_plugin *p);
void net_log_stats(struct weir_plugin *p);

/* query.c */
#define NET_QUERIES 5
extern const struct weir_query net_queries[NET_QUERIES];

/* engine.c: at a hand-over, what may be in the records of both sources or of none. */
void net_unsure(struct weir_plugin *p, const char *source, uint64_t packets, uint64_t bytes);
/* The source of this name has ended: unless another has taken over, there is none. */
void net_source_ended(struct network *n, const char *source);

/* source_*.c: each names its callbacks here, and has a row in network.c */
void net_plain_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
void net_packet_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
void net_diag_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
int net_live_probe(struct weir_plugin *p);     /* sources of live data: not while replaying */
int net_replay_probe(struct weir_plugin *p);
int net_replay_start(struct weir_plugin *p);
int net_replay_tick(struct weir_plugin *p);
void net_replay_stop(struct weir_plugin *p);
int net_packet_start(struct weir_plugin *p);
int net_packet_tick(struct weir_plugin *p);
void net_packet_stop(struct weir_plugin *p);
int net_diag_start(struct weir_plugin *p);
int net_diag_tick(struct weir_plugin *p);
void net_diag_stop(struct weir_plugin *p);
int net_proc_start(struct weir_plugin *p);
int net_proc_tick(struct weir_plugin *p);
void net_proc_stop(struct weir_plugin *p);

#endif
