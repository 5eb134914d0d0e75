/* SPDX-License-Identifier: Apache-2.0 */
/* Running the daemon in a test. See fixture.h. */
#include "fixture.h"
#include "bpf.h"
#include "control.h"
#include "privilege.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_S 20.0

bool fixture_close_standard, fixture_budgets;
uint64_t fixture_without;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void nap(void)
{
	struct timespec ts = { 0, 5000000 };

	nanosleep(&ts, NULL);
}

const char *no_bpf(void)
{
	int fd;

	if (geteuid())
		return "needs root";
	if (!weir__kernel_has("task_struct", NULL))
		return "the kernel has no BTF";
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, 65536, NULL);
	if (fd < 0)
		return "the kernel refuses BPF ring buffers";
	close(fd);
	return NULL;
}

void need_bpf(void)
{
	const char *why = no_bpf();

	if (!why)
		return;
	printf("SKIP: %s\n", why);
	exit(77);
}

static void write_config(struct daemon *d, const char *path, const char *yaml)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (; *yaml; yaml++) {
		const char *with = yaml[0] != '@' ? NULL : yaml[1] == 'S' ? d->socket : yaml[1] == 'D' ? d->dir
			: yaml[1] == 'P' ? WEIR_PLUGINS : yaml[1] == 'B' ? WEIR_BENCH_PLUGINS
			: yaml[1] == 'H' ? WEIR_HOSTILE_PLUGINS : NULL;

		if (with) {
			fputs(with, f);
			yaml++;
		} else {
			fputc(*yaml, f);
		}
	}
	fclose(f);
}

void daemon_configure(struct daemon *d, const char *yaml)
{
	char temp[320];

	snprintf(temp, sizeof temp, "%s.new", d->config);
	write_config(d, temp, yaml);
	assert_int_equal(rename(temp, d->config), 0);
}

void daemon_spawn(struct daemon *d, const char *yaml)
{
	daemon_spawn_as(d, geteuid(), yaml);
}

static void become(struct daemon *d, uid_t uid)
{
	if (uid == geteuid())
		return;
	if (chown(d->dir, uid, uid) || chown(d->config, uid, uid) || setgroups(0, NULL) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		_exit(126);
}

void give_to_daemon(const char *path)
{
	const char *user = getenv("WEIR_USER");
	struct weir__identity id;

	assert_int_equal(weir__privilege_identity(user ? user : "weir", &id), 0);
	assert_int_equal(chown(path, id.uid, id.gid), 0);
}

/* A test that fails leaves its daemon: it must not run on, at full speed perhaps. */
static pid_t spawned[256];
static size_t spawned_count;

static void kill_spawned(void)
{
	for (size_t i = 0; i < spawned_count; i++)
		if (waitpid(spawned[i], NULL, WNOHANG) == 0)
			kill(spawned[i], SIGKILL);
}

static void remember(pid_t pid)
{
	if (!spawned_count)
		atexit(kill_spawned);
	if (spawned_count < sizeof spawned / sizeof spawned[0])
		spawned[spawned_count++] = pid;
}

/* What a test does not ask for does not get in its way. */
static void lift_budgets(const struct daemon *d)
{
	static char text[65536];
	FILE *f = fopen(d->config, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	setenv("WEIR_BUDGET_CPU", "0", 1);
	setenv("WEIR_BUDGET_MEMORY", "0", 1);
	if (strstr(text, " flood:"))
		setenv("WEIR_PLUGINS_FLOOD_BUDGET_EVENTS", "0", 1);
}

static void run(struct daemon *d, uid_t uid)
{
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (d->pid)
		remember(d->pid);
	if (!d->pid) {
		become(d, uid);
		int log = open(d->log, O_CREAT | O_WRONLY | O_APPEND, 0600);
		int out = open(d->out, O_CREAT | O_WRONLY | O_APPEND, 0600);

		for (unsigned long cap = 0; cap < 64; cap++)
			if (fixture_without & 1ull << cap)
				prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (!fixture_budgets)
			lift_budgets(d);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, 1);
		dup2(log, 2);
		if (fixture_close_standard)
			close_range(0, 2, 0);
		execl(WEIR_BINARY, "weir", "run", "-c", d->config, (char *)NULL);
		_exit(127);
	}
}

void daemon_spawn_as(struct daemon *d, uid_t uid, const char *yaml)
{
	memset(d, 0, sizeof *d);
	snprintf(d->dir, sizeof d->dir, "/tmp/weir-test-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->socket, sizeof d->socket, "%s/control.sock", d->dir);
	snprintf(d->config, sizeof d->config, "%s/weir.yaml", d->dir);
	snprintf(d->log, sizeof d->log, "%s/log", d->dir);
	snprintf(d->out, sizeof d->out, "%s/out", d->dir);
	write_config(d, d->config, yaml);
	give_to_daemon(d->dir);
	run(d, uid);
}

static void fail_with_log(struct daemon *d, const char *what)
{
	char *log = daemon_log(d);

	print_error("%s\n%s\n", what, log);
	free(log);
	daemon_clean(d);
	fail();
}

static bool settled(const json_t *status, void *arg)
{
	(void)arg;
	return json_is_true(json_object_get(status, "ready"));
}

void daemon_start(struct daemon *d, const char *yaml)
{
	daemon_spawn(d, yaml);
	json_decref(wait_for(d, settled, NULL, "the daemon to be ready"));
}

void daemon_again(struct daemon *d)
{
	run(d, geteuid());
	json_decref(wait_for(d, settled, NULL, "the daemon to be ready again"));
}

json_t *daemon_ask(struct daemon *d, json_t *request)
{
	json_t *answer = NULL;
	char err[300];

	if (weir__control_call(d->socket, request, 15000, &answer, err, sizeof err))
		fail_with_log(d, err);
	json_decref(request);
	return answer;
}

json_t *daemon_call(struct daemon *d, json_t *request)
{
	json_t *answer = daemon_ask(d, request);

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_with_log(d, json_string_value(json_object_get(answer, "error")));
	return answer;
}

int daemon_wait(struct daemon *d)
{
	double until = now_s() + DEADLINE_S;
	int status;

	while (waitpid(d->pid, &status, WNOHANG) != d->pid) {
		if (now_s() > until)
			fail_with_log(d, "the daemon does not end");
		nap();
	}
	d->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int daemon_stop(struct daemon *d, int sig)
{
	assert_int_equal(kill(d->pid, sig), 0);
	return daemon_wait(d);
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20); /* tests are not that talkative */
	size_t n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;

	(void)n;
	if (f)
		fclose(f);
	return text;
}

char *daemon_log(struct daemon *d)
{
	return slurp(d->log);
}

char *daemon_out(struct daemon *d)
{
	return slurp(d->out);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void daemon_clean(struct daemon *d)
{
	if (d->pid > 0) {
		kill(d->pid, SIGKILL);
		waitpid(d->pid, NULL, 0);
		d->pid = 0;
	}
	nftw(d->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- reading a status ---------------------------------------------------------------- */

json_t *route_of(const json_t *status, const char *from, const char *to)
{
	json_t *routes = json_object_get(status, "routes"), *r;
	size_t i;

	json_array_foreach(routes, i, r)
		if (!strcmp(json_string_value(json_object_get(r, "from")), from) &&
		    !strcmp(json_string_value(json_object_get(r, "to")), to))
			return r;
	fail_msg("no route from %s to %s", from, to);
	return NULL;
}

json_t *plugin_of(const json_t *status, const char *name)
{
	json_t *plugins = json_object_get(status, "plugins"), *p;
	size_t i;

	json_array_foreach(plugins, i, p)
		if (!strcmp(json_string_value(json_object_get(p, "name")), name))
			return p;
	fail_msg("no plugin %s", name);
	return NULL;
}

long long num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

long long dropped(const json_t *route, const char *reason)
{
	json_t *all = json_object_get(route, "dropped"), *v;
	long long sum = 0;
	const char *key;

	json_object_foreach(all, key, v)
		if (!reason || !strcmp(reason, key))
			sum += json_integer_value(v);
	return sum;
}

void assert_all_balanced(const json_t *status)
{
	json_t *routes = json_object_get(status, "routes"), *r;
	size_t i;

	json_array_foreach(routes, i, r) {
		if (num(r, "unexplained"))
			print_error("%s\n", json_dumps(r, 0));
		assert_int_equal(num(r, "unexplained"), 0);
		assert_int_equal(num(r, "seen"), num(r, "delivered") + num(r, "queued") +
		                 num(r, "aggregated") + dropped(r, NULL));
	}
}

json_t *wait_for(struct daemon *d, bool (*cond)(const json_t *, void *), void *arg, const char *what)
{
	double until = now_s() + DEADLINE_S;
	char err[300], text[400];

	for (;;) {
		json_t *request = json_pack("{s:s}", "cmd", "status"), *status = NULL;

		if (!weir__control_call(d->socket, request, 5000, &status, err, sizeof err) &&
		    json_is_true(json_object_get(status, "ok")) && cond(status, arg)) {
			json_decref(request);
			return status;
		}
		json_decref(request);
		json_decref(status);
		if (now_s() > until || (d->pid && waitpid(d->pid, NULL, WNOHANG) == d->pid)) {
			snprintf(text, sizeof text, "waited in vain for %s", what);
			fail_with_log(d, text);
		}
		nap();
	}
}
