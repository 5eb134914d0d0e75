/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile plugin obeys a file: lines "WHERE WHAT", where WHERE is a callback and
 * WHAT one of
 *   fail     return -EIO, with a sentence      refuse   -EINVAL, the same
 *   hang     do not come back until the line is gone
 *   spin     the same, keeping the CPU busy
 *   segv     write where nothing is            abort    call abort()
 * No file, or no such line: behave. It is read in each callback, so a test may change
 * its mind while the plugin runs (rename a new file over it).
 */
#ifndef WEIR_TESTS_HOSTILE_ORDERS_H
#define WEIR_TESTS_HOSTILE_ORDERS_H

#include <weir/weir.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Is there a line "where what"? */
static inline bool ordered(struct weir_plugin *p, const char *path, const char *where, const char *what)
{
	char text[512], line[64];
	ssize_t n = *path ? p->host->read_file(p, path, text + 1, sizeof text - 2) : 0;

	if (n <= 0)
		return false;
	text[0] = '\n';
	text[n + 1] = 0;
	snprintf(line, sizeof line, "\n%s %s\n", where, what);
	return strstr(text, line);
}

static inline int obey(struct weir_plugin *p, const char *path, const char *where)
{
	struct timespec nap = { 0, 5000000 };
	int *volatile nothing = (int *)8;

	if (ordered(p, path, where, "fail"))
		return weir_fail(p, -EIO, "it was told to fail in %s", where);
	if (ordered(p, path, where, "refuse"))
		return weir_fail(p, -EINVAL, "it was told to refuse %s", where);
	while (ordered(p, path, where, "hang"))
		nanosleep(&nap, NULL);
	while (ordered(p, path, where, "spin"))
		;
	if (ordered(p, path, where, "segv"))
		*nothing = 1;
	if (ordered(p, path, where, "abort"))
		abort();
	return 0;
}

#endif
