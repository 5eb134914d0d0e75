/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overrides' file. Happy path: one small file read whole at the start; written to a
 * temporary one beside it, synced, renamed over it, the directory synced.
 *
 * Failure: reading never fails but for memory (a file that is not ours, too large or not
 * to be read is a warning); writing gives -errno, and the old file stays. Main thread.
 */
#include "overrides.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As many entries as may be, each with its value: 256 x (4096 + 160), escaped. */
#define FILE_MAX (4 * 1024 * 1024)

static const struct weir__mark at_file = { .file = WEIR__OVERRIDES_FILE };

static void warn(struct weir__diags *diags, const char *dir, const char *why)
{
	weir__diag_add(diags, true, &at_file, NULL, "what was set with --persist is not in force",
	               "in %s: %s", dir, why);
}

/* Whoever may write this file may change what a daemon with rights does. The directory
 * is the daemon's user's, who writes it; root reads it at the next start. */
static const char *judge(const struct stat *dir, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != dir->st_uid)
		return "belongs to neither root nor the daemon's user";
	if ((st->st_mode | dir->st_mode) & 022)
		return "others may write it or its directory (chmod go-w)";
	if (st->st_size > FILE_MAX)
		return "too large: at most 4 MiB";
	return NULL;
}

/* -errno; 0 with *ret, the caller's. */
static int read_fd(int fd, size_t size, char **ret, size_t *ret_len)
{
	char *buf = weir__alloc(size + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (!buf)
		return -ENOMEM;
	while (len < size && n > 0) {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n < 0) {
		n = -errno;
		weir__free(buf);
		return (int)n;
	}
	*ret = buf;
	*ret_len = len;
	return 0;
}

/* Everything of the file, or why not: -errno, or *ret_wrong. -ENOENT: there is none. */
static int read_file(const char *dir, const char **ret_wrong, char **ret, size_t *ret_len)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, rc = 0;
	struct stat dir_st, st;

	if (at < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	fd = openat(at, WEIR__OVERRIDES_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(at, &dir_st) || fstat(fd, &st))
		rc = -errno;
	close(at);
	if (!rc)
		*ret_wrong = judge(&dir_st, &st);
	if (!rc && !*ret_wrong)
		rc = read_fd(fd, (size_t)st.st_size, ret, ret_len);
	if (fd >= 0)
		close(fd);
	return rc;
}

int weir__overrides_load(const char *dir, struct weir__diags *diags, struct weir__overrides *ret)
{
	const char *wrong = NULL;
	char *text = NULL;
	struct timespec now;
	size_t len = 0;
	int rc;

	memset(ret, 0, sizeof *ret);
	rc = *dir ? read_file(dir, &wrong, &text, &len) : -ENOENT;
	if (rc == -ENOENT)
		return 0;
	if (rc == -ENOMEM) {
		diags->oom = true;
		return rc;
	}
	if (rc || wrong) {
		warn(diags, dir, rc ? strerror(-rc) : wrong);
		return diags->oom ? -ENOMEM : 0;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	rc = weir__overrides_parse(WEIR__OVERRIDES_FILE, text, len, (double)now.tv_sec, diags, ret);
	diags->oom |= rc == -ENOMEM;
	weir__free(text);
	return rc;
}

static int write_fd(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;
}

/* The new file in its place, durably. */
static int replace(int dir, const char *text)
{
	static const char temp[] = "." WEIR__OVERRIDES_FILE ".new";
	int fd, rc;

	/* what a crash has left there */
	if (unlinkat(dir, temp, 0) && errno != ENOENT)
		return -errno;
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_fd(fd, text);
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && renameat(dir, temp, dir, WEIR__OVERRIDES_FILE))
		rc = -errno;
	if (rc)
		unlinkat(dir, temp, 0);
	else if (fsync(dir))
		rc = -errno;
	return rc;
}

int weir__overrides_save(const char *dir, const struct weir__overrides *o)
{
	char *text;
	int fd, rc;

	if (!*dir)
		return -ENOENT;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	text = weir__overrides_format(o);
	rc = text ? replace(fd, text) : -ENOMEM;
	weir__free(text);
	close(fd);
	return rc;
}
