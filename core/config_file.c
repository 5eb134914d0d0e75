/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's file: read whole, into memory. Happy path: one open, a few
 * reads. Whatever prevents it is an error that says what to do. A pipe works, so
 * that `weir run -c <(generate)` does. The daemon's user may not be able to open again
 * what root could: then the descriptor kept from before is read, or what root's
 * `weir reload` brought along. Main thread.
 */
#include "config_priv.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A configuration has some KiB; what is larger is the wrong file. */
#define FILE_MAX (1024 * 1024)
#define CHUNK    65536

static const char *advice(int err)
{
	switch (err) {
	case ENOENT:
		return "create it, or leave out -c: then the built-in configuration is used";
	case EACCES:
	case EPERM:
		return "run as a user that may read it, or change its owner or mode";
	case EISDIR:
		return "name a file in that directory";
	case ESTALE:
		return "the daemon's user may not enter its directory: run `weir reload` as root, "
		       "which hands a new file without mistakes over (weir config check), or let that "
		       "user read it";
	case EFBIG:
		return "a configuration has at most 1 MiB; is this the right file?";
	default:
		return NULL;
	}
}

/* Everything up to the end; *ret is the caller's. */
static int read_all(int fd, char **ret, size_t *ret_len)
{
	size_t len = 0, room = 0;
	char *buf = NULL, *tmp;
	ssize_t n = 1;
	int rc = 0;

	while (n > 0 && !rc) {
		if (len == room) {
			room += CHUNK;
			tmp = weir__realloc(buf, room);
			if (!tmp) {
				rc = -ENOMEM;
				break;
			}
			buf = tmp;
		}
		n = read(fd, buf + len, room - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			rc = -errno;
		else
			len += (size_t)n;
		if (len > FILE_MAX)
			rc = -EFBIG;
	}
	if (rc) {
		weir__free(buf);
		return rc;
	}
	*ret = buf;
	*ret_len = len;
	return 0;
}

/* Where relative paths begin: the file's directory, absolute, so that they mean the
 * same wherever they are used. Heap; NULL: no memory. */
static char *directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char full[PATH_MAX], *dir, *shown;

	if (!slash)
		dir = weir__strdup(".");
	else
		dir = weir__strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!dir || !realpath(dir, full))
		return dir;
	shown = weir__strdup(full);
	weir__free(dir);
	return shown;
}

/* What stands in for a file that cannot be opened any more. */
static struct {
	char *path;        /* as the configuration was named */
	char *full;        /* the same, absolute */
	int fd;            /* while path is set */
	const char *offer; /* the caller's, during one reload */
} kept;

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void weir__config_keep_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *dir = directory(path);
	struct stat st;

	if (fd >= 0 && dir && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
		kept.path = weir__strdup(path);
		kept.full = weir__sprintf("%s/%s", strcmp(dir, "/") ? dir : "", base(path));
		kept.fd = fd;
	}
	weir__free(dir);
	if (fd >= 0 && !kept.path)
		close(fd); /* then it is read by its path, or not at all */
}

const char *weir__config_kept(void)
{
	return kept.full;
}

void weir__config_offer(const char *text)
{
	kept.offer = text;
}

/* Has the file left its name? Its link says so where /proc lets us look. */
static bool moved(const struct stat *now)
{
	char link[40], at[PATH_MAX];
	ssize_t n;

	if (!now->st_nlink)
		return true;
	snprintf(link, sizeof link, "/proc/self/fd/%d", kept.fd);
	n = readlink(link, at, sizeof at - 1);
	if (n <= 0)
		return false;
	at[n] = 0;
	return strcmp(base(at), base(kept.path)) != 0;
}

static int read_kept(const char *path, char **ret, size_t *ret_len)
{
	struct stat now;

	if (!kept.path || strcmp(path, kept.path) != 0)
		return -EACCES;
	if (kept.offer) {
		*ret_len = strlen(kept.offer);
		*ret = weir__strndup(kept.offer, *ret_len);
		return *ret ? 0 : -ENOMEM;
	}
	if (fstat(kept.fd, &now) || lseek(kept.fd, 0, SEEK_SET) < 0)
		return -errno;
	return moved(&now) ? -ESTALE : read_all(kept.fd, ret, ret_len);
}

int weir__config_read_file(const char *path, char **ret, size_t *ret_len)
{
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else
		rc = read_all(fd, ret, ret_len);
	close(fd);
	return rc;
}

int weir__config_read(const char *path, struct weir__diags *diags, struct weir__config **ret)
{
	const struct weir__mark at = { .file = path };
	char *text = NULL, *dir;
	size_t len = 0;
	int rc;

	if (!path)
		return weir__config_read_text("(built-in)", NULL, weir__config_default,
		                              strlen(weir__config_default), diags, ret);
	rc = weir__config_read_file(path, &text, &len);
	if (rc == -EACCES)
		rc = read_kept(path, &text, &len);
	if (rc) {
		diags->oom |= rc == -ENOMEM;
		if (rc != -ENOMEM)
			weir__diag_add(diags, false, &at, NULL, advice(-rc),
			               "cannot read the configuration: %s",
			               rc == -ESTALE ? "the file was replaced by another" : strerror(-rc));
		return rc;
	}
	dir = directory(path);
	rc = dir ? weir__config_read_text(path, dir, text, len, diags, ret) : -ENOMEM;
	diags->oom |= rc == -ENOMEM;
	weir__free(dir);
	weir__free(text);
	return rc;
}

int weir__config_read_again(const struct weir__config *old, struct weir__diags *diags,
                            struct weir__config **ret)
{
	return weir__config_read(weir__config_has_file(old) ? old->name : NULL, diags, ret);
}
