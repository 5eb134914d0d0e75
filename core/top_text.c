/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for a terminal: escaped, cut at its width, as many as it has rows; and short
 * numbers. Without memory the text stops growing and says so (oom).
 *
 * A character counts as two columns where it might be shown as two: rather too short
 * a line than one that wraps.
 */
#include "top.h"
#include "format.h"
#include "format_text.h"
#include "mem.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* A cell is a name, a number or a reason; what is longer is cut. */
#define CELL_BYTES 512
/* 200 rows of 500 columns with colours; what is more would be no terminal. */
#define TEXT_MAX (1u << 20)

static void append(struct weir__top_text *t, const char *s, size_t n)
{
	size_t need = t->len + n + 1, room = t->room ? t->room : 4096;
	char *p = t->text;

	while (room < need)
		room *= 2;
	if (room > TEXT_MAX)
		return;
	if (room > t->room) {
		p = weir__realloc(t->text, room);
		if (!p) {
			t->oom = true;
			return;
		}
		t->text = p;
		t->room = room;
	}
	memcpy(t->text + t->len, s, n);
	t->len += n;
	t->text[t->len] = 0;
}

static void append_string(struct weir__top_text *t, const char *s)
{
	append(t, s, strlen(s));
}

/* Bytes of the character at s, and its columns. s is escaped: UTF-8, no controls. */
static size_t character(const char *s, unsigned *ret_columns)
{
	uint32_t code = 0;
	size_t n = weir__utf8((const unsigned char *)s, strlen(s), &code);

	/* From U+1100 on there are wide ones (Hangul, CJK, emoji) among narrow ones. */
	*ret_columns = code >= 0x1100 ? 2 : 1;
	return n ? n : 1;
}

unsigned weir__top_width(const char *s)
{
	char text[4 * CELL_BYTES + 1];
	unsigned w = 0, columns;

	weir__escape(s, CELL_BYTES, text, sizeof text);
	for (const char *at = text; *at; w += columns)
		at += character(at, &columns);
	return w;
}

/* The line is full, or there is no line left. */
static bool no_room(const struct weir__top_text *t)
{
	return t->lines >= t->rows || t->column >= t->columns;
}

/* At most `most` columns of raw; returns how many. */
static unsigned put_raw(struct weir__top_text *t, int paint, unsigned most, const char *raw)
{
	char text[4 * CELL_BYTES + 1];
	unsigned columns, done = 0;
	const char *at = text;

	weir__escape(raw, CELL_BYTES, text, sizeof text);
	if (most > t->columns - t->column)
		most = t->columns - t->column;
	while (*at) {
		size_t n = character(at, &columns);

		if (done + columns > most)
			break;
		done += columns;
		at += n;
	}
	if (paint != WEIR__PLAIN && !t->inverted)
		append_string(t, weir__paint(t->colour, paint));
	append(t, text, (size_t)(at - text));
	if (paint != WEIR__PLAIN && !t->inverted)
		append_string(t, weir__paint(t->colour, WEIR__PLAIN));
	t->column += done;
	return done;
}

static void pad(struct weir__top_text *t, unsigned n)
{
	for (; n && !no_room(t); n--, t->column++)
		append(t, " ", 1);
}

__attribute__((format(printf, 3, 0))) static void
put(struct weir__top_text *t, int paint, const char *fmt, va_list ap)
{
	char raw[CELL_BYTES];

	vsnprintf(raw, sizeof raw, fmt, ap);
	put_raw(t, paint, t->columns, raw);
}

void weir__top_put(struct weir__top_text *t, int paint, const char *fmt, ...)
{
	va_list ap;

	if (no_room(t))
		return;
	va_start(ap, fmt);
	put(t, paint, fmt, ap);
	va_end(ap);
}

void weir__top_cell(struct weir__top_text *t, int paint, unsigned width, bool right,
                    const char *fmt, ...)
{
	char raw[CELL_BYTES];
	unsigned is;
	va_list ap;

	if (no_room(t))
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	is = weir__top_width(raw);
	if (right && is < width)
		pad(t, width - is);
	if (no_room(t))
		return;
	is = put_raw(t, paint, width, raw);
	if (!right && is < width)
		pad(t, width - is);
}

void weir__top_invert(struct weir__top_text *t)
{
	if (!t->colour || no_room(t))
		return;
	append_string(t, "\033[7m");
	t->inverted = true;
}

void weir__top_end(struct weir__top_text *t)
{
	if (t->lines >= t->rows)
		return;
	if (t->inverted) {
		pad(t, t->columns - t->column);
		append_string(t, "\033[0m");
		t->inverted = false;
	}
	while (t->len && t->text[t->len - 1] == ' ')
		t->len--;
	append(t, "\n", 1);
	t->lines++;
	t->column = 0;
}

void weir__top_line(struct weir__top_text *t, int paint, const char *fmt, ...)
{
	va_list ap;

	if (no_room(t))
		return;
	va_start(ap, fmt);
	put(t, paint, fmt, ap);
	va_end(ap);
	weir__top_end(t);
}

void weir__top_text_fini(struct weir__top_text *t)
{
	weir__free(t->text);
	t->text = NULL;
	t->len = t->room = 0;
}

/* ---- numbers ---------------------------------------------------------------------- */

static char *nothing(char *buf, size_t size)
{
	snprintf(buf, size, "-");
	return buf;
}

char *weir__top_rate(double v, char *buf, size_t size)
{
	static const char *const units[] = { "", "k", "M", "G" };
	size_t u = 0;

	if (!isfinite(v))
		return nothing(buf, size);
	/* Up to 99999 as it is: one sees a digit change. */
	if (fabs(v) < 99999.5) {
		snprintf(buf, size, "%.*f", fabs(v) < 9.95 && v != 0 ? 1 : 0, v);
		return buf;
	}
	while (fabs(v) >= 999.95 && u + 1 < sizeof units / sizeof units[0]) {
		v /= 1000;
		u++;
	}
	snprintf(buf, size, "%.1f%s", v, units[u]);
	return buf;
}

char *weir__top_percent(double v, char *buf, size_t size)
{
	if (!isfinite(v))
		return nothing(buf, size);
	snprintf(buf, size, "%.*f%%", fabs(v) < 9.995 ? 2 : fabs(v) < 99.95 ? 1 : 0, v);
	return buf;
}

char *weir__top_bytes(double v, char *buf, size_t size)
{
	return isfinite(v) ? weir__text_bytes(v, buf, size) : nothing(buf, size);
}

char *weir__top_time(double s, char *buf, size_t size)
{
	static const struct { double below, scale; const char *unit; } units[] = {
		{ 1e-6, 1e9, "ns" }, { 1e-3, 1e6, "us" }, { 1, 1e3, "ms" }, { 60, 1, "s" },
	};

	if (!isfinite(s))
		return nothing(buf, size);
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (s < units[i].below) {
			double v = s * units[i].scale;

			snprintf(buf, size, "%.*f%s", v < 9.95 ? 1 : 0, v, units[i].unit);
			return buf;
		}
	return weir__text_seconds(s, buf, size);
}
