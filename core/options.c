/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option values: text to typed value, by the declared table. Happy path: parse
 * into a local, check the bounds, store. Nothing is written before everything has
 * been checked; what a value replaces is freed. Any thread, no shared state.
 */
#include "options.h"
#include "diag.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longer values are not meant: a path is at most 4096, a list of all names on a
 * node some 10 KiB. */
#define VALUE_MAX 65536
/* Items of a list: as many as a filter in the kernel may have entries. */
#define ITEMS_MAX 1024
/* Arguments of a query, and options of a plugin in the test host, which are read as such.
 * One bit each says which were given. */
#define ARGS_MAX 128
__extension__ typedef unsigned __int128 args_mask;

static void *at(const struct weir_option *opt, void *base)
{
	return (char *)base + opt->offset;
}

__attribute__((format(printf, 3, 4))) static void say(char *err, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (size)
		vsnprintf(err, size, fmt, ap);
	va_end(ap);
}

/* ---- numbers ---------------------------------------------------------------- */

struct unit {
	const char *name;
	uint64_t factor;
};

/* A bare K or M means 1000 to one half of the world and 1024 to the other: no. */
static const struct unit byte_units[] = {
	{ "", 1 },                { "B", 1 },
	{ "KiB", 1ull << 10 },    { "MiB", 1ull << 20 },
	{ "GiB", 1ull << 30 },    { "TiB", 1ull << 40 },
	{ "Ki", 1ull << 10 },     { "Mi", 1ull << 20 },
	{ "Gi", 1ull << 30 },     { "Ti", 1ull << 40 },
	{ "KB", 1000ull },        { "MB", 1000000ull },
	{ "GB", 1000000000ull },  { "TB", 1000000000000ull },
	{ NULL, 0 },
};

static const struct unit time_units[] = {
	{ "ns", 1 },
	{ "us", 1000ull },
	{ "\xc2\xb5s", 1000ull }, /* micro sign */
	{ "\xce\xbcs", 1000ull }, /* Greek mu */
	{ "ms", 1000000ull },
	{ "s", 1000000000ull },
	{ "m", 60 * 1000000000ull },
	{ "h", 3600 * 1000000000ull },
	{ "d", 86400 * 1000000000ull },
	{ NULL, 0 },
};

static const struct unit *find_unit(const struct unit *units, const char *word, size_t len)
{
	bool fold = units == byte_units;

	for (; units->name; units++)
		if (strlen(units->name) == len &&
		    !(fold ? strncasecmp(units->name, word, len) : strncmp(units->name, word, len)))
			return units;
	return NULL;
}

/* Digits to *ret; -ERANGE beyond 64 bits, -EINVAL without any. */
static int parse_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t n = 0;
	bool over = false;

	for (; isdigit((unsigned char)*p); p++)
		over |= __builtin_mul_overflow(n, 10, &n) ||
		        __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
	if (p == *s)
		return -EINVAL;
	*s = p;
	*ret = n;
	return over ? -ERANGE : 0;
}

/* One "12.5 MiB"; *s moves behind it. *ret_factor is its unit's. */
static int parse_quantity(const char **s, const struct unit *units, uint64_t *ret,
                          uint64_t *ret_factor)
{
	const struct unit *unit;
	uint64_t whole, fraction = 0, scale = 1;
	unsigned __int128 v;
	size_t len;
	int rc = parse_digits(s, &whole);

	if (rc)
		return rc;
	if (**s == '.') {
		if (!isdigit((unsigned char)*++*s))
			return -EINVAL;
		/* nine digits resolve a nanosecond of a second */
		for (; isdigit((unsigned char)**s); ++*s)
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(**s - '0');
				scale *= 10;
			}
	}
	while (**s == ' ')
		++*s;
	len = strcspn(*s, "0123456789 .");
	unit = find_unit(units, *s, len);
	if (!unit)
		return -EINVAL;
	*s += len;
	v = (unsigned __int128)whole * unit->factor +
	    (unsigned __int128)fraction * unit->factor / scale;
	if (v > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	*ret_factor = unit->factor;
	return 0;
}

static int parse_bytes(const char *text, uint64_t *ret)
{
	uint64_t factor;
	int rc = parse_quantity(&text, byte_units, ret, &factor);

	return rc ? rc : *text ? -EINVAL : 0;
}

/* "1h30m": units get smaller. */
static int parse_duration(const char *text, uint64_t *ret)
{
	uint64_t sum = 0, part, factor, last = UINT64_MAX;
	int rc;

	if (!strcmp(text, "0")) {
		*ret = 0;
		return 0;
	}
	do {
		rc = parse_quantity(&text, time_units, &part, &factor);
		if (rc)
			return rc;
		if (factor >= last)
			return -EINVAL;
		last = factor;
		if (__builtin_add_overflow(sum, part, &sum))
			return -ERANGE;
	} while (*text);
	*ret = sum;
	return 0;
}

static int parse_uint(const char *text, uint64_t *ret)
{
	int rc;

	text += *text == '+';
	rc = parse_digits(&text, ret);
	return rc == -EINVAL || *text ? -EINVAL : rc;
}

static int parse_int(const char *text, int64_t *ret)
{
	bool minus = *text == '-';
	uint64_t n;
	int rc = parse_uint(text + minus, &n);

	if (rc)
		return rc;
	if (minus && text[1] == '+')
		return -EINVAL;
	if (n > (uint64_t)INT64_MAX + minus)
		return -ERANGE;
	*ret = minus ? (int64_t)(0 - n) : (int64_t)n;
	return 0;
}

static int parse_double(const char *text, double *ret)
{
	char *end;

	/* strtod also takes "nan", "inf", hexadecimal and leading blanks */
	if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
		return -EINVAL;
	*ret = strtod(text, &end);
	if (*end || end == text)
		return -EINVAL;
	return isfinite(*ret) ? 0 : -ERANGE;
}

static int parse_bool(const char *text, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	size_t i;

	for (i = 0; i < 6; i++)
		if (!strcasecmp(text, words[i])) {
			*ret = i & 1;
			return 0;
		}
	return -EINVAL;
}

static int parse_enum(const struct weir_option *opt, const char *text, uint32_t *ret)
{
	const char *p = opt->choices;
	size_t n;
	uint32_t i;

	for (i = 0; p && *p; i++) {
		n = strcspn(p, " ");
		if (n == strlen(text) && !strncmp(p, text, n)) {
			*ret = i;
			return 0;
		}
		p += n + (p[n] == ' ');
	}
	return -EINVAL;
}

static int check_range(const struct weir_option *opt, double v)
{
	if (opt->min == 0 && opt->max == 0)
		return 0;
	if (v < opt->min || (opt->max >= opt->min && v > opt->max))
		return -ERANGE;
	return 0;
}

union number {
	bool b;
	int64_t i;
	uint64_t u;
	double d;
	uint32_t e;
};

static int parse_unsigned(const struct weir_option *opt, const char *text, uint64_t *ret)
{
	int rc = opt->type == WEIR_OPT_BYTES    ? parse_bytes(text, ret) :
	         opt->type == WEIR_OPT_DURATION ? parse_duration(text, ret) :
	                                          parse_uint(text, ret);

	if (!rc && (opt->flags & WEIR_OPTION_POWER_OF_TWO) && (*ret & (*ret - 1)))
		rc = -EINVAL;
	return rc ? rc : check_range(opt, (double)*ret);
}

/* *ret_size: bytes to store. */
static int parse_number(const struct weir_option *opt, const char *text, union number *ret,
                        size_t *ret_size)
{
	int rc;

	switch (opt->type) {
	case WEIR_OPT_BOOL:
		*ret_size = sizeof(ret->b);
		return parse_bool(text, &ret->b);
	case WEIR_OPT_INT:
		*ret_size = sizeof(ret->i);
		rc = parse_int(text, &ret->i);
		return rc ? rc : check_range(opt, (double)ret->i);
	case WEIR_OPT_DOUBLE:
		*ret_size = sizeof(ret->d);
		rc = parse_double(text, &ret->d);
		return rc ? rc : check_range(opt, ret->d);
	case WEIR_OPT_ENUM:
		*ret_size = sizeof(ret->e);
		return parse_enum(opt, text, &ret->e);
	case WEIR_OPT_UINT:
	case WEIR_OPT_BYTES:
	case WEIR_OPT_DURATION:
		*ret_size = sizeof(ret->u);
		return parse_unsigned(opt, text, &ret->u);
	default:
		return -EINVAL;
	}
}

/* ---- strings and lists ------------------------------------------------------ */

static int set_string(const struct weir_option *opt, void *base, const char *text)
{
	const char **slot = at(opt, base);
	char *copy;

	if (strlen(text) > VALUE_MAX)
		return -ERANGE;
	copy = weir__strdup(text);
	if (!copy)
		return -ENOMEM;
	weir__free((void *)*slot);
	*slot = copy;
	return 0;
}

/* One block: the pointers, then the bytes. */
static int make_list(const char *const *items, size_t count, struct weir_strings *ret)
{
	size_t bytes = 0, i;
	char **slots, *p;

	for (i = 0; i < count; i++)
		bytes += strlen(items[i]) + 1;
	if (bytes > VALUE_MAX)
		return -ERANGE;
	slots = weir__alloc(count * sizeof(*slots) + bytes);
	if (!slots)
		return -ENOMEM;
	p = (char *)(slots + count);
	for (i = 0; i < count; i++) {
		slots[i] = p;
		p = stpcpy(p, items[i]) + 1;
	}
	ret->count = count;
	ret->items = (const char *const *)slots;
	return 0;
}

int weir__option_set_list(const struct weir_option *opt, void *base,
                          const char *const *items, size_t count, char *err, size_t err_size)
{
	struct weir_strings *slot = at(opt, base), list = { 0 };
	int rc = opt->type == WEIR_OPT_LIST ? 0 : -EINVAL;
	size_t i;

	for (i = 0; i < count && !rc; i++)
		if (!*items[i])
			rc = -EINVAL;
	if (!rc && (count > ITEMS_MAX || check_range(opt, (double)count)))
		rc = -ERANGE;
	if (!rc && count)
		rc = make_list(items, count, &list);
	if (rc) {
		weir__option_expected(opt, err, err_size);
		return rc;
	}
	weir__free((void *)slot->items);
	*slot = list;
	return 0;
}

/* Cuts text at its commas; blanks around an item do not belong to it. */
static int split(char *text, const char **items, size_t *ret_count)
{
	size_t n = 0;
	char *word, *end;

	while (text) {
		word = strsep(&text, ",");
		word += strspn(word, " \t");
		end = word + strlen(word);
		while (end > word && (end[-1] == ' ' || end[-1] == '\t'))
			*--end = 0;
		if (n == 0 && !text && !*word)
			break; /* nothing at all: no item */
		if (n == ITEMS_MAX)
			return -ERANGE;
		items[n++] = word;
	}
	*ret_count = n;
	return 0;
}

static int set_list_text(const struct weir_option *opt, void *base, const char *text,
                         char *err, size_t err_size)
{
	const char **items = weir__alloc(ITEMS_MAX * sizeof(*items));
	char *copy = strlen(text) > VALUE_MAX ? NULL : weir__strdup(text);
	size_t count = 0;
	int rc = items && copy ? 0 : strlen(text) > VALUE_MAX ? -ERANGE : -ENOMEM;

	if (!rc)
		rc = split(copy, items, &count);
	if (rc)
		weir__option_expected(opt, err, err_size);
	else
		rc = weir__option_set_list(opt, base, items, count, err, err_size);
	weir__free(copy);
	weir__free(items);
	return rc;
}

int weir__option_set(const struct weir_option *opt, void *base, const char *text,
                     char *err, size_t err_size)
{
	union number n = { 0 };
	size_t size = 0;
	int rc;

	if (opt->type == WEIR_OPT_LIST)
		return set_list_text(opt, base, text, err, err_size);
	rc = opt->type == WEIR_OPT_STRING ? set_string(opt, base, text) :
	                                    parse_number(opt, text, &n, &size);
	if (rc)
		weir__option_expected(opt, err, err_size);
	else
		memcpy(at(opt, base), &n, size);
	return rc;
}

/* ---- whole tables ----------------------------------------------------------- */

int weir__options_defaults(const struct weir_table *opts, void *base, char *err, size_t err_size)
{
	const struct weir_option *opt;
	char why[256] = "";
	uint32_t i;
	int rc;

	for (i = 0; (opt = weir_table_row(opts, i)); i++) {
		if (!opt->def)
			continue;
		rc = weir__option_set(opt, base, opt->def, why, sizeof(why));
		if (!rc)
			continue;
		weir__options_free(opts, base);
		if (rc == -ENOMEM)
			say(err, err_size, "not enough memory");
		else
			say(err, err_size, "the default \"%s\" of \"%s\" is not %s", opt->def,
			    opt->name, why);
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	return 0;
}

void weir__options_free(const struct weir_table *opts, void *base)
{
	const struct weir_option *opt;
	struct weir_strings *list;
	const char **string;
	uint32_t i;

	for (i = 0; (opt = weir_table_row(opts, i)); i++) {
		if (opt->type == WEIR_OPT_STRING) {
			string = at(opt, base);
			weir__free((void *)*string);
			*string = NULL;
		} else if (opt->type == WEIR_OPT_LIST) {
			list = at(opt, base);
			weir__free((void *)list->items);
			memset(list, 0, sizeof(*list));
		}
	}
}

const struct weir_option *weir__option_find(const struct weir_table *opts, const char *name)
{
	const struct weir_option *opt;
	uint32_t i;

	for (i = 0; (opt = weir_table_row(opts, i)); i++)
		if (!strcmp(opt->name, name))
			return opt;
	return NULL;
}

/* ---- arguments of a query --------------------------------------------------- */

static void unknown_arg(const struct weir_table *opts, const char *name, char *err, size_t size)
{
	const char *names[ARGS_MAX + 1] = { 0 }, *near;
	const struct weir_option *opt;
	uint32_t i;

	for (i = 0; i < ARGS_MAX && (opt = weir_table_row(opts, i)); i++)
		names[i] = opt->name;
	near = weir__nearest(name, names);
	if (near)
		say(err, size, "unknown argument \"%s\"; did you mean \"%s\"?", name, near);
	else if (!names[0])
		say(err, size, "unknown argument \"%s\"; it takes none", name);
	else
		say(err, size, "unknown argument \"%s\"", name);
}

static int parse_arg(const struct weir_table *opts, void *base, const char *word,
                     args_mask *given, char *err, size_t size)
{
	const char *eq = strchr(word, '=');
	const struct weir_option *opt;
	char name[64], why[256];
	args_mask bit;
	int rc;

	if (!eq || eq == word) {
		say(err, size, "\"%s\": write an argument as NAME=VALUE", word);
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(eq - word > 63 ? 63 : eq - word), word);
	opt = weir__option_find(opts, name);
	if (!opt) {
		unknown_arg(opts, name, err, size);
		return -EINVAL;
	}
	bit = (args_mask)1 << ((const char *)opt - (const char *)opts->rows) / opts->row_size % ARGS_MAX;
	if (*given & bit) {
		say(err, size, "argument \"%s\" is given twice", name);
		return -EINVAL;
	}
	*given |= bit;
	rc = weir__option_set(opt, base, eq + 1, why, sizeof(why));
	if (rc)
		say(err, size, "argument \"%s\": expected %s", name, why);
	return rc;
}

int weir__options_parse_args(const struct weir_table *opts, void *base,
                             const char *const *words, size_t count, char *err, size_t err_size)
{
	const struct weir_option *opt;
	args_mask given = 0;
	uint32_t i;
	size_t w;
	int rc;

	if (opts->count > ARGS_MAX) {
		say(err, err_size, "the query declares more than %d arguments", ARGS_MAX);
		return -EINVAL;
	}
	rc = weir__options_defaults(opts, base, err, err_size);
	if (rc)
		return rc;
	for (w = 0; w < count && !rc; w++)
		rc = parse_arg(opts, base, words[w], &given, err, err_size);
	for (i = 0; !rc && (opt = weir_table_row(opts, i)); i++)
		if (!opt->def && !(given & (args_mask)1 << i)) {
			say(err, err_size, "argument \"%s\" is required: %s", opt->name, opt->doc);
			rc = -EINVAL;
		}
	if (rc)
		weir__options_free(opts, base);
	return rc;
}
