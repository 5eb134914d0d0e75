/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor of any minor release, made into one of this release.
 *
 * Happy path: the plugin was built with these headers, so every row has this
 * daemon's size and nothing is copied. Otherwise each table whose rows are
 * shorter or longer is copied, min(theirs, ours) bytes a row, the rest zero; a
 * table whose rows refer to such tables is copied with it.
 *
 * Failure: a count or row size out of bounds (reason), or no memory; then the
 * copies made so far are freed. Main thread.
 */
#include "loader_desc.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t own, min, max;
} tables[] = {
#define X(id, type, min, max) [WEIR__TABLE_##id] = { #id, sizeof(type), min, max },
	WEIR__TABLES(X)
#undef X
};

/* A row longer than this is no row: leaves room for each to grow several times. */
#define MAX_ROW 1024

struct job {
	struct weir__copies *copies;
	char *reason;
	size_t size;
};

void weir__copies_free(struct weir__copies *c)
{
	for (size_t i = 0; i < c->count; i++)
		weir__free(c->items[i]);
	weir__free(c->items);
	memset(c, 0, sizeof(*c));
}

static void *keep(struct job *j, size_t size)
{
	struct weir__copies *c = j->copies;
	void **items = weir__realloc(c->items, (c->count + 1) * sizeof(*items));

	if (!items)
		return NULL;
	c->items = items;
	items[c->count] = weir__zalloc(size);
	return items[c->count] ? items[c->count++] : NULL;
}

static int check_shape(struct job *j, const struct weir_table *t, enum weir__table_id id)
{
	uint32_t step = t->row_size % _Alignof(void *);

	if (t->count > tables[id].max)
		snprintf(j->reason, j->size, "table %s: %u rows, at most %u are allowed",
		         tables[id].name, t->count, tables[id].max);
	else if (!t->rows)
		snprintf(j->reason, j->size, "table %s: %u rows at NULL", tables[id].name, t->count);
	else if (t->row_size < tables[id].min || t->row_size > MAX_ROW || step)
		snprintf(j->reason, j->size, "table %s: rows of %u bytes, expected %u to %u in steps of %zu",
		         tables[id].name, t->row_size, tables[id].min, MAX_ROW, _Alignof(void *));
	else
		return 0;
	return -EINVAL;
}

/* Copy the rows; `force` although they have the right size, to be changed. */
static int own_rows(struct job *j, struct weir_table *t, enum weir__table_id id, int force)
{
	uint32_t own = tables[id].own, n = t->row_size < own ? t->row_size : own;
	char *rows;

	if (t->row_size == own && !force)
		return 0;
	if (!(rows = keep(j, (size_t)t->count * own)))
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++)
		memcpy(rows + (size_t)i * own, weir_table_row(t, i), n);
	*t = (struct weir_table){ rows, t->count, own };
	return 0;
}

static int own_table(struct job *j, struct weir_table *t, enum weir__table_id id)
{
	int r;

	if (!t->count) {
		*t = (struct weir_table){ NULL, 0, tables[id].own };
		return 0;
	}
	if ((r = check_shape(j, t, id)) < 0)
		return r;
	return own_rows(j, t, id, 0);
}

/* The same for a table with one table in each row, at `offset`. */
static int own_nested(struct job *j, struct weir_table *t, enum weir__table_id id,
                      size_t offset, enum weir__table_id inner_id)
{
	int r = own_table(j, t, id), copied = 0;

	for (uint32_t i = 0; r == 0 && i < t->count; i++) {
		struct weir_table inner;

		memcpy(&inner, (const char *)weir_table_row(t, i) + offset, sizeof(inner));
		const void *was = inner.rows;
		if ((r = own_table(j, &inner, inner_id)) < 0 || inner.rows == was)
			continue;
		if (!copied && (r = own_rows(j, t, id, 1)) < 0)
			break;
		copied = 1;
		memcpy((char *)(uintptr_t)weir_table_row(t, i) + offset, &inner, sizeof(inner));
	}
	return r;
}

int weir__desc_normalise(const struct weir_plugin_desc *raw, struct weir_plugin_desc *ret,
                         struct weir__copies *copies, char *reason, size_t size)
{
	struct job j = { copies, reason, size };
	struct weir_plugin_desc d = { 0 };
	int r;

	memset(copies, 0, sizeof(*copies));
	memcpy(&d, raw, raw->desc_size < sizeof(d) ? raw->desc_size : sizeof(d));
	if ((r = own_table(&j, &d.options, WEIR__TABLE_OPTIONS)) < 0 ||
	    (r = own_table(&j, &d.metrics, WEIR__TABLE_METRICS)) < 0 ||
	    (r = own_nested(&j, &d.schemas, WEIR__TABLE_SCHEMAS,
	                    offsetof(struct weir_schema, fields), WEIR__TABLE_FIELDS)) < 0 ||
	    (r = own_nested(&j, &d.queries, WEIR__TABLE_QUERIES,
	                    offsetof(struct weir_query, args), WEIR__TABLE_OPTIONS)) < 0 ||
	    (r = own_nested(&j, &d.sources, WEIR__TABLE_SOURCES,
	                    offsetof(struct weir_source, programs), WEIR__TABLE_PROGRAMS)) < 0) {
		if (r == -ENOMEM)
			snprintf(reason, size, "out of memory");
		weir__copies_free(copies);
		return r;
	}
	*ret = d;
	return 0;
}
