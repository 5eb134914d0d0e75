/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of what a plugin answers, live: weir flows, weir dns. Who answers is found in
 * the daemon's status: whichever running plugin gives the topic and has the query.
 *
 *   watch_ask.c     which plugin, which arguments; taking its answer
 *   watch_row.c     an answer as rows: rates against the answer before, order, JSON
 *   watch_cell.c    what is in a cell
 *   watch_tables.c  the tables: columns, what they are sorted by, their queries
 *   watch_frame.c   a frame, and what keys do
 *   cmd_watch.c     the commands
 *
 * Nothing of an answer is trusted to be there or to be of its type. One thread.
 */
#ifndef WEIR_CORE_WATCH_H
#define WEIR_CORE_WATCH_H

#include "live.h"
#include "top.h"

/* More than a screen holds many times over; a plugin answers in milliseconds still. */
#define WEIR__WATCH_ROWS 1000
/* What a plugin cannot sort by is sorted here, of this many rows: a record of a flow is
 * 2 KiB of JSON, so that a second's answer is half a MiB. */
#define WEIR__WATCH_SAMPLE 250
/* As many are shown on paper, unless --limit says so. */
#define WEIR__WATCH_LIMIT 100
/* Fields that tell one row from another, as text. */
#define WEIR__WATCH_ID_BYTES 320
#define WEIR__WATCH_FILTER_BYTES 256

/* Numbers that are not known are NAN. */
struct weir__watch_row {
	const json_t *o;
	double tx, rx;  /* bytes per second, as this machine sees it */
	double bytes;   /* per second, both directions */
	double packets; /* the same */
	double queries; /* per second */
};

struct weir__watch_column {
	struct weir__top_column layout;
	void (*cell)(const struct weir__watch_column *c, const struct weir__watch_row *r,
	             struct weir__top_shown *ret);
	const char *field; /* of the answer; "a b": a, else b */
};

struct weir__watch_sort {
	const char *word;
	double (*key)(const struct weir__watch_row *r, const char *field); /* NULL: as text, ascending */
	const char *field;
	const char *asked; /* what to ask the plugin to sort by, if it can: best first; or NULL */
	bool exact;        /* the first of those is the same order */
};

/* What is counted. ENDS: tx and rx apart. SUMS: of what is there now, so that it shrinks
 * when a part of it goes; a flow's own counter that shrinks began anew. */
enum weir__watch_counts {
	WEIR__WATCH_BYTES = 1, WEIR__WATCH_QUERIES = 2, WEIR__WATCH_ENDS = 4, WEIR__WATCH_SUMS = 8,
};

struct weir__watch_table {
	const char *by;    /* the word of --by */
	const char *query, *argument; /* argument: "by=peer", or NULL */
	const char *rows;  /* what the rows are: "flows" */
	const char *id;    /* fields, one after the other */
	unsigned counts;   /* enum weir__watch_counts: what rates there are */
	const struct weir__watch_column *columns;
	size_t column_count;
	const struct weir__watch_sort *sorts; /* the first one is the default */
	size_t sort_count;
};

struct weir__watch_kind {
	const char *topic;
	const char *words; /* an example of a filter */
	const struct weir__watch_table *tables; /* the first one is the default */
	size_t count;
};
extern const struct weir__watch_kind weir__watch_flows, weir__watch_dns;

struct weir__watch {
	const struct weir__watch_kind *kind;
	const struct weir__watch_table *table, *asked; /* asked: what the request was about */
	const struct weir__watch_sort *sort;
	json_t *status, *status_before; /* of the moment of each answer */
	json_t *now, *before;           /* arrays, or NULL */
	json_t *next_status;            /* of the round that is under way */
	size_t asked_limit, now_limit, before_limit;
	char plugin[32], source[32];
	const char *trouble;
	double interval_s;
	double looks_s;       /* how often the plugin's source looks: rates are over no less */
	size_t limit; /* 0: not given */
	bool approx, reverse, paused, help, detail, plain;
	/* Names of plugin files that give the topic, for a hint: asked for once. Or NULL. */
	void (*look)(const char *topic, char *buf, size_t size);
	char could[128];
	char filter[WEIR__WATCH_FILTER_BYTES], typed[WEIR__WATCH_FILTER_BYTES];
	bool typing;            /* a filter */
	unsigned asked_filter, filters; /* which one: counts up */
	char selected[WEIR__WATCH_ID_BYTES];
};

/* ---- asking; as weir__live_ops */
json_t *weir__watch_request(void *w, unsigned step);
int weir__watch_take(void *w, unsigned step, json_t *answer, char *why, size_t size);
/* "process=x port=443" as words appended to ret, unless that is NULL; false: it is none. */
bool weir__watch_filter(const char *text, json_t *ret);
void weir__watch_fini(struct weir__watch *w);

/* ---- tables */
const struct weir__watch_table *weir__watch_by(const struct weir__watch_kind *k, const char *word);
const struct weir__watch_sort *weir__watch_sort_of(const struct weir__watch_table *t, const char *word);
/* "a, b or c" into buf; returns it. */
char *weir__watch_sorts(const struct weir__watch_table *t, char *buf, size_t size);
char *weir__watch_bys(const struct weir__watch_kind *k, char *buf, size_t size);

/* ---- rows */
/* A member by "a b": a, else b; NAN, "" if it is missing or of another type. */
double weir__watch_number(const json_t *o, const char *field);
/* Seconds since it began, as its plugin says, or by this machine's clock. */
double weir__watch_age(const json_t *o);
/* A counter and its reverse together, by their fields; what is missing counts nothing. */
double weir__watch_both(const json_t *o, const char *forth, const char *back);
#define WEIR__WATCH_TOTAL(of) of "_total " of, "reverse_" of "_total reverse_" of
const char *weir__watch_text(const json_t *o, const char *field);
void weir__watch_id(const struct weir__watch_table *t, const json_t *o, char *buf, size_t size);
/* Sorted; at most WEIR__WATCH_ROWS, and at most as many as --limit. */
size_t weir__watch_rows(const struct weir__watch *w, struct weir__watch_row *rows);
json_t *weir__watch_json(void *w);

/* ---- frames and keys; as weir__live_ops */
void weir__watch_frame(void *w, struct weir__top_text *t);
enum weir__live_pressed weir__watch_press(void *w, const char *typed, size_t len, size_t *ret_used);

/* ---- cells */
typedef void weir__watch_cell(const struct weir__watch_column *c, const struct weir__watch_row *r,
                              struct weir__top_shown *ret);
weir__watch_cell weir__cell_text, weir__cell_transport, weir__cell_talker, weir__cell_state,
	weir__cell_process, weir__cell_source,
	weir__cell_destination, weir__cell_number, weir__cell_bytes, weir__cell_ns, weir__cell_age,
	weir__cell_tx, weir__cell_rx, weir__cell_rate, weir__cell_packets, weir__cell_queries,
	weir__cell_both, weir__cell_both_packets, weir__cell_bad, weir__cell_outcome, weir__cell_when;

#endif
