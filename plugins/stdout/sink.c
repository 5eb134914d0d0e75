/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor that lines go to, so that a reader who does not read never blocks
 * the loop.
 *
 * Standard output is shared with whoever started us, so O_NONBLOCK must not be set
 * on it: that would change it for them as well. Opening it again through /proc gives
 * a descriptor of our own. A regular file never blocks and keeps its shared
 * position, so it is only duplicated. Where opening again is refused (a socket, a
 * pipe of another user), a write is at most PIPE_BUF, and only when poll(2) has
 * promised that much room.
 *
 * Failure: negative errno; nothing is logged here.
 */
#include "stdout.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_standard_output(const char *file)
{
	return !file[0] || !strcmp(file, "-");
}

const char *sink_name(const struct stdout_state *s)
{
	return is_standard_output(s->file) ? "standard output" : s->file;
}

static int open_standard_output(struct sink *s)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		s->may_block = !S_ISREG(st.st_mode);
	}
	if (fd < 0)
		return -errno;
	s->is_socket = S_ISSOCK(st.st_mode);
	s->fd = fd;
	return 0;
}

int sink_open(struct sink *s, const char *file)
{
	struct stat st;

	*s = (struct sink){ .fd = -1 };
	if (is_standard_output(file))
		return open_standard_output(s);
	s->fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
	if (s->fd < 0)
		return -errno;
	s->is_file = !fstat(s->fd, &st) && S_ISREG(st.st_mode);
	return 0;
}

void sink_close(struct sink *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

ssize_t sink_write(struct sink *s, const char *data, size_t len)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	if (s->fd < 0)
		return -EBADF;
	if (s->may_block && !s->is_socket) {
		if (poll(&p, 1, 0) == 0)
			return -EAGAIN;
		if (len > PIPE_BUF)
			len = PIPE_BUF;
	}
	do {
		if (s->is_socket)
			n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(s->fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool sink_is_stale(const struct sink *s, const char *file)
{
	struct stat named, open;

	if (!s->is_file || fstat(s->fd, &open))
		return false;
	if (stat(file, &named))
		return errno == ENOENT;
	return named.st_ino != open.st_ino || named.st_dev != open.st_dev;
}

bool sink_is_terminal(const struct sink *s)
{
	const char *term = getenv("TERM");

	return isatty(s->fd) && term && term[0] && strcmp(term, "dumb") != 0;
}
