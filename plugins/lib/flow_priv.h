/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the flow engine share: the row of a flow, and the table around it.
 *
 *   flow.c         queues, rounds, what flow.h offers
 *   flow_store.c   rows in slabs, the index, who has to go when it is full
 *   flow_wheel.c   when to look at a row again
 *   flow_state.c   who is the initiator, TCP states, timeouts
 *   flow_merge.c   a delta into a row
 *   flow_record.c  a row into a record
 *   flow_intern.c  owners and where they run, one copy each
 *   flow_listen.c  ports that listen, addresses that are ours
 *
 * Memory: a row is 184 bytes and its place in the index 5.3. What few flows have (drops,
 * retransmits, a tunnel around them) is in an extension of 64 bytes.
 */
#ifndef WEIR_LIB_FLOW_PRIV_H
#define WEIR_LIB_FLOW_PRIV_H

#include "flow.h"

#define FLOW_SLAB 256          /* rows: 46 KiB at a time */
#define FLOW_WHEEL 256         /* slots; half of them is the horizon */
#define FLOW_TICK_SHIFT 26     /* 67 ms: 16 bits of it are 73 minutes, more than any interval */
#define FLOW_SOURCES 8         /* names of sources, "" being one; a plugin has five */
#define FLOW_NETNS 256         /* namespaces whose inode number is remembered */
#define FLOW_OWNERS_DUE 256    /* sockets that changed hands and wait for a walk of the store */
#define FLOW_LISTENERS 16384   /* ports that listen, on a node; more are not told apart */
#define FLOW_LOCAL 1024        /* addresses of a node; container hosts have some hundred */
#define FLOW_HANDSHAKE_SHIFT 6 /* 64 ns: up to 274 s */
#define FLOW_BYTES_MAX ((1ull << 48) - 1)

/* How sure it is who began: the higher wins, until a record has said it. */
enum flow_rank {
	FLOW_RANK_NONE, FLOW_RANK_FIRST, FLOW_RANK_PORTS, FLOW_RANK_LISTEN, FLOW_RANK_SYN,
	FLOW_RANK_SOCKET,
};

struct flow_row {
	struct weir_flow_key key;
	uint64_t packets[2], bytes[2];     /* since the flow began, by direction */
	uint64_t first_ns, last_ns;
	uint64_t cookie;
	uint64_t wait_sum_ns;
	uint32_t delta_packets[2];         /* since the last record */
	uint32_t delta_bytes[2];           /* ... low half */
	uint16_t delta_bytes_high[2];
	uint32_t waits, jitter_ns;
	uint32_t turn;                     /* time of the last turn, in 1024 ns, modulo 2^32 */
	uint32_t owner;                    /* 0: none */
	uint32_t ext;                      /* 0: none */
	uint32_t next;                     /* in the wheel's slot, or in the list of free rows */
	uint32_t ifindex;
	uint32_t label0 : 20, state : 4, source : 3, owner_from : 2, src : 1, closed : 1, turn_dir : 1;
	uint32_t label1 : 20, rank : 3, turned : 1, fresh : 2, start_due : 1, sampled : 1, approx : 1,
	         icmp_seen : 2, syn_first : 1;
	union {
		uint32_t handshake;                     /* TCP, in 64 ns; 0: not seen */
		struct { uint8_t icmp_type[2], icmp_code[2]; };
	};
	uint32_t srtt_us : 30, alive : 1, recorded : 1;
	uint8_t flags[2], tos[2], ttl[2];
	uint16_t record_tick;
};
_Static_assert(sizeof(struct flow_row) == 184, "the memory of a flow is a promise");

struct flow_ext {
	uint32_t next_free;
	uint32_t drops, retransmits, spi, tunnel_id;
	uint16_t drop_reason, resets;
	uint8_t error, tunnel_type, outer;  /* outer: the addresses hold */
	uint8_t pad;
	uint8_t tunnel_src[16], tunnel_dst[16];
	uint16_t tunnel_sport, tunnel_dport;
};
_Static_assert(sizeof(struct flow_ext) == 64, "extension");

/* An update that waits. */
struct flow_update {
	struct weir_flow_key key;
	struct weir_flow_delta d;
	uint64_t hash;
	uint8_t tunnel_src[16], tunnel_dst[16];
	uint16_t tunnel_sport, tunnel_dport;
	uint32_t tunnel_id, spi;
	uint8_t tunnel_type, outer, source, approx;
};
struct flow_queue {
	struct flow_update *items;
	uint64_t head, tail;    /* tail - head: how many */
};

/* Pieces of one size, numbered from 1, in slabs that are made when needed. */
struct flow_pool {
	void **slabs;
	uint32_t size, used, made, max, free;   /* free: first of the list, by the uint32_t at link */
	uint32_t link;
};
static inline void *flow_pool_at(const struct flow_pool *p, uint32_t id)
{
	id--;
	return (char *)p->slabs[id / FLOW_SLAB] + (size_t)(id % FLOW_SLAB) * p->size;
}

/* Equal things once, numbered from 1, counted. */
struct flow_intern {
	char *entries;          /* head, then `size` bytes; the first `key` of them identify */
	uint32_t *buckets;
	uint32_t size, key, cap, made, used, free;
};
struct flow_owner_entry {
	uint64_t cgroup;
	uint32_t pid, uid;
	char comm[16];
	uint32_t place, pad;    /* not part of the key */
};
#define FLOW_OWNER_KEY offsetof(struct flow_owner_entry, place)
struct flow_place {
	uint64_t cgroup;
	char container[64], unit[64], pod[40];
};
#define FLOW_PLACE_KEY sizeof(uint64_t)

struct flow_victim { uint64_t last_ns; uint32_t row; };
struct flow_listener {
	uint64_t netns;
	uint8_t addr[16];
	uint16_t port;
	uint8_t proto, used;
	uint32_t count;
};
struct flow_owner_due { uint64_t cookie; struct flow_owner_entry owner; uint32_t from; };

struct flow_table {
	struct pkt_memory m;
	struct flow_options o;
	flow_emit_cb emit;
	flow_keep_cb keep;
	void *arg;
	struct flow_stats stats;
	uint64_t seed, now;

	struct flow_queue *queues;
	uint32_t turn;                      /* queue to begin with */
	struct flow_pool rows, exts;
	uint32_t *index, slots, id_bits;    /* slot: tag above, row below; 0: empty */
	struct flow_victim *victims;
	uint32_t victim_max, victim_count;

	uint32_t wheel[FLOW_WHEEL];
	uint64_t wheel_tick, tick_ns, horizon_ns; /* all up to wheel_tick has been looked at */
	bool wheel_started, starts_due;           /* a record of a start was refused */
	uint32_t flush_at;

	struct flow_intern owners, places;
	const char *sources[FLOW_SOURCES];
	struct { uint64_t cookie; uint32_t inode; } netns[FLOW_NETNS];
	struct flow_owner_due *owners_due;
	uint32_t owner_due_count;
	struct flow_listener *listeners;    /* made with the first */
	uint32_t listener_count;
	uint8_t (*local)[16];               /* sorted */
	uint32_t local_count;
};

/* flow_store.c */
int flow_store_init(struct flow_table *t);
void flow_store_fini(struct flow_table *t);
void flow_store_clear(struct flow_table *t);               /* no flow is alive: free all rows */
uint64_t flow_hash(uint64_t seed, const struct weir_flow_key *k);
void flow_prefetch_slot(const struct flow_table *t, uint64_t hash);
void flow_prefetch_row(const struct flow_table *t, uint64_t hash);
uint32_t flow_find(const struct flow_table *t, const struct weir_flow_key *k, uint64_t hash);
void flow_index_add(struct flow_table *t, uint32_t id, uint64_t hash);
void flow_index_remove(struct flow_table *t, uint32_t id);
uint32_t flow_pool_get(struct flow_table *t, struct flow_pool *p);   /* 0: full, or no memory */
void flow_pool_put(struct flow_pool *p, uint32_t id);
uint32_t flow_victim(struct flow_table *t);                /* longest idle; 0: no flow at all */
static inline struct flow_row *flow_row(const struct flow_table *t, uint32_t id)
{
	return flow_pool_at(&t->rows, id);
}

/* flow_wheel.c */
void flow_wheel_init(struct flow_table *t);
void flow_wheel_arm(struct flow_table *t, uint32_t id, uint64_t at_ns);
uint32_t flow_wheel_due(struct flow_table *t);             /* next row to look at; 0: none */
void flow_wheel_again(struct flow_table *t, uint32_t id);  /* the same, at once */

/* flow_state.c */
unsigned flow_initiator(struct flow_table *t, const struct weir_flow_key *k,
                        const struct weir_flow_delta *d, enum flow_rank *ret_rank);
void flow_tcp_state(struct flow_row *r, const struct weir_flow_delta *d);
uint64_t flow_timeout(const struct flow_table *t, const struct flow_row *r);
bool flow_over(const struct flow_row *r);                  /* it has ended by itself */
bool flow_begins_anew(const struct flow_row *r, const struct weir_flow_delta *d);

/* flow_merge.c */
void flow_begin(struct flow_table *t, struct flow_row *r, const struct flow_update *u);
void flow_merge(struct flow_table *t, struct flow_row *r, const struct flow_update *u);
bool flow_merge_fits(const struct flow_row *r, const struct weir_flow_delta *d);
void flow_forget(struct flow_table *t, struct flow_row *r); /* gives back what it refers to */
void flow_set_owner(struct flow_table *t, struct flow_row *r, const struct flow_owner_entry *o,
                    enum weir_flow_owner from);
enum weir_flow_owner flow_owner_of(const struct weir_flow_delta *d, struct flow_owner_entry *ret);
static inline uint64_t flow_delta_bytes(const struct flow_row *r, unsigned e)
{
	return (uint64_t)r->delta_bytes_high[e] << 32 | r->delta_bytes[e];
}

/* flow_record.c */
void flow_fill(const struct flow_table *t, const struct flow_row *r, struct weir_flow *ret);
/* 0, and the deltas are cleared; or what emit said, and nothing has changed. */
int flow_emit(struct flow_table *t, struct flow_row *r, enum weir_flow_event event,
              enum weir_flow_end_reason why);

/* flow_intern.c */
uint32_t flow_intern_get(struct flow_table *t, struct flow_intern *in, const void *key, bool *ret_new);
bool flow_intern_put(struct flow_intern *in, uint32_t id); /* true: that was the last */
void flow_intern_ref(struct flow_intern *in, uint32_t id);
void *flow_intern_at(const struct flow_intern *in, uint32_t id);
void flow_intern_fini(struct flow_table *t, struct flow_intern *in);

/* flow_listen.c */
bool flow_listens(const struct flow_table *t, uint64_t netns, const uint8_t addr[16], uint16_t port,
                  uint8_t proto);
bool flow_is_local(const struct flow_table *t, const uint8_t addr[16]);
void flow_listen_fini(struct flow_table *t);

static inline void *flow_alloc(const struct flow_table *t, void *old, size_t size)
{
	return t->m.realloc(t->m.arg, old, size);
}
static inline void flow_free(const struct flow_table *t, void *p)
{
	if (p)
		t->m.realloc(t->m.arg, p, 0);
}
static inline uint32_t flow_label(const struct flow_row *r, unsigned e)
{
	return e ? r->label1 : r->label0;
}

#endif
