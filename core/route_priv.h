/* SPDX-License-Identifier: Apache-2.0 */
/* A route from inside: shared by route.c and route_far.c only. */
#ifndef WEIR_CORE_ROUTE_PRIV_H
#define WEIR_CORE_ROUTE_PRIV_H

#include "route.h"
#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#define FRAME_MAGIC 0x5746524du /* "WFRM" */

/* A message. Between threads the batch goes as a handle; between processes its bytes
 * follow, and the receiver answers with acknowledgements, several to a message. Both
 * ends are the same program, so this needs no byte order. */
enum wire_type { WIRE_HANDLE = 1, WIRE_BATCH = 2, WIRE_ACKS = 3 };
struct wire {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	union {
		struct weir__frame *frame; /* HANDLE */
		uint64_t seq;              /* BATCH: on this route */
		uint64_t count;            /* ACKS: that follow */
	};
	uint64_t flags;                    /* BATCH: WIRE_APPROX */
};
#define WIRE_APPROX 1u
struct wire_ack {
	uint64_t seq;
	uint64_t rejected;
};

/* Which ends are here. */
enum route_ends { ENDS_BOTH, ENDS_TX, ENDS_RX };

struct weir__route {
	uint32_t id;
	char *from, *to;
	size_t limit;                      /* under the lock */
	_Atomic int policy;                /* written under the lock */
	_Atomic enum route_ends ends;      /* the same at each opening; acks may come meanwhile */

	pthread_mutex_t lock;
	bool open;
	bool shut;                         /* the output's breaker: count and take nothing */
	bool sending;                      /* tx_aio is busy */
	bool paused;                       /* its output is being exchanged */
	_Atomic unsigned handing;          /* threads on their way into nng_send_aio */
	size_t sent_bytes;                 /* with nng or the output, not acknowledged */
	struct weir__frame *frames, *oldest; /* all in flight, newest first */
	struct weir__frame *wait_head, **wait_tail;
	uint64_t seq;
	struct weir__route_stats own_stats, *stats;

	/* ENDS_RX: what is to be said, and of whom the batches are */
	struct wire_ack *acks;
	size_t ack_count, ack_room;
	bool held;                         /* no receive is under way: too much is here */
	const struct weir_plugin_desc *from_desc;
	char topics[WEIR__ROUTE_TOPICS][32];
	size_t topic_count;

	nng_socket tx, rx;
	nng_aio *tx_aio, *rx_aio;
	weir__route_receive receive;
	void *receive_arg;
};

/* route.c. Of frames: all with the lock held, but for the last. */
void weir__route_link(struct weir__route *r, struct weir__frame *f);
void weir__route_unlink(struct weir__route *r, struct weir__frame *f);
/* The output is done with it. */
void weir__route_settle(struct weir__route *r, struct weir__frame *f, uint32_t rejected);
void weir__route_frame_free(struct weir__frame *f);
/* Let go of the lock, and send what there is to send. */
void weir__route_unlock_and_send(struct weir__route *r);
/* To open: the aios first, then the sockets, then begin. nng's error. */
int weir__route_aios(struct weir__route *r);
void weir__route_begin(struct weir__route *r);
/* After a halt. */
void weir__route_close_sockets(struct weir__route *r);

/* route_far.c. The output's end: say what it is done with; receive again, if that was
 * held back. note_ack and next_acks (true: hand tx_aio to nng) with the lock held. */
void weir__route_note_ack(struct weir__route *r, const struct weir__frame *f, uint32_t rejected);
bool weir__route_next_acks(struct weir__route *r);
void weir__route_resume(struct weir__route *r);
/* nng thread: a message from the other process. Receives the next one, if all is well. */
void weir__route_far_message(struct weir__route *r, const char *body, size_t len);

#endif
