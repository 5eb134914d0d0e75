/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's answer as rows: rates from the difference to the answer before, in the
 * order asked for; and the same as JSON. Rows are told apart by the fields their table
 * names. A row that was not in the answer before began since, if that answer was
 * complete; else its rates are not known.
 */
#include "watch.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void weir__watch_id(const struct weir__watch_table *t, const json_t *o, char *buf, size_t size)
{
	const char *at = t->id;
	size_t len = 0;
	char name[64];

	*buf = 0;
	while (*at && len < size) {
		size_t n = strcspn(at, " ");
		const json_t *v;

		snprintf(name, sizeof name, "%.*s", (int)n, at);
		v = json_object_get(o, name);
		/* \n: a field cannot pass for the end of another, as texts come in fields of one line */
		if (json_is_string(v))
			len += (size_t)snprintf(buf + len, size - len, "%s\n", json_string_value(v));
		else if (json_is_number(v))
			len += (size_t)snprintf(buf + len, size - len, "%.17g\n", json_number_value(v));
		else
			len += (size_t)snprintf(buf + len, size - len, "\n");
		at += n + strspn(at + n, " ");
	}
}

static double passed_of(const struct weir__watch *w)
{
	return w->before ? weir__top_passed(w->status, w->status_before) : 0;
}

/* The rows of the answer before by their id. NULL: there are none. */
static json_t *index_of(const struct weir__watch *w)
{
	json_t *index = json_array_size(w->before) ? json_object() : NULL, *o;
	char id[WEIR__WATCH_ID_BYTES];
	size_t i;

	json_array_foreach(w->before, i, o) {
		if (!index || i >= WEIR__WATCH_ROWS)
			break;
		weir__watch_id(w->table, o, id, sizeof id);
		json_object_set(index, id, o);
	}
	return index;
}

/* How much of it came in this time; NAN: not known. A counter that is smaller than
 * before began anew. */
static double grown(const struct weir__watch *w, const json_t *now, const json_t *before,
                    const char *key, double passed)
{
	double n = weir__watch_number(now, key), b = weir__watch_number(before, key);
	bool complete = w->before && json_array_size(w->before) < w->before_limit;
	double age = weir__watch_age(now);

	if (!(passed > 0) || (!before && !complete && !(age <= passed)))
		return NAN;
	if (!before && age > passed)
		return NAN; /* older than that: the filter, or the plugin, let it in only now */
	if (n < b && (w->table->counts & WEIR__WATCH_SUMS))
		return NAN;
	return (n >= b ? n - b : n) / passed;
}

static double sum(double a, double b)
{
	return isnan(a) ? b : isnan(b) ? a : a + b;
}

static void fill(const struct weir__watch *w, struct weir__watch_row *row, const json_t *o,
                 const json_t *before, double passed)
{
	bool server = !strcmp(weir__top_string(o, "direction"), "server");
	double forth = grown(w, o, before, "bytes_total bytes", passed);
	double back = grown(w, o, before, "reverse_bytes_total reverse_bytes", passed);

	row->o = o;
	/* The source is who began; of a server's flows that is the other machine. */
	row->tx = server ? back : forth;
	row->rx = server ? forth : back;
	row->bytes = sum(forth, back);
	row->packets = sum(grown(w, o, before, "packets_total packets", passed),
	                   grown(w, o, before, "reverse_packets_total reverse_packets", passed));
	row->queries = grown(w, o, before, "queries", passed);
}

/* ---- order --------------------------------------------------------------------------- */

/* What is not known is last; ties are in the order of what they are. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct weir__watch_row *x = a, *y = b;
	const struct weir__watch *w = arg;
	const struct weir__watch_sort *s = w->sort;
	char p[WEIR__WATCH_ID_BYTES], q[WEIR__WATCH_ID_BYTES];
	int by = 0;

	if (s->key) {
		double m = s->key(x, s->field), n = s->key(y, s->field);

		if (isnan(m) != isnan(n))
			return isnan(m) ? 1 : -1;
		by = m > n ? -1 : m < n ? 1 : 0;
	} else {
		const char *m = weir__watch_text(x->o, s->field), *n = weir__watch_text(y->o, s->field);

		if (!*m != !*n)
			return *m ? -1 : 1;
		by = strcmp(m, n);
	}
	if (by)
		return w->reverse ? -by : by;
	if (s->key) { /* without rates yet: what has moved most */
		double m = weir__watch_both(x->o, WEIR__WATCH_TOTAL("bytes"));
		double n = weir__watch_both(y->o, WEIR__WATCH_TOTAL("bytes"));

		by = m > n ? -1 : m < n ? 1 : 0;
	}
	if (by)
		return by;
	weir__watch_id(w->table, x->o, p, sizeof p);
	weir__watch_id(w->table, y->o, q, sizeof q);
	return strcmp(p, q);
}

size_t weir__watch_rows(const struct weir__watch *w, struct weir__watch_row *rows)
{
	double passed = passed_of(w);
	json_t *index = passed > 0 ? index_of(w) : NULL, *o;
	char id[WEIR__WATCH_ID_BYTES];
	size_t i, n = 0;

	/* Rows that were there before have lost their past with the index: no rates then. */
	if (json_array_size(w->before) && !index)
		passed = 0;
	json_array_foreach(w->now, i, o) {
		const json_t *before = NULL;

		if (!json_is_object(o) || n == WEIR__WATCH_ROWS)
			continue;
		if (index) {
			weir__watch_id(w->table, o, id, sizeof id);
			before = json_object_get(index, id);
		}
		fill(w, &rows[n++], o, before, passed);
	}
	qsort_r(rows, n, sizeof *rows, compare, (void *)(uintptr_t)w);
	json_decref(index); /* rows point into the answers, not into this */
	return w->limit && n > w->limit ? w->limit : n;
}

/* ---- for programs ---------------------------------------------------------------------- */

static void put(json_t *o, const char *key, double v)
{
	json_object_set_new(o, key, isfinite(v) ? json_real(v) : json_null());
}

/* The plugin's own row, and the rates. */
static json_t *row_json(const struct weir__watch_table *t, const struct weir__watch_row *r)
{
	json_t *o = json_copy((json_t *)(uintptr_t)r->o);

	if (t->counts & WEIR__WATCH_ENDS) {
		put(o, "tx_bytes_per_s", r->tx);
		put(o, "rx_bytes_per_s", r->rx);
	}
	if (t->counts & WEIR__WATCH_BYTES) {
		put(o, "bytes_per_s", r->bytes);
		put(o, "packets_per_s", r->packets);
	}
	if (t->counts & WEIR__WATCH_QUERIES)
		put(o, "queries_per_s", r->queries);
	return o;
}

json_t *weir__watch_json(void *view)
{
	struct weir__watch_row *rows = weir__alloc(WEIR__WATCH_ROWS * sizeof *rows);
	const struct weir__watch *w = view;
	json_t *o = json_object(), *a = json_array();
	double passed = passed_of(w);
	size_t n = rows ? weir__watch_rows(w, rows) : 0;

	json_object_set_new(o, "plugin", json_string(w->plugin));
	json_object_set_new(o, "source", *w->source ? json_string(w->source) : json_null());
	json_object_set_new(o, "quality", json_string(w->approx ? "approx" : ""));
	put(o, "uptime_s", weir__top_number(w->status, "uptime_s"));
	put(o, "passed_s", passed > 0 ? passed : NAN);
	json_object_set_new(o, "by", json_string(w->table->by));
	json_object_set_new(o, "sort", json_string(w->sort->word));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, row_json(w->table, &rows[i]));
	json_object_set_new(o, w->table->rows, a);
	/* Without memory: better nothing than a list with a row left out. */
	if (!rows || !o || json_array_size(a) != n || !json_object_get(o, w->table->rows)) {
		json_decref(o);
		o = NULL;
	}
	weir__free(rows);
	return o;
}
