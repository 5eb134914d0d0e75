/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces: a netlink socket sees only the one it was made in.
 *
 * Happy path: our own at start. Others are found as inodes of /proc/PID/ns/net, every ten
 * seconds; for a new one a thread enters it with setns(2), makes the sockets, and ends, so that no
 * other thread is ever in a foreign namespace. A socket keeps its namespace alive, so those
 * that no process has any more are closed at the next look.
 * Failure modes: no CAP_SYS_ADMIN, or a filter that refuses setns or threads: only our own is
 * read; how many were refused and why is in diag_stats.
 * Threads: see above.
 */
#include "diag_priv.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif
#define PROCESSES 8192           /* looked at; 2 us each */
#define EVENTS_BYTES (8 << 20)   /* some 6000 closings until they are received */

static const int groups[] = {
	SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY,
	SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_UDP_DESTROY,
};

static int open_events(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int bytes = EVENTS_BYTES;

	if (fd < 0)
		return -1;
	/* Without a port of its own it has the kernel's, and gets nothing that the kernel sends. */
	if (bind(fd, (struct sockaddr *)&any, sizeof any)) {
		close(fd);
		return -1;
	}
	/* without CAP_NET_ADMIN as far as net.core.rmem_max lets it */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	for (unsigned i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) &&
		    !i) {
			close(fd);
			return -1;
		}
	return fd;
}

int diag_ns_open(struct diag_ns *ns)
{
	socklen_t len = sizeof ns->cookie;
	struct stat st;

	memset(ns, 0, sizeof *ns);
	ns->dump = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (ns->dump < 0)
		return -errno;
	ns->events = open_events();
	if (getsockopt(ns->dump, SOL_SOCKET, SO_NETNS_COOKIE, &ns->cookie, &len))
		ns->cookie = 0;
	if (!stat("/proc/thread-self/ns/net", &st))
		ns->inum = (uint32_t)st.st_ino;
	return 0;
}

void diag_ns_close(struct diag_ns *ns)
{
	close(ns->dump);
	if (ns->events >= 0)
		close(ns->events);
}

struct enter {
	int fd, err;
	struct diag_ns ns;
};

/* Asked before it is tried: a filter of system calls may take the try for an attack. */
static bool may_enter(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &head, data) && data[0].effective & 1u << CAP_SYS_ADMIN;
}

static void *enter(void *arg)
{
	struct enter *e = arg;

	e->err = setns(e->fd, CLONE_NEWNET) ? -errno : diag_ns_open(&e->ns);
	return NULL;
}

static int add(struct diag *d, const char *path, uint32_t inum)
{
	struct enter e = { .fd = -1 };
	pthread_t thread;
	int err;

	if (!may_enter())
		return -EPERM;
	e.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (e.fd < 0)
		return -errno;
	err = -pthread_create(&thread, NULL, enter, &e);
	if (!err) {
		pthread_join(thread, NULL);
		err = e.err;
	}
	close(e.fd);
	if (err)
		return err;
	e.ns.inum = inum;
	e.ns.listed = true;
	d->ns[d->namespaces++] = e.ns;
	return 0;
}

static void meet(struct diag *d, const char *path)
{
	struct stat st;
	int err;

	if (stat(path, &st))
		return;
	for (unsigned i = 0; i < d->namespaces; i++)
		if (d->ns[i].inum == (uint32_t)st.st_ino) {
			d->ns[i].listed = true;
			return;
		}
	err = d->namespaces < DIAG_NAMESPACES ? add(d, path, (uint32_t)st.st_ino) : -ENOSPC;
	if (err && err != -ENOENT) {
		d->stats.refused_namespaces++;
		d->stats.refused_error = err;
	}
}

void diag_ns_find(struct diag *d)
{
	DIR *proc = opendir(d->o.proc);
	struct dirent *e;
	char path[512];
	unsigned left = PROCESSES;

	if (!proc)
		return;
	d->stats.refused_namespaces = 0;
	for (unsigned i = 0; i < d->namespaces; i++)
		d->ns[i].listed = !i;
	while (left && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		left--;
		if (snprintf(path, sizeof path, "%s/%s/ns/net", d->o.proc, e->d_name) < (int)sizeof path)
			meet(d, path);
		if (d->stats.refused_error == -EPERM && d->stats.refused_namespaces)
			left = 0; /* nor will the others be allowed */
	}
	closedir(proc);
	for (unsigned i = d->namespaces; left && i-- > 1;) /* only if all processes were looked at */
		if (!d->ns[i].listed) {
			diag_ns_close(&d->ns[i]);
			d->ns[i] = d->ns[--d->namespaces];
		}
}
