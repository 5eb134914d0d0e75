/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over all processes, in steps of at most max_processes and a few
 * milliseconds; a step ends where it must, and the next tick goes on there.
 *
 * Happy path: /proc/PID/io of a known process has not changed, and that is all
 * that is read of it. If it has, /proc/PID/stat tells whether it is still the same
 * process (pids are used again; pid and start time together are not).
 * Failure modes: a process ends between listing and reading: counted as vanished.
 * No right to read it (it needs CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH unless
 * root): counted as denied, said once. Table full: counted as untracked. Anything
 * else that cannot be read: counted as failed.
 * What a process does between its last reading and its end is not seen.
 */
#include "procfs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const io_keys[V_IO_VALUES] = {
	[V_RCHAR] = "rchar",      [V_WCHAR] = "wchar",       [V_SYSCR] = "syscr",
	[V_SYSCW] = "syscw",      [V_READ] = "read_bytes",   [V_WRITE] = "write_bytes",
	[V_CANCELLED] = "cancelled_write_bytes",
};
#define IO_ALL ((1u << V_IO_VALUES) - 1)

/* Reads <proc>/<pid>/<name>. */
static ssize_t read_of(struct weir_plugin *p, uint32_t pid, const char *name, char *buf, size_t size)
{
	struct procfs *s = weir_state(p);
	char path[PROCFS_PATH];
	int n = snprintf(path, sizeof path, "%s/%u/%s", s->proc, pid, name);

	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	return p->host->read_file(p, path, buf, size);
}

static int read_io(struct weir_plugin *p, uint32_t pid, uint64_t values[V_IO_VALUES])
{
	char buf[512]; /* seven lines, 250 bytes with the largest numbers */
	ssize_t len = read_of(p, pid, "io", buf, sizeof buf);

	if (len < 0)
		return (int)len;
	return procfs_parse_keys(buf, (size_t)len, io_keys, V_IO_VALUES, values) == IO_ALL ? 0 : -EBADMSG;
}

static int read_stat(struct weir_plugin *p, uint32_t pid, struct procfs_stat *ret)
{
	char buf[1536]; /* 52 numbers of up to 20 digits and a name */
	ssize_t len = read_of(p, pid, "stat", buf, sizeof buf);

	return len < 0 ? (int)len : procfs_parse_stat(buf, (size_t)len, ret);
}

/* Takes a reading. first: all of it counts as growth if the process is new
 * (born), and none of it if it may be old. */
static void take(struct procfs *s, struct procfs_task *t, const uint64_t now[V_VALUES],
                 uint64_t at_ns, bool first, bool born)
{
	uint64_t any = 0;

	for (int i = 0; i < V_VALUES; i++) {
		uint64_t before = first ? (born ? 0 : now[i]) : t->now[i];

		t->delta[i] = procfs_delta(now[i], before);
		t->now[i] = now[i] > before ? now[i] : before;
		any |= t->delta[i];
	}
	t->interval_ns = at_ns - (first ? s->last.began_ns : t->read_ns);
	t->read_ns = at_ns;
	t->known = true;
	t->active = any != 0;
}

/* A known process whose counters have changed, or one not known so far. */
static int read_whole(struct weir_plugin *p, struct procfs_task *t, uint64_t now[V_VALUES], bool born)
{
	struct procfs *s = weir_state(p);
	struct procfs_stat st;
	bool first = !t->known;
	int err = read_stat(p, t->pid, &st);

	if (err)
		return err;
	if (t->known && t->start != st.start) { /* another process with this pid */
		procfs_top_release(p, t);
		first = born = true;
	}
	if (t->slot && memcmp(t->comm, st.comm, sizeof t->comm)) /* exec */
		procfs_top_release(p, t);
	now[V_MAJFLT] = st.major_faults;
	take(s, t, now, weir_now(p), first, born);
	t->start = st.start;
	t->ppid = st.ppid;
	memcpy(t->comm, st.comm, sizeof t->comm);
	return 0;
}

/* A reading that failed. A process that is there but cannot be read is remembered:
 * it is not new once it can be. */
static void count_error(struct procfs *s, struct procfs_task *t, int err)
{
	if (err == -ENOENT || err == -ESRCH) {
		s->pass.vanished++;
		return;
	}
	if (err == -EACCES || err == -EPERM)
		s->pass.denied++;
	else
		s->pass.failed++;
	t->pass = s->pass_no;
	t->active = false;
}

static int scan_one(struct weir_plugin *p, uint32_t pid)
{
	struct procfs *s = weir_state(p);
	struct procfs_task *t = procfs_task_find(&s->tasks, pid);
	uint64_t now[V_VALUES];
	bool born = !t && s->complete;
	int err = read_io(p, pid, now), no_room;

	if (!t && err != -ENOENT && err != -ESRCH) {
		t = procfs_task_add(p, pid, &no_room);
		if (!t) {
			s->pass.untracked++;
			return no_room ? weir_fail(p, no_room, "no memory for the table of processes") : 0;
		}
	}
	if (!err && t->known && !memcmp(now, t->now, V_IO_VALUES * sizeof now[0])) {
		t->read_ns = weir_now(p);
		t->active = false;
	} else if (!err) {
		err = read_whole(p, t, now, born);
	}
	if (err) {
		count_error(s, t, err);
		return 0;
	}
	t->pass = s->pass_no;
	s->pass.read++;
	return 0;
}

/* ---- the pass --------------------------------------------------------------- */

static void find_own_pid(struct procfs *s)
{
	char path[PROCFS_PATH], link[32];
	ssize_t n;

	snprintf(path, sizeof path, "%s/self", s->proc);
	n = readlink(path, link, sizeof link - 1);
	link[n > 0 ? n : 0] = '\0';
	s->own_pid = (uint32_t)strtoul(link, NULL, 10);
}

static int begin(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	s->dir = opendir(s->proc);
	if (!s->dir)
		return weir_fail(p, -errno, "cannot list %s (%s): is it mounted?", s->proc, strerror(errno));
	if (!s->pass_no++)
		find_own_pid(s);
	s->pass = (struct procfs_pass){ .began_ns = weir_now(p) };
	return 0;
}

static void tell_missing(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	if (s->told_missing)
		return;
	if (!s->pass.read && !s->pass.denied && s->pass.vanished) {
		s->told_missing = true;
		weir_log(p, WEIR_WARN, "no process has %s/PID/io: this kernel was built without "
		         "CONFIG_TASK_IO_ACCOUNTING, so I/O per process is missing", s->proc);
	}
	if (!s->pass.denied)
		return;
	s->told_missing = true;
	weir_log(p, WEIR_WARN, "the I/O of %llu of %llu processes may not be read and is missing: grant "
	         "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, which root has unless it is confined",
	         (unsigned long long)s->pass.denied,
	         (unsigned long long)(s->pass.denied + s->pass.read));
}

static void end(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	closedir(s->dir);
	s->dir = NULL;
	procfs_task_sweep(p, s->pass_no, procfs_top_release);
	tell_missing(p);
	procfs_top_end_pass(p);
	s->complete = !s->pass.untracked;
	s->last = s->pass;
}

/* The pid that a directory entry names, or 0. */
static uint32_t entry_pid(const char *name)
{
	uint64_t v;

	return procfs_u64(procfs_text(name, strlen(name)), &v) && v <= INT32_MAX ? (uint32_t)v : 0;
}

int procfs_scan(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	uint64_t deadline = weir_now(p) + PROCFS_SCAN_NS, n = 0;
	int err = s->dir ? 0 : begin(p);
	struct dirent *e;

	while (!err) {
		uint32_t pid;

		if (n == s->max_processes || (n % 16 == 15 && weir_now(p) >= deadline))
			return 0;
		errno = 0;
		e = readdir(s->dir);
		if (!e && errno) {
			err = weir_fail(p, -errno, "cannot list %s: %s", s->proc, strerror(errno));
			closedir(s->dir);
			s->dir = NULL;
			break;
		}
		if (!e) {
			end(p);
			break;
		}
		pid = entry_pid(e->d_name);
		if (!pid || pid == s->own_pid)
			continue;
		err = scan_one(p, pid);
		n++;
	}
	return err;
}

void procfs_scan_off(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	if (s->dir)
		closedir(s->dir);
	s->dir = NULL;
	procfs_top_off(p);
	procfs_task_clear(p);
	s->pass_no = 0;
	s->complete = s->told_missing = false;
	s->pass = s->last = (struct procfs_pass){ 0 };
}
