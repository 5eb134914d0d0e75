/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine: takes what sources say about flows, keeps each flow until it has ended,
 * and makes the records. It knows no source: BPF maps, packet sockets, INET_DIAG, captures
 * all call flow_add().
 *
 *   flow_add() -> queue of its shard (by hash) -> flow_work(): store, timing wheel -> emit()
 *
 * Happy path: flow_add() many, then flow_work() until it says that nothing is left.
 * Bounds: `capacity` flows and `queue` waiting updates per shard; a full store ends its longest
 * idle flow early (lack_of_resources, counted), a full queue refuses (-EAGAIN: call flow_work()
 * first, or keep it). Nothing added is lost: it is in a record, in the store, or counted.
 * Threads: one; the host's loop. Memory: everything through struct pkt_memory.
 * Invariant, per direction and in packets and bytes:
 *   added = emitted in deltas + in the store + in queues + filtered.
 */
#ifndef WEIR_LIB_FLOW_H
#define WEIR_LIB_FLOW_H

#include "flow_events.h"
#include "flow_key.h"
#include "owner.h"
#include "packet.h"

struct flow_options { /* times in ns */
	uint64_t max_record_interval, generic_timeout, icmp_timeout, tcp_timeout, tcp_fin_timeout,
	         tcp_rst_timeout, udp_timeout;
	uint64_t capacity;         /* flows in all shards together */
	uint64_t shards;           /* 1 to 64, a power of two */
	uint64_t queue;            /* updates per shard */
	uint16_t community_id_seed;
	bool start_records;        /* a record when a flow begins */
	uint64_t hash_seed;        /* random, so that nobody can choose flows that collide */
	/* Where a process runs, for its records; asked once per process and cgroup. NULL: never.
	 * The result is copied; it may itself be NULL: not known. */
	const struct owner_cgroup *(*place)(void *arg, uint64_t cgroup, uint32_t pid);
};

/* What a source knows beside the delta; zero where it does not. */
struct flow_extra {
	const struct pkt_layer *outer; /* tunnel around it, or NULL */
	uint32_t spi, netns;
	const char *source;            /* "bpf", ...: static */
	bool approx;
};

struct flow_stats {
	uint64_t added_packets, added_bytes, emitted_packets, emitted_bytes;
	uint64_t filtered_packets, filtered_bytes;
	uint64_t created, ended[WEIR_END_RESOURCES + 1], records, evicted, refused;
	uint64_t flows, queued;    /* now */
	uint64_t memory_bytes;     /* now */
	uint64_t lost_details;     /* owner, tunnel, drops of a flow not kept, for want of memory */
	uint64_t unmatched;        /* marks (closed, retransmitted, ...) of flows that are not known */
};

struct flow_table;
/* emit: takes one record; <0: no room now, the engine keeps it and stops this round. */
typedef int (*flow_emit_cb)(void *arg, const struct weir_flow *r);
/* keep: is a new flow wanted at all? (filters that the source could not apply) NULL: yes. r: as
 * its first record would be, without the Community ID. Asked again at the next update. */
typedef bool (*flow_keep_cb)(void *arg, const struct weir_flow *r);

int flow_table_new(const struct pkt_memory *m, const struct flow_options *o, flow_emit_cb emit,
                   flow_keep_cb keep, void *arg, struct flow_table **ret);
void flow_table_free(struct flow_table *t); /* NULL is fine */

/* Add what an interval gave. 0; -EAGAIN: that shard's queue is full. */
int flow_add(struct flow_table *t, const struct weir_flow_key *k, const struct weir_flow_delta *d,
             const struct flow_extra *x);
/* Work off queues and expiries for about budget_ns. Returns true while there is more to do.
 * A flow never expires before all updates up to now_ns are in: call it after draining. */
bool flow_work(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns);
/* End all flows with this reason (a source stops, shutdown). Repeat while it says true. */
bool flow_flush(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns, enum weir_flow_end_reason why);
void flow_stats(const struct flow_table *t, struct flow_stats *ret);

/* A socket has another owner than its flows so far; for those with this cookie. */
void flow_owner(struct flow_table *t, uint64_t cookie, const struct weir_flow_delta *owner);
/* A port listens, or no longer: for directions. */
void flow_listening(struct flow_table *t, uint64_t netns, const uint8_t addr[16], uint16_t port,
                    uint8_t proto, bool open);

/* This node's own addresses: on the wire they tell client from server. Copied; at most 1024, the
 * others are nobody's. 0, or -ENOMEM: as before. */
int flow_local(struct flow_table *t, const uint8_t (*addrs)[16], size_t count);

/* Walk the live flows as records (deltas since the last record), bounded by the caller. */
typedef bool (*flow_walk_cb)(void *arg, const struct weir_flow *r); /* false: stop */
void flow_walk(struct flow_table *t, flow_walk_cb cb, void *arg);

#endif
