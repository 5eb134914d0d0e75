/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is between two configurations. Pure: looks at values by their tables, touches
 * nothing. The supervisor acts on it (sup_apply.c), the daemon tells it (daemon_live.c).
 * Any thread.
 */
#ifndef WEIR_CORE_RELOAD_H
#define WEIR_CORE_RELOAD_H

#include "config.h"

/* What becomes of a plugin: id, word of the protocol, doc. */
#define WEIR__CHANGES(X)                                                       \
	X(UNCHANGED, "unchanged", "not touched")                               \
	X(UPDATED,   "updated",   "new values are in force, it went on running") \
	X(RESTARTED, "restarted", "stopped, and started with its new section") \
	X(ADDED,     "added",     "taken in and started")                      \
	X(REMOVED,   "removed",   "stopped and forgotten")                     \
	X(ENABLED,   "enabled",   "switched on")                               \
	X(DISABLED,  "disabled",  "switched off")

enum weir__change {
#define X(id, name, doc) WEIR__CHANGE_##id,
	WEIR__CHANGES(X)
#undef X
	WEIR__CHANGE_COUNT
};
const char *weir__change_name(enum weir__change c);

/* Same value? By the row's type; strings and lists by their content. */
bool weir__option_same(const struct weir_option *opt, const void *a, const void *b);
/* The first row from *at on whose values differ, or NULL; *at goes behind it. */
const struct weir_option *weir__table_diff(const struct weir_table *t, const void *a,
                                           const void *b, uint32_t *at);
/* From one section to the next of the same plugin. A library that was loaded anew, or
 * taken away (desc NULL), makes it RESTARTED. One that is off before and after is
 * UPDATED at most. */
enum weir__change weir__settings_diff(const struct weir__settings *from,
                                      const struct weir__settings *to);

#endif
