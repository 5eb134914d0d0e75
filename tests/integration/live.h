/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that change a daemon which works: flood sends real kernel events to count
 * throughout, and not one may be missing. One daemon at a time. Include it once, after
 * nothing else.
 */
#ifndef WEIR_TESTS_LIVE_H
#define WEIR_TESTS_LIVE_H

#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON                                                                 \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P']\n"
/* Slow enough that nothing is lost on a busy machine, so that every gap is a fault. */
#define FLOOD "  flood: {rate: 20000, ring: 8MiB}\n"

static struct daemon d;
static char out[1 << 16];

static inline json_t *ask(const char *cmd)
{
	return daemon_ask(&d, json_pack("{s:s}", "cmd", cmd));
}

static inline bool good(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

static inline const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* What became of a plugin, by a reload's answer. */
static inline const char *action(const json_t *answer, const char *plugin)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(answer, "plugins"), i, p)
		if (!strcmp(text(p, "name"), plugin))
			return text(p, "action");
	return "-";
}

static inline const char *state_of(const json_t *answer, const char *plugin)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(answer, "plugins"), i, p)
		if (!strcmp(text(p, "name"), plugin))
			return text(p, "state");
	return "-";
}

static inline json_t *reload(const char *yaml)
{
	daemon_configure(&d, yaml);
	return ask("reload");
}

static inline void reload_ok(const char *yaml)
{
	json_t *a = reload(yaml);

	if (!good(a))
		print_error("%s\n", json_dumps(a, JSON_INDENT(1)));
	assert_true(good(a));
	json_decref(a);
}

/* The value of plugin.option, and where it comes from. */
static inline void value_is(const char *plugin, const char *option, const char *value, const char *origin)
{
	json_t *a = daemon_call(&d, json_pack("{s:s, s:s, s:s}", "cmd", "get", "plugin", plugin,
	                                      "option", option));

	assert_string_equal(text(a, "value"), value);
	assert_string_equal(text(a, "origin"), origin);
	json_decref(a);
}

static inline json_t *counted(void)
{
	json_t *answer = daemon_call(&d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query",
	                             "plugin", "count", "query", "stats", "args"));
	json_t *body = json_loads(text(answer, "body"), 0, NULL);

	json_decref(answer);
	assert_non_null(body);
	return body;
}

/* Not one record, batch or number is missing between flood and count since both began. */
static inline long long assert_no_gap(void)
{
	json_t *c = counted(), *one = json_object_get(json_object_get(c, "collectors"), "flood");
	long long records = num(one, "records");

	assert_true(records > 0);
	assert_int_equal(num(one, "route_gaps"), 0);
	assert_int_equal(num(one, "batch_gaps"), 0);
	assert_int_equal(num(one, "seq_gaps"), 0);
	assert_int_equal(num(one, "seq_again"), 0);
	json_decref(c);
	return records;
}

static inline bool flows(const json_t *s, void *arg)
{
	(void)arg;
	return num(route_of(s, "flood", "count"), "delivered") > 1000;
}

/* Both in threads of the daemon, whatever the configuration says: flood has a helper
 * process, which a confined one may not start, and the count is of one route. */
static inline void start(const char *yaml)
{
	setenv("WEIR_PLUGINS_FLOOD_ISOLATION", "thread", 1);
	setenv("WEIR_PLUGINS_COUNT_ISOLATION", "thread", 1);
	daemon_start(&d, yaml);
	json_decref(wait_for(&d, flows, NULL, "events"));
}

static inline void stop(void)
{
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* The command, as a user has it; its output goes to `out`. */
static inline int weir(const char *args)
{
	char line[1024];
	size_t n;
	FILE *f;
	int r;

	snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s timeout 30 %s %s 2>&1", d.socket, WEIR_BINARY, args);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(out, 1, sizeof out - 1, f);
	out[n] = 0;
	r = pclose(f);
	assert_true(WIFEXITED(r));
	return WEXITSTATUS(r);
}

static inline void says(const char *what)
{
	if (!strstr(out, what))
		print_error("not said: %s\n%s\n", what, out);
	assert_non_null(strstr(out, what));
}

static inline int clean(void **state)
{
	(void)state;
	if (d.pid)
		daemon_clean(&d);
	return 0;
}

#endif
