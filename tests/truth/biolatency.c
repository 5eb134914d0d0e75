/* SPDX-License-Identifier: Apache-2.0 */
#include "biolatency.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/sbin/biolatency"

/* It looks for tracefs: give it one in a mount namespace of its own. */
static void become(const char *tty)
{
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!unshare(CLONE_NEWNS)) {
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	}
	fd = open(tty, O_RDWR | O_NOCTTY);
	dup2(fd, 1);
	dup2(fd, 2);
	execl(PROGRAM, PROGRAM, (char *)NULL);
	_exit(127);
}

/* Everything it says until `word` comes, at most 20 s of silence. */
static int read_until(struct biolatency *b, const char *word, char *text, size_t size)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	size_t len = strlen(text);

	while (!word || !strstr(text, word)) {
		ssize_t n;

		if (poll(&p, 1, 20000) <= 0)
			return -ETIMEDOUT;
		n = read(b->fd, text + len, size - 1 - len);
		if (n <= 0)
			return word ? -EPIPE : 0; /* it has ended */
		len += (size_t)n;
		text[len] = 0;
		if (len == size - 1)
			return -E2BIG;
	}
	return 0;
}

/* A terminal, so that it does not hold its first line back in a buffer. */
int biolatency_start(struct biolatency *b)
{
	char text[4096] = "", tty[64];
	int rc;

	memset(b, 0, sizeof *b);
	if (access(PROGRAM, X_OK))
		return -ENOENT;
	b->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->fd < 0 || grantpt(b->fd) || unlockpt(b->fd) || ptsname_r(b->fd, tty, sizeof tty))
		return -errno;
	b->pid = fork();
	if (b->pid < 0)
		return -errno;
	if (!b->pid)
		become(tty);
	rc = read_until(b, "Ctrl-C", text, sizeof text);
	if (rc) {
		fprintf(stderr, "biolatency: %s\n", text);
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
		close(b->fd);
	}
	return rc;
}

/* "       128 -> 255        : 12       |****" */
static void parse(struct biolatency *b, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		unsigned long long low, high, count;

		if (sscanf(line, " %llu -> %llu : %llu", &low, &high, &count) != 3)
			continue;
		for (int i = 0; i < BIOLATENCY_SLOTS; i++)
			if (high == (2ull << i) - 1)
				b->slot[i] += count;
	}
}

int biolatency_stop(struct biolatency *b)
{
	char text[16384] = "";

	kill(b->pid, SIGINT);
	read_until(b, NULL, text, sizeof text);
	waitpid(b->pid, NULL, 0);
	close(b->fd);
	parse(b, text);
	return 0;
}
