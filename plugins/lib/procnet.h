/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows from /proc/net/{tcp,tcp6,udp,udp6}: the last resort. Which sockets exist, in what state,
 * whose; no counts at all, and no connection that is shorter than the interval.
 *
 *   procnet_begin() -> procnet_work() until it says that nothing is left    each interval
 *
 * A socket is known by its inode; those without (orphans, TIME_WAIT) are not followed. Only the
 * network namespace that `proc` shows through `self` is read.
 * Failure modes: a file that cannot be read is a gap in the round (no tcp at all: an error); a
 * line that is not of the known form is counted and passed over.
 * Threads: one at a time.
 */
#ifndef WEIR_LIB_PROCNET_H
#define WEIR_LIB_PROCNET_H

#include "sock.h"

/* One line of those files, without its newline, as a reading. Pure; any bytes are legal. False:
 * it is none (the heading, or not of this form). */
bool procnet_parse(const char *line, size_t len, bool v6, uint8_t proto, uint64_t netns,
                   struct sock_reading *ret);

struct procnet_stats {
	uint64_t malformed, errors, behind;
};
struct procnet;
/* proc: where procfs is; kept. */
int procnet_open(const struct pkt_memory *m, const char *proc, uint32_t capacity,
                 const struct sock_sink *sink, struct procnet **ret, char *why, size_t size);
void procnet_close(struct procnet *n);       /* NULL is fine */
void procnet_begin(struct procnet *n, uint64_t now_ns);
/* Works for about budget_ns. True: there is more. */
bool procnet_work(struct procnet *n, uint64_t now_ns, uint64_t budget_ns);
void procnet_stats(const struct procnet *n, struct procnet_stats *ret, struct sock_stats *ret_sockets);

#endif
