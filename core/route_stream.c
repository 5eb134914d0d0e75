/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte stream between the two ends of a route that are in different processes: nng's
 * ipc stream, each message a head (struct wire) and as many bytes as that says.
 *
 * Not one of nng's protocols: in 1.5.2 the close of an ipc socket waits for ever if a
 * transfer was half done (decision 0012), and a process decides how far its half is.
 *
 * Happy path: the output's end accepts one peer and nobody after it; the head is read,
 * then the body where it shall stay, and route_far.c has the message. Sending takes the
 * bytes from the batch, which it holds meanwhile. Failure: what is malformed sets the
 * route's `bad`, no memory likewise; after any error no transfer follows, and the route
 * stays as it is until it is closed.
 * Threads: nng's for all callbacks; open and close on the main thread. An aio that has
 * been stopped takes no operation and calls nobody: that is what a close relies on.
 */
#include "route_priv.h"
#include "mem.h"

/* The largest body: a full batch, or as many acknowledgements as wait at a time. */
#define BODY_MAX (2 * WEIR__BATCH_BYTES)
/* A unix socket that listens is connected to at once; its queue is full: not so. */
#define DIAL_MS 2000

/* ---- sending --------------------------------------------------------------------- */

void weir__route_stream_prepare(struct weir__route *r, const struct wire *w, const void *body)
{
	r->tx_head = *w;
	r->tx_part[0] = (nng_iov){ &r->tx_head, sizeof r->tx_head };
	r->tx_part[1] = (nng_iov){ (void *)(uintptr_t)body, (size_t)w->len };
}

void weir__route_stream_send(struct weir__route *r)
{
	nng_aio_set_iov(r->tx_aio, 2, r->tx_part);
	nng_stream_send(r->stream, r->tx_aio);
}

static void on_sent(void *arg)
{
	struct weir__route *r = arg;
	size_t n, part;

	if (nng_aio_result(r->tx_aio))
		return;
	n = nng_aio_count(r->tx_aio);
	for (size_t i = 0; i < 2; i++) {
		part = n < r->tx_part[i].iov_len ? n : r->tx_part[i].iov_len;
		r->tx_part[i].iov_buf = (char *)r->tx_part[i].iov_buf + part;
		r->tx_part[i].iov_len -= part;
		n -= part;
	}
	if (r->tx_part[0].iov_len || r->tx_part[1].iov_len) {
		weir__route_stream_send(r);
		return;
	}
	weir__batch_unref(r->tx_batch);
	pthread_mutex_lock(&r->lock);
	r->tx_batch = NULL;
	r->sending = false;
	weir__route_unlock_and_send(r);
}

/* ---- receiving --------------------------------------------------------------------- */

static void receive_rest(struct weir__route *r)
{
	bool head = !r->rx_body;
	nng_iov rest = { head ? (char *)&r->rx_head : r->rx_body,
		head ? sizeof r->rx_head : (size_t)r->rx_head.len };

	rest.iov_buf = (char *)rest.iov_buf + r->rx_have;
	rest.iov_len -= r->rx_have;
	nng_aio_set_iov(r->rx_aio, 1, &rest);
	nng_stream_recv(r->stream, r->rx_aio);
}

void weir__route_stream_receive(struct weir__route *r)
{
	r->rx_have = 0;
	receive_rest(r);
}

/* The head is here: room for what it announces, if that can be. */
static bool begin_body(struct weir__route *r)
{
	const struct wire *w = &r->rx_head;
	bool output = r->ends == ENDS_RX;

	if (w->magic != FRAME_MAGIC || w->version != WIRE_VERSION ||
	    w->type != (output ? WIRE_BATCH : WIRE_ACKS) || !w->len || w->len > BODY_MAX ||
	    (output && w->len < sizeof(struct weir_batch_header)))
		return false;
	if (output) {
		r->rx_batch = weir__batch_new((size_t)w->len);
		r->rx_body = r->rx_batch ? r->rx_batch->data : NULL;
	} else {
		r->rx_body = weir__alloc((size_t)w->len);
	}
	r->rx_have = 0;
	return r->rx_body;
}

static void drop_body(struct weir__route *r)
{
	if (!r->rx_batch)
		weir__free(r->rx_body);
	weir__batch_unref(r->rx_batch);
	r->rx_batch = NULL;
	r->rx_body = NULL;
}

static void on_received(void *arg)
{
	struct weir__route *r = arg;
	bool more;

	if (nng_aio_result(r->rx_aio))
		return; /* the other end has gone, or this one is closing */
	r->rx_have += nng_aio_count(r->rx_aio);
	if (!r->rx_body && r->rx_have == sizeof r->rx_head && !begin_body(r)) {
		weir__route_far_bad(r);
		return;
	}
	if (!r->rx_body || r->rx_have < r->rx_head.len) {
		receive_rest(r);
		return;
	}
	more = weir__route_far_message(r, &r->rx_head, r->rx_body);
	drop_body(r);
	if (more)
		weir__route_stream_receive(r);
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_accepted(void *arg)
{
	struct weir__route *r = arg;
	nng_stream *s;

	if (nng_aio_result(r->accept_aio))
		return;
	s = nng_aio_get_output(r->accept_aio, 0);
	nng_stream_listener_close(r->listener); /* the one peer there will be */
	pthread_mutex_lock(&r->lock);
	if (r->open) {
		r->stream = s;
		s = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	if (s)
		nng_stream_free(s);
	else
		weir__route_stream_receive(r);
}

static int aios(struct weir__route *r)
{
	int rv = nng_aio_alloc(&r->tx_aio, on_sent, r);

	return rv ? rv : nng_aio_alloc(&r->rx_aio, on_received, r);
}

int weir__route_stream_listen(struct weir__route *r, const char *url)
{
	int rv;

	if ((rv = aios(r)) != 0 || (rv = nng_aio_alloc(&r->accept_aio, on_accepted, r)) != 0 ||
	    (rv = nng_stream_listener_alloc(&r->listener, url)) != 0)
		return rv;
	return nng_stream_listener_listen(r->listener);
}

void weir__route_stream_accept(struct weir__route *r)
{
	nng_stream_listener_accept(r->listener, r->accept_aio);
}

int weir__route_stream_dial(struct weir__route *r, const char *url)
{
	nng_stream_dialer *dialer;
	nng_aio *aio = NULL;
	int rv = aios(r);

	if (!rv)
		rv = nng_aio_alloc(&aio, NULL, NULL);
	if (rv)
		return rv;
	rv = nng_stream_dialer_alloc(&dialer, url);
	if (!rv) {
		nng_aio_set_timeout(aio, DIAL_MS);
		nng_stream_dialer_dial(dialer, aio);
		nng_aio_wait(aio);
		rv = nng_aio_result(aio);
		if (!rv)
			r->stream = nng_aio_get_output(aio, 0);
		nng_stream_dialer_free(dialer);
	}
	nng_aio_free(aio);
	return rv;
}

void weir__route_stream_close(struct weir__route *r)
{
	if (r->stream) {
		nng_stream_close(r->stream);
		nng_stream_free(r->stream);
	}
	if (r->listener) {
		nng_stream_listener_close(r->listener);
		nng_stream_listener_free(r->listener);
	}
	if (r->accept_aio)
		nng_aio_free(r->accept_aio);
	r->stream = NULL;
	r->listener = NULL;
	r->accept_aio = NULL;
	drop_body(r);
	weir__batch_unref(r->tx_batch);
	r->tx_batch = NULL;
}
