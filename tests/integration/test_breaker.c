/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that fail, hang, crash or refuse, beside a pair that behaves: what fails is
 * named and left alone, the others notice nothing, every record is accounted for.
 */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON                                                                 \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nuser: ''\n" \
	"plugin_dirs: ['@H', '@B', '@P']\nshutdown_timeout: 1s\n"
#define ORDERS "isolation: thread, orders: '@D/orders'"

/* What the plugins shall do from now on; NULL: behave. */
static void order(struct daemon *d, const char *orders)
{
	char path[300], fresh[310];
	FILE *f;

	snprintf(path, sizeof path, "%s/orders", d->dir);
	snprintf(fresh, sizeof fresh, "%s.new", path);
	/* The directory is the daemon's user's; a plugin's process is perhaps root, but without
	 * the right to look into what is another's. */
	assert_int_equal(chmod(d->dir, 0711), 0);
	if (!orders) {
		unlink(path);
		return;
	}
	f = fopen(fresh, "w");
	assert_non_null(f);
	fputs(orders, f);
	fclose(f);
	assert_int_equal(rename(fresh, path), 0);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static json_t *breaker_of(const json_t *s, const char *plugin)
{
	json_t *b = json_object_get(plugin_of(s, plugin), "breaker");

	assert_non_null(b);
	return b;
}

struct want {
	const char *plugin, *state, *circuit; /* NULL: any */
	long long opened;                     /* at least */
};

static bool is_so(const json_t *s, void *arg)
{
	const struct want *w = arg;
	json_t *b = breaker_of(s, w->plugin);

	return (!w->state || !strcmp(text(plugin_of(s, w->plugin), "state"), w->state)) &&
	       (!w->circuit || !strcmp(text(b, "state"), w->circuit)) && num(b, "opened") >= w->opened;
}

static json_t *wait_so(struct daemon *d, const char *plugin, const char *state, const char *circuit,
                       long long opened)
{
	struct want w = { plugin, state, circuit, opened };
	char what[200];

	snprintf(what, sizeof what, "%s to be %s, breaker %s, opened %lld times", plugin,
	         state ? state : "anything", circuit ? circuit : "anything", opened);
	return wait_for(d, is_so, &w, what);
}

struct more {
	const char *from, *to, *key; /* key NULL: dropped as breaker_open */
	long long than;
};

static bool has_more(const json_t *s, void *arg)
{
	const struct more *m = arg;
	json_t *r = route_of(s, m->from, m->to);

	return (m->key ? num(r, m->key) : dropped(r, "breaker_open")) > m->than;
}

/* The pair that behaves goes on: 20 more records get through. */
static void flows(struct daemon *d, const char *from, const char *to)
{
	struct more m = { from, to, "delivered", 0 };
	json_t *s = wait_for(d, has_more, &m, "a first record");

	m.than = num(route_of(s, from, to), "delivered") + 20;
	json_decref(s);
	s = wait_for(d, has_more, &m, "records of the pair that behaves");
	assert_all_balanced(s);
	json_decref(s);
}

static void assert_logged(struct daemon *d, const char *words)
{
	char *log = daemon_log(d);

	if (!strstr(log, words))
		print_error("not in the log: %s\n%s\n", words, log);
	assert_non_null(strstr(log, words));
	free(log);
}

/* A value of the exposition; -1: it is not there. */
static double metric(struct daemon *d, const char *series)
{
	json_t *answer = daemon_call(d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query", "plugin", "prometheus",
	                                          "query", "metrics", "args"));
	const char *at = strstr(text(answer, "body"), series);
	double v = at ? strtod(at + strlen(series), NULL) : -1;

	json_decref(answer);
	return v;
}

/* ---- failing -------------------------------------------------------------------------- */

/* A collector whose tick fails: tried again soon, at the limit its breaker opens with
 * cause callback; told to behave, the probe closes it. */
static void opens_and_closes(void **state)
{
	struct daemon d;
	json_t *s, *b;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  prometheus:\n  moody: {" ORDERS
	             ", breaker: {failures: 3, cooldown: 200ms, max_cooldown: 400ms}}\n");
	json_decref(wait_so(&d, "moody", "running", "closed", 0));
	order(&d, "tick fail\n");
	s = wait_so(&d, "moody", "failed", "open", 2);
	b = breaker_of(s, "moody");
	assert_string_equal(text(b, "cause"), "callback");
	assert_non_null(strstr(text(b, "detail"), "told to fail in tick"));
	assert_true(num(b, "failures") >= 3);
	assert_true(json_real_value(json_object_get(b, "retry_s")) <= 0.4);
	assert_all_balanced(s);
	json_decref(s);
	order(&d, NULL);
	json_decref(wait_so(&d, "moody", "running", "closed", 2));
	flows(&d, "moody", "count");
	assert_true(metric(&d, "weir_breaker_state{plugin=\"moody\",state=\"closed\"}") == 1);
	assert_true(metric(&d, "weir_breaker_state{plugin=\"moody\",state=\"open\"}") == 0);
	assert_true(metric(&d, "weir_breaker_transitions_total{plugin=\"moody\",to=\"open\","
	                   "cause=\"callback\"}") >= 2);
	assert_true(metric(&d, "weir_plugin_failures_total{plugin=\"moody\",cause=\"callback\"}") >= 4);
	assert_logged(&d, "breaker open: callback");
	assert_logged(&d, "breaker half-open");
	assert_logged(&d, "breaker closed: it works again");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A refusal that does not pass opens at once; `restart` by a person tries at once,
 * whatever the cooldown. */
static void person_resets(void **state)
{
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {" ORDERS ", breaker: {cooldown: 30m, "
	             "max_cooldown: 30m}}\n");
	order(&d, "init refuse\ntick fail\n");
	/* Its tick fails, the restart after 100 ms is refused. */
	s = wait_so(&d, "moody", "failed", "open", 1);
	assert_true(json_real_value(json_object_get(breaker_of(s, "moody"), "retry_s")) > 60);
	assert_string_equal(text(breaker_of(s, "moody"), "cause"), "start");
	json_decref(s);
	order(&d, NULL);
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", "moody")));
	s = wait_so(&d, "moody", "running", NULL, 1);
	assert_string_not_equal(text(breaker_of(s, "moody"), "state"), "open");
	json_decref(s);
	flows(&d, "moody", "count");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A collector with no source is looked for at each probe_interval, and no crash loop. */
static void no_source(void **state)
{
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_spawn(&d, COMMON "probe_interval: 300ms\nplugins:\n  count: {isolation: thread}\n  moody: {" ORDERS
	             ", breaker: {cooldown: 30m, max_cooldown: 30m}}\n");
	order(&d, "probe fail\n"); /* perhaps too late for the first start */
	json_decref(wait_so(&d, "moody", NULL, NULL, 0));
	json_decref(daemon_ask(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", "moody")));
	s = wait_so(&d, "moody", "failed", "open", 4);
	assert_true(json_real_value(json_object_get(breaker_of(s, "moody"), "retry_s")) <= 0.3);
	json_decref(s);
	order(&d, NULL);
	json_decref(wait_so(&d, "moody", "running", NULL, 4));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* An output that refuses everything: its breaker opens, its route counts breaker_open
 * and stays balanced, the other output misses nothing; then it takes again. */
static void output_that_refuses(void **state)
{
	struct more m = { "moody", "sulky", NULL, 0 };
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  sulky: {" ORDERS ", breaker: {failures: 2, "
	             "cooldown: 1s, max_cooldown: 1s}}\n  moody: {isolation: thread}\n");
	order(&d, "deliver fail\n");
	json_decref(wait_so(&d, "sulky", "failed", "open", 1));
	s = wait_for(&d, has_more, &m, "breaker_open on its route");
	assert_all_balanced(s);
	assert_int_equal(dropped(route_of(s, "moody", "count"), NULL), 0);
	json_decref(s);
	json_decref(wait_so(&d, "sulky", "failed", "open", 2)); /* the probe failed, too */
	order(&d, NULL);
	json_decref(wait_so(&d, "sulky", "running", "closed", 2));
	flows(&d, "moody", "sulky");
	flows(&d, "moody", "count");
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_string_equal(text(breaker_of(s, "sulky"), "cause"), "delivery");
	assert_int_equal(dropped(route_of(s, "moody", "count"), NULL), 0);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_logged(&d, "every record is accounted for");
	daemon_clean(&d);
}

/* Disabled while its breaker is open, an output's route is let go of: nothing is
 * counted there any more; enabled it takes again. A collector that starts meanwhile is
 * counted from its first record. */
static void disabled_while_open(void **state)
{
	struct more m = { "moody", "sulky", NULL, 0 };
	struct daemon d;
	long long before;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  sulky: {" ORDERS ", breaker: {failures: 1, "
	             "cooldown: 30m, max_cooldown: 30m}}\n  moody: {isolation: thread}\n");
	order(&d, "deliver fail\n");
	json_decref(wait_so(&d, "sulky", "failed", "open", 1));
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", "moody")));
	s = wait_for(&d, has_more, &m, "breaker_open on its route");
	m.than = dropped(route_of(s, "moody", "sulky"), "breaker_open");
	json_decref(s);
	json_decref(wait_for(&d, has_more, &m, "more of it after the collector's restart"));
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "disable", "plugin", "sulky")));
	s = wait_so(&d, "sulky", "disabled", NULL, 1);
	assert_all_balanced(s);
	before = num(route_of(s, "moody", "sulky"), "seen");
	json_decref(s);
	flows(&d, "moody", "count");
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_int_equal(num(route_of(s, "moody", "sulky"), "seen"), before);
	json_decref(s);
	order(&d, NULL);
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "enable", "plugin", "sulky")));
	flows(&d, "moody", "sulky");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* ---- hanging --------------------------------------------------------------------------- */

/* An endless loop in a thread host: the daemon answers, the others flow, plugin and
 * callback are named; when the thread comes back the plugin starts again. */
static void hang(const char *plugin, const char *orders, const char *named)
{
	bool output = !strcmp(plugin, "sulky");
	struct daemon d;
	json_t *s, *answer;

	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  sulky: {" ORDERS ", deadline: 200ms}\n"
	             "  moody: {" ORDERS ", deadline: 200ms}\n  steady: {isolation: thread}\n");
	flows(&d, "moody", "sulky");
	order(&d, orders);
	s = wait_so(&d, plugin, "failed", "open", 1);
	assert_string_equal(text(breaker_of(s, plugin), "cause"), "deadline");
	assert_non_null(strstr(text(breaker_of(s, plugin), "detail"), named));
	assert_int_equal(num(breaker_of(s, plugin), "lost"), 1);
	assert_all_balanced(s);
	json_decref(s);
	flows(&d, "steady", "count");
	flows(&d, output ? "moody" : "steady", output ? "count" : "sulky");
	assert_logged(&d, "A thread cannot be killed");
	answer = daemon_ask(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", plugin));
	assert_false(json_is_true(json_object_get(answer, "ok")));
	assert_non_null(strstr(text(answer, "error"), "does not come back"));
	json_decref(answer);
	order(&d, NULL);
	s = wait_so(&d, plugin, "running", NULL, 1);
	assert_null(json_object_get(breaker_of(s, plugin), "lost"));
	json_decref(s);
	assert_logged(&d, "lost thread has come back");
	flows(&d, "moody", "sulky");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_logged(&d, "every record is accounted for");
	daemon_clean(&d);
}

static void collector_hangs(void **state)
{
	(void)state;
	hang("moody", "tick spin\n", "callback tick");
}

static void output_hangs(void **state)
{
	(void)state;
	hang("sulky", "deliver hang\n", "callback deliver");
}

static void start_process(struct daemon *d)
{
	daemon_start(d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {isolation: process, orders: '@D/orders', "
	             "deadline: 300ms}\n");
	flows(d, "moody", "count");
}

/* A process is killed, and starts again. */
static void process_hangs(void **state)
{
	struct daemon d;
	json_t *s;

	(void)state;
	start_process(&d);
	order(&d, "tick spin\n");
	s = wait_so(&d, "moody", NULL, NULL, 1);
	assert_string_equal(text(breaker_of(s, "moody"), "cause"), "deadline");
	assert_non_null(strstr(text(breaker_of(s, "moody"), "detail"), "callback tick"));
	assert_all_balanced(s);
	json_decref(s);
	order(&d, NULL);
	json_decref(wait_so(&d, "moody", "running", "closed", 1));
	flows(&d, "moody", "count");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_logged(&d, "its process is killed");
	daemon_clean(&d);
}

/* A process that is stopped, in no callback: what is asked of its plugin does not wait for
 * ever, the process is killed, and the plugin can start again. */
static void process_stopped(void **state)
{
	struct daemon d;
	json_t *s;

	(void)state;
	start_process(&d);
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_int_equal(kill((pid_t)num(plugin_of(s, "moody"), "pid"), SIGSTOP), 0);
	json_decref(s);
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "disable", "plugin", "moody")));
	json_decref(wait_so(&d, "moody", "disabled", NULL, 0));
	assert_logged(&d, "its process is killed");
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "enable", "plugin", "moody")));
	flows(&d, "moody", "count");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_logged(&d, "every record is accounted for");
	daemon_clean(&d);
}

/* An output in a process that crashes: counted as such, its breaker opens at the limit,
 * and its route goes on counting. */
static void process_crashes(void **state)
{
	struct more m = { "moody", "sulky", NULL, 0 };
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {isolation: thread}\n"
	             "  sulky: {isolation: process, orders: '@D/orders', breaker: {failures: 2, "
	             "cooldown: 1s, max_cooldown: 1s}}\n");
	flows(&d, "moody", "sulky");
	order(&d, "deliver segv\n");
	s = wait_so(&d, "sulky", "failed", "open", 1);
	assert_string_equal(text(breaker_of(s, "sulky"), "cause"), "crash");
	assert_non_null(strstr(text(breaker_of(s, "sulky"), "detail"), "killed by signal"));
	assert_all_balanced(s);
	json_decref(s);
	json_decref(wait_for(&d, has_more, &m, "breaker_open on its route"));
	order(&d, NULL);
	json_decref(wait_so(&d, "sulky", "running", "closed", 1));
	flows(&d, "moody", "sulky");
	flows(&d, "moody", "count");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_logged(&d, "every record is accounted for");
	daemon_clean(&d);
}

/* In start and in stop it is the same. */
static void hangs_in_start(void **state)
{
	struct daemon d;
	json_t *s;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {" ORDERS ", deadline: 200ms}\n");
	order(&d, "stop hang\n");
	json_decref(daemon_ask(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", "moody")));
	s = wait_so(&d, "moody", "failed", "open", 1);
	assert_non_null(strstr(text(breaker_of(s, "moody"), "detail"), "callback stop"));
	assert_all_balanced(s);
	json_decref(s);
	order(&d, "start hang\n"); /* the lost one ends, the next one is stuck at once */
	json_decref(wait_so(&d, "moody", "starting", "half-open", 1));
	s = wait_so(&d, "moody", "failed", "open", 2);
	assert_non_null(strstr(text(breaker_of(s, "moody"), "detail"), "callback start"));
	json_decref(s);
	order(&d, NULL);
	json_decref(wait_so(&d, "moody", "running", NULL, 2));
	flows(&d, "moody", "count");
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* ---- crashing ---------------------------------------------------------------------------- */

/* Start the daemon again in the same directory. */
static void again(struct daemon *d)
{
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (!d->pid) {
		int log = open(d->log, O_CREAT | O_WRONLY | O_APPEND, 0600);

		dup2(log, 2);
		execl(WEIR_BINARY, "weir", "run", "-c", d->config, (char *)NULL);
		_exit(127);
	}
}

/* A crash in a thread host: one line names plugin and callback, a note is left; the next
 * start begins with the breaker open, and the note is gone. */
static void crash(const char *orders, const char *named)
{
	char note[300];
	struct daemon d;
	struct stat st;
	json_t *s, *b;

	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {" ORDERS ", breaker: {cooldown: 1s}}\n");
	snprintf(note, sizeof note, "%s/state/crashed-moody", d.dir);
	order(&d, orders);
	assert_int_equal(daemon_wait(&d), -1); /* as without a handler of ours */
	assert_logged(&d, named);
	assert_logged(&d, "plugin=moody");
	assert_logged(&d, "isolation: process");
	assert_int_equal(stat(note, &st), 0);
	order(&d, NULL);
	again(&d);
	s = wait_so(&d, "moody", NULL, NULL, 1);
	b = breaker_of(s, "moody");
	assert_string_equal(text(b, "cause"), "crash");
	assert_non_null(strstr(text(b, "detail"), "in tick"));
	json_decref(s);
	assert_int_equal(stat(note, &st), -1);
	assert_logged(&d, "it ended the daemon the last time");
	json_decref(daemon_call(&d, json_pack("{s:s, s:s}", "cmd", "restart", "plugin", "moody")));
	json_decref(wait_so(&d, "moody", "running", "closed", 1));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static void crashes(void **state)
{
	(void)state;
	crash("tick segv\n", "SIGSEGV in callback tick");
	crash("tick abort\n", "SIGABRT in callback tick");
}

/* Killed by a signal from outside, nobody is blamed and no note is left. */
static void killed_from_outside(void **state)
{
	char note[300];
	struct daemon d;
	struct stat st;

	(void)state;
	daemon_start(&d, COMMON "plugins:\n  count: {isolation: thread}\n  moody: {isolation: thread}\n");
	snprintf(note, sizeof note, "%s/state/crashed-moody", d.dir);
	assert_int_equal(daemon_stop(&d, SIGABRT), -1);
	assert_logged(&d, "SIGABRT in the daemon itself");
	assert_int_equal(stat(note, &st), -1);
	daemon_clean(&d);
}

/* ---- kernels that panic -------------------------------------------------------------------- */

/* `weir WORDS` with d's configuration: its output, complaints too. */
static char *weir(struct daemon *d, const char *words, char *buf, size_t size)
{
	char line[1024];
	size_t n;
	FILE *f;

	snprintf(line, sizeof line, "timeout 60 %s %s -c %s 2>&1", WEIR_BINARY, words, d->config);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = 0;
	pclose(f);
	return buf;
}

/* With this kernel's tracepoint types guarded, flood has no source, and iomonitor gives
 * its topics to the stand-in, in a process as in a thread; the reason names the entry, and
 * `weir check` says it. */
static void guarded_kernel(void **state)
{
	static char said[65536];
	struct utsname u;
	char yaml[1024];
	struct daemon d;
	json_t *s;

	(void)state;
	if (no_bpf()) {
		print_message("SKIP: guarded_kernel: %s\n", no_bpf());
		skip();
	}
	uname(&u);
	u.release[strcspn(u.release, "-")] = 0;
	snprintf(yaml, sizeof yaml, COMMON "kernel_guard: ['%s:tp_btf', '%s:raw_tp', '%s:tracepoint']\n"
	         "plugins:\n  count: {isolation: thread}\n  flood: {isolation: process, rate: 100}\n  iomonitor: {isolation: thread}\n  procfs-fallback:\n",
	         u.release, u.release, u.release);
	daemon_start(&d, yaml);
	s = wait_so(&d, "flood", "failed", "open", 1);
	assert_non_null(strstr(text(plugin_of(s, "flood"), "reason"), "kernel_guard"));
	assert_non_null(strstr(text(plugin_of(s, "flood"), "reason"), u.release));
	json_decref(s);
	s = wait_so(&d, "procfs-fallback", "running", NULL, 0);
	assert_string_not_equal(text(plugin_of(s, "iomonitor"), "source"), "bpf");
	json_decref(s);
	weir(&d, "check", said, sizeof said);
	assert_non_null(strstr(said, "kernel guard tp_btf"));
	assert_non_null(strstr(said, "kernel guard raw_tp"));
	assert_null(strstr(said, "kernel guard kprobe"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A wrong entry is an error at its line. */
static void wrong_guard(void **state)
{
	char said[4096];
	struct daemon d;

	(void)state;
	daemon_spawn(&d, COMMON "kernel_guard: ['6.1:krpobe']\nplugins:\n  count: {isolation: thread}\n");
	assert_int_not_equal(daemon_wait(&d), 0);
	assert_non_null(strstr(weir(&d, "config check", said, sizeof said), "weir.yaml:7:"));
	assert_non_null(strstr(said, "\"6.1:krpobe\" should be off"));
	daemon_clean(&d);
}

/* A sanitizer's own handler would say what we do on purpose, and may wait for ever for the
 * file of a plugin that was opened by its descriptor. */
static void no_handler(const char *name)
{
	const char *was = getenv(name);
	char options[1000];

	snprintf(options, sizeof options, "%s:handle_segv=0:handle_abort=0", was ? was : "");
	setenv(name, options, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_closes), cmocka_unit_test(person_resets), cmocka_unit_test(no_source),
		cmocka_unit_test(output_that_refuses), cmocka_unit_test(disabled_while_open),
		cmocka_unit_test(collector_hangs), cmocka_unit_test(output_hangs), cmocka_unit_test(hangs_in_start),
		cmocka_unit_test(process_hangs), cmocka_unit_test(process_stopped),
		cmocka_unit_test(process_crashes),
		cmocka_unit_test(crashes), cmocka_unit_test(killed_from_outside), cmocka_unit_test(guarded_kernel),
		cmocka_unit_test(wrong_guard),
	};

	no_handler("ASAN_OPTIONS");
	no_handler("TSAN_OPTIONS");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
