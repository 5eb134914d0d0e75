/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For test_control.c alone: a control server on a thread with its own loop, started,
 * told to stop, and called from the test. A test's setup makes its directory.
 */
#ifndef WEIR_TESTS_CONTROL_SERVER_H
#define WEIR_TESTS_CONTROL_SERVER_H

#include "control_private.h"
#include "mem.h"
#include "protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

static struct {
	char dir[64], path[128];
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	uv_sem_t started, event;
	struct weir__control *control;
	struct weir__control_request *held; /* {"cmd":"hold"} */
	const char *group;
	_Atomic int command;
	int r;
	uid_t uid;
	pid_t pid;
	char err[256];
} srv;

enum { STOP = 1, RELEASE, STOP_THEN_RELEASE };

static void on_stopped(void *arg)
{
	(void)arg;
	if (srv.command == STOP_THEN_RELEASE)
		weir__control_reply(srv.held, json_pack("{s:b}", "ok", 1));
	uv_close((uv_handle_t *)&srv.wake, NULL);
}

static void on_wake(uv_async_t *a)
{
	int command = srv.command;

	(void)a;
	if (command == RELEASE) {
		weir__control_reply(srv.held, json_pack("{s:b}", "ok", 1));
		uv_sem_post(&srv.event);
	} else if (command) {
		weir__control_stop(srv.control, on_stopped, NULL);
	}
}

static void stream(struct weir__control_request *req)
{
	int fd = weir__control_take_fd(req);

	if (fd < 0)
		return;
	for (int i = 0; i < 1000; i++)
		dprintf(fd, "event %d\n", i);
	close(fd);
}

static void handler(void *arg, struct weir__control_request *req, const json_t *body)
{
	const char *cmd = json_string_value(json_object_get(body, "cmd"));
	gid_t gid;

	(void)arg;
	weir__control_peer(req, &srv.uid, &gid, &srv.pid);
	if (!strcmp(cmd, "echo")) {
		weir__control_reply(req, json_pack("{s:b, s:O}", "ok", 1, "body", body));
	} else if (!strcmp(cmd, "hold")) {
		srv.held = req;
		uv_sem_post(&srv.event);
	} else if (!strcmp(cmd, "tail")) {
		stream(req);
	} else {
		weir__control_error(req, "do this", "no \xff such command: %s", cmd);
	}
}

static void run(void *arg)
{
	(void)arg;
	uv_loop_init(&srv.loop);
	uv_async_init(&srv.loop, &srv.wake, on_wake);
	srv.r = weir__control_start(&srv.loop, srv.path, srv.group, handler, NULL, &srv.control,
	                            srv.err, sizeof srv.err);
	if (srv.r)
		uv_close((uv_handle_t *)&srv.wake, NULL);
	uv_sem_post(&srv.started);
	uv_run(&srv.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&srv.loop), 0);
}

static int start(const char *group)
{
	srv.group = group;
	srv.command = 0;
	uv_thread_create(&srv.thread, run, NULL);
	uv_sem_wait(&srv.started);
	if (srv.r)
		uv_thread_join(&srv.thread);
	return srv.r;
}

static void tell(int command)
{
	srv.command = command;
	uv_async_send(&srv.wake);
}

static void stop(void)
{
	tell(STOP);
	uv_thread_join(&srv.thread);
}

static int setup(void **state)
{
	(void)state;
	strcpy(srv.dir, "/tmp/weir-control-XXXXXX");
	assert_non_null(mkdtemp(srv.dir));
	snprintf(srv.path, sizeof srv.path, "%s/run/control.sock", srv.dir);
	uv_sem_init(&srv.started, 0);
	uv_sem_init(&srv.event, 0);
	return 0;
}

static int teardown(void **state)
{
	char run_dir[128];

	(void)state;
	unlink(srv.path);
	snprintf(run_dir, sizeof run_dir, "%s/run", srv.dir);
	rmdir(run_dir);
	assert_int_equal(rmdir(srv.dir), 0);
	uv_sem_destroy(&srv.started);
	uv_sem_destroy(&srv.event);
	return 0;
}

static int call(const char *cmd, json_t **answer, char *err, size_t size)
{
	json_t *request = json_pack("{s:s}", "cmd", cmd);
	int r = weir__control_call(srv.path, request, TIMEOUT_MS, answer, err, size);

	json_decref(request);
	return r;
}

static int connected(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, srv.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Everything until the other side closes. */
static size_t slurp(int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
		n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = 0;
	close(fd);
	return len;
}

#endif
