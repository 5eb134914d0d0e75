/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments of UDP datagrams, see defrag.h. What has come of a datagram is a bitmap in units
 * of 8 bytes, as fragments are (RFC 791 3.2); so the order does not matter.
 */
#include "defrag.h"

#include <errno.h>
#include <string.h>

#define SETS 64
#define BYTES_MAX (1u << 20)
#define AGE_NS 30000000000ull
#define UNITS (65536 / 8)

struct set {
	bool used;
	uint8_t version;
	uint32_t id, len;       /* len: of the whole, 0 until the last fragment has come */
	uint8_t src[16], dst[16];
	uint64_t netns, first_ns;
	uint32_t cap, units;    /* units that have come */
	uint8_t *buf;
	uint8_t have[UNITS / 8];
};

struct dns_defrag {
	struct pkt_memory mem;
	struct dns_defrag_stats stats;
	uint32_t bytes, used;
	struct set *done;       /* handed out by the last call */
	struct set sets[SETS];
};

static void drop(struct dns_defrag *d, struct set *s)
{
	if (s->buf)
		d->mem.realloc(d->mem.arg, s->buf, 0);
	d->bytes -= s->cap;
	d->used--;
	s->buf = NULL;
	s->used = false;
}

static void give_up(struct dns_defrag *d, struct set *s)
{
	d->stats.incomplete++;
	drop(d, s);
}

void dns_defrag_expire(struct dns_defrag *d, uint64_t now)
{
	for (unsigned i = 0; d->used && i < SETS; i++)
		if (d->sets[i].used && &d->sets[i] != d->done &&
		    (int64_t)(now - d->sets[i].first_ns) > (int64_t)AGE_NS)
			give_up(d, &d->sets[i]);
}

static struct set *oldest(struct dns_defrag *d, const struct set *but)
{
	struct set *old = NULL;

	for (unsigned i = 0; i < SETS; i++)
		if (d->sets[i].used && &d->sets[i] != but &&
		    (!old || (int64_t)(d->sets[i].first_ns - old->first_ns) < 0))
			old = &d->sets[i];
	return old;
}

static struct set *find(struct dns_defrag *d, const struct pkt_layer *l, uint64_t netns, uint64_t now)
{
	struct set *s, *empty = NULL;

	for (unsigned i = 0; i < SETS; i++) {
		s = &d->sets[i];
		if (!s->used)
			empty = s;
		else if (s->id == l->frag_id && s->version == l->version && s->netns == netns &&
		         !memcmp(s->src, l->src, 16) && !memcmp(s->dst, l->dst, 16))
			return s;
	}
	if (!empty) {
		empty = oldest(d, NULL);
		give_up(d, empty);
	}
	s = empty;
	s->used = true;
	s->version = l->version;
	s->id = l->frag_id;
	s->len = s->cap = s->units = 0;
	memcpy(s->src, l->src, 16);
	memcpy(s->dst, l->dst, 16);
	s->netns = netns;
	s->first_ns = now;
	memset(s->have, 0, sizeof s->have);
	d->used++;
	return s;
}

static bool grow(struct dns_defrag *d, struct set *s, uint32_t need)
{
	uint32_t cap = s->cap ? s->cap : 4096;
	uint8_t *buf;

	if (need <= s->cap)
		return true;
	while (cap < need)
		cap *= 2;
	while (d->bytes - s->cap + cap > BYTES_MAX) {
		struct set *old = oldest(d, s);

		if (!old)
			return false;
		give_up(d, old);
	}
	buf = d->mem.realloc(d->mem.arg, s->buf, cap);
	if (!buf)
		return false;
	d->bytes += cap - s->cap;
	s->buf = buf;
	s->cap = cap;
	return true;
}

/* Marks the units; false: some have been there, and not all of them with the same bytes. */
static bool mark(struct set *s, const uint8_t *p, uint32_t off, uint32_t n)
{
	bool fresh = true;

	for (uint32_t u = off / 8; u < (off + n + 7) / 8; u++)
		if (s->have[u / 8] & 1 << u % 8)
			fresh = false;
	if (!fresh)
		return !memcmp(s->buf + off, p, n);
	for (uint32_t u = off / 8; u < (off + n + 7) / 8; u++) {
		s->have[u / 8] |= (uint8_t)(1 << u % 8);
		s->units++;
	}
	memcpy(s->buf + off, p, n);
	return true;
}

const uint8_t *dns_defrag_add(struct dns_defrag *d, const struct pkt_layer *l, uint64_t netns,
                              const uint8_t *data, uint32_t caplen, uint64_t now, uint32_t *ret_len)
{
	uint32_t at = l->l3_off + l->header_len, end = l->l3_off + l->l3_len, n;
	struct set *s;

	if (d->done)
		drop(d, d->done);
	d->done = NULL;
	dns_defrag_expire(d, now);
	d->stats.fragments++;
	if (at >= end || end > caplen || l->frag_off + (end - at) > 65535 || l->frag_off % 8)
		return NULL;
	n = end - at;
	s = find(d, l, netns, now);
	if (!grow(d, s, (l->frag_off + n + 7) & ~7u)) {
		give_up(d, s);
		return NULL;
	}
	if ((!l->last_fragment && n % 8) || (s->len && l->frag_off + n > s->len) ||
	    (l->last_fragment && s->len && s->len != l->frag_off + n) ||
	    !mark(s, data + at, l->frag_off, n)) {
		d->stats.overlaps++;
		give_up(d, s);
		return NULL;
	}
	if (l->last_fragment)
		s->len = l->frag_off + n;
	if (!s->len || s->units < (s->len + 7) / 8)
		return NULL;
	d->stats.whole++;
	d->done = s;
	*ret_len = s->len;
	return s->buf;
}

void dns_defrag_flush(struct dns_defrag *d)
{
	if (d->done)
		drop(d, d->done);
	d->done = NULL;
	for (unsigned i = 0; i < SETS; i++)
		if (d->sets[i].used)
			give_up(d, &d->sets[i]);
}

void dns_defrag_stats(const struct dns_defrag *d, struct dns_defrag_stats *ret)
{
	*ret = d->stats;
}

int dns_defrag_new(const struct pkt_memory *m, struct dns_defrag **ret)
{
	struct dns_defrag *d = m->realloc(m->arg, NULL, sizeof *d);

	if (!d)
		return -ENOMEM;
	memset(d, 0, sizeof *d);
	d->mem = *m;
	*ret = d;
	return 0;
}

void dns_defrag_free(struct dns_defrag *d)
{
	if (!d)
		return;
	dns_defrag_flush(d);
	d->mem.realloc(d->mem.arg, d, 0);
}
