/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames over a unix stream: see host_link.h. Reading gathers a head, then its body, and
 * the descriptors in the order they come; writing goes at once as far as the socket
 * takes it, the rest when it is writable. Failure: whatever is wrong with the stream
 * ends it, once, by the end callback.
 */
#include "host_link.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITING_MAX (32u << 20)
/* Then the loop gets its turn, whatever the other side sends. */
#define READS_AT_ONCE 256

struct out_frame {
	struct out_frame *next;
	size_t len, at;
	size_t fd_count;
	int fds[WEIR__LINK_FDS];
	char bytes[];
};

struct weir__link {
	uv_poll_t poll;
	int fd;
	weir__link_frame frame;
	weir__link_end end;
	void *arg;
	bool ended, closed, busy;

	struct weir__link_head head;
	size_t head_have, body_have;
	char *body;
	int fds[WEIR__LINK_FDS];
	size_t fd_count;

	struct out_frame *out, **out_tail;
	size_t waiting;
};

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void free_out(struct out_frame *f)
{
	close_fds(f->fds, f->fd_count);
	weir__free(f);
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct weir__link *l)
{
	if (!l->ended && !l->closed)
		uv_poll_start(&l->poll, UV_READABLE | (l->out ? UV_WRITABLE : 0), on_event);
}

static void finish(struct weir__link *l, int err)
{
	if (l->ended)
		return;
	l->ended = true;
	uv_poll_stop(&l->poll);
	l->end(l->arg, err);
}

/* ---- reading ------------------------------------------------------------------- */

static int take_fds(struct weir__link *l, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int got[WEIR__LINK_FDS];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n > WEIR__LINK_FDS)
			continue;
		memcpy(got, CMSG_DATA(c), n * sizeof(int));
		if (l->fd_count + n > WEIR__LINK_FDS) {
			close_fds(got, n);
			return -EPROTO;
		}
		memcpy(l->fds + l->fd_count, got, n * sizeof(int));
		l->fd_count += n;
	}
	return msg->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

static ssize_t receive(struct weir__link *l, void *to, size_t len)
{
	char control[CMSG_SPACE(WEIR__LINK_FDS * sizeof(int))];
	struct iovec iov = { to, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof control };
	ssize_t n;
	int rc;

	do
		n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	rc = take_fds(l, &msg);
	return rc ? rc : n ? n : -EPIPE;
}

/* The frame is whole: hand it over. */
static void hand_over(struct weir__link *l)
{
	struct weir__link_head head = l->head;
	char *body = l->body;
	int fds[WEIR__LINK_FDS];
	size_t n = l->fd_count;

	memcpy(fds, l->fds, n * sizeof *fds);
	l->body = NULL;
	l->head_have = l->body_have = l->fd_count = 0;
	l->frame(l->arg, &head, body, fds);
	close_fds(fds, n);
	weir__free(body);
}

static int check_head(struct weir__link *l)
{
	if (l->head.len > WEIR__LINK_BODY_MAX || l->head.fds != l->fd_count)
		return -EPROTO;
	l->body = weir__alloc((size_t)l->head.len + 1);
	if (!l->body)
		return -ENOMEM;
	l->body[l->head.len] = 0; /* text is a string */
	return 0;
}

/* One read; -EAGAIN: nothing there. */
static int read_some(struct weir__link *l)
{
	bool head = l->head_have < sizeof l->head;
	char *to = head ? (char *)&l->head + l->head_have : l->body + l->body_have;
	size_t want = head ? sizeof l->head - l->head_have : l->head.len - l->body_have;
	ssize_t n = want ? receive(l, to, want) : 0;
	int rc;

	if (n < 0)
		return (int)n;
	if (head) {
		l->head_have += (size_t)n;
		if (l->head_have < sizeof l->head)
			return 0;
		rc = check_head(l);
		if (rc)
			return rc;
	} else {
		l->body_have += (size_t)n;
	}
	if (l->body_have == l->head.len)
		hand_over(l);
	return 0;
}

static void read_out(struct weir__link *l, unsigned reads)
{
	int rc = 0;

	while (!rc && reads-- && !l->ended && !l->closed)
		rc = read_some(l);
	if (rc && rc != -EAGAIN && !l->closed)
		finish(l, rc);
}

void weir__link_drain(struct weir__link *l)
{
	read_out(l, ~0u); /* its socket's buffer holds no more than that */
}

/* ---- writing ------------------------------------------------------------------- */

static ssize_t transmit(struct weir__link *l, struct out_frame *f)
{
	char control[CMSG_SPACE(WEIR__LINK_FDS * sizeof(int))];
	struct iovec iov = { f->bytes + f->at, f->len - f->at };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (!f->at && f->fd_count) { /* with the first byte */
		struct cmsghdr *c;

		memset(control, 0, sizeof control);
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(f->fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(f->fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), f->fds, f->fd_count * sizeof(int));
		iov.iov_len = 1; /* so that no other frame's read comes by them */
	}
	do
		n = sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* As far as the socket takes it. */
static int write_out(struct weir__link *l)
{
	struct out_frame *f;
	ssize_t n;

	while ((f = l->out)) {
		n = transmit(l, f);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		f->at += (size_t)n;
		l->waiting -= (size_t)n;
		if (f->at < f->len)
			continue;
		l->out = f->next;
		if (!l->out)
			l->out_tail = &l->out;
		free_out(f);
	}
	return 0;
}

int weir__link_send(struct weir__link *l, const struct weir__link_head *head, const void *body,
                    const int *fds)
{
	struct out_frame *f;
	int rc;

	if (head->len > WEIR__LINK_BODY_MAX || head->fds > WEIR__LINK_FDS)
		return -EMSGSIZE;
	if (l->ended || l->closed)
		return -EPIPE;
	if (l->waiting + head->len > WAITING_MAX)
		return -ENOBUFS;
	f = weir__alloc(sizeof *f + sizeof *head + head->len);
	if (!f)
		return -ENOMEM;
	f->next = NULL;
	f->len = sizeof *head + head->len;
	f->at = f->fd_count = 0;
	memcpy(f->bytes, head, sizeof *head);
	if (head->len)
		memcpy(f->bytes + sizeof *head, body, head->len);
	for (; f->fd_count < head->fds; f->fd_count++) {
		f->fds[f->fd_count] = fcntl(fds[f->fd_count], F_DUPFD_CLOEXEC, 3);
		if (f->fds[f->fd_count] < 0) {
			rc = -errno;
			free_out(f);
			return rc;
		}
	}
	*l->out_tail = f;
	l->out_tail = &f->next;
	l->waiting += f->len;
	rc = write_out(l); /* an error will be met by the loop, too */
	watch(l);
	return rc;
}

/* ---- life ------------------------------------------------------------------------ */

static void free_link(uv_handle_t *handle)
{
	struct weir__link *l = handle->data;
	struct out_frame *f;

	while ((f = l->out)) {
		l->out = f->next;
		free_out(f);
	}
	close_fds(l->fds, l->fd_count);
	weir__free(l->body);
	weir__free(l);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct weir__link *l = poll->data;
	int rc = 0;

	l->busy = true;
	if (events & UV_WRITABLE)
		rc = write_out(l);
	/* A dead peer's last words are read before its end is told. */
	if (status < 0 || rc || (events & UV_READABLE))
		read_out(l, READS_AT_ONCE);
	if (!l->ended && !l->closed && (status < 0 || rc))
		finish(l, rc ? rc : status);
	watch(l);
	l->busy = false;
	if (l->closed)
		uv_close((uv_handle_t *)&l->poll, free_link);
}

int weir__link_open(uv_loop_t *loop, int fd, weir__link_frame frame, weir__link_end end, void *arg,
                    struct weir__link **ret)
{
	struct weir__link *l = weir__zalloc(sizeof *l);
	int rc = l ? uv_poll_init(loop, &l->poll, fd) : -ENOMEM;

	if (rc) {
		weir__free(l);
		close(fd);
		return rc;
	}
	l->fd = fd;
	l->frame = frame;
	l->end = end;
	l->arg = arg;
	l->out_tail = &l->out;
	l->poll.data = l;
	watch(l);
	*ret = l;
	return 0;
}

void weir__link_close(struct weir__link *l)
{
	if (!l || l->closed)
		return;
	l->closed = true;
	uv_poll_stop(&l->poll);
	close(l->fd);
	if (!l->busy) /* else at the end of the callback we are in */
		uv_close((uv_handle_t *)&l->poll, free_link);
}
