/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors as JSON. One list of columns per row type serves both ways. What is
 * decoded is checked by the loader's own checks afterwards, since it comes from a
 * process that has run a stranger's code; all memory is on one list and goes at once.
 */
#include "desc_wire.h"
#include "loader.h"
#include "loader_desc.h"
#include "mem.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct weir__desc_copy {
	struct weir_plugin_desc desc;
	void **blocks;
	size_t count, room;
	bool oom;
};

enum column_type { COL_TEXT, COL_U32, COL_U64, COL_DOUBLE, COL_CALLBACK, COL_OBJECT, COL_TABLE, COL_DOUBLES };

struct column {
	const char *name;
	enum column_type type;
	size_t offset;
	enum weir__table_id rows; /* TABLE */
	size_t count_offset;      /* DOUBLES: of their number, an uint32_t */
};

#define C(s, m, t)      { #m, COL_##t, offsetof(struct s, m), 0, 0 }
#define T(s, m, id)     { #m, COL_TABLE, offsetof(struct s, m), WEIR__TABLE_##id, 0 }
#define D(s, m, count)  { #m, COL_DOUBLES, offsetof(struct s, m), 0, offsetof(struct s, count) }
#define END             { NULL, 0, 0, 0, 0 }

static const struct column option_columns[] = {
	C(weir_option, name, TEXT), C(weir_option, type, U32), C(weir_option, offset, U32),
	C(weir_option, def, TEXT), C(weir_option, doc, TEXT), C(weir_option, unit, TEXT),
	C(weir_option, choices, TEXT), C(weir_option, min, DOUBLE), C(weir_option, max, DOUBLE),
	C(weir_option, flags, U32), C(weir_option, reserved, U32), END };
static const struct column field_columns[] = {
	C(weir_field, name, TEXT), C(weir_field, type, U32), C(weir_field, offset, U32),
	C(weir_field, size, U32), C(weir_field, flags, U32), C(weir_field, unit, TEXT),
	C(weir_field, doc, TEXT), C(weir_field, names, TEXT), END };
static const struct column schema_columns[] = {
	C(weir_schema, name, TEXT), C(weir_schema, topic, TEXT), C(weir_schema, doc, TEXT),
	C(weir_schema, version, U32), C(weir_schema, size, U32), C(weir_schema, priority, U32),
	T(weir_schema, fields, FIELDS), END };
static const struct column metric_columns[] = {
	C(weir_metric, name, TEXT), C(weir_metric, type, U32), C(weir_metric, bucket_count, U32),
	C(weir_metric, unit, TEXT), C(weir_metric, help, TEXT), C(weir_metric, labels, TEXT),
	D(weir_metric, buckets, bucket_count), END };
static const struct column query_columns[] = {
	C(weir_query, name, TEXT), C(weir_query, doc, TEXT), C(weir_query, content_type, TEXT),
	C(weir_query, mount, TEXT), T(weir_query, args, OPTIONS), C(weir_query, args_size, U32),
	C(weir_query, flags, U32), C(weir_query, answer, CALLBACK), END };
static const struct column program_columns[] = {
	C(weir_program, name, TEXT), C(weir_program, variants, TEXT), C(weir_program, doc, TEXT),
	C(weir_program, flags, U32), C(weir_program, priority, U32), C(weir_program, kinds, U32), END };
static const struct column source_columns[] = {
	C(weir_source, name, TEXT), C(weir_source, doc, TEXT), C(weir_source, quality, TEXT),
	C(weir_source, object, OBJECT), C(weir_source, object_end, OBJECT),
	T(weir_source, programs, PROGRAMS), C(weir_source, start, CALLBACK),
	C(weir_source, tick, CALLBACK), C(weir_source, interval_offset, U32),
	C(weir_source, turn, CALLBACK), END };
static const struct column desc_columns[] = {
	C(weir_plugin_desc, kind, U32), C(weir_plugin_desc, flags, U32),
	C(weir_plugin_desc, state_size, U32), C(weir_plugin_desc, needs, U64),
	C(weir_plugin_desc, name, TEXT), C(weir_plugin_desc, version, TEXT),
	C(weir_plugin_desc, doc, TEXT), C(weir_plugin_desc, topics, TEXT),
	C(weir_plugin_desc, fallback_for, TEXT), T(weir_plugin_desc, options, OPTIONS),
	T(weir_plugin_desc, schemas, SCHEMAS), T(weir_plugin_desc, metrics, METRICS),
	T(weir_plugin_desc, queries, QUERIES), T(weir_plugin_desc, sources, SOURCES),
	C(weir_plugin_desc, init, CALLBACK), C(weir_plugin_desc, fini, CALLBACK),
	C(weir_plugin_desc, start, CALLBACK), C(weir_plugin_desc, stop, CALLBACK),
	C(weir_plugin_desc, collect, CALLBACK), C(weir_plugin_desc, deliver, CALLBACK),
	C(weir_plugin_desc, flush, CALLBACK), C(weir_plugin_desc, check, CALLBACK), END };

static const struct {
	const struct column *columns;
	uint32_t size, max;
} tables[] = {
#define WEIR__COLUMNS_OPTIONS  option_columns
#define WEIR__COLUMNS_SCHEMAS  schema_columns
#define WEIR__COLUMNS_METRICS  metric_columns
#define WEIR__COLUMNS_QUERIES  query_columns
#define WEIR__COLUMNS_SOURCES  source_columns
#define WEIR__COLUMNS_FIELDS   field_columns
#define WEIR__COLUMNS_PROGRAMS program_columns
#define X(id, type, min, max) [WEIR__TABLE_##id] = { WEIR__COLUMNS_##id, sizeof(type), max },
	WEIR__TABLES(X)
#undef X
};

/* ---- out ------------------------------------------------------------------------ */

static json_t *encode_row(const struct column *cols, const char *row);

static json_t *encode_table(const struct weir_table *t, enum weir__table_id id)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < t->count; i++)
		if (json_array_append_new(a, encode_row(tables[id].columns, weir_table_row(t, i)))) {
			json_decref(a);
			return NULL;
		}
	return a;
}

static json_t *encode_doubles(const double *v, uint32_t n)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && v && i < n; i++)
		json_array_append_new(a, json_real(v[i]));
	return a;
}

static json_t *encode_column(const struct column *c, const char *row)
{
	const void *at = row + c->offset;
	const char *text;
	const double *doubles;
	uint32_t u32;
	uint64_t u64;
	double number;
	void *pointer;

	switch (c->type) {
	case COL_TEXT:
		memcpy(&text, at, sizeof text);
		return text ? json_string(text) : json_null();
	case COL_U32:
		memcpy(&u32, at, sizeof u32);
		return json_integer(u32);
	case COL_U64:
		memcpy(&u64, at, sizeof u64);
		return json_integer((json_int_t)u64);
	case COL_DOUBLE:
		memcpy(&number, at, sizeof number);
		return json_real(number);
	case COL_CALLBACK:
	case COL_OBJECT:
		memcpy(&pointer, at, sizeof pointer);
		return json_boolean(pointer);
	case COL_TABLE:
		return encode_table(at, c->rows);
	case COL_DOUBLES:
		memcpy(&doubles, at, sizeof doubles);
		memcpy(&u32, row + c->count_offset, sizeof u32);
		return encode_doubles(doubles, u32);
	}
	return NULL;
}

static json_t *encode_row(const struct column *cols, const char *row)
{
	json_t *o = json_object();

	for (; o && cols->name; cols++)
		if (json_object_set_new(o, cols->name, encode_column(cols, row))) {
			json_decref(o);
			return NULL;
		}
	return o;
}

json_t *weir__desc_encode(const struct weir_plugin_desc *d)
{
	return encode_row(desc_columns, (const char *)d);
}

/* ---- in --------------------------------------------------------------------------- */

static void *keep(struct weir__desc_copy *c, size_t size)
{
	void *block = weir__zalloc(size ? size : 1);

	if (c->count == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		void **more = weir__realloc(c->blocks, room * sizeof *more);

		if (!more) {
			weir__free(block);
			block = NULL;
		} else {
			c->blocks = more;
			c->room = room;
		}
	}
	if (!block)
		c->oom = true;
	else
		c->blocks[c->count++] = block;
	return block;
}

/* In the place of a callback: nobody may call it here. */
static void trap(void)
{
	__builtin_trap();
}

/* In the place of a BPF object: that there is one is all that is known here. */
static const char no_object[64] = "\177ELF";

static bool decode_row(struct weir__desc_copy *c, const struct column *cols, const json_t *o, char *row);

static bool decode_table(struct weir__desc_copy *c, const struct column *col, const json_t *a, char *at)
{
	size_t n = json_array_size(a), size = tables[col->rows].size;
	struct weir_table t = { NULL, (uint32_t)n, (uint32_t)size };
	char *rows;

	if (!json_is_array(a) || n > tables[col->rows].max || !(rows = keep(c, n * size)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!decode_row(c, tables[col->rows].columns, json_array_get(a, i), rows + i * size))
			return false;
	t.rows = n ? rows : NULL;
	memcpy(at, &t, sizeof t);
	return true;
}

static bool decode_text(struct weir__desc_copy *c, const json_t *v, char *at)
{
	const char *s = json_string_value(v);
	char *copy = NULL;

	if (!s && !json_is_null(v))
		return false;
	if (s && !(copy = keep(c, strlen(s) + 1)))
		return false;
	if (s)
		strcpy(copy, s);
	memcpy(at, &copy, sizeof copy);
	return true;
}

static bool decode_doubles(struct weir__desc_copy *c, const json_t *a, char *at)
{
	size_t n = json_array_size(a);
	double *v = n ? keep(c, n * sizeof *v) : NULL;

	for (size_t i = 0; v && i < json_array_size(a); i++)
		v[i] = json_number_value(json_array_get(a, i));
	memcpy(at, &v, sizeof v);
	return v || !n;
}

static bool decode_column(struct weir__desc_copy *c, const struct column *col, const json_t *v, char *row)
{
	char *at = row + col->offset;
	uint32_t u32 = (uint32_t)json_integer_value(v);
	uint64_t u64 = (uint64_t)json_integer_value(v);
	double number = json_number_value(v);
	void (*callback)(void) = json_is_true(v) ? trap : NULL;
	const char *object = no_object;

	switch (col->type) {
	case COL_TEXT:
		return decode_text(c, v, at);
	case COL_U32:
		memcpy(at, &u32, sizeof u32);
		return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= UINT32_MAX;
	case COL_U64:
		memcpy(at, &u64, sizeof u64);
		return json_is_integer(v);
	case COL_DOUBLE:
		memcpy(at, &number, sizeof number);
		return json_is_number(v);
	case COL_CALLBACK:
		memcpy(at, &callback, sizeof callback);
		return json_is_boolean(v);
	case COL_OBJECT:
		object += col->offset == offsetof(struct weir_source, object_end) ? sizeof no_object : 0;
		object = json_is_true(v) ? object : NULL;
		memcpy(at, &object, sizeof object);
		return json_is_boolean(v);
	case COL_TABLE:
		return decode_table(c, col, v, at);
	case COL_DOUBLES:
		memcpy(&u32, row + col->count_offset, sizeof u32);
		return json_array_size(v) == u32 && decode_doubles(c, v, at);
	}
	return false;
}

static bool decode_row(struct weir__desc_copy *c, const struct column *cols, const json_t *o, char *row)
{
	for (; cols->name; cols++)
		if (!decode_column(c, cols, json_object_get(o, cols->name), row))
			return false;
	return true;
}

int weir__desc_decode(const json_t *j, struct weir__desc_copy **ret, char *reason, size_t size)
{
	struct weir__desc_copy *c = weir__zalloc(sizeof *c);
	int rc = -ENOMEM;

	snprintf(reason, size, "out of memory");
	if (c && decode_row(c, desc_columns, j, (char *)&c->desc)) {
		c->desc.desc_size = sizeof c->desc;
		c->desc.abi_major = WEIR_ABI_MAJOR;
		c->desc.abi_minor = WEIR_ABI_MINOR;
		rc = weir__desc_check(&c->desc, reason, size);
	} else if (c && !c->oom) {
		snprintf(reason, size, "its process sent no whole descriptor");
		rc = -EINVAL;
	}
	if (rc)
		weir__desc_copy_free(c);
	else
		*ret = c;
	return rc;
}

const struct weir_plugin_desc *weir__desc_of(const struct weir__desc_copy *c)
{
	return &c->desc;
}

void weir__desc_copy_free(struct weir__desc_copy *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		weir__free(c->blocks[i]);
	weir__free(c->blocks);
	weir__free(c);
}
