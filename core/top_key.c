/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is typed into a live view: bytes to keys, and what a key does to that of weir top. Bytes
 * of keys it does not know do nothing.
 */
#include "top.h"

#include <string.h>

enum weir__top_key weir__top_key(const char *typed, size_t len, size_t *ret_used)
{
	static const struct {
		const char *bytes;
		enum weir__top_key key;
	} keys[] = {
		{ "\033[A", WEIR__KEY_UP }, { "\033OA", WEIR__KEY_UP }, { "k", WEIR__KEY_UP },
		{ "\033[B", WEIR__KEY_DOWN }, { "\033OB", WEIR__KEY_DOWN }, { "j", WEIR__KEY_DOWN },
		{ "q", WEIR__KEY_QUIT }, { "Q", WEIR__KEY_QUIT }, { "s", WEIR__KEY_SORT },
		{ "S", WEIR__KEY_SORT }, { "r", WEIR__KEY_REVERSE }, { "p", WEIR__KEY_PAUSE },
		{ " ", WEIR__KEY_PAUSE }, { "h", WEIR__KEY_HELP }, { "?", WEIR__KEY_HELP },
		{ "\r", WEIR__KEY_ENTER }, { "\n", WEIR__KEY_ENTER }, { "+", WEIR__KEY_SLOWER },
		{ "-", WEIR__KEY_FASTER }, { "\177", WEIR__KEY_BACK }, { "\b", WEIR__KEY_BACK },
		{ "b", WEIR__KEY_BY }, { "f", WEIR__KEY_FILTER }, { "/", WEIR__KEY_FILTER },
	};
	size_t n = 1;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		n = strlen(keys[i].bytes);
		if (len >= n && !memcmp(typed, keys[i].bytes, n)) {
			*ret_used = n;
			return keys[i].key;
		}
	}
	*ret_used = 1;
	if (len < 2 || *typed != '\033' || (typed[1] != '[' && typed[1] != 'O'))
		return len && *typed == '\033' ? WEIR__KEY_BACK : WEIR__KEY_NONE;
	/* Another key's sequence, to its last byte. */
	for (n = 2; n < len && !(typed[n] >= 0x40 && typed[n] <= 0x7e);)
		n++;
	*ret_used = n < len ? n + 1 : len;
	return WEIR__KEY_NONE;
}

const struct weir__top_row *weir__top_selected(const struct weir__top_view *v,
                                               const struct weir__top_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, v->selected))
			return &rows[i];
	return n ? rows : NULL;
}

/* Select the row `by` away; 0: hold on to the one that is selected. */
static void move(struct weir__top_view *v, int by)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	size_t n = weir__top_rows(v->now, v->before, v->sort, v->reverse, rows);
	const struct weir__top_row *at = weir__top_selected(v, rows, n);

	if (at && by < 0 && at > rows)
		at--;
	else if (at && by > 0 && at + 1 < rows + n)
		at++;
	if (at)
		snprintf(v->selected, sizeof v->selected, "%s", at->name);
}

static void step(struct weir__top_view *v, int by)
{
	if (!v->detail)
		move(v, by);
	else if (by > 0 && v->scroll + 1 < weir__top_detail_lines(v))
		v->scroll++;
	else if (by < 0 && v->scroll)
		v->scroll--;
}

void weir__top_interval(double *interval_s, double factor)
{
	*interval_s *= factor;
	if (*interval_s < WEIR__TOP_INTERVAL_MIN_S)
		*interval_s = WEIR__TOP_INTERVAL_MIN_S;
	if (*interval_s > WEIR__TOP_INTERVAL_MAX_S)
		*interval_s = WEIR__TOP_INTERVAL_MAX_S;
}

bool weir__top_press(struct weir__top_view *v, enum weir__top_key key)
{
	switch (key) {
	case WEIR__KEY_QUIT:    return false;
	case WEIR__KEY_SORT:    v->sort = (v->sort + 1) % WEIR__TOP_SORT_COUNT; break;
	case WEIR__KEY_REVERSE: v->reverse = !v->reverse; break;
	case WEIR__KEY_PAUSE:   v->paused = !v->paused; break;
	case WEIR__KEY_HELP:    v->help = !v->help; break;
	case WEIR__KEY_UP:      step(v, -1); break;
	case WEIR__KEY_DOWN:    step(v, 1); break;
	case WEIR__KEY_FASTER:  weir__top_interval(&v->interval_s, 0.5); break;
	case WEIR__KEY_SLOWER:  weir__top_interval(&v->interval_s, 2); break;
	case WEIR__KEY_ENTER:
		if (!v->help)
			v->detail = !v->detail;
		v->help = false;
		v->scroll = 0;
		move(v, 0);
		break;
	case WEIR__KEY_BACK:
		if (!v->help)
			v->detail = false;
		v->help = false;
		break;
	case WEIR__KEY_BY:      /* a table's */
	case WEIR__KEY_FILTER:
	case WEIR__KEY_NONE: break;
	}
	return true;
}
