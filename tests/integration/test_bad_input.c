/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bad surroundings: each is said clearly, with what to do, and everything that can
 * run runs.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON                                                                 \
	"control: {socket: '@S'}\nstate_dir: '@D/state'\nplugin_dirs: ['@B', '@P']\n"

static json_t *status(struct daemon *d)
{
	return daemon_call(d, json_pack("{s:s}", "cmd", "status"));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void assert_logged(struct daemon *d, const char *what)
{
	char *log = daemon_log(d);

	if (!strstr(log, what))
		print_error("not in the log: %s\n%s\n", what, log);
	assert_non_null(strstr(log, what));
	free(log);
}

/* A wrong configuration: all errors with places, exit 1, nothing started. */
static void wrong_config(void **state)
{
	struct daemon d;

	(void)state;
	daemon_spawn(&d, COMMON "log: {levl: info}\nplugins:\n  stdout: {format: jsn}\n");
	assert_int_equal(daemon_wait(&d), 1);
	assert_logged(&d, "weir.yaml:4:");
	assert_logged(&d, "level");
	assert_logged(&d, "weir.yaml:6:");
	assert_logged(&d, "nothing was started");
	assert_int_not_equal(access(d.socket, F_OK), 0);
	daemon_clean(&d);
}

/* No such configuration file: exit 1 with its name and what to do. */
static void missing_config(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(system(WEIR_BINARY " run -c /nonexistent/weir.yaml "
	                                    ">/dev/null 2>&1")), 1);
	assert_int_equal(WEXITSTATUS(system(WEIR_BINARY " run -c /nonexistent/weir.yaml 2>&1 | "
	                                    "grep -q '/nonexistent/weir.yaml.*No such file'")), 0);
}

/* A plugin that is not there and one that others may write are refused with their
 * reasons; the third runs. */
static void bad_plugins(void **state)
{
	struct daemon d;
	char path[400], yaml[1000];
	json_t *s;
	int fd;

	(void)state;
	snprintf(path, sizeof path, "/tmp/weir-bad-%d.so", (int)getpid());
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
	fchmod(fd, 0666);
	close(fd);
	snprintf(yaml, sizeof yaml, COMMON "http: {listen: ''}\nplugins:\n  count:\n  nosuch:\n"
	         "  evil: {path: '%s'}\n", path);
	daemon_start(&d, yaml);
	s = status(&d);
	assert_string_equal(text(plugin_of(s, "count"), "state"), "running");
	assert_string_equal(text(plugin_of(s, "nosuch"), "state"), "refused");
	assert_non_null(strstr(text(plugin_of(s, "nosuch"), "reason"), "not-found"));
	assert_string_equal(text(plugin_of(s, "evil"), "state"), "refused");
	assert_non_null(strstr(text(plugin_of(s, "evil"), "reason"), "mode"));
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	unlink(path);
	daemon_clean(&d);
}

/* A busy port: said with what to do; the plugins run all the same. */
static void busy_port(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct daemon d;
	char yaml[700];
	json_t *s;

	(void)state;
	assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (void *)&at, &len);
	snprintf(yaml, sizeof yaml, COMMON "http: {listen: '127.0.0.1:%d'}\nplugins:\n  count:\n",
	         ntohs(at.sin_port));
	daemon_start(&d, yaml);
	assert_logged(&d, "no HTTP");
	assert_logged(&d, "http.listen");
	s = status(&d);
	assert_string_equal(text(plugin_of(s, "count"), "state"), "running");
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	close(fd);
	daemon_clean(&d);
}

/* A state directory that cannot be made: a warning, and the rest runs. */
static void state_dir(void **state)
{
	struct daemon d;

	(void)state;
	daemon_start(&d, "control: {socket: '@S'}\nstate_dir: /proc/nowhere\nhttp: {listen: ''}\n"
	             "plugin_dirs: ['@B']\nplugins:\n  count:\n");
	assert_logged(&d, "state_dir");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static bool has_rejected(const json_t *s, void *arg)
{
	(void)arg;
	return dropped(route_of(s, "flood", "stdout"), "rejected") > 0;
}

static bool delivers_more(const json_t *s, void *arg)
{
	return num(route_of(s, "flood", "stdout"), "delivered") > *(long long *)arg;
}

/* A full disk: what cannot be written is rejected and counted, the daemon runs on,
 * and goes on writing when there is room again. */
static void full_disk(void **state)
{
	struct daemon d;
	char dir[] = "/tmp/weir-full-XXXXXX", path[64], yaml[900];
	long long before;
	json_t *s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m")) {
		rmdir(dir);
		print_message("SKIP: full_disk: cannot mount a tmpfs\n");
		skip();
	}
	snprintf(path, sizeof path, "%s/out", dir);
	snprintf(yaml, sizeof yaml, COMMON "http: {listen: ''}\nplugins:\n"
	         "  stdout: {format: json, file: '%s'}\n  flood: {rate: 50000}\n", path);
	daemon_start(&d, yaml);
	s = wait_for(&d, has_rejected, NULL, "rejected records on a full disk");
	assert_all_balanced(s);
	before = num(route_of(s, "flood", "stdout"), "delivered") + 1000;
	json_decref(s);
	assert_int_equal(truncate(path, 0), 0);
	s = wait_for(&d, delivers_more, &before, "deliveries after there is room");
	assert_all_balanced(s);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
	umount(dir);
	rmdir(dir);
}

static bool fallback_runs(const json_t *s, void *arg)
{
	(void)arg;
	/* it serves flows from the beginning, since nobody else does here */
	return !strcmp(text(plugin_of(s, "procfs-fallback"), "state"), "running") &&
	       !strcmp(text(plugin_of(s, "iomonitor"), "state"), "failed");
}

/* Is every directory above the file open to those who own nothing? */
static bool nobody_reaches(const char *file)
{
	char dir[4096];
	struct stat st;

	snprintf(dir, sizeof dir, "%s", file);
	for (char *slash = strrchr(dir, '/'); slash && slash != dir; slash = strrchr(dir, '/')) {
		*slash = 0;
		if (stat(dir, &st) || !(st.st_mode & S_IXOTH))
			return false;
	}
	return true;
}

/* Without root iomonitor has no source: it says why, procfs-fallback has its topics,
 * and the status says so. */
static void no_root(void **state)
{
	struct daemon d;
	json_t *s, *p;

	(void)state;
	if (!nobody_reaches(WEIR_BINARY)) {
		print_message("SKIP: no_root: a directory above %s is closed to other users\n", WEIR_BINARY);
		skip();
	}
	/* nobody owns what it needs; the plugins are root's and readable */
	daemon_spawn_as(&d, 65534, "control: {socket: '@S'}\nstate_dir: '@D/state'\nhttp: {listen: ''}\n"
	                "plugin_dirs: ['@P']\nplugins:\n  iomonitor:\n  procfs-fallback:\n  stdout: {file: /dev/null}\n");
	s = wait_for(&d, fallback_runs, NULL, "procfs-fallback to run");
	p = plugin_of(s, "iomonitor");
	assert_string_equal(text(p, "state"), "failed");
	assert_string_equal(text(p, "fallback"), "procfs-fallback");
	assert_non_null(strstr(text(p, "reason"), "CAP_BPF"));
	assert_string_equal(text(plugin_of(s, "procfs-fallback"), "source"), "procfs");
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_config), cmocka_unit_test(missing_config),
		cmocka_unit_test(bad_plugins), cmocka_unit_test(busy_port),
		cmocka_unit_test(state_dir), cmocka_unit_test(full_disk), cmocka_unit_test(no_root),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
