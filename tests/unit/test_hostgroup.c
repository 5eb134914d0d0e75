/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of plugin processes: the machine's own where this user may, and a tree of
 * plain files for what this machine has not.
 */
#include "hostgroup.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIP(name, why) do { print_message("SKIP: %s: %s\n", name, why); skip(); } while (0)

/* ---- the machine's own -------------------------------------------------------------- */

static struct weir__hostgroups *real(const char *name, uid_t uid)
{
	struct weir__hostgroups *g = NULL;
	char why[400];

	if (weir__hostgroups_new(uid, uid, &g, why, sizeof why))
		SKIP(name, why);
	return g;
}

static pid_t child_in(struct weir__hostgroup *h, int (*run)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(weir__hostgroup_enter(h, 0) ? 99 : run());
	return pid;
}

static int wait_for_end(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int burn(void)
{
	struct timespec ts;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	while (ts.tv_nsec < 50000000 && !ts.tv_sec);
	return 0;
}

/* As after an exec: nothing of the daemon's stays open but what is kept. */
static int kept = -1;

static int sleep_long(void)
{
	for (int fd = 3; fd < 1000; fd++)
		if (fd != kept)
			close(fd);
	if (kept >= 0 && write(kept, "x", 1) != 1)
		return 1;
	sleep(600);
	return 0;
}

/* Allocates and touches far more than its limit; killed by the kernel, not refused. */
static int swell(void)
{
	for (size_t i = 0; i < 256; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		memset(p, 1, 1 << 20);
	}
	return 0;
}

static int fork_many(void)
{
	for (int i = 0; i < 64; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return errno == EAGAIN ? 0 : 2;
		if (!pid)
			_exit(sleep_long());
	}
	return 1;
}

static bool exists(const char *plugin)
{
	static const char *const roots[] = { "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids", "/sys/fs/cgroup" };
	char path[300];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/weir.%d%s%s", roots[i], (int)getpid(), *plugin ? "/" : "", plugin);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

/* What a process in the group uses is counted, and nothing is left of the group. */
static void counts(void **state)
{
	const struct weir__hostgroup_limits none = { 0 };
	struct weir__hostgroups *g = real("counts", geteuid());
	struct weir__hostgroup_usage u;
	struct weir__hostgroup *h;
	long live;

	(void)state;
	live = weir__mem_live();
	assert_int_equal(weir__hostgroup_new(g, "../x", &none, &h), -EINVAL);
	assert_int_equal(weir__hostgroup_new(g, "", &none, &h), -EINVAL);
	assert_int_equal(weir__hostgroup_new(g, "one", &none, &h), 0);
	assert_int_equal(wait_for_end(child_in(h, burn)), 0);
	assert_int_equal(weir__hostgroup_usage(h, &u), 0);
	if (u.known & WEIR__GROUP_CPUACCT)
		assert_true(u.cpu_ns >= 25000000); /* it began before it was in */
	weir__hostgroup_free(h);
	assert_int_equal(weir__mem_live(), live);
	weir__hostgroups_free(g);
	assert_false(exists(""));
}

/* All that is in the group ends with it, children of children too. */
static void kills(void **state)
{
	const struct weir__hostgroup_limits limits = { .pids = 8 };
	struct weir__hostgroups *g = real("kills", geteuid());
	struct weir__hostgroup *h;
	pid_t pid;

	(void)state;
	if (!(weir__hostgroups_controllers(g) & WEIR__GROUP_PIDS)) {
		weir__hostgroups_free(g);
		SKIP("kills", "no pids controller");
	}
	assert_int_equal(weir__hostgroup_new(g, "many", &limits, &h), 0);
	/* the limit holds: EAGAIN after 7 more */
	assert_int_equal(wait_for_end(child_in(h, fork_many)), 0);
	pid = fork();
	if (!pid)
		_exit(sleep_long());
	assert_int_equal(weir__hostgroup_enter(h, pid), 0);
	weir__hostgroup_kill(h);
	assert_true(WIFSIGNALED(wait_for_end(pid)));
	weir__hostgroup_free(h);
	weir__hostgroups_free(g); /* waits for what the kernel still lets go of */
	assert_false(exists(""));
}

/* The memory limit is the kernel's: it ends the process, and says so. */
static void memory_is_bounded(void **state)
{
	const struct weir__hostgroup_limits limits = { .memory_bytes = 32 << 20 };
	struct weir__hostgroups *g = real("memory_is_bounded", geteuid());
	struct weir__hostgroup_usage u;
	struct weir__hostgroup *h;
	int status;

	(void)state;
	if (!(weir__hostgroups_controllers(g) & WEIR__GROUP_MEMORY)) {
		weir__hostgroups_free(g);
		SKIP("memory_is_bounded", "no memory controller");
	}
	assert_int_equal(weir__hostgroup_new(g, "fat", &limits, &h), 0);
	status = wait_for_end(child_in(h, swell));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(weir__hostgroup_usage(h, &u), 0);
	assert_true(u.oom_kills > 0);
	weir__hostgroup_free(h);
	weir__hostgroups_free(g);
}

/* The CPU limit, too: 200 ms of work at 20 % of a core are held back. */
static void cpu_is_bounded(void **state)
{
	struct weir__hostgroup_limits limits = { .cpu_percent = 20 };
	uint64_t began;
	struct weir__hostgroups *g = real("cpu_is_bounded", geteuid());
	struct weir__hostgroup_usage u;
	struct weir__hostgroup *h;

	(void)state;
	if (!(weir__hostgroups_controllers(g) & WEIR__GROUP_CPU)) {
		weir__hostgroups_free(g);
		SKIP("cpu_is_bounded", "no cpu controller");
	}
	assert_int_equal(weir__hostgroup_new(g, "busy", &limits, &h), 0);
	began = now_ns();
	assert_int_equal(wait_for_end(child_in(h, burn)), 0);
	assert_int_equal(weir__hostgroup_usage(h, &u), 0);
	/* on a busy machine it may not have come to its limit */
	assert_true(u.throttled_ns > 0 || now_ns() - began >= 4 * u.cpu_ns);
	limits.cpu_percent = 0;
	assert_int_equal(weir__hostgroup_limit(h, &limits), 0);
	weir__hostgroup_free(h);
	weir__hostgroups_free(g);
}

/* After the drop: groups that root made and gave away are the user's to run. */
static int as_user(void)
{
	const struct weir__hostgroup_limits limits = { .cpu_percent = 50, .memory_bytes = 64 << 20, .pids = 8 };
	struct weir__hostgroup_usage u;
	struct weir__hostgroups *g;
	struct weir__hostgroup *h;
	char why[400];
	int status = 0;
	pid_t pid;

	if (weir__hostgroups_new(61999, 61999, &g, why, sizeof why))
		return 77;
	if (setresgid(61999, 61999, 61999) || setresuid(61999, 61999, 61999))
		return 2;
	if (weir__hostgroup_new(g, "mine", &limits, &h))
		return 3;
	pid = fork();
	if (!pid)
		_exit(weir__hostgroup_enter(h, 0) ? 99 : burn());
	if (waitpid(pid, &status, 0) != pid || status) {
		print_error("in the group: status %x\n", (unsigned)status);
		return 4;
	}
	if (weir__hostgroup_usage(h, &u) || ((u.known & WEIR__GROUP_CPUACCT) && u.cpu_ns < 25000000))
		return 5;
	pid = fork();
	if (!pid)
		_exit(sleep_long());
	if (weir__hostgroup_enter(h, pid))
		return 6;
	weir__hostgroup_kill(h);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return 7;
	weir__hostgroup_free(h);
	weir__hostgroups_free(g); /* its own directory may stay: the parent's is not ours */
	return exists("mine") ? 8 : 0;
}

static void after_the_drop(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		SKIP("after_the_drop", "needs root");
	weir__hostgroups_free(real("after_the_drop", 0));
	pid = fork();
	if (!pid)
		_exit(as_user());
	status = wait_for_end(pid);
	if (WEXITSTATUS(status) == 77) /* v2: `as-user` tests it */
		SKIP("after_the_drop", "this test is not alone in its cgroup");
	weir__hostgroups_free(real("after_the_drop", 0)); /* sweeps what is left */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What a daemon that was killed left behind is gone after the next start, and the
 * process that was still in it, too. */
static void sweeps(void **state)
{
	const struct weir__hostgroup_limits none = { 0 };
	struct weir__hostgroups *g = real("sweeps", geteuid()), *next;
	struct weir__hostgroup *h;
	int ready[2], status;
	pid_t dead;
	char path[300], why[400], byte;

	(void)state;
	weir__hostgroups_free(g);
	assert_int_equal(pipe(ready), 0);
	kept = ready[1];
	/* the orphan becomes ours, so that this does not depend on when init reaps */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	dead = fork();
	if (!dead) {
		if (weir__hostgroups_new(geteuid(), getegid(), &g, why, sizeof why))
			_exit(77);
		if (weir__hostgroup_new(g, "left", &none, &h))
			_exit(1);
		child_in(h, sleep_long);
		_exit(0); /* as if killed: nothing is tidied */
	}
	status = wait_for_end(dead);
	if (WEXITSTATUS(status) == 77)
		SKIP("sweeps", "this test is not alone in its cgroup");
	assert_int_equal(status, 0);
	assert_int_equal(read(ready[0], &byte, 1), 1); /* the orphan is in */
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(weir__hostgroups_new(geteuid(), getegid(), &next, why, sizeof why), 0);
	signal(SIGCHLD, SIG_DFL);
	snprintf(path, sizeof path, "/sys/fs/cgroup/pids/weir.%d", (int)dead);
	assert_int_not_equal(access(path, F_OK), 0);
	/* its end closes the pipe's last writer */
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	kept = -1;
	weir__hostgroups_free(next);
}

/* ---- a tree of plain files -------------------------------------------------------------- */

static char tree[64];

static void put(const char *path, const char *text)
{
	char full[300];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", tree, path);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void dir(const char *path)
{
	char full[300];

	snprintf(full, sizeof full, "%s/%s", tree, path);
	assert_int_equal(mkdir(full, 0755), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int make_tree(void **state)
{
	(void)state;
	snprintf(tree, sizeof tree, "/tmp/weir group XXXXXX");
	return mkdtemp(tree) ? 0 : -1;
}

static int remove_tree(void **state)
{
	(void)state;
	return nftw(tree, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int new_in(const char *cgroup, const char *mounts, struct weir__hostgroups **ret, char *why)
{
	char text[2000], escaped[200] = "", *to = escaped;
	struct weir__hostgroup_view view = { cgroup, text };

	for (const char *s = tree; *s; s++)
		to += sprintf(to, *s == ' ' ? "\\040" : "%c", *s);
	snprintf(text, sizeof text, mounts, escaped, escaped, escaped, escaped);
	return weir__hostgroups_new_in(&view, geteuid(), getegid(), ret, why, 400);
}

static const char v2_mount[] = "30 20 0:26 / %s rw,nosuid - cgroup2 cgroup2 rw\n";

/* v2: alone in the group it moves to a leaf and enables what is there. */
static void v2_alone(void **state)
{
	struct weir__hostgroups *g;
	char why[400], path[300], text[64] = "";
	FILE *f;

	(void)state;
	dir("unit");
	put("unit/cgroup.controllers", "cpuset cpu io memory pids\n");
	put("unit/cgroup.type", "domain\n");
	put("unit/cgroup.subtree_control", "");
	snprintf(text, sizeof text, "%d\n", (int)getpid());
	put("unit/cgroup.procs", text);
	dir("unit/main");
	put("unit/main/cgroup.procs", "");
	assert_int_equal(new_in("0::/unit\n", v2_mount, &g, why), 0);
	assert_int_equal(weir__hostgroups_controllers(g), 15);
	snprintf(path, sizeof path, "%s/unit/main/cgroup.procs", tree);
	f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof text, f));
	fclose(f);
	assert_string_equal(text, "0");
	weir__hostgroups_free(g);
}

/* v2: with others in the group nothing is moved, and the reason says what to do. */
static void v2_with_others(void **state)
{
	struct weir__hostgroups *g;
	char why[400], path[300], text[64];

	(void)state;
	dir("unit");
	put("unit/cgroup.controllers", "cpu memory pids\n");
	put("unit/cgroup.type", "domain\n");
	snprintf(text, sizeof text, "1\n%d\n", (int)getpid());
	put("unit/cgroup.procs", text);
	assert_int_equal(new_in("0::/unit\n", v2_mount, &g, why), -EBUSY);
	assert_non_null(strstr(why, "Delegate=yes"));
	snprintf(path, sizeof path, "%s/unit/main", tree);
	assert_int_not_equal(access(path, F_OK), 0);
}

/* v1, controllers together and apart, in a container whose mount begins inside; v2
 * beside it has nothing for us. */
static void v1_in_container(void **state)
{
	struct weir__hostgroups *g;
	char why[400];

	(void)state;
	dir("cpu");
	dir("cpu/sub");
	dir("memory");
	dir("v2");
	put("v2/cgroup.controllers", "hugetlb\n");
	assert_int_equal(new_in("5:cpu,cpuacct:/docker/ab/sub\n4:memory:/docker/ab\n3:pids:/elsewhere\n"
	                        "2:devices:/x\n1:name=systemd:/\n0::/\n",
	                        "1 0 0:1 /docker/ab %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
	                        "2 0 0:2 /docker/ab %s/memory rw shared:1 - cgroup cgroup rw,memory\n"
	                        "3 0 0:3 /docker/ab %s/pids rw - cgroup cgroup rw,pids\n"
	                        "4 0 0:4 / %s/v2 rw - cgroup2 cgroup2 rw\n", &g, why), 0);
	assert_int_equal(weir__hostgroups_controllers(g),
	                 WEIR__GROUP_CPU | WEIR__GROUP_CPUACCT | WEIR__GROUP_MEMORY);
	weir__hostgroups_free(g);
}

/* Nothing mounted, nonsense, no memory: an error and its reason, nothing else. */
static void nothing_there(void **state)
{
	struct weir__hostgroups *g;
	char why[400];
	long live = weir__mem_live();

	(void)state;
	assert_int_equal(new_in("0::/unit\n", "", &g, why), -ENOENT);
	assert_true(*why);
	assert_int_equal(new_in("0::/unit\n", v2_mount, &g, why), -ENOENT);
	assert_int_equal(new_in("0::/../../up\n", v2_mount, &g, why), -ENOENT);
	assert_int_equal(new_in(":::\n\n4\nmemory:/x\n0:", "x - \n - cgroup2\n1 2 3\n", &g, why), -ENOENT);
	weir__mem_fail_at(0);
	assert_int_equal(new_in("0::/unit\n", v2_mount, &g, why), -ENOMEM);
	weir__mem_fail_at(-1);
	assert_int_equal(weir__mem_live(), live);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts), cmocka_unit_test(kills), cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(cpu_is_bounded), cmocka_unit_test(after_the_drop), cmocka_unit_test(sweeps),
		cmocka_unit_test_setup_teardown(v2_alone, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(v2_with_others, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(v1_in_container, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(nothing_there, make_tree, remove_tree),
	};

	/* For cgroups v2, in a group of its own: see tests/kernels/init. */
	if (argc > 1 && !strcmp(argv[1], "as-user"))
		return as_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
