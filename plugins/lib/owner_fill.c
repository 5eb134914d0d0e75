/* SPDX-License-Identifier: Apache-2.0 */
/* See owner_fill.h. Only read_all() runs on the pool. */
#include "owner_fill.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* What the last reading said; a pool thread's. Nothing is allocated: a plugin may stop before it is over. */
static _Atomic int failure;

static void read_all(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[256]; /* the iterator writes nothing */
	ssize_t n;

	do
		n = read(fd, buf, sizeof buf);
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	if (n < 0)
		failure = errno;
	close(fd);
}

static void complain(struct weir_plugin *p, int err)
{
	weir_log(p, WEIR_WARN, "sockets older than Weir have no owner until they are used: %s", strerror(err));
}

static void filled(struct weir_plugin *p, void *arg)
{
	int err = atomic_exchange(&failure, 0);

	(void)arg;
	if (err)
		complain(p, err);
}

void owner_fill(struct weir_plugin *p, const char *program)
{
	int fd = p->host->bpf_iter(p, program);

	if (fd >= 0 && !p->host->work(p, read_all, filled, (void *)(intptr_t)fd))
		return;
	if (fd >= 0)
		close(fd);
	complain(p, fd < 0 ? -fd : EAGAIN);
}
