/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of network's bpf source, and what its files offer each other.
 *
 *   source_bpf.c  start, stop, records of the ring     drain.c  maps -> engine
 *   knobs.c       options -> constants and filters
 *   wire.c        interfaces: which, and attached       iface.c  rtnetlink
 */
#ifndef SOURCE_BPF_H
#define SOURCE_BPF_H

#include "network.h"
#include "network_maps.h"

/* Elements fetched with one call: 200 KiB of buffers, 0.3 ms of the kernel's time. */
#define NET_BATCH 1024

/* Namespaces remembered here, by cookie; others are asked of the kernel's map each time. */
#define NET_NAMES 64

enum net_drain_phase {
	NET_DRAIN_IDLE,     /* both at rest: a flip is due at the next tick */
	NET_DRAIN_BARRIER,  /* flipped; programs that run may still write the old map */
	NET_DRAIN_FETCH,    /* nobody writes it: fetch, delete, add to the engine */
};

struct net_drain {
	enum net_drain_phase phase;
	int maps[2], control, names, recent;
	struct { uint64_t cookie; uint32_t inum; } name[NET_NAMES];
	uint32_t own_inum;          /* of the namespace whose interfaces are watched */
	struct weir_net_control word;
	uint64_t flipped_ns;        /* what was counted before is in the map being drained */
	uint64_t token;             /* the kernel's place in the map */
	bool first, last;           /* first call of a drain; the map is empty now */
	uint32_t cpu, cpus;         /* whose slots are next, when the map is empty; how many there are */
	uint32_t at, have;          /* of the batch in the buffers, what is not added yet */
	struct weir_flow_key *keys;
	struct weir_flow_delta *deltas;
	struct weir_timer *timer;   /* goes on with the drain */
	uint64_t inserted;          /* of the kernel's counters, at the last flip */
	uint64_t early;             /* flips because a map was half full */
	uint64_t behind;            /* ticks that found a drain unfinished */
	uint64_t drained, rounds;   /* elements, maps */
	uint64_t refused_packets;   /* the engine had no room even at the end */
	uint64_t fetch_ns, took_ns; /* of the last drain: in the kernel, all together */
	uint64_t most_ns, most_fetch_ns; /* the longest so far, and its time in the kernel */
};

struct net_wire;

struct net_bpf {
	struct net_drain drain;
	struct net_wire *wire;      /* NULL: scope host only */
	const struct weir_net_cpu *cpu;
	uint32_t cpus;
	struct weir_net_cpu said;   /* counts that the log knows */
	uint64_t said_behind, said_early, said_refused;
	struct weir_timer *watch;   /* how full the map is */
};

/* drain.c */
int net_drain_init(struct weir_plugin *p, struct net_drain *d);
void net_drain_fini(struct weir_plugin *p, struct net_drain *d); /* idempotent */
/* Flip, and drain what was filled. In the middle of that: counted `behind`. */
void net_drain_tick(struct weir_plugin *p, struct net_drain *d);
/* The map fills sooner than the poll comes: drain it now. */
void net_drain_early(struct weir_plugin *p, struct net_drain *d);
/* All at once, both maps; programs are detached already. Blocks up to 50 ms for RCU. */
void net_drain_rest(struct weir_plugin *p, struct net_drain *d);

/* What there is to know of a flow besides: its source, its namespace's number. */
void net_drain_extra(struct weir_plugin *p, struct net_drain *d, const struct weir_flow_key *k,
                     struct flow_extra *ret);

/* knobs.c */
int net_knobs_prepare(struct weir_plugin *p);
int net_knobs_start(struct weir_plugin *p);

/* wire.c */
int net_wire_start(struct weir_plugin *p, struct net_bpf *b);
void net_wire_tick(struct weir_plugin *p, struct net_bpf *b);
void net_wire_stop(struct weir_plugin *p, struct net_bpf *b); /* NULL wire is fine */

/* source_bpf.c: the callbacks, and the programs; both for the table in network.c. */
#define NET_BPF_PROGRAMS 21
extern const struct weir_program net_bpf_programs[NET_BPF_PROGRAMS];
int net_bpf_prepare(struct weir_plugin *p);
int net_bpf_start(struct weir_plugin *p);
void net_bpf_stop(struct weir_plugin *p);
int net_bpf_record(struct weir_plugin *p, struct weir_record *r);
int net_bpf_tick(struct weir_plugin *p);

/* New flows in the maps so far, over all CPUs. */
uint64_t net_bpf_inserts(const struct network *n);
/* What the programs counted, over all CPUs. */
void net_bpf_counts(const struct network *n, struct weir_net_cpu *ret);

#endif
