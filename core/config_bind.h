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
};

/* Defaults, then the section (NULL: none), then the environment. What is wrong
 * goes into the diagnostics. 0, -ENOMEM, or -EINVAL for a bad default; the bases
 * are the caller's to free in any case. */
int weir__bind(struct weir__binder *b, const struct weir__node *section);

#endif
