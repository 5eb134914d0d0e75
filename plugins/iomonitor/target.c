/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: while no process matches the filters comm and pid, the system calls
 * are not hooked, so a filter for what does not run on this node costs nobody
 * anything. A rename that matches (exec is one) is reported by io_rename in a
 * record, and the calls are hooked as soon as that is read, within a millisecond;
 * a process id that appears is seen at the next tick.
 *
 *   absent --match seen--> present --the known ones have ended, and no other--> absent
 *
 * Misses and fills do not depend on it: they are exact in both states.
 */
#include "iomonitor.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool comm_matches(const struct iomonitor *m, const char *comm)
{
	for (size_t i = 0; i < m->comms.count; i++) {
		const char *want = m->comms.items[i];
		size_t len = strlen(want);
		bool prefix = len && want[len - 1] == '*';

		/* The kernel keeps 15 characters of a name. */
		if (prefix ? !strncmp(comm, want, len - 1 < 15 ? len - 1 : 15)
		           : !strncmp(comm, want, 15))
			return true;
	}
	return false;
}

static bool alive(uint32_t pid)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%u", pid);
	return !access(path, F_OK);
}

static bool process_matches(struct weir_plugin *p, uint32_t pid)
{
	struct iomonitor *m = weir_state(p);
	char path[40], comm[20];
	ssize_t n;

	for (size_t i = 0; i < m->pids.count; i++)
		if (strtoul(m->pids.items[i], NULL, 10) == pid)
			return true;
	if (!m->comms.count)
		return false;
	snprintf(path, sizeof path, "/proc/%u/comm", pid);
	n = p->host->read_file(p, path, comm, sizeof comm - 1);
	if (n <= 0)
		return false;
	comm[n] = 0;
	comm[strcspn(comm, "\n")] = 0;
	return comm_matches(m, comm);
}

/* All of /proc; only when the last known target has gone, or one has come. */
static void scan(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	DIR *d = opendir("/proc");
	struct dirent *e;

	m->target_count = 0;
	while (d && m->target_count < IO_MAX_TARGETS && (e = readdir(d))) {
		uint32_t pid = (uint32_t)strtoul(e->d_name, NULL, 10);

		if (pid && process_matches(p, pid))
			m->targets[m->target_count++] = pid;
	}
	if (d)
		closedir(d);
}

static void forget_ended(struct iomonitor *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->target_count; i++)
		if (alive(m->targets[i]))
			m->targets[kept++] = m->targets[i];
	m->target_count = kept;
}

static bool a_pid_appeared(const struct iomonitor *m)
{
	for (size_t i = 0; i < m->pids.count; i++)
		if (alive((uint32_t)strtoul(m->pids.items[i], NULL, 10)))
			return true;
	return false;
}

static void follow(struct weir_plugin *p, bool on)
{
	struct iomonitor *m = weir_state(p);

	if (on == m->following)
		return;
	m->following = on;
	p->host->bpf_attach(p, "io_enter", on);
	p->host->bpf_attach(p, "io_exit", on);
	weir_log(p, WEIR_DEBUG, on ? "a process matches the filter: system calls are followed"
	         : "no process matches the filter: system calls are not followed until one does");
}

void io_targets_begin(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	m->following = true;
	m->renames_seen = 0;
	/* Without io_rename nobody would say that one has come; a thread may
	 * carry the name that its process does not. */
	if (!m->calls || (!m->comms.count && !m->pids.count) ||
	    !p->host->bpf_attached(p, "io_rename"))
		return;
	scan(p);
	follow(p, m->target_count > 0);
}

void io_targets_appeared(struct weir_plugin *p)
{
	const struct iomonitor *m = weir_state(p);

	if (m->cpu && m->calls && m->comms.count)
		follow(p, true);
}

void io_targets_check(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	bool news = m->total.wanted_renames != m->renames_seen;

	if (!m->calls || (!m->comms.count && !m->pids.count) ||
	    !p->host->bpf_attached(p, "io_rename"))
		return;
	m->renames_seen = m->total.wanted_renames;
	if (m->following) {
		forget_ended(m);
		if (!m->target_count)
			scan(p); /* its children carry its name on */
		/* A thread that took the name shows in no process's: stay until
		 * a quiet interval. */
		follow(p, m->target_count > 0 || news || m->live_tasks > 0);
	} else if (news || a_pid_appeared(m)) {
		scan(p);
		follow(p, true);
	}
}
