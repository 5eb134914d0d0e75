/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five plugins that do what no plugin should, each in its own process (and the one that
 * does not come back in a thread, too) beside a healthy route: nobody else loses a
 * record, the daemon stays within its budget, the breaker opens and says why, and the
 * log names the plugin.
 */
#include "procs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The daemon's own, by default: percent of a core, bytes. Sanitizers cost a multiple. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPU_PERCENT 100.0
#define RSS_BYTES 4e9
#else
#define CPU_PERCENT 25.0
#define RSS_BYTES (100.0 * 1048576)
#endif

/* Healthy is the flood, in the daemon, at a rate that any machine bears; the hostile
 * one's own events go to stdout. Its breaker waits long: one opening is looked at. */
#define YAML                                                                   \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P', '@H']\nshutdown_timeout: 2s\n"               \
	"plugins:\n"                                                           \
	"  flood: {rate: 5000, isolation: thread}\n"                           \
	"  count: {topics: [flood], isolation: thread}\n"                      \
	"  stdout: {format: json, file: /dev/null, topics: [hostile]}\n"       \
	"  %s:\n    isolation: %s\n    after: 500ms\n    %s\n"                 \
	"    breaker: {failures: 2, cooldown: 1m}\n"

struct hostile_case {
	const char *plugin, *options;
	const char *causes; /* words, separated by blanks: one of them opens the breaker */
	const char *says;   /* part of the detail, or "" */
	bool thread;        /* in the daemon: what it burns is the daemon's */
};

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool opened(const json_t *s, void *arg)
{
	const struct hostile_case *c = arg;
	const json_t *b = json_object_get(plugin_of(s, c->plugin), "breaker");

	return !strcmp(text(b, "state"), "open") && num(b, "opened") > 0;
}

/* No thread of it is missing any more. */
static bool came_back(const json_t *s, void *arg)
{
	const struct hostile_case *c = arg;

	return num(json_object_get(plugin_of(s, c->plugin), "breaker"), "lost") == 0;
}

static void check_breaker(const json_t *s, const struct hostile_case *c)
{
	const json_t *b = json_object_get(plugin_of(s, c->plugin), "breaker");
	const char *cause = text(b, "cause"), *detail = text(b, "detail");
	const char *at = *cause ? strstr(c->causes, cause) : NULL;

	if (!at || !strstr(detail, c->says))
		print_error("%s: cause \"%s\", detail \"%s\"\n", c->plugin, cause, detail);
	assert_non_null(at);
	assert_true((at == c->causes || at[-1] == ' ') &&
	            (at[strlen(cause)] == ' ' || !at[strlen(cause)]));
	assert_non_null(strstr(detail, c->says));
	assert_true(*detail);
}

/* More of the flood has been counted than this. */
static void wait_flood(struct daemon *d, long long than)
{
	double until = now_s() + 20;

	for (;;) {
		json_t *c = counted(d);
		long long n = num(counted_of(c, "flood"), "records");

		json_decref(c);
		if (n > than)
			return;
		if (now_s() > until)
			fail_msg("the healthy collector stands still");
		nap_ms(5);
	}
}

/* The healthy ones have lost nothing, and go on: more comes after the breaker opened. */
static void check_healthy(struct daemon *d)
{
	json_t *c = counted(d), *s;

	assert_gapless(c, "flood");
	wait_flood(d, num(counted_of(c, "flood"), "records"));
	json_decref(c);
	s = daemon_call(d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(s);
	assert_int_equal(dropped(route_of(s, "flood", "count"), NULL), 0);
	assert_string_equal(text(plugin_of(s, "flood"), "state"), "running");
	json_decref(s);
}

static void check_cost(struct daemon *d, double cpu_s, double passed_s)
{
	double percent = (proc_cpu_s(d->pid) - cpu_s) / passed_s * 100, rss = proc_rss(d->pid);

	if (percent > CPU_PERCENT || rss > RSS_BYTES)
		print_error("the daemon took %.1f%% of a core, %.1f MiB\n", percent, rss / 1048576);
	assert_true(percent <= CPU_PERCENT);
	assert_true(rss <= RSS_BYTES);
}

/* A line of the log that is about this plugin and its breaker. */
static void check_log(struct daemon *d, const struct hostile_case *c)
{
	char *log = daemon_log(d), *line, *save = NULL, name[64];
	bool named = false;

	snprintf(name, sizeof name, "plugin=%s ", c->plugin);
	for (line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		named |= strstr(line, name) && strstr(line, "open");
	assert_true(named);
	free(log);
}

static void contained(const struct hostile_case *c)
{
	double cpu_s, begun;
	char yaml[1600];
	struct daemon d;
	json_t *s;

	snprintf(yaml, sizeof yaml, YAML, c->plugin, c->thread ? "thread" : "process", c->options);
	daemon_start(&d, yaml);
	wait_flood(&d, 0);
	cpu_s = proc_cpu_s(d.pid);
	begun = now_s();
	s = wait_for(&d, opened, (void *)(uintptr_t)c, "the breaker to open");
	check_breaker(s, c);
	json_decref(s);
	check_healthy(&d);
	if (!c->thread)
		check_cost(&d, cpu_s, now_s() - begun);
	check_log(&d, c);
	json_decref(wait_for(&d, came_back, (void *)(uintptr_t)c, "its thread to come back"));
	assert_ends_well(&d);
	daemon_clean(&d);
}

/* A wild pointer ends its process, and no other. */
static void segfault(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-segfault", .options = "by: segfault",
		.causes = "crash", .says = "",
	};

	(void)state;
	contained(&c);
}

/* exit(0) from within a callback is a crash all the same. */
static void silent_exit(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-segfault", .options = "by: exit",
		.causes = "crash", .says = "",
	};

	(void)state;
	contained(&c);
}

/* A callback that does not come back is ended with its process. */
static void endless_loop(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-loop", .options = "deadline: 1s",
		.causes = "deadline", .says = "",
	};

	(void)state;
	contained(&c);
}

/* In the daemon it cannot be ended, only found out and given up; everything else goes
 * on. It comes back after a while, so that the daemon can end with all its threads. */
static void endless_thread(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-loop", .options = "deadline: 1s\n    for: 4s",
		.causes = "deadline", .says = "tick", .thread = true,
	};

	(void)state;
	contained(&c);
}

/* Memory it was not given is not to be had: refused, taken as over budget, or its
 * process is ended for it. */
static void leak(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-leak", .options = "bytes: 4MiB\n    budget: {memory: 32MiB}",
		.causes = "budget crash callback", .says = "",
	};

	(void)state;
	contained(&c);
}

/* The same, and the host knows nothing of it: malloc. */
static void hidden_leak(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-leak", .options = "bytes: 4MiB\n    hidden: true\n    budget: {memory: 32MiB}",
		.causes = "budget crash callback", .says = "",
	};

	(void)state;
	contained(&c);
}

/* Its descriptors run out, not the daemon's: its callback says so, unless it hangs up
 * first, because it can take none from the daemon either. */
static void descriptors(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-descriptors", .options = "files: 500",
		.causes = "callback crash", .says = "",
	};

	(void)state;
	contained(&c);
}

/* More events than its budget has room for: thrown away where they are made. */
static void event_flood(void **state)
{
	static const struct hostile_case c = {
		.plugin = "hostile-flood", .options = "events: 100000\n    interval: 1ms\n    budget: {cpu: 5, events: 10000}",
		.causes = "budget", .says = "",
	};

	(void)state;
	contained(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segfault),    cmocka_unit_test(silent_exit), cmocka_unit_test(endless_loop),
		cmocka_unit_test(endless_thread),
		cmocka_unit_test(leak),        cmocka_unit_test(hidden_leak), cmocka_unit_test(descriptors),
		cmocka_unit_test(event_flood),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
