/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explaining a crash: see fatal.h. The line is put together by hand in a buffer on
 * the alternate stack, since nothing of stdio may be used there.
 */
#include "fatal.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The handler itself needs some 2 KiB; the rest is what the kernel saves of the CPU's
 * state, which it tells (AT_MINSIGSTKSZ, 11 KiB with AMX). */
#define STACK_BYTES 32768
/* Plugins whose crashes are remembered: as many as may be loaded, and more. */
#define MAX_NOTES 64
/* A note's count beyond this says nothing more. */
#define MAX_CRASHES 1000

static const struct {
	int number;
	const char *name;
} signals[] = {
	{ SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" }, { SIGILL, "SIGILL" },
	{ SIGFPE, "SIGFPE" }, { SIGABRT, "SIGABRT" },
};
#define SIGNALS (sizeof signals / sizeof signals[0])

static struct sigaction before[SIGNALS];
static int dir_fd = -1;
static _Thread_local struct weir__fatal_who *current;

static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct note {
	char plugin[64];
	char how[128];
	_Atomic unsigned crashes;
} notes[MAX_NOTES];
static size_t note_count;

/* ---- in the handler: async-signal-safe only ------------------------------------------- */

struct line {
	char text[1024];
	size_t len;
};

static void put(struct line *l, const char *s)
{
	while (*s && l->len < sizeof l->text - 1)
		l->text[l->len++] = *s++;
}

/* At least `width` digits. */
static void put_number(struct line *l, uint64_t n, int width)
{
	char digits[24] = "", *at = digits + sizeof digits - 1;

	for (; n || width > 0; n /= 10, width--)
		*--at = (char)('0' + n % 10);
	put(l, at);
}

/* What is no letter, digit or -_. would need quotes. */
static void put_name(struct line *l, const char *s)
{
	for (; *s && l->len < sizeof l->text - 1; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || *s == '-' || *s == '_' || *s == '.';

		l->text[l->len++] = plain ? *s : '_';
	}
}

/* 2026-01-31T23:59:59.123Z; gmtime_r may take a lock. Days to a date by counting eras
 * of 400 years that begin in March, so that a leap day is the last of its year. */
static void put_time(struct line *l)
{
	struct timespec ts = { 0, 0 };
	uint64_t days, era_day, year, year_day, month, s;

	clock_gettime(CLOCK_REALTIME, &ts);
	s = (uint64_t)ts.tv_sec;
	days = s / 86400 + 719468;
	era_day = days % 146097;
	year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
	year_day = era_day - (365 * year + year / 4 - year / 100);
	month = (5 * year_day + 2) / 153; /* from March */
	put_number(l, year + days / 146097 * 400 + (month >= 10), 4);
	put(l, "-");
	put_number(l, month < 10 ? month + 3 : month - 9, 2);
	put(l, "-");
	put_number(l, year_day - (153 * month + 2) / 5 + 1, 2);
	put(l, "T");
	put_number(l, s / 3600 % 24, 2);
	put(l, ":");
	put_number(l, s / 60 % 60, 2);
	put(l, ":");
	put_number(l, s % 60, 2);
	put(l, ".");
	put_number(l, (uint64_t)ts.tv_nsec / 1000000, 3);
	put(l, "Z");
}

static void write_out(int fd, const struct line *l)
{
	size_t at = 0;

	while (at < l->len) {
		ssize_t n = write(fd, l->text + at, l->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

static void write_line(const char *signal, const struct weir__fatal_who *who, const char *callback)
{
	bool json = weir__log_format() == WEIR__LOG_JSON;
	struct line l = { .len = 0 };

	put(&l, json ? "{\"time\":\"" : "time=");
	put_time(&l);
	put(&l, json ? "\",\"level\":\"error\"" : " level=error");
	if (who) {
		put(&l, json ? ",\"plugin\":\"" : " plugin=");
		put_name(&l, who->plugin);
		put(&l, json ? "\"" : "");
	}
	put(&l, json ? ",\"msg\":\"" : " msg=\"");
	put(&l, signal);
	if (callback) {
		put(&l, " in callback ");
		put_name(&l, callback);
		put(&l, " of this plugin: the daemon ends with it. isolation: process keeps a crash to "
		    "the plugin");
		put(&l, dir_fd >= 0 ? "; at the next start it begins with its breaker open" : "");
	} else if (who) {
		put(&l, " on the plugin's thread, in no callback of its: the daemon ends");
	} else {
		put(&l, " in the daemon itself: it ends");
	}
	put(&l, json ? "\"}\n" : "\"\n");
	write_out(weir__log_fd(), &l);
}

static void leave_note(const char *signal, const struct weir__fatal_who *who, const char *callback)
{
	struct line l = { .len = 0 };
	int fd;

	if (dir_fd < 0)
		return;
	fd = openat(dir_fd, who->note, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	put_number(&l, (who->crashes ? atomic_load(who->crashes) : 0) + 1, 1);
	put(&l, " ");
	put(&l, signal);
	put(&l, " in ");
	put_name(&l, callback);
	put(&l, "\n");
	write_out(fd, &l);
	close(fd);
}

static void on_fatal(int sig, siginfo_t *info, void *context)
{
	static atomic_flag taken = ATOMIC_FLAG_INIT;
	const struct weir__fatal_who *who = current;
	const char *callback = who && atomic_load(&who->doing->busy_ns)
		? weir__callback_name(atomic_load(&who->doing->callback)) : NULL;
	size_t i = 0;

	(void)context;
	while (signals[i].number != sig)
		i++;
	while (atomic_flag_test_and_set(&taken))
		pause(); /* another thread came first, and ends us all */
	if (info->si_code == SI_USER) {
		who = NULL; /* somebody's wish, and whose thread got it is chance */
		callback = NULL;
	}
	write_line(signals[i].name, who, callback);
	if (callback)
		leave_note(signals[i].name, who, callback);
	/* A fault comes again when we return, with the thread as it was: that is what a
	 * core dump should show. What was sent has to be sent again. */
	sigaction(sig, &before[i], NULL);
	if (info->si_code <= 0)
		raise(sig);
}

/* ---- outside of it ------------------------------------------------------------------------ */

void weir__fatal_setup(const char *state_dir)
{
	struct sigaction sa = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (*state_dir && dir_fd < 0)
		dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sigfillset(&sa.sa_mask);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i].number, &sa, &before[i]);
}

static void unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(&set, signals[i].number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void note_name(const char *plugin, char *buf, size_t size)
{
	struct line l = { .len = 0 };

	put_name(&l, plugin);
	snprintf(buf, size, "crashed-%.80s", l.text);
}

static struct note *find_note(const char *plugin)
{
	for (size_t i = 0; i < note_count; i++)
		if (!strcmp(notes[i].plugin, plugin))
			return &notes[i];
	return NULL;
}

void weir__fatal_enter(struct weir__fatal_who *who)
{
	stack_t now, ss = { .ss_size = STACK_BYTES + getauxval(AT_MINSIGSTKSZ) };
	struct note *n;

	note_name(who->plugin, who->note, sizeof who->note);
	pthread_mutex_lock(&notes_lock);
	n = find_note(who->plugin);
	who->crashes = n ? &n->crashes : NULL;
	pthread_mutex_unlock(&notes_lock);
	/* A sanitizer may have given the thread one already. */
	if (!sigaltstack(NULL, &now) && (now.ss_flags & SS_DISABLE)) {
		ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE,
		                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		if (ss.ss_sp != MAP_FAILED && !sigaltstack(&ss, NULL)) {
			who->stack = ss.ss_sp;
			who->stack_bytes = ss.ss_size;
		} else if (ss.ss_sp != MAP_FAILED) {
			munmap(ss.ss_sp, ss.ss_size);
		}
	}
	current = who;
	unblock();
}

void weir__fatal_leave(struct weir__fatal_who *who)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	current = NULL;
	if (!who->stack)
		return;
	sigaltstack(&off, NULL);
	munmap(who->stack, who->stack_bytes);
	who->stack = NULL;
}

/* Count and text of a note, which anybody who may write there may have written. */
static unsigned read_note(const char *file, char *how, size_t size)
{
	int fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[128] = "", *rest;
	unsigned long n;
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	n = strtoul(text, &rest, 10);
	rest += *rest == ' ';
	rest[strcspn(rest, "\n")] = 0;
	snprintf(how, size, "%s", rest);
	return n < 1 ? 1 : n > MAX_CRASHES ? MAX_CRASHES : (unsigned)n;
}

unsigned weir__fatal_recall(const char *plugin)
{
	char file[96], how[128] = "";
	unsigned crashes;
	struct note *n;

	if (dir_fd < 0)
		return 0;
	note_name(plugin, file, sizeof file);
	crashes = read_note(file, how, sizeof how);
	if (!crashes)
		return 0;
	unlinkat(dir_fd, file, 0);
	pthread_mutex_lock(&notes_lock);
	n = find_note(plugin);
	if (!n && note_count < MAX_NOTES) {
		n = &notes[note_count++];
		snprintf(n->plugin, sizeof n->plugin, "%s", plugin);
	}
	if (n) {
		snprintf(n->how, sizeof n->how, "%s", how);
		atomic_store(&n->crashes, crashes);
	}
	pthread_mutex_unlock(&notes_lock);
	return crashes;
}

const char *weir__fatal_how(const char *plugin)
{
	struct note *n = find_note(plugin);

	return n ? n->how : "";
}

void weir__fatal_forgive(const char *plugin)
{
	struct note *n;

	pthread_mutex_lock(&notes_lock);
	n = find_note(plugin);
	if (n)
		atomic_store(&n->crashes, 0);
	pthread_mutex_unlock(&notes_lock);
}
