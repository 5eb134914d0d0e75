/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: what is appended comes back, and no bytes from outside are trusted. */
#include "batch.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct weir__batch *three_records(void)
{
	struct weir__batch *b = weir__batch_new(4096);

	assert_non_null(b);
	for (uint16_t i = 0; i < 3; i++) {
		struct weir_record *r = weir__batch_append(b, sizeof *r + 8 * i);

		assert_non_null(r);
		memset(r, 0, sizeof *r + 8u * i);
		r->len = (uint32_t)sizeof *r + 8u * i;
		r->kind = i;
	}
	return b;
}

/* Walking a batch gives the records that were appended, in order. */
static void walk(void **state)
{
	struct weir__batch *b = three_records();
	const struct weir_record *r = NULL;
	uint16_t n = 0;

	(void)state;
	while ((r = weir_batch_next(&b->view, r)))
		assert_int_equal(r->kind, n++);
	assert_int_equal(n, 3);
	weir__batch_unref(b);
}

/* A full batch refuses the next record and stays whole. */
static void full(void **state)
{
	struct weir__batch *b = weir__batch_new(sizeof(struct weir_batch_header) + 24);
	const char *why;

	(void)state;
	assert_non_null(weir__batch_append(b, 24));
	((struct weir_record *)(void *)(b->data + sizeof(struct weir_batch_header)))->len = 24;
	assert_null(weir__batch_append(b, 24));
	assert_int_equal(weir__batch_decode(b->data, weir__batch_header(b)->len, &why), 0);
	weir__batch_unref(b);
}

/* A nearly empty batch is sent as a copy of its size, and can be filled again. */
static void shrink(void **state)
{
	struct weir__batch *b = three_records(), *small;
	bool copied;
	long live = weir__mem_live();

	(void)state;
	small = weir__batch_shrink(b, &copied);
	assert_true(copied);
	assert_true(weir__batch_footprint(small) < 600);
	assert_int_equal(weir__batch_header(small)->count, 3);
	assert_int_equal(weir__batch_header(b)->count, 0);
	weir__batch_unref(small);
	assert_int_equal(weir__mem_live(), live);
	weir__batch_unref(b);
}

/* Every single-byte change of the framing is refused or leaves a walkable batch. */
static void corrupted(void **state)
{
	struct weir__batch *b = three_records();
	uint32_t len = weir__batch_header(b)->len;
	unsigned char bytes[512];
	const char *why = NULL;

	(void)state;
	assert_true(len <= sizeof bytes);
	assert_int_equal(weir__batch_decode(b->data, len, &why), 0);
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct weir_batch view = { .header = (void *)bytes };
			const struct weir_record *r = NULL;
			uint32_t n = 0;

			memcpy(bytes, b->data, len);
			bytes[i] ^= (unsigned char)(1 << bit);
			if (weir__batch_decode(bytes, len, &why)) {
				assert_non_null(why);
				continue;
			}
			while ((r = weir_batch_next(&view, r)))
				n++;
			assert_int_equal(n, view.header->count);
		}
	for (uint32_t cut = 0; cut < len; cut++)
		assert_int_equal(weir__batch_decode(b->data, cut, &why), -EBADMSG);
	weir__batch_unref(b);
}

/* The last reference frees, not the first that goes. */
static void references(void **state)
{
	long live = weir__mem_live();
	struct weir__batch *b = weir__batch_new(128);

	(void)state;
	weir__batch_ref(b);
	weir__batch_unref(b);
	assert_int_equal(weir__mem_live(), live + 1);
	weir__batch_unref(b);
	assert_int_equal(weir__mem_live(), live);
	weir__batch_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk), cmocka_unit_test(full), cmocka_unit_test(shrink),
		cmocka_unit_test(corrupted), cmocka_unit_test(references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
