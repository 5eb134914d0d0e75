/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notify.h.
 *
 * Happy path: a connected datagram socket, one send per message. Failure modes: a
 * wrong address is the caller's to report; a manager whose queue is full misses a
 * message, and the next one comes.
 * The watchdog's timer is the main loop's own: it can only fire when every callback
 * of the round before has come back. A thread of its own would say that all is well
 * while the loop hangs.
 */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* STATUS is one line for people. */
#define MESSAGE_MAX_BYTES 1024

/* "/run/x" or "@x": abstract. */
static int address(const char *text, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len < 2)
		return -EAFNOSUPPORT;
	if (len >= sizeof ret->sun_path)
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof *ret);
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, text, len);
	if (text[0] == '@')
		ret->sun_path[0] = 0;
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
	return 0;
}

static uint64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us = usec ? strtoull(usec, NULL, 10) : 0;

	if (pid && strtol(pid, NULL, 10) != (long)getpid())
		return 0; /* meant for somebody else */
	/* Half of it, as sd_watchdog_enabled(3) advises; below 2 ms is no interval. */
	return us / 2000;
}

int weir__notify_init(struct weir__notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to;
	socklen_t len;
	int rc = 0;

	memset(n, 0, sizeof *n);
	n->fd = -1;
	n->watchdog_ms = watchdog_ms();
	if (path && *path) {
		rc = address(path, &to, &len);
		if (!rc)
			n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (!rc && (n->fd < 0 || connect(n->fd, (struct sockaddr *)&to, len) != 0))
			rc = -errno;
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (rc && n->fd >= 0) {
		close(n->fd);
		n->fd = -1;
	}
	return rc;
}

void weir__notify(struct weir__notify *n, const char *fmt, ...)
{
	char text[MESSAGE_MAX_BYTES];
	va_list ap;
	int len;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (len >= (int)sizeof text)
		len = sizeof text - 1;
	if (send(n->fd, text, (size_t)len, MSG_NOSIGNAL) == len)
		n->sent++;
}

void weir__notify_reloading(struct weir__notify *n)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	weir__notify(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
	             (unsigned long long)ts.tv_sec * 1000000u + (unsigned long long)ts.tv_nsec / 1000);
}

static void on_feed(uv_timer_t *timer)
{
	weir__notify(timer->data, "WATCHDOG=1");
}

void weir__notify_feed(struct weir__notify *n, uv_loop_t *loop)
{
	if (n->fd < 0 || !n->watchdog_ms)
		return;
	uv_timer_init(loop, &n->timer);
	n->timer.data = n;
	uv_timer_start(&n->timer, on_feed, 0, n->watchdog_ms);
	uv_unref((uv_handle_t *)&n->timer); /* no reason to go on when all else has ended */
}

void weir__notify_fini(struct weir__notify *n)
{
	if (n->timer.data && !uv_is_closing((uv_handle_t *)&n->timer))
		uv_close((uv_handle_t *)&n->timer, NULL);
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}
