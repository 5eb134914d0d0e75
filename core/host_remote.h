/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host in a process of its own, from the daemon's side: start it, ask it, notice its
 * end. Main thread.
 *
 *   fork -> confined (limits, capabilities: confine.h), in its own cgroup if there may
 *   be one -> exec weir host -> LOAD (dlopen, then sealed by the system call filter)
 *   -> START ... FINI -> the link closes, it goes. It dies with the daemon.
 */
#ifndef WEIR_CORE_HOST_REMOTE_H
#define WEIR_CORE_HOST_REMOTE_H

#include "host.h"

struct weir__hostgroups;
struct weir__loaded;
struct weir__remote;
struct weir__request;

struct weir__confine;
struct weir__hostgroup;

/* For a handle that is otherwise ready. -errno: nothing was started, unless h->remote
 * is set: then weir__remote_free ends it. */
int weir__remote_new(struct weir__host *h);
/* A `weir host` with its end of a control channel. 0 with all three, or -errno. */
int weir__remote_spawn(const struct weir__confine *confine, struct weir__hostgroup *group, const char *name,
                       pid_t *ret_pid, int *ret_pidfd, int *ret_link);
int weir__remote_request(struct weir__remote *r, struct weir__request *rq);
void weir__remote_answer(struct weir__remote *r, uint64_t ticket, int err, const char *text, size_t len);
uint64_t weir__remote_cpu_ns(struct weir__remote *r);
pid_t weir__remote_pid(const struct weir__remote *r);
/* uv_hrtime() of the oldest request it has not answered; 0: none. */
uint64_t weir__remote_unanswered_ns(const struct weir__remote *r);
/* Why is what its death will be said to have come from. */
void weir__remote_kill(struct weir__remote *r, const char *why);
/* Ends the process if it lives, waits for nothing; the host is freed when it has gone. */
void weir__remote_free(struct weir__remote *r);

/* Where processes get a group of their own; NULL: they do not. */
void weir__remote_set_groups(struct weir__hostgroups *groups);
/* What a process may use at the most, if its plugin has no budget of its own: what all of
 * Weir may. Percent of one core, bytes; 0: no limit. For those that start from now on. */
void weir__remote_set_budget(double cpu_percent, uint64_t memory_bytes);
/* The plugin's own budget has changed: a wall that is there moves. */
void weir__remote_limit(struct weir__remote *r, const struct weir__common_config *c);

/* What a library declares, from a process that does nothing else; 5 s at most. 0, or
 * -errno with a sentence, and in *ret_fd the file, open and checked. What is returned lives
 * for ever: the same file gives the same one. */
int weir__remote_describe(const char *path, const char *name, struct weir__loaded **ret, int *ret_fd,
                          char *reason, size_t size);

#endif
