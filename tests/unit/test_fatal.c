/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash leaves behind: a line that reads as any other of the log, a note, and
 * the end that the signal would have brought anyway. Each crash is in a child.
 */
#include "fatal.h"
#include "log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], log_file[96], note[96];

static struct weir__doing doing = { .callback = WEIR__IN_TICK };

enum how { SEGV, FPE, ABORT, OVERFLOW, KILLED };

static volatile bool endless = true;

static __attribute__((noinline)) int recurse(volatile char *above)
{
	volatile char here[4096];

	here[0] = above ? above[0] : 0;
	return endless ? recurse(here) + here[0] : 0;
}

static void die(enum how how)
{
	int *volatile nothing = (int *)8;

	switch (how) {
	case SEGV:
		*nothing = 1;
		break;
	case FPE:
		raise(SIGFPE);
		break;
	case ABORT:
		abort();
	case OVERFLOW:
		recurse(NULL);
		break;
	case KILLED:
		kill(getpid(), SIGSEGV);
		for (;;)
			pause();
	}
}

static void *thread_main(void *arg)
{
	struct weir__fatal_who who = { .plugin = "fragile", .doing = &doing };
	sigset_t all;

	sigfillset(&all); /* as a host's thread */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	weir__fatal_enter(&who);
	die(*(enum how *)arg);
	return NULL;
}

static char *slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
	return buf;
}

/* A process in which a plugin's thread dies so; its log is returned. */
static char *crash(enum how how, int number, bool busy, int format, char *buf, size_t size)
{
	struct weir__log_config cfg = { .level = WEIR_INFO, .format = format, .file = log_file };
	pid_t pid;
	int status;

	unlink(log_file);
	pid = fork();
	if (!pid) {
		pthread_t t;

		signal(number, SIG_DFL); /* cmocka and sanitizers have handlers of their own */
		weir__log_setup(&cfg);
		doing.busy_ns = busy;
		weir__fatal_setup(dir);
		weir__fatal_recall("fragile");
		pthread_create(&t, NULL, thread_main, &how);
		pthread_join(t, NULL);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
	return slurp(log_file, buf, size);
}

/* Each signal is named, with plugin and callback; the note counts crashes in a row. */
static void named(void **state)
{
	static const struct { enum how how; int signal; const char *name; } all[] = {
		{ SEGV, SIGSEGV, "SIGSEGV" }, { FPE, SIGFPE, "SIGFPE" }, { ABORT, SIGABRT, "SIGABRT" },
		{ OVERFLOW, SIGSEGV, "SIGSEGV" },
	};
	char text[2048], want[64];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		crash(all[i].how, all[i].signal, true, WEIR__LOG_LOGFMT, text, sizeof text);
		snprintf(want, sizeof want, "%s in callback tick of this plugin", all[i].name);
		assert_non_null(strstr(text, want));
		assert_non_null(strstr(text, "plugin=fragile"));
		snprintf(want, sizeof want, "%zu %s in tick\n", i + 1, all[i].name);
		assert_string_equal(slurp(note, text, sizeof text), want);
	}
}

/* The note is read once; what it says is known from then on, until it is forgiven. */
static void recalled(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	weir__fatal_setup(dir);
	fd = open(note, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, "3 SIGBUS in deliver\n", 20), 20);
	close(fd);
	assert_int_equal(weir__fatal_recall("fragile"), 3);
	assert_string_equal(weir__fatal_how("fragile"), "SIGBUS in deliver");
	assert_int_equal(stat(note, &st), -1);
	assert_int_equal(weir__fatal_recall("fragile"), 0);
	assert_string_equal(weir__fatal_how("robust"), "");
	weir__fatal_forgive("fragile");
	weir__fatal_forgive("robust");
	/* Rubbish counts as one crash. */
	fd = open(note, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	close(fd);
	assert_int_equal(weir__fatal_recall("fragile"), 1);
	assert_string_equal(weir__fatal_how("fragile"), "");
	/* A link is not followed. */
	assert_int_equal(symlink("/etc/passwd", note), 0);
	assert_int_equal(weir__fatal_recall("fragile"), 0);
	unlink(note);
}

/* Outside of a callback, or killed by somebody, the plugin is not to blame. */
static void not_to_blame(void **state)
{
	char text[2048];
	struct stat st;

	(void)state;
	unlink(note);
	crash(SEGV, SIGSEGV, false, WEIR__LOG_LOGFMT, text, sizeof text);
	assert_non_null(strstr(text, "in no callback"));
	assert_int_equal(stat(note, &st), -1);
	crash(KILLED, SIGSEGV, true, WEIR__LOG_LOGFMT, text, sizeof text);
	assert_non_null(strstr(text, "SIGSEGV in the daemon itself"));
	assert_null(strstr(text, "fragile"));
	assert_int_equal(stat(note, &st), -1);
}

/* In JSON it is an object like the others, and its time is now. */
static void json_line(void **state)
{
	char text[2048];
	struct tm tm = { 0 };
	json_t *j;

	(void)state;
	crash(SEGV, SIGSEGV, true, WEIR__LOG_JSON, text, sizeof text);
	j = json_loads(text, 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "plugin")), "fragile");
	assert_string_equal(json_string_value(json_object_get(j, "level")), "error");
	assert_non_null(strptime(json_string_value(json_object_get(j, "time")), "%Y-%m-%dT%H:%M:%S", &tm));
	assert_in_range(timegm(&tm), time(NULL) - 60, time(NULL) + 1); /* its clock is the coarser */
	json_decref(j);
	unlink(note);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/weir-fatal-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(log_file, sizeof log_file, "%s/log", dir);
	snprintf(note, sizeof note, "%s/crashed-fragile", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(log_file);
	unlink(note);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named), cmocka_unit_test(recalled), cmocka_unit_test(not_to_blame),
		cmocka_unit_test(json_line),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
