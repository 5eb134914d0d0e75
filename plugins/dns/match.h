/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs questions with their answers.
 *
 *   query ----> open ----answer----> answered (kept a while, to know duplicates) ----> gone
 *                |  +--same key again: a retry, newest time moves on
 *                +--timeout, table full, end----> gone
 *
 * Key: network namespace, both addresses and ports, transport, id, name (case aside), type.
 * A response without a question section is matched by all but name and type.
 * Every query ends in exactly one call of `finish`, and so does every response that belongs
 * to none: queries = retries + copies + answered + timeout + evicted + open at the end.
 * Bounds: `capacity` entries; at most 1024 of them answered ones, the oldest goes first; then
 * the longest open one is evicted. 256 truncated answers wait for their TCP query. 64
 * responses wait 100 ms for a query that another CPU's ring may still hold.
 * Time is the caller's, and may lie in the past; only differences are used. Threads: one.
 */
#ifndef DNS_MATCH_H
#define DNS_MATCH_H

#include "dns_events.h"
#include "wire.h"
#include <packet.h>

/* What is known about a message beside its bytes. */
/* Two sources that hand over both see what passes for so long. A message met by both is one:
 * what was sent again comes later than twice that. */
#define DNS_OVERLAP_NS 10000000ull

struct dns_seen {
	uint64_t time_ns;
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint8_t transport;        /* enum weir_dns_transport */
	uint8_t role;             /* enum weir_dns_role */
	uint8_t via;              /* enum dns_via */
	bool loopback, owned;
	bool theirs;              /* in the other source's part of an overlap */
	uint32_t ifindex;
	uint64_t netns, cookie, cgroup;
	uint32_t pid, uid, weight;
	char comm[16];
};

enum dns_via { DNS_VIA_PACKET, DNS_VIA_BPF };

/* A question and its surroundings, as long as it is open. */
struct dns_query {
	struct dns_seen seen;     /* src is the client; time_ns: the newest */
	uint64_t first_ns;        /* of this transport */
	uint64_t wait_from_ns;    /* first_ns, or that of the query over UDP before */
	uint64_t epoch;           /* losses when it came */
	uint16_t id, flags, type, class_, retries;
	uint16_t count[4];
	uint32_t bytes;
	bool none;                /* there was no query: seen and name are of the response */
	bool tcp_retry, approx;
	struct dns_edns edns;
	struct dns_name name;
};

/* One outcome. `response`: NULL if there was none; `seen`: with it, of the response. */
typedef void (*dns_finish_cb)(void *arg, enum weir_dns_outcome outcome, const struct dns_query *q,
                              const struct dns_seen *seen, const struct dns_msg *response);

struct dns_match_options {
	uint32_t capacity;
	uint64_t timeout_ns;
	uint64_t early_ns;        /* how long a response may come before its query; 0: not */
};

struct dns_match_stats {
	uint64_t queries, responses;
	uint64_t outcomes[WEIR_DNS_OUTCOMES];
	uint64_t multicast_queries; /* of outcomes[MULTICAST] */
	uint64_t retries, copies, tcp_retries, early; /* copies: of queries */
	uint64_t response_copies;
	uint64_t open;            /* now */
};

struct dns_match;
int dns_match_new(const struct pkt_memory *m, const struct dns_match_options *o,
                  dns_finish_cb finish, void *arg, struct dns_match **ret);
void dns_match_free(struct dns_match *m); /* NULL is fine; what is open is forgotten */
void dns_match_message(struct dns_match *m, const struct dns_seen *seen, const struct dns_msg *msg);
/* Timeouts up to now, max of them. Returns true if there are more. */
bool dns_match_expire(struct dns_match *m, uint64_t now_ns, unsigned max);
/* End all that is open. */
void dns_match_flush(struct dns_match *m, enum weir_dns_outcome why);
/* Packets were lost: what is open now may look unanswered and is not. */
void dns_match_lost(struct dns_match *m);
void dns_match_stats(const struct dns_match *m, struct dns_match_stats *ret);
/* The next time at which something expires; UINT64_MAX: nothing is open. */
uint64_t dns_match_next(const struct dns_match *m);

bool dns_is_multicast(const uint8_t addr[16]);

#endif
