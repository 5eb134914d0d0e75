/* SPDX-License-Identifier: Apache-2.0 */
/* Growing, bounded text of a query's answer; see out.h. Any one thread. */
#include "out.h"
#include "format.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Room for len more and a NUL, or the error. */
static char *grow(struct weir_out *out, size_t len)
{
	size_t want = out->len + len + 1, capacity = out->capacity ? out->capacity : 1024;
	char *text;

	if (out->err)
		return NULL;
	if (len > WEIR__OUT_MAX || want > WEIR__OUT_MAX) {
		out->err = -EFBIG;
		return NULL;
	}
	while (capacity < want)
		capacity *= 2;
	if (capacity != out->capacity) {
		text = weir__realloc(out->text, capacity);
		if (!text) {
			out->err = -ENOMEM;
			return NULL;
		}
		out->text = text;
		out->capacity = capacity;
	}
	return out->text + out->len;
}

void weir__out_write(struct weir_out *out, const void *data, size_t len)
{
	char *at = grow(out, len);

	if (!at)
		return;
	memcpy(at, data, len);
	at[len] = 0;
	out->len += len;
}

void weir__out_vprintf(struct weir_out *out, const char *fmt, va_list ap)
{
	char small[512], *at;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof small, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof small)
		weir__out_write(out, small, (size_t)n);
	else if (n >= 0 && (at = grow(out, (size_t)n))) {
		vsnprintf(at, (size_t)n + 1, fmt, again);
		out->len += (size_t)n;
	}
	va_end(again);
}

void weir__out_json_string(struct weir_out *out, const char *s, size_t max)
{
	/* A byte becomes six at most (\u00XX), and there are two quotes. */
	size_t most = 6 * strnlen(s, max) + 2;
	char *at = grow(out, most + 1);

	if (at)
		out->len += weir__json_string(s, max, at, most + 1);
}
