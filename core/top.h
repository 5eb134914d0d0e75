/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top, the part without a terminal: from two answers to "status" to lines of
 * text. Pure: what is shown depends on nothing but the view, so that tests can look
 * at it. One thread.
 *
 *   top_row.c     an answer's plugins as rows of numbers: rates, sorting, JSON
 *   top_text.c    lines of at most the terminal's width, nothing but harmless text
 *   top_table.c   a table that gives way to a narrow terminal
 *   top_frame.c   one frame: the head and the table
 *   top_detail.c  one frame: all about one plugin
 *   top_key.c     what a key is, and what it does to the view
 *   top_term.c    the terminal: raw mode and back, its size, painting
 *   live.c        asking the daemon, painting, keys: the loop of every live view
 *   cmd_top.c     the command
 */
#ifndef WEIR_CORE_TOP_H
#define WEIR_CORE_TOP_H

#include "cli_table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- rows ---------------------------------------------------------------------- */

/* What one can sort by: id, word, what it means. Names ascend, numbers descend. */
#define WEIR__TOP_SORTS(X)                                                     \
	X(CPU,      "cpu",      "CPU time, user and kernel together")          \
	X(EVENTS,   "events",   "events per second")                           \
	X(DROPS,    "drops",    "drops per second")                            \
	X(MEMORY,   "memory",   "memory")                                      \
	X(QUEUE,    "queue",    "fill of the fullest queue")                   \
	X(LATENCY,  "latency",  "99th percentile of an output's latency")      \
	X(PRESSURE, "pressure", "how near to its budget")                      \
	X(NAME,     "name",     "name")

enum weir__top_sort {
#define X(id, ...) WEIR__TOP_##id,
	WEIR__TOP_SORTS(X)
#undef X
	WEIR__TOP_SORT_COUNT
};
const char *weir__top_sort_name(enum weir__top_sort s);
int weir__top_sort_find(const char *name); /* -1: none; "" and prefixes are none */

/* More plugins than a daemon loads; further ones are not shown. */
#define WEIR__TOP_ROWS 256

/* One plugin. A number that is not known is NAN, a text that is not known "". Points
 * into the answer. */
struct weir__top_row {
	const json_t *plugin;
	const char *name, *state, *source, *drop_reason, *breaker, *isolation;
	double events, drops;       /* per second */
	double user, kernel;        /* percent of a core */
	double memory, rss, pid;    /* memory: heap, maps and rings */
	double queue, queue_bytes;  /* queue: 0 to 1, the fullest */
	double p50, p99;            /* seconds */
	double pressure, sampling;  /* pressure: used / limit, the worst */
	bool approx;
};

/* From `now`; what counts from zero is compared with `before`, which may be NULL or
 * of another daemon. At most WEIR__TOP_ROWS rows, sorted; returns how many. */
size_t weir__top_rows(const json_t *now, const json_t *before, enum weir__top_sort sort,
                      bool reverse, struct weir__top_row *rows);
/* Seconds between the two, 0 if they cannot be compared. */
double weir__top_passed(const json_t *now, const json_t *before);
/* The frame for programs. NULL without memory. */
json_t *weir__top_json(const json_t *now, const json_t *before, enum weir__top_sort sort,
                       bool reverse);

/* Members of an object: NAN, "" if missing or null. */
double weir__top_number(const json_t *o, const char *key);
const char *weir__top_string(const json_t *o, const char *key);
double weir__top_sum(const json_t *dropped, bool wanted_too);

/* ---- text ----------------------------------------------------------------------- */

/* Lines, each ended by \n. */
struct weir__top_text {
	unsigned columns, rows; /* no line longer, no more lines */
	bool colour, inverted;
	char *text;             /* weir__free */
	size_t len, room;
	unsigned column, lines; /* of the line that is being written */
	bool oom;
};

/* Append to the line, escaped, and cut at its end. */
__attribute__((format(printf, 3, 4))) void
weir__top_put(struct weir__top_text *t, int paint, const char *fmt, ...);
/* The same in a field of `width` columns. */
__attribute__((format(printf, 5, 6))) void
weir__top_cell(struct weir__top_text *t, int paint, unsigned width, bool right,
               const char *fmt, ...);
void weir__top_end(struct weir__top_text *t);
/* A whole line. */
__attribute__((format(printf, 3, 4))) void
weir__top_line(struct weir__top_text *t, int paint, const char *fmt, ...);
/* From here to the end of the line: inverted. */
void weir__top_invert(struct weir__top_text *t);
/* Columns that a string takes on a terminal, once escaped; rather too many. */
unsigned weir__top_width(const char *s);
void weir__top_text_fini(struct weir__top_text *t);

/* Short numbers; each returns buf, "-" for NAN. 16 bytes are enough. */
char *weir__top_rate(double v, char *buf, size_t size);     /* "12.3k" */
char *weir__top_percent(double v, char *buf, size_t size);  /* "0.31%" */
char *weir__top_bytes(double v, char *buf, size_t size);    /* "12.3 MiB" */
char *weir__top_time(double s, char *buf, size_t size);     /* "1.2ms" */

/* ---- tables ---------------------------------------------------------------------- */

#define WEIR__TOP_CELL_BYTES 128

/* What is in a cell; "-": not known. */
struct weir__top_shown {
	char text[WEIR__TOP_CELL_BYTES];
	int paint;
};

struct weir__top_column {
	const char *head;
	unsigned least, most; /* columns of the terminal */
	bool right;
	unsigned rank; /* the highest goes first when the terminal is too narrow */
};

struct weir__top_table {
	const void *columns; /* in the order shown; each begins with its weir__top_column */
	size_t column_size, column_count; /* at most WEIR__TABLE_COLUMNS */
	unsigned spare;      /* from this rank on a column that says nothing is left out */
	const void *rows;
	size_t row_size, count;
	const void *selected; /* one of the rows, or NULL */
	void (*cell)(const void *column, const void *row, struct weir__top_shown *ret);
};
/* Heads and rows, but for the last `foot` lines of t; the selected one among them. */
void weir__top_table(const struct weir__top_table *table, unsigned foot, struct weir__top_text *t);

/* ---- frames ---------------------------------------------------------------------- */

/* A plugin's name: 31 characters. */
#define WEIR__TOP_NAME_BYTES 32

struct weir__top_view {
	const json_t *now, *before; /* before: NULL at first */
	const char *trouble;        /* "": the daemon answers */
	double interval_s;
	enum weir__top_sort sort;
	bool reverse, paused, help, detail;
	bool plain;                 /* one frame on paper: no keys, no selection */
	char selected[WEIR__TOP_NAME_BYTES];
	unsigned scroll;            /* lines of the detail passed over */
};

/* The row that is selected: the first if none is, or if that plugin is gone. */
const struct weir__top_row *weir__top_selected(const struct weir__top_view *v,
                                               const struct weir__top_row *rows, size_t n);
/* Write the frame into t, of at most t->rows lines. */
void weir__top_frame(const struct weir__top_view *v, struct weir__top_text *t);
/* The part of it that is about one plugin, from line v->scroll on. */
void weir__top_detail(const struct weir__top_view *v, struct weir__top_text *t);
unsigned weir__top_detail_lines(const struct weir__top_view *v);

/* ---- keys ------------------------------------------------------------------------ */

enum weir__top_key {
	WEIR__KEY_NONE, WEIR__KEY_QUIT, WEIR__KEY_SORT, WEIR__KEY_REVERSE, WEIR__KEY_PAUSE,
	WEIR__KEY_HELP, WEIR__KEY_UP, WEIR__KEY_DOWN, WEIR__KEY_ENTER, WEIR__KEY_BACK,
	WEIR__KEY_FASTER, WEIR__KEY_SLOWER, WEIR__KEY_BY, WEIR__KEY_FILTER,
};
/* The first key of what was typed; *ret_used bytes of it. */
enum weir__top_key weir__top_key(const char *typed, size_t len, size_t *ret_used);
/* What a key does to the view; false: quit. */
bool weir__top_press(struct weir__top_view *v, enum weir__top_key key);

/* Asking costs the daemon a millisecond; more often than this nobody can read. */
#define WEIR__TOP_INTERVAL_MIN_S 0.1
#define WEIR__TOP_INTERVAL_MAX_S 3600.0
void weir__top_interval(double *interval_s, double factor);

/* ---- the terminal ------------------------------------------------------------------ */

/* Can this be a live view? Input and output are a terminal that knows how. */
bool weir__top_term_able(void);
/* Raw mode, the other screen, no cursor. Whatever ends the process undoes it, but
 * SIGKILL. 0 or -errno. */
int weir__top_term_enter(void);
void weir__top_term_leave(void); /* idempotent */
void weir__top_term_size(unsigned *ret_rows, unsigned *ret_columns);
/* Paint the frame over the last one. false: the terminal is gone. */
bool weir__top_term_paint(const struct weir__top_text *t);

#endif
