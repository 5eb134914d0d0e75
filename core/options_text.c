/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option values as text: as a user would write them, what a user may write, and
 * the type for the documentation. All are snprintf-like and cannot fail. Any
 * thread.
 */
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *buf;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
	size_t left = t->len < t->size ? t->size - t->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left ? t->buf + t->len : NULL, left, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

static void put_bytes(struct text *t, uint64_t n)
{
	static const char *const binary[] = { "", "KiB", "MiB", "GiB", "TiB" };
	static const char *const decimal[] = { "", "KB", "MB", "GB", "TB" };
	uint64_t b = n, d = n;
	int i = 0, j = 0;

	while (b && i < 4 && b % 1024 == 0) {
		b /= 1024;
		i++;
	}
	while (d && j < 4 && d % 1000 == 0) {
		d /= 1000;
		j++;
	}
	if (d < b)
		put(t, "%llu%s", (unsigned long long)d, decimal[j]);
	else
		put(t, "%llu%s", (unsigned long long)b, binary[i]);
}

static void put_duration(struct text *t, uint64_t ns)
{
	const uint64_t s = 1000000000ull;

	if (ns == 0)
		put(t, "0s");
	else if (ns % 1000)
		put(t, "%lluns", (unsigned long long)ns);
	else if (ns % 1000000)
		put(t, "%lluus", (unsigned long long)ns / 1000);
	else if (ns % s)
		put(t, "%llums", (unsigned long long)ns / 1000000);
	else {
		if (ns >= 3600 * s)
			put(t, "%lluh", (unsigned long long)(ns / (3600 * s)));
		if (ns / (60 * s) % 60)
			put(t, "%llum", (unsigned long long)(ns / (60 * s) % 60));
		if (ns / s % 60)
			put(t, "%llus", (unsigned long long)(ns / s % 60));
	}
}

/* The shortest that reads back as the same number. */
static void put_double(struct text *t, double d)
{
	char buf[32];
	int digits = 6;

	do
		snprintf(buf, sizeof(buf), "%.*g", digits, d);
	while (strtod(buf, NULL) != d && ++digits <= 17);
	put(t, "%s", buf);
}

static void put_choice(struct text *t, const struct weir_option *opt, uint32_t index)
{
	const char *p = opt->choices;

	while (p && *p && index--) {
		p += strcspn(p, " ");
		p += *p == ' ';
	}
	if (p)
		put(t, "%.*s", (int)strcspn(p, " "), p);
}

static void put_list(struct text *t, const struct weir_strings *l)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		put(t, "%s%s", i ? "," : "", l->items[i]);
}

size_t weir__option_format(const struct weir_option *opt, const void *base, char *buf, size_t size)
{
	const void *v = (const char *)base + opt->offset;
	struct text t = { buf, size, 0 };

	if (size)
		*buf = 0;
	if (opt->flags & WEIR_OPTION_SECRET) {
		put(&t, "***");
		return t.len;
	}
	switch (opt->type) {
	case WEIR_OPT_BOOL:
		put(&t, "%s", *(const bool *)v ? "true" : "false");
		break;
	case WEIR_OPT_INT:
		put(&t, "%lld", (long long)*(const int64_t *)v);
		break;
	case WEIR_OPT_UINT:
		put(&t, "%llu", (unsigned long long)*(const uint64_t *)v);
		break;
	case WEIR_OPT_DOUBLE:
		put_double(&t, *(const double *)v);
		break;
	case WEIR_OPT_STRING:
		put(&t, "%s", *(const char *const *)v ? *(const char *const *)v : "");
		break;
	case WEIR_OPT_ENUM:
		put_choice(&t, opt, *(const uint32_t *)v);
		break;
	case WEIR_OPT_BYTES:
		put_bytes(&t, *(const uint64_t *)v);
		break;
	case WEIR_OPT_DURATION:
		put_duration(&t, *(const uint64_t *)v);
		break;
	case WEIR_OPT_LIST:
		put_list(&t, v);
		break;
	}
	return t.len;
}

static void put_number(struct text *t, const struct weir_option *opt, double v)
{
	/* 2^64 as double is beyond what fits */
	uint64_t n = v <= 0 ? 0 : v >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)v;

	if (opt->type == WEIR_OPT_BYTES)
		put_bytes(t, n);
	else if (opt->type == WEIR_OPT_DURATION)
		put_duration(t, n);
	else
		put_double(t, v);
}

size_t weir__option_number(const struct weir_option *opt, double value, char *buf, size_t size)
{
	struct text t = { buf, size, 0 };

	if (size)
		*buf = 0;
	put_number(&t, opt, value);
	return t.len;
}

/* Separator between the choices: ", ". */
static void put_choices(struct text *t, const struct weir_option *opt)
{
	const char *p = opt->choices ? opt->choices : "";
	size_t n;

	while (*p) {
		n = strcspn(p, " ");
		put(t, "%.*s%s", (int)n, p, p[n] ? ", " : "");
		p += n + (p[n] == ' ');
	}
}

static void put_range(struct text *t, const struct weir_option *opt)
{
	const char *what = opt->type == WEIR_OPT_LIST ? " items" : "";
	bool below = opt->max >= opt->min;

	if ((opt->min == 0 && opt->max == 0) || opt->type == WEIR_OPT_STRING)
		return;
	if (below && opt->min == 0 && opt->type != WEIR_OPT_INT && opt->type != WEIR_OPT_DOUBLE) {
		put(t, ", at most ");
	} else {
		put(t, below ? ", from " : ", at least ");
		put_number(t, opt, opt->min);
		if (below)
			put(t, " to ");
	}
	if (below)
		put_number(t, opt, opt->max);
	put(t, "%s", what);
}

size_t weir__option_expected(const struct weir_option *opt, char *buf, size_t size)
{
	static const char *const phrase[] = {
		[WEIR_OPT_BOOL] = "true or false",
		[WEIR_OPT_INT] = "a whole number",
		[WEIR_OPT_UINT] = "a whole number, not negative",
		[WEIR_OPT_DOUBLE] = "a number such as 0.5",
		[WEIR_OPT_STRING] = "text",
		[WEIR_OPT_ENUM] = "one of ",
		[WEIR_OPT_BYTES] = "a size such as 512KiB, 64MB or 4096",
		[WEIR_OPT_DURATION] = "a duration such as 250ms, 10s or 5m",
		[WEIR_OPT_LIST] = "a list such as [a, b]",
	};
	struct text t = { buf, size, 0 };

	if (size)
		*buf = 0;
	if (opt->type > WEIR_OPT_LIST) {
		put(&t, "an option of a known type");
		return t.len;
	}
	put(&t, "%s", opt->flags & WEIR_OPTION_PATH && opt->type == WEIR_OPT_STRING ?
	                      "a file name" : phrase[opt->type]);
	if (opt->type == WEIR_OPT_ENUM)
		put_choices(&t, opt);
	if (opt->flags & WEIR_OPTION_POWER_OF_TWO)
		put(&t, ", a power of two");
	put_range(&t, opt);
	return t.len;
}

size_t weir__option_type_text(const struct weir_option *opt, char *buf, size_t size)
{
	static const char *const name[] = {
		[WEIR_OPT_BOOL] = "boolean",   [WEIR_OPT_INT] = "integer",
		[WEIR_OPT_UINT] = "unsigned",  [WEIR_OPT_DOUBLE] = "number",
		[WEIR_OPT_STRING] = "text",    [WEIR_OPT_ENUM] = "one of ",
		[WEIR_OPT_BYTES] = "bytes",    [WEIR_OPT_DURATION] = "duration",
		[WEIR_OPT_LIST] = "list",
	};
	struct text t = { buf, size, 0 };
	bool unit = opt->type == WEIR_OPT_INT || opt->type == WEIR_OPT_UINT ||
	            opt->type == WEIR_OPT_DOUBLE;

	if (size)
		*buf = 0;
	if (opt->type > WEIR_OPT_LIST) {
		put(&t, "unknown");
		return t.len;
	}
	put(&t, "%s", opt->flags & WEIR_OPTION_PATH && opt->type == WEIR_OPT_STRING ?
	                      "path" : name[opt->type]);
	if (opt->type == WEIR_OPT_ENUM)
		put_choices(&t, opt);
	if (unit && opt->unit && *opt->unit)
		put(&t, " (%s)", opt->unit);
	if (opt->flags & WEIR_OPTION_POWER_OF_TWO)
		put(&t, ", a power of two");
	put_range(&t, opt);
	return t.len;
}
