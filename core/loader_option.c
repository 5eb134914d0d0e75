/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a table of options, or of a query's arguments, right? Names, types, where
 * the values go, bounds, and that every default parses: a plugin whose defaults
 * do not is refused when it is loaded, not when it is first configured.
 *
 * Failure: -EINVAL with a reason; -ENOMEM. Threads: any; no state.
 */
#include "loader_check.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
	unsigned char size, align;
} values[] = {
#define V(t) { sizeof(t), _Alignof(t) }
	[WEIR_OPT_BOOL] = V(bool), [WEIR_OPT_INT] = V(int64_t), [WEIR_OPT_UINT] = V(uint64_t),
	[WEIR_OPT_DOUBLE] = V(double), [WEIR_OPT_STRING] = V(const char *),
	[WEIR_OPT_ENUM] = V(uint32_t), [WEIR_OPT_BYTES] = V(uint64_t),
	[WEIR_OPT_DURATION] = V(uint64_t), [WEIR_OPT_LIST] = V(struct weir_strings),
#undef V
};

/* snake_case words with dots between: "tls.cert" */
static bool is_key(const char *s)
{
	size_t len = s ? strnlen(s, 64) : 0;

	if (len == 0 || len >= 64 || s[0] < 'a' || s[0] > 'z')
		return false;
	for (size_t i = 1; i < len; i++) {
		bool letter = (s[i] >= 'a' && s[i] <= 'z');
		bool inner = (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '.';

		if ((!letter && !inner) || (s[i - 1] == '.' && !letter))
			return false;
	}
	return s[len - 1] != '.';
}

/* Is one the section of the other: "tls" and "tls.cert"? */
static bool is_section_of(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strncmp(a, b, n) == 0 && b[n] == '.';
}

static int check_others(struct weir__check *c, const struct weir_table *t, uint32_t row)
{
	const struct weir_option *o = weir_table_row(t, row);

	for (uint32_t i = 0; i < row; i++) {
		const struct weir_option *p = weir_table_row(t, i);

		if (strcmp(p->name, o->name) == 0)
			return weir__bad(c, "option %u has the same name", i);
		if (is_section_of(p->name, o->name) || is_section_of(o->name, p->name))
			return weir__bad(c, "option %u (%s) is the section of the other", i, p->name);
		if (o->offset < (size_t)p->offset + values[p->type].size &&
		    p->offset < (size_t)o->offset + values[o->type].size)
			return weir__bad(c, "its value at %u overlaps that of option %u (%s) at %u",
			                 o->offset, i, p->name, p->offset);
	}
	return 0;
}

static int check_flags(struct weir__check *c, const struct weir_option *o)
{
	const uint32_t known = WEIR_OPTION_SECRET | WEIR_OPTION_POWER_OF_TWO | WEIR_OPTION_PATH;
	bool number = o->type == WEIR_OPT_UINT || o->type == WEIR_OPT_BYTES;

	if ((o->flags & ~known) || o->reserved)
		return weir__bad(c, "flags are %#x and reserved %#x, known flags are %#x", o->flags,
		                 o->reserved, known);
	if ((o->flags & WEIR_OPTION_POWER_OF_TWO) && !number)
		return weir__bad(c, "POWER_OF_TWO is for UINT and BYTES");
	if ((o->flags & WEIR_OPTION_PATH) && o->type != WEIR_OPT_STRING && o->type != WEIR_OPT_LIST)
		return weir__bad(c, "PATH is for STRING and LIST");
	if (o->type == WEIR_OPT_ENUM ? !weir__is_words(o->choices, weir__is_choice, WEIR__MAX_CHOICES)
	                             : o->choices != NULL)
		return weir__bad(c, "choices \"%s\": an enum needs different words, others none",
		                 weir__shown(o->choices));
	if (isnan(o->min) || isnan(o->max) || o->min > o->max)
		return weir__bad(c, "bounds are %g to %g", o->min, o->max);
	if (o->unit && !weir__is_unit(o->unit))
		return weir__bad(c, "unit must be a word, or \"\"");
	return 0;
}

static int check_option(struct weir__check *c, const struct weir_table *t, uint32_t row, size_t size)
{
	const struct weir_option *o = weir_table_row(t, row);
	size_t known = sizeof(values) / sizeof(values[0]);

	weir__at(c, "option %u (%s)", row, weir__shown(o->name));
	if (!is_key(o->name))
		return weir__bad(c, "name must be of a-z, 0-9 and _, with dots between sections");
	if (o->type >= known)
		return weir__bad(c, "type is %u, the last known is %zu", o->type, known - 1);
	if (o->offset > size || values[o->type].size > size - o->offset)
		return weir__bad(c, "bytes %u to %zu lie outside the %zu of the state", o->offset,
		                 (size_t)o->offset + values[o->type].size, size);
	if (o->offset % values[o->type].align)
		return weir__bad(c, "offset %u is no multiple of %u", o->offset, values[o->type].align);
	if (!weir__is_text(o->doc))
		return weir__bad(c, "doc must be printable text");
	if (check_flags(c, o) < 0)
		return -EINVAL;
	return check_others(c, t, row);
}

/* Parse every default into a scratch state. */
static int try_defaults(struct weir__check *c, const struct weir_table *t, size_t size)
{
	void *base = weir__zalloc(size);
	char err[256] = "";
	int r = 0;

	weir__at(c, NULL);
	if (!base) {
		weir__bad(c, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < t->count; i++) {
		const struct weir_option *o = weir_table_row(t, i);

		if (!o->def)
			continue;
		weir__at(c, "option %u (%s)", i, o->name);
		r = weir__option_set(o, base, o->def, err, sizeof(err));
		if (r == -ENOMEM)
			weir__bad(c, "out of memory");
		else if (r < 0)
			r = weir__bad(c, "default \"%s\" is not %s", weir__shown(o->def), err);
	}
	weir__options_free(t, base);
	weir__free(base);
	return r;
}

int weir__check_options(struct weir__check *c, const struct weir_table *t, size_t size)
{
	int r = weir__check_table(c, t, WEIR__TABLE_OPTIONS);

	for (uint32_t i = 0; r == 0 && i < t->count; i++)
		r = check_option(c, t, i, size);
	return r < 0 || t->count == 0 ? r : try_defaults(c, t, size);
}
