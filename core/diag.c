/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics. Happy path: none are added, nothing is printed. Everything a
 * message quotes comes from outside, so it is cleaned when it is kept: no control
 * byte, no bidirectional override and no broken UTF-8 reaches a terminal.
 *
 * Fails: when memory is short, the diagnostic is lost but `oom` says so; the
 * caller still sees a failure. One thread.
 */
#include "diag.h"
#include "mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* More errors than this help nobody, and a hostile file must not fill memory. */
#define MAX_DIAGS 100
/* So that warnings leave room for the errors behind them. */
#define MAX_BEFORE_WARNING 50
/* Characters of a source line that are shown: two terminal lines. */
#define SOURCE_CHARS 160
/* Characters kept before the caret when the line's start is cut off. */
#define SOURCE_BEFORE 60
/* A message with more bytes than this is cut: it quotes a long key. */
#define MESSAGE_MAX 2048
/* Names are shorter; a longer word is no typing error. */
#define NEAREST_MAX 64

static bool is_override(const unsigned char *s)
{
	if (s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

static size_t sequence_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Bytes of the UTF-8 character at s, 0 if it is broken. s ends with NUL. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = sequence_length(s[0]), i;

	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static bool printable(const unsigned char *s, size_t n)
{
	if (n == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	return n && !(s[0] == 0xc2 && s[1] < 0xa0) && !is_override(s);
}

/* A copy of text with every unprintable byte as \xNN. */
static char *clean(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *out = weir__alloc(4 * strnlen(text, MESSAGE_MAX) + 8), *o = out;
	size_t n;

	if (!out)
		return NULL;
	while (*s && (const char *)s < text + MESSAGE_MAX - 4) {
		n = utf8_length(s);
		if (printable(s, n)) {
			memcpy(o, s, n);
			o += n;
			s += n;
		} else {
			o += sprintf(o, "\\x%02x", *s++);
		}
	}
	strcpy(o, *s ? "..." : "");
	return out;
}

/* Bytes of the line break at s, 0 if there is none: libyaml's idea of it, since
 * libyaml counts the lines. */
static size_t line_break(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] == '\r' && s[1] == '\n')
		return 2;
	if (s[0] == '\r' || s[0] == '\n')
		return 1;
	if (s[0] == 0xc2 && s[1] == 0x85)
		return 2;
	return s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9) ? 3 : 0;
}

static const char *find_line(const char *text, size_t line)
{
	size_t n;

	while (line > 1 && *text) {
		n = line_break(text);
		line -= n > 0;
		text += n ? n : 1;
	}
	return line == 1 ? text : NULL;
}

/* The line as it is shown: one column per character, so that the caret fits. */
static char *copy_source(const char *line, size_t column, size_t *ret_caret)
{
	const unsigned char *s = (const unsigned char *)line;
	size_t skip = column > SOURCE_CHARS - 20 ? column - SOURCE_BEFORE : 0, i, n;
	char *out = weir__alloc(4 * SOURCE_CHARS + 8), *o = out;

	if (!out)
		return NULL;
	if (skip)
		o = stpcpy(o, "...");
	for (i = 0; *s && !line_break((const char *)s) && i < skip + SOURCE_CHARS; i++) {
		n = utf8_length(s);
		if (i >= skip && printable(s, n))
			o = (char *)memcpy(o, s, n) + n;
		else if (i >= skip)
			*o++ = *s == '\t' ? ' ' : '?';
		s += n ? n : 1;
	}
	strcpy(o, i == skip + SOURCE_CHARS ? "..." : "");
	*ret_caret = column - 1 - skip + (skip ? 3 : 0);
	return out;
}

static void item_fini(struct weir__diag *it)
{
	weir__free(it->message);
	weir__free(it->hint);
	weir__free(it->source);
}

/* 0, 1: the same has been said at the same place, -1: no memory. */
static int insert(struct weir__diags *d, const struct weir__diag *it)
{
	struct weir__diag *items;
	size_t i;

	for (i = 0; i < d->count; i++)
		if (d->items[i].at.line == it->at.line &&
		    d->items[i].at.column == it->at.column &&
		    d->items[i].warning == it->warning &&
		    !strcmp(d->items[i].message, it->message))
			return 1;
	items = weir__realloc(d->items, (d->count + 1) * sizeof(*items));
	if (!items)
		return -1;
	d->items = items;
	/* in the order of the file; what has no place comes last */
	for (i = d->count; i > 0 && it->at.line; i--) {
		if (items[i - 1].at.line && items[i - 1].at.line <= it->at.line)
			break;
		items[i] = items[i - 1];
	}
	items[it->at.line ? i : d->count] = *it;
	d->count++;
	return 0;
}

static int fill(struct weir__diag *it, const char *text, const char *hint,
                const char *message)
{
	const char *line = NULL;

	it->message = clean(message);
	if (!it->message)
		return -1;
	if (hint) {
		it->hint = clean(hint);
		if (!it->hint)
			return -1;
	}
	if (text && it->at.line && it->at.column)
		line = find_line(text, it->at.line);
	if (line) {
		it->source = copy_source(line, it->at.column, &it->caret);
		if (!it->source)
			return -1;
	}
	return 0;
}

void weir__diag_add(struct weir__diags *d, bool warning, const struct weir__mark *at,
                    const char *text, const char *hint, const char *fmt, ...)
{
	struct weir__diag it = { .warning = warning };
	char message[MESSAGE_MAX];
	va_list ap;
	int rc = -1;

	if (at)
		it.at = *at;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (d->count >= (warning ? MAX_BEFORE_WARNING : MAX_DIAGS)) {
		d->more++;
		d->errors += !warning;
		return;
	}
	if (!fill(&it, text, hint, message))
		rc = insert(d, &it);
	if (rc)
		item_fini(&it);
	if (rc < 0)
		d->oom = true;
	if (rc <= 0)
		d->errors += !warning;
}

static void print_caret(const struct weir__diag *it, int width, const char *on,
                        const char *off, FILE *f)
{
	/* characters, not bytes */
	size_t shown = 0, n = it->at.length ? it->at.length : 1;
	const char *s;

	for (s = it->source; *s; s++)
		shown += (*s & 0xc0) != 0x80;
	if (it->caret < shown && n > shown - it->caret)
		n = shown - it->caret;
	else if (it->caret >= shown)
		n = 1;
	fprintf(f, "%*s | %*s%s", width, "", (int)it->caret, "", on);
	while (n--)
		fputc('^', f);
	fprintf(f, "%s\n", off);
}

static void print_one(const struct weir__diag *it, FILE *f, bool colour)
{
	const char *bold = colour ? "\033[1m" : "", *off = colour ? "\033[0m" : "";
	const char *red = !colour ? "" : it->warning ? "\033[1;35m" : "\033[1;31m";
	char *file = it->at.file ? clean(it->at.file) : NULL;
	char number[24];
	int width;

	if (file && it->at.line)
		fprintf(f, "%s%s:%zu:%zu:%s ", bold, file, it->at.line, it->at.column, off);
	else if (file)
		fprintf(f, "%s%s:%s ", bold, file, off);
	fprintf(f, "%s%s:%s %s\n", red, it->warning ? "warning" : "error", off, it->message);
	if (it->source) {
		width = snprintf(number, sizeof(number), "%5zu", it->at.line);
		fprintf(f, "%s | %s\n", number, it->source);
		print_caret(it, width, red, off, f);
	}
	if (it->hint)
		fprintf(f, "   %s\n", it->hint);
	weir__free(file);
}

void weir__diags_print(const struct weir__diags *d, FILE *f, bool colour)
{
	size_t i;

	for (i = 0; i < d->count; i++)
		print_one(&d->items[i], f, colour);
	if (d->more)
		fprintf(f, "... and %zu more\n", d->more);
	if (d->oom)
		fprintf(f, "error: not enough memory to read the configuration\n");
}

char *weir__diag_text(const struct weir__diag *it)
{
	char *buf = NULL, *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	print_one(it, f, false);
	if (!fclose(f) && len)
		text = weir__strndup(buf, len - 1); /* without its newline */
	free(buf);
	return text;
}

void weir__diags_fini(struct weir__diags *d)
{
	size_t i;

	for (i = 0; i < d->count; i++)
		item_fini(&d->items[i]);
	weir__free(d->items);
	memset(d, 0, sizeof(*d));
}

/* Case and the two dashes are no typing errors worth counting. */
static int fold(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits from a to b: insert, delete, replace, swap of neighbours. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][NEAREST_MAX + 1], la = strlen(a), lb = strlen(b), i, j;
	size_t *two = row[0], *one = row[1], *now = row[2], *swap;

	if (la > NEAREST_MAX || lb > NEAREST_MAX)
		return NEAREST_MAX;
	for (j = 0; j <= lb; j++) {
		two[j] = 0;
		one[j] = j;
	}
	for (i = 1; i <= la; i++) {
		now[0] = i;
		for (j = 1; j <= lb; j++) {
			now[j] = min3(one[j] + 1, now[j - 1] + 1,
			              one[j - 1] + (fold(a[i - 1]) != fold(b[j - 1])));
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]) && two[j - 2] + 1 < now[j])
				now[j] = two[j - 2] + 1;
		}
		swap = two;
		two = one;
		one = now;
		now = swap;
	}
	return one[lb];
}

const char *weir__nearest(const char *word, const char *const *names)
{
	size_t len = strlen(word), limit = len / 3 ? len / 3 : 1, best = limit + 1, n;
	const char *found = NULL;

	if (len > NEAREST_MAX)
		return NULL;
	for (; *names; names++) {
		n = distance(word, *names);
		if (n < best) {
			best = n;
			found = *names;
		}
	}
	return found;
}
