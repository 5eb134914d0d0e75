/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the loader's files: how a check says what it found, and the patterns
 * that names in a descriptor follow. None of it allocates, except the trial of
 * options' defaults.
 */
#ifndef WEIR_CORE_LOADER_CHECK_H
#define WEIR_CORE_LOADER_CHECK_H

#include "loader_desc.h"
#include "words.h"
#include <stdbool.h>

#define WEIR__MAX_CHOICES 256 /* values of an ENUM8 */

/* Where a refusal goes. */
struct weir__refused {
	int *refusal; /* enum weir__refusal */
	char *reason;
	size_t size;
};
/* Write "abi-major: ..." and return err. */
__attribute__((format(printf, 4, 5))) int
weir__refuse(const struct weir__refused *out, int refusal, int err, const char *fmt, ...);

struct weir__check {
	char *reason;
	size_t size;
	char at[160]; /* the row being looked at */
};

/* Where we are: "schema 2 (io_read)"; NULL: nowhere in particular. */
__attribute__((format(printf, 2, 3))) void weir__at(struct weir__check *c, const char *fmt, ...);
/* Write "AT: ..." to the reason. Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int weir__bad(struct weir__check *c, const char *fmt, ...);
/* A string of the plugin's for a message: escaped, cut at 64 bytes, "(none)" for
 * NULL. Valid until four calls later; per thread. */
const char *weir__shown(const char *s);

/* Rows there, none too short, not too many. */
int weir__check_table(struct weir__check *c, const struct weir_table *t, enum weir__table_id id);
/* Names, types, offsets inside size bytes, bounds, and that defaults parse. */
int weir__check_options(struct weir__check *c, const struct weir_table *t, size_t size);

/* NULL is fine for all of these, and none of them. */
bool weir__is_plugin_name(const char *s); /* [a-z][a-z0-9-]{0,30} */
bool weir__is_semver(const char *s);
bool weir__is_text(const char *s);        /* printable, not empty, under 1 KiB */
bool weir__is_unit(const char *s);        /* printable without space, or "" */
bool weir__is_snake(const char *s);       /* [a-z][a-z0-9_]{0,127} */
bool weir__is_mount(const char *s);
/* For words in a list. */
bool weir__is_topic(const char *s, size_t len);
bool weir__is_choice(const char *s, size_t len);
bool weir__is_label(const char *s, size_t len);
bool weir__is_identifier(const char *s, size_t len);
/* 1 to max different words, each `ok`, one space between them. */
bool weir__is_words(const char *s, bool (*ok)(const char *, size_t), unsigned int max);

#endif
