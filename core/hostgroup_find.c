/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the daemon is in the cgroup hierarchies, and what dead daemons left there.
 *
 * /proc/self/cgroup says the path in each hierarchy, /proc/self/mountinfo where that
 * hierarchy is mounted and from which of its directories (a container's mount begins
 * somewhere inside). Failure modes: not mounted, or mounted elsewhere than our own
 * path: then that hierarchy is left alone. Main thread.
 */
#include "hostgroup_priv.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* A host of many containers has thousands of mounts; what is beyond is not found. */
#define TEXT_MAX (1u << 20)

static const struct { const char *name; unsigned bit; } controllers[] = {
	{ "cpu", WEIR__GROUP_CPU }, { "cpuacct", WEIR__GROUP_CPUACCT },
	{ "memory", WEIR__GROUP_MEMORY }, { "pids", WEIR__GROUP_PIDS },
};

/* Bits of the names in a list such as "cpu,cpuacct" or "cpuset cpu io". */
static unsigned bits_of(const char *list, size_t len)
{
	unsigned bits = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strcspn(list + at, ", \n");

		if (n > len - at)
			n = len - at;
		for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++)
			if (strlen(controllers[i].name) == n && !memcmp(controllers[i].name, list + at, n))
				bits |= controllers[i].bit;
		at += n + 1;
	}
	return bits;
}

/* The kernel writes blanks and backslashes in paths as \040 and the like. */
static void decode(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* One line of mountinfo against what is looked for: v2, or v1 with these bits. */
static bool is_mount(const char *line, bool v2, unsigned bits, char root[1024], char point[1024])
{
	const char *rest = strstr(line, " - ");
	char type[32], super[1024];

	if (!rest || sscanf(line, "%*d %*d %*s %1023s %1023s", root, point) != 2 ||
	    sscanf(rest, " - %31s %*s %1023s", type, super) != 2)
		return false;
	decode(root);
	decode(point);
	if (v2)
		return !strcmp(type, "cgroup2");
	return !strcmp(type, "cgroup") && (bits_of(super, strlen(super)) & bits) == bits;
}

/* The directory of `path` below a mount, if it is in it. */
static int join(const char *root, const char *point, const char *path, char *dir, size_t size)
{
	size_t n = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(path, root, n) || (path[n] && path[n] != '/') || strstr(path, "/.."))
		return -ENOENT;
	if (snprintf(dir, size, "%s%s", point, path + n) >= (int)size)
		return -ENAMETOOLONG;
	return 0;
}

static int locate(const char *mountinfo, bool v2, unsigned bits, const char *path, char *dir, size_t size)
{
	char line[4096], root[1024], point[1024];

	for (const char *at = mountinfo; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
		if (is_mount(line, v2, bits, root, point) && !join(root, point, path, dir, size))
			return 0;
	}
	return -ENOENT;
}

static void add_place(struct weir__hostgroups *g, const char *dir, bool v2, unsigned bits)
{
	struct place *p = &g->places[g->count];
	char text[1024];
	int fd;

	snprintf(p->dir, sizeof p->dir, "%s", dir);
	if (v2) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (!weir__group_read(fd, "cgroup.controllers", text, sizeof text))
			bits = bits_of(text, strlen(text));
		close(fd);
		if (!bits)
			return; /* beside v1: nothing for us here */
		bits |= WEIR__GROUP_CPUACCT; /* any v2 group counts its CPU time */
	}
	for (size_t i = 0; i < g->count; i++)
		bits &= ~g->places[i].controllers;
	if (!bits)
		return;
	p->v2 = v2;
	p->controllers = bits;
	p->fd = -1;
	g->count++;
}

/* Lines "4:memory:/a/b" and "0::/a/b"; v1 comes first, as the kernel lists it. */
static void find_each(const char *cgroup, const char *mountinfo, struct weir__hostgroups *g)
{
	char line[2048], dir[1024];

	for (const char *at = cgroup; *at && g->count < MAX_PLACES; at += strcspn(at, "\n"), at += *at == '\n') {
		char *list, *path;
		unsigned bits;

		snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		bits = bits_of(list + 1, (size_t)(path - list - 1));
		if (!bits && path != list + 1)
			continue; /* another controller's, or systemd's own */
		if (!locate(mountinfo, !bits, bits, path + 1, dir, sizeof dir))
			add_place(g, dir, !bits, bits);
	}
}

static char *read_proc(const char *path)
{
	char *text = weir__zalloc(TEXT_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n;

	while (text && fd >= 0 && at < TEXT_MAX - 1 && (n = read(fd, text + at, TEXT_MAX - 1 - at)) > 0)
		at += (size_t)n;
	if (fd >= 0)
		close(fd);
	return text;
}

int weir__group_find(const struct weir__hostgroup_view *view, struct weir__hostgroups *g)
{
	char *cgroup = NULL, *mountinfo = NULL;
	int rc = 0;

	if (view) {
		find_each(view->cgroup, view->mountinfo, g);
		return g->count ? 0 : -ENOENT;
	}
	cgroup = read_proc("/proc/self/cgroup");
	mountinfo = read_proc("/proc/self/mountinfo");
	if (!cgroup || !mountinfo)
		rc = -ENOMEM;
	else
		find_each(cgroup, mountinfo, g);
	weir__free(cgroup);
	weir__free(mountinfo);
	return rc ? rc : g->count ? 0 : -ENOENT;
}

/* ---- what dead daemons left --------------------------------------------------------- */

/* Its daemon holds a lock on the directory for as long as it lives: a number in a name
 * proves nothing, for pids are used again. */
static bool lives(int parent, const char *name)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool locked = dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) != 0;

	if (dir >= 0)
		close(dir);
	return locked;
}

int weir__group_remove_all(int parent, const char *name, unsigned patience_ms)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = dir >= 0 ? fdopendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			weir__group_remove(dirfd(d), e->d_name, patience_ms);
	if (d)
		closedir(d);
	else if (dir >= 0)
		close(dir);
	return weir__group_remove(parent, name, patience_ms);
}

void weir__group_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *end;
		long pid;

		if (e->d_type != DT_DIR || strncmp(e->d_name, "weir.", 5))
			continue;
		pid = strtol(e->d_name + 5, &end, 10);
		if (pid > 0 && !*end && end != e->d_name + 5 && !lives(dirfd(d), e->d_name))
			weir__group_remove_all(dirfd(d), e->d_name, PATIENCE_MS);
	}
	if (d)
		closedir(d);
}
