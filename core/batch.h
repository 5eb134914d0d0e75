/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: what crosses the bus. A header and many records in one block, written
 * by one collector's host, then shared read-only by the outputs of all its
 * routes through a reference count.
 */
#ifndef WEIR_CORE_BATCH_H
#define WEIR_CORE_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <weir/event.h>

/* Records one batch takes: 64 KiB keeps an nng message (2-5 us whatever its
 * size) under 10 ns a record, and fits any record. */
#define WEIR__BATCH_BYTES 65536

struct weir__batch {
	uint32_t magic;
	_Atomic uint32_t refs;
	size_t capacity;           /* bytes at data */
	struct weir_batch view;    /* as an output sees it, but for route_seq */
	_Alignas(16) unsigned char data[]; /* struct weir_batch_header, records */
};

/* Empty batch with room for `capacity` bytes of header and records; refs 1. */
struct weir__batch *weir__batch_new(size_t capacity);
struct weir__batch *weir__batch_ref(struct weir__batch *b);
void weir__batch_unref(struct weir__batch *b);
static inline struct weir_batch_header *weir__batch_header(struct weir__batch *b)
{
	return (struct weir_batch_header *)(void *)b->data;
}
/* Room for `len` more bytes of record, accounted, or NULL: full. len % 8 == 0. */
void *weir__batch_append(struct weir__batch *b, uint32_t len);
/* Make it as large as it needs to be: a copy of the used part if much is unused.
 * The old one is emptied for further use. Returns the batch to send. */
struct weir__batch *weir__batch_shrink(struct weir__batch *b, bool *ret_copied);
/* Bytes this batch occupies in memory. */
size_t weir__batch_footprint(const struct weir__batch *b);

/* Judge bytes from outside: 0, or -EBADMSG with a static reason. Trusts nothing;
 * afterwards weir_batch_next() walks exactly header->count records. */
int weir__batch_decode(const void *bytes, size_t len, const char **ret_reason);

#endif
