/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings from outside made harmless, and the bounded writer. Happy path: runs of
 * plain ASCII are found with a table and copied at once. Cannot fail; any thread.
 */
#include "format_text.h"
#include "format.h"

void weir__writer_init(struct weir__writer *w, char *buf, size_t size)
{
	w->start = w->at = buf;
	w->end = size ? buf + size - 1 : buf;
	w->over = 0;
}

size_t weir__writer_end(struct weir__writer *w, size_t size)
{
	if (size)
		*w->at = 0;
	return (size_t)(w->at - w->start) + w->over;
}

void weir__put_slow(struct weir__writer *w, const char *s, size_t n)
{
	size_t room = (size_t)(w->end - w->at);

	if (room)
		memcpy(w->at, s, room);
	w->at = w->end;
	w->over += n - room;
}

/* ---- UTF-8 ------------------------------------------------------------------ */

size_t weir__utf8(const unsigned char *s, size_t n, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;
	uint32_t c;

	if (!n)
		return 0;
	c = s[0];
	if (c < 0x80) {
		*ret_code = c;
		return 1;
	}
	len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || len > n)
		return 0;
	c &= 0x7fu >> len;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*ret_code = c;
	return len;
}

/* Code points beyond ASCII that would act instead of being shown. */
static bool acts(uint32_t c)
{
	return c < 0xa0 || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x2069) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

/* ---- escaping ---------------------------------------------------------------- */

/* 0: plain everywhere. 1: plain, but ends a word. 2: quote. 3: backslash.
 * 4: to be looked at. */
#define W(c) [c] = 1
static const unsigned char class_of[256] = {
	[0 ... 0x1f] = 4, W(' '), W('='), ['"'] = 2, ['\\'] = 3, [0x7f ... 0xff] = 4,
};
#undef W

static const char digits[] = "0123456789abcdef";

static void put_x(struct weir__writer *w, unsigned char c)
{
	char s[4] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

	weir__put(w, s, 4);
}

static void put_u(struct weir__writer *w, uint32_t c)
{
	char s[6] = { '\\', 'u', digits[c >> 12 & 15], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15] };

	if (c > 0xffff) {
		put_u(w, 0xd7c0 + (c >> 10));
		put_u(w, 0xdc00 + (c & 0x3ff));
		return;
	}
	weir__put(w, s, 6);
}

/* Whatever is not plain ASCII. Returns how many bytes it took. */
static size_t put_special(struct weir__writer *w, const unsigned char *s, size_t n, bool json)
{
	uint32_t code = s[0];
	size_t len = weir__utf8(s, n, &code), i;

	if (len > 1 && !acts(code)) {
		weir__put(w, (const char *)s, len);
		return len;
	}
	if (!len)
		len = 1; /* broken: this byte alone */
	if (json && code == '\n')
		weir__put_lit(w, "\\n");
	else if (json && code == '\t')
		weir__put_lit(w, "\\t");
	else if (json)
		put_u(w, code);
	else
		for (i = 0; i < len; i++)
			put_x(w, s[i]);
	return len;
}

void weir__put_escaped(struct weir__writer *w, const char *text, size_t n, enum weir__escaping how)
{
	const unsigned char *s = (const unsigned char *)text;
	bool quoted = false;
	size_t i = 0, run;

	if (how == WEIR__ESCAPE_WORD) {
		while (i < n && (class_of[s[i]] == 0 || class_of[s[i]] > 2))
			i++;
		quoted = i < n || n == 0;
		i = 0;
	}
	if (quoted)
		weir__put_char(w, '"');
	while (i < n) {
		for (run = i; i < n && class_of[s[i]] < 2; i++)
			;
		if (i > run)
			weir__put(w, text + run, i - run);
		if (i == n)
			break;
		if (class_of[s[i]] == 4) {
			i += put_special(w, s + i, n - i, how == WEIR__ESCAPE_JSON);
			continue;
		}
		if (s[i] == '\\' || how == WEIR__ESCAPE_JSON || quoted)
			weir__put_char(w, '\\');
		weir__put_char(w, text[i++]);
	}
	if (quoted)
		weir__put_char(w, '"');
}

size_t weir__json_string(const char *s, size_t max, char *buf, size_t size)
{
	struct weir__writer w;

	weir__writer_init(&w, buf, size);
	weir__put_char(&w, '"');
	if (s)
		weir__put_escaped(&w, s, strnlen(s, max), WEIR__ESCAPE_JSON);
	weir__put_char(&w, '"');
	return weir__writer_end(&w, size);
}

size_t weir__escape(const char *s, size_t max, char *buf, size_t size)
{
	struct weir__writer w;

	weir__writer_init(&w, buf, size);
	if (s)
		weir__put_escaped(&w, s, strnlen(s, max), WEIR__ESCAPE_TEXT);
	return weir__writer_end(&w, size);
}
