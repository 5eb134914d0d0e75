/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame of a live table of answers, and what keys do to it. Whatever is shown comes
 * from outside and goes through top_text.c, which escapes it. Without memory a frame
 * says so (oom).
 */
#include "watch.h"
#include "mem.h"

#include <string.h>

/* ---- the frame ----------------------------------------------------------------------- */

static void put_title(const struct weir__watch *w, struct weir__top_text *t, size_t n)
{
	size_t all = json_array_size(w->now);

	weir__top_put(t, WEIR__BOLD, "%s", w->kind->topic);
	weir__top_put(t, WEIR__PLAIN, "  by %s, from %s%s%s", w->table->by, w->plugin,
	              *w->source ? " " : "", w->source);
	if (w->approx)
		weir__top_put(t, WEIR__YELLOW, " ~");
	weir__top_put(t, WEIR__PLAIN, "  %zu", n);
	if (n < all)
		weir__top_put(t, WEIR__PLAIN, " of %zu", all);
	weir__top_put(t, WEIR__PLAIN, " %s", w->table->rows);
	if (all && all >= w->now_limit)
		weir__top_put(t, WEIR__YELLOW, " (there are more)");
	if (*w->filter)
		weir__top_put(t, WEIR__PLAIN, "  filter: %s", w->filter);
	weir__top_end(t);
}

/* The line between the title and the table. */
static void put_trouble(const struct weir__watch *w, struct weir__top_text *t)
{
	if (w->typing)
		weir__top_line(t, WEIR__BOLD, "filter: %s_   (such as %s; Enter takes it, Esc does not)",
		               w->typed, w->kind->words);
	else if (*w->trouble)
		weir__top_line(t, WEIR__RED, "%s", w->trouble);
	else if (w->paused)
		weir__top_line(t, WEIR__YELLOW, "paused: p goes on");
	else
		weir__top_end(t);
}

static void put_help(const struct weir__watch *w, struct weir__top_text *t)
{
	static const char *const lines[] = {
		"s          sort by the next word          r   reverse the order",
		"b          the next table: by ...         f   filter (also /)",
		"up, down   select a row (also k, j)       p   pause, go on",
		"Enter      all about the selected row     +-  longer, shorter interval",
		"Esc        back                           q   quit",
		"",
		"~   the source cannot know exactly        -   not known",
	};
	char words[128];

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		weir__top_line(t, WEIR__PLAIN, "%s", lines[i]);
	weir__top_line(t, WEIR__PLAIN, "Tables: by %s", weir__watch_bys(w->kind, words, sizeof words));
	weir__top_line(t, WEIR__PLAIN, "Sorted by: %s", weir__watch_sorts(w->table, words, sizeof words));
	if (w->table->counts & WEIR__WATCH_SUMS)
		weir__top_line(t, WEIR__PLAIN, "Of the flows that there are; when one of them ends, "
		               "the rate is not known");
	if (w->table->counts & WEIR__WATCH_ENDS)
		weir__top_line(t, WEIR__PLAIN, "TX/S, RX/S: bytes sent and received by this machine; "
		               "between two sockets of it: from the source, and back");
}

static const struct weir__watch_row *selected_of(const struct weir__watch *w,
                                                 const struct weir__watch_row *rows, size_t n)
{
	char id[WEIR__WATCH_ID_BYTES];

	for (size_t i = 0; i < n; i++) {
		weir__watch_id(w->table, rows[i].o, id, sizeof id);
		if (!strcmp(id, w->selected))
			return &rows[i];
	}
	return n ? rows : NULL;
}

static void put_detail(const struct weir__watch_row *r, struct weir__top_text *t)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)(r ? r->o : NULL), key, v) {
		char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		weir__top_cell(t, WEIR__BOLD, 20, false, "%s", key);
		weir__top_put(t, WEIR__PLAIN, "  %s",
		              text ? text : json_is_string(v) ? json_string_value(v) : "?");
		weir__top_end(t);
		weir__free(text);
	}
}

static void cell_of(const void *column, const void *row, struct weir__top_shown *ret)
{
	const struct weir__watch_column *c = column;

	c->cell(c, row, ret);
}

static void put_table(const struct weir__watch *w, struct weir__top_text *t,
                      const struct weir__watch_row *rows, size_t n)
{
	const struct weir__watch_row *selected = w->plain ? NULL : selected_of(w, rows, n);
	const struct weir__top_table table = { .columns = w->table->columns,
		.column_size = sizeof *w->table->columns, .column_count = w->table->column_count, .spare = 5,
		.rows = rows, .row_size = sizeof *rows, .count = n, .selected = selected, .cell = cell_of };

	if (w->detail && !w->plain)
		put_detail(selected, t);
	else
		weir__top_table(&table, w->plain ? 0 : 1, t);
}

void weir__watch_frame(void *view, struct weir__top_text *t)
{
	const struct weir__watch *w = view;
	struct weir__watch_row *rows = weir__alloc(WEIR__WATCH_ROWS * sizeof *rows);
	char every[24];
	size_t n;

	if (!rows) {
		t->oom = true;
		return;
	}
	n = weir__watch_rows(w, rows);
	put_title(w, t, n);
	put_trouble(w, t);
	if (w->help)
		put_help(w, t);
	else
		put_table(w, t, rows, n);
	weir__free(rows);
	if (w->plain)
		return;
	while (t->lines + 1 < t->rows)
		weir__top_end(t);
	weir__top_put(t, WEIR__DIM, "q quit  s sort: %s%s  b by: %s  f filter  r reverse  p %s  "
	              "Enter %s  h help  +- every %s", w->sort->word, w->reverse ? " up" : "", w->table->by,
	              w->paused ? "go on" : "pause", w->detail ? "back" : "detail",
	              weir__top_time(w->interval_s, every, sizeof every));
	weir__top_end(t);
}

/* ---- keys -------------------------------------------------------------------------------- */

/* What was counted so far is of another table, or of other rows. */
static void forget(struct weir__watch *w)
{
	json_decref(w->now);
	json_decref(w->before);
	w->now = w->before = NULL;
	w->filters++;
}

static enum weir__live_pressed take_filter(struct weir__watch *w)
{
	if (!weir__watch_filter(w->typed, NULL))
		return WEIR__LIVE_STAY; /* the line says what it should look like */
	w->typing = false;
	snprintf(w->filter, sizeof w->filter, "%s", w->typed);
	forget(w);
	return WEIR__LIVE_ASK;
}

/* Into the filter's line. */
static enum weir__live_pressed type(struct weir__watch *w, const char *typed, size_t len,
                                    size_t *ret_used)
{
	enum weir__top_key key = weir__top_key(typed, len, ret_used);
	size_t n = strlen(w->typed);

	if (*ret_used == 1 && (unsigned char)*typed >= ' ' && *typed != 0x7f) {
		if (n + 1 < sizeof w->typed) {
			w->typed[n] = *typed;
			w->typed[n + 1] = 0;
		}
	} else if (key == WEIR__KEY_ENTER) {
		return take_filter(w);
	} else if (*typed == 0x7f || *typed == '\b') {
		while (n && (w->typed[n - 1] & 0xc0) == 0x80) /* a whole character */
			n--;
		w->typed[n ? n - 1 : 0] = 0;
	} else if (key == WEIR__KEY_BACK) {
		w->typing = false;
	}
	return WEIR__LIVE_STAY;
}

static void move(struct weir__watch *w, int by)
{
	struct weir__watch_row *rows = weir__alloc(WEIR__WATCH_ROWS * sizeof *rows);
	size_t n = rows ? weir__watch_rows(w, rows) : 0;
	const struct weir__watch_row *at = rows ? selected_of(w, rows, n) : NULL;

	if (at && by < 0 && at > rows)
		at--;
	else if (at && by > 0 && at + 1 < rows + n)
		at++;
	if (at)
		weir__watch_id(w->table, at->o, w->selected, sizeof w->selected);
	weir__free(rows);
}

static enum weir__live_pressed next_table(struct weir__watch *w)
{
	size_t i = (size_t)(w->table - w->kind->tables);
	const struct weir__watch_sort *same;

	w->table = &w->kind->tables[(i + 1) % w->kind->count];
	same = weir__watch_sort_of(w->table, w->sort->word);
	w->sort = same ? same : w->table->sorts;
	w->detail = false;
	*w->selected = 0;
	forget(w);
	return WEIR__LIVE_ASK;
}

enum weir__live_pressed weir__watch_press(void *view, const char *typed, size_t len,
                                          size_t *ret_used)
{
	struct weir__watch *w = view;
	enum weir__top_key key;

	if (w->typing)
		return type(w, typed, len, ret_used);
	key = weir__top_key(typed, len, ret_used);
	switch (key) {
	case WEIR__KEY_QUIT:    return WEIR__LIVE_QUIT;
	case WEIR__KEY_REVERSE: w->reverse = !w->reverse; return WEIR__LIVE_ASK;
	case WEIR__KEY_PAUSE:   w->paused = !w->paused; break;
	case WEIR__KEY_HELP:    w->help = !w->help; break;
	case WEIR__KEY_UP:      move(w, -1); break;
	case WEIR__KEY_DOWN:    move(w, 1); break;
	case WEIR__KEY_FASTER:  weir__top_interval(&w->interval_s, 0.5); break;
	case WEIR__KEY_SLOWER:  weir__top_interval(&w->interval_s, 2); break;
	case WEIR__KEY_BY:      return next_table(w);
	case WEIR__KEY_SORT:
		w->sort = w->sort + 1 < w->table->sorts + w->table->sort_count ? w->sort + 1 : w->table->sorts;
		return WEIR__LIVE_ASK;
	case WEIR__KEY_FILTER:
		w->typing = true;
		snprintf(w->typed, sizeof w->typed, "%s", w->filter);
		break;
	case WEIR__KEY_ENTER:
		w->detail = !w->help && !w->detail;
		w->help = false;
		move(w, 0);
		break;
	case WEIR__KEY_BACK:
		w->detail = w->help && w->detail;
		w->help = false;
		break;
	case WEIR__KEY_NONE: break;
	}
	return WEIR__LIVE_STAY;
}
