/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a daemon from outside. See procs.h. */
#include "procs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
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

double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void nap_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- processes ------------------------------------------------------------------------ */

/* Field `n` (from 3) of /proc/PID/stat, and the state; 0 if it has gone. */
static unsigned long long stat_field(pid_t pid, int n, char *ret_state)
{
	char path[64], line[1024], *at;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	at = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
	if (f)
		fclose(f);
	if (!at)
		return 0;
	at += 2; /* the name may hold anything, so count from its end */
	if (ret_state)
		*ret_state = *at;
	for (; n > 3 && at; n--) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

static void add_children(pid_t pid, struct procs *ret)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	assert_non_null(d);
	while ((e = readdir(d))) {
		pid_t child = atoi(e->d_name);

		if (child <= 0 || (pid_t)stat_field(child, 4, NULL) != pid)
			continue;
		assert_true(ret->count < PROCS_MAX);
		ret->pids[ret->count++] = child;
	}
	closedir(d);
}

void procs_below(pid_t pid, struct procs *ret)
{
	ret->count = 0;
	add_children(pid, ret);
	for (size_t i = 0; i < ret->count; i++)
		add_children(ret->pids[i], ret);
}

void procs_adopt(void)
{
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
}

bool procs_gone(const struct procs *p, double seconds, pid_t *ret_pid)
{
	double until = now_s() + seconds;

	for (;;) {
		pid_t alive = 0;

		for (size_t i = 0; i < p->count; i++) {
			waitpid(p->pids[i], NULL, WNOHANG); /* ECHILD: not ours */
			if (kill(p->pids[i], 0) == 0)
				alive = p->pids[i];
		}
		if (!alive)
			return true;
		if (now_s() > until) {
			*ret_pid = alive;
			return false;
		}
		nap_ms(2);
	}
}

void assert_ends_well(struct daemon *d)
{
	int rc = daemon_stop(d, SIGTERM);

	if (rc)
		fputs(daemon_log(d), stderr);
	assert_int_equal(rc, 0);
}

double proc_cpu_s(pid_t pid)
{
	return (double)(stat_field(pid, 14, NULL) + stat_field(pid, 15, NULL)) / (double)sysconf(_SC_CLK_TCK);
}

double proc_rss(pid_t pid)
{
	return (double)stat_field(pid, 24, NULL) * (double)sysconf(_SC_PAGESIZE);
}

/* ---- BPF --------------------------------------------------------------------------------- */

static void add_ids(struct held *h, const char *path)
{
	static const struct { const char *key; char kind; } keys[] = {
		{ "prog_id:", 'p' }, { "map_id:", 'm' }, { "link_id:", 'l' },
	};
	FILE *f = fopen(path, "r");
	char line[256];

	while (f && fgets(line, sizeof line, f))
		for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
			if (strncmp(line, keys[i].key, strlen(keys[i].key)) != 0)
				continue;
			assert_true(h->count < HELD_MAX);
			h->items[h->count].kind = keys[i].kind;
			h->items[h->count++].id = (uint32_t)strtoul(line + strlen(keys[i].key), NULL, 10);
		}
	if (f)
		fclose(f);
}

void held_add(struct held *h, pid_t pid)
{
	char dir[64], path[400];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "/proc/%d/fdinfo", (int)pid);
	d = opendir(dir);
	while (d && (e = readdir(d)))
		if (*e->d_name != '.') {
			snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
			add_ids(h, path);
		}
	if (d)
		closedir(d);
}

static bool known(char kind, uint32_t id)
{
	int fd = kind == 'p' ? bpf_prog_get_fd_by_id(id) : kind == 'm' ? bpf_map_get_fd_by_id(id)
	                                                             : bpf_link_get_fd_by_id(id);

	if (fd < 0)
		return errno != ENOENT;
	close(fd);
	return true;
}

size_t held_left(const struct held *h, double seconds)
{
	double until = now_s() + seconds;

	for (;;) {
		size_t left = 0;

		for (size_t i = 0; i < h->count; i++)
			left += known(h->items[i].kind, h->items[i].id);
		if (!left || now_s() > until)
			return left;
		nap_ms(20);
	}
}

/* ---- what is left in file systems ------------------------------------------------------------ */

static char wanted[64];
static size_t found;

static int look_at(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	if (type == FTW_D && !strcmp(path + ftw->base, wanted))
		found++;
	return 0;
}

size_t cgroups_of(pid_t pid)
{
	snprintf(wanted, sizeof wanted, "weir.%d", (int)pid);
	found = 0;
	nftw("/sys/fs/cgroup", look_at, 16, FTW_PHYS);
	return found;
}

static int count_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path, (void)st, (void)type;
	found += ftw->level > 0;
	return 0;
}

size_t bpf_pins(void)
{
	found = 0;
	nftw("/sys/fs/bpf", count_entry, 16, FTW_PHYS);
	return found;
}

/* ---- the counting output ------------------------------------------------------------------------ */

json_t *counted(struct daemon *d)
{
	json_t *answer = daemon_call(d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query",
	                             "plugin", "count", "query", "stats", "args"));
	json_t *body = json_loads(json_string_value(json_object_get(answer, "body")), 0, NULL);

	json_decref(answer);
	assert_non_null(body);
	return body;
}

json_t *counted_of(const json_t *counts, const char *collector)
{
	return json_object_get(json_object_get(counts, "collectors"), collector);
}

void assert_gapless(const json_t *counts, const char *collector)
{
	static const char *const keys[] = { "seq_gaps", "seq_again", "batch_gaps", "route_gaps", "lost" };
	json_t *c = counted_of(counts, collector);

	if (!c)
		fail_msg("nothing has come of %s", collector);
	assert_true(num(c, "records") > 0);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (num(c, keys[i]))
			print_error("%s of %s: %lld\n", keys[i], collector, num(c, keys[i]));
		assert_int_equal(num(c, keys[i]), 0);
	}
}
