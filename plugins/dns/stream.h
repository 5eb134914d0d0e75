/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS over TCP: from segments to messages (RFC 1035 4.2.2, 7766). A message has two bytes of
 * length before it; a segment may hold many, or a part of one, or the length alone; segments
 * come out of order, twice, or not at all.
 *
 * Happy path: a segment that starts where the last ended and holds whole messages is handed
 * on without a copy. Else bytes wait in a buffer of their direction.
 * A gap is given up when the peer has acknowledged beyond it, after 16 further segments, or
 * at the end; reading then goes on at a segment that begins like a message. So it does in a
 * connection whose beginning was not seen.
 * Bounds: `connections`, the longest idle goes; 8 pieces and 128 KiB a direction (a message
 * has at most 64 KiB); `bytes` in all. Every byte that is given up is counted. Threads: one.
 */
#ifndef DNS_STREAM_H
#define DNS_STREAM_H

#include "match.h"

struct dns_segment {
	uint32_t seq, ack;
	bool has_ack;           /* ack holds */
	uint8_t flags;          /* of TCP */
	const uint8_t *data;
	uint32_t have, len;     /* captured, and on the wire */
};

/* One message; of it `have` bytes were captured. */
typedef void (*dns_stream_cb)(void *arg, const struct dns_seen *seen, const uint8_t *msg,
                              uint32_t have, uint32_t len);

struct dns_stream_stats {
	uint64_t messages, gaps, skipped_bytes, evicted, connections, bytes; /* the last two: now */
};

struct dns_streams;
int dns_streams_new(const struct pkt_memory *m, uint32_t connections, uint32_t bytes,
                    dns_stream_cb cb, void *arg, struct dns_streams **ret);
void dns_streams_free(struct dns_streams *s); /* NULL is fine */
/* 0, or -ENOMEM: then the segment is a gap. */
int dns_streams_add(struct dns_streams *s, const struct dns_seen *seen, const struct dns_segment *g);
/* Give up what waits, in all connections. */
void dns_streams_flush(struct dns_streams *s);
void dns_streams_stats(const struct dns_streams *s, struct dns_stream_stats *ret);

#endif
