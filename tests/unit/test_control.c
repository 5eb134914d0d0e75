/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, both sides: a server on its own thread's loop, clients here.
 */
#include "control_server.h"

/* A request gets its answer, and the server knows who asked. */
static void request_is_answered(void **state)
{
	char err[256] = "";
	json_t *answer;

	(void)state;
	assert_int_equal(start(""), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(call("echo", &answer, err, sizeof err), 0);
		assert_true(json_is_true(json_object_get(answer, "ok")));
		assert_string_equal(json_string_value(json_object_get(
			json_object_get(answer, "body"), "cmd")), "echo");
		json_decref(answer);
	}
	assert_int_equal(srv.uid, geteuid());
	assert_int_equal(srv.pid, getpid());
	stop();
	assert_int_equal(access(srv.path, F_OK), -1);
}

/* An error comes with its hint, and bytes that are not UTF-8 cannot spoil it. */
static void error_is_answered(void **state)
{
	char err[256];
	json_t *answer;

	(void)state;
	assert_int_equal(start(NULL), 0);
	assert_int_equal(call("nonsense", &answer, err, sizeof err), 0);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_string_equal(json_string_value(json_object_get(answer, "error")),
	                    "no ? such command: nonsense");
	assert_string_equal(json_string_value(json_object_get(answer, "hint")), "do this");
	json_decref(answer);
	stop();
}

/* The file is 0660 in a directory 0750, and belongs to the group that was asked for. */
static void file_is_restricted(void **state)
{
	struct stat st;
	char *slash;

	(void)state;
	umask(0);
	assert_int_equal(start(geteuid() == 0 ? "4242" : ""), 0);
	umask(022);
	assert_int_equal(stat(srv.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, geteuid() == 0 ? 4242 : getegid());
	slash = strrchr(srv.path, '/');
	*slash = 0;
	assert_int_equal(stat(srv.path, &st), 0);
	*slash = '/';
	assert_int_equal(st.st_mode & 07777, 0750);
	stop();
}

/* Without a daemon the client says that it is not running, and how to start it. */
static void absence_is_said(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char err[256];
	json_t *answer;
	int fd;

	(void)state;
	assert_int_equal(call("echo", &answer, err, sizeof err), -ENOENT);
	assert_non_null(strstr(err, "weir is not running (no socket at "));
	assert_non_null(strstr(err, "start it with `weir run`"));
	snprintf(srv.path, sizeof srv.path, "%s/control.sock", srv.dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(a.sun_path, srv.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	close(fd);
	assert_int_equal(call("echo", &answer, err, sizeof err), -ECONNREFUSED);
	assert_non_null(strstr(err, "weir is not running (nobody answers at "));
}

/* What a dead daemon left is replaced. */
static void stale_is_replaced(void **state)
{
	char err[256];
	json_t *answer;

	(void)state;
	absence_is_said(state); /* leaves a socket file nobody listens on */
	assert_int_equal(start(""), 0);
	assert_int_equal(call("echo", &answer, err, sizeof err), 0);
	json_decref(answer);
	stop();
}

/* A live daemon's socket, and a file that is none, stay; the message says what to do. */
static void live_is_left_alone(void **state)
{
	struct stat st;
	char err[256];
	int fd;

	(void)state;
	assert_int_equal(start(""), 0);
	assert_int_equal(weir__control_listen(srv.path, "", &fd, &st, err, sizeof err), -EADDRINUSE);
	assert_non_null(strstr(err, "another weir answers"));
	stop();
	fd = open(srv.path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(start(""), -EEXIST);
	assert_non_null(strstr(srv.err, "is not a socket: remove it"));
}

/* A wrong path, group or directory is refused with what to do. */
static void bad_place_is_refused(void **state)
{
	static const char *const cases[][3] = {
		{ "/nonexistent/dir/control.sock", "", "cannot create /nonexistent/dir" },
		{ "/proc/control.sock", "", "cannot create the control socket" },
		{ "", "", "choose a shorter" },
		{ "/tmp/weir-no.sock", "no-such-group-here", "create it (groupadd" },
	};
	char err[256], longer[200];
	struct stat st;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		err[0] = 0;
		assert_true(weir__control_listen(cases[i][0], cases[i][1], &fd, &st, err, sizeof err) < 0);
		if (!strstr(err, cases[i][2]))
			fail_msg("%s", err);
	}
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	assert_int_equal(weir__control_listen(longer, "", &fd, &st, err, sizeof err), -ENAMETOOLONG);
	assert_int_equal(access("/tmp/weir-no.sock", F_OK), -1);
}

/* Not JSON, no command, and too long: each is answered, none disturbs the next. */
static void bad_requests_are_answered(void **state)
{
	static char big[WEIR__CONTROL_REQUEST_MAX + 4096];
	static const struct { const char *send, *want; } cases[] = {
		{ "hello\n", "bad request" },
		{ "[]\n", "no \\\"cmd\\\"" },
		{ "{\"cmd\":7}\n", "no \\\"cmd\\\"" },
		{ "\n", "bad request" },
		{ "{\"cmd\":\"echo\",\"cmd\":\"echo\"}\n", "bad request" },
		{ big, "request longer than 65536 bytes" },
	};
	char buf[4096];

	(void)state;
	memset(big, ' ', sizeof big - 1);
	assert_int_equal(start(""), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int fd = connected();

		send(fd, cases[i].send, strlen(cases[i].send), MSG_NOSIGNAL);
		slurp(fd, buf, sizeof buf);
		if (!strstr(buf, "{\"ok\":false") || !strstr(buf, cases[i].want))
			fail_msg("%s", buf);
	}
	stop();
}

/* The largest request still passes, and comes back whole. */
static void large_request_passes(void **state)
{
	static char big[WEIR__CONTROL_REQUEST_MAX - 64];
	char err[256];
	json_t *request, *answer;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	request = json_pack("{s:s, s:s}", "cmd", "echo", "filler", big);
	assert_int_equal(start(""), 0);
	assert_int_equal(weir__control_call(srv.path, request, TIMEOUT_MS, &answer, err, sizeof err), 0);
	assert_true(json_equal(json_object_get(answer, "body"), request));
	json_decref(request);
	json_decref(answer);
	stop();
}

/* Who sends nothing for 5 s is told so and let go. */
static void silence_ends(void **state)
{
	char buf[4096];

	(void)state;
	assert_int_equal(start(""), 0);
	slurp(connected(), buf, sizeof buf);
	assert_non_null(strstr(buf, "no request within 5 s"));
	stop();
}

/* The 33rd client is told that it is busy; room comes back when one leaves. */
static void clients_are_bounded(void **state)
{
	int fds[WEIR__CONTROL_CLIENTS], r;
	char buf[4096], err[256];
	json_t *answer;

	(void)state;
	assert_int_equal(start(""), 0);
	for (int i = 0; i < WEIR__CONTROL_CLIENTS; i++)
		fds[i] = connected();
	slurp(connected(), buf, sizeof buf);
	assert_non_null(strstr(buf, "busy: 32 clients"));
	close(fds[0]);
	for (int i = 0; i < TIMEOUT_MS; i++) {
		r = call("echo", &answer, err, sizeof err);
		assert_int_equal(r, 0);
		r = json_is_true(json_object_get(answer, "ok"));
		json_decref(answer);
		if (r)
			break;
		poll(NULL, 0, 1);
	}
	assert_true(r);
	stop(); /* with 31 connected */
	for (int i = 1; i < WEIR__CONTROL_CLIENTS; i++)
		close(fds[i]);
}

/* An answer may come late; a client that has gone meanwhile does no harm. */
static void late_answer(void **state)
{
	static const char request[] = "{\"cmd\":\"hold\"}\n";
	char buf[256];
	int fd;

	(void)state;
	assert_int_equal(start(""), 0);
	for (int gone = 0; gone < 2; gone++) {
		fd = connected();
		assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
		shutdown(fd, SHUT_WR);
		uv_sem_wait(&srv.event);
		if (gone)
			close(fd);
		tell(RELEASE);
		uv_sem_wait(&srv.event);
		if (!gone) {
			slurp(fd, buf, sizeof buf);
			assert_string_equal(buf, "{\"ok\":true}\n");
		}
	}
	stop();
}

/* A request may outlive the server. */
static void stop_with_open_request(void **state)
{
	char buf[256];
	int fd;

	(void)state;
	assert_int_equal(start(""), 0);
	fd = connected();
	dprintf(fd, "{\"cmd\":\"hold\"}\n");
	uv_sem_wait(&srv.event);
	tell(STOP_THEN_RELEASE);
	uv_thread_join(&srv.thread);
	assert_int_equal(slurp(fd, buf, sizeof buf), 0);
}

/* A taken socket carries the stream, first byte to last. */
static void stream_is_whole(void **state)
{
	static char buf[65536];
	json_t *request = json_pack("{s:s}", "cmd", "tail");
	char err[256], want[32];
	const char *p = buf;
	int fd;

	(void)state;
	assert_int_equal(start(""), 0);
	assert_int_equal(weir__control_open(srv.path, request, &fd, err, sizeof err), 0);
	json_decref(request);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	slurp(fd, buf, sizeof buf);
	for (int i = 0; i < 1000; i++) {
		snprintf(want, sizeof want, "event %d\n", i);
		assert_memory_equal(p, want, strlen(want));
		p += strlen(want);
	}
	request = json_pack("{s:s}", "cmd", "nonsense");
	assert_int_equal(weir__control_open(srv.path, request, &fd, err, sizeof err), -EREMOTEIO);
	assert_string_equal(err, "no ? such command: nonsense: do this");
	json_decref(request);
	stop();
}

/* In a child of that uid and groups: the error the client shows, by its exit status. */
static int call_as(uid_t uid, gid_t group)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char err[256] = "";
		json_t *answer = NULL;
		int r;

		if (setgroups(group ? 1 : 0, &group) != 0 || setgid(uid) != 0 || setuid(uid) != 0)
			_exit(99);
		r = call("echo", &answer, err, sizeof err);
		_exit(r == -EACCES && strstr(err, "need root or group") ? 1
		      : r ? 2 : json_is_true(json_object_get(answer, "ok")) ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A stranger is refused by the file's mode and, were that open, by credentials; a
 * member of the group by a supplementary group gets in. */
static void strangers_are_refused(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root to become another user\n");
		skip();
	}
	assert_int_equal(chmod(srv.dir, 0755), 0);
	assert_int_equal(start("4242"), 0);
	assert_int_equal(call_as(4343, 4242), 0);
	assert_int_equal(call_as(4343, 0), 1);
	snprintf(srv.err, sizeof srv.err, "%s/run", srv.dir);
	assert_int_equal(chmod(srv.err, 0755), 0);
	assert_int_equal(chmod(srv.path, 0666), 0);
	assert_int_equal(call_as(4343, 0), 3);
	stop();
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Nothing is left, soon. */
static bool quiet(long live, int fds)
{
	for (int i = 0; i < TIMEOUT_MS; i++) {
		if (weir__mem_live() == live && open_fds() == fds)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* Whichever allocation fails, on either side: an error, nothing left, and the next
 * call works. */
static void allocations_may_fail(void **state)
{
	long live, asked;
	int fds;
	char err[256];
	json_t *answer;

	(void)state;
	for (long n = 0;; n++) {
		struct weir__control *c;
		uv_loop_t loop;
		int r;

		uv_loop_init(&loop);
		live = weir__mem_live();
		weir__mem_fail_at(n);
		r = weir__control_start(&loop, srv.path, "", handler, NULL, &c, err, sizeof err);
		weir__mem_fail_at(-1);
		if (!r)
			weir__control_stop(c, NULL, NULL);
		uv_run(&loop, UV_RUN_DEFAULT);
		uv_loop_close(&loop);
		assert_int_equal(weir__mem_live(), live);
		if (!r)
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(start(""), 0);
	live = weir__mem_live();
	fds = open_fds();
	for (long n = 0;; n++) {
		weir__mem_fail_at(n);
		if (call("echo", &answer, err, sizeof err) == 0)
			json_decref(answer);
		quiet(live, fds);
		asked = weir__mem_fail_at(-1);
		/* The server may not even have accepted a client that gave up: this one
		 * comes after it. */
		assert_int_equal(call("echo", &answer, err, sizeof err), 0);
		json_decref(answer);
		assert_true(quiet(live, fds));
		if (asked <= n)
			break;
	}
	assert_int_equal(call("echo", &answer, err, sizeof err), 0);
	json_decref(answer);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(request_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(error_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_restricted, setup, teardown),
		cmocka_unit_test_setup_teardown(absence_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(live_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_place_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(large_request_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(clients_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(late_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_with_open_request, setup, teardown),
		cmocka_unit_test_setup_teardown(stream_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(allocations_may_fail, setup, teardown),
	};

	weir__json_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
