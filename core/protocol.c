/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers for what is said over the control socket: text from outside into JSON,
 * which takes valid UTF-8 only. No memory gives NULL, as jansson does. Any thread.
 */
#include "protocol.h"
#include "format_text.h"
#include "mem.h"

#include <string.h>

void weir__json_setup(void)
{
	json_set_alloc_funcs(weir__alloc, weir__free);
}

json_t *weir__json_text(const char *s)
{
	size_t len, at = 0, n;
	uint32_t code;
	char *copy;
	json_t *j;

	if (!s)
		return json_null();
	len = strlen(s);
	copy = weir__strdup(s);
	if (!copy)
		return NULL;
	while (at < len) {
		n = weir__utf8((unsigned char *)copy + at, len - at, &code);
		if (!n)
			copy[at] = '?';
		at += n ? n : 1;
	}
	j = json_stringn(copy, len);
	weir__free(copy);
	return j;
}

json_t *weir__protocol_error(const char *error, const char *hint)
{
	json_t *e = weir__json_text(error), *h = weir__json_text(hint);

	/* Takes both, even when it fails. */
	return hint ? json_pack("{s:b, s:o, s:o}", "ok", 0, "error", e, "hint", h)
	            : json_pack("{s:b, s:o}", "ok", 0, "error", e);
}
