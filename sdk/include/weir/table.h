/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a descriptor refers to its tables: rows, their number and their size. The
 * size makes a table append-only, like the descriptor: a newer host reads only
 * the bytes an older plugin has, and a newer plugin's extra bytes are passed over.
 */
#ifndef WEIR_TABLE_H
#define WEIR_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct weir_table {
	const void *rows;
	uint32_t count;
	uint32_t row_size;
};

/* Only for an array, not for a pointer. */
#define WEIR_TABLE(array)                                                      \
	{ (array), sizeof(array) / sizeof((array)[0]), sizeof((array)[0]) }

/* Row i, or NULL beyond the end. The caller may read only its own known size. */
static inline const void *weir_table_row(const struct weir_table *t, uint32_t i)
{
	return i < t->count ? (const char *)t->rows + (size_t)i * t->row_size : NULL;
}

#endif
