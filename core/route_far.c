/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes whose ends are in different processes: a route object at each, the batches'
 * bytes one way, acknowledgements the other. See route.h.
 *
 * Happy path: open_rx listens, open_tx dials; a batch is checked, copied into a frame
 * and received; its ack is noted, sent with others, and settles the sender's frame.
 * Failure: what is malformed ends the traffic of this route and sets its `bad`; who
 * sends more than fits is not read from until there is room.
 * Threads: as in route.c.
 */
#include "route_priv.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <string.h>

/* The largest message: a full batch, or as many acknowledgements as wait at a time. */
#define FAR_BYTES_MAX (2 * WEIR__BATCH_BYTES)
#define ACKS_MAX ((FAR_BYTES_MAX - sizeof(struct wire)) / sizeof(struct wire_ack))

/* What the output's end owes the collector's, all of it in one message. Lock held. */
bool weir__route_next_acks(struct weir__route *r)
{
	struct wire w = { .magic = FRAME_MAGIC, .version = 1, .type = WIRE_ACKS, .count = r->ack_count };
	nng_msg *msg = NULL;

	if (!r->open || r->sending || !r->ack_count)
		return false;
	if (nng_msg_alloc(&msg, 0) || nng_msg_append(msg, &w, sizeof w) ||
	    nng_msg_append(msg, r->acks, r->ack_count * sizeof *r->acks)) {
		nng_msg_free(msg);
		return false; /* with the next acknowledgement */
	}
	r->ack_count = 0;
	r->sending = true;
	atomic_fetch_add(&r->handing, 1);
	nng_aio_set_msg(r->tx_aio, msg);
	return true;
}

/* The output's end, lock held: to be said with the next message. */
void weir__route_note_ack(struct weir__route *r, const struct weir__frame *f, uint32_t rejected)
{
	struct wire_ack *more;

	if (!r->open)
		return;
	if (r->ack_count == r->ack_room && r->ack_room < ACKS_MAX) {
		size_t room = r->ack_room ? 2 * r->ack_room : 32;

		more = weir__realloc(r->acks, room * sizeof *more);
		if (more) {
			r->acks = more;
			r->ack_room = room;
		}
	}
	if (r->ack_count < r->ack_room)
		r->acks[r->ack_count++] = (struct wire_ack){ f->view.route_seq, rejected };
	else
		r->stats->bad = true; /* the sender would wait for ever: a restart helps */
}

/* Is there room for another batch from a process? What it may have in flight it is told,
 * but it need not keep to it. */
static bool too_much(const struct weir__route *r)
{
	return r->stats->queued_bytes > r->limit + 2 * WEIR__BATCH_BYTES;
}

/* The output's end: receive again, if that was held back. */
void weir__route_resume(struct weir__route *r)
{
	bool go;

	pthread_mutex_lock(&r->lock);
	go = r->held && r->open && !too_much(r);
	if (go) {
		r->held = false;
		atomic_fetch_add(&r->handing, 1);
	}
	pthread_mutex_unlock(&r->lock);
	if (!go)
		return;
	nng_recv_aio(r->rx, r->rx_aio);
	atomic_fetch_sub(&r->handing, 1);
}

/* The collector's end: frames of which the output is done. */
static bool take_acks(struct weir__route *r, const struct wire *w, const char *body, size_t len)
{
	struct wire_ack ack;
	struct weir__frame *f;

	if (w->count > ACKS_MAX || len != w->count * sizeof ack)
		return false;
	for (uint64_t i = 0; i < w->count; i++) {
		memcpy(&ack, body + i * sizeof ack, sizeof ack);
		pthread_mutex_lock(&r->lock);
		for (f = r->oldest; f && f->view.route_seq != ack.seq; f = f->prev)
			;
		if (!f || !f->sent || ack.rejected > f->count) {
			pthread_mutex_unlock(&r->lock);
			return false;
		}
		weir__route_settle(r, f, (uint32_t)ack.rejected);
		weir__route_unlock_and_send(r);
		weir__route_frame_free(f);
	}
	return true;
}

/* A batch from a process into a frame of ours; NULL: malformed, or no memory. */
static struct weir__frame *make_frame(struct weir__route *r, const struct wire *w, const char *body,
                                      size_t len)
{
	struct weir__frame *f;
	const struct weir_source *src;
	struct weir__batch *b;
	const char *why;

	b = len >= sizeof(struct weir_batch_header) ? weir__batch_new(len) : NULL;
	f = b ? weir__alloc(sizeof *f) : NULL;
	if (f)
		memcpy(b->data, body, len);
	if (!f || weir__batch_decode(b->data, len, &why) || !weir__batch_header(b)->count ||
	    weir__batch_header(b)->topic >= r->topic_count) {
		weir__batch_unref(b);
		weir__free(f);
		return NULL;
	}
	src = weir_table_row(&r->from_desc->sources, weir__batch_header(b)->source);
	b->view.collector = r->from;
	b->view.topic = r->topics[weir__batch_header(b)->topic];
	b->view.source = src ? src->name : "";
	b->view.quality = w->flags & WIRE_APPROX ? "approx" : src && src->quality ? src->quality : "";
	b->view.schemas = &r->from_desc->schemas;
	*f = (struct weir__frame){ .magic = FRAME_MAGIC, .count = weir__batch_header(b)->count, .route = r,
		.batch = b, .view = b->view, .bytes = weir__batch_footprint(b) + sizeof *f, .received = true };
	f->view.route_seq = w->seq;
	return f;
}

static bool take_batch(struct weir__route *r, const struct wire *w, const char *body, size_t len)
{
	struct weir__frame *f = make_frame(r, w, body, len);

	if (!f)
		return false;
	pthread_mutex_lock(&r->lock);
	r->stats->offered += f->count;
	r->stats->batches++;
	r->stats->bytes += len;
	r->sent_bytes += f->bytes;
	weir__route_link(r, f);
	pthread_mutex_unlock(&r->lock);
	r->receive(r->receive_arg, f);
	return true;
}

/* nng thread. Trusts nothing: what is malformed ends the traffic, and says so. */
void weir__route_far_message(struct weir__route *r, const char *body, size_t len)
{
	struct wire w;
	bool good = len >= sizeof w;

	if (good) {
		memcpy(&w, body, sizeof w);
		good = w.magic == FRAME_MAGIC && w.version == 1;
	}
	if (good && r->ends == ENDS_RX)
		good = w.type == WIRE_BATCH && take_batch(r, &w, body + sizeof w, len - sizeof w);
	else if (good)
		good = w.type == WIRE_ACKS && take_acks(r, &w, body + sizeof w, len - sizeof w);
	pthread_mutex_lock(&r->lock);
	r->stats->bad |= !good;
	r->held = r->ends == ENDS_RX && too_much(r);
	good &= !r->held;
	pthread_mutex_unlock(&r->lock);
	if (good)
		nng_recv_aio(r->ends == ENDS_TX ? r->tx : r->rx, r->rx_aio);
}

int weir__route_open_tx(struct weir__route *r, const char *url)
{
	int rv;

	assert(!r->open);
	r->ends = ENDS_TX;
	if ((rv = weir__route_aios(r)) != 0 ||
	    (rv = nng_pair0_open(&r->tx)) != 0 ||
	    (rv = nng_socket_set_int(r->tx, NNG_OPT_SENDBUF, 16)) != 0 ||
	    (rv = nng_socket_set_size(r->tx, NNG_OPT_RECVMAXSZ, FAR_BYTES_MAX)) != 0 ||
	    (rv = nng_dial(r->tx, url, NULL, 0)) != 0) {
		weir__route_close(r);
		return weir__nng_errno(rv);
	}
	weir__route_begin(r);
	return 0;
}

int weir__route_open_rx(struct weir__route *r, const char *url, const struct weir_plugin_desc *from,
                        weir__route_receive receive, void *arg)
{
	const char *at = from->topics ? from->topics : "";
	int rv;

	assert(!r->open);
	r->ends = ENDS_RX;
	r->receive = receive;
	r->receive_arg = arg;
	r->from_desc = from;
	for (r->topic_count = 0; *at && r->topic_count < WEIR__ROUTE_TOPICS;) {
		size_t n = strcspn(at, " ");

		if (n && n < sizeof r->topics[0])
			snprintf(r->topics[r->topic_count++], sizeof r->topics[0], "%.*s", (int)n, at);
		at += n + (at[n] == ' ');
	}
	if ((rv = weir__route_aios(r)) != 0 ||
	    (rv = nng_pair0_open(&r->rx)) != 0 ||
	    (rv = nng_socket_set_int(r->rx, NNG_OPT_RECVBUF, 16)) != 0 ||
	    (rv = nng_socket_set_size(r->rx, NNG_OPT_RECVMAXSZ, FAR_BYTES_MAX)) != 0 ||
	    (rv = nng_listen(r->rx, url, NULL, 0)) != 0) {
		weir__route_close(r);
		return weir__nng_errno(rv);
	}
	weir__route_begin(r);
	return 0;
}

int weir__route_redial(struct weir__route *r, const char *url)
{
	assert(r->ends == ENDS_TX && r->paused);
	weir__route_halt(r);
	weir__route_close_sockets(r);
	return weir__route_open_tx(r, url);
}
