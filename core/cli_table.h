/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people: columns as wide as their content, every cell escaped. Without
 * memory a table prints "out of memory" and nothing wrong. One thread.
 */
#ifndef WEIR_CORE_CLI_TABLE_H
#define WEIR_CORE_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* More columns than fit any screen. */
#define WEIR__TABLE_COLUMNS 32

enum weir__paint { WEIR__PLAIN, WEIR__BOLD, WEIR__DIM, WEIR__GREEN, WEIR__YELLOW, WEIR__RED };
const char *weir__paint(bool colour, int paint);

struct weir__cli_table {
	const char *heads[WEIR__TABLE_COLUMNS];
	bool right[WEIR__TABLE_COLUMNS];
	size_t columns, count, room; /* count: cells, notes included */
	struct weir__cell *cells;
	bool oom;
};

/* A column; right: numbers. Before the first cell. */
void weir__table_column(struct weir__cli_table *t, const char *head, bool right);
/* The next cell, row by row. */
__attribute__((format(printf, 3, 4))) void
weir__table_cell(struct weir__cli_table *t, int paint, const char *fmt, ...);
/* A line of its own below the row that has just ended. */
__attribute__((format(printf, 3, 4))) void
weir__table_note(struct weir__cli_table *t, int paint, const char *fmt, ...);
void weir__table_print(const struct weir__cli_table *t, FILE *f, bool colour);
void weir__table_fini(struct weir__cli_table *t);

/* A line on its own, escaped. */
__attribute__((format(printf, 2, 3))) void weir__print_line(FILE *f, const char *fmt, ...);
/* A JSON array of objects as a table; false if it is none. */
bool weir__table_json(const json_t *array, FILE *f, bool colour);

/* Numbers for people; each returns buf. 24 bytes are enough. */
char *weir__text_bytes(double bytes, char *buf, size_t size);   /* "8.4 MiB" */
char *weir__text_seconds(double s, char *buf, size_t size);     /* "2h 3m" */

#endif
