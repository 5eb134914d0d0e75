/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of weir top: what it takes to have it to oneself, and to give it back
 * as it was. The view is on the other screen, so that what was there before is there
 * again afterwards.
 *
 * Failures: whatever ends the process, but SIGKILL, gives the terminal back: leave is
 * called at exit, and by a handler for the signals of a crash. One thread.
 */
#include "top.h"
#include "mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The other screen; no cursor. It is wiped before it is left: some multiplexers bring
 * parts of it back with the first one when they have been resized meanwhile. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[2J\033[?25h\033[?1049l"

static struct termios before;
static volatile sig_atomic_t entered;

bool weir__top_term_able(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb");
}

/* Only what a signal handler may do. */
void weir__top_term_leave(void)
{
	ssize_t n;

	if (!entered)
		return;
	entered = 0;
	n = write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
	(void)n; /* gone: nothing to give back */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static void crashed(int sig)
{
	weir__top_term_leave();
	raise(sig); /* SA_RESETHAND: the default now */
}

int weir__top_term_enter(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	struct sigaction sa = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND };
	static bool registered;
	struct termios raw;

	/* Entered still: stopped and continued by others, who may have changed it. */
	if (!entered && tcgetattr(STDIN_FILENO, &before) != 0)
		return -errno;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: ^C and ^Z are signals */
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (!registered && atexit(weir__top_term_leave) != 0)
		return -ENOMEM;
	registered = true;
	for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
		sigaction(crashes[i], &sa, NULL);
	entered = 1; /* from here on there is something to undo */
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0 ||
	    write(STDOUT_FILENO, ENTER, sizeof ENTER - 1) != (ssize_t)sizeof ENTER - 1) {
		int r = errno ? -errno : -EIO;

		weir__top_term_leave();
		return r;
	}
	return 0;
}

void weir__top_term_size(unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		size.ws_row = size.ws_col = 0;
	*ret_rows = size.ws_row ? size.ws_row : 24;
	*ret_columns = size.ws_col ? size.ws_col : 80;
}

static bool write_all(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

/* One write: no half of a frame is ever seen. A line wipes its row before it, not
 * after: at the right edge that would take its last character. */
bool weir__top_term_paint(const struct weir__top_text *t)
{
	/* Per line "\r\n\033[K" instead of "\n". */
	size_t room = t->len + 5 * (size_t)t->lines + 16, len = 0;
	char *out = weir__alloc(room);
	bool ok;

	if (!out)
		return true; /* a frame is left out, no more */
	memcpy(out, "\033[H\033[K", 6);
	len = 6;
	for (size_t i = 0; i + 1 < t->len; i++) { /* a newline at the bottom would scroll */
		if (t->text[i] != '\n') {
			out[len++] = t->text[i];
			continue;
		}
		memcpy(out + len, "\r\n\033[K", 5);
		len += 5;
	}
	ok = write_all(out, len);
	weir__free(out);
	return ok;
}
