/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's file: made so that at no time more people than meant can
 * open it, a dead daemon's leftover replaced, a live daemon's left alone.
 *
 * Happy path: directory (0750) if missing, no one answers there, unlink, bind with
 * mode 0600, give it its group, then mode 0660, then listen. Every failure is
 * -errno and one sentence with what to do; nothing is left. Main thread, at start.
 */
#include "control_private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections waiting to be accepted; the loop accepts at once. */
#define BACKLOG 16

__attribute__((format(printf, 4, 5))) static int
fail(char *err, size_t size, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return code;
}

int weir__control_address(const char *path, struct sockaddr_un *ret, char *err, size_t size)
{
	size_t len = strlen(path);

	if (!len || len >= sizeof ret->sun_path)
		return fail(err, size, -ENAMETOOLONG,
		            "control socket path of %zu bytes: the kernel takes 1 to %zu; "
		            "choose a shorter control.socket", len, sizeof ret->sun_path - 1);
	memset(ret, 0, sizeof *ret);
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, path, len);
	return 0;
}

static int group_id(const char *group, gid_t *ret, char *err, size_t size)
{
	struct group gr, *found = NULL;
	char buf[16384], *end; /* a group's line with its members; longer is -ERANGE */
	unsigned long n;
	int r;

	if (!group || !*group) {
		*ret = (gid_t)-1;
		return 0;
	}
	n = strtoul(group, &end, 10);
	if (!*end && n < (gid_t)-1) {
		*ret = (gid_t)n;
		return 0;
	}
	r = getgrnam_r(group, &gr, buf, sizeof buf, &found);
	if (r)
		return fail(err, size, -r, "control.group: cannot look up \"%s\": %s; "
		            "give the group's number", group, strerror(r));
	if (!found)
		return fail(err, size, -EINVAL,
		            "control.group: no group \"%s\": create it (groupadd --system %s), "
		            "or leave the option empty", group, group);
	*ret = gr.gr_gid;
	return 0;
}

static int make_directory(const char *path, gid_t gid, char *err, size_t size)
{
	char dir[sizeof ((struct sockaddr_un *)0)->sun_path];
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = 0;
	if (mkdir(dir, 0750) == 0) {
		if (gid != (gid_t)-1 && chown(dir, (uid_t)-1, gid) != 0)
			return fail(err, size, -errno, "cannot give %s to the group of "
			            "control.group: %s; run as root or as a member", dir, strerror(errno));
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	return fail(err, size, -errno, "cannot create %s for the control socket: %s; "
	            "run as root, or set control.socket to a place you may write", dir, strerror(errno));
}

/* Replace what a dead daemon left; anything else stays. */
static int clear_path(const char *path, const struct sockaddr_un *addr, char *err, size_t size)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0
		       : fail(err, size, -errno, "control socket %s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(err, size, -EEXIST, "%s exists and is not a socket: "
		            "remove it, or set control.socket to another path", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, size, -errno, "control socket: %s", strerror(errno));
	r = connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 ? 0 : -errno;
	close(fd);
	/* -EAGAIN: its backlog is full, so there is someone. */
	if (r == 0 || r == -EAGAIN)
		return fail(err, size, -EADDRINUSE, "another weir answers at %s: stop it, "
		            "or set control.socket to another path", path);
	if (r != -ECONNREFUSED)
		return fail(err, size, r, "control socket %s: %s; remove it, or set "
		            "control.socket to another path", path, strerror(-r));
	if (unlink(path) != 0 && errno != ENOENT)
		return fail(err, size, -errno, "cannot replace the old control socket %s: %s; "
		            "remove it", path, strerror(errno));
	return 0;
}

static int bind_listen(int fd, const char *path, const struct sockaddr_un *addr, gid_t gid,
                       char *err, size_t size)
{
	/* On Linux the file gets the mode of the socket less the umask: restricted
	 * before it exists, without touching the umask of other threads. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)addr, sizeof *addr) != 0)
		return fail(err, size, -errno, "cannot create the control socket %s: %s; "
		            "run as root, or set control.socket to a place you may write",
		            path, strerror(errno));
	if ((gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) != 0) || chmod(path, 0660) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		int r = -errno;

		unlink(path);
		return fail(err, size, r, "cannot set group and mode of %s: %s; run as root "
		            "or as a member of the group", path, strerror(-r));
	}
	return 0;
}

int weir__control_listen(const char *path, const char *group, int *ret_fd, struct stat *ret_st,
                         char *err, size_t size)
{
	struct sockaddr_un addr;
	gid_t gid;
	int fd, r;

	r = weir__control_address(path, &addr, err, size);
	if (!r)
		r = group_id(group, &gid, err, size);
	if (!r)
		r = make_directory(path, gid, err, size);
	if (!r)
		r = clear_path(path, &addr, err, size);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, size, -errno, "control socket: %s", strerror(errno));
	r = bind_listen(fd, path, &addr, gid, err, size);
	if (!r && stat(path, ret_st) != 0) {
		r = fail(err, size, -errno, "control socket %s: %s", path, strerror(errno));
		unlink(path);
	}
	if (r) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Only the file we made: another daemon may have replaced it since. */
void weir__control_unlink(const char *path, const struct stat *made)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_dev == made->st_dev && st.st_ino == made->st_ino)
		unlink(path);
}
