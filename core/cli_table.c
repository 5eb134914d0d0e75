/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and numbers for people. Cells are kept until all widths are known, then
 * printed once. Widths count characters, not bytes: names may be UTF-8.
 */
#include "cli_table.h"
#include "format.h"
#include "mem.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* A cell is a name, a number or a reason; what is longer is cut. */
#define CELL_BYTES 1024
#define HEAD_CHARS 40

struct weir__cell {
	char *text;
	int paint;
	bool note;
};

const char *weir__paint(bool colour, int paint)
{
	static const char *const codes[] = { "\033[0m", "\033[1m", "\033[2m", "\033[32m",
		                             "\033[33m", "\033[31m" };

	return colour ? codes[paint] : "";
}

void weir__table_column(struct weir__cli_table *t, const char *head, bool right)
{
	if (t->columns == WEIR__TABLE_COLUMNS)
		return;
	t->heads[t->columns] = head;
	t->right[t->columns++] = right;
}

__attribute__((format(printf, 4, 0))) static void
add(struct weir__cli_table *t, bool note, int paint, const char *fmt, va_list ap)
{
	char raw[CELL_BYTES], text[4 * CELL_BYTES];
	struct weir__cell *p;

	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;

		p = weir__realloc(t->cells, room * sizeof *p);
		if (!p) {
			t->oom = true;
			return;
		}
		t->cells = p;
		t->room = room;
	}
	vsnprintf(raw, sizeof raw, fmt, ap);
	weir__escape(raw, sizeof raw, text, sizeof text);
	p = &t->cells[t->count];
	p->text = weir__strdup(text);
	p->paint = paint;
	p->note = note;
	if (p->text)
		t->count++;
	else
		t->oom = true;
}

void weir__table_cell(struct weir__cli_table *t, int paint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(t, false, paint, fmt, ap);
	va_end(ap);
}

void weir__table_note(struct weir__cli_table *t, int paint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(t, true, paint, fmt, ap);
	va_end(ap);
}

static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(FILE *f, const char *text, int w, bool right, bool last,
                       bool colour, int paint)
{
	int pad = w - width(text);

	if (right && pad > 0)
		fprintf(f, "%*s", pad, "");
	if (paint != WEIR__PLAIN)
		fputs(weir__paint(colour, paint), f);
	fputs(text, f);
	if (paint != WEIR__PLAIN)
		fputs(weir__paint(colour, WEIR__PLAIN), f);
	if (last)
		fputc('\n', f);
	else
		fprintf(f, "%*s", (right || pad < 0 ? 0 : pad) + 2, "");
}

void weir__table_print(const struct weir__cli_table *t, FILE *f, bool colour)
{
	char heads[WEIR__TABLE_COLUMNS][4 * HEAD_CHARS + 1];
	int widths[WEIR__TABLE_COLUMNS] = { 0 };
	size_t column = 0;

	if (t->oom || !t->columns) {
		fputs(t->oom ? "out of memory\n" : "", f);
		return;
	}
	for (size_t i = 0; i < t->columns; i++) {
		weir__escape(t->heads[i], HEAD_CHARS, heads[i], sizeof heads[i]);
		widths[i] = width(heads[i]);
	}
	for (size_t i = 0; i < t->count; i++) {
		int w = width(t->cells[i].text);

		if (t->cells[i].note)
			continue;
		if (w > widths[column])
			widths[column] = w;
		column = (column + 1) % t->columns;
	}
	for (size_t i = 0; i < t->columns; i++)
		print_cell(f, heads[i], widths[i], t->right[i], i + 1 == t->columns, colour, WEIR__BOLD);
	column = 0;
	for (size_t i = 0; i < t->count; i++) {
		const struct weir__cell *c = &t->cells[i];

		if (c->note) {
			fprintf(f, "    %s%s%s\n", weir__paint(colour, c->paint), c->text,
			        weir__paint(colour, WEIR__PLAIN));
			continue;
		}
		print_cell(f, c->text, widths[column], t->right[column], column + 1 == t->columns,
		           colour, c->paint);
		column = (column + 1) % t->columns;
	}
}

void weir__table_fini(struct weir__cli_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		weir__free(t->cells[i].text);
	weir__free(t->cells);
	memset(t, 0, sizeof *t);
}

void weir__print_line(FILE *f, const char *fmt, ...)
{
	char raw[CELL_BYTES], text[4 * CELL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	weir__escape(raw, sizeof raw, text, sizeof text);
	fprintf(f, "%s\n", text);
}

/* ---- JSON ----------------------------------------------------------------------- */

static void json_cell(struct weir__cli_table *t, const json_t *v)
{
	if (!v || json_is_null(v)) {
		weir__table_cell(t, WEIR__DIM, "-");
	} else if (json_is_string(v)) {
		weir__table_cell(t, WEIR__PLAIN, "%s", json_string_value(v));
	} else if (json_is_real(v)) {
		weir__table_cell(t, WEIR__PLAIN, "%.6g", json_real_value(v));
	} else {
		char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		weir__table_cell(t, WEIR__PLAIN, "%s", text ? text : "?");
		weir__free(text);
	}
}

static bool has_column(const struct weir__cli_table *t, const char *head)
{
	for (size_t c = 0; c < t->columns; c++)
		if (!strcmp(t->heads[c], head))
			return true;
	return false;
}

bool weir__table_json(const json_t *array, FILE *f, bool colour)
{
	struct weir__cli_table t = { 0 };
	const char *key;
	json_t *v;
	size_t i, n = json_array_size(array);

	if (!n)
		return false;
	for (i = 0; i < n; i++)
		if (!json_is_object(json_array_get(array, i)))
			return false;
	/* A column for each member that any of them has, in the order they come. */
	for (i = 0; i < n; i++)
		json_object_foreach(json_array_get(array, i), key, v)
			if (!has_column(&t, key))
				weir__table_column(&t, key, json_is_number(v));
	for (i = 0; i < n; i++)
		for (size_t c = 0; c < t.columns; c++)
			json_cell(&t, json_object_get(json_array_get(array, i), t.heads[c]));
	weir__table_print(&t, f, colour);
	weir__table_fini(&t);
	return true;
}

/* ---- numbers --------------------------------------------------------------------- */

char *weir__text_bytes(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t u = 0;

	while (fabs(bytes) >= 1024 && u + 1 < sizeof units / sizeof units[0]) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, size, "%.*f %s", u && bytes < 100 ? 1 : 0, bytes, units[u]);
	return buf;
}

char *weir__text_seconds(double s, char *buf, size_t size)
{
	unsigned long n = s > 0 && s < 1e12 ? (unsigned long)s : 0;

	if (n < 60)
		snprintf(buf, size, "%lus", n);
	else if (n < 3600)
		snprintf(buf, size, "%lum %lus", n / 60, n % 60);
	else if (n < 86400)
		snprintf(buf, size, "%luh %lum", n / 3600, n / 60 % 60);
	else
		snprintf(buf, size, "%lud %luh", n / 86400, n / 3600 % 24);
	return buf;
}
