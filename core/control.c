/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control server: one connection, one request, one answer.
 *
 * Happy path: accept, check the peer, read a line within 5 s, hand the request to
 * the handler, which answers now or later; write the answer within 5 s, close.
 *
 *   reading --line--> asked --reply--> writing --written--> closed
 *      |                \---take_fd---------------------------^
 *      \--error answer--------------> writing
 *
 * Failure modes: a peer without the right, too many clients, a request too long,
 * too slow or not JSON each get an answer that says so. A client that hangs up
 * while its request is with the handler is found out when the answer is written.
 * If the server stops meanwhile, the request lives on, answered into nothing.
 * Main thread.
 */
#include "control_private.h"
#include "mem.h"
#include "protocol.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_MAGIC 0x5743544cu
#define REQUEST_MAGIC 0x57435251u
/* Groups of a peer that are looked at; the kernel's own limit is 65536, nobody's
 * account has more than a few dozen. */
#define PEER_GROUPS 1024

enum state { READING, ASKED, WRITING, CLOSED };

struct weir__control {
	uint32_t magic;
	uv_pipe_t pipe;
	char *path;
	struct stat made;
	weir__control_handler handler;
	void *arg;
	struct weir__control_request *clients;
	size_t count;
	size_t handles; /* libuv still has; done at 0 */
	bool stopping;
	uv_pipe_t spare; /* to refuse a client with when there is no memory */
	bool spare_busy, spare_wanted;
	void (*done)(void *arg);
	void *done_arg;
};

/* A client is its one request. */
struct weir__control_request {
	uint32_t magic;
	enum state state;
	struct weir__control *control; /* NULL once the server has stopped */
	struct weir__control_request *prev, *next;
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	int handles;     /* open or closing */
	bool with_handler; /* the handler has it: not to be freed */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	size_t len, room;
	char *line;      /* the request */
	char *answer;    /* jansson's */
};

static struct weir__control *control_of(void *p)
{
	struct weir__control *c = p;

	assert(c && c->magic == CONTROL_MAGIC);
	return c;
}

static struct weir__control_request *request_of(const void *p)
{
	struct weir__control_request *r = (void *)(uintptr_t)p;

	assert(r && r->magic == REQUEST_MAGIC);
	return r;
}

/* ---- end of things ------------------------------------------------------------ */

static void control_maybe_done(struct weir__control *c)
{
	void (*done)(void *) = c->done;
	void *arg = c->done_arg;

	if (!c->stopping || c->handles)
		return;
	weir__free(c->path);
	c->magic = 0;
	weir__free(c);
	if (done)
		done(arg);
}

static void request_maybe_free(struct weir__control_request *r)
{
	if (r->handles || r->with_handler)
		return;
	weir__free(r->line);
	weir__free(r->answer);
	r->magic = 0;
	weir__free(r);
}

static void on_closed(uv_handle_t *h)
{
	struct weir__control_request *r = request_of(h->data);
	struct weir__control *c = r->control;

	if (--r->handles == 0)
		r->control = NULL;
	c->handles--;
	request_maybe_free(r);
	control_maybe_done(c);
}

static void request_close(struct weir__control_request *r)
{
	struct weir__control *c = r->control;

	if (r->state == CLOSED)
		return;
	r->state = CLOSED;
	if (r->prev)
		r->prev->next = r->next;
	else
		c->clients = r->next;
	if (r->next)
		r->next->prev = r->prev;
	c->count--;
	uv_close((uv_handle_t *)&r->pipe, on_closed);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

static void on_timeout(uv_timer_t *t)
{
	struct weir__control_request *r = request_of(t->data);

	if (r->state == READING)
		weir__control_error(r, "send one line of JSON and a newline",
		                    "no request within %d s", WEIR__CONTROL_TIMEOUT_MS / 1000);
	else
		request_close(r);
}

/* ---- answers --------------------------------------------------------------------- */

static void on_written(uv_write_t *w, int status)
{
	(void)status; /* the client has gone: nothing to tell it */
	request_close(request_of(w->data));
}

static void answer_text(struct weir__control_request *r, const char *text)
{
	static char newline[] = "\n";
	uv_buf_t bufs[2] = { uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text)),
		             uv_buf_init(newline, 1) };

	r->state = WRITING;
	uv_read_stop((uv_stream_t *)&r->pipe);
	uv_timer_start(&r->timer, on_timeout, WEIR__CONTROL_TIMEOUT_MS, 0);
	r->write.data = r;
	if (uv_write(&r->write, (uv_stream_t *)&r->pipe, bufs, 2, on_written) != 0)
		request_close(r);
}

void weir__control_reply(struct weir__control_request *req, json_t *answer)
{
	struct weir__control_request *r = request_of(req);

	r->with_handler = false;
	if (r->state != CLOSED) {
		r->answer = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
		answer_text(r, r->answer ? r->answer : WEIR__PROTOCOL_NO_MEMORY);
	} else {
		request_maybe_free(r);
	}
	json_decref(answer);
}

void weir__control_error(struct weir__control_request *req, const char *hint, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	weir__control_reply(req, weir__protocol_error(text, hint));
}

int weir__control_take_fd(struct weir__control_request *req)
{
	static const char ok[] = "{\"ok\":true}\n";
	struct weir__control_request *r = request_of(req);
	int old, fd = -1, err = ECONNRESET;

	if (r->state != CLOSED && uv_fileno((uv_handle_t *)&r->pipe, &old) == 0) {
		fd = fcntl(old, F_DUPFD_CLOEXEC, 0);
		err = errno;
	}
	/* The flag is the open file's: libuv only closes its descriptor now. */
	if (fd >= 0 && (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0 ||
	                send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) != (ssize_t)sizeof ok - 1)) {
		err = errno;
		close(fd);
		fd = -1;
	}
	r->with_handler = false;
	if (r->state != CLOSED)
		request_close(r);
	else
		request_maybe_free(r);
	return fd >= 0 ? fd : -err;
}

void weir__control_peer(const struct weir__control_request *req, uid_t *uid, gid_t *gid, pid_t *pid)
{
	const struct weir__control_request *r = request_of(req);

	*uid = r->uid;
	*gid = r->gid;
	*pid = r->pid;
}

/* ---- requests --------------------------------------------------------------------- */

static void ask(struct weir__control_request *r)
{
	struct weir__control *c = r->control;
	json_error_t where;
	json_t *body = json_loadb(r->line, r->len, JSON_REJECT_DUPLICATES, &where);

	uv_timer_stop(&r->timer);
	uv_read_stop((uv_stream_t *)&r->pipe);
	if (!json_is_string(json_object_get(body, "cmd"))) {
		weir__control_error(r, "send {\"cmd\":\"status\"} and a newline",
		                    "bad request: %s", body ? "no \"cmd\"" : where.text);
		json_decref(body);
		return;
	}
	r->state = ASKED;
	r->with_handler = true;
	c->handler(c->arg, r, body);
	json_decref(body);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct weir__control_request *r = request_of(h->data);

	(void)suggested;
	if (r->room - r->len < 512 && r->room < WEIR__CONTROL_REQUEST_MAX) {
		size_t room = r->room ? r->room * 4 : 1024;
		char *p = weir__realloc(r->line, room);

		if (p) {
			r->line = p;
			r->room = room;
		}
	}
	/* Empty: libuv calls back with UV_ENOBUFS. */
	*buf = uv_buf_init(r->line ? r->line + r->len : NULL, (unsigned)(r->room - r->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct weir__control_request *r = request_of(s->data);
	char *end;

	if (n == 0 || r->state != READING)
		return;
	if (n == UV_ENOBUFS && r->room >= WEIR__CONTROL_REQUEST_MAX) {
		weir__control_error(r, NULL, "request longer than %d bytes", WEIR__CONTROL_REQUEST_MAX);
		return;
	}
	if (n == UV_ENOBUFS) {
		answer_text(r, WEIR__PROTOCOL_NO_MEMORY);
		return;
	}
	if (n < 0) {
		request_close(r);
		return;
	}
	end = memchr(buf->base, '\n', (size_t)n);
	r->len += (size_t)n;
	if (!end)
		return;
	r->len = (size_t)(end - r->line);
	ask(r);
}

/* root, ourselves, or the socket's group, supplementary groups included. */
static bool peer_allowed(const struct weir__control *c, const struct weir__control_request *r, int fd)
{
	gid_t groups[PEER_GROUPS];
	socklen_t len = sizeof groups;

	if (r->uid == 0 || r->uid == geteuid() || r->gid == c->made.st_gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
		return false;
	for (size_t i = 0; i < len / sizeof groups[0]; i++)
		if (groups[i] == c->made.st_gid)
			return true;
	return false;
}

static void welcome(struct weir__control *c, struct weir__control_request *r)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	int fd;

	if (uv_fileno((uv_handle_t *)&r->pipe, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		request_close(r);
		return;
	}
	r->uid = cred.uid;
	r->gid = cred.gid;
	r->pid = cred.pid;
	if (!peer_allowed(c, r, fd)) {
		weir__control_error(r, "run as root or as a member of the socket's group",
		                    "uid %u may not control this daemon", (unsigned)r->uid);
		return;
	}
	if (c->count > WEIR__CONTROL_CLIENTS) {
		weir__control_error(r, "try again in a few seconds",
		                    "busy: %d clients are connected", WEIR__CONTROL_CLIENTS);
		return;
	}
	uv_timer_start(&r->timer, on_timeout, WEIR__CONTROL_TIMEOUT_MS, 0);
	if (uv_read_start((uv_stream_t *)&r->pipe, on_alloc, on_read) != 0)
		request_close(r);
}

static void on_spare_closed(uv_handle_t *h);

/* Without memory for a client: take the connection and close it, or libuv would
 * stop listening. */
static void refuse(struct weir__control *c)
{
	c->spare_wanted = c->spare_busy;
	if (c->spare_busy || c->stopping)
		return;
	uv_pipe_init(c->pipe.loop, &c->spare, 0);
	c->spare.data = c;
	c->spare_busy = true;
	c->handles++;
	uv_accept((uv_stream_t *)&c->pipe, (uv_stream_t *)&c->spare);
	uv_close((uv_handle_t *)&c->spare, on_spare_closed);
}

static void on_spare_closed(uv_handle_t *h)
{
	struct weir__control *c = control_of(h->data);

	c->handles--;
	c->spare_busy = false;
	if (c->spare_wanted)
		refuse(c);
	control_maybe_done(c);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct weir__control *c = control_of(s->data);
	struct weir__control_request *r;

	if (status < 0 || c->stopping)
		return;
	r = weir__zalloc(sizeof *r);
	if (!r) {
		refuse(c);
		return;
	}
	r->magic = REQUEST_MAGIC;
	r->control = c;
	uv_pipe_init(s->loop, &r->pipe, 0);
	uv_timer_init(s->loop, &r->timer);
	r->pipe.data = r->timer.data = r;
	r->handles = 2;
	c->handles += 2;
	r->next = c->clients;
	if (r->next)
		r->next->prev = r;
	c->clients = r;
	c->count++;
	if (uv_accept(s, (uv_stream_t *)&r->pipe) != 0)
		request_close(r);
	else
		welcome(c, r);
}

/* ---- start and stop --------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *h)
{
	struct weir__control *c = control_of(h->data);

	c->handles--;
	control_maybe_done(c);
}

int weir__control_start(uv_loop_t *loop, const char *path, const char *group,
                        weir__control_handler handler, void *arg, struct weir__control **ret,
                        char *err, size_t err_size)
{
	struct weir__control *c = weir__zalloc(sizeof *c);
	char *copy = weir__strdup(path);
	int fd, r = -ENOMEM;

	if (!c || !copy) {
		snprintf(err, err_size, "control socket: out of memory");
		goto fail;
	}
	r = weir__control_listen(path, group, &fd, &c->made, err, err_size);
	if (r)
		goto fail;
	/* libuv writes with write(2): a client that hangs up must not end the daemon. */
	signal(SIGPIPE, SIG_IGN);
	c->magic = CONTROL_MAGIC;
	c->path = copy;
	c->handler = handler;
	c->arg = arg;
	uv_pipe_init(loop, &c->pipe, 0);
	c->pipe.data = c;
	c->handles = 1;
	r = uv_pipe_open(&c->pipe, fd);
	if (r)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&c->pipe, WEIR__CONTROL_CLIENTS, on_connection);
	if (r) {
		snprintf(err, err_size, "control socket %s: %s", path, uv_strerror(r));
		weir__control_stop(c, NULL, NULL);
		return r;
	}
	*ret = c;
	return 0;
fail:
	weir__free(c);
	weir__free(copy);
	return r;
}

void weir__control_stop(struct weir__control *c, void (*done)(void *arg), void *arg)
{
	c = control_of(c);
	assert(!c->stopping);
	c->stopping = true;
	c->done = done;
	c->done_arg = arg;
	weir__control_unlink(c->path, &c->made);
	while (c->clients)
		request_close(c->clients);
	uv_close((uv_handle_t *)&c->pipe, on_listener_closed);
}
