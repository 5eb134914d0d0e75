/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup for each plugin process: the kernel's own hard limit around it, and its
 * exact account. v2, v1, or both beside each other; every part is optional.
 *
 *   <the daemon's cgroup>/weir.<pid>/<plugin>
 *
 * Main thread.
 */
#ifndef WEIR_CORE_HOSTGROUP_H
#define WEIR_CORE_HOSTGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WEIR__GROUP_CPU = 1, WEIR__GROUP_CPUACCT = 2, WEIR__GROUP_MEMORY = 4, WEIR__GROUP_PIDS = 8 };

struct weir__hostgroups;
struct weir__hostgroup;

struct weir__hostgroup_limits {
	double cpu_percent;    /* of one core; 0: none */
	uint64_t memory_bytes; /* 0: none */
	uint64_t pids;         /* processes and threads; 0: none */
};

struct weir__hostgroup_usage {
	unsigned known;        /* WEIR__GROUP_CPUACCT, _MEMORY, _PIDS */
	uint64_t cpu_ns;       /* since the group was made */
	uint64_t memory_bytes, pids;
	uint64_t throttled_ns; /* held back by the CPU limit; 0 also if unknown */
	uint64_t oom_kills;
};

/* As root before the drop, or as the user a service manager gave the cgroup to: finds
 * the daemon's cgroup, removes what dead daemons left in it, makes weir.<pid> and
 * gives it to uid:gid. 0 with *ret, or -errno with the reason in why: no groups
 * then, which is no failure. `why` may also hold a remark after a 0. */
int weir__hostgroups_new(uid_t uid, gid_t gid, struct weir__hostgroups **ret, char *why, size_t size);
/* WEIR__GROUP_ bits that work. */
unsigned weir__hostgroups_controllers(const struct weir__hostgroups *g);
/* Removes all groups, and kills what is left in them. NULL is fine. */
void weir__hostgroups_free(struct weir__hostgroups *g);

/* -errno: none could be made. A limit whose controller is not there is no failure. */
int weir__hostgroup_new(struct weir__hostgroups *g, const char *plugin,
                        const struct weir__hostgroup_limits *limits, struct weir__hostgroup **ret);
/* New limits for a running one. */
int weir__hostgroup_limit(struct weir__hostgroup *h, const struct weir__hostgroup_limits *limits);
/* Move a process there. From between fork and exec too, with pid 0: itself; only
 * system calls then. */
int weir__hostgroup_enter(struct weir__hostgroup *h, pid_t pid);
int weir__hostgroup_usage(struct weir__hostgroup *h, struct weir__hostgroup_usage *ret);
/* Kills all that is in it: also what no longer is the child's child. */
void weir__hostgroup_kill(struct weir__hostgroup *h);
/* Kills, removes, frees. NULL is fine. */
void weir__hostgroup_free(struct weir__hostgroup *h);

/* ---- for tests ---- */

/* Instead of what /proc says: the text of /proc/self/cgroup and /proc/self/mountinfo,
 * both with paths below a directory of the test's. */
struct weir__hostgroup_view {
	const char *cgroup, *mountinfo;
};
int weir__hostgroups_new_in(const struct weir__hostgroup_view *view, uid_t uid, gid_t gid,
                            struct weir__hostgroups **ret, char *why, size_t size);

#endif
