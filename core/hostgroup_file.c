/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories of a cgroup. Small files, read whole; the kernel takes each
 * write whole or not at all. Main thread.
 */
#include "hostgroup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int weir__group_write(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int weir__group_read(int dir, const char *file, char *buf, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	ssize_t n;

	buf[0] = 0;
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		rc = -errno;
	buf[n > 0 ? n : 0] = 0;
	close(fd);
	return rc;
}

int weir__group_number(int dir, const char *file, uint64_t *ret)
{
	char text[64], *end;
	int rc = weir__group_read(dir, file, text, sizeof text);
	uint64_t n;

	if (rc)
		return rc;
	n = strtoull(text, &end, 10);
	if (end == text)
		return -EBADMSG;
	*ret = n;
	return 0;
}

int weir__group_field(int dir, const char *file, const char *key, uint64_t *ret)
{
	char text[4096], *save = NULL; /* cpu.stat and memory.events: a dozen lines */
	int rc = weir__group_read(dir, file, text, sizeof text);
	size_t n = strlen(key);

	for (char *line = rc ? NULL : strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, key, n) || line[n] != ' ')
			continue;
		*ret = strtoull(line + n + 1, NULL, 10);
		return 0;
	}
	return rc ? rc : -ENOENT;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

/* Before Linux 5.14, and v1: one by one. True: nobody was there. */
static bool kill_each(int dir)
{
	char text[65536], *save = NULL; /* pids.max keeps it far below */
	bool none = true;

	if (weir__group_read(dir, "cgroup.procs", text, sizeof text))
		return true;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		pid_t pid = (pid_t)strtol(line, NULL, 10);

		if (pid <= 1 || pid == getpid())
			continue;
		none = false;
		kill(pid, SIGKILL);
	}
	return none;
}

void weir__group_kill(int dir, unsigned patience_ms)
{
	weir__group_write(dir, "cgroup.kill", "1");
	for (unsigned i = 0; !kill_each(dir) && i < patience_ms; i++)
		nap();
}

int weir__group_remove(int parent, const char *name, unsigned patience_ms)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = -EBUSY;

	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Killed each time: one may be on its way in still. */
	for (unsigned i = 0; rc == -EBUSY && i <= patience_ms; i++) {
		weir__group_kill(dir, 0);
		rc = unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
		if (rc == -EBUSY)
			nap();
	}
	close(dir);
	return rc;
}
