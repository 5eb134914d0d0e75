/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Prometheus text format. Samples come sorted by name (metrics_walk promises
 * that), so a family is one run of them, whichever plugins they are from: HELP and
 * TYPE are written once, from the first.
 *
 * What a scraper would refuse the whole page for is left out instead, and counted:
 * a name it does not allow, a second type for a name, the same series twice.
 * Label values are data from outside: broken UTF-8 and control bytes become \xNN.
 */
#include "exposition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ------------------------------------------------------------------------ */

static void flush(struct exposition *e)
{
	e->plugin->host->out_write(e->out, e->text, e->len);
	e->bytes += e->len;
	e->len = 0;
}

static void put(struct exposition *e, const char *s, size_t n)
{
	while (n > sizeof e->text - e->len) {
		size_t part = sizeof e->text - e->len;

		memcpy(e->text + e->len, s, part);
		e->len += part;
		s += part;
		n -= part;
		flush(e);
	}
	memcpy(e->text + e->len, s, n);
	e->len += n;
}

static void puts_(struct exposition *e, const char *s)
{
	put(e, s, strlen(s));
}

static void put_u64(struct exposition *e, uint64_t v)
{
	char buf[20], *at = buf + sizeof buf;

	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	put(e, at, (size_t)(buf + sizeof buf - at));
}

/* Shortest text that reads back as the same number. */
static size_t number(char buf[32], double v)
{
	int digits, n = 0;

	if (isnan(v))
		return (size_t)snprintf(buf, 32, "NaN");
	if (isinf(v))
		return (size_t)snprintf(buf, 32, v > 0 ? "+Inf" : "-Inf");
	if (fabs(v) < 1e15 && v == (double)(int64_t)v)
		return (size_t)snprintf(buf, 32, "%lld", (long long)v);
	for (digits = 15; digits <= 17; digits++) {
		n = snprintf(buf, 32, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			break;
	}
	for (char *p = buf; *p; p++)
		if (*p == ',') /* a plugin may have called setlocale() */
			*p = '.';
	return (size_t)n;
}

static void put_number(struct exposition *e, double v)
{
	char buf[32];

	put(e, buf, number(buf, v));
}

/* ---- escaping ---------------------------------------------------------------------- */

/* Length of a well-formed UTF-8 character beyond the C1 controls, else 0. */
static size_t character(const unsigned char *s)
{
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2, i;

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (i = 1; i < len; i++) /* ends at the NUL too */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
}

/* The character at s as it is written, in at most 5 bytes, and how long it is. The
 * format knows \\, \n and, in label values, \". */
static size_t escape(const unsigned char *s, bool in_label, char out[8], size_t *ret_len)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = plain(*s) ? 1 : character(s);

	*ret_len = len ? len : 1;
	if (len) {
		memcpy(out, s, len);
		return len;
	}
	memcpy(out, "\\\\x", 3);
	if (*s == '\\')
		return 2;
	if (*s == '"') {
		out[in_label] = '"';
		return in_label ? 2 : 1;
	}
	if (*s == '\n') {
		out[1] = 'n';
		return 2;
	}
	out[3] = hex[*s >> 4];
	out[4] = hex[*s & 15];
	return 5;
}

static void put_escaped(struct exposition *e, const char *text, bool in_label)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t run, len, n;
	char out[8];

	while (*s) {
		for (run = 0; plain(s[run]); run++)
			;
		put(e, (const char *)s, run);
		s += run;
		if (!*s)
			return;
		n = escape(s, in_label, out, &len);
		put(e, out, n);
		s += len;
	}
}

/* ---- names ------------------------------------------------------------------------- */

static bool valid_name(const char *s, size_t n, bool colon)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && colon) ||
		      (c >= '0' && c <= '9' && i)))
			return false;
	}
	return n > 0;
}

static bool valid_names(const struct weir_metric *m)
{
	const char *at = m->labels;
	size_t n;

	if (!valid_name(m->name, strlen(m->name), true) || m->type > WEIR_HISTOGRAM)
		return false;
	for (; at && *at; at += n + (at[n] == ' ')) {
		n = strcspn(at, " ");
		if (!valid_name(at, n, false) || !strncmp(at, "__", 2))
			return false;
		if (m->type == WEIR_HISTOGRAM && n == 2 && !strncmp(at, "le", 2))
			return false; /* the buckets' own */
	}
	return true;
}

/* ---- series seen ---------------------------------------------------------------------- */

void seen_fini(struct weir_plugin *p, struct seen *s)
{
	weir_free(p, s->slots);
	*s = (struct seen){ .round = s->round };
}

static bool seen_grow(struct weir_plugin *p, struct seen *s)
{
	size_t room = s->room ? 2 * s->room : 256, i;
	struct seen fresh = { .room = room, .round = s->round, .count = s->count };

	fresh.slots = weir_alloc(p, room * sizeof *fresh.slots);
	if (!fresh.slots)
		return false;
	memset(fresh.slots, 0, room * sizeof *fresh.slots);
	for (i = 0; i < s->room; i++) {
		size_t at = s->slots[i].hash & (room - 1);

		if (s->slots[i].round != s->round)
			continue;
		while (fresh.slots[at].round)
			at = (at + 1) & (room - 1);
		fresh.slots[at] = s->slots[i];
	}
	weir_free(p, s->slots);
	*s = fresh;
	return true;
}

/* Is it the first of this family with these labels? Without memory: yes. */
static bool seen_first(struct weir_plugin *p, struct seen *s, uint64_t hash)
{
	size_t at;

	if (s->count * 2 >= s->room && !seen_grow(p, s))
		return true;
	for (at = hash & (s->room - 1); s->slots[at].round == s->round; at = (at + 1) & (s->room - 1))
		if (s->slots[at].hash == hash)
			return false;
	s->slots[at].hash = hash;
	s->slots[at].round = s->round;
	s->count++;
	return true;
}

static void seen_next_family(struct seen *s)
{
	s->round++; /* empties the table */
	s->count = 0;
}

static uint64_t hash_bytes(uint64_t h, const char *s, size_t n)
{
	while (n--)
		h = (h ^ (unsigned char)*s++) * 1099511628211u;
	return h;
}

/* Over what is written. The order of labels does not matter, and a label with an
 * empty value is the same as none. */
static uint64_t hash_labels(const struct weir_sample *s)
{
	uint64_t sum = 0, h;
	const char *name = s->metric->labels;
	const unsigned char *v;
	size_t i, n, len;
	char out[8];

	for (i = 0; name && *name; i++, name += n + (name[n] == ' ')) {
		n = strcspn(name, " ");
		if (!s->label_values[i][0])
			continue;
		h = hash_bytes(14695981039346656037u, name, n);
		h = hash_bytes(h, "=", 1);
		for (v = (const unsigned char *)s->label_values[i]; *v; v += len) {
			size_t k = escape(v, true, out, &len);

			h = hash_bytes(h, out, k);
		}
		sum += h ^ h >> 29;
	}
	return sum;
}

/* ---- samples -------------------------------------------------------------------------- */

/* name_suffix{labels,le="bound"}, bound NULL: no le. */
static void put_series(struct exposition *e, const struct weir_sample *s, const char *suffix, const char *bound)
{
	const char *name = s->metric->labels, *separator = "{";
	size_t i, n;

	puts_(e, s->metric->name);
	puts_(e, suffix);
	for (i = 0; name && *name; i++, name += n + (name[n] == ' ')) {
		n = strcspn(name, " ");
		puts_(e, separator);
		put(e, name, n);
		put(e, "=\"", 2);
		put_escaped(e, s->label_values[i], true);
		put(e, "\"", 1);
		separator = ",";
	}
	if (bound) {
		puts_(e, separator);
		put(e, "le=\"", 4);
		puts_(e, bound);
		put(e, "\"", 1);
		separator = ",";
	}
	if (*separator == ',')
		put(e, "}", 1);
	put(e, " ", 1);
}

static void put_histogram(struct exposition *e, const struct weir_sample *s)
{
	uint64_t sum = 0;
	char bound[32];
	uint32_t i;

	for (i = 0; i < s->metric->bucket_count; i++) {
		number(bound, s->metric->buckets[i]);
		sum += s->buckets[i];
		put_series(e, s, "_bucket", bound);
		put_u64(e, sum);
		put(e, "\n", 1);
	}
	sum += s->buckets[i];
	put_series(e, s, "_bucket", "+Inf");
	put_u64(e, sum);
	put(e, "\n", 1);
	put_series(e, s, "_sum", NULL);
	put_number(e, s->value);
	put(e, "\n", 1);
	put_series(e, s, "_count", NULL);
	put_u64(e, sum);
	put(e, "\n", 1);
}

static void begin_family(struct exposition *e, const struct weir_metric *m)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	e->family = m;
	e->usable = valid_names(m);
	seen_next_family(e->seen);
	if (!e->usable)
		return;
	puts_(e, "# HELP ");
	puts_(e, m->name);
	put(e, " ", 1);
	put_escaped(e, m->help ? m->help : "", false);
	puts_(e, "\n# TYPE ");
	puts_(e, m->name);
	put(e, " ", 1);
	puts_(e, types[m->type]);
	put(e, "\n", 1);
}

int exposition_sample(void *arg, const struct weir_sample *s)
{
	struct exposition *e = arg;
	const struct weir_metric *m = s->metric;

	if (!e->family || (e->family != m && strcmp(e->family->name, m->name)))
		begin_family(e, m);
	if (!e->usable || (m != e->family && !valid_names(m))) {
		e->dropped[DROP_NAME]++;
	} else if (m->type != e->family->type) {
		e->dropped[DROP_CONFLICT]++;
	} else if (!seen_first(e->plugin, e->seen, hash_labels(s))) {
		e->dropped[DROP_DUPLICATE]++;
	} else if (m->type == WEIR_HISTOGRAM) {
		put_histogram(e, s);
		e->samples++;
	} else {
		put_series(e, s, "", NULL);
		put_number(e, s->value);
		put(e, "\n", 1);
		e->samples++;
	}
	return 0;
}

void exposition_end(struct exposition *e)
{
	if (e->len)
		flush(e);
}
