/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the daemon. One counter of live blocks and one fault point, both
 * atomic, in front of malloc: cheap enough to stay on in production.
 */
#include "mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic long fail_at = -1;
static _Atomic long asked;
static _Atomic long live;

static int must_fail(void)
{
	long n = atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);

	return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

long weir__mem_fail_at(long n)
{
	long was = atomic_exchange(&asked, 0);

	atomic_store(&fail_at, n);
	return was;
}

long weir__mem_live(void)
{
	return atomic_load(&live);
}

void *weir__realloc(void *ptr, size_t size)
{
	void *q;

	if (must_fail())
		return NULL;
	q = realloc(ptr, size ? size : 1);
	if (q && !ptr)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return q;
}

void *weir__alloc(size_t size)
{
	return weir__realloc(NULL, size);
}

void *weir__zalloc(size_t size)
{
	void *p;

	if (must_fail())
		return NULL;
	p = calloc(1, size ? size : 1);
	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

char *weir__strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = weir__alloc(len + 1);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

char *weir__strdup(const char *s)
{
	return weir__strndup(s, strlen(s));
}

char *weir__sprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !(p = weir__alloc((size_t)n + 1)))
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void weir__free(void *ptr)
{
	if (!ptr)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	free(ptr);
}
