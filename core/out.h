/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a query's answer is written: a bounded, growing text. An error sticks, so
 * that a plugin need not check each write.
 */
#ifndef WEIR_CORE_OUT_H
#define WEIR_CORE_OUT_H

#include <stdarg.h>
#include <stddef.h>

/* 4 MiB: an exposition of 4096 series with long labels is about 1 MB. */
#define WEIR__OUT_MAX (4u << 20)

struct weir_out {
	char *text; /* weir__free; NUL-terminated once something was written */
	size_t len, capacity;
	int err;    /* -EFBIG, -ENOMEM */
};

void weir__out_write(struct weir_out *out, const void *data, size_t len);
void weir__out_vprintf(struct weir_out *out, const char *fmt, va_list ap);
void weir__out_json_string(struct weir_out *out, const char *s, size_t max);

#endif
