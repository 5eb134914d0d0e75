/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries: the batches that routes put into an output's inbox, given to its plugin.
 *
 * Happy path: receive (one wake a burst), then on the host's thread deliver() batch by
 * batch, each acknowledged, and flush(). Failure: a batch the plugin refuses is
 * acknowledged as rejected; what is left when the host goes is lost, and booked so.
 * Threads: receive on nng's, all else on the host's (or when that has ended).
 */
#include "host_priv.h"

#include <errno.h>

/* Batches one after the other for so long; then calls and timers get their turn. */
#define DELIVER_NS 20000000u

void weir__host_receive(void *host, struct weir__frame *f)
{
	struct weir__host *h = host;
	bool first;

	f->wait_next = NULL;
	pthread_mutex_lock(&h->lock);
	first = !h->inbox;
	*h->inbox_tail = f;
	h->inbox_tail = &f->wait_next;
	pthread_mutex_unlock(&h->lock);
	if (first)
		weir__host_wake(h); /* one wake per burst */
}

static struct weir__frame *take_inbox(struct weir__host *h)
{
	struct weir__frame *f;

	pthread_mutex_lock(&h->lock);
	f = h->inbox;
	h->inbox = NULL;
	h->inbox_tail = &h->inbox;
	pthread_mutex_unlock(&h->lock);
	return f;
}

static void deliver_one(struct weir__host *h, struct weir__frame *f)
{
	uint64_t entered = host_enter(h, WEIR__IN_DELIVER);
	uint64_t age = f->view.header->first_ns; /* may be gone after deliver() */
	int rc = h->started && h->desc->deliver ? h->desc->deliver(&h->plugin, &f->view) : -ESHUTDOWN;

	weir__host_left(h, entered);
	h->delivered_batches++;
	age = uv_hrtime() - age;
	weir__host_count(h->deliveries, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, age);
	h->delivery_ns += age;
	if (rc != WEIR_PENDING)
		weir__route_ack(f, rc < 0 ? f->count : 0);
}

/* What has not had its turn comes first the next time. */
static void put_back(struct weir__host *h, struct weir__frame *f)
{
	struct weir__frame **tail = &f->wait_next;

	while (*tail)
		tail = &(*tail)->wait_next;
	pthread_mutex_lock(&h->lock);
	*tail = h->inbox;
	if (!h->inbox)
		h->inbox_tail = tail;
	h->inbox = f;
	pthread_mutex_unlock(&h->lock);
	weir__host_wake(h);
}

/* Deliver what has come; `all`: however long it takes, else for DELIVER_NS, so that a slow
 * output still answers. */
void weir__host_deliver(struct weir__host *h, bool all)
{
	struct weir__frame *f = take_inbox(h), *next;
	uint64_t until = uv_hrtime() + DELIVER_NS, entered;

	if (!f)
		return;
	for (; f; f = next) {
		next = f->wait_next;
		deliver_one(h, f);
		if (next && !all && uv_hrtime() > until) {
			put_back(h, next);
			break;
		}
	}
	if (h->started && h->desc->flush) {
		entered = host_enter(h, WEIR__IN_FLUSH);
		h->desc->flush(&h->plugin);
		weir__host_left(h, entered);
	}
}

void weir__host_lose_inbox(struct weir__host *h)
{
	struct weir__frame *f, *next;

	for (f = take_inbox(h); f; f = next) {
		next = f->wait_next;
		weir__route_lose(f);
	}
}
