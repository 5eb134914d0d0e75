/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live tables: what a running plugin answers to a query, as rows of fixed columns, with
 * rates from two answers. Pure: text out of JSON, so that tests can look at it. One thread.
 *
 *   live_tables.c   which tables there are: their commands, queries and columns
 *   live_table.c    an answer to lines of text
 *   cmd_live.c      the commands: who has the topic, asking, keys
 */
#ifndef WEIR_CORE_LIVE_TABLE_H
#define WEIR_CORE_LIVE_TABLE_H

#include "top.h"

enum weir__live_kind {
	WEIR__LIVE_TEXT,
	WEIR__LIVE_PROCESS,  /* `field` with `second` (a pid) */
	WEIR__LIVE_ENDPOINT, /* `field` with the port in `second` */
	WEIR__LIVE_COUNT,
	WEIR__LIVE_BYTES,
	WEIR__LIVE_SUM,      /* bytes of `field` and `second` */
	WEIR__LIVE_RATE,     /* growth of `field` per second, in bytes */
	WEIR__LIVE_TIME_NS,
	WEIR__LIVE_AGE_S,
};

struct weir__live_column {
	const char *head;
	enum weir__live_kind kind;
	const char *field, *second;
	unsigned width;
	bool right;
};

#define WEIR__LIVE_COLUMNS 16
struct weir__live_table {
	const char *by;      /* word of --by */
	const char *query;   /* of the plugin */
	const char *arg;     /* "by=process", or NULL */
	const char *id;      /* member that names a row */
	const char *sorts;   /* keys of --sort, the first is the default; separated by a blank */
	struct weir__live_column columns[WEIR__LIVE_COLUMNS];
};

struct weir__live_command {
	const char *name, *topic;
	const struct weir__live_table *tables; /* the first is shown without --by */
	size_t count;
};
const struct weir__live_command *weir__live_command(const char *name);
const struct weir__live_table *weir__live_by(const struct weir__live_command *c, const char *by);
/* "process, peer or port" into buf. */
char *weir__live_words(const struct weir__live_command *c, char *buf, size_t size);
bool weir__live_sorts(const struct weir__live_table *t, const char *key);

/* The table of an answer (an array of objects), with its head. before: the answer of
 * `passed_s` ago, or NULL. Writes at most t->rows lines. */
void weir__live_frame(const struct weir__live_table *table, const json_t *now, const json_t *before,
                     double passed_s, struct weir__top_text *t);

#endif
