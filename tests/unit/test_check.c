/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir check`: what findings come to, and that looking leaves nothing behind.
 */
#include "check.h"
#include "control.h"
#include "mem.h"
#include "protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static const struct weir__finding *get(const struct weir__findings *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (!strcmp(f->items[i].name, name))
			return &f->items[i];
	fail_msg("no finding %s", name);
	return NULL;
}

/* The exit code is that of the worst finding that counts. */
static void worst_counts(void **state)
{
	struct weir__findings f = { 0 };

	(void)state;
	assert_int_equal(weir__findings_exit(&f), 0);
	weir__finding_add(&f, "bpf", WEIR__CHECK_INFO, "kprobe", WEIR__CHECK_MISSING, NULL, "no");
	weir__finding_add(&f, "weir", WEIR__CHECK_FATAL, "configuration", WEIR__CHECK_OK, NULL, "fine");
	assert_int_equal(weir__findings_exit(&f), 0);
	weir__finding_add(&f, "plugin", WEIR__CHECK_COUNTS, "dns", WEIR__CHECK_MISSING, NULL, "no");
	assert_int_equal(weir__findings_exit(&f), 1);
	weir__finding_add(&f, "weir", WEIR__CHECK_FATAL, "configuration", WEIR__CHECK_MISSING, "do", "no");
	assert_int_equal(weir__findings_exit(&f), 2);
	weir__findings_fini(&f);
}

/* The JSON has every finding with state, weight, reason and cure. */
static void json_is_complete(void **state)
{
	struct weir__findings f = { 0 };
	const char *area, *name, *st, *weight, *reason, *todo, *result;
	json_t *j;
	int code;

	(void)state;
	weir__finding_add(&f, "plugin", WEIR__CHECK_COUNTS, "d\xffns", WEIR__CHECK_DEGRADED, "do this",
	                  "no %s", "right");
	j = weir__findings_json(&f);
	assert_int_equal(json_unpack(j, "{s:s, s:i, s:[{s:s, s:s, s:s, s:s, s:s, s:s}!]}", "result", &result,
	                             "exit", &code, "findings", "area", &area, "name", &name,
	                             "state", &st, "weight", &weight, "reason", &reason, "todo", &todo), 0);
	assert_string_equal(result, "degraded");
	assert_int_equal(code, 1);
	assert_string_equal(name, "d?ns");
	assert_string_equal(st, "degraded");
	assert_string_equal(weight, "counts");
	assert_string_equal(reason, "no right");
	assert_string_equal(todo, "do this");
	json_decref(j);
	weir__findings_fini(&f);
}

/* Whichever allocation fails: nothing is left, and an incomplete list does not
 * pass for a good one. */
static void allocations_may_fail(void **state)
{
	long live = weir__mem_live();

	(void)state;
	for (long n = 0;; n++) {
		struct weir__findings f = { 0 };
		json_t *j;
		bool whole;

		weir__mem_fail_at(n);
		for (int i = 0; i < 40; i++)
			weir__finding_add(&f, "bpf", WEIR__CHECK_INFO, "x", WEIR__CHECK_OK, "do", "%d", i);
		whole = !f.oom;
		assert_int_equal(weir__findings_exit(&f), whole ? 0 : 2);
		j = weir__findings_json(&f);
		weir__mem_fail_at(-1);
		json_decref(j);
		weir__findings_fini(&f);
		assert_int_equal(weir__mem_live(), live);
		if (whole && j)
			break;
	}
}

/* Trying every BPF feature takes well under a second and leaves no descriptor; each
 * thing that is missing says why. */
static void bpf_leaves_nothing(void **state)
{
	struct weir__findings f = { 0 };
	struct timespec a, b;
	int fds;

	(void)state;
	weir__check_bpf(&f); /* the kernel's BTF and libbpf's own are loaded once */
	weir__findings_fini(&f);
	fds = open_fds();
	clock_gettime(CLOCK_MONOTONIC, &a);
	weir__check_bpf(&f);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(open_fds(), fds);
	assert_true((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9 < 1.0);
	assert_true(f.count >= 15);
	for (size_t i = 0; i < f.count; i++)
		assert_true(f.items[i].reason[0]);
	if (get(&f, "ring buffer")->state != WEIR__CHECK_OK)
		print_message("no BPF here: %s\n", get(&f, "ring buffer")->reason);
	else
		assert_int_equal(get(&f, "mapped array")->state, WEIR__CHECK_OK);
	weir__findings_fini(&f);
}

/* The system's findings are there, and leave nothing open. */
static void system_is_described(void **state)
{
	static const char *const names[] = { "version", "BTF", "cachestat", "CAP_BPF", "tracefs",
		                             "cgroups", "pressure", "process I/O", "locked memory" };
	struct weir__findings f = { 0 };
	int fds = open_fds();

	(void)state;
	weir__check_system(&f);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		get(&f, names[i]);
	assert_int_equal(open_fds(), fds);
	weir__findings_fini(&f);
}

static char dir[64], sock[96], listen_at[32];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/weir-check-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(sock, sizeof sock, "%s/run/control.sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* A free port, socket and directory are ok, and looking creates none of them. */
static void free_places_are_ok(void **state)
{
	struct weir__daemon_config cfg = { .http_listen = "127.0.0.1:0", .http_tls_cert = "",
		.http_tls_key = "", .http_auth_user = "", .http_auth_password_file = "",
		.control_socket = sock, .state_dir = dir };
	struct weir__findings f = { 0 };
	int fds;

	(void)state;
	weir__check_places(&f, &cfg); /* libuv keeps two descriptors of its own from now on */
	weir__findings_fini(&f);
	fds = open_fds();
	weir__check_places(&f, &cfg);
	assert_int_equal(weir__findings_exit(&f), 0);
	assert_int_equal(get(&f, "HTTP listener")->state, WEIR__CHECK_OK);
	assert_int_equal(get(&f, "control socket")->state, WEIR__CHECK_OK);
	assert_int_equal(get(&f, "state directory")->state, WEIR__CHECK_OK);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(access(sock, F_OK), -1);
	weir__findings_fini(&f);
}

/* A busy port, a socket path that is something else, and a directory that is a file
 * each are degraded, with what to do. */
static void taken_places_are_degraded(void **state)
{
	struct weir__daemon_config cfg = { .http_listen = listen_at, .http_tls_cert = "",
		.http_tls_key = "", .http_auth_user = "", .http_auth_password_file = "",
		.control_socket = dir, .state_dir = "/dev/null/weir" };
	static const char *const names[] = { "HTTP listener", "control socket", "state directory" };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	struct weir__findings f = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	snprintf(listen_at, sizeof listen_at, "127.0.0.1:%d", ntohs(a.sin_port));
	weir__check_places(&f, &cfg);
	close(fd);
	assert_int_equal(weir__findings_exit(&f), 1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(get(&f, names[i])->state, WEIR__CHECK_DEGRADED);
		assert_non_null(get(&f, names[i])->todo);
	}
	weir__findings_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worst_counts),
		cmocka_unit_test(json_is_complete),
		cmocka_unit_test(allocations_may_fail),
		cmocka_unit_test(bpf_leaves_nothing),
		cmocka_unit_test(system_is_described),
		cmocka_unit_test_setup_teardown(free_places_are_ok, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(taken_places_are_degraded, make_dir, remove_dir),
	};

	weir__json_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
