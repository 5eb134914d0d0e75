/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words with a blank between them, as descriptors have. Any thread. */
#ifndef WEIR_CORE_WORDS_H
#define WEIR_CORE_WORDS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Is the word, of n bytes, in the list? NULL has none. */
static inline bool weir__has_word(const char *list, const char *word, size_t n)
{
	while (n && list && *list) {
		size_t m = strcspn(list, " ");

		if (m == n && !memcmp(list, word, n))
			return true;
		list += m + (list[m] == ' ');
	}
	return false;
}

/* The word at *at, which moves behind it; cut to size - 1 bytes. false: there is none left.
 * NULL has none. */
static inline bool weir__next_word(const char **at, char *word, size_t size)
{
	size_t n;

	if (!*at || !**at)
		return false;
	n = strcspn(*at, " ");
	snprintf(word, size, "%.*s", (int)n, *at);
	*at += n + ((*at)[n] == ' ');
	return true;
}

#endif
