/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options set at run time, for now, for a time, or over restarts of the daemon; what is
 * refused leaves no trace. With real kernel events from flood to count throughout.
 */
#include "live.h"

static bool is_over(const json_t *s, void *arg)
{
	(void)arg;
	return !json_array_size(json_object_get(s, "overrides"));
}

/* Set and unset, in place and by a restart; what is wrong is refused as the file is; a
 * reload does not undo it. */
static void set_values(void **state)
{
	json_t *a;

	(void)state;
	start(COMMON "plugins:\n  count: {queue: 1MiB}\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	assert_int_equal(weir("set count.queue 2MiB"), 0);
	says("count updated, it is running");
	value_is("count", "queue", "2MiB", "weir set");
	assert_int_equal(weir("set stdout.format text"), 0);
	says("stdout restarted, it is running");
	assert_int_equal(weir("set count.queue"), 0);
	says("count.queue = 2MiB  # weir set");
	assert_int_equal(weir("status"), 0);
	says("set at run time: plugins.count.queue = 2MiB (until weir ends)");
	assert_int_equal(weir("config show --running"), 0);
	says("queue: 2MiB                         # weir set\n");
	says("format: text                        # weir set\n");
	assert_int_equal(weir("set count.queue 2"), 1);
	says("from 64KiB to 1GiB");
	says("default 4MiB");
	assert_int_equal(weir("set count.queeu 2MiB"), 1);
	says("did you mean \"queue\"");
	assert_int_equal(weir("set cuont.queue 2MiB"), 1);
	says("did you mean \"count\"");
	assert_int_equal(weir("set count.ring 1MiB"), 1);
	says("is for collectors");
	assert_int_equal(weir("set http.listen x"), 1);
	says("restart weir");
	assert_int_equal(weir("set log.level debug"), 0);
	says("log.level = debug: applied");
	assert_int_equal(weir("set"), 2);
	assert_int_equal(weir("set count.queue 1MiB --unset"), 2);
	assert_int_equal(weir("set count.queue --for 5s"), 2);
	assert_int_equal(weir("set stdout.file /nonexistent/x"), 1);
	says("stdout.file was set, but stdout: ");
	assert_int_equal(weir("set stdout.file --unset"), 0);
	a = ask("reload");
	assert_string_equal(text(a, "message"), "nothing has changed");
	json_decref(a);
	value_is("count", "queue", "2MiB", "weir set");
	assert_int_equal(weir("set count.queue --unset"), 0);
	value_is("count", "queue", "1MiB", "line 6");
	assert_int_equal(weir("set count.queue --unset"), 1);
	says("is not set");
	assert_int_equal(weir("set count.queue 3MiB --for 1s"), 0);
	assert_int_equal(weir("set stdout.format --unset"), 0);
	assert_int_equal(weir("set log.level --unset"), 0);
	json_decref(wait_for(&d, is_over, NULL, "the end of --for"));
	value_is("count", "queue", "1MiB", "line 6");
	assert_no_gap();
	stop();
}

static void again(void)
{
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_again(&d);
}

static void write_overrides(const char *what)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof path, "%s/state/overrides.json", d.dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(what, f);
	fclose(f);
}

/* What is kept holds over a restart of the daemon, its end too; what is not does not; a
 * bad entry is a warning. */
static void persist(void **state)
{
	char *log, check[400];
	json_t *s;

	(void)state;
	start(COMMON "plugins:\n  count: {queue: 1MiB}\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	assert_int_equal(weir("set count.queue 2MiB --persist"), 0);
	assert_int_equal(weir("set count.on_full block"), 0);
	assert_int_equal(weir("disable stdout --persist"), 0);
	assert_int_equal(weir("set flood.burst 3 --for 2m --persist"), 0);
	again();
	value_is("count", "queue", "2MiB", "weir set --persist");
	value_is("count", "on_full", "drop_newest", "default");
	s = ask("status");
	assert_string_equal(text(plugin_of(s, "stdout"), "state"), "disabled");
	assert_int_equal(json_array_size(json_object_get(s, "overrides")), 3);
	json_decref(s);
	assert_int_equal(weir("set flood.burst"), 0);
	says("flood.burst = 3  # weir set --persist, until ");
	snprintf(check, sizeof check, "config check -c %s", d.config);
	assert_int_equal(weir(check), 0);
	says("set at run time, above the file: plugins.count.queue = 2MiB");
	/* on for now, off again after the next restart */
	assert_int_equal(weir("enable stdout"), 0);
	s = ask("status");
	assert_string_equal(text(plugin_of(s, "stdout"), "state"), "running");
	json_decref(s);
	again();
	s = ask("status");
	assert_string_equal(text(plugin_of(s, "stdout"), "state"), "disabled");
	json_decref(s);
	assert_int_equal(weir("enable stdout --persist"), 0);
	assert_int_equal(weir("set count.queue --unset"), 0);
	again();
	s = ask("status");
	assert_string_equal(text(plugin_of(s, "stdout"), "state"), "running");
	json_decref(s);
	value_is("count", "queue", "1MiB", "line 6");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	write_overrides("{\"overrides\":[{\"key\":\"plugins.count.queue\",\"value\":\"little\"},"
	                "{\"key\":\"plugins.flood.burst\",\"value\":\"4\"},{\"key\":7}]}");
	daemon_again(&d);
	value_is("count", "queue", "1MiB", "line 6");
	value_is("flood", "burst", "4", "weir set --persist");
	log = daemon_log(&d);
	assert_non_null(strstr(log, "overrides.json: warning: plugins.count.queue: expected"));
	assert_non_null(strstr(log, "overrides.json: warning: entry 3: expected"));
	free(log);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	write_overrides("nonsense");
	daemon_again(&d);
	value_is("flood", "burst", "1", "default");
	stop();
}

/* --for is over at its time, whether the daemon has been restarted meanwhile or not. */
static void for_over_restart(void **state)
{
	json_t *s;

	(void)state;
	start(COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	assert_int_equal(weir("disable stdout --for 3s --persist"), 0);
	says("for a limited time");
	again();
	s = wait_for(&d, is_over, NULL, "the end of --for");
	json_decref(s);
	s = ask("status");
	assert_string_not_equal(text(plugin_of(s, "stdout"), "state"), "disabled");
	json_decref(s);
	stop();
}

/* A kept change that cannot be written is refused, and not in force. */
static void cannot_keep(void **state)
{
	char path[400];

	(void)state;
	start(COMMON "plugins:\n  count: {queue: 1MiB}\n" FLOOD);
	snprintf(path, sizeof path, "%s/state", d.dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(weir("set count.queue 2MiB --persist"), 1);
	says("cannot keep it in");
	value_is("count", "queue", "1MiB", "line 6");
	assert_int_equal(weir("set count.queue 2MiB"), 0);
	stop();
}

/* A plugin that the file does not name can be switched on, and stays over reloads. */
static void adopted(void **state)
{
	json_t *a;

	(void)state;
	start(COMMON "plugins:\n  count:\n" FLOOD);
	assert_int_equal(weir("enable nosuch"), 1);
	says("there is no plugin \"nosuch\"");
	assert_int_equal(weir("enable prometheus"), 0);
	says("prometheus is running");
	a = ask("reload");
	assert_string_equal(action(a, "prometheus"), "unchanged");
	json_decref(a);
	assert_int_equal(weir("disable prometheus"), 0);
	says("prometheus is disabled");
	assert_no_gap();
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(set_values, clean), cmocka_unit_test_teardown(persist, clean),
		cmocka_unit_test_teardown(for_over_restart, clean),
		cmocka_unit_test_teardown(cannot_keep, clean), cmocka_unit_test_teardown(adopted, clean),
	};

	need_bpf();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
