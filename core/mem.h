/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the daemon: every allocation goes through here, so that a test can
 * fail the n-th one and count what is left. Any thread.
 */
#ifndef WEIR_CORE_MEM_H
#define WEIR_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* All return NULL when memory is short (or the fault loop says so). */
void *weir__alloc(size_t size);
void *weir__zalloc(size_t size);
void *weir__realloc(void *ptr, size_t size); /* the old block stays on failure */
char *weir__strdup(const char *s);
char *weir__strndup(const char *s, size_t n);
__attribute__((format(printf, 1, 2))) char *weir__sprintf(const char *fmt, ...);
void weir__free(void *ptr);

/* Tests only: fail the n-th allocation from now (0 = the next); -1: none.
 * Returns how many allocations were asked for since the last call. */
long weir__mem_fail_at(long n);
/* Blocks alive now. A test compares before and after. */
long weir__mem_live(void);

#endif
