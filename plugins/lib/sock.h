/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that are read again and again, and what each reading adds to their flows: the table
 * between the kernel's lists of sockets (diag.h, procnet.h) and the flow engine.
 *
 *   sock_round() -> sock_seen() each -> sock_swept()      and between: sock_closed()
 *
 * Happy path: a reading is held against the last one of the same socket; the difference goes
 * to the sink. A socket of the first round is older than the source: its counts are where it
 * starts from. A later one is new, all of it counts.
 * What is exact: segments, as the socket counts them (one SYN-ACK of an accepted one is added; what
 * is sent and received in TIME_WAIT is nobody's), and payload (a last byte that came with a RST
 * instead of a FIN is missing). Bytes are payload plus, for each segment, IP and TCP headers with
 * time stamps; other options (SYN, SACK) are not in it. So records are
 * marked approx, and say rather too little.
 * Failure modes: sink full: what it did not take comes with the next reading; for a socket that
 * is gone it is kept. Table full: the socket is not followed, counted. No memory: the same.
 * Invariant: what the sink took of a socket never exceeds what the socket counted.
 * Threads: one at a time.
 */
#ifndef WEIR_LIB_SOCK_H
#define WEIR_LIB_SOCK_H

#include "flow.h"

struct sock_counts {
	uint64_t payload[2];   /* sent (with what was sent again), received */
	uint32_t segs[2];      /* as the kernel counts them: they wrap */
	uint32_t retransmits, drops;
};
struct sock_reading {
	uint64_t id;           /* cookie, or inode: unique among all sockets of the table; 0: none */
	uint64_t cookie;       /* 0: unknown */
	uint64_t cgroup;       /* cgroup v2 id, 0: unknown */
	struct weir_flow_key key;
	struct sock_counts now;
	bool counts;           /* `now` holds; else the socket is only known to exist */
	bool listening;
	uint8_t state;         /* TCP state of the kernel */
	uint8_t header;        /* bytes of headers per segment */
	uint32_t srtt_us, idle_ms;  /* idle: since the last packet */
	uint32_t uid, inode, ifindex, netns;
};

struct sock_sink {
	/* 0, or -EAGAIN: no room, come again. */
	int (*flow)(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
	            const struct flow_extra *x);
	/* Owner of a socket, found after its flow was given. NULL: not wanted. */
	void (*owner)(void *arg, uint64_t cookie, const struct weir_flow_delta *owner);
	void (*listen)(void *arg, const struct weir_flow_listen *l);
	void *arg;
};

struct sock_stats {
	uint64_t rounds, readings, deltas, refused;
	uint64_t born_dead;            /* seen for the first time when they were closed */
	uint64_t vanished;             /* gone without a last word */
	uint64_t untracked;            /* no room in the table */
	uint64_t lost_packets, lost_bytes; /* of sockets closed while there was no room */
	uint64_t sockets, listeners;   /* now */
	uint64_t memory_bytes;         /* now */
};

struct sock_table;
/* source: static name for the records. */
int sock_table_new(const struct pkt_memory *m, uint32_t capacity, const char *source,
                   const struct sock_sink *sink, struct sock_table **ret);
void sock_table_free(struct sock_table *t);   /* NULL is fine */

void sock_round(struct sock_table *t, uint64_t now_ns);
void sock_seen(struct sock_table *t, const struct sock_reading *r, uint64_t now_ns);
void sock_closed(struct sock_table *t, const struct sock_reading *r, uint64_t now_ns);
/* All sockets have been seen. whole: none was left out by an error; then what was not seen in
 * this round and the one before is gone. */
void sock_swept(struct sock_table *t, bool whole, uint64_t now_ns);
/* Sockets whose last counts the sink has not taken yet. */
uint32_t sock_owed(const struct sock_table *t);
void sock_stats(const struct sock_table *t, struct sock_stats *ret);

/* ---- owners: which process has a socket, by inode (sock_owner.c) -------------- */

/* Sockets that still want an owner. */
uint32_t sock_ownerless(const struct sock_table *t);
/* Look through /proc/PID/fd, at most `links` descriptors. True: there is more to look at. */
bool sock_find_owners(struct sock_table *t, const char *proc, unsigned links);

#endif
