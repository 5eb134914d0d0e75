/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control client: blocking, with one deadline for the whole call, for the command
 * line. Happy path: connect, send a line, read a line. Every failure is -errno and
 * a sentence that says what to do. Any thread.
 */
#include "control_private.h"
#include "mem.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Who may: the group of the socket, or of its directory if that hides it. */
static int say_no_right(const char *path, char *err, size_t size)
{
	char dir[sizeof ((struct sockaddr_un *)0)->sun_path], buf[16384];
	struct group gr, *found = NULL;
	struct stat st;

	snprintf(dir, sizeof dir, "%s", path);
	if (stat(path, &st) != 0 && stat(dirname(dir), &st) != 0)
		st.st_gid = 0;
	getgrgid_r(st.st_gid, &gr, buf, sizeof buf, &found);
	if (st.st_gid == 0)
		snprintf(err, size, "no right to use %s: need root (try sudo)", path);
	else if (found)
		snprintf(err, size, "no right to use %s: need root or group %s", path, found->gr_name);
	else
		snprintf(err, size, "no right to use %s: need root or group %u", path,
		         (unsigned)st.st_gid);
	return -EACCES;
}

static int say_unreachable(int r, const char *path, char *err, size_t size)
{
	if (r == -EACCES || r == -EPERM)
		return say_no_right(path, err, size);
	if (r == -ENOENT || r == -ENOTDIR)
		snprintf(err, size, "weir is not running (no socket at %s): start it with `weir run`",
		         path);
	else if (r == -ECONNREFUSED)
		snprintf(err, size, "weir is not running (nobody answers at %s): start it with `weir run`",
		         path);
	else if (r == -ENOTSOCK)
		snprintf(err, size, "%s is not a socket: give weir's with --socket", path);
	else
		snprintf(err, size, "cannot reach weir at %s: %s", path, strerror(-r));
	return r;
}

static int wait_for(int fd, short events, long deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		long left = deadline - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int open_socket(const char *path, long deadline, int *ret_fd, char *err, size_t size)
{
	struct sockaddr_un addr;
	int r = weir__control_address(path, &addr, err, size);
	int fd;

	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return say_unreachable(-errno, path, err, size);
	/* EAGAIN: the backlog is full; a unix socket cannot be polled for room. */
	while ((r = connect(fd, (struct sockaddr *)&addr, sizeof addr) ? -errno : 0) == -EAGAIN &&
	       now_ms() < deadline)
		poll(NULL, 0, 10);
	if (r) {
		close(fd);
		return say_unreachable(r, path, err, size);
	}
	*ret_fd = fd;
	return 0;
}

static int send_request(int fd, const json_t *request, long deadline)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len, at = 0;
	int r = 0;

	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* over the end mark: the length counts from here on */
	while (!r && at < len) {
		ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);

		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			r = wait_for(fd, POLLOUT, deadline);
		else if (errno == EPIPE || errno == ECONNRESET)
			break; /* refused before it was read: the answer says why */
		else if (errno != EINTR)
			r = -errno;
	}
	weir__free(text);
	return r;
}

/* One line without its newline; `step` 1 takes no byte beyond it. */
static int read_line(int fd, size_t step, long deadline, char **ret, size_t *ret_len)
{
	size_t len = 0, room = 0;
	char *buf = NULL, *end = NULL, *p;
	int r = 0;

	while (!r && !end) {
		ssize_t n;

		if (len + step > room) {
			room = room ? room * 2 : step > 256 ? step : 256;
			p = room <= WEIR__CONTROL_ANSWER_MAX ? weir__realloc(buf, room) : NULL;
			if (!p) {
				r = room <= WEIR__CONTROL_ANSWER_MAX ? -ENOMEM : -EMSGSIZE;
				break;
			}
			buf = p;
		}
		n = recv(fd, buf + len, step, 0);
		if (n > 0) {
			end = memchr(buf + len, '\n', (size_t)n);
			len += (size_t)n;
		} else if (n == 0) {
			r = -ECONNRESET;
		} else if (errno == EAGAIN) {
			r = wait_for(fd, POLLIN, deadline);
		} else if (errno != EINTR) {
			r = -errno;
		}
	}
	if (r) {
		weir__free(buf);
		return r;
	}
	*ret = buf;
	*ret_len = (size_t)(end - buf);
	return 0;
}

static int exchange(const char *path, const json_t *request, long deadline, size_t step,
                    int *ret_fd, json_t **ret_answer, char *err, size_t size)
{
	json_t *answer = NULL;
	char *line = NULL;
	size_t len;
	int fd = -1, r = open_socket(path, deadline, &fd, err, size);

	if (r)
		return r;
	r = send_request(fd, request, deadline);
	if (!r)
		r = read_line(fd, step, deadline, &line, &len);
	if (!r) {
		answer = json_loadb(line, len, 0, NULL);
		weir__free(line);
		if (!json_is_boolean(json_object_get(answer, "ok")))
			r = -EPROTO;
	}
	if (r) {
		snprintf(err, size, r == -ETIMEDOUT ? "weir does not answer at %s: its log says more"
		         : r == -ECONNRESET ? "weir closed the connection at %s: its log says more"
		         : r == -EPROTO ? "no weir answers at %s: give its socket with --socket"
		         : r == -ENOMEM ? "out of memory asking weir at %s"
		         : "cannot talk to weir at %s", path);
		json_decref(answer);
		close(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_answer = answer;
	return 0;
}

int weir__control_call(const char *path, const json_t *request, int timeout_ms,
                       json_t **ret_answer, char *err, size_t err_size)
{
	int fd = -1, r = exchange(path, request, now_ms() + timeout_ms, 16384, &fd, ret_answer,
	                     err, err_size);

	if (!r)
		close(fd);
	return r;
}

int weir__control_open(const char *path, const json_t *request, int *ret_fd,
                       char *err, size_t err_size)
{
	json_t *answer = NULL, *hint;
	int fd = -1, r = exchange(path, request, now_ms() + WEIR__CONTROL_TIMEOUT_MS, 1, &fd, &answer,
	                     err, err_size);

	if (r)
		return r;
	if (!json_is_true(json_object_get(answer, "ok"))) {
		const char *why = json_string_value(json_object_get(answer, "error"));

		hint = json_object_get(answer, "hint");
		snprintf(err, err_size, "%s%s%s", why ? why : "refused", hint ? ": " : "",
		         hint ? json_string_value(hint) : "");
		r = -EREMOTEIO;
	}
	json_decref(answer);
	if (r) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
