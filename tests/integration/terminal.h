/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live view on a terminal, as a user has it: keys go in, frames come out, and in the
 * end the terminal is as it was; or its output where there is none. For one test
 * program each; every wait has a deadline.
 */
#ifndef WEIR_TESTS_TERMINAL_H
#define WEIR_TESTS_TERMINAL_H

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

#define DEADLINE_S 20.0
#define HOME "\033[H"

/* A terminal, and a live view on it. */
static struct {
	pid_t pid;
	int fd;
	struct termios before;
	char text[1 << 20];
	size_t len;
} term;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void begin(const struct daemon *d, const char *command, unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	int slave;

	memset(&term, 0, sizeof term);
	assert_int_equal(openpty(&term.fd, &slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(slave, &term.before), 0);
	term.pid = fork();
	assert_true(term.pid >= 0);
	if (!term.pid) {
		close(term.fd);
		login_tty(slave);
		setenv("TERM", "xterm", 1);
		unsetenv("NO_COLOR");
		execl(WEIR_BINARY, "weir", command, "-i", "100ms", "-s", d->socket, (char *)NULL);
		_exit(127);
	}
	close(slave);
	fcntl(term.fd, F_SETFL, O_NONBLOCK);
}

/* What has come meanwhile; false: nothing within this time, or the end. */
static bool take(int ms)
{
	struct pollfd p = { .fd = term.fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (term.len + 65536 > sizeof term.text) { /* old frames are of no use */
		memmove(term.text, term.text + term.len / 2, term.len - term.len / 2);
		term.len -= term.len / 2;
	}
	n = read(term.fd, term.text + term.len, sizeof term.text - term.len - 1);
	if (n <= 0)
		return false;
	term.len += (size_t)n;
	term.text[term.len] = 0;
	return true;
}

/* The last frame that is complete, without its escape sequences; NULL: none yet. */
static const char *last_frame(void)
{
	static char frame[65536];
	const char *at = term.text, *last = NULL, *end = NULL, *next;
	size_t n = 0;

	while ((next = strstr(at, HOME))) {
		last = end;
		end = next;
		at = next + 1;
	}
	if (!last)
		return NULL;
	for (at = last; at < end && n + 1 < sizeof frame; at++) {
		if (*at == '\033') {
			while (at < end && !((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z')))
				at++;
			continue;
		}
		if (*at != '\r')
			frame[n++] = *at;
	}
	frame[n] = 0;
	return frame;
}

/* Wait for a frame with this text (or without it). */
static const char *wait_frame(const char *what, bool with)
{
	double until = now() + DEADLINE_S;
	const char *frame;

	for (;;) {
		take(50);
		frame = last_frame();
		if (frame && !strstr(frame, what) == !with)
			return frame;
		if (now() > until) {
			print_error("no frame %s: %s\n%s\n", with ? "with" : "without", what, frame ? frame : "-");
			fail();
		}
	}
}

static void type(const char *keys)
{
	assert_int_equal(write(term.fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* It ends, as waitpid says, and the terminal is as it was. */
static int end(void)
{
	double until = now() + DEADLINE_S;
	struct termios after;
	int status = 0;

	while (waitpid(term.pid, &status, WNOHANG) != term.pid) {
		take(20);
		if (now() > until) {
			kill(term.pid, SIGKILL);
			waitpid(term.pid, NULL, 0);
			fail_msg("the live view does not end");
		}
	}
	while (take(0))
		;
	assert_non_null(strstr(term.text, "\033[?25h\033[?1049l")); /* cursor and screen are back */
	if (tcgetattr(term.fd, &after) == 0) {
		assert_int_equal(after.c_lflag, term.before.c_lflag);
		assert_int_equal(after.c_iflag, term.before.c_iflag);
	}
	close(term.fd);
	return status;
}

static void fits(const char *frame, size_t rows, size_t columns)
{
	size_t lines = 1, width = 0;

	for (; *frame; frame++) {
		width = *frame == '\n' ? 0 : width + 1;
		lines += *frame == '\n';
		assert_true(width <= columns);
	}
	assert_true(lines <= rows);
}

/* Output and exit code of a live view where there is no terminal. */
static int plain(const struct daemon *d, const char *command, const char *options, char *out, size_t size)
{
	char line[700];
	FILE *f;
	size_t n;

	snprintf(line, sizeof line, "timeout 30 %s %s -s %s %s 2>&1 </dev/null", WEIR_BINARY, command, d->socket, options);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = 0;
	return WEXITSTATUS(pclose(f));
}

#endif
