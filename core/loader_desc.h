/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the loader's files: sizes of release 1.0, bounds, and the copies that
 * make tables of any release indexable by this daemon's own row types.
 */
#ifndef WEIR_CORE_LOADER_DESC_H
#define WEIR_CORE_LOADER_DESC_H

#include <weir/plugin.h>

/* What ABI 1.0 has; a plugin of any release has at least that. A table's bound
 * keeps a wrong count from sending the checks through memory; none is near what
 * a plugin needs (iomonitor, the largest, has 40 metrics). */
#define WEIR__DESC_SIZE_1_0 216
#define WEIR__TABLES(X) /* id, row type, row size in 1.0, most rows */         \
	X(OPTIONS,  struct weir_option,  72, 256)                              \
	X(SCHEMAS,  struct weir_schema,  56, WEIR_MAX_KINDS)                   \
	X(METRICS,  struct weir_metric,  48, 256)                              \
	X(QUERIES,  struct weir_query,   64, 64)                               \
	X(SOURCES,  struct weir_source, 112, 8)                                \
	X(FIELDS,   struct weir_field,   48, 256)                              \
	X(PROGRAMS, struct weir_program, 40, WEIR_MAX_PROGRAMS)
enum weir__table_id {
#define X(id, type, min, max) WEIR__TABLE_##id,
	WEIR__TABLES(X)
#undef X
};
#define X(id, type, min, max) _Static_assert(sizeof(type) >= (min), "ABI: row shrank");
WEIR__TABLES(X)
#undef X

/* Copies made for one descriptor; all at once, or none. */
struct weir__copies {
	void **items;
	size_t count;
};
void weir__copies_free(struct weir__copies *c);

/* raw: the plugin's descriptor, of which only desc_size bytes exist. Fills *ret:
 * what the plugin lacks is zero, and every table, nested ones too, has rows of
 * exactly this daemon's size, in the plugin itself where they are already so.
 * 0; -EINVAL with a reason (row size or count out of bounds); -ENOMEM. */
int weir__desc_normalise(const struct weir_plugin_desc *raw, struct weir_plugin_desc *ret,
                         struct weir__copies *copies, char *reason, size_t size);

#endif
