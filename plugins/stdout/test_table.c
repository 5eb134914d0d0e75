/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live view on a pseudo terminal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test_stdout.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;
static char path[128];

static struct weir_test *start_table(unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	struct termios raw;

	setenv("TERM", "xterm", 1);
	assert_int_equal(openpty(&master, &slave, path, NULL, &size), 0);
	tcgetattr(slave, &raw);
	cfmakeraw(&raw); /* see just what was written */
	tcsetattr(slave, TCSANOW, &raw);
	fcntl(master, F_SETFL, O_NONBLOCK);
	return start_on(path, "format=auto");
}

static const char *frame(struct weir_test *t)
{
	static char text[1 << 17];
	size_t len = 0;
	ssize_t n;

	weir_test_advance(t, WEIR_TEST_SECOND);
	while ((n = read(master, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return text;
}

static void end_table(struct weir_test *t)
{
	end(t);
	close(master);
	close(slave);
}

static int count(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

/* On a terminal the summaries are painted over again in place, headings bold. */
void test_table(void **state)
{
	struct weir_test *t = start_table(24, 80);
	struct weir_test_batch *b;
	const char *text;

	(void)state;
	unsetenv("NO_COLOR");
	weir_test_answer(t, "*.summary", "iomonitor\n  hits 12\n  misses 3\n");
	b = batch(0, 100);
	assert_int_equal(weir_test_deliver(t, b), WEIR_DELIVERED);
	text = frame(t);
	assert_ptr_equal(strstr(text, "\033[?25l\033[?7l\r\033[1mweir  00:00:0"), text);
	assert_non_null(strstr(text, " UTC  "));
	assert_non_null(strstr(text, "\033[1miomonitor\033[0m\033[K\r\n  hits 12\033[K\r\n  misses 3\033[K\r\n\033[J\033[?7h\033[?25h"));
	text = frame(t);
	assert_non_null(strstr(text, "  0 events/s\033[0m"));
	assert_non_null(strstr(text, "\r\033[4A")); /* four lines up, and over them again */
	end_table(t);
	weir_test_batch_free(b);
}

/* Nothing a summary says can act on the terminal, and nothing exceeds its size. */
void test_table_hostile(void **state)
{
	struct weir_test *t;
	const char *text;
	char many[4000] = "";

	(void)state;
	setenv("NO_COLOR", "1", 1);
	t = start_table(10, 20);
	weir_test_answer(t, "*.summary", "a\033[2Jb\a\x9b\xc2\x9b\xe2\x80\xae" "c\xc3\xbc\r\b\n\n0123456789012345678901234567890\n");
	text = frame(t);
	assert_non_null(strstr(text, "a?[2Jb???????c\xc3\xbc??\033[K\r\n\033[K\r\n01234567890123456789\033[K\r\n"));
	assert_null(strstr(text, "\033[1m"));
	for (int i = 0; i < 100; i++)
		sprintf(many + strlen(many), "line %d\n", i);
	weir_test_answer(t, "*.summary", many);
	text = frame(t);
	assert_int_equal(count(text, "\r\n"), 9);
	assert_non_null(strstr(text, "line 7\033[K"));
	unsetenv("NO_COLOR");
	end_table(t);
}

/* A changed size begins with a clear screen; a missing summary is said. */
void test_table_resize(void **state)
{
	struct winsize size = { .ws_row = 30, .ws_col = 100 };
	struct weir_test *t = start_table(24, 80);

	(void)state;
	assert_non_null(strstr(frame(t), "no running plugin has a summary"));
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	assert_non_null(strstr(frame(t), "\033[H\033[2J"));
	assert_null(strstr(frame(t), "\033[2J"));
	end_table(t);
}

/* A terminal that is not read costs frames, not events, and stop still ends. */
void test_table_stuck(void **state)
{
	struct weir_test *t = start_table(60, 200);
	struct weir_test_batch *b = batch(0, 10);
	char many[20000];

	(void)state;
	memset(many, 'x', sizeof many);
	for (size_t i = 100; i < sizeof many; i += 100)
		many[i] = '\n';
	many[sizeof many - 1] = 0;
	weir_test_answer(t, "*.summary", many);
	weir_test_advance(t, 60 * WEIR_TEST_SECOND);
	assert_int_equal(weir_test_deliver(t, b), WEIR_DELIVERED);
	end_table(t);
	weir_test_batch_free(b);
}
