/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the flows are: rows in slabs, an index by key with open addressing, and the choice of
 * who goes when there is no room.
 *
 * The index holds numbers of rows with some bits of the hash above them, so that a look-up
 * that misses touches no row. A removed entry is closed up by moving its successors back: no
 * tombstones, so the index stays as fast as it was. The longest idle flows are found in one
 * walk for many: sorted, and each is checked again when its turn comes; what has had packets
 * since is passed over, so those left are still the longest idle of all.
 * What may fail: memory for a slab; then a flow goes, as if the store were full.
 */
#include "flow_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VICTIMS 64  /* one in 64 flows at a walk */

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;

	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

/* Seeded: who sends packets must not choose who collides. */
uint64_t flow_hash(uint64_t seed, const struct weir_flow_key *k)
{
	uint64_t w[6];

	memcpy(w, k, sizeof w);
	return mix(mix(w[0] ^ seed, w[1] ^ 0xa0761d6478bd642full) ^
	           mix(w[2] ^ seed, w[3] ^ 0xe7037ed1a0b428dbull),
	           mix(w[4] ^ seed ^ 0x8ebc6af09c88c6e3ull, w[5] ^ 0x589965cc75374cc3ull) ^
	           0x1d8e4e27c47d124full);
}

/* ---- pools -------------------------------------------------------------------------------- */

static int pool_init(struct flow_table *t, struct flow_pool *p, uint32_t size, uint32_t link)
{
	size_t slabs = (t->o.capacity + FLOW_SLAB - 1) / FLOW_SLAB;

	*p = (struct flow_pool){ .size = size, .max = (uint32_t)t->o.capacity, .link = link };
	p->slabs = flow_alloc(t, NULL, slabs * sizeof *p->slabs);
	if (!p->slabs)
		return -ENOMEM;
	memset(p->slabs, 0, slabs * sizeof *p->slabs);
	return 0;
}

static void pool_clear(struct flow_table *t, struct flow_pool *p)
{
	for (uint32_t i = 0; p->slabs && i * FLOW_SLAB < p->made; i++) {
		flow_free(t, p->slabs[i]);
		p->slabs[i] = NULL;
		t->stats.memory_bytes -= (uint64_t)FLOW_SLAB * p->size;
	}
	p->made = p->used = p->free = 0;
}

static void pool_fini(struct flow_table *t, struct flow_pool *p)
{
	pool_clear(t, p);
	flow_free(t, p->slabs);
	*p = (struct flow_pool){ 0 };
}

void flow_store_clear(struct flow_table *t)
{
	pool_clear(t, &t->rows);
	pool_clear(t, &t->exts);
	memset(t->wheel, 0, sizeof t->wheel);
	t->victim_count = t->flush_at = 0;
}

static uint32_t *link_of(struct flow_pool *p, uint32_t id)
{
	return (uint32_t *)(void *)((char *)flow_pool_at(p, id) + p->link);
}

uint32_t flow_pool_get(struct flow_table *t, struct flow_pool *p)
{
	uint32_t id = p->free;

	if (id) {
		p->free = *link_of(p, id);
	} else {
		if (p->made == p->max)
			return 0;
		if (p->made % FLOW_SLAB == 0) {
			void *slab = flow_alloc(t, NULL, (size_t)FLOW_SLAB * p->size);

			if (!slab)
				return 0;
			p->slabs[p->made / FLOW_SLAB] = slab;
			t->stats.memory_bytes += (uint64_t)FLOW_SLAB * p->size;
		}
		id = ++p->made;
	}
	p->used++;
	memset(flow_pool_at(p, id), 0, p->size);
	return id;
}

void flow_pool_put(struct flow_pool *p, uint32_t id)
{
	*link_of(p, id) = p->free;
	p->free = id;
	p->used--;
}

/* ---- index -------------------------------------------------------------------------------- */

int flow_store_init(struct flow_table *t)
{
	uint64_t slots = t->o.capacity * 4 / 3 + 8; /* three quarters full at most */
	int rc = pool_init(t, &t->rows, sizeof(struct flow_row), offsetof(struct flow_row, next));

	if (!rc)
		rc = pool_init(t, &t->exts, sizeof(struct flow_ext),
			       offsetof(struct flow_ext, next_free));
	if (rc)
		return rc;
	t->slots = (uint32_t)slots;
	for (t->id_bits = 1; 1ull << t->id_bits <= t->o.capacity; t->id_bits++)
		;
	t->index = flow_alloc(t, NULL, slots * sizeof *t->index);
	t->victim_max = (uint32_t)(t->o.capacity / VICTIMS + 1);
	t->victims = flow_alloc(t, NULL, t->victim_max * sizeof *t->victims);
	if (!t->index || !t->victims)
		return -ENOMEM;
	memset(t->index, 0, slots * sizeof *t->index);
	t->stats.memory_bytes += slots * sizeof *t->index + t->victim_max * sizeof *t->victims;
	return 0;
}

void flow_store_fini(struct flow_table *t)
{
	pool_fini(t, &t->rows);
	pool_fini(t, &t->exts);
	flow_free(t, t->index);
	flow_free(t, t->victims);
	t->index = NULL;
	t->victims = NULL;
}

static uint32_t place(const struct flow_table *t, uint64_t hash)
{
	return (uint32_t)((hash >> 32) * t->slots >> 32);
}

static uint32_t entry_of(const struct flow_table *t, uint32_t id, uint64_t hash)
{
	return (uint32_t)hash << t->id_bits | id;
}

void flow_prefetch_slot(const struct flow_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->index[place(t, hash)]);
}

void flow_prefetch_row(const struct flow_table *t, uint64_t hash)
{
	uint32_t e = t->index[place(t, hash)], id = e & ((1u << t->id_bits) - 1);
	const char *row;

	if (!id || (e ^ entry_of(t, 0, hash)) >> t->id_bits)
		return;
	row = (const char *)flow_row(t, id);
	__builtin_prefetch(row);
	__builtin_prefetch(row + 64);
	__builtin_prefetch(row + 128);
}

uint32_t flow_find(const struct flow_table *t, const struct weir_flow_key *k, uint64_t hash)
{
	uint32_t at = place(t, hash), mask = (1u << t->id_bits) - 1, want = entry_of(t, 0, hash);

	for (; t->index[at]; at = at + 1 == t->slots ? 0 : at + 1) {
		uint32_t e = t->index[at];

		if ((e & ~mask) == want && !memcmp(&flow_row(t, e & mask)->key, k, sizeof *k))
			return e & mask;
	}
	return 0;
}

void flow_index_add(struct flow_table *t, uint32_t id, uint64_t hash)
{
	uint32_t at = place(t, hash);

	while (t->index[at])
		at = at + 1 == t->slots ? 0 : at + 1;
	t->index[at] = entry_of(t, id, hash);
}

void flow_index_remove(struct flow_table *t, uint32_t id)
{
	uint32_t mask = (1u << t->id_bits) - 1, home, hole;
	uint32_t at = place(t, flow_hash(t->seed, &flow_row(t, id)->key));

	while ((t->index[at] & mask) != id)
		at = at + 1 == t->slots ? 0 : at + 1;
	for (hole = at;;) {
		at = at + 1 == t->slots ? 0 : at + 1;
		if (!t->index[at])
			break;
		home = place(t, flow_hash(t->seed, &flow_row(t, t->index[at] & mask)->key));
		/* May it move to the hole? Only if its home is not between the two. */
		if (hole <= at ? (hole < home && home <= at) : (hole < home || home <= at))
			continue;
		t->index[hole] = t->index[at];
		hole = at;
	}
	t->index[hole] = 0;
}

/* ---- who goes ------------------------------------------------------------------------------ */

static int by_last_desc(const void *a, const void *b)
{
	uint64_t x = ((const struct flow_victim *)a)->last_ns,
		 y = ((const struct flow_victim *)b)->last_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The youngest of the heap on top, so that it gives way to an older one. */
static void sift(struct flow_victim *v, uint32_t n, uint32_t i)
{
	for (;;) {
		uint32_t big = i, l = 2 * i + 1;

		if (l < n && v[l].last_ns > v[big].last_ns)
			big = l;
		if (l + 1 < n && v[l + 1].last_ns > v[big].last_ns)
			big = l + 1;
		if (big == i)
			return;
		struct flow_victim x = v[i];
		v[i] = v[big];
		v[big] = x;
		i = big;
	}
}

static void find_victims(struct flow_table *t)
{
	struct flow_victim *v = t->victims;
	uint32_t n = 0;

	for (uint32_t id = 1; id <= t->rows.made; id++) {
		const struct flow_row *r = flow_row(t, id);

		if (!r->alive)
			continue;
		if (n < t->victim_max) {
			v[n++] = (struct flow_victim){ r->last_ns, id };
			if (n == t->victim_max)
				for (uint32_t i = n / 2 + 1; i-- > 0;)
					sift(v, n, i);
		} else if (r->last_ns < v[0].last_ns) {
			v[0] = (struct flow_victim){ r->last_ns, id };
			sift(v, n, 0);
		}
	}
	qsort(v, n, sizeof *v, by_last_desc);
	t->victim_count = n;
}

uint32_t flow_victim(struct flow_table *t)
{
	for (int round = 0; round < 2; round++) {
		while (t->victim_count) {
			const struct flow_victim *v = &t->victims[t->victim_count - 1];
			const struct flow_row *r = flow_row(t, v->row);

			/* Left in the list: it may be refused, and asked for again. */
			if (r->alive && r->last_ns == v->last_ns)
				return v->row;
			t->victim_count--;
		}
		find_victims(t);
	}
	return 0;
}
