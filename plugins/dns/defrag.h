/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the fragments of UDP datagrams together, for sources that see packets on their way.
 * (A socket's programs see whole datagrams.) Happy path: every fragment but the last that
 * comes says NULL, the last says the datagram. Incomplete ones go after 30 s (RFC 8200 4.5
 * has 60), or when the bounds are reached: 64 datagrams, 1 MiB. Overlapping fragments end
 * their datagram (RFC 5722), but for exact copies. Everything given up is counted.
 * Threads: one.
 */
#ifndef DNS_DEFRAG_H
#define DNS_DEFRAG_H

#include <packet.h>

struct dns_defrag_stats {
	uint64_t fragments, whole, incomplete, overlaps;
};

struct dns_defrag;
int dns_defrag_new(const struct pkt_memory *m, struct dns_defrag **ret);
void dns_defrag_free(struct dns_defrag *d); /* NULL is fine */
/* One fragment: its layer, and the packet it is in. Returns the UDP header and what follows,
 * valid until the next call, or NULL. A fragment that
 * was captured in part only is not taken. */
const uint8_t *dns_defrag_add(struct dns_defrag *d, const struct pkt_layer *l, uint64_t netns,
                              const uint8_t *data, uint32_t caplen, uint64_t now_ns,
                              uint32_t *ret_len);
void dns_defrag_expire(struct dns_defrag *d, uint64_t now_ns);
/* The rest will not come. */
void dns_defrag_flush(struct dns_defrag *d);
void dns_defrag_stats(const struct dns_defrag *d, struct dns_defrag_stats *ret);

#endif
