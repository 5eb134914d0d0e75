/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process has a socket: the links in /proc/PID/fd say "socket:[inode]".
 *
 * Happy path: one look through all processes, in bounded steps, for the sockets that had no
 * owner when it began; it ends early when all of them are found. The process found first is
 * the owner; which of several that share a socket uses it cannot be seen here.
 * Failure modes: a process that may not be looked into (no CAP_SYS_PTRACE), or is gone, is passed
 * over; a socket not found in SOCK_TRIES looks stays without an owner. No memory: no look.
 * Threads: one at a time.
 */
#include "sock_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WANTED_MAX 16384u      /* looked for at a time */

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
	*d = NULL;
}

void sock_scan_end(struct sock_table *t)
{
	struct sock_scan *s = &t->scan;

	close_dir(&s->proc);
	close_dir(&s->fds);
	if (s->slot)
		t->m.realloc(t->m.arg, s->slot, 0);
	s->slot = NULL;
}

static uint32_t *place(struct sock_scan *s, const struct sock_table *t, uint32_t inode)
{
	uint32_t i = (inode * 0x9e3779b1u) & (s->slots - 1);

	while (s->slot[i] != SOCK_NONE && t->entry[s->slot[i]].inode != inode)
		i = (i + 1) & (s->slots - 1);
	return &s->slot[i];
}

/* Each look counts as a try of those it looks for. */
static bool scan_begin(struct sock_table *t, const char *proc)
{
	struct sock_scan *s = &t->scan;
	uint32_t wanted = t->ownerless < WANTED_MAX ? t->ownerless : WANTED_MAX;

	for (s->slots = 64; s->slots < 2 * wanted;)
		s->slots *= 2;
	s->slot = t->m.realloc(t->m.arg, NULL, s->slots * sizeof *s->slot);
	if (s->slot)
		s->proc = opendir(proc);
	if (!s->proc) {
		sock_scan_end(t);
		return false;
	}
	memset(s->slot, 0xff, s->slots * sizeof *s->slot);
	s->left = 0;
	for (uint32_t i = 0; i < t->used && s->left < wanted; i++) {
		struct sock_entry *e = &t->entry[i];

		if (!sock_wants_owner(e))
			continue;
		*place(s, t, e->inode) = i;
		s->left++;
		e->tries++;
		if (!sock_wants_owner(e))
			t->ownerless--;
	}
	return true;
}

static bool next_process(struct sock_scan *s)
{
	struct dirent *e;

	close_dir(&s->fds);
	while (!s->fds && (e = readdir(s->proc))) {
		char path[32];
		int fd;

		if (!isdigit((unsigned char)e->d_name[0]) || strlen(e->d_name) > 10)
			continue;
		s->pid = (uint32_t)strtoul(e->d_name, NULL, 10);
		snprintf(path, sizeof path, "%u/fd", s->pid);
		fd = openat(dirfd(s->proc), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		s->fds = fdopendir(fd);
		if (!s->fds)
			close(fd);
		s->named = false;
	}
	return s->fds != NULL;
}

static void name_process(struct sock_scan *s)
{
	char path[32];
	ssize_t n = -1;
	int fd;

	memset(s->comm, 0, sizeof s->comm);
	snprintf(path, sizeof path, "%u/comm", s->pid);
	fd = openat(dirfd(s->proc), path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, s->comm, sizeof s->comm);
		close(fd);
	}
	for (ssize_t i = 0; i < n; i++) /* a name may hold a newline; the last one is the file's */
		if (s->comm[i] == '\n' && (i + 1 == n || i + 1 == (ssize_t)sizeof s->comm))
			s->comm[i] = '\0';
	s->comm[sizeof s->comm - 1] = '\0';
	s->named = true;
}

static void look_at(struct sock_table *t, const char *name)
{
	struct sock_scan *s = &t->scan;
	char link[32], *end;
	unsigned long inode;
	uint32_t *at;
	ssize_t n;

	n = readlinkat(dirfd(s->fds), name, link, sizeof link - 1);
	if (n < 10 || memcmp(link, "socket:[", 8))
		return;
	link[n] = '\0';
	inode = strtoul(link + 8, &end, 10);
	if (*end != ']' || !inode || inode > UINT32_MAX)
		return;
	at = place(s, t, (uint32_t)inode);
	if (*at == SOCK_NONE || !(t->entry[*at].flags & SOCK_USED) ||
	    (t->entry[*at].pid && !(t->entry[*at].flags & SOCK_OWNER_WEAK)))
		return;
	if (!s->named)
		name_process(s);
	sock_owned(t, &t->entry[*at], s->pid, s->comm);
	s->left--;
}

bool sock_find_owners(struct sock_table *t, const char *proc, unsigned links)
{
	struct sock_scan *s = &t->scan;
	struct dirent *e;

	if (!s->proc && (!t->ownerless || !scan_begin(t, proc)))
		return false;
	while (links && s->left) {
		if (!s->fds && !next_process(s))
			break;
		links--;
		e = readdir(s->fds);
		if (!e)
			close_dir(&s->fds);
		else if (e->d_name[0] != '.')
			look_at(t, e->d_name);
	}
	if (!links && s->left)
		return true;
	sock_scan_end(t);
	return false;
}
