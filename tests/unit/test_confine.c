/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds a plugin's process in: this program becomes such a process, and says
 * what it finds (`--report`) or tries what it may not.
 */
#include "confine.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/plugin.h>

#include <cmocka.h>

#define CAPS (WEIR_CAP_BPF | WEIR_CAP_PERFMON)

/* ---- between fork and exec --------------------------------------------------------- */

/* In the child after exec: one line each for the test to compare. */
static int report(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	struct rlimit l;
	sigset_t mask;
	int sig;

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "Cap", 3) || !strncmp(line, "Uid:", 4) || !strncmp(line, "Groups:", 7) || !strncmp(line, "NoNewPrivs", 10))
			fputs(line, stdout);
	if (f)
		fclose(f);
	prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0);
	printf("deathsig %d session %d umask %o", sig, getsid(0) == getpid() && getpgrp() == getpid(),
	       (unsigned)umask(0));
	sigprocmask(SIG_SETMASK, NULL, &mask);
	printf(" blocked %d pipe-ignored %d\n", sigismember(&mask, SIGTERM),
	       signal(SIGPIPE, SIG_DFL) == SIG_IGN);
	getrlimit(RLIMIT_CORE, &l);
	printf("core %llu", (unsigned long long)l.rlim_max);
	getrlimit(RLIMIT_NOFILE, &l);
	printf(" files %llu", (unsigned long long)l.rlim_max);
	getrlimit(RLIMIT_STACK, &l);
	printf(" stack %llu", (unsigned long long)l.rlim_cur);
	getrlimit(RLIMIT_DATA, &l);
	printf(" data %d", l.rlim_cur != RLIM_INFINITY);
	getrlimit(RLIMIT_AS, &l);
	printf(" space %d\nfds", l.rlim_cur != RLIM_INFINITY);
	for (int fd = 3; fd < 300; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
	return 0;
}

/* Confined, this program's --report, or the status it ended with. */
static int run_confined(struct weir__confine *c, char *out, size_t size)
{
	int p[2], status;
	size_t at = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	if (!c->parent)
		c->parent = getpid();
	pid = fork();
	if (!pid) {
		dup2(p[1], 1);
		if (weir__confine_exec(c))
			_exit(98);
		execl("/proc/self/exe", "unit-confine", "--report", (char *)NULL);
		_exit(97);
	}
	close(p[1]);
	while ((n = read(p[0], out + at, size - 1 - at)) > 0)
		at += (size_t)n;
	out[at] = 0;
	close(p[0]);
	waitpid(pid, &status, 0);
	return status;
}

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 16);
}

/* The child has exactly what was asked for: rights, limits, descriptors, signals. */
static void exactly(void **state)
{
	struct weir__confine c = { .needs = CAPS, .memory_bytes = 64 << 20, .open_files = 128 };
	uint64_t want = geteuid() ? 0 : CAPS;
	int keep[2], kept0, kept1, stray0, stray1 = -1;
	char text[4096], line[64];
	sigset_t block;

	(void)state;
	/* one below and one far above the new limit, among others that must not stay */
	assert_true((kept0 = fcntl(0, F_DUPFD_CLOEXEC, 10)) >= 10);
	assert_true((kept1 = fcntl(0, F_DUPFD_CLOEXEC, 200)) >= 200);
	assert_true((stray0 = fcntl(0, F_DUPFD, 11)) > 0 && (stray1 = fcntl(0, F_DUPFD, 250)) > 0);
	keep[0] = kept0, keep[1] = kept1;
	c.keep = keep;
	c.keep_count = 2;
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run_confined(&c, text, sizeof text), 0);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	if (!geteuid()) {
		assert_int_equal(field(text, "CapPrm:"), want);
		assert_int_equal(field(text, "CapEff:"), want);
		assert_int_equal(field(text, "CapAmb:"), want);
		assert_int_equal(field(text, "CapBnd:"), want);
	}
	assert_int_equal(field(text, "NoNewPrivs:"), 1);
	assert_non_null(strstr(text, "deathsig 9 session 1 umask 77 blocked 0 pipe-ignored 0\n"));
	if (WEIR__SANITIZED)
		assert_non_null(strstr(text, "core 0 files 128"));
	else
		assert_non_null(strstr(text, "core 0 files 128 stack 262144 data 1 space 1\n"));
	snprintf(line, sizeof line, "fds %d %d\n", kept0, kept1);
	assert_non_null(strstr(text, line));
	close(kept0);
	close(kept1);
	close(stray0);
	close(stray1);
}

/* A plugin that declares nothing gets nothing; no limit on memory is none. */
static void nothing(void **state)
{
	struct weir__confine c = { 0 };
	char text[4096];

	(void)state;
	assert_int_equal(run_confined(&c, text, sizeof text), 0);
	assert_int_equal(field(text, "CapPrm:"), 0);
	assert_int_equal(field(text, "CapAmb:"), 0);
	assert_non_null(strstr(text, "\nfds\n"));
	if (!WEIR__SANITIZED)
		assert_non_null(strstr(text, "data 0 space 0"));
}

/* Before the daemon's own drop root starts children as its user to be. */
static void another_user(void **state)
{
	struct weir__confine c = { .needs = CAPS, .uid = 61999, .gid = 61998 };
	char text[4096];

	(void)state;
	if (geteuid()) {
		print_message("SKIP: another_user: needs root\n");
		skip();
	}
	assert_int_equal(run_confined(&c, text, sizeof text), 0);
	assert_non_null(strstr(text, "Uid:\t61999\t61999\t61999\t61999\n"));
	assert_non_null(strstr(text, "Groups:\t \n"));
	assert_int_equal(field(text, "CapPrm:"), CAPS);
	assert_int_equal(field(text, "CapAmb:"), CAPS);
	assert_int_equal(field(text, "CapBnd:"), CAPS);
	assert_non_null(strstr(text, "deathsig 9"));
}

/* A parent that is gone already, and descriptors out of order, are errors. */
static void refused(void **state)
{
	struct weir__confine c = { .parent = 1 };
	int wrong[2] = { 20, 10 };
	char text[4096];

	(void)state;
	if (getppid() == 1)
		c.parent = 2;
	assert_int_equal(WEXITSTATUS(run_confined(&c, text, sizeof text)), 98);
	c.parent = 0;
	c.keep = wrong;
	c.keep_count = 2;
	assert_int_equal(WEXITSTATUS(run_confined(&c, text, sizeof text)), 98);
}

/* The daemon's end, however it comes, is the child's. */
static void dies_with_parent(void **state)
{
	int p[2], status;
	pid_t daemon, child;
	char byte;

	(void)state;
	assert_int_equal(pipe(p), 0);
	daemon = fork();
	if (!daemon) {
		struct weir__confine c = { .parent = getpid(), .keep = &p[1], .keep_count = 1 };

		child = fork();
		if (!child) {
			if (weir__confine_exec(&c) || write(p[1], "x", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 1); /* it is confined */
	kill(daemon, SIGKILL);
	waitpid(daemon, &status, 0);
	assert_int_equal(read(p[0], &byte, 1), 0); /* nobody holds the other end any more */
	close(p[0]);
}

/* ---- the filter ---------------------------------------------------------------------- */

/* Sealed with `needs`, runs fn: its status, as waitpid says it. */
static int sealed(uint64_t needs, int (*fn)(void))
{
	int status, rc;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		rc = weir__confine_seal(needs, false);
		if (rc)
			_exit(rc == -EOPNOTSUPP ? 77 : 96);
		_exit(fn());
	}
	waitpid(pid, &status, 0);
	return status;
}

#define DENIED(call) do { errno = 0; if ((call) != -1 || errno != EPERM) return __LINE__ % 90 + 1; } while (0)
#define WORKS(call)  do { if ((call) < 0) return __LINE__ % 90 + 1; } while (0)

static void *nothing_to_do(void *arg)
{
	return arg;
}

static int ordinary_work(void)
{
	pthread_t t;
	void *r;
	char *p = malloc(1 << 20);
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), s;

	if (!p || pthread_create(&t, NULL, nothing_to_do, p) || pthread_join(t, &r) || r != p)
		return 1;
	free(p);
	/* a plugin is loaded under the filter; not every system has this one */
	if (!dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL) && !strstr(dlerror(), "No such file"))
		return 2;
	WORKS(fd);
	WORKS(s = socket(AF_UNIX, SOCK_STREAM, 0));
	close(s);
	WORKS(s = socket(AF_INET, SOCK_STREAM, 0));
	close(s);
	WORKS(prctl(PR_SET_NAME, "x", 0, 0, 0));
	WORKS(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	WORKS(kill(getpid(), 0));
	return 0;
}

static int what_is_denied(void)
{
	DENIED(fork());
	DENIED(execl("/bin/true", "true", (char *)NULL));
	DENIED(kill(getppid(), 0));
	DENIED(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
	DENIED(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
	DENIED(socket(AF_PACKET, SOCK_RAW, 0));
	DENIED(socket(AF_ALG, SOCK_SEQPACKET, 0));
	DENIED(socket(AF_VSOCK, SOCK_STREAM, 0));
	DENIED(setsid());
	DENIED((int)syscall(SYS_pidfd_open, getppid(), 0));
	DENIED((int)syscall(SYS_io_uring_setup, 1, NULL));
	DENIED((int)syscall(SYS_fsopen, "tracefs", 0)); /* the core tries it: no reason to die */
	return 0;
}

/* Everything a host does goes on; leaving, and reaching others, does not. */
static void work_and_denials(void **state)
{
	int status = sealed(0, ordinary_work);

	(void)state;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("SKIP: work_and_denials: this kernel filters no system calls\n");
		skip();
	}
	assert_int_equal(status, 0);
	if (WEIR__SANITIZED)
		return; /* its leak check forks */
	status = sealed(0, what_is_denied);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int run_bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY };

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) < 0 && errno == EINVAL ? 0 : 1;
}

static int run_perf(void)
{
	struct perf_event_attr attr = { .size = sizeof attr, .type = 0xffff };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) < 0 ? 0 : 1;
}

static int run_packet(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	return fd >= 0 || errno != EPERM || geteuid() ? 0 : 1;
}

static bool killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* bpf(2), perf events and packets are for those that declare the right. */
static void declared(void **state)
{
	(void)state;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		skip();
	assert_true(killed(sealed(0, run_bpf)));
	assert_true(killed(sealed(WEIR_CAP_PERFMON, run_bpf)));
	assert_true(killed(sealed(WEIR_CAP_BPF, run_perf)));
	if (!geteuid())
		assert_int_equal(sealed(WEIR_CAP_BPF, run_bpf), 0);
	assert_int_equal(sealed(WEIR_CAP_PERFMON, run_perf), 0);
	assert_int_equal(sealed(WEIR_CAP_NET_RAW, run_packet), 0);
}

static const char *called;

static int call_it(void)
{
	long nr = -1;

	/* the kernel looks at the filter before the arguments */
#define TRY(name) if (!strcmp(called, #name)) nr = SYS_##name;
	TRY(mount) TRY(umount2) TRY(pivot_root) TRY(chroot) TRY(unshare) TRY(setns) TRY(open_by_handle_at)
	TRY(init_module) TRY(finit_module) TRY(delete_module) TRY(kexec_load) TRY(reboot) TRY(swapon)
	TRY(swapoff) TRY(sethostname) TRY(setdomainname) TRY(settimeofday) TRY(clock_settime) TRY(acct)
	TRY(quotactl) TRY(ptrace) TRY(process_vm_readv) TRY(process_vm_writev) TRY(userfaultfd) TRY(add_key)
	TRY(request_key) TRY(keyctl) TRY(setuid) TRY(setgid) TRY(setreuid) TRY(setregid) TRY(setresuid)
	TRY(setresgid) TRY(setfsuid) TRY(setfsgid) TRY(setgroups) TRY(move_mount) TRY(open_tree)
#undef TRY
	if (nr < 0)
		return 42;
	return (int)syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L) != 0;
}

/* Whatever stands in the table as killing does kill. */
static void killers(void **state)
{
	const struct weir__confine_row *rows;
	size_t n, tried = 0;

	(void)state;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		skip();
	rows = weir__confine_table(&n);
	for (size_t i = 0; i < n; i++) {
		int status;

		if (rows[i].fate != WEIR__CONFINE_KILL)
			continue;
		if (WEIR__SANITIZED && !strcmp(rows[i].name, "process_vm_readv"))
			continue;
		called = rows[i].name;
		status = sealed(~0ull, call_it);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 42)
			continue;
		if (!killed(status))
			fail_msg("%s: status %x", rows[i].name, (unsigned)status);
		tried++;
	}
	assert_true(tried >= 35);
}

/* Each row once, each with its reason. */
static void table_is_a_set(void **state)
{
	const struct weir__confine_row *rows;
	size_t n;

	(void)state;
	rows = weir__confine_table(&n);
	for (size_t i = 0; i < n; i++) {
		assert_true(rows[i].why && *rows[i].why);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows[i].name, rows[j].name);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly), cmocka_unit_test(nothing), cmocka_unit_test(another_user),
		cmocka_unit_test(refused),
		cmocka_unit_test(dies_with_parent), cmocka_unit_test(work_and_denials),
		cmocka_unit_test(declared), cmocka_unit_test(killers), cmocka_unit_test(table_is_a_set),
	};

	if (argc > 1 && !strcmp(argv[1], "--report"))
		return report();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
