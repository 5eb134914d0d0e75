/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file a library was loaded from: by its inode, and by what its times, size and
 * content were. Main thread.
 */
#ifndef WEIR_CORE_LOADER_STAMP_H
#define WEIR_CORE_LOADER_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct weir__stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	uint64_t hash; /* of the content; 0 until weir__stamp_hash */
};

void weir__stamp_of(const struct stat *st, struct weir__stamp *ret);
bool weir__stamp_same_inode(const struct weir__stamp *a, const struct weir__stamp *b);
/* Untouched since: nothing need be read. */
bool weir__stamp_same(const struct weir__stamp *a, const struct weir__stamp *b);
/* 0 or -errno. */
int weir__stamp_hash(int fd, struct weir__stamp *s);
/* The content in a new, sealed file in memory: its descriptor, or -errno. */
int weir__stamp_copy(int fd);

#endif
