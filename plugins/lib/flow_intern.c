/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Equal things kept once: owners (one per process rather than per flow), and the cgroups they
 * run in. Numbered from 1, counted, gone with the last that refers to them.
 *
 * Bound: never more than there are flows. What may fail: memory, when the table doubles; then
 * what was asked for is 0, and everything else stays as it is.
 */
#include "flow_priv.h"

#include <string.h>

#define FIRST 64

struct head { uint32_t refs, next; };   /* next: in its bucket, or in the list of free ones */

static size_t stride(const struct flow_intern *in)
{
	return sizeof(struct head) + in->size;
}
static struct head *head_of(const struct flow_intern *in, uint32_t id)
{
	return (struct head *)(void *)(in->entries + (size_t)(id - 1) * stride(in));
}

void *flow_intern_at(const struct flow_intern *in, uint32_t id)
{
	return head_of(in, id) + 1;
}

static uint32_t *bucket_of(const struct flow_intern *in, const void *key)
{
	const unsigned char *b = key;
	uint32_t h = 2166136261u; /* FNV-1a: keys are 8 to 32 bytes, and a node's own */

	for (uint32_t i = 0; i < in->key; i++)
		h = (h ^ b[i]) * 16777619u;
	return &in->buckets[(h ^ h >> 15) & (in->cap - 1)];
}

static bool grow(struct flow_table *t, struct flow_intern *in)
{
	uint32_t cap = in->cap ? in->cap * 2 : FIRST;
	uint32_t *buckets = flow_alloc(t, NULL, cap * sizeof *buckets);
	char *entries;

	if (!buckets)
		return false;
	entries = flow_alloc(t, in->entries, cap * stride(in));
	if (!entries) {
		flow_free(t, buckets);
		return false;
	}
	memset(buckets, 0, cap * sizeof *buckets);
	flow_free(t, in->buckets);
	t->stats.memory_bytes += (cap - in->cap) * (stride(in) + sizeof *buckets);
	in->entries = entries;
	in->buckets = buckets;
	in->cap = cap;
	for (uint32_t id = 1; id <= in->made; id++) { /* full: none is free */
		uint32_t *b = bucket_of(in, flow_intern_at(in, id));

		head_of(in, id)->next = *b;
		*b = id;
	}
	return true;
}

uint32_t flow_intern_get(struct flow_table *t, struct flow_intern *in, const void *key, bool *ret_new)
{
	uint32_t id = in->cap ? *bucket_of(in, key) : 0, *b;

	*ret_new = false;
	for (; id; id = head_of(in, id)->next)
		if (!memcmp(flow_intern_at(in, id), key, in->key)) {
			head_of(in, id)->refs++;
			return id;
		}
	if (!in->free && in->made == in->cap && !grow(t, in))
		return 0;
	id = in->free;
	if (id)
		in->free = head_of(in, id)->next;
	else
		id = ++in->made;
	in->used++;
	b = bucket_of(in, key);
	*head_of(in, id) = (struct head){ 1, *b };
	*b = id;
	memset(flow_intern_at(in, id), 0, in->size);
	memcpy(flow_intern_at(in, id), key, in->key);
	*ret_new = true;
	return id;
}

void flow_intern_ref(struct flow_intern *in, uint32_t id)
{
	head_of(in, id)->refs++;
}

bool flow_intern_put(struct flow_intern *in, uint32_t id)
{
	struct head *h = head_of(in, id);
	uint32_t *at;

	if (--h->refs)
		return false;
	for (at = bucket_of(in, h + 1); *at != id; at = &head_of(in, *at)->next)
		;
	*at = h->next;
	h->next = in->free;
	in->free = id;
	in->used--;
	return true;
}

void flow_intern_fini(struct flow_table *t, struct flow_intern *in)
{
	flow_free(t, in->entries);
	flow_free(t, in->buckets);
	in->entries = NULL;
	in->buckets = NULL;
}
