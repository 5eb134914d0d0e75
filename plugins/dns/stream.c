/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly, see stream.h. A direction knows the sequence number of its next message's first
 * byte, `base`. All offsets are from there: pieces that have come, sorted and apart, and one
 * span of bytes that passed by but were not captured.
 */
#include "stream.h"

#include <errno.h>
#include <string.h>

#define NONE UINT32_MAX
#define PIECES 8
#define WINDOW (128u << 10)
#define PATIENCE 16

enum { FIN = 1, SYN = 2, RST = 4 };

struct piece {
	uint32_t from, to;
};

struct dir {
	bool synced, fin;
	uint32_t base, cap, waited;
	uint32_t cut_from, cut_to;  /* equal: nothing is cut */
	uint32_t pieces;
	struct piece piece[PIECES];
	uint8_t *buf;
	struct dns_seen seen;       /* of the last segment, for what is handed on later */
};

struct conn {
	uint32_t chain, prev, next, bucket;
	bool used;
	uint64_t netns;
	uint8_t addr[2][16];
	uint16_t port[2];
	struct dir dir[2];
};

struct dns_streams {
	struct pkt_memory mem;
	dns_stream_cb cb;
	void *arg;
	struct conn *conns;
	uint32_t *buckets, mask, capacity, bytes_max;
	uint32_t head, tail, free;  /* by last use */
	struct dns_stream_stats stats;
};

/* ---- connections ------------------------------------------------------------------ */

static void lru_remove(struct dns_streams *s, uint32_t i)
{
	struct conn *c = &s->conns[i];

	*(c->prev == NONE ? &s->head : &s->conns[c->prev].next) = c->next;
	*(c->next == NONE ? &s->tail : &s->conns[c->next].prev) = c->prev;
}

static void lru_append(struct dns_streams *s, uint32_t i)
{
	struct conn *c = &s->conns[i];

	c->next = NONE;
	c->prev = s->tail;
	*(s->tail == NONE ? &s->head : &s->conns[s->tail].next) = i;
	s->tail = i;
}

static void drop_buffer(struct dns_streams *s, struct dir *d)
{
	for (uint32_t i = 0; i < d->pieces; i++)
		s->stats.skipped_bytes += d->piece[i].to - d->piece[i].from;
	if (d->buf)
		s->mem.realloc(s->mem.arg, d->buf, 0);
	s->stats.bytes -= d->cap;
	d->buf = NULL;
	d->cap = d->pieces = d->waited = d->cut_from = d->cut_to = 0;
}

static void give_up(struct dns_streams *s, struct dir *d);

static void end(struct dns_streams *s, uint32_t i)
{
	struct conn *c = &s->conns[i];
	uint32_t *at = &s->buckets[c->bucket];

	for (unsigned k = 0; k < 2; k++) {
		if (c->dir[k].pieces)
			give_up(s, &c->dir[k]);
		drop_buffer(s, &c->dir[k]);
	}
	lru_remove(s, i);
	while (*at != i)
		at = &s->conns[*at].chain;
	*at = c->chain;
	c->used = false;
	c->next = s->free;
	s->free = i;
	s->stats.connections--;
}

static uint32_t hash(const uint8_t *a, const uint8_t *b, uint16_t p, uint16_t q)
{
	uint64_t h = 0xcbf29ce484222325ull ^ ((uint64_t)p << 16 | q);

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ ((uint64_t)a[i] << 8 | b[i])) * 0x100000001b3ull;
	return (uint32_t)(h >> 32 ^ h);
}

/* The connection of this segment, made if need be and wanted; *ret_dir: which end sends it. */
static uint32_t find(struct dns_streams *s, const struct dns_seen *seen, bool make, unsigned *ret_dir)
{
	int order = memcmp(seen->src, seen->dst, 16);
	bool swap = order > 0 || (!order && seen->sport > seen->dport);
	const uint8_t *a = swap ? seen->dst : seen->src, *b = swap ? seen->src : seen->dst;
	uint16_t p = swap ? seen->dport : seen->sport, q = swap ? seen->sport : seen->dport;
	uint32_t bucket = hash(a, b, p, q) & s->mask, i;
	struct conn *c;

	*ret_dir = swap;
	for (i = s->buckets[bucket]; i != NONE; i = s->conns[i].chain) {
		c = &s->conns[i];
		/* A source that does not know the namespace says 0, as in match.c. */
		if (c->port[0] == p && c->port[1] == q &&
		    (c->netns == seen->netns || !c->netns || !seen->netns) &&
		    !memcmp(c->addr[0], a, 16) && !memcmp(c->addr[1], b, 16)) {
			lru_remove(s, i);
			lru_append(s, i);
			return i;
		}
	}
	if (!make)
		return NONE;
	if (s->free == NONE) {
		s->stats.evicted++;
		end(s, s->head);
	}
	i = s->free;
	c = &s->conns[i];
	s->free = c->next;
	memset(c, 0, sizeof *c);
	c->used = true;
	c->netns = seen->netns;
	memcpy(c->addr[0], a, 16);
	memcpy(c->addr[1], b, 16);
	c->port[0] = p;
	c->port[1] = q;
	c->bucket = bucket;
	c->chain = s->buckets[bucket];
	s->buckets[bucket] = i;
	lru_append(s, i);
	s->stats.connections++;
	return i;
}

/* ---- messages ------------------------------------------------------------------------ */

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Do these bytes begin like a message with its length before it? */
static bool begins(const uint8_t *p, uint32_t have)
{
	uint32_t len;

	if (have < 2)
		return false;
	len = get16(p);
	if (len < DNS_HEADER)
		return false;
	return have == 2 || (have >= 2 + DNS_HEADER && dns_plausible(p + 2, have - 2, len));
}

/* What is contiguous from the base on, as messages. Returns false if it is no DNS. */
static bool hand_on(struct dns_streams *s, struct dir *d)
{
	uint32_t at = 0, to = d->piece[0].to;
	bool good = true;

	if (!d->pieces || d->piece[0].from)
		return true;
	while (to - at >= 2) {
		uint32_t have, len;
		bool cut = d->cut_to > at;

		if (cut && d->cut_from < at + 2) {
			good = false; /* the length itself was not captured */
			break;
		}
		len = get16(d->buf + at);
		if (len < DNS_HEADER) {
			good = false;
			break;
		}
		if (to - at < 2 + len)
			break;
		have = cut && d->cut_from < at + 2 + len ? d->cut_from - at - 2 : len;
		s->stats.messages++;
		s->cb(s->arg, &d->seen, d->buf + at + 2, have, len);
		at += 2 + len;
	}
	/* Move the base. */
	if (at) {
		uint32_t last = d->piece[d->pieces - 1].to;

		memmove(d->buf, d->buf + at, last - at);
		d->base += at;
		for (uint32_t i = 0; i < d->pieces; i++) {
			d->piece[i].from -= i ? at : 0;
			d->piece[i].to -= at;
		}
		if (d->cut_to > at) {
			d->cut_from = d->cut_from > at ? d->cut_from - at : 0;
			d->cut_to -= at;
		} else {
			d->cut_from = d->cut_to = 0;
		}
		if (!d->piece[0].to) {
			memmove(d->piece, d->piece + 1, --d->pieces * sizeof d->piece[0]);
			d->waited = 0;
		}
	}
	return good;
}

/* The gap will not be filled: go on behind it, at a piece that begins like a message. */
static void give_up(struct dns_streams *s, struct dir *d)
{
	s->stats.gaps++;
	d->waited = 0;
	for (uint32_t i = 0; i < d->pieces; i++) {
		uint32_t from = d->piece[i].from, n = d->piece[i].to - from, k;

		if (from && begins(d->buf + from, n) && !(d->cut_to > from && d->cut_from < from + 2)) {
			memmove(d->piece, d->piece + i, (d->pieces - i) * sizeof d->piece[0]);
			d->pieces -= i;
			memmove(d->buf, d->buf + from, d->piece[d->pieces - 1].to - from);
			for (k = 0; k < d->pieces; k++) {
				d->piece[k].from -= from;
				d->piece[k].to -= from;
			}
			d->cut_from = d->cut_from > from ? d->cut_from - from : 0;
			d->cut_to = d->cut_to > from ? d->cut_to - from : 0;
			d->base += from;
			if (hand_on(s, d))
				return;
			break;
		}
		s->stats.skipped_bytes += n;
		d->piece[i].from = d->piece[i].to;
	}
	d->synced = false;
	drop_buffer(s, d);
}

/* ---- segments ------------------------------------------------------------------------- */

static int room(struct dns_streams *s, struct dir *d, uint32_t need)
{
	uint32_t cap = d->cap ? d->cap : 2048;
	uint8_t *buf;

	if (need <= d->cap)
		return 0;
	while (cap < need)
		cap *= 2;
	if (s->stats.bytes - d->cap + cap > s->bytes_max)
		return -ENOMEM;
	buf = s->mem.realloc(s->mem.arg, d->buf, cap);
	if (!buf)
		return -ENOMEM;
	s->stats.bytes += cap - d->cap;
	d->buf = buf;
	d->cap = cap;
	return 0;
}

/* [from, to) has come: merge. false: too many pieces. */
static bool add_piece(struct dir *d, uint32_t from, uint32_t to)
{
	uint32_t i = 0, k;

	while (i < d->pieces && d->piece[i].to < from)
		i++;
	for (k = i; k < d->pieces && d->piece[k].from <= to; k++) {
		from = d->piece[k].from < from ? d->piece[k].from : from;
		to = d->piece[k].to > to ? d->piece[k].to : to;
	}
	if (k == i && d->pieces == PIECES)
		return false;
	memmove(d->piece + i + 1, d->piece + k, (d->pieces - k) * sizeof d->piece[0]);
	d->pieces = d->pieces - (k - i) + 1;
	d->piece[i] = (struct piece){ from, to };
	return true;
}

static void cut(struct dir *d, uint32_t from, uint32_t to)
{
	if (d->cut_from == d->cut_to) {
		d->cut_from = from;
		d->cut_to = to;
	}
	d->cut_from = from < d->cut_from ? from : d->cut_from;
	d->cut_to = to > d->cut_to ? to : d->cut_to;
}

/* Whole messages at the base, out of the segment itself. Returns the bytes taken. */
static uint32_t straight(struct dns_streams *s, struct dir *d, const uint8_t *p, uint32_t have,
                         uint32_t len)
{
	uint32_t at = 0;

	while (have >= at + 2 && get16(p + at) >= DNS_HEADER && len - at >= 2 + get16(p + at)) {
		uint32_t n = get16(p + at), there = have - at - 2;

		s->stats.messages++;
		s->cb(s->arg, &d->seen, p + at + 2, there < n ? there : n, n);
		at += 2 + n;
	}
	d->base += at;
	return at;
}

static int store(struct dns_streams *s, struct dir *d, uint32_t at, const uint8_t *p, uint32_t have,
                 uint32_t len)
{
	int rc;

	if (at + len > WINDOW || at + len < at)
		return -ENOBUFS;
	rc = room(s, d, at + len);
	if (rc)
		return rc;
	if (!add_piece(d, at, at + len))
		return -ENOBUFS;
	memcpy(d->buf + at, p, have < len ? have : len);
	if (have < len)
		cut(d, at + have, at + len);
	return 0;
}

static int payload(struct dns_streams *s, struct dir *d, const struct dns_segment *g)
{
	uint32_t have = g->have, len = g->len, at, skip;
	const uint8_t *p = g->data;
	int rc;

	if (!d->synced) {
		if (!begins(p, have)) {
			s->stats.skipped_bytes += len;
			return 0;
		}
		d->synced = true;
		d->base = g->seq;
	}
	at = g->seq - d->base;
	if ((int32_t)at < 0) { /* seen before, in part or all */
		skip = -at;
		if (skip >= len)
			return 0;
		p += skip < have ? skip : have;
		have -= skip < have ? skip : have;
		len -= skip;
		at = 0;
	}
	if (!at && !d->pieces) {
		skip = straight(s, d, p, have, len);
		if (skip == len)
			return 0;
		p += skip < have ? skip : have;
		have -= skip < have ? skip : have;
		len -= skip;
	}
	rc = store(s, d, at, p, have, len);
	if (rc == -ENOBUFS && d->pieces) { /* no room beyond the gap: it is given up */
		s->stats.skipped_bytes += len;
		give_up(s, d);
		return 0;
	}
	if (rc) {
		s->stats.skipped_bytes += len;
		d->synced = false;
		drop_buffer(s, d);
		return rc == -ENOMEM ? rc : 0;
	}
	if (!hand_on(s, d)) {
		d->synced = false;
		drop_buffer(s, d);
	} else if (d->pieces && d->piece[0].from && ++d->waited > PATIENCE) {
		give_up(s, d);
	} else if (!d->pieces && d->buf) {
		drop_buffer(s, d);
	}
	return 0;
}

int dns_streams_add(struct dns_streams *s, const struct dns_seen *seen, const struct dns_segment *g)
{
	unsigned k;
	uint32_t i, gap;
	struct dir *d, *other;
	int rc = 0;

	/* A bare acknowledgement makes no connection, and matters only to one with a gap. */
	i = find(s, seen, g->len || g->flags & SYN, &k);
	if (i == NONE)
		return 0;
	d = &s->conns[i].dir[k];
	other = &s->conns[i].dir[!k];
	d->seen = *seen;
	if (g->flags & SYN && (!d->synced || d->base != g->seq + 1)) {
		drop_buffer(s, d);
		d->synced = true;
		d->base = g->seq + 1;
		d->fin = false;
	}
	if (g->has_ack && other->pieces && other->piece[0].from) {
		gap = other->base + other->piece[0].from;
		if ((int32_t)(g->ack - gap) >= 0)
			give_up(s, other);
	}
	if (g->len && !(g->flags & SYN))
		rc = payload(s, d, g);
	if (g->flags & FIN)
		d->fin = true;
	if (g->flags & RST || (d->fin && other->fin))
		end(s, i);
	return rc;
}

void dns_streams_flush(struct dns_streams *s)
{
	while (s->head != NONE)
		end(s, s->head);
}

void dns_streams_stats(const struct dns_streams *s, struct dns_stream_stats *ret)
{
	*ret = s->stats;
}

int dns_streams_new(const struct pkt_memory *mem, uint32_t connections, uint32_t bytes,
                    dns_stream_cb cb, void *arg, struct dns_streams **ret)
{
	struct dns_streams *s = mem->realloc(mem->arg, NULL, sizeof *s);
	uint32_t size = 1;

	if (!s)
		return -ENOMEM;
	while (size < connections)
		size *= 2;
	*s = (struct dns_streams){ .mem = *mem, .cb = cb, .arg = arg, .mask = size - 1,
		.capacity = connections, .bytes_max = bytes, .head = NONE, .tail = NONE };
	s->conns = mem->realloc(mem->arg, NULL, connections * sizeof *s->conns);
	s->buckets = mem->realloc(mem->arg, NULL, size * sizeof *s->buckets);
	if (!s->conns || !s->buckets) {
		dns_streams_free(s);
		return -ENOMEM;
	}
	memset(s->buckets, 0xff, size * sizeof *s->buckets);
	for (uint32_t i = 0; i < connections; i++) {
		s->conns[i].used = false;
		s->conns[i].next = i + 1 < connections ? i + 1 : NONE;
	}
	s->free = 0;
	*ret = s;
	return 0;
}

void dns_streams_free(struct dns_streams *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; s->conns && s->buckets && i < s->capacity; i++)
		for (unsigned k = 0; k < 2 && s->conns[i].used; k++)
			drop_buffer(s, &s->conns[i].dir[k]);
	if (s->buckets)
		s->mem.realloc(s->mem.arg, s->buckets, 0);
	if (s->conns)
		s->mem.realloc(s->mem.arg, s->conns, 0);
	s->mem.realloc(s->mem.arg, s, 0);
}
