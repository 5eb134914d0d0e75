/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A route: the queue from one collector to one output, over one nng pair or stream.
 *
 *   collector's thread          nng threads               output's thread
 *   weir__route_send ---> [waiting] --aio--> pair --aio--> inbox -> deliver
 *        limit in bytes, policy                  one wake per burst  -> weir__route_ack
 *
 * Between threads the message carries a handle to a shared batch; the frames in
 * flight are on the route's own list, so that whatever nng loses at a close is
 * still freed and booked (as `crashed`). The bytes are released when the output
 * has acknowledged, not when nng took the message. What the output has when the
 * collector ends stays in flight until it acknowledges, or ends itself.
 *
 * If either end is in a process of its own, a route object exists at both ends and
 * the batch's bytes travel; acknowledgements come back on the same stream, and the
 * frames stay with the sender until then, under the same limit and policy.
 * A shut route has an output that failed: it takes nothing, and counts.
 *
 * Invariant, under the lock:  offered = delivered + rejected + queue_full +
 * breaker_open + crashed + records in `frames`.
 */
#ifndef WEIR_CORE_ROUTE_H
#define WEIR_CORE_ROUTE_H

#include "batch.h"
#include "ledger.h"
#include <weir/plugin.h>

/* Topics one collector may have. */
#define WEIR__ROUTE_TOPICS 8

struct weir__route;

/* A route's side of the ledger; all but `queued` and what follows only grow. */
struct weir__route_stats {
	uint64_t offered, delivered;
	uint64_t rejected, queue_full, breaker_open, crashed;
	uint64_t queued;       /* records in flight */
	uint64_t queued_bytes;
	uint64_t batches, bytes; /* accepted */
	size_t limit;
	int policy;
	bool open;
	bool bad;              /* the other end, a process, has sent nonsense: it ended there */
};

/* One batch on one route. */
struct weir__frame {
	uint32_t magic;
	uint32_t count;            /* records */
	struct weir__route *route;
	struct weir__batch *batch; /* holds a reference */
	struct weir_batch view;    /* with this route's sequence number */
	bool received;             /* the output's side has it */
	bool sent;                 /* nng has had it: an acknowledgement may come */
	bool orphan;               /* its output is lost: booked already, freed by the ack */
	uint32_t opening;          /* of the route, in which it came from a process */
	size_t bytes;              /* what it counts against the limit */
	struct weir__frame *prev, *next;  /* all in flight */
	struct weir__frame *wait_next;    /* waiting for nng, or in an inbox */
};

/* Called on an nng thread for a received frame: put it on a list, wake a loop. */
typedef void (*weir__route_receive)(void *arg, struct weir__frame *frame);

struct weir__route_config {
	uint32_t id;      /* not 0, of this daemon's routes the only one */
	const char *from, *to;
	size_t limit;     /* bytes */
	int policy;       /* WEIR__DROP_NEWEST ... of config.h */
};

uint32_t weir__route_id(const struct weir__route *r);
int weir__route_new(const struct weir__route_config *cfg, struct weir__route **ret);
/* Starts nng's threads, which inherit the rights of the thread that does. arg: none. */
void weir__route_prepare(void *arg);
/* Connect both ends. Main thread. 0 or -errno. */
int weir__route_open(struct weir__route *r, weir__route_receive receive, void *arg);
/* One end here, the other in another process: the output's end listens at `url`, then
 * the collector's dials it. `from` describes what will come, and outlives the route.
 * An output's end counts what it has received as `offered`. */
int weir__route_open_rx(struct weir__route *r, const char *url, const struct weir_plugin_desc *from,
                        weir__route_receive receive, void *arg);
int weir__route_open_tx(struct weir__route *r, const char *url);
/* Count there instead: where another process can see it. Before it is open. */
void weir__route_share_stats(struct weir__route *r, struct weir__route_stats *shared);
/* Hold back what the output has not got yet, or let it go on. The limit and its policy
 * hold. Main thread; idempotent. */
void weir__route_pause(struct weir__route *r, bool on);
/* Paused, and the output has acknowledged all it was given? */
bool weir__route_is_idle(struct weir__route *r);
/* Of one that is idle: from now on another host is its output. Main thread. */
void weir__route_redirect(struct weir__route *r, void *arg);
/* The same for one whose output is in a process: it dials there. What waits is kept. */
int weir__route_redial(struct weir__route *r, const char *url);
/* Send a batch (takes its own reference). Collector's thread, never blocks. */
void weir__route_send(struct weir__route *r, struct weir__batch *b);
/* With policy block: must the collector hold back? Collector's thread. */
bool weir__route_blocked(struct weir__route *r);
/* Another limit and policy, from the next batch on; what is queued stays. Any thread. */
void weir__route_tune(struct weir__route *r, size_t limit, int policy);
bool weir__route_may_block(const struct weir__route *r);
/* The output is done with a frame: `rejected` of its records were refused. */
void weir__route_ack(struct weir__frame *f, uint32_t rejected);
/* The output's host is going: this frame is not delivered. Booked as crashed. */
void weir__route_lose(struct weir__frame *f);
/* The output's thread does not come back: what it has is booked as crashed, but not
 * freed, since it may still look at it. Closes. Main thread. */
void weir__route_abandon(struct weir__route *r);
/* Its output has failed and will be tried again: what is sent from now on is booked as
 * breaker_open and holds nobody back; what is queued stays. Until the next open. */
void weir__route_shut(struct weir__route *r);
/* No callback of nng's runs after this. Main thread, waits; idempotent. */
void weir__route_halt(struct weir__route *r);
/* The collector has ended: what the output has not got yet is booked as crashed,
 * what it has it may still acknowledge. Main thread; waits for nng. */
void weir__route_close(struct weir__route *r);
/* The output has ended, too, and touches no frame any more: the rest is booked as
 * crashed. Closes. Main thread. */
void weir__route_end(struct weir__route *r);
void weir__route_free(struct weir__route *r); /* ends; NULL is fine */

void weir__route_stats(struct weir__route *r, struct weir__route_stats *ret);

/* nng's error codes, translated in this one place. */
int weir__nng_errno(int rv);

#endif
