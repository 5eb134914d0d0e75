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
#include <stdatomic.h>

/* Elements read with one call: 200 KiB of buffers, 0.8 ms of the kernel's time. */
#define NET_BATCH 1024

/* They take turns: what one has brought is added while the other reads on. */
#define NET_READERS 2

/* reader.c */
struct net_reader {
	_Atomic uint64_t ticket;    /* number of the request, and whose the rest is */
	int fd;
	uint32_t token[2];          /* the kernel's place in the map: a bucket */
	bool first, last;           /* first call of a pass; nothing is left */
	bool keep;                  /* read only: what is read stays in the map */
	bool passed;                /* the other one reads on from here */
	int rc;                     /* why it ended early */
	uint32_t at, have, from[2]; /* of the batch, what is not added yet; where it began */
	struct weir_flow_key *keys;
	struct weir_flow_delta *deltas;
	uint64_t spent_ns;          /* in the kernel, this drain */
	int (*drain)(int fd, void *token, bool first, void *keys, void *values, uint32_t *count);
	int (*batch)(int fd, void *token, bool first, void *keys, void *values, uint32_t *count);
};

/* Namespaces remembered here, by cookie; others are asked of the kernel's map each time. */
#define NET_NAMES 64

enum net_drain_phase {
	NET_DRAIN_IDLE,     /* both at rest: a flip is due at the next tick */
	NET_DRAIN_BARRIER,  /* flipped; programs that run may still write the old map */
	NET_DRAIN_FETCH,    /* nobody writes it: fetch, add to the engine */
	NET_DRAIN_DELETE,   /* all is in the engine: what is still in the map goes */
};

/* From the flip on, all together; of it until no program writes any more. Of all readers, in the
 * kernel; of the loop, adding. */
struct net_drain_took { uint64_t all_ns, wait_ns, read_ns, add_ns, flows, delete_ns; };

struct net_drain {
	enum net_drain_phase phase;
	int maps[2], control, names, recent;
	struct { uint64_t cookie; uint32_t inum; } name[NET_NAMES];
	uint32_t own_inum;          /* of the namespace whose interfaces are watched */
	struct weir_net_control word;
	uint64_t flipped_ns;        /* what was counted before is in the map being drained */
	struct net_reader *reader[NET_READERS];
	uint32_t turn;              /* whose batch is added next */
	uint32_t errors;            /* calls that failed, this drain */
	bool here;                  /* the pool is not to be had, or refused bpf(2): the loop reads by itself */
	uint32_t cpu, cpus;         /* whose slots are next, when the map is empty; how many there are */
	struct weir_timer *timer;   /* goes on with the drain */
	uint64_t inserted;          /* of the kernel's counters, at the last flip */
	uint64_t early;             /* flips because a map was half full */
	uint64_t behind;            /* ticks that found a drain unfinished */
	uint64_t drained, rounds;   /* elements, maps */
	uint64_t refused_packets;   /* the engine had no room even at the end */
	struct net_drain_took took, most; /* the last, the longest so far */
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

/* A reader of one's own; NULL: there is none, or no memory. */
struct net_reader *net_reader_take(struct weir_plugin *p);
void net_reader_give(struct weir_plugin *p, struct net_reader *r); /* NULL is fine */
/* A pass over this map: what is read is deleted, or kept. */
void net_reader_begin(struct net_reader *r, int fd, bool keep);
/* `to` reads on where r has come to. */
void net_reader_pass(struct net_reader *r, struct net_reader *to);
/* The batch that failed, once more. */
void net_reader_again(struct net_reader *r);
/* The next batch, on this thread; or on the pool, then done(). 0, or -errno: no pool. */
void net_reader_here(struct net_reader *r);
int net_reader_ask(struct weir_plugin *p, struct net_reader *r, void (*done)(struct weir_plugin *, void *));
/* Is what it has read the loop's? Until then nothing else may be touched. */
bool net_reader_ours(const struct net_reader *r);
/* No more than the batch it is at, which is waited for. */
void net_reader_halt(struct net_reader *r);

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
