/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes over nng: see route.h for the picture. This file has the queue, and the
 * transport between two threads; route_far.c has what processes say to each other, and
 * route_stream.c how it gets there. Only this one and that talk to nng. Each route has one
 * aio per direction, made once: a synchronous send would initialise an aio (and ask for
 * random bytes) per message.
 *
 * Happy path: open, send (queued under the limit, handed to nng one at a time), ack,
 * close. Failure: no memory or too much queued is booked as queue_full, what nng loses
 * at a close as crashed; nothing is lost unbooked.
 *
 * Threads: send and blocked on the collector's, the two aio callbacks on nng's,
 * ack on the output's, open and close on the main thread. `lock` guards all state
 * but the counters' readers. Lock order: a route's lock is a leaf.
 */
#include "route_priv.h"
#include "config.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <nng/protocol/pair0/pair.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

int weir__nng_errno(int rv)
{
	static const struct { int nng, err; } map[] = {
		{ 0, 0 }, { NNG_EINTR, -EINTR }, { NNG_ENOMEM, -ENOMEM },
		{ NNG_EINVAL, -EINVAL }, { NNG_EBUSY, -EBUSY },
		{ NNG_ETIMEDOUT, -ETIMEDOUT }, { NNG_ECONNREFUSED, -ECONNREFUSED },
		{ NNG_ECLOSED, -ESHUTDOWN }, { NNG_EAGAIN, -EAGAIN },
		{ NNG_ENOTSUP, -ENOTSUP }, { NNG_EADDRINUSE, -EADDRINUSE },
		{ NNG_EPERM, -EPERM }, { NNG_ECANCELED, -ECANCELED },
		{ NNG_ENOFILES, -EMFILE }, { NNG_EMSGSIZE, -EMSGSIZE },
	};

	for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
		if (map[i].nng == rv)
			return map[i].err;
	return -EIO;
}

uint32_t weir__route_id(const struct weir__route *r)
{
	return r->id;
}

int weir__route_new(const struct weir__route_config *cfg, struct weir__route **ret)
{
	struct weir__route *r = weir__zalloc(sizeof *r);

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	r->wait_tail = &r->wait_head;
	r->stats = &r->own_stats;
	r->id = cfg->id;
	r->limit = cfg->limit;
	r->policy = cfg->policy;
	r->from = weir__strdup(cfg->from);
	r->to = weir__strdup(cfg->to);
	if (!r->from || !r->to) {
		weir__route_free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

/* ---- frames; all with the lock held --------------------------------------- */

void weir__route_link(struct weir__route *r, struct weir__frame *f)
{
	f->next = r->frames;
	f->prev = NULL;
	if (f->next)
		f->next->prev = f;
	else
		r->oldest = f;
	r->frames = f;
	r->stats->queued += f->count;
	r->stats->queued_bytes += f->bytes;
}

void weir__route_unlink(struct weir__route *r, struct weir__frame *f)
{
	if (f->prev)
		f->prev->next = f->next;
	else
		r->frames = f->next;
	if (f->next)
		f->next->prev = f->prev;
	else
		r->oldest = f->prev;
	r->stats->queued -= f->count;
	r->stats->queued_bytes -= f->bytes;
}

/* The output is done with it. */
void weir__route_settle(struct weir__route *r, struct weir__frame *f, uint32_t rejected)
{
	r->stats->delivered += f->count - rejected;
	r->stats->rejected += rejected;
	r->sent_bytes -= f->bytes;
	weir__route_unlink(r, f);
}

void weir__route_frame_free(struct weir__frame *f)
{
	assert(f->magic == FRAME_MAGIC);
	f->magic = 0;
	weir__batch_unref(f->batch);
	weir__free(f);
}

/* What the output already has cannot be dropped any more. So with drop_oldest half
 * of the limit stays here, or a slow output would have it all and the newest would
 * have to go. */
static bool output_has_enough(const struct weir__route *r, const struct weir__frame *f)
{
	return r->policy == WEIR__DROP_OLDEST && r->sent_bytes &&
	       r->sent_bytes + f->bytes > r->limit / 2;
}

static nng_msg *make_message(struct weir__frame *f)
{
	struct handle h = { .magic = FRAME_MAGIC, .frame = f };
	nng_msg *msg = NULL;

	if (!nng_msg_alloc(&msg, 0) && !nng_msg_append(msg, &h, sizeof h))
		return msg;
	nng_msg_free(msg);
	return NULL;
}

/* Lock held. False: memory is short. */
static bool prepare(struct weir__route *r, struct weir__frame *f)
{
	nng_msg *msg;

	if (r->ends == ENDS_TX) {
		weir__route_next_batch(r, f);
		return true;
	}
	msg = make_message(f);
	if (msg)
		nng_aio_set_msg(r->tx_aio, msg);
	return msg;
}

/* Prepare the first waiting frame for nng, lock held. True: the caller, having let
 * go of the lock, hands it over by nng_send_aio(). With the lock held nng's thread
 * would run into it at once, at two more context switches a message. */
static bool next_send(struct weir__route *r)
{
	struct weir__frame *f;

	while ((f = r->wait_head) && r->open && !r->paused && !r->sending && !output_has_enough(r, f)) {
		r->wait_head = f->wait_next;
		if (!r->wait_head)
			r->wait_tail = &r->wait_head;
		if (prepare(r, f)) {
			r->sending = true;
			f->sent = true;
			r->sent_bytes += f->bytes;
			atomic_fetch_add(&r->handing, 1);
			return true;
		}
		r->stats->queue_full += f->count; /* memory is short */
		weir__route_unlink(r, f);
		weir__route_frame_free(f);
	}
	return false;
}

/* Let go of the lock, and send what there is to send. Whoever set `sending` owns
 * the aio until its callback, so no two threads get here at a time. */
void weir__route_unlock_and_send(struct weir__route *r)
{
	bool go = r->ends == ENDS_RX ? weir__route_next_acks(r) : next_send(r);

	pthread_mutex_unlock(&r->lock);
	if (!go)
		return;
	if (r->ends == ENDS_BOTH)
		nng_send_aio(r->tx, r->tx_aio);
	else
		weir__route_stream_send(r);
	atomic_fetch_sub(&r->handing, 1); /* r may be gone from here on */
}

/* nng thread: the last send is through, or the socket is closing. */
static void on_sent(void *arg)
{
	struct weir__route *r = arg;

	/* The frame stays on the list, and the message with the aio: close takes both. */
	if (nng_aio_result(r->tx_aio))
		return;
	pthread_mutex_lock(&r->lock);
	r->sending = false;
	nng_aio_set_msg(r->tx_aio, NULL);
	weir__route_unlock_and_send(r);
}

/* nng thread: a frame has come through. */
static void on_received(void *arg)
{
	struct weir__route *r = arg;
	struct handle h;
	nng_msg *msg;

	if (nng_aio_result(r->rx_aio))
		return;
	msg = nng_aio_get_msg(r->rx_aio);
	assert(nng_msg_len(msg) == sizeof h);
	memcpy(&h, nng_msg_body(msg), sizeof h);
	nng_msg_free(msg);
	assert(h.magic == FRAME_MAGIC && h.frame->magic == FRAME_MAGIC);
	h.frame->received = true; /* looked at after this aio has stopped only */
	r->receive(r->receive_arg, h.frame);
	nng_recv_aio(r->rx, r->rx_aio);
}

static int aios(struct weir__route *r)
{
	int rv = nng_aio_alloc(&r->tx_aio, on_sent, r);

	return rv ? rv : nng_aio_alloc(&r->rx_aio, on_received, r);
}

void weir__route_begin(struct weir__route *r)
{
	pthread_mutex_lock(&r->lock);
	r->open = true;
	r->openings++;
	r->shut = r->held = false;
	r->ack_count = 0;
	pthread_mutex_unlock(&r->lock);
}

void weir__route_prepare(void *arg)
{
	nng_socket s;

	(void)arg;
	if (nng_pair0_open(&s) == 0)
		nng_close(s);
}

int weir__route_open(struct weir__route *r, weir__route_receive receive, void *arg)
{
	static _Atomic uint64_t number;
	char url[64];
	int rv;

	assert(!r->open);
	r->ends = ENDS_BOTH;
	r->receive = receive;
	r->receive_arg = arg;
	snprintf(url, sizeof url, "inproc://weir/%" PRIu64, atomic_fetch_add(&number, 1));
	if ((rv = aios(r)) != 0 ||
	    (rv = nng_pair0_open(&r->rx)) != 0 || (rv = nng_pair0_open(&r->tx)) != 0 ||
	    (rv = nng_socket_set_int(r->tx, NNG_OPT_SENDBUF, 16)) != 0 ||
	    (rv = nng_socket_set_int(r->rx, NNG_OPT_RECVBUF, 16)) != 0 ||
	    (rv = nng_listen(r->rx, url, NULL, 0)) != 0 ||
	    (rv = nng_dial(r->tx, url, NULL, 0)) != 0) {
		weir__route_close(r);
		return weir__nng_errno(rv);
	}
	weir__route_begin(r);
	nng_recv_aio(r->rx, r->rx_aio);
	return 0;
}

void weir__route_share_stats(struct weir__route *r, struct weir__route_stats *shared)
{
	r->stats = shared;
}

/* Make room for `bytes` by dropping what waits longest. Lock held. */
static void drop_oldest(struct weir__route *r, size_t bytes)
{
	struct weir__frame *f;

	while ((f = r->wait_head) && r->stats->queued_bytes + bytes > r->limit) {
		r->wait_head = f->wait_next;
		if (!r->wait_head)
			r->wait_tail = &r->wait_head;
		r->stats->queue_full += f->count;
		weir__route_unlink(r, f);
		weir__route_frame_free(f);
	}
}

void weir__route_send(struct weir__route *r, struct weir__batch *b)
{
	uint32_t count = weir__batch_header(b)->count;
	size_t bytes = weir__batch_footprint(b) + sizeof(struct weir__frame);
	struct weir__frame *f = weir__alloc(sizeof *f);

	pthread_mutex_lock(&r->lock);
	r->stats->offered += count;
	r->seq++;
	if (r->shut) {
		r->stats->breaker_open += count;
		pthread_mutex_unlock(&r->lock);
		weir__free(f);
		return;
	}
	if (r->policy == WEIR__DROP_OLDEST)
		drop_oldest(r, bytes);
	if (!r->open && !r->paused) { /* its output has gone: nothing will take this */
		r->stats->crashed += count;
		pthread_mutex_unlock(&r->lock);
		weir__free(f);
		return;
	}
	/* One batch always fits: a limit below a batch would deliver nothing. */
	if (!f || (r->frames && r->stats->queued_bytes + bytes > r->limit)) {
		r->stats->queue_full += count;
		pthread_mutex_unlock(&r->lock);
		weir__free(f);
		return;
	}
	*f = (struct weir__frame){ .magic = FRAME_MAGIC, .count = count, .route = r,
		.batch = weir__batch_ref(b), .view = b->view, .bytes = bytes };
	f->view.route_seq = r->seq;
	weir__route_link(r, f);
	*r->wait_tail = f;
	r->wait_tail = &f->wait_next;
	r->stats->batches++;
	r->stats->bytes += weir__batch_header(b)->len;
	weir__route_unlock_and_send(r);
}

void weir__route_pause(struct weir__route *r, bool on)
{
	pthread_mutex_lock(&r->lock);
	r->paused = on;
	weir__route_unlock_and_send(r);
}

bool weir__route_is_idle(struct weir__route *r)
{
	bool idle;

	pthread_mutex_lock(&r->lock);
	idle = r->paused && !r->sent_bytes && !r->sending;
	pthread_mutex_unlock(&r->lock);
	return idle;
}

void weir__route_redirect(struct weir__route *r, void *arg)
{
	pthread_mutex_lock(&r->lock);
	assert(r->paused && !r->sent_bytes);
	r->receive_arg = arg; /* nothing is on its way to the old one */
	pthread_mutex_unlock(&r->lock);
}

void weir__route_tune(struct weir__route *r, size_t limit, int policy)
{
	pthread_mutex_lock(&r->lock);
	r->limit = limit;
	r->policy = policy;
	weir__route_unlock_and_send(r); /* drop_oldest may have held some back */
}

bool weir__route_may_block(const struct weir__route *r)
{
	return r->policy == WEIR__BLOCK;
}

bool weir__route_blocked(struct weir__route *r)
{
	bool blocked;

	if (r->policy != WEIR__BLOCK)
		return false;
	pthread_mutex_lock(&r->lock);
	/* Leave room for two full batches: what one drain may make. */
	blocked = !r->shut && r->frames && r->stats->queued_bytes + 2 * WEIR__BATCH_BYTES > r->limit;
	pthread_mutex_unlock(&r->lock);
	return blocked;
}

void weir__route_ack(struct weir__frame *f, uint32_t rejected)
{
	struct weir__route *r = f->route;

	assert(f->magic == FRAME_MAGIC && rejected <= f->count);
	pthread_mutex_lock(&r->lock);
	if (f->orphan) {
		pthread_mutex_unlock(&r->lock);
		weir__route_frame_free(f);
		return;
	}
	weir__route_settle(r, f, rejected);
	if (r->ends == ENDS_RX)
		weir__route_note_ack(r, f, rejected);
	weir__route_unlock_and_send(r);
	weir__route_frame_free(f);
	if (r->ends == ENDS_RX)
		weir__route_resume(r);
}

void weir__route_lose(struct weir__frame *f)
{
	struct weir__route *r = f->route;

	pthread_mutex_lock(&r->lock);
	if (!f->orphan) {
		r->stats->crashed += f->count;
		r->sent_bytes -= f->bytes;
		weir__route_unlink(r, f);
	}
	pthread_mutex_unlock(&r->lock);
	weir__route_frame_free(f);
}

void weir__route_shut(struct weir__route *r)
{
	pthread_mutex_lock(&r->lock);
	r->shut = true;
	pthread_mutex_unlock(&r->lock);
}

void weir__route_halt(struct weir__route *r)
{
	pthread_mutex_lock(&r->lock);
	r->open = false;
	pthread_mutex_unlock(&r->lock);
	/* An output that acknowledges may have let go of the lock to send: no new one
	 * comes, and handing over does not wait. */
	while (atomic_load(&r->handing))
		sched_yield();
	if (r->accept_aio)
		nng_aio_stop(r->accept_aio);
	if (r->tx_aio)
		nng_aio_stop(r->tx_aio);
	if (r->rx_aio)
		nng_aio_stop(r->rx_aio);
}

static void lose_frames(struct weir__route *r, bool received_too)
{
	struct weir__frame *f, *next;

	pthread_mutex_lock(&r->lock);
	r->sending = false;
	r->sent_bytes = 0;
	r->wait_head = NULL;
	r->wait_tail = &r->wait_head;
	for (f = r->frames; f; f = next) {
		next = f->next;
		if (f->received && !received_too) {
			r->sent_bytes += f->bytes;
			continue;
		}
		r->stats->crashed += f->count;
		weir__route_unlink(r, f);
		weir__route_frame_free(f);
	}
	pthread_mutex_unlock(&r->lock);
}

/* nng 1.5.2: stop every aio (halt), then close, or a close may crash or hang. */
void weir__route_close_sockets(struct weir__route *r)
{
	weir__route_stream_close(r);
	if (nng_socket_id(r->tx) > 0)
		nng_close(r->tx);
	if (nng_socket_id(r->rx) > 0)
		nng_close(r->rx);
	if (r->tx_aio) {
		/* Sent while it was being stopped, or refused: nng has not taken it. */
		nng_msg_free(nng_aio_get_msg(r->tx_aio));
		nng_aio_free(r->tx_aio);
	}
	if (r->rx_aio)
		nng_aio_free(r->rx_aio);
	r->tx_aio = r->rx_aio = NULL;
	r->tx = r->rx = (nng_socket)NNG_SOCKET_INITIALIZER;
}

void weir__route_close(struct weir__route *r)
{
	weir__route_halt(r);
	weir__route_close_sockets(r);
	lose_frames(r, false);
}

void weir__route_end(struct weir__route *r)
{
	weir__route_close(r);
	lose_frames(r, true);
}

void weir__route_abandon(struct weir__route *r)
{
	struct weir__frame *f, *next;

	weir__route_close(r);
	pthread_mutex_lock(&r->lock);
	for (f = r->frames; f; f = next) {
		next = f->next;
		r->stats->crashed += f->count;
		weir__route_unlink(r, f);
		f->orphan = true;
	}
	r->sent_bytes = 0;
	pthread_mutex_unlock(&r->lock);
}

void weir__route_free(struct weir__route *r)
{
	if (!r)
		return;
	weir__route_end(r);
	pthread_mutex_destroy(&r->lock);
	weir__free(r->acks);
	weir__free(r->acks_out);
	weir__free(r->from);
	weir__free(r->to);
	weir__free(r);
}

void weir__route_stats(struct weir__route *r, struct weir__route_stats *ret)
{
	pthread_mutex_lock(&r->lock);
	*ret = *r->stats;
	ret->open = r->open;
	ret->limit = r->limit;
	ret->policy = r->policy;
	pthread_mutex_unlock(&r->lock);
}
