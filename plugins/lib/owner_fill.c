/* SPDX-License-Identifier: Apache-2.0 */
/* See owner_fill.h. Only read_all() runs on the pool. */
#include "owner_fill.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct fill {
	int fd, rc;
};

static void read_all(void *arg)
{
	struct fill *f = arg;
	char buf[256]; /* the iterator writes nothing */
	ssize_t n;

	do
		n = read(f->fd, buf, sizeof buf);
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	f->rc = n < 0 ? -errno : 0;
	close(f->fd);
}

static void filled(struct weir_plugin *p, void *arg)
{
	struct fill *f = arg;

	if (f->rc)
		weir_log(p, WEIR_WARN, "sockets older than Weir have no owner until they are used: %s",
		         strerror(-f->rc));
	weir_free(p, f);
}

void owner_fill(struct weir_plugin *p, const char *program)
{
	struct fill *f = weir_alloc(p, sizeof *f);

	if (!f)
		return;
	f->fd = p->host->bpf_iter(p, program);
	f->rc = f->fd;
	if (f->fd >= 0 && !p->host->work(p, read_all, filled, f))
		return;
	if (f->fd >= 0) {
		close(f->fd);
		f->rc = -EAGAIN;
	}
	filled(p, f);
}
