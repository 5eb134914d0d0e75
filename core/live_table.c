/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's answer as lines of text: see live_table.h. */
#include "live_table.h"

#include <math.h>
#include <string.h>

/* The row of the answer before with this id: the same place first, as most are. */
static const json_t *row_before(const struct weir__live_table *table, const json_t *before,
                                const json_t *row, size_t at)
{
	const json_t *id = json_object_get(row, table->id), *other;
	size_t n = json_array_size(before);

	if (!id)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		other = json_array_get(before, (at + i) % n);
		if (json_equal(json_object_get(other, table->id), id))
			return other;
	}
	return NULL;
}

/* A member as text, into buf; numbers are printed as such. */
static const char *text_of(const json_t *row, const char *key, char *buf, size_t size)
{
	const json_t *v = key ? json_object_get(row, key) : NULL;

	if (json_is_string(v))
		return json_string_value(v);
	*buf = 0;
	if (json_is_integer(v))
		snprintf(buf, size, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(buf, size, "%g", json_real_value(v));
	return buf;
}

static void put_pair(const struct weir__live_column *c, const json_t *row, struct weir__top_text *t)
{
	char a[32], b[32];
	const char *first = text_of(row, c->field, a, sizeof a), *second = text_of(row, c->second, b, sizeof b);
	bool six = strchr(first, ':') != NULL;

	if (c->kind == WEIR__LIVE_PROCESS)
		weir__top_cell(t, WEIR__PLAIN, c->width, c->right, "%s%s%s", *second ? second : "-",
		               *first ? " " : "", first);
	else
		weir__top_cell(t, WEIR__PLAIN, c->width, c->right, "%s%s%s%s%s", six ? "[" : "", first,
		               six ? "]" : "", *second ? ":" : "", second);
}

static double rate(const struct weir__live_column *c, const json_t *row, const json_t *old, double passed_s)
{
	double now = weir__top_number(row, c->field), then = old ? weir__top_number(old, c->field) : NAN;

	/* A row that is new has no rate yet; one that fell back is another one. */
	return passed_s > 0 && now >= then ? (now - then) / passed_s : NAN;
}

static void put_cell(const struct weir__live_column *c, const json_t *row, const json_t *old,
                     double passed_s, struct weir__top_text *t)
{
	double v = weir__top_number(row, c->field), second;
	char buf[32];

	switch (c->kind) {
	case WEIR__LIVE_PROCESS:
	case WEIR__LIVE_ENDPOINT:
		put_pair(c, row, t);
		return;
	case WEIR__LIVE_TEXT:
		weir__top_cell(t, WEIR__PLAIN, c->width, c->right, "%s", text_of(row, c->field, buf, sizeof buf));
		return;
	case WEIR__LIVE_COUNT:
		weir__top_rate(v, buf, sizeof buf);
		break;
	case WEIR__LIVE_SUM:
		second = weir__top_number(row, c->second);
		weir__top_bytes(isnan(second) ? v : v + second, buf, sizeof buf);
		break;
	case WEIR__LIVE_BYTES:
		weir__top_bytes(v, buf, sizeof buf);
		break;
	case WEIR__LIVE_RATE:
		weir__top_bytes(rate(c, row, old, passed_s), buf, sizeof buf);
		break;
	case WEIR__LIVE_TIME_NS:
		weir__top_time(v > 0 ? v / 1e9 : NAN, buf, sizeof buf);
		break;
	case WEIR__LIVE_AGE_S:
		weir__top_time(v, buf, sizeof buf);
		break;
	}
	weir__top_cell(t, WEIR__PLAIN, c->width, c->right, "%s", buf);
}

void weir__live_frame(const struct weir__live_table *table, const json_t *now, const json_t *before,
                     double passed_s, struct weir__top_text *t)
{
	const struct weir__live_column *c;
	const json_t *row, *old;
	size_t i;

	for (c = table->columns; c < table->columns + WEIR__LIVE_COLUMNS && c->head; c++) {
		weir__top_put(t, WEIR__PLAIN, "%s", c == table->columns ? "" : " ");
		weir__top_cell(t, WEIR__BOLD, c->width, c->right, "%s", c->head);
	}
	weir__top_end(t);
	json_array_foreach(now, i, row) {
		if (t->lines >= t->rows)
			break;
		old = row_before(table, before, row, i);
		for (c = table->columns; c < table->columns + WEIR__LIVE_COLUMNS && c->head; c++) {
			weir__top_put(t, WEIR__PLAIN, "%s", c == table->columns ? "" : " ");
			put_cell(c, row, old, passed_s, t);
		}
		weir__top_end(t);
	}
	if (!json_array_size(now))
		weir__top_line(t, WEIR__DIM, "nothing so far");
}
