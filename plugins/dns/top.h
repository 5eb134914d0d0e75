/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heavy hitters in bounded memory: the space-saving algorithm (Metwally, Agrawal, El Abbadi,
 * ICDT 2005). Of N counted events, every key with more than N / entries is in the table; a
 * count is too high by `error` at most, and never too low. Threads: one.
 */
#ifndef DNS_TOP_H
#define DNS_TOP_H

#include <packet.h>

#define DNS_TOP_KEY 128
/* What is summed up beside the count, since the key came into the table. */
struct dns_top_entry {
	uint64_t count, error;
	uint64_t failed, timeouts, latency_ns, latency_max_ns, answered;
	char key[DNS_TOP_KEY];   /* text, or the bytes of a key of fixed size */
	uint32_t len;
	uint64_t hash;
};

struct dns_top;
int dns_top_new(const struct pkt_memory *m, uint32_t entries, struct dns_top **ret);
void dns_top_free(const struct pkt_memory *m, struct dns_top *t); /* NULL is fine */
/* Counts; keys longer than the room are cut. The entry, valid until the next call. */
struct dns_top_entry *dns_top_add(struct dns_top *t, const void *key, size_t len, uint64_t weight);
/* The n largest, largest first. Returns how many. */
uint32_t dns_top_list(const struct dns_top *t, const struct dns_top_entry **ret, uint32_t n);

#endif
