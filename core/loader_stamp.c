/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library's file told from another. The times say whether it can have changed; if they
 * differ, the content says whether it has (a package manager that sets a mode, a `touch`).
 * The hash is FNV-1a: whoever may write the file may as well write a plugin, so it need
 * not stand up to an attacker. Happy path: no read at all. -errno from the reads.
 * Main thread.
 */
#include "loader_stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 16384

void weir__stamp_of(const struct stat *st, struct weir__stamp *ret)
{
	*ret = (struct weir__stamp){ .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size,
	                             .mtime = st->st_mtim, .ctime = st->st_ctim };
}

bool weir__stamp_same_inode(const struct weir__stamp *a, const struct weir__stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool weir__stamp_same(const struct weir__stamp *a, const struct weir__stamp *b)
{
	return weir__stamp_same_inode(a, b) && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

/* Bytes at `at`, 0 at the end, or -errno. */
static ssize_t read_at(int fd, unsigned char *buf, off_t at)
{
	ssize_t n;

	do
		n = pread(fd, buf, CHUNK, at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int weir__stamp_hash(int fd, struct weir__stamp *s)
{
	unsigned char buf[CHUNK];
	uint64_t h = 0xcbf29ce484222325u;
	off_t at = 0;
	ssize_t n;

	while ((n = read_at(fd, buf, at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ buf[i]) * 0x100000001b3u;
		at += n;
	}
	if (n < 0)
		return (int)n;
	s->hash = h;
	return 0;
}

static int write_all(int fd, const unsigned char *buf, ssize_t left)
{
	while (left > 0) {
		ssize_t n = write(fd, buf, (size_t)left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			buf += n;
			left -= n;
		}
	}
	return 0;
}

int weir__stamp_copy(int fd)
{
	unsigned char buf[CHUNK];
	int copy = memfd_create("weir-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 0;
	off_t at = 0;
	ssize_t n = 1;

	if (copy < 0)
		return -errno;
	while (!rc && (n = read_at(fd, buf, at)) > 0) {
		rc = write_all(copy, buf, n);
		at += n;
	}
	if (!rc && n < 0)
		rc = (int)n;
	if (!rc && fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		rc = -errno;
	if (rc) {
		close(copy);
		return rc;
	}
	return copy;
}
