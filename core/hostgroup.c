/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See hostgroup.h.
 *
 * Happy path: weir.<pid> is made in each hierarchy that has something for us, and
 * given to the daemon's user; a group per plugin below it, with its limits.
 *
 * v2 lets no process stay in a group whose children have controllers. So the daemon
 * moves to a leaf `main` first, which it does only in a group that holds nobody
 * else: one that a service manager delegated, or a container's.
 * Failure modes: no right, a read-only mount, others in the group: that hierarchy is
 * left out; without any there are no groups, and a plugin's process has its rlimits.
 */
#include "hostgroup_priv.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Over which the CPU limit holds: the kernel's default. */
#define PERIOD_US 100000
/* The kernel takes no less quota. */
#define QUOTA_MIN_US 1000

/* ---- making room ------------------------------------------------------------------- */

/* Does this v2 group hold only us? Its processes, not those of its children. */
static bool alone(int dir)
{
	char text[4096], *end;
	long pid;

	if (weir__group_read(dir, "cgroup.procs", text, sizeof text))
		return false;
	pid = strtol(text, &end, 10);
	return end == text || (pid == (long)getpid() && (*end == '\n' || !*end) && (!*end || !end[1]));
}

static void enable(int dir, unsigned bits)
{
	/* One by one: one that is not to be had must not cost the others. */
	if (bits & WEIR__GROUP_CPU)
		weir__group_write(dir, "cgroup.subtree_control", "+cpu");
	if (bits & WEIR__GROUP_MEMORY)
		weir__group_write(dir, "cgroup.subtree_control", "+memory");
	if (bits & WEIR__GROUP_PIDS)
		weir__group_write(dir, "cgroup.subtree_control", "+pids");
}

/* Our own group becomes one that may have children with limits. */
static int make_inner(int dir, const struct place *p, uid_t uid, gid_t gid)
{
	bool top = faccessat(dir, "cgroup.type", F_OK, 0) != 0; /* only the root has none */
	int leaf, rc;

	if (top && uid)
		return -EPERM; /* moving processes below the root is a right over all of them */
	if (!top) {
		if (!alone(dir))
			return -EBUSY;
		if (mkdirat(dir, "main", 0755) != 0 && errno != EEXIST)
			return -errno;
		leaf = openat(dir, "main", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (leaf < 0)
			return -errno;
		rc = weir__group_write(leaf, "cgroup.procs", "0");
		close(leaf);
		if (rc)
			return rc;
		/* A process may go only where the common ancestor's list may be written. */
		(void)!fchownat(dir, "cgroup.procs", uid, gid, 0);
	}
	enable(dir, p->controllers);
	return 0;
}

/* What a user needs to run groups in it, and no more. */
static int give(int dir, uid_t uid, gid_t gid)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks" };

	if (uid == geteuid())
		return 0;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		(void)!fchownat(dir, files[i], uid, gid, 0); /* each of v1 or v2 only */
	return fchown(dir, uid, gid) == 0 ? 0 : -errno;
}

static int open_place(struct weir__hostgroups *g, struct place *p, uid_t uid, gid_t gid)
{
	int dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (dir < 0)
		return -errno;
	weir__group_sweep(p->dir);
	if (p->v2)
		rc = make_inner(dir, p, uid, gid);
	if (!rc && mkdirat(dir, g->name, 0755) != 0)
		rc = -errno;
	if (!rc) {
		p->fd = openat(dir, g->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* The lock says that we live; a sweep by others looks at it. */
		rc = p->fd < 0 || flock(p->fd, LOCK_EX | LOCK_NB) != 0 ? -errno : give(p->fd, uid, gid);
		if (!rc && p->v2)
			enable(p->fd, p->controllers);
		if (rc && p->fd >= 0)
			close(p->fd);
		if (rc)
			unlinkat(dir, g->name, AT_REMOVEDIR);
	}
	close(dir);
	return rc;
}

int weir__hostgroups_new_in(const struct weir__hostgroup_view *view, uid_t uid, gid_t gid,
                            struct weir__hostgroups **ret, char *why, size_t size)
{
	struct weir__hostgroups *g = weir__zalloc(sizeof *g);
	size_t kept = 0;
	int rc, last = -ENOENT;

	snprintf(why, size, "%s", "");
	if (!g)
		return -ENOMEM;
	snprintf(g->name, sizeof g->name, "weir.%d", (int)getpid());
	rc = weir__group_find(view, g);
	if (rc)
		snprintf(why, size, "no cgroup hierarchy with the cpu, memory or pids controller");
	for (size_t i = 0; i < g->count && !rc; i++) {
		last = open_place(g, &g->places[i], uid, gid);
		if (!last)
			g->places[kept++] = g->places[i];
		else
			snprintf(why, size, "%.300s: %s", g->places[i].dir, last == -EBUSY
			         ? "other processes are in it too (run weir as a service with Delegate=yes)"
			         : strerror(-last));
	}
	g->count = kept;
	if (!kept) {
		weir__free(g);
		return rc ? rc : last;
	}
	*ret = g;
	return 0;
}

int weir__hostgroups_new(uid_t uid, gid_t gid, struct weir__hostgroups **ret, char *why, size_t size)
{
	return weir__hostgroups_new_in(NULL, uid, gid, ret, why, size);
}

unsigned weir__hostgroups_controllers(const struct weir__hostgroups *g)
{
	unsigned bits = 0;

	for (size_t i = 0; i < g->count; i++)
		bits |= g->places[i].controllers;
	return bits;
}

void weir__hostgroups_free(struct weir__hostgroups *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++) {
		int parent = open(g->places[i].dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(g->places[i].fd);
		if (parent >= 0) {
			weir__group_remove_all(parent, g->name, PATIENCE_MS);
			close(parent);
		}
	}
	weir__free(g);
}

/* ---- one plugin's group --------------------------------------------------------------- */

int weir__hostgroup_new(struct weir__hostgroups *g, const char *plugin,
                        const struct weir__hostgroup_limits *limits, struct weir__hostgroup **ret)
{
	struct weir__hostgroup *h;
	int rc = 0;

	if (!*plugin || *plugin == '.' || strchr(plugin, '/') || strlen(plugin) >= sizeof h->name)
		return -EINVAL;
	h = weir__zalloc(sizeof *h);
	if (!h)
		return -ENOMEM;
	h->all = g;
	snprintf(h->name, sizeof h->name, "%s", plugin);
	for (size_t i = 0; i < MAX_PLACES; i++)
		h->fd[i] = h->procs[i] = -1;
	for (size_t i = 0; i < g->count && !rc; i++) {
		int at = g->places[i].fd;

		/* One that is not quite gone since a crash serves again. */
		if (mkdirat(at, plugin, 0755) != 0 && errno != EEXIST) {
			rc = -errno;
			break;
		}
		h->fd[i] = openat(at, plugin, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		h->procs[i] = h->fd[i] < 0 ? -1 : openat(h->fd[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (h->procs[i] < 0)
			rc = -errno;
	}
	if (!rc)
		rc = weir__hostgroup_limit(h, limits);
	if (rc) {
		weir__hostgroup_free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static int limit_cpu(int dir, bool v2, double percent)
{
	long long quota = (long long)(percent * PERIOD_US / 100);
	char text[64];
	int rc;

	if (percent > 0 && quota < QUOTA_MIN_US)
		quota = QUOTA_MIN_US;
	if (v2) {
		if (percent > 0)
			snprintf(text, sizeof text, "%lld %d", quota, PERIOD_US);
		else
			snprintf(text, sizeof text, "max %d", PERIOD_US);
		return weir__group_write(dir, "cpu.max", text);
	}
	snprintf(text, sizeof text, "%d", PERIOD_US);
	rc = weir__group_write(dir, "cpu.cfs_period_us", text);
	snprintf(text, sizeof text, "%lld", percent > 0 ? quota : -1);
	return rc ? rc : weir__group_write(dir, "cpu.cfs_quota_us", text);
}

static int limit_memory(int dir, bool v2, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, bytes);
	if (!v2)
		return weir__group_write(dir, "memory.limit_in_bytes", bytes ? text : "-1");
	weir__group_write(dir, "memory.oom.group", "1"); /* half a plugin is of no use */
	return weir__group_write(dir, "memory.max", bytes ? text : "max");
}

static int limit_pids(int dir, uint64_t pids)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, pids);
	return weir__group_write(dir, "pids.max", pids ? text : "max");
}

int weir__hostgroup_limit(struct weir__hostgroup *h, const struct weir__hostgroup_limits *l)
{
	int rc = 0;

	for (size_t i = 0; i < h->all->count; i++) {
		const struct place *p = &h->all->places[i];
		unsigned bits = p->controllers;
		int r = 0;

		if (bits & WEIR__GROUP_CPU)
			r = limit_cpu(h->fd[i], p->v2, l->cpu_percent);
		if (bits & WEIR__GROUP_MEMORY)
			r = r ? r : limit_memory(h->fd[i], p->v2, l->memory_bytes);
		if (bits & WEIR__GROUP_PIDS)
			r = r ? r : limit_pids(h->fd[i], l->pids);
		/* A controller that was not delegated has no files: as if it were not there. */
		if (r && r != -ENOENT && !rc)
			rc = r;
	}
	return rc;
}

int weir__hostgroup_enter(struct weir__hostgroup *h, pid_t pid)
{
	char text[16];
	size_t at = sizeof text;

	/* By hand: this may run between fork and exec. */
	do {
		text[--at] = (char)('0' + pid % 10);
		pid /= 10;
	} while (pid);
	for (size_t i = 0; i < h->all->count; i++)
		if (write(h->procs[i], text + at, sizeof text - at) < 0)
			return -errno;
	return 0;
}

static void usage_cpu(int dir, bool v2, struct weir__hostgroup_usage *u)
{
	uint64_t us;

	if (v2 ? !weir__group_field(dir, "cpu.stat", "usage_usec", &us)
	       : !weir__group_number(dir, "cpuacct.usage", &u->cpu_ns)) {
		if (v2)
			u->cpu_ns = us * 1000;
		u->known |= WEIR__GROUP_CPUACCT;
	}
}

static void usage_of(int dir, const struct place *p, struct weir__hostgroup_usage *u)
{
	uint64_t us;

	if (p->controllers & WEIR__GROUP_CPUACCT)
		usage_cpu(dir, p->v2, u);
	if (p->controllers & WEIR__GROUP_CPU) {
		if (!p->v2)
			weir__group_field(dir, "cpu.stat", "throttled_time", &u->throttled_ns);
		else if (!weir__group_field(dir, "cpu.stat", "throttled_usec", &us))
			u->throttled_ns = us * 1000;
	}
	if (p->controllers & WEIR__GROUP_MEMORY) {
		if (!weir__group_number(dir, p->v2 ? "memory.current" : "memory.usage_in_bytes", &u->memory_bytes))
			u->known |= WEIR__GROUP_MEMORY;
		weir__group_field(dir, p->v2 ? "memory.events" : "memory.oom_control", "oom_kill", &u->oom_kills);
	}
	if ((p->controllers & WEIR__GROUP_PIDS) && !weir__group_number(dir, "pids.current", &u->pids))
		u->known |= WEIR__GROUP_PIDS;
}

int weir__hostgroup_usage(struct weir__hostgroup *h, struct weir__hostgroup_usage *ret)
{
	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < h->all->count; i++)
		usage_of(h->fd[i], &h->all->places[i], ret);
	return ret->known ? 0 : -ENODATA;
}

void weir__hostgroup_kill(struct weir__hostgroup *h)
{
	for (size_t i = 0; i < h->all->count; i++)
		if (h->fd[i] >= 0)
			weir__group_kill(h->fd[i], PATIENCE_RUNNING_MS);
}

void weir__hostgroup_free(struct weir__hostgroup *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->all->count; i++) {
		if (h->procs[i] >= 0)
			close(h->procs[i]);
		if (h->fd[i] < 0)
			continue;
		close(h->fd[i]);
		weir__group_remove(h->all->places[i].fd, h->name, PATIENCE_RUNNING_MS);
	}
	weir__free(h);
}
