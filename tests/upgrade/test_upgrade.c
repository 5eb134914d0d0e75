/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgrades under load: a process makes numbered calls all the time, a collector that is
 * exchanged again and again reports them, and the output finds no number missing and
 * none twice. Builds that are not fit leave the running one as it is.
 *
 * SOAK_UPGRADES: how often, instead of 100 (20 where every step is slow).
 */
#include "fixture.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Calls a second: some thousand between two steps of an exchange. */
#define RATE 20000
#define BURST 20

static const char *const modes[] = { "thread", "process" };

struct caller {
	pid_t pid;
	_Atomic unsigned long *made; /* shared with it */
};

static void run_caller(_Atomic unsigned long *made)
{
	struct timespec pause = { 0, 1000000000L / RATE * BURST };
	unsigned long n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int i = 0; i < BURST; i++)
			syscall(SYS_getpriority, 77, ++n);
		*made = n;
		nanosleep(&pause, NULL);
	}
}

static void caller_start(struct caller *c)
{
	c->made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(c->made, MAP_FAILED);
	c->pid = fork();
	if (!c->pid)
		run_caller(c->made);
	assert_true(c->pid > 0);
}

/* It stops between two bursts or within one: what it made last is reported, or is not. */
static void caller_stop(struct caller *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	munmap((void *)(uintptr_t)c->made, 4096);
}

static void start(struct daemon *d, struct caller *c, const char *collector, const char *output)
{
	char yaml[1000];

	caller_start(c);
	snprintf(yaml, sizeof yaml, "control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nplugins:\n"
	         "  numbered: {path: '%s/a/numbered.so', pid: %d, isolation: %s, ring: 8MiB, budget: {events: 0}}\n"
	         "  count: {path: '%s/a/count.so', isolation: %s, queue: 64MiB}\n",
	         WEIR_BUILDS, (int)c->pid, collector, WEIR_BUILDS, output);
	daemon_start(d, yaml);
}

static json_t *upgrade(struct daemon *d, const char *plugin, const char *build)
{
	char path[500];

	snprintf(path, sizeof path, WEIR_BUILDS "/%s/%s.so", build, plugin);
	return daemon_ask(d, json_pack("{s:s, s:s, s:s}", "cmd", "upgrade", "plugin", plugin, "path", path));
}

static void must_upgrade(struct daemon *d, const char *plugin, const char *build)
{
	json_t *a = upgrade(d, plugin, build);

	if (!json_is_true(json_object_get(a, "ok")))
		print_error("%s\n%s\n", json_string_value(json_object_get(a, "error")), daemon_log(d));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
}

static json_t *peer(struct daemon *d, json_t **ret_all)
{
	json_t *a = daemon_call(d, json_pack("{s:s, s:s, s:s}", "cmd", "query", "plugin", "count", "query", "stats"));

	*ret_all = json_loads(json_string_value(json_object_get(a, "body")), 0, NULL);
	json_decref(a);
	return json_object_get(json_object_get(*ret_all, "collectors"), "numbered");
}

static bool has_records(const json_t *status, void *arg)
{
	json_t *r = route_of(status, "numbered", "count");

	return num(r, "delivered") >= *(long long *)arg;
}

static void wait_records(struct daemon *d, long long more)
{
	json_t *s = daemon_call(d, json_pack("{s:s}", "cmd", "status"));
	long long want = num(route_of(s, "numbered", "count"), "delivered") + more;

	json_decref(s);
	json_decref(wait_for(d, has_records, &want, "records"));
}

static bool version_is(const json_t *status, void *arg)
{
	return !strcmp(json_string_value(json_object_get(plugin_of(status, "numbered"), "version")), arg);
}

static void assert_unbroken(struct daemon *d)
{
	json_t *all, *p = peer(d, &all), *s;

	assert_int_equal(num(p, "seq_gaps"), 0);
	assert_int_equal(num(p, "seq_again"), 0);
	json_decref(all);
	s = daemon_call(d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(s);
	assert_int_equal(dropped(route_of(s, "numbered", "count"), NULL), 0);
	json_decref(s);
}

static int times(void)
{
	const char *s = getenv("SOAK_UPGRADES");

	return s ? atoi(s) : 100;
}

static bool fds_within(const json_t *status, void *arg)
{
	return num(json_object_get(status, "daemon"), "fds") <= *(long long *)arg + 8;
}

/* A hundred exchanges of two builds that are the same in the kernel: nothing is lost,
 * nothing comes twice, nothing is left over. */
static void exchange(const char *mode)
{
	struct caller c;
	struct daemon d;
	json_t *s;
	long long fds = 0;

	start(&d, &c, mode, "thread");
	wait_records(&d, 1000);
	for (int i = 0; i < times(); i++) {
		must_upgrade(&d, "numbered", i % 2 ? "a" : "b");
		wait_records(&d, 50);
		s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
		if (i == 10)
			fds = num(json_object_get(s, "daemon"), "fds");
		json_decref(s);
	}
	/* A process that has been replaced takes a moment to go. */
	json_decref(wait_for(&d, fds_within, &fds, "as few descriptors as after ten exchanges"));
	assert_unbroken(&d);
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_true(version_is(s, times() % 2 ? "1.0.0-b" : "1.0.0-a"));
	assert_true(num(route_of(s, "numbered", "count"), "seen") >= 1000 + 50 * times());
	json_decref(s);
	caller_stop(&c);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static void exchange_threads(void **state)
{
	(void)state;
	exchange(modes[0]);
}

static void exchange_processes(void **state)
{
	(void)state;
	exchange(modes[1]);
}

/* A build that is not fit says why, and the old one goes on without a gap. */
static void unfit(const char *mode, const char *build, const char *why)
{
	struct caller c;
	struct daemon d;
	const char *error;
	json_t *a, *s;

	start(&d, &c, mode, "thread");
	wait_records(&d, 500);
	a = upgrade(&d, "numbered", build);
	assert_false(json_is_true(json_object_get(a, "ok")));
	error = json_string_value(json_object_get(a, "error"));
	if (!strstr(error, why))
		print_error("expected \"%s\" in: %s\n", why, error);
	assert_non_null(strstr(error, why));
	json_decref(a);
	wait_records(&d, 500);
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_true(version_is(s, "1.0.0-a"));
	json_decref(s);
	assert_unbroken(&d);
	/* and it can still be exchanged for a good one */
	must_upgrade(&d, "numbered", "b");
	wait_records(&d, 100);
	assert_unbroken(&d);
	caller_stop(&c);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static void unfit_builds(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		unfit(modes[i], "ill", "this build is not well");
		unfit(modes[i], "fails", "this build cannot start");
		unfit(modes[i], "nowhere", "cannot be loaded");
	}
	unfit("process", "dies", "its process");
	unfit("process", "hangs", "in time");
}

/* With another object in the kernel the two are exchanged by their knobs. Between them lie
 * two stores; a call may fall there, so what holds is the ledger, and all but a few. */
/* Between the old program and the new one an event may pass: one an exchange, or as many as
 * there is time for where ThreadSanitizer makes a thread ten times slower. */
#ifdef __SANITIZE_THREAD__
#define LOST_MAX 100
#else
#define LOST_MAX 10
#endif

static void other_object(void **state)
{
	struct caller c;
	struct daemon d;
	json_t *all, *p, *s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		start(&d, &c, modes[i], "thread");
		wait_records(&d, 1000);
		for (int k = 0; k < 10; k++) {
			must_upgrade(&d, "numbered", k % 2 ? "a" : "other");
			wait_records(&d, 100);
		}
		p = peer(&d, &all);
		print_message("%s, 10 exchanges: %lld lost, %lld twice\n", modes[i], num(p, "seq_gaps"),
		              num(p, "seq_again"));
		assert_true(num(p, "seq_gaps") + num(p, "seq_again") <= LOST_MAX);
		json_decref(all);
		s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
		assert_all_balanced(s);
		assert_int_equal(dropped(route_of(s, "numbered", "count"), NULL), 0);
		json_decref(s);
		caller_stop(&c);
		assert_int_equal(daemon_stop(&d, SIGTERM), 0);
		daemon_clean(&d);
	}
}

/* An output that is exchanged gets every record, by the route's numbers: what the first
 * build has not got, the second has. */
static void exchange_output(void **state)
{
	struct caller c;
	struct daemon d;
	json_t *s, *r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		start(&d, &c, "thread", modes[i]);
		wait_records(&d, 1000);
		for (int k = 0; k < 10; k++) {
			must_upgrade(&d, "count", k % 2 ? "a" : "b");
			wait_records(&d, 100);
			s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
			assert_all_balanced(s);
			r = route_of(s, "numbered", "count");
			if (dropped(r, NULL))
				print_error("%s, exchange %d: %s\n", modes[i], k, json_dumps(r, 0));
			assert_int_equal(dropped(r, NULL), 0);
			json_decref(s);
		}
		caller_stop(&c);
		assert_int_equal(daemon_stop(&d, SIGTERM), 0);
		daemon_clean(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchange_threads), cmocka_unit_test(exchange_processes),
		cmocka_unit_test(unfit_builds), cmocka_unit_test(other_object),
		cmocka_unit_test(exchange_output),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
