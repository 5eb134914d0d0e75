/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words with a blank between them, as descriptors have. Any thread. */
#ifndef WEIR_CORE_WORDS_H
#define WEIR_CORE_WORDS_H

#include <stdbool.h>
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

#endif
