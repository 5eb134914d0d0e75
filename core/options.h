/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option values: text to typed value and back, by the declared table.
 */
#ifndef WEIR_CORE_OPTIONS_H
#define WEIR_CORE_OPTIONS_H

#include <weir/option.h>

/* Parse `text` into base + opt->offset. Strings and lists are allocated
 * (weir__mem); free them with weir__options_free. On error returns -EINVAL,
 * -ERANGE or -ENOMEM, writes nothing, and puts into err what was expected:
 * "a duration such as 250ms, 10s or 5m". */
int weir__option_set(const struct weir_option *opt, void *base, const char *text,
                     char *err, size_t err_size);
/* The same for a list given as items. */
int weir__option_set_list(const struct weir_option *opt, void *base,
                          const char *const *items, size_t count, char *err, size_t err_size);
/* All defaults. -EINVAL with err if a default does not parse (a plugin's bug). */
int weir__options_defaults(const struct weir_table *opts, void *base, char *err, size_t err_size);
void weir__options_free(const struct weir_table *opts, void *base);
/* The value as a user would write it ("512KiB", "10s", "a,b"). snprintf-like.
 * Secrets give "***". */
size_t weir__option_format(const struct weir_option *opt, const void *base, char *buf, size_t size);
/* Row by name, or NULL. */
const struct weir_option *weir__option_find(const struct weir_table *opts, const char *name);
/* What a user may write, for messages: "a duration such as 250ms, 10s or 5m, at
 * least 100ms". snprintf-like. */
size_t weir__option_expected(const struct weir_option *opt, char *buf, size_t size);
/* A number of this option's type as a user would write it: "64KiB", "1m30s". */
size_t weir__option_number(const struct weir_option *opt, double value, char *buf, size_t size);
/* "duration", "bytes", "one of a, b, c" ... for docs. */
size_t weir__option_type_text(const struct weir_option *opt, char *buf, size_t size);

/* Arguments of a query: words "name=value". err says which and why. */
int weir__options_parse_args(const struct weir_table *opts, void *base,
                             const char *const *words, size_t count, char *err, size_t err_size);

#endif
