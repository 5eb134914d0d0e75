/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's file: what cannot be read says why; paths are beside it. */
#include "config.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/weir-config-XXXXXX";

static const char *file(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *written(const char *name, const char *text, size_t len)
{
	int fd = open(file(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	return file(name);
}

static void expect(const char *path, int rc, const char *message, const char *hint)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;

	assert_int_equal(weir__config_open(path, &d, &c), rc);
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.items[0].message, message);
	assert_string_equal(d.items[0].at.file, path);
	assert_string_equal(d.items[0].hint, hint);
	weir__diags_fini(&d);
}

/* A file that is not there says what to do. */
static void test_missing(void **state)
{
	(void)state;
	expect(file("none.yaml"), -ENOENT,
	       "cannot read the configuration: No such file or directory",
	       "create it, or leave out -c: then the built-in configuration is used");
}

/* A directory is no configuration. */
static void test_directory(void **state)
{
	(void)state;
	expect(dir, -EISDIR, "cannot read the configuration: Is a directory",
	       "name a file in that directory");
}

/* A file that may not be read says so. */
static void test_unreadable(void **state)
{
	const char *path = written("closed.yaml", "", 0);

	(void)state;
	chmod(path, 0);
	if (geteuid() == 0 && access(path, R_OK) == 0) {
		chmod(dir, 0755);
		if (seteuid(65534)) {
			print_message("skipped: cannot become an ordinary user\n");
			skip();
		}
	}
	expect(path, -EACCES, "cannot read the configuration: Permission denied",
	       "run as a user that may read it, or change its owner or mode");
	assert_int_equal(seteuid(getuid()), 0);
}

/* A file beyond 1 MiB is refused, and no more of it than that is read: /dev/zero ends. */
static void test_too_large(void **state)
{
	(void)state;
	expect("/dev/zero", -EFBIG, "cannot read the configuration: File too large",
	       "a configuration has at most 1 MiB; is this the right file?");
}

/* An empty file is all defaults. */
static void test_empty(void **state)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;

	(void)state;
	assert_int_equal(weir__config_open(written("empty.yaml", "", 0), &d, &c), 0);
	assert_null(weir__config_plugins(c)[0]);
	assert_string_equal(weir__config_daemon(c)->state_dir, "/var/lib/weir");
	weir__config_free(c);
}

/* A pipe can be read: weir run -c <(generate). */
static void test_pipe(void **state)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	char path[64];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "log: {burst: 3}\n", 16), 16);
	close(fd[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[0]);
	assert_int_equal(weir__config_open(path, &d, &c), 0);
	assert_int_equal(weir__config_daemon(c)->log_burst, 3);
	weir__config_free(c);
	close(fd[0]);
}

/* A relative path is beside the file it stands in; an absolute or empty one, and
 * one from the environment, stays. */
static void test_relative(void **state)
{
	const char text[] = "log: {file: weir.log}\nstate_dir: /abs\nplugin_dirs: [p, /q]\n";
	struct weir__diags d = { 0 };
	const struct weir__daemon_config *dc;
	struct weir__config *c;

	(void)state;
	setenv("WEIR_CONTROL_SOCKET", "c.sock", 1);
	assert_int_equal(weir__config_open(written("rel.yaml", text, strlen(text)), &d, &c), 0);
	unsetenv("WEIR_CONTROL_SOCKET");
	dc = weir__config_daemon(c);
	assert_string_equal(dc->log_file, file("weir.log"));
	assert_string_equal(dc->control_socket, "c.sock");
	assert_string_equal(dc->plugin_dirs.items[0], file("p"));
	assert_string_equal(dc->plugin_dirs.items[1], "/q");
	assert_string_equal(dc->state_dir, "/abs");
	assert_string_equal(dc->http_tls_cert, "");
	weir__config_free(c);
}

/* weir__config_read goes on after mistakes, so that sections can be checked too. */
static void test_read(void **state)
{
	const char text[] = "lgo:\nplugins:\n  demo: {ring: x}\n";
	const char *path = written("wrong.yaml", text, strlen(text));
	struct weir__common_config common;
	struct weir__diags d = { 0 };
	struct weir__config *c;

	(void)state;
	assert_int_equal(weir__config_read(path, &d, &c), 0);
	assert_int_equal(d.errors, 1);
	assert_int_equal(weir__config_try_common(c, "demo", &d, &common), 0);
	assert_int_equal(d.errors, 2);
	assert_int_equal(common.ring_bytes, 512 << 10);
	weir__common_fini(&common);
	weir__config_skip(c, "demo");
	weir__config_finish(c, &d);
	assert_int_equal(d.errors, 2);
	weir__config_free(c);
	weir__diags_fini(&d);
}

/* Each allocation fails in turn while a file is read: nothing is left. */
static void test_fault_loop(void **state)
{
	const char text[] = "log: {file: a}\n";
	const char *path = written("fault.yaml", text, strlen(text));
	long live = weir__mem_live(), n;
	int rc = -1;

	(void)state;
	for (n = 0; rc; n++) {
		struct weir__diags d = { 0 };
		struct weir__config *c;

		weir__mem_fail_at(n);
		rc = weir__config_open(path, &d, &c);
		weir__mem_fail_at(-1);
		assert_true(rc == 0 || (rc == -ENOMEM && d.oom));
		if (!rc)
			weir__config_free(c);
		weir__diags_fini(&d);
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n > 20);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "closed.yaml", "empty.yaml", "rel.yaml",
		                             "wrong.yaml", "fault.yaml" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(file(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),    cmocka_unit_test(test_directory),
		cmocka_unit_test(test_unreadable), cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_empty),      cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_relative),   cmocka_unit_test(test_read),
		cmocka_unit_test(test_fault_loop),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
