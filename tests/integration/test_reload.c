/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the configuration of a daemon that works: what was not changed must not notice,
 * what was refused must leave no trace, and what is answered must be true. With real
 * kernel events from flood to count throughout.
 */
#include "live.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "control.h"

/* ---- one reload --------------------------------------------------------------------------- */

/* Each class of change, and that the answer names it; the others are not touched. */
static void classes(void **state)
{
	json_t *a;

	(void)state;
	start(COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	a = ask("reload");
	assert_string_equal(action(a, "flood"), "unchanged");
	assert_string_equal(text(a, "message"), "nothing has changed");
	json_decref(a);
	a = reload(COMMON "log: {level: debug}\nplugins:\n  count: {queue: 8MiB, on_full: drop_oldest}\n"
	           "  stdout: {format: text, file: /dev/null}\n" FLOOD);
	assert_string_equal(action(a, "count"), "updated");
	assert_string_equal(action(a, "stdout"), "restarted");
	assert_string_equal(state_of(a, "stdout"), "running");
	assert_string_equal(action(a, "flood"), "unchanged");
	assert_string_equal(text(json_array_get(json_object_get(a, "daemon"), 0), "action"), "applied");
	json_decref(a);
	a = ask("status"); /* in place, and really there */
	assert_int_equal(num(route_of(a, "flood", "count"), "queue_limit"), 8 << 20);
	assert_string_equal(text(route_of(a, "flood", "count"), "policy"), "drop_oldest");
	assert_int_equal(num(plugin_of(a, "count"), "restarts"), 0);
	assert_int_equal(num(plugin_of(a, "flood"), "restarts"), 0);
	json_decref(a);
	a = reload(COMMON "http.x: 1\nplugins:\n");
	assert_false(good(a));
	json_decref(a);
	a = reload(COMMON "control.group: x\nplugins:\n");
	assert_false(good(a));
	json_decref(a);
	a = reload(COMMON "plugins:\n  count: {queue: 8MiB, on_full: drop_oldest}\n"
	           "  stdout: {enabled: no}\n" FLOOD);
	assert_string_equal(action(a, "stdout"), "disabled");
	assert_string_equal(state_of(a, "stdout"), "disabled");
	json_decref(a);
	a = reload(COMMON "plugins:\n  count: {queue: 8MiB, on_full: drop_oldest}\n  prometheus:\n" FLOOD);
	assert_string_equal(action(a, "stdout"), "removed");
	assert_string_equal(action(a, "prometheus"), "added");
	assert_string_equal(state_of(a, "prometheus"), "running");
	json_decref(a);
	assert_no_gap();
	a = ask("status");
	assert_all_balanced(a);
	json_decref(a);
	stop();
}

/* A daemon's option that holds from start to end is named, each time until it is done. */
static void needs_restart(void **state)
{
	static const char other[] = "control: {socket: '@S', group: root}\nhttp: {listen: ''}\n"
		"state_dir: '@D/state'\nplugin_dirs: ['@B', '@P']\nplugins:\n  count:\n" FLOOD;
	json_t *a, *o;

	(void)state;
	start(COMMON "plugins:\n  count:\n" FLOOD);
	for (int i = 0; i < 2; i++) {
		a = reload(other);
		assert_true(good(a));
		o = json_array_get(json_object_get(a, "daemon"), 0);
		assert_string_equal(text(o, "option"), "control.group");
		assert_string_equal(text(o, "action"), "needs restart");
		json_decref(a);
	}
	a = reload(COMMON "plugins:\n  count:\n" FLOOD);
	assert_int_equal(json_array_size(json_object_get(a, "daemon")), 0);
	json_decref(a);
	stop();
}

/* Whatever is wrong is all said, and nothing is changed by what was right in it. */
static void refused(void **state)
{
	json_t *a, *all;

	(void)state;
	start(COMMON "plugins:\n  count: {queue: 1MiB}\n" FLOOD);
	daemon_configure(&d, COMMON "plugins:\n  count: {queue: 2MiB, dealy: 1s}\n  flood: {rate: fast}\n");
	a = ask("reload");
	assert_false(good(a));
	all = json_object_get(a, "diagnostics");
	assert_int_equal(json_array_size(all), 2);
	assert_non_null(strstr(json_string_value(json_array_get(all, 0)), "weir.yaml:6:24: error: unknown key"));
	assert_non_null(strstr(json_string_value(json_array_get(all, 0)), "did you mean \"delay\""));
	assert_non_null(strstr(json_string_value(json_array_get(all, 1)), "expected a whole number"));
	json_decref(a);
	value_is("count", "queue", "1MiB", "line 6");
	/* the same words, whoever says them */
	assert_int_equal(weir("reload"), 1);
	says("did you mean \"delay\"");
	says("refused, nothing was changed");
	a = reload(COMMON "plugins:\n  count: {queue: 2MiB}\n  nosuch:\n" FLOOD);
	assert_false(good(a)); /* a library that is not there: better the old one */
	json_decref(a);
	assert_int_equal(unlink(d.config), 0);
	a = ask("reload");
	assert_false(good(a));
	json_decref(a);
	value_is("count", "queue", "1MiB", "line 6");
	assert_no_gap();
	stop();
}

/* A plugin that does not start with its new section is said to have failed; the others go
 * on, and the next reload mends it. */
static void fails_to_start(void **state)
{
	json_t *a;

	(void)state;
	start(COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	a = reload(COMMON "plugins:\n  count:\n  stdout: {format: json, file: /nonexistent/x}\n" FLOOD);
	assert_true(good(a));
	assert_string_equal(action(a, "stdout"), "failed");
	assert_string_equal(state_of(a, "stdout"), "failed");
	json_decref(a);
	assert_int_equal(weir("reload"), 0); /* nothing has changed, so nothing has failed now */
	a = reload(COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null}\n" FLOOD);
	assert_string_equal(action(a, "stdout"), "restarted");
	assert_string_equal(state_of(a, "stdout"), "running");
	json_decref(a);
	assert_no_gap();
	stop();
}

/* ---- many reloads ------------------------------------------------------------------------- */

struct usage {
	long long rss, fds, threads, libraries;
};

static struct usage usage(void)
{
	json_t *s = ask("status"), *own = json_object_get(s, "daemon");
	struct usage u = { num(own, "rss_bytes"), num(own, "fds"), num(own, "threads"), 0 };
	char path[64], line[1024];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)d.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		u.libraries += strstr(line, ".so") && strstr(line, "r-xp");
	fclose(f);
	json_decref(s);
	return u;
}

#define CHANGES 500
#define WARM_UP 60

/* Two configurations in turn, each fifth time a wrong one between them: the route that
 * neither changes has no gap, and nothing grows. */
static void five_hundred(void **state)
{
	static const char *const yaml[] = {
		COMMON "log: {burst: 5}\nplugins:\n  count: {queue: 16MiB}\n"
		"  stdout: {format: json, file: /dev/null}\n" FLOOD,
		COMMON "log: {burst: 6}\nplugins:\n  count: {queue: 17MiB}\n  prometheus:\n"
		"  stdout: {format: text, file: /dev/null, queue: 1MiB}\n" FLOOD,
	};
	static const char *const wrong[] = {
		COMMON "plugins:\n  count: {queue: 1}\n",
		COMMON "plugins: [",
		COMMON "plugins:\n  count:\n  nosuch:\n",
		"plugins:\n  flood: {rate: -1}\n  count: {enabled: maybe}\n",
	};
	struct usage before = { 0 }, after;
	json_t *a;

	(void)state;
	start(yaml[0]);
	for (int i = 1; i <= CHANGES; i++) {
		reload_ok(yaml[i & 1]);
		if (i % 5 == 0) {
			a = reload(wrong[i / 5 % 4]);
			assert_false(good(a));
			json_decref(a);
		}
		if (i == WARM_UP)
			before = usage();
	}
	after = usage();
	assert_no_gap();
	print_message("%d reloads: RSS %lld -> %lld KiB, descriptors %lld -> %lld\n", CHANGES,
	              before.rss >> 10, after.rss >> 10, before.fds, after.fds);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.threads, before.threads);
	assert_int_equal(after.libraries, before.libraries);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what is freed */
	/* A configuration kept each time would be some 10 MiB. */
	assert_true(after.rss < before.rss + (2 << 20));
#endif
	a = ask("status");
	assert_all_balanced(a);
	assert_int_equal(num(plugin_of(a, "flood"), "restarts"), 0);
	assert_int_equal(num(plugin_of(a, "count"), "restarts"), 0);
	json_decref(a);
	stop();
}

/* ---- who asks ------------------------------------------------------------------------------- */

struct wanted {
	const char *plugin, *option, *value;
};

static bool has_value(const json_t *s, void *arg)
{
	const struct wanted *w = arg;
	json_t *a = daemon_ask(&d, json_pack("{s:s, s:s, s:s}", "cmd", "get", "plugin", w->plugin,
	                                     "option", w->option));
	bool has = !strcmp(text(a, "value"), w->value);

	(void)s;
	json_decref(a);
	return has;
}

/* SIGHUP reads the configuration, a wrong one too, and goes on. */
static void sighup(void **state)
{
	struct wanted want = { "count", "queue", "2MiB" };
	char *log;

	(void)state;
	start(COMMON "plugins:\n  count: {queue: 1MiB}\n" FLOOD);
	daemon_configure(&d, COMMON "plugins:\n  count: {queue: 2MiB}\n" FLOOD);
	assert_int_equal(kill(d.pid, SIGHUP), 0);
	json_decref(wait_for(&d, has_value, &want, "the new value"));
	daemon_configure(&d, COMMON "plugins:\n  count: {queu: 3MiB}\n" FLOOD);
	assert_int_equal(kill(d.pid, SIGHUP), 0);
	do {
		log = daemon_log(&d);
		want.value = strstr(log, "reload refused: 1 error") ? "2MiB" : NULL;
		assert_true(want.value || waitpid(d.pid, NULL, WNOHANG) == 0);
		free(log);
	} while (!want.value);
	value_is("count", "queue", "2MiB", "line 6");
	assert_no_gap();
	stop();
}

static void write_in_place(const char *queue)
{
	char old[4096], *at;
	FILE *f = fopen(d.config, "r+");
	size_t n;

	assert_non_null(f);
	n = fread(old, 1, sizeof old - 1, f);
	old[n] = 0;
	at = strstr(old, "queue: ");
	assert_non_null(at);
	assert_int_equal(fseek(f, at - old + 7, SEEK_SET), 0);
	assert_int_equal(fwrite(queue, 1, 4, f), 4);
	fclose(f);
}

/* A watched file is taken over when it is renamed into its place, written in place, or
 * gone for a moment; switched off by itself, it is not watched any more. */
static void watch(void **state)
{
	struct wanted want = { "count", "queue", "2MiB" };
	char away[400];

	(void)state;
	start(COMMON "watch: true\nplugins:\n  count: {queue: 1MiB}\n" FLOOD);
	daemon_configure(&d, COMMON "watch: true\nplugins:\n  count: {queue: 2MiB}\n" FLOOD);
	json_decref(wait_for(&d, has_value, &want, "the renamed file's value"));
	write_in_place("3MiB");
	want.value = "3MiB";
	json_decref(wait_for(&d, has_value, &want, "the written file's value"));
	snprintf(away, sizeof away, "%s~", d.config);
	assert_int_equal(rename(d.config, away), 0); /* as some editors do */
	daemon_configure(&d, COMMON "watch: true\nplugins:\n  count: {queue: 4MiB}\n" FLOOD);
	want.value = "4MiB";
	json_decref(wait_for(&d, has_value, &want, "the value of the file that came back"));
	daemon_configure(&d, COMMON "watch: true\nplugins:\n  count: {queue: 5GiB}\n" FLOOD);
	daemon_configure(&d, COMMON "watch: no\nplugins:\n  count: {queue: 5MiB}\n" FLOOD);
	want.value = "5MiB";
	json_decref(wait_for(&d, has_value, &want, "the last value"));
	value_is("watch", "", "false", "line 5");
	assert_no_gap();
	stop();
}

#define ASKERS 12

static void *ask_reload(void *arg)
{
	json_t *request = json_pack("{s:s}", "cmd", "reload"), *answer = NULL;
	char err[300];

	(void)arg;
	if (weir__control_call(d.socket, request, 20000, &answer, err, sizeof err))
		answer = NULL;
	json_decref(request);
	return answer;
}

static size_t times(const char *in, const char *what)
{
	size_t n = 0;

	while ((in = strstr(in, what))) {
		n++;
		in++;
	}
	return n;
}

/* Reloads that are asked for while one settles are one, and each asker is told the truth
 * of a reload that began after it had asked. */
static void coalesced(void **state)
{
	static const char slow[] = COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null}\n"
		"  flood: {rate: 20000, ring: 8MiB, burst: %d}\n";
	pthread_t threads[ASKERS];
	char yaml[600], *log;
	size_t asked, done;

	(void)state;
	snprintf(yaml, sizeof yaml, slow, 1);
	start(yaml);
	snprintf(yaml, sizeof yaml, slow, 2);
	daemon_configure(&d, yaml);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_reload, NULL), 0);
	for (int i = 0; i < ASKERS; i++) {
		void *answer = NULL;

		assert_int_equal(pthread_join(threads[i], &answer), 0);
		assert_non_null(answer);
		assert_true(good(answer));
		assert_string_equal(state_of(answer, "flood"), "running");
		json_decref(answer);
	}
	value_is("flood", "burst", "2", "line 8");
	log = daemon_log(&d);
	asked = times(log, "reload: asked for");
	done = times(log, "reloaded: ") + times(log, "nothing has changed");
	assert_int_equal(asked, ASKERS);
	assert_true(done >= 1 && done < ASKERS);
	assert_int_equal(times(log, "reloaded: 1 restarted (flood)"), 1);
	free(log);
	stop();
}

/* ---- libraries ---------------------------------------------------------------------------- */

static void copy(const char *from, const char *to, const char *extra)
{
	char line[2000];

	snprintf(line, sizeof line, "cp %s %s.new && printf '%s' >>%s.new && mv %s.new %s", from, to, extra,
	         to, to, to);
	assert_int_equal(system(line), 0);
}

/* A library that was replaced is a change, renamed into its place or written over; one
 * that was only touched is not. */
static void library(void **state)
{
	static const char yaml[] = COMMON "plugins:\n  count:\n  stdout: {format: json, file: /dev/null, "
		"isolation: thread, path: '@D/stdout.so'}\n" FLOOD;
	char path[400];
	json_t *a;
	FILE *f;

	(void)state;
	start(COMMON "plugins:\n  count:\n" FLOOD);
	snprintf(path, sizeof path, "%s/stdout.so", d.dir);
	copy(WEIR_PLUGINS "/stdout.so", path, "");
	a = reload(yaml);
	assert_string_equal(action(a, "stdout"), "added");
	json_decref(a);
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
	a = ask("reload");
	assert_string_equal(action(a, "stdout"), "unchanged");
	json_decref(a);
	copy(WEIR_PLUGINS "/stdout.so", path, "x");
	assert_int_equal(weir("set stdout.queue 2MiB"), 0); /* a set is no reload */
	says("stdout updated");
	a = ask("reload");
	assert_string_equal(action(a, "stdout"), "restarted");
	assert_string_equal(state_of(a, "stdout"), "running");
	json_decref(a);
	f = fopen(path, "a");
	assert_non_null(f);
	fputs("written over", f);
	fclose(f);
	a = ask("reload");
	assert_string_equal(action(a, "stdout"), "restarted");
	assert_string_equal(state_of(a, "stdout"), "running");
	json_decref(a);
	assert_int_equal(unlink(path), 0);
	a = ask("reload"); /* gone: it goes on, and that is said */
	assert_false(good(a));
	json_decref(a);
	assert_int_equal(weir("set stdout.queue --unset"), 0);
	a = ask("status");
	assert_string_equal(text(plugin_of(a, "stdout"), "state"), "running");
	json_decref(a);
	assert_no_gap();
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(classes, clean), cmocka_unit_test_teardown(needs_restart, clean),
		cmocka_unit_test_teardown(refused, clean), cmocka_unit_test_teardown(fails_to_start, clean),
		cmocka_unit_test_teardown(sighup, clean), cmocka_unit_test_teardown(watch, clean),
		cmocka_unit_test_teardown(coalesced, clean), cmocka_unit_test_teardown(library, clean),
		cmocka_unit_test_teardown(five_hundred, clean),
	};

	need_bpf();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
