/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes whose ends are in different processes: a route object at each, the batches'
 * bytes one way, acknowledgements the other. See route.h.
 *
 * Happy path: open_rx listens, open_tx dials (route_stream.c); a batch is checked, made a
 * frame and received; its ack is noted, sent with others, and settles the sender's frame.
 * Failure: what is malformed ends the traffic of this route and sets its `bad`; who
 * sends more than fits is not read from until there is room.
 * Threads: as in route.c.
 */
#include "route_priv.h"
#include "mem.h"
#include "words.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Acknowledgements that wait at a time: as many as fit into the largest message. */
#define ACKS_MAX (2 * WEIR__BATCH_BYTES / sizeof(struct wire_ack))

/* What the output's end owes the collector's, all of it in one message. Lock held. */
bool weir__route_next_acks(struct weir__route *r)
{
	struct wire w = { .magic = FRAME_MAGIC, .version = WIRE_VERSION, .type = WIRE_ACKS,
		.len = r->ack_count * sizeof *r->acks };
	struct wire_ack *spare = r->acks_out;
	size_t room = r->acks_out_room;

	if (!r->open || !r->stream || r->sending || !r->ack_count)
		return false;
	r->acks_out = r->acks;
	r->acks_out_room = r->ack_room;
	r->acks = spare;
	r->ack_room = room;
	r->ack_count = 0;
	r->sending = true;
	atomic_fetch_add(&r->handing, 1);
	weir__route_stream_prepare(r, &w, r->acks_out);
	return true;
}

/* The collector's end, lock held: its bytes are sent from where they are. */
void weir__route_next_batch(struct weir__route *r, struct weir__frame *f)
{
	const struct weir_batch_header *h = weir__batch_header(f->batch);
	struct wire w = { .magic = FRAME_MAGIC, .version = WIRE_VERSION, .type = WIRE_BATCH, .len = h->len,
		.seq = f->view.route_seq, .flags = !strcmp(f->view.quality, "approx") ? WIRE_APPROX : 0 };

	r->tx_batch = weir__batch_ref(f->batch); /* an acknowledgement may come before its time */
	weir__route_stream_prepare(r, &w, h);
}

/* The output's end, lock held: to be said with the next message. */
void weir__route_note_ack(struct weir__route *r, const struct weir__frame *f, uint32_t rejected)
{
	struct wire_ack *more;

	if (!r->open || f->opening != r->openings)
		return; /* who sent it has gone */
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
	weir__route_stream_receive(r);
	atomic_fetch_sub(&r->handing, 1);
}

/* The collector's end: frames of which the output is done. */
static bool take_acks(struct weir__route *r, const char *body, size_t len)
{
	struct wire_ack ack;
	struct weir__frame *f;

	if (len % sizeof ack)
		return false;
	for (size_t at = 0; at < len; at += sizeof ack) {
		memcpy(&ack, body + at, sizeof ack);
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

/* A batch that was read from a process, as a frame of ours; NULL: malformed, or no memory. */
static struct weir__frame *make_frame(struct weir__route *r, const struct wire *w)
{
	struct weir__batch *b = r->rx_batch;
	const struct weir_source *src;
	struct weir__frame *f;
	const char *why;

	if (weir__batch_decode(b->data, (size_t)w->len, &why) || !weir__batch_header(b)->count ||
	    weir__batch_header(b)->topic >= r->topic_count)
		return NULL;
	f = weir__alloc(sizeof *f);
	if (!f)
		return NULL;
	src = weir_table_row(&r->from_desc->sources, weir__batch_header(b)->source);
	b->view.collector = r->from;
	b->view.topic = r->topics[weir__batch_header(b)->topic];
	b->view.source = src ? src->name : "";
	b->view.quality = w->flags & WIRE_APPROX ? "approx" : src && src->quality ? src->quality : "";
	b->view.schemas = &r->from_desc->schemas;
	*f = (struct weir__frame){ .magic = FRAME_MAGIC, .count = weir__batch_header(b)->count, .route = r,
		.batch = weir__batch_ref(b), .view = b->view, .opening = r->openings,
		.bytes = weir__batch_footprint(b) + sizeof *f, .received = true };
	f->view.route_seq = w->seq;
	return f;
}

static bool take_batch(struct weir__route *r, const struct wire *w)
{
	struct weir__frame *f = make_frame(r, w);

	if (!f)
		return false;
	pthread_mutex_lock(&r->lock);
	r->stats->offered += f->count;
	r->stats->batches++;
	r->stats->bytes += w->len;
	r->sent_bytes += f->bytes;
	weir__route_link(r, f);
	pthread_mutex_unlock(&r->lock);
	r->receive(r->receive_arg, f);
	return true;
}

void weir__route_far_bad(struct weir__route *r)
{
	pthread_mutex_lock(&r->lock);
	r->stats->bad = true;
	pthread_mutex_unlock(&r->lock);
}

/* Trusts nothing: what is malformed ends the traffic, and says so. */
bool weir__route_far_message(struct weir__route *r, const struct wire *w, const void *body)
{
	bool good = r->ends == ENDS_RX ? take_batch(r, w) : take_acks(r, body, (size_t)w->len);

	if (!good) {
		weir__route_far_bad(r);
		return false;
	}
	pthread_mutex_lock(&r->lock);
	r->held = r->ends == ENDS_RX && too_much(r);
	good = !r->held;
	pthread_mutex_unlock(&r->lock);
	return good;
}

int weir__route_open_tx(struct weir__route *r, const char *url)
{
	int rv;

	assert(!r->open);
	r->ends = ENDS_TX;
	rv = weir__route_stream_dial(r, url);
	if (rv) {
		weir__route_close(r);
		return weir__nng_errno(rv);
	}
	weir__route_begin(r);
	weir__route_stream_receive(r);
	return 0;
}

int weir__route_open_rx(struct weir__route *r, const char *url, const struct weir_plugin_desc *from,
                        weir__route_receive receive, void *arg)
{
	const char *at = from->topics;
	int rv;

	assert(!r->open);
	r->ends = ENDS_RX;
	r->receive = receive;
	r->receive_arg = arg;
	r->from_desc = from;
	r->topic_count = 0;
	while (r->topic_count < WEIR__ROUTE_TOPICS &&
	       weir__next_word(&at, r->topics[r->topic_count], sizeof r->topics[0]))
		r->topic_count++;
	rv = weir__route_stream_listen(r, url);
	if (rv) {
		weir__route_close(r);
		return weir__nng_errno(rv);
	}
	weir__route_begin(r);
	weir__route_stream_accept(r);
	return 0;
}

int weir__route_redial(struct weir__route *r, const char *url)
{
	assert(r->ends == ENDS_TX && r->paused);
	weir__route_halt(r);
	weir__route_close_sockets(r);
	return weir__route_open_tx(r, url);
}
