/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9, of a collector in its own process, again and again at random moments under
 * load, and of the daemon itself: what is left afterwards is whole, and nothing else is
 * left.
 *
 * The kills: SOAK_KILLS says how many (script/soak does), SOAK_SEED where the moments
 * come from.
 */
#include "procs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers make a start ten times as long, and it is starts that are counted. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KILLS 20
#define FALLBACK_S 5.0
#else
#define KILLS 100 /* script/soak: 1000 */
#define FALLBACK_S 1.0
#endif
/* As wait_for: a deadline, not a measure. */
#define DEADLINE_S 20.0

/* Calls per millisecond of the process that is watched: 20 000 a second. */
#define LOAD 20

/* The flood, which watches such a process, is killed; the beat (a hostile plugin that is not yet) is a bystander, in
 * the daemon; stand-in has the flood's topic meanwhile. The breaker opens at once, so
 * that there is a meanwhile, and waits only a moment. */
#define YAML                                                                   \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P', '@H']\nshutdown_timeout: 5s\n"               \
	"log: {burst: 0}\n"                                                     \
	"plugins:\n"                                                           \
	"  flood:\n    isolation: process\n    pid: %d\n"                     \
	"    breaker: {failures: 1, cooldown: 100ms, max_cooldown: 100ms}\n"   \
	"  hostile-flood: {after: 1h, interval: 1ms, isolation: thread}\n"     \
	"  stand-in: {interval: 5ms, isolation: thread}\n"                     \
	"  count: {isolation: thread}\n"                                       \
	"  stdout: {format: json, file: /dev/null}\n"

/* A process that makes what the flood sees; it ends with this one. */
static pid_t begin_load(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int i = 0; i < LOAD; i++)
			syscall(SYS_getppid);
		nap_ms(1);
	}
}

static pid_t load;

static int setup(void **state)
{
	static char yaml[1200];

	load = begin_load();
	snprintf(yaml, sizeof yaml, YAML, (int)load);
	*state = yaml;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(load, SIGKILL);
	waitpid(load, NULL, 0);
	return 0;
}

static json_t *status(struct daemon *d)
{
	return daemon_call(d, json_pack("{s:s}", "cmd", "status"));
}

static bool in_state(const json_t *s, const char *plugin, const char *state)
{
	const char *is = json_string_value(json_object_get(plugin_of(s, plugin), "state"));

	return is && !strcmp(is, state);
}

static long long records_of(struct daemon *d, const char *collector)
{
	json_t *c = counted(d);
	long long n = num(counted_of(c, collector), "records");

	json_decref(c);
	return n;
}

/* Seconds until something of this collector has arrived, beyond `before`. */
static double until_more(struct daemon *d, const char *collector, long long before, double since)
{
	while (records_of(d, collector) <= before) {
		if (now_s() - since > DEADLINE_S) {
			fputs(daemon_log(d), stderr);
			fail_msg("nothing of %s for %.0f s", collector, DEADLINE_S);
		}
		nap_ms(2);
	}
	return now_s() - since;
}

/* ---- a collector -------------------------------------------------------------------------- */

static bool handed_back(const json_t *s, void *arg)
{
	pid_t was = *(pid_t *)arg, is = (pid_t)num(plugin_of(s, "flood"), "pid");

	return in_state(s, "flood", "running") && in_state(s, "stand-in", "standby") && is > 0 && is != was;
}

/* Seconds until the topic has data again: its stand-in's, or of the flood that is back
 * already. In-flight data of the dead one do not count. *ret_stand_in: which it was. */
static double until_served(struct daemon *d, long long stand_in, pid_t was, double since, bool *ret_stand_in)
{
	long long flood = -1;

	for (;;) {
		json_t *c = counted(d), *s = status(d);
		long long n = num(counted_of(c, "flood"), "records");
		pid_t is = (pid_t)num(plugin_of(s, "flood"), "pid");
		bool back = flood >= 0 && n > flood;

		*ret_stand_in = num(counted_of(c, "stand-in"), "records") > stand_in;
		if (flood < 0 && is > 0 && is != was && in_state(s, "flood", "running"))
			flood = n;
		json_decref(c);
		json_decref(s);
		if (*ret_stand_in || back)
			return now_s() - since;
		if (now_s() - since > DEADLINE_S) {
			fputs(daemon_log(d), stderr);
			fail_msg("nobody serves the flood's topic for %.0f s", DEADLINE_S);
		}
		nap_ms(2);
	}
}

struct run {
	struct daemon d;
	unsigned seed, stand_ins;
	double worst_fallback_s, worst_back_s;
};

/* One kill, and everything that must be so after it. */
static void kill_once(struct run *r, pid_t *pid)
{
	long long stand_in = records_of(&r->d, "stand-in"), flood = records_of(&r->d, "flood");
	double killed, fallback, back;
	bool stood_in;
	json_t *s, *c;

	until_more(&r->d, "flood", flood, now_s()); /* under load */
	nap_ms((unsigned)rand_r(&r->seed) % 30);    /* the random moment: not a wait for anything */
	killed = now_s();
	assert_int_equal(kill(*pid, SIGKILL), 0);
	fallback = until_served(&r->d, stand_in, *pid, killed, &stood_in);
	r->stand_ins += stood_in;
	s = wait_for(&r->d, handed_back, pid, "the flood to be back and its stand-in to rest");
	*pid = (pid_t)num(plugin_of(s, "flood"), "pid");
	back = now_s() - killed;
	if (fallback > FALLBACK_S)
		fail_msg("no data for %.2f s", fallback);
	r->worst_fallback_s = fallback > r->worst_fallback_s ? fallback : r->worst_fallback_s;
	r->worst_back_s = back > r->worst_back_s ? back : r->worst_back_s;
	assert_all_balanced(s);
	assert_int_equal(dropped(route_of(s, "hostile-flood", "count"), NULL), 0);
	assert_int_equal(dropped(route_of(s, "hostile-flood", "stdout"), NULL), 0);
	json_decref(s);
	c = counted(&r->d);
	assert_gapless(c, "hostile-flood");
	json_decref(c);
}

/* Killed N times at random under load: everybody else's records are all there, its own
 * are booked, its stand-in's data come within a second and end when it is back. */
static void killed_collectors(void **state)
{
	const char *kills = getenv("SOAK_KILLS"), *seed = getenv("SOAK_SEED");
	unsigned n = kills ? (unsigned)atoi(kills) : KILLS;
	struct run r = { .seed = seed ? (unsigned)atoi(seed) : 4711 };
	pid_t pid = 0;
	json_t *s;
	char *log;

	daemon_start(&r.d, *state);
	s = wait_for(&r.d, handed_back, &pid, "the flood to run in its own process");
	pid = (pid_t)num(plugin_of(s, "flood"), "pid");
	json_decref(s);
	for (unsigned i = 0; i < n; i++) {
		kill_once(&r, &pid);
		if (kills && (i + 1) % 25 == 0)
			print_message("%u of %u kills; fallback %.0f ms at worst, back after %.2f s at worst\n",
			              i + 1, n, r.worst_fallback_s * 1e3, r.worst_back_s);
	}
	s = status(&r.d);
	/* A crash opens the breaker, and a thread starts faster than a process. */
	assert_true(r.stand_ins >= n / 2);
	/* In N kills under load something was on its way at least once. */
	assert_true(dropped(route_of(s, "flood", "count"), "crashed") > 0);
	assert_int_equal(num(plugin_of(s, "flood"), "restarts"), n);
	json_decref(s);
	assert_ends_well(&r.d);
	log = daemon_log(&r.d);
	assert_non_null(strstr(log, "every record is accounted for"));
	free(log);
	daemon_clean(&r.d);
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* What a running daemon has that must go with it. */
struct estate {
	struct procs procs;
	struct held held;
};

static void take_stock(struct daemon *d, struct estate *e)
{
	memset(e, 0, sizeof *e);
	procs_below(d->pid, &e->procs);
	held_add(&e->held, d->pid);
	for (size_t i = 0; i < e->procs.count; i++)
		held_add(&e->held, e->procs.pids[i]);
}

/* The kernel lets go of a cgroup a moment after its last process. */
static bool cgroups_gone(pid_t was)
{
	double until = now_s() + DEADLINE_S;

	while (cgroups_of(was)) {
		if (now_s() > until)
			return false;
		nap_ms(50);
	}
	return true;
}

static bool flood_runs(const json_t *s, void *arg)
{
	(void)arg;
	return in_state(s, "flood", "running") && num(plugin_of(s, "flood"), "pid") > 0;
}

/* The daemon is killed at a random moment: what it had ends with it, and the next start
 * in the same place finds nothing in its way, and leaves nothing of it. */
static void killed_daemons(void **state)
{
	const char *kills = getenv("SOAK_KILLS");
	unsigned seed = 815, n = kills ? (unsigned)atoi(kills) / 100 + 3 : 3;
	size_t pins = bpf_pins(), left;
	struct estate e;
	struct daemon d;
	pid_t alive = 0, was;

	procs_adopt();
	daemon_start(&d, *state);
	for (unsigned i = 0; i < n; i++) {
		json_decref(wait_for(&d, flood_runs, NULL, "the flood to run in its own process"));
		until_more(&d, "flood", records_of(&d, "flood"), now_s());
		nap_ms((unsigned)rand_r(&seed) % 30);
		take_stock(&d, &e);
		assert_true(e.procs.count >= 1); /* the flood's */
		assert_true(e.held.count >= 2);  /* a program and a map at least */
		was = d.pid;
		assert_int_equal(daemon_stop(&d, SIGKILL), -1);
		if (!procs_gone(&e.procs, DEADLINE_S, &alive))
			fail_msg("process %d has outlived the daemon", (int)alive);
		left = held_left(&e.held, DEADLINE_S);
		if (left)
			fail_msg("%zu of %zu BPF objects have outlived the daemon", left, e.held.count);
		assert_int_equal(bpf_pins(), pins);
		daemon_again(&d);
		if (!cgroups_gone(was))
			fail_msg("the cgroup of the dead daemon %d is still there", (int)was);
	}
	json_decref(wait_for(&d, flood_runs, NULL, "the flood to run again"));
	assert_ends_well(&d);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(killed_collectors, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_daemons, setup, teardown),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
