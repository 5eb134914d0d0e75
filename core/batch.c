/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: one allocation each, reference counted. The writer is one thread; a
 * batch that has been sent is never written again.
 */
#include "batch.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BATCH_MAGIC 0x57424154u /* "WBAT" */

static void batch_clear(struct weir__batch *b)
{
	struct weir_batch_header *h = weir__batch_header(b);

	memset(h, 0, sizeof *h);
	h->magic = WEIR_BATCH_MAGIC;
	h->version = WEIR_BATCH_VERSION;
	h->header_len = sizeof *h;
	h->len = sizeof *h;
}

struct weir__batch *weir__batch_new(size_t capacity)
{
	struct weir__batch *b = weir__alloc(sizeof *b + capacity);

	assert(capacity >= sizeof(struct weir_batch_header));
	if (!b)
		return NULL;
	memset(b, 0, sizeof *b);
	b->magic = BATCH_MAGIC;
	atomic_init(&b->refs, 1);
	b->capacity = capacity;
	b->view.header = weir__batch_header(b);
	batch_clear(b);
	return b;
}

struct weir__batch *weir__batch_ref(struct weir__batch *b)
{
	assert(b->magic == BATCH_MAGIC);
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void weir__batch_unref(struct weir__batch *b)
{
	if (!b)
		return;
	assert(b->magic == BATCH_MAGIC);
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
		return;
	b->magic = 0;
	weir__free(b);
}

void *weir__batch_append(struct weir__batch *b, uint32_t len)
{
	struct weir_batch_header *h = weir__batch_header(b);
	void *at;

	if (b->capacity - h->len < len)
		return NULL;
	at = b->data + h->len;
	h->len += len;
	h->count++;
	return at;
}

struct weir__batch *weir__batch_shrink(struct weir__batch *b, bool *ret_copied)
{
	struct weir_batch_header *h = weir__batch_header(b);
	struct weir__batch *small;

	*ret_copied = false;
	if (h->len > b->capacity / 2)
		return b;
	small = weir__batch_new(h->len);
	if (!small)
		return b; /* a large one is better than none */
	memcpy(small->data, b->data, h->len);
	small->view = b->view;
	small->view.header = weir__batch_header(small);
	batch_clear(b);
	*ret_copied = true;
	return small;
}

size_t weir__batch_footprint(const struct weir__batch *b)
{
	return sizeof *b + b->capacity;
}

static int bad(const char **ret_reason, const char *why)
{
	*ret_reason = why;
	return -EBADMSG;
}

int weir__batch_decode(const void *bytes, size_t len, const char **ret_reason)
{
	struct weir_batch_header h;
	size_t at;
	uint32_t count = 0;

	if (len < sizeof h)
		return bad(ret_reason, "shorter than a batch header");
	memcpy(&h, bytes, sizeof h);
	if (h.magic != WEIR_BATCH_MAGIC)
		return bad(ret_reason, "no batch: wrong magic number");
	if (h.version != WEIR_BATCH_VERSION)
		return bad(ret_reason, "a batch of another version");
	if (h.header_len < sizeof h || h.header_len % 8 || h.header_len > len)
		return bad(ret_reason, "wrong header length");
	if (h.len != len)
		return bad(ret_reason, "length in the header is not that of the message");
	for (at = h.header_len; at < len; count++) {
		struct weir_record r;

		if (len - at < sizeof r)
			return bad(ret_reason, "a record header runs past the end");
		memcpy(&r, (const char *)bytes + at, sizeof r);
		if (r.len < sizeof r || r.len % 8 || r.len > WEIR_RECORD_MAX)
			return bad(ret_reason, "wrong record length");
		if (r.len > len - at)
			return bad(ret_reason, "a record runs past the end");
		at += r.len;
	}
	if (count != h.count)
		return bad(ret_reason, "count in the header is not the number of records");
	return 0;
}
