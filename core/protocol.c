/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers for what is said over the control socket: text from outside into JSON,
 * which takes valid UTF-8 only. No memory gives NULL, as jansson does. Any thread.
 */
#include "protocol.h"
#include "mem.h"

#include <string.h>

void weir__json_setup(void)
{
	json_set_alloc_funcs(weir__alloc, weir__free);
}

json_t *weir__json_text(const char *s)
{
	size_t len, ok = 0;
	char *copy;
	json_t *j;

	if (!s)
		return json_null();
	len = strlen(s);
	j = json_stringn(s, len);
	if (j)
		return j;
	copy = weir__strdup(s);
	if (!copy)
		return NULL;
	/* Let jansson judge: the shortest of 1 to 4 bytes that it takes is a character. */
	while (ok < len) {
		size_t n = 1;

		while (n <= 4 && ok + n <= len) {
			j = json_stringn(copy + ok, n);
			if (j)
				break;
			n++;
		}
		if (j) {
			ok += n;
			json_decref(j);
			j = NULL;
		} else {
			copy[ok++] = '?';
		}
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
