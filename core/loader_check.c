/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns of names in a descriptor, and how a failed check is worded. See
 * loader_check.h. Threads: any.
 */
#include "loader_check.h"
#include "loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t own, max;
} tables[] = {
#define X(id, type, min, max) [WEIR__TABLE_##id] = { #id, sizeof(type), max },
	WEIR__TABLES(X)
#undef X
};

const char *weir__refusal_name(int refusal)
{
	static const char *const names[] = {
		[WEIR__REFUSED_NONE] = "none",
#define X(id, name, doc) [WEIR__REFUSED_##id] = name,
		WEIR__REFUSALS(X)
#undef X
	};

	if (refusal < 0 || (size_t)refusal >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[refusal];
}

int weir__refuse(const struct weir__refused *out, int refusal, int err, const char *fmt, ...)
{
	int n = snprintf(out->reason, out->size, "%s: ", weir__refusal_name(refusal));
	va_list ap;

	*out->refusal = refusal;
	if (n < 0 || (size_t)n >= out->size)
		return err;
	va_start(ap, fmt);
	vsnprintf(out->reason + n, out->size - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

void weir__at(struct weir__check *c, const char *fmt, ...)
{
	va_list ap;

	c->at[0] = 0;
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(c->at, sizeof(c->at), fmt, ap);
	va_end(ap);
}

int weir__bad(struct weir__check *c, const char *fmt, ...)
{
	int n = c->at[0] ? snprintf(c->reason, c->size, "%s: ", c->at) : 0;
	va_list ap;

	if (n < 0 || (size_t)n >= c->size)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(c->reason + n, c->size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const char *weir__shown(const char *s)
{
	static _Thread_local char bufs[4][4 * 64 + 4];
	static _Thread_local unsigned int turn;
	char *buf = bufs[turn++ % 4], *at = buf;

	if (!s)
		return "(none)";
	for (int i = 0; s[i] && i < 64; i++) {
		unsigned char b = (unsigned char)s[i];

		at += b >= 0x20 && b < 0x7f ? sprintf(at, "%c", b) : sprintf(at, "\\x%02x", b);
	}
	*at = 0;
	return buf;
}

int weir__check_table(struct weir__check *c, const struct weir_table *t, enum weir__table_id id)
{
	if (t->count == 0)
		return 0;
	if (t->count > tables[id].max)
		return weir__bad(c, "table %s: %u rows, at most %u are allowed", tables[id].name,
		                 t->count, tables[id].max);
	if (!t->rows)
		return weir__bad(c, "table %s: %u rows at NULL", tables[id].name, t->count);
	if (t->row_size < tables[id].own)
		return weir__bad(c, "table %s: rows of %u bytes, expected at least %u",
		                 tables[id].name, t->row_size, tables[id].own);
	return 0;
}

static bool is_lower(char ch)
{
	return ch >= 'a' && ch <= 'z';
}

static bool is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

/* [a-z][a-z0-9<extra>]*, 1 to max characters. */
static bool is_name(const char *s, size_t len, char extra, size_t max)
{
	if (len == 0 || len > max || !is_lower(s[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_lower(s[i]) && !is_digit(s[i]) && s[i] != extra)
			return false;
	return true;
}

bool weir__is_plugin_name(const char *s)
{
	return s && is_name(s, strnlen(s, 32), '-', 31);
}

bool weir__is_snake(const char *s)
{
	return s && is_name(s, strnlen(s, 129), '_', 128);
}

bool weir__is_topic(const char *s, size_t len)
{
	return is_name(s, len, '_', 31);
}

bool weir__is_label(const char *s, size_t len)
{
	return is_name(s, len, '_', 63) && !(len == 2 && memcmp(s, "le", 2) == 0);
}

bool weir__is_choice(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] == 0x7f || s[i] == ',')
			return false;
	return len > 0 && len < 64;
}

bool weir__is_identifier(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_lower(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z') && s[i] != '_' &&
		    !(i && is_digit(s[i])))
			return false;
	return len > 0 && len < 128;
}

bool weir__is_text(const char *s)
{
	size_t len = s ? strnlen(s, 1024) : 0;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return len > 0 && len < 1024;
}

bool weir__is_unit(const char *s)
{
	size_t len = s ? strnlen(s, 32) : 32;

	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return false;
	return len < 32;
}

bool weir__is_semver(const char *s)
{
	if (!s || strnlen(s, 64) == 64)
		return false;
	for (int part = 0; part < 3; part++) {
		size_t digits = strspn(s, "0123456789");

		if (digits == 0 || digits > 9)
			return false;
		s += digits;
		if (part < 2 && *s++ != '.')
			return false;
	}
	if (*s == 0)
		return true;
	if (*s != '-' && *s != '+')
		return false;
	s++;
	return *s && strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz"
	                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-+~") == strlen(s);
}

bool weir__is_mount(const char *s)
{
	size_t len = s ? strnlen(s, 128) : 0;

	return len > 1 && len < 128 && s[0] == '/' && s[len - 1] != '/' && !strstr(s, "//") &&
	       !strstr(s, "..") &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789/_-.") == len &&
	       strcmp(s, "/health") != 0 && strcmp(s, "/ready") != 0;
}

bool weir__is_words(const char *s, bool (*ok)(const char *, size_t), unsigned int max)
{
	const char *at = s;
	unsigned int count = 0;

	if (!s)
		return false;
	for (;;) {
		size_t n = strcspn(at, " ");
		char rest;

		if (++count > max || !ok(at, n))
			return false;
		rest = at[n];
		/* the word once more, further on? */
		if (rest && weir__has_word(at + n + 1, at, n))
			return false;
		if (!rest)
			return true;
		at += n + 1;
	}
}
