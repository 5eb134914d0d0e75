/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: errors and warnings about a text, collected so that all of them
 * are shown at once, each with file:line:column, the line, and a caret.
 */
#ifndef WEIR_CORE_DIAG_H
#define WEIR_CORE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct weir__mark {
	const char *file;    /* name shown; not owned: lives as long as the diags */
	size_t line, column; /* from 1; line 0: no position (environment, default) */
	size_t length;       /* width of the caret, in characters; 0 means 1 */
};

struct weir__diag {
	bool warning;
	struct weir__mark at;
	char *message; /* what is wrong and what was expected */
	char *hint;    /* "did you mean ...", the option's doc; or NULL */
	char *source;  /* the line, or NULL; a long one is cut */
	size_t caret;  /* where at.column is in source, from 0 */
};

/* Bounded: after 100, warnings after 50, the rest are only counted. */
struct weir__diags {
	struct weir__diag *items;
	size_t count, errors, more;
	bool oom; /* a diagnostic could not be kept; still an error */
};

static inline bool weir__diags_failed(const struct weir__diags *d)
{
	return d->errors || d->oom;
}

/* text: the whole file, or NULL; the line of `at` is copied out of it. Kept in
 * the order of lines; the same said twice at one place is kept once. */
__attribute__((format(printf, 6, 7))) void
weir__diag_add(struct weir__diags *d, bool warning, const struct weir__mark *at,
               const char *text, const char *hint, const char *fmt, ...);
void weir__diags_print(const struct weir__diags *d, FILE *f, bool colour);
/* One of them as weir__diags_print shows it, without colour; weir__free it. NULL: no
 * memory. */
char *weir__diag_text(const struct weir__diag *it);
void weir__diags_fini(struct weir__diags *d);

/* The entry of names (NULL-terminated) nearest to `word` by edit distance, or
 * NULL if none is near (at most a third of its length, at least 1). */
const char *weir__nearest(const char *word, const char *const *names);

#endif
