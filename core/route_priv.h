/* SPDX-License-Identifier: Apache-2.0 */
/* A route from inside: shared by route.c, route_far.c and route_stream.c only. */
#ifndef WEIR_CORE_ROUTE_PRIV_H
#define WEIR_CORE_ROUTE_PRIV_H

#include "route.h"
#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#define FRAME_MAGIC 0x5746524du /* "WFRM" */

/* A message between threads: the batch goes as a handle. */
struct handle {
	uint32_t magic;
	struct weir__frame *frame;
};

/* The head of a message between processes. A batch's bytes follow, and the receiver
 * answers with acknowledgements, several to a message. Both ends are the same program,
 * so this needs no byte order. */
#define WIRE_VERSION 2
enum wire_type { WIRE_BATCH = 2, WIRE_ACKS = 3 };
struct wire {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint64_t len;                      /* bytes that follow */
	uint64_t seq;                      /* BATCH: on this route; ACKS: 0 */
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
	uint32_t openings;                 /* so far, this one included */
	bool shut;                         /* the output's breaker: count and take nothing */
	bool sending;                      /* tx_aio is busy */
	bool paused;                       /* its output is being exchanged */
	_Atomic unsigned handing;          /* threads on their way into nng */
	size_t sent_bytes;                 /* with nng or the output, not acknowledged */
	struct weir__frame *frames, *oldest; /* all in flight, newest first */
	struct weir__frame *wait_head, **wait_tail;
	uint64_t seq;
	struct weir__route_stats own_stats, *stats;

	/* ENDS_RX: what is to be said, and of whom the batches are */
	struct wire_ack *acks, *acks_out;  /* to be said, and what is being said */
	size_t ack_count, ack_room, acks_out_room;
	bool held;                         /* no receive is under way: too much is here */
	const struct weir_plugin_desc *from_desc;
	char topics[WEIR__ROUTE_TOPICS][32];
	size_t topic_count;

	nng_socket tx, rx;                 /* ENDS_BOTH */
	nng_aio *tx_aio, *rx_aio;          /* one per direction, wherever the ends are */

	/* ENDS_TX and ENDS_RX, for route_stream.c */
	nng_stream *stream;
	nng_stream_listener *listener;
	nng_aio *accept_aio;
	struct wire tx_head, rx_head;
	nng_iov tx_part[2];                /* what of head and body is still to go */
	struct weir__batch *tx_batch;      /* whose bytes are going */
	struct weir__batch *rx_batch;      /* where a batch is being read to */
	void *rx_body;                     /* the same, or memory of its own; NULL: a head is next */
	size_t rx_have;                    /* bytes of the head, or of the body */

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
/* From now on it takes batches. */
void weir__route_begin(struct weir__route *r);
/* After a halt. */
void weir__route_close_sockets(struct weir__route *r);

/* route_far.c. The output's end: say what it is done with; receive again, if that was
 * held back. note_ack, next_acks and next_batch with the lock held; true: it is prepared,
 * send it without the lock. */
void weir__route_note_ack(struct weir__route *r, const struct weir__frame *f, uint32_t rejected);
bool weir__route_next_acks(struct weir__route *r);
void weir__route_next_batch(struct weir__route *r, struct weir__frame *f);
void weir__route_resume(struct weir__route *r);
/* nng thread: a message from the other process, of a type this end takes, with as many
 * bytes as it announced. Is the next one to be received? */
bool weir__route_far_message(struct weir__route *r, const struct wire *w, const void *body);
/* What came is malformed: the traffic ends here. */
void weir__route_far_bad(struct weir__route *r);

/* route_stream.c. prepare: what stream_send will send, head and body; the body stays valid
 * until then, or until the close. Lock held. */
void weir__route_stream_prepare(struct weir__route *r, const struct wire *w, const void *body);
void weir__route_stream_send(struct weir__route *r);
/* The next message. After the one before, or the opening. */
void weir__route_stream_receive(struct weir__route *r);
/* To open: listen, begin, accept; or dial (waits, not long), begin, receive. nng's error. */
int weir__route_stream_listen(struct weir__route *r, const char *url);
void weir__route_stream_accept(struct weir__route *r);
int weir__route_stream_dial(struct weir__route *r, const char *url);
/* When every aio has stopped. Waits for nobody. */
void weir__route_stream_close(struct weir__route *r);

#endif
