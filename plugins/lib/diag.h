/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows from INET_DIAG: the kernel lists its sockets with their tcp_info, and says a last word
 * of each that is destroyed (groups SKNLGRP_*_DESTROY), so that short ones are seen too.
 *
 *   diag_begin() -> diag_work() until it says that nothing is left    each interval
 *   diag_events()                                                     some ten times a second
 *   diag_finish()                                                     before the end: all up to now
 *
 * TCP has counts (sock.h says how exact they are); of UDP and SCTP only sockets with a peer
 * are known to exist, and which ports listen. One netlink socket per network namespace.
 * Failure modes: too many closings at once (ENOBUFS): counted, their last counts are lost, and a
 * round begins at once; a namespace, or a protocol, that cannot be read: counted, said once.
 * Threads: one at a time; entering another namespace is done on a thread that ends at once.
 */
#ifndef WEIR_LIB_DIAG_H
#define WEIR_LIB_DIAG_H

#include "sock.h"

/* ---- parsing: pure, any bytes are legal ------------------------------------------ */

enum diag_message {
	DIAG_END,          /* of the buffer */
	DIAG_SOCKET,       /* *ret holds */
	DIAG_DONE,         /* of the dump */
	DIAG_ERROR,        /* *ret_error: negative errno */
	DIAG_OTHER,        /* not for us: skipped */
	DIAG_MALFORMED,    /* lengths beyond their frame; if of the message itself, *at is the end */
};
struct diag_from {
	uint32_t seq;      /* of the request; messages with another are OTHER. 0: any (groups) */
	uint8_t proto;     /* asked for; 0: it says itself (groups) */
	uint64_t netns;    /* cookie, for the key */
	uint32_t netns_inum;
};
/* The message at *at, which moves behind it. */
enum diag_message diag_parse(const void *buf, size_t len, size_t *at, const struct diag_from *from,
                             struct sock_reading *ret, int *ret_error);

/* ---- reading ---------------------------------------------------------------------- */

struct diag_options {
	uint32_t capacity;         /* sockets followed */
	const char *proc;          /* where procfs is; kept */
	bool other_namespaces;     /* those of other processes too */
};
struct diag_stats {
	uint64_t overruns;         /* ENOBUFS: closings lost, not known how many */
	uint64_t malformed, errors, behind;
	uint32_t namespaces, refused_namespaces;
	int refused_error;         /* why the last of those */
};

struct diag;
int diag_open(const struct pkt_memory *m, const struct diag_options *o,
              const struct sock_sink *sink, struct diag **ret, char *why, size_t size);
void diag_close(struct diag *d);           /* NULL is fine */
/* Begin a round. One that is not over goes on, counted as behind. */
void diag_begin(struct diag *d, uint64_t now_ns);
/* Works for about budget_ns. True: the round is not over, or owners are still looked for. */
bool diag_work(struct diag *d, uint64_t now_ns, uint64_t budget_ns);
/* Closings since the last call. True: there are more. */
bool diag_events(struct diag *d, uint64_t now_ns, uint64_t budget_ns);
/* Is a round not over? diag_events() begins one when closings were lost. */
bool diag_running(const struct diag *d);
/* A whole round and all closings, however long it takes up to budget_ns. False: not all. */
bool diag_finish(struct diag *d, uint64_t now_ns, uint64_t budget_ns);
void diag_stats(const struct diag *d, struct diag_stats *ret, struct sock_stats *ret_sockets);

#endif
