/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as a user has it: the program, its words, its output and its exit
 * code; alone, and against a running daemon. Needs neither root nor BPF.
 */
#include "fixture.h"
#include "protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Collects from /proc, sends to an output that counts: runs everywhere. */
#define PROCFS                                                                 \
	"control: {socket: '@S'}\nstate_dir: '@D'\nhttp: {listen: '127.0.0.1:0'}\n" \
	"plugin_dirs: ['@B', '@P']\n"                                          \
	"plugins:\n  procfs-fallback: {interval: 1s, fallback: always}\n  count:\n"

/* All that a user has by default. */
#define COLLECTORS                                                             \
	"control: {socket: '@S'}\nstate_dir: '@D'\nhttp: {listen: ''}\n"        \
	"plugin_dirs: ['@B', '@P']\n"                                          \
	"plugins:\n  iomonitor:\n  network:\n  dns:\n  procfs-fallback:\n  count:\n"

static char out[1 << 20];
static struct daemon d;

/* Output and complaints into `out`; the exit code. `timeout` is the deadline. */
__attribute__((format(printf, 1, 2))) static int weir(const char *fmt, ...)
{
	char args[1024], line[2048];
	va_list ap;
	size_t n;
	FILE *f;
	int r;

	va_start(ap, fmt);
	vsnprintf(args, sizeof args, fmt, ap);
	va_end(ap);
	snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s timeout 30 %s %s 2>&1",
	         d.socket[0] ? d.socket : "/nonexistent/weir.sock", WEIR_BINARY, args);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(out, 1, sizeof out - 1, f);
	out[n] = 0;
	r = pclose(f);
	assert_true(WIFEXITED(r));
	return WEXITSTATUS(r);
}

static void says(const char *what)
{
	if (!strstr(out, what))
		print_error("not said: %s\n%s\n", what, out);
	assert_non_null(strstr(out, what));
}

static json_t *json(void)
{
	json_error_t e;
	json_t *j = json_loads(out, JSON_DECODE_ANY, &e);

	if (!j)
		print_error("%s in:\n%s\n", e.text, out);
	assert_non_null(j);
	return j;
}

/* ---- without a daemon ------------------------------------------------------------ */

static const char *const names[] = { "run", "check", "status", "top", "flows", "dns", "plugins", "query", "tail", "enable",
	                             "disable", "restart", "upgrade", "set", "reload", "config", "docs",
	                             "version" };

/* Every command has help, and refuses an option it does not know with exit 2. */
static void every_command_has_help(void **state)
{
	char want[64];

	(void)state;
	assert_int_equal(weir("--help"), 0);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(want, sizeof want, "  %s ", names[i]);
		assert_int_equal(weir("--help"), 0);
		says(want);
		assert_int_equal(weir("%s --help", names[i]), 0);
		snprintf(want, sizeof want, "Usage: weir %s", names[i]);
		says(want);
		assert_int_equal(weir("help %s", names[i]), 0);
		says(want);
		assert_int_equal(weir("%s --no-such-option", names[i]), 2);
		says("--help");
	}
}

/* A wrong word is answered with the nearest right one, and exit 2. */
static void wrong_words(void **state)
{
	(void)state;
	assert_int_equal(weir("%s", ""), 2);
	says("Usage: weir COMMAND");
	assert_int_equal(weir("stauts"), 2);
	says("did you mean \"status\"");
	assert_int_equal(weir("status --jsno"), 2);
	says("did you mean --json");
	assert_int_equal(weir("status what"), 2);
	assert_int_equal(weir("tail -n"), 2);
	says("needs a value");
	assert_int_equal(weir("tail -n 0"), 2);
	assert_int_equal(weir("query nodot"), 2);
	assert_int_equal(weir("enable"), 2);
	assert_int_equal(weir("enable x --for 5parsecs"), 2);
	says("a duration such as");
	assert_int_equal(weir("plugins describ x"), 2);
	assert_int_equal(weir("docs"), 2);
}

/* Without a daemon: exit 1, and how to start it. */
static void no_daemon(void **state)
{
	static const char *const commands[] = { "status", "query a.b", "tail", "enable a", "restart a" };

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		assert_int_equal(weir("%s", commands[i]), 1);
		says("weir is not running (no socket at /nonexistent/weir.sock): start it with `weir run`");
	}
	assert_int_equal(weir("status -s /other.sock"), 1);
	says("/other.sock");
}

/* Output that cannot be written is no success. */
static void full_output(void **state)
{
	(void)state;
	assert_int_equal(weir("version >/dev/full"), 1);
}

static void versions(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(weir("--version"), 0);
	says("weir 1.");
	assert_int_equal(weir("version --json"), 0);
	j = json();
	assert_string_equal(json_string_value(json_object_get(j, "version")), WEIR_VERSION);
	json_decref(j);
}

/* Each plugin is listed, and described by everything it declares. */
static void plugins_are_described(void **state)
{
	json_t *j, *p;
	size_t i;

	(void)state;
	assert_int_equal(weir("plugins list"), 0);
	says("procfs-fallback");
	assert_int_equal(weir("plugins --json"), 0);
	j = json();
	assert_true(json_array_size(j) >= 1);
	json_array_foreach(j, i, p) {
		const char *name = json_string_value(json_object_get(p, "name"));

		assert_null(json_object_get(p, "refused"));
		assert_int_equal(weir("plugins describe %s", name), 0);
		says(json_string_value(json_object_get(p, "doc")));
	}
	json_decref(j);
	assert_int_equal(weir("plugins describe procfs-falback"), 1);
	says("did you mean procfs-fallback?");
}

/* A refused plugin is listed with the reason, and makes the exit code 1. */
static void refused_plugin_is_listed(void **state)
{
	char dir[] = "/tmp/weir-cli-XXXXXX", path[300];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/bad.so", dir);
	f = fopen(path, "w");
	fputs("not a library\n", f);
	fclose(f);
	chmod(path, 0755);
	snprintf(path, sizeof path, "%s/weir.yaml", dir);
	f = fopen(path, "w");
	fprintf(f, "plugin_dirs: ['%s']\n", dir);
	fclose(f);
	assert_int_equal(weir("plugins -c %s/weir.yaml", dir), 1);
	says("not-elf");
	unlink(path);
	snprintf(path, sizeof path, "%s/bad.so", dir);
	unlink(path);
	rmdir(dir);
}

/* The reference pages are the same each time, and name what is there. */
static void docs_are_stable(void **state)
{
	char a[] = "/tmp/weir-docs-XXXXXX", b[] = "/tmp/weir-docs-XXXXXX", line[512];

	(void)state;
	assert_non_null(mkdtemp(a));
	assert_non_null(mkdtemp(b));
	assert_int_equal(weir("docs %s", a), 0);
	assert_int_equal(weir("docs %s", b), 0);
	snprintf(line, sizeof line, "diff -r %s %s && grep -q weir_events_total %s/metrics.md && "
	         "grep -q procfs-fallback %s/options.md && grep -q 'weir tail' %s/commands.md && "
	         "test -s %s/events.md; r=$?; rm -r %s %s; exit $r", a, b, a, a, a, a, a, b);
	assert_int_equal(system(line), 0);
	assert_int_equal(weir("docs /proc/nowhere"), 1);
	says("cannot create /proc/nowhere");
}

/* ---- check --------------------------------------------------------------------------- */

/* CPU time of all children that have ended. */
static double children_s(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_CHILDREN, &u), 0);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

/* check tries every collector once, so it may cost what a daemon's start and end with the
 * same plugins cost, and some for the trials of features: three times that is waste. CPU
 * time of both within one run, the least of three, says nothing of who else is busy. */
static void check_is_cheap(void **state)
{
	double start, checks = 1e9, daemons = 1e9;

	(void)state;
	for (int i = 0; i < 3; i++) {
		start = children_s();
		daemon_start(&d, COLLECTORS);
		assert_int_equal(daemon_stop(&d, SIGTERM), 0);
		daemons = smaller(daemons, children_s() - start);
		start = children_s();
		assert_int_not_equal(weir("check -c %s", d.config), 2);
		checks = smaller(checks, children_s() - start);
		daemon_clean(&d);
	}
	memset(&d, 0, sizeof d);
	print_message("check: %.0f ms of CPU, a daemon's start and end: %.0f ms\n", checks * 1e3, daemons * 1e3);
	assert_true(checks < 3 * daemons);
}

/* Exit code, JSON and text of check agree. */
static void check_agrees(void **state)
{
	json_t *j;
	int code;

	(void)state;
	code = weir("check --json 2>/dev/null");
	j = json();
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), code);
	assert_true(json_array_size(json_object_get(j, "findings")) > 30);
	json_decref(j);
	assert_int_equal(weir("check 2>/dev/null"), code);
	says(code == 0 ? "all exact" : code == 1 ? "degraded" : "cannot run");
}

/* A wrong configuration cannot run: exit 2, the error shown, the rest checked. */
static void check_wrong_config(void **state)
{
	(void)state;
	assert_int_equal(weir("check -c /nonexistent/weir.yaml"), 2);
	says("/nonexistent/weir.yaml");
	says("procfs-fallback");
	says("cannot run");
}

/* ---- against a daemon ----------------------------------------------------------------- */

static int start(void **state)
{
	(void)state;
	daemon_start(&d, PROCFS);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	daemon_stop(&d, SIGTERM);
	daemon_clean(&d);
	memset(&d, 0, sizeof d);
	return 0;
}

/* status shows plugins, routes and the balance, and succeeds when all is well. */
static void status_of_daemon(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(weir("status"), 0);
	says(": ready, pid ");
	says("procfs-fallback -> count");
	says("balanced");
	assert_int_equal(weir("status --json"), 0);
	j = json();
	assert_true(json_is_true(json_object_get(j, "ready")));
	assert_all_balanced(j);
	json_decref(j);
	assert_int_equal(weir("check -c %s", d.config) == 2, 0);
	says("a weir answers at");
}

/* A query's body comes out as it is; a wrong one is told what there is. */
static void query_of_daemon(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(weir("query procfs-fallback.top n=3"), 0);
	j = json();
	assert_true(json_is_object(j) || json_is_array(j));
	json_decref(j);
	assert_int_equal(weir("query procfs-fallback.nothing"), 1);
	says("top");
	assert_int_equal(weir("query nothing.top"), 1);
	says("nothing");
	assert_int_equal(weir("query procfs-fallback.top n=many"), 1);
	assert_int_equal(weir("query procfs-fallback.top colour=red"), 1);
}

/* tail shows events until the count is reached; as JSON each line is an object. */
static void tail_of_daemon(void **state)
{
	json_t *j;
	char *second;

	(void)state;
	assert_int_equal(weir("tail -n 2"), 0);
	says("procfs-fallback/");
	assert_int_equal(weir("tail --json -n 1 io memory"), 0);
	second = strchr(out, '\n');
	assert_non_null(second);
	assert_string_equal(second, "\n");
	j = json();
	assert_string_equal(json_string_value(json_object_get(j, "collector")), "procfs-fallback");
	json_decref(j);
}

static bool is(const json_t *status, void *arg)
{
	const char *const *want = arg;
	const char *got = json_string_value(json_object_get(plugin_of(status, want[0]), "state"));

	return got && !strcmp(got, want[1]);
}

/* A plugin is switched off, on, and restarted; --for takes it back by itself. */
static void switching(void **state)
{
	const char *running[] = { "count", "running" };

	(void)state;
	assert_int_equal(weir("disable count"), 0);
	says("count is disabled");
	assert_int_equal(weir("status"), 0);
	says("disabled");
	assert_int_equal(weir("enable count"), 0);
	says("count is running");
	assert_int_equal(weir("restart count --json"), 0);
	json_decref(json());
	assert_int_equal(weir("disable count --for 1s"), 0);
	json_decref(wait_for(&d, is, running, "count runs again"));
	assert_int_equal(weir("enable no-such-plugin"), 1);
	says("no-such-plugin");
	assert_int_equal(weir("status"), 0);
	says("balanced");
}

/* A plugin that was refused makes status fail. */
static void status_of_trouble(void **state)
{
	(void)state;
	daemon_start(&d, PROCFS "  no-such-plugin:\n");
	assert_int_equal(weir("status"), 1);
	says("refused");
	says("not-found");
	stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_help),
		cmocka_unit_test(wrong_words),
		cmocka_unit_test(no_daemon),
		cmocka_unit_test(full_output),
		cmocka_unit_test(versions),
		cmocka_unit_test(plugins_are_described),
		cmocka_unit_test(refused_plugin_is_listed),
		cmocka_unit_test(docs_are_stable),
		cmocka_unit_test(check_is_cheap), cmocka_unit_test(check_agrees),
		cmocka_unit_test(check_wrong_config),
		cmocka_unit_test_setup_teardown(status_of_daemon, start, stop),
		cmocka_unit_test_setup_teardown(query_of_daemon, start, stop),
		cmocka_unit_test_setup_teardown(tail_of_daemon, start, stop),
		cmocka_unit_test_setup_teardown(switching, start, stop),
		cmocka_unit_test(status_of_trouble),
	};

	unsetenv("NO_COLOR");
	unsetenv("WEIR_CONFIG");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
