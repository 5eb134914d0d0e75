/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overrides: options that were set at run time (`weir set`, `enable`, `disable`). They
 * are one more layer of the configuration, above the environment:
 *
 *   default < file < environment < override
 *
 * A key may have several entries: one that lasts and one that ends at a time (`--for`),
 * each kept over a restart (`--persist`, in state_dir/overrides.json) or not. The last
 * of the list is in force; when it ends, the one before is again.
 *
 * Failure: -ENOMEM, -ENOSPC (too many); a bad file or entry is a warning and left out,
 * never a reason not to start. Main thread.
 */
#ifndef WEIR_CORE_OVERRIDES_H
#define WEIR_CORE_OVERRIDES_H

#include "diag.h"

/* More options than all plugins of a node have; what is more is a script run wild. */
#define WEIR__OVERRIDES_MAX 256
/* A list of names; the control socket takes 64 KiB at most anyway. */
#define WEIR__OVERRIDE_VALUE_MAX 4096
/* "plugins.NAME." and an option's name, see loader_option.c */
#define WEIR__OVERRIDE_KEY_MAX 160

/* Shown as the file's name in messages. */
#define WEIR__OVERRIDES_FILE "overrides.json"

struct weir__override {
	char *key;     /* "plugins.iomonitor.interval", "log.level" */
	char *value;   /* as a user writes it */
	double until;  /* wall clock, seconds since 1970; 0: lasting */
	bool persist;
	bool strict;   /* being set now: a mistake is an error, not a warning */
};

/* All zero is empty. */
struct weir__overrides {
	struct weir__override *items;
	size_t count;
};

void weir__overrides_fini(struct weir__overrides *o);
int weir__overrides_copy(struct weir__overrides *to, const struct weir__overrides *from);
/* The one in force for this key, or NULL. Valid until the next change. */
const struct weir__override *weir__override_find(const struct weir__overrides *o, const char *key);
/* until 0: for good, and what would have ended goes. Marked strict. -ENOMEM, -ENOSPC,
 * -E2BIG. */
int weir__override_set(struct weir__overrides *o, const char *key, const char *value,
                       double until, bool persist);
/* All entries of the key; false: there was none. */
bool weir__override_unset(struct weir__overrides *o, const char *key);
/* Drop what has ended by `now`; how many. */
size_t weir__overrides_expire(struct weir__overrides *o, double now);
/* When the next one ends; 0: none. */
double weir__overrides_next(const struct weir__overrides *o);
/* No entry is strict any more. */
void weir__overrides_accept(struct weir__overrides *o);
/* Do both keep the same over a restart? */
bool weir__overrides_same_kept(const struct weir__overrides *a, const struct weir__overrides *b);

/* The file's text; `name` (for messages) outlives the diags. Only -ENOMEM is an error. */
int weir__overrides_parse(const char *name, const char *text, size_t len, double now,
                          struct weir__diags *diags, struct weir__overrides *ret);
/* The entries to keep, as that text; weir__free it. NULL: no memory. */
char *weir__overrides_format(const struct weir__overrides *o);

/* From dir/overrides.json; no such file: none. dir "" keeps nothing. */
int weir__overrides_load(const char *dir, struct weir__diags *diags, struct weir__overrides *ret);
/* Written anew: a temporary file, synced, renamed; whoever reads sees the old or the new
 * one, after a power cut too. 0 or -errno. */
int weir__overrides_save(const char *dir, const struct weir__overrides *o);

#endif
