/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One section of the configuration against one or two tables of options.
 */
#ifndef WEIR_CORE_CONFIG_BIND_H
#define WEIR_CORE_CONFIG_BIND_H

#include "config_priv.h"

struct weir__target {
	const struct weir_table *opts; /* NULL: none */
	void *base;                    /* zeroed */
};

struct weir__binder {
	struct weir__config *config;
	struct weir__diags *diags;
	const char *prefix;            /* "" or "plugins.NAME" */
	struct weir__target target[2]; /* the first has precedence */
	uint32_t kind;                 /* enum weir_kind; 0: not known (yet) */
	bool partial;                  /* other keys may belong to tables not known yet */
	const bool *enabled;           /* if false in the end, nothing is required */
	bool warn;                     /* mistakes are warnings: those of kept overrides */
};

/* Defaults, then the section (NULL: none), the environment, the overrides. What is wrong
 * goes into the diagnostics. 0, -ENOMEM, or -EINVAL for a bad default; the bases
 * are the caller's to free in any case. */
int weir__bind(struct weir__binder *b, const struct weir__node *section);

/* config_override.c: the overrides below the prefix, on top of what is bound. */
int weir__bind_overrides(struct weir__binder *b);

/* A row by its name below the prefix, if need be one of another kind; or NULL. */
const struct weir_option *weir__bind_find(const struct weir__binder *b, const char *rel,
                                          const struct weir__target **ret);
/* A relative path is to the file. Takes *text, a heap string. 0 or -ENOMEM. */
int weir__bind_resolve(const struct weir__binder *b, const struct weir_option *opt, char **text);
/* Complaints: what was expected (text: what was written, or NULL), a key that no table
 * has (rel: its section, path: it below the prefix), a key for plugins of another kind. */
void weir__bind_expected(struct weir__binder *b, const struct weir_option *opt, const char *key,
                         const struct weir__mark *at, const char *text, const char *instead);
void weir__bind_unknown(struct weir__binder *b, const struct weir__node *n, const char *rel,
                        const char *path);
void weir__bind_wrong_kind(struct weir__binder *b, const struct weir__node *n,
                           const struct weir_option *opt, const char *key);

#endif
