/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as text, by its schema: one JSON object, or one line for people. No
 * byte below 0x20, no 0x7f-0x9f and no broken UTF-8 gets through.
 */
#ifndef WEIR_CORE_FORMAT_H
#define WEIR_CORE_FORMAT_H

#include <weir/host.h>

/* snprintf-like: returns the full length, writes at most size, no newline.
 * fmt: enum weir_format. JSON: {"time":"...Z","collector":..,"topic":..,"event":..,
 * "source":..,fields...,"weight":n} (weight, quality, truncated only when they
 * say something). Any thread. */
size_t weir__format(const struct weir_batch *b, const struct weir_record *r, int fmt,
                    char *buf, size_t size);
/* s (at most max bytes, ends at NUL) as JSON string with its quotes; invalid
 * UTF-8 and control bytes become \u00XX. snprintf-like. */
size_t weir__json_string(const char *s, size_t max, char *buf, size_t size);
/* The same for a terminal: control bytes and broken UTF-8 as \xNN. */
size_t weir__escape(const char *s, size_t max, char *buf, size_t size);

#endif
