/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference of two configurations, value by value. A struct is never compared as
 * bytes: there is padding in it, and strings are pointers. Cannot fail. Any thread.
 */
#include "reload.h"
#include "host.h"

#include <string.h>

const char *weir__change_name(enum weir__change c)
{
	static const char *const names[] = {
#define X(id, name, doc) [WEIR__CHANGE_##id] = name,
		WEIR__CHANGES(X)
#undef X
	};

	return c < WEIR__CHANGE_COUNT ? names[c] : "?";
}

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_list(const struct weir_strings *a, const struct weir_strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]))
			return false;
	return true;
}

bool weir__option_same(const struct weir_option *opt, const void *base_a, const void *base_b)
{
	const void *a = (const char *)base_a + opt->offset, *b = (const char *)base_b + opt->offset;

	switch (opt->type) {
	case WEIR_OPT_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case WEIR_OPT_INT:
		return *(const int64_t *)a == *(const int64_t *)b;
	case WEIR_OPT_UINT:
	case WEIR_OPT_BYTES:
	case WEIR_OPT_DURATION:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case WEIR_OPT_DOUBLE:
		/* As it was written, so bit by bit; no option takes a NaN. */
		return !memcmp(a, b, sizeof(double));
	case WEIR_OPT_ENUM:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	case WEIR_OPT_STRING:
		return same_text(*(const char *const *)a, *(const char *const *)b);
	case WEIR_OPT_LIST:
		return same_list(a, b);
	default:
		return false; /* a type of a later ABI: rather a restart too many */
	}
}

const struct weir_option *weir__table_diff(const struct weir_table *t, const void *a,
                                           const void *b, uint32_t *at)
{
	const struct weir_option *opt;

	while ((opt = weir_table_row(t, *at))) {
		(*at)++;
		if (!weir__option_same(opt, a, b))
			return opt;
	}
	return NULL;
}

/* May it change while the plugin runs? */
static bool is_live(const struct weir_option *opt, const struct weir_plugin_desc *d)
{
	if (opt->reserved & WEIR__OPTION_LIVE)
		return true;
	return opt->offset == offsetof(struct weir__common_config, sources) && d && weir__desc_switches(d);
}

enum weir__change weir__settings_diff(const struct weir__settings *from,
                                      const struct weir__settings *to)
{
	enum weir__change change = WEIR__CHANGE_UNCHANGED;
	const struct weir_option *opt;
	uint32_t at = 0;

	if (from->common.enabled != to->common.enabled)
		return to->common.enabled ? WEIR__CHANGE_ENABLED : WEIR__CHANGE_DISABLED;
	if (from->desc != to->desc)
		change = WEIR__CHANGE_RESTARTED;
	while ((opt = weir__table_diff(&weir__common_options, &from->common, &to->common, &at)))
		if (!is_live(opt, to->desc))
			change = WEIR__CHANGE_RESTARTED;
		else if (change == WEIR__CHANGE_UNCHANGED)
			change = WEIR__CHANGE_UPDATED;
	at = 0;
	if (from->desc == to->desc && to->desc &&
	    weir__table_diff(&to->desc->options, from->values, to->values, &at))
		change = WEIR__CHANGE_RESTARTED;
	if (change == WEIR__CHANGE_RESTARTED && !to->common.enabled)
		change = WEIR__CHANGE_UPDATED; /* nothing of it runs */
	return change;
}
