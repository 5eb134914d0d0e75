/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space-saving, see top.h. Keys are found through an index of their hashes; the counts lie in
 * an array of their own. Counts only grow, so the smallest is known, and a walk on from where
 * the last one was found finds the next; only after a whole round is there a new smallest: a
 * new key costs a few steps, however many there are.
 */
#include "top.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define NONE UINT32_MAX

struct dns_top {
	uint32_t used, size, mask, at; /* at: where the walk stands */
	uint64_t least;          /* no count is smaller */
	uint64_t *counts;
	struct dns_top_entry *entries;
	uint32_t *index;         /* open addressing, four times the entries */
};

static uint64_t hash(const uint8_t *p, size_t n)
{
	uint64_t h = n, v;

	for (; n >= sizeof v; p += sizeof v, n -= sizeof v) {
		memcpy(&v, p, sizeof v);
		h = (h ^ v) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	v = 0;
	memcpy(&v, p, n);
	h = (h ^ v) * 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static uint32_t *slot(struct dns_top *t, uint64_t h, const void *key, uint32_t len)
{
	for (uint32_t i = (uint32_t)h & t->mask;; i = (i + 1) & t->mask) {
		uint32_t *s = &t->index[i];

		if (*s == NONE || (t->entries[*s].hash == h && t->entries[*s].len == len &&
		                   !memcmp(t->entries[*s].key, key, len)))
			return s;
	}
}

/* Take one out; those behind it that were pushed on move up (Knuth 6.4, algorithm R). */
static void forget(struct dns_top *t, uint32_t e)
{
	uint32_t i = (uint32_t)(slot(t, t->entries[e].hash, t->entries[e].key, t->entries[e].len) - t->index);

	for (uint32_t j = i;;) {
		uint32_t home;

		t->index[i] = NONE;
		do {
			j = (j + 1) & t->mask;
			if (t->index[j] == NONE)
				return;
			home = (uint32_t)t->entries[t->index[j]].hash & t->mask;
		} while (i <= j ? i < home && home <= j : i < home || home <= j);
		t->index[i] = t->index[j];
		i = j;
	}
}

/* One with the smallest count; all places are taken. */
static uint32_t smallest(struct dns_top *t)
{
	for (uint32_t i = 0; i < t->size; i++) {
		uint32_t e = t->at;

		t->at = e + 1 < t->size ? e + 1 : 0;
		if (t->counts[e] == t->least)
			return e;
	}
	for (uint32_t i = t->at = 0; i < t->size; i++)
		t->at = t->counts[i] < t->counts[t->at] ? i : t->at;
	t->least = t->counts[t->at];
	return t->at;
}

struct dns_top_entry *dns_top_add(struct dns_top *t, const void *key, size_t n, uint64_t weight)
{
	uint32_t len = n < DNS_TOP_KEY ? (uint32_t)n : DNS_TOP_KEY, e = 0;
	uint64_t h = hash(key, len), error = 0;
	uint32_t *s = slot(t, h, key, len);

	if (*s != NONE) {
		e = *s;
	} else {
		if (t->used < t->size) {
			e = t->used++;
			t->counts[e] = 0;
		} else {
			e = smallest(t);
			error = t->counts[e];
			forget(t, e);
			s = slot(t, h, key, len);
		}
		memset(&t->entries[e], 0, offsetof(struct dns_top_entry, key));
		t->entries[e].error = error;
		t->entries[e].len = len;
		t->entries[e].hash = h;
		memcpy(t->entries[e].key, key, len);
		*s = e;
	}
	t->counts[e] += weight;
	t->entries[e].count = t->counts[e];
	return &t->entries[e];
}

uint32_t dns_top_list(const struct dns_top *t, const struct dns_top_entry **ret, uint32_t n)
{
	uint32_t have = 0;

	for (uint32_t i = 0; i < t->used && n; i++) {
		uint32_t j = have;

		for (; j > 0 && ret[j - 1]->count < t->counts[i]; j--)
			if (j < n)
				ret[j] = ret[j - 1];
		if (j < n)
			ret[j] = &t->entries[i];
		have += have < n;
	}
	return have;
}

int dns_top_new(const struct pkt_memory *m, uint32_t entries, struct dns_top **ret)
{
	struct dns_top *t;
	uint32_t size = 4;
	size_t bytes;

	while (size < entries * 4)
		size *= 2;
	bytes = sizeof *t + entries * (sizeof *t->counts + sizeof *t->entries) + size * sizeof *t->index;
	t = m->realloc(m->arg, NULL, bytes);
	if (!t)
		return -ENOMEM;
	*t = (struct dns_top){ .size = entries, .mask = size - 1 };
	t->counts = (uint64_t *)(t + 1);
	t->entries = (struct dns_top_entry *)(t->counts + entries);
	t->index = (uint32_t *)(t->entries + entries);
	memset(t->index, 0xff, size * sizeof *t->index);
	*ret = t;
	return 0;
}

void dns_top_free(const struct pkt_memory *m, struct dns_top *t)
{
	if (t)
		m->realloc(m->arg, t, 0);
}
