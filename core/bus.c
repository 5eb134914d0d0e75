/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of the routes' sockets: bus-PID beside the control socket, made when
 * the first process needs it, removed at the end; what a daemon that was killed has
 * left is removed by the next. Failure: -errno, the route is not made, which is said.
 */
#include "bus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "bus-"

static char parent[256];
static char dir[300];
static bool made;

/* Sockets only, and the directory: nothing else is ever in it. */
static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

static void sweep(void)
{
	DIR *d = opendir(parent);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[600], *end;
		long pid;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)))
			continue;
		pid = strtol(e->d_name + strlen(PREFIX), &end, 10);
		if (*end || pid <= 0 || pid == getpid() || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof path, "%s/%s", parent, e->d_name);
		remove_dir(path);
	}
	if (d)
		closedir(d);
}

void weir__bus_setup(const char *control_socket)
{
	const char *slash = strrchr(control_socket, '/');
	/* "/bus-4194304/4294967295.4294967295" must fit behind it, in a socket's address */
	size_t most = sizeof ((struct sockaddr_un *)0)->sun_path - 36;

	snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - control_socket) : 0, control_socket);
	if (!parent[0] || strlen(parent) > most)
		snprintf(parent, sizeof parent, "/tmp");
	sweep();
}

static int make(void)
{
	struct stat st;

	snprintf(dir, sizeof dir, "%s/" PREFIX "%d", parent, (int)getpid());
	remove_dir(dir); /* of one that had our number before */
	/* A plugin's process is this user without its capabilities: it must get there. */
	if (stat(parent, &st) || (st.st_uid != geteuid() && !(st.st_mode & S_IXOTH)) || mkdir(dir, 0700)) {
		snprintf(dir, sizeof dir, "/tmp/weir-" PREFIX "%d", (int)getpid());
		remove_dir(dir);
		if (mkdir(dir, 0700))
			return -errno;
	}
	made = true;
	return 0;
}

int weir__bus_url(uint32_t route, char *url, size_t size)
{
	static unsigned number;
	struct stat st;
	int rc = made ? 0 : make();

	if (rc)
		return rc;
	/* In a directory of others' a name may have been taken by somebody else. */
	if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	snprintf(url, size, "ipc://%s/%u.%u", dir, route, number++);
	return 0;
}

void weir__bus_end(void)
{
	if (made)
		remove_dir(dir);
	made = false;
}
