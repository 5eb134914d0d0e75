/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a service manager sees it: ready, fed while its main loop turns and
 * not otherwise, stopping.
 */
#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* What the manager allows between two signs of life; the daemon gives two in it. */
#define WATCHDOG_US "200000"
#define QUIET_MS 1000

static int manager(char *name, size_t size)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len;

	snprintf(name, size, "@weir-test-manager-%d", (int)getpid());
	len = strlen(name);
	memcpy(at.sun_path + 1, name + 1, len - 1);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	return fd;
}

/* The next message within ms, or false. */
static bool next(int fd, int ms, char *text, size_t size)
{
	struct timeval patience = { ms / 1000, ms % 1000 * 1000 };
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	n = recv(fd, text, size - 1, 0);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

static void wait_for_message(int fd, const char *begin, char *text, size_t size)
{
	for (int i = 0; i < 1000; i++) {
		if (!next(fd, 20000, text, size))
			fail_msg("no message that begins with %s", begin);
		if (!strncmp(text, begin, strlen(begin)))
			return;
	}
	fail_msg("a thousand messages, none begins with %s", begin);
}

static void drain(int fd)
{
	char text[2048];

	while (recv(fd, text, sizeof text, MSG_DONTWAIT) > 0)
		;
}

static void a_service(void **state)
{
	char name[64], text[2048];
	int fd = manager(name, sizeof name);
	struct daemon d;

	(void)state;
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", WATCHDOG_US, 1);
	daemon_spawn(&d, "control: {socket: '@S'}\nstate_dir: '@D/state'\nhttp: {listen: ''}\n"
	             "plugin_dirs: ['@P']\nplugins:\n  stdout: {file: /dev/null}\n");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	wait_for_message(fd, "READY=1\nSTATUS=ready", text, sizeof text);
	wait_for_message(fd, "WATCHDOG=1", text, sizeof text);
	wait_for_message(fd, "WATCHDOG=1", text, sizeof text);
	/* a main loop that does not turn does not say that it does */
	kill(d.pid, SIGSTOP);
	do
		drain(fd);
	while (next(fd, QUIET_MS, text, sizeof text));
	kill(d.pid, SIGCONT);
	wait_for_message(fd, "WATCHDOG=1", text, sizeof text);
	kill(d.pid, SIGTERM);
	wait_for_message(fd, "STOPPING=1\nSTATUS=", text, sizeof text);
	assert_int_equal(daemon_wait(&d), 0);
	daemon_clean(&d);
	close(fd);
}

/* A manager that is gone: one warning, and the daemon does its work. */
static void no_manager(void **state)
{
	struct daemon d;
	char *log;

	(void)state;
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	daemon_start(&d, "control: {socket: '@S'}\nstate_dir: '@D/state'\nhttp: {listen: ''}\n"
	             "plugin_dirs: ['@P']\nplugins:\n  stdout: {file: /dev/null}\n");
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "NOTIFY_SOCKET: No such file or directory"));
	free(log);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_service), cmocka_unit_test(no_manager) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
