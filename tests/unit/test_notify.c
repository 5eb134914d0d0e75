/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the service manager, against a real socket in its place. */
#include "notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { 10, 0 };
	size_t len = strlen(name);

	assert_true(fd >= 0);
	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = 0;
	assert_int_equal(bind(fd, (void *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static void hears(int fd, const char *text)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof buf - 1, 0);

	assert_true(n > 0);
	buf[n] = 0;
	assert_string_equal(buf, text);
}

static void one_round(const char *name)
{
	int fd = listen_at(name);
	struct weir__notify n;
	char buf[4096], long_text[3000];
	unsigned long long us;
	ssize_t len;

	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(weir__notify_init(&n), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	weir__notify(&n, "READY=1\nSTATUS=%s", "ready");
	hears(fd, "READY=1\nSTATUS=ready");
	weir__notify_reloading(&n);
	len = recv(fd, buf, sizeof buf - 1, 0);
	assert_true(len > 0);
	buf[len] = 0;
	assert_int_equal(sscanf(buf, "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
	assert_true(us > 0);
	/* what is too long is cut, not lost */
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	weir__notify(&n, "STATUS=%s", long_text);
	assert_int_equal(recv(fd, buf, sizeof buf, 0), 1023);
	assert_int_equal(n.sent, 3);
	weir__notify_fini(&n);
	weir__notify(&n, "READY=1"); /* nobody there any more: nothing happens */
	assert_int_equal(n.sent, 3);
	close(fd);
}

/* By a path and by an abstract name. */
static void both_addresses(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "/tmp/weir-notify-%d", (int)getpid());
	one_round(path);
	unlink(path);
	snprintf(path, sizeof path, "@weir-notify-%d", (int)getpid());
	one_round(path);
}

/* Without the variable nothing is sent, and nothing is wrong. */
static void nobody_asks(void **state)
{
	struct weir__notify n;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(weir__notify_init(&n), 0);
	assert_int_equal(n.fd, -1);
	weir__notify(&n, "READY=1");
	weir__notify_reloading(&n);
	assert_int_equal(n.sent, 0);
	weir__notify_fini(&n);
}

/* Each wrong address has its own error, and leaves no descriptor. */
static void wrong_addresses(void **state)
{
	static const struct { const char *to; int err; } cases[] = {
		{ "relative", -EAFNOSUPPORT }, { "@", -EAFNOSUPPORT }, { "vsock:2:1", -EAFNOSUPPORT },
		{ "/nonexistent/notify", -ENOENT },
		{ "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxx", -ENAMETOOLONG },
	};
	struct weir__notify n;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		setenv("NOTIFY_SOCKET", cases[i].to, 1);
		assert_int_equal(weir__notify_init(&n), cases[i].err);
		assert_int_equal(n.fd, -1);
	}
}

static void stop_loop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* The watchdog is fed by the loop while that turns, and only then. */
static void feeds(void **state)
{
	char name[64], pid[24], buf[64];
	struct weir__notify n;
	uv_timer_t end;
	uv_loop_t loop;
	int fd, heard = 0;

	(void)state;
	snprintf(name, sizeof name, "@weir-watchdog-%d", (int)getpid());
	fd = listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "20000", 1);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(weir__notify_init(&n), 0);
	assert_int_equal(n.watchdog_ms, 10);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &end);
	weir__notify_feed(&n, &loop);
	assert_int_equal(recv(fd, buf, sizeof buf, MSG_DONTWAIT), -1); /* the loop does not turn yet */
	uv_timer_start(&end, stop_loop, 200, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) == 10 && !memcmp(buf, "WATCHDOG=1", 10))
		heard++;
	assert_in_range(heard, 2, 21);
	weir__notify_fini(&n);
	uv_close((uv_handle_t *)&end, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	close(fd);
}

/* A watchdog that is another process's is not fed. */
static void not_ours(void **state)
{
	struct weir__notify n;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "20000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(weir__notify_init(&n), 0);
	assert_int_equal(n.watchdog_ms, 0);
	assert_null(getenv("WATCHDOG_USEC"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_addresses), cmocka_unit_test(nobody_asks),
		cmocka_unit_test(wrong_addresses), cmocka_unit_test(feeds), cmocka_unit_test(not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
