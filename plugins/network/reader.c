/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a map of flows batch by batch on a thread of the pool, while the loop adds the batch
 * that another reader has brought.
 *
 *   OURS (the loop's) ── ask ─► ASKED ── a pool thread ─► READING ── a batch ─► OURS
 *                                └── halt ─► OURS
 *
 * Readers stand in a table that is never freed, since a request may still wait in the pool when
 * its plugin has ended; it carries the number of its asking, and finds that it is too late.
 * What may fail: the pool, or the table has no free one: then the loop reads by itself.
 * Threads: the host's loop; net_reader_here() also on the pool, on a reader that is READING.
 */
#include "source_bpf.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FREE, OURS, ASKED, READING, STATE = 3 };
#define SERIAL 4ull

/* Two for each instance of the plugin in this process; an upgrade within it makes two. */
static struct net_reader table[16];

struct net_reader *net_reader_take(struct weir_plugin *p)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		uint64_t was = atomic_load(&table[i].ticket);

		if ((was & STATE) != FREE || !atomic_compare_exchange_strong(&table[i].ticket, &was, was | OURS))
			continue;
		table[i].keys = weir_alloc(p, NET_BATCH * sizeof *table[i].keys);
		table[i].deltas = weir_alloc(p, NET_BATCH * sizeof *table[i].deltas);
		table[i].drain = p->host->map_drain;
		table[i].batch = p->host->map_batch;
		table[i].at = table[i].have = 0;
		if (table[i].keys && table[i].deltas)
			return &table[i];
		net_reader_give(p, &table[i]);
		return NULL;
	}
	return NULL;
}

void net_reader_give(struct weir_plugin *p, struct net_reader *r)
{
	if (!r)
		return;
	net_reader_halt(r);
	weir_free(p, r->keys);
	weir_free(p, r->deltas);
	r->keys = NULL;
	r->deltas = NULL;
	atomic_fetch_and(&r->ticket, ~(uint64_t)STATE);
}

void net_reader_begin(struct net_reader *r, int fd, bool keep)
{
	r->fd = fd;
	r->token[0] = r->token[1] = 0;
	r->first = true;
	r->last = r->passed = false;
	r->keep = keep;
	r->rc = 0;
	r->at = r->have = 0;
}

void net_reader_pass(struct net_reader *r, struct net_reader *to)
{
	net_reader_begin(to, r->fd, r->keep);
	memcpy(to->token, r->token, sizeof to->token);
	to->first = false;
	r->passed = true;
}

void net_reader_again(struct net_reader *r)
{
	memcpy(r->token, r->from, sizeof r->token);
	r->last = r->passed = false;
	r->rc = 0;
}

bool net_reader_ours(const struct net_reader *r)
{
	return (atomic_load(&r->ticket) & STATE) == OURS;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts); /* the plugin's clock is the loop's */
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void net_reader_here(struct net_reader *r)
{
	uint32_t count = NET_BATCH;
	uint64_t begin = now_ns();
	int rc;

	memcpy(r->from, r->token, sizeof r->from);
	rc = (r->keep ? r->batch : r->drain)(r->fd, r->token, r->first, r->keys, r->deltas, &count);
	r->spent_ns += now_ns() - begin;
	r->at = 0;
	r->have = rc && rc != -ENOENT ? 0 : count;
	r->last = rc != 0;
	r->rc = rc == -ENOENT ? 0 : rc;
	if (!r->rc)
		r->first = r->passed = false;
}

static void read_asked(void *arg)
{
	uint64_t ticket = (uintptr_t)arg / 16;
	struct net_reader *r = &table[(uintptr_t)arg % 16];

	if (!atomic_compare_exchange_strong(&r->ticket, &ticket, (ticket & ~(uint64_t)STATE) | READING))
		return; /* taken back, and perhaps asked for again */
	net_reader_here(r);
	atomic_store(&r->ticket, (ticket & ~(uint64_t)STATE) | OURS);
}

int net_reader_ask(struct weir_plugin *p, struct net_reader *r, void (*done)(struct weir_plugin *, void *))
{
	uint64_t ticket = ((atomic_load(&r->ticket) & ~(uint64_t)STATE) + SERIAL) | ASKED;
	int rc;

	atomic_store(&r->ticket, ticket);
	rc = p->host->work(p, read_asked, done, (void *)(uintptr_t)(ticket * 16 + (uint64_t)(r - table)));
	if (rc)
		atomic_store(&r->ticket, (ticket & ~(uint64_t)STATE) | OURS);
	return rc;
}

void net_reader_halt(struct net_reader *r)
{
	uint64_t ticket = atomic_load(&r->ticket);

	if ((ticket & STATE) == ASKED &&
	    atomic_compare_exchange_strong(&r->ticket, &ticket, (ticket & ~(uint64_t)STATE) | OURS))
		return;
	while (!net_reader_ours(r))
		usleep(100); /* a batch takes a millisecond */
}
