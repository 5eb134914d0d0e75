/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups from inside: shared by the hostgroup*.c files only. */
#ifndef WEIR_CORE_HOSTGROUP_PRIV_H
#define WEIR_CORE_HOSTGROUP_PRIV_H

#include "hostgroup.h"

/* One v2 hierarchy, and of v1 one for each of cpu, cpuacct, memory, pids at most. */
#define MAX_PLACES 5

/* A killed process must be scheduled, and reaped, before its group can go. While the
 * daemon serves others, not for long: what stays is removed at its end. At the start
 * and the end a second, which only what is stuck in the kernel takes. */
#define PATIENCE_RUNNING_MS 20
#define PATIENCE_MS 1000

struct place {
	char dir[1024];        /* the daemon's own cgroup there */
	unsigned controllers;  /* WEIR__GROUP_ bits that this hierarchy answers for */
	bool v2;
	int fd;                /* <dir>/weir.<pid> */
};

struct weir__hostgroups {
	struct place places[MAX_PLACES];
	size_t count;
	char name[32];         /* weir.<pid> */
};

struct weir__hostgroup {
	struct weir__hostgroups *all;
	char name[64];
	int fd[MAX_PLACES];    /* the group's directory in each place */
	int procs[MAX_PLACES]; /* its cgroup.procs, open for writing */
};

/* hostgroup_find.c: the daemon's own cgroups, not yet touched. 0 or -errno. */
int weir__group_find(const struct weir__hostgroup_view *view, struct weir__hostgroups *g);
/* Removes weir.<pid> of daemons that are gone. */
void weir__group_sweep(const char *dir);

/* hostgroup_file.c: one file of a cgroup's directory. All 0 or -errno. */
int weir__group_write(int dir, const char *file, const char *text);
int weir__group_read(int dir, const char *file, char *buf, size_t size);
int weir__group_number(int dir, const char *file, uint64_t *ret);
/* "key 123" among the file's lines. */
int weir__group_field(int dir, const char *file, const char *key, uint64_t *ret);
/* SIGKILL to all that is in it, until it is empty or the time is over. */
void weir__group_kill(int dir, unsigned patience_ms);
/* Kill what is in it, then rmdir: -EBUSY until the killed are gone. */
int weir__group_remove(int parent, const char *name, unsigned patience_ms);
/* The same, its children before it. */
int weir__group_remove_all(int parent, const char *name, unsigned patience_ms);

#endif
