/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is, beyond its pid: the cgroup it is in, and from that cgroup's path the
 * container id, systemd unit and Kubernetes pod uid. Paths and names are bytes from outside.
 *
 * The path rules are those of the runtimes themselves: docker-<64 hex>.scope,
 * cri-containerd-<64 hex>.scope, crio-<64 hex>.scope, libpod-<64 hex>.scope, .../docker/<64
 * hex>, kubepods[.slice].../pod<uid> with - or _ in the uid, <name>.service or .scope.
 * Thread: one at a time. Bound: a cache of 1024 cgroups, the longest unused goes.
 */
#ifndef WEIR_LIB_OWNER_H
#define WEIR_LIB_OWNER_H

#include "packet.h"

struct owner_cgroup {
	char path[256];        /* below the mount; cut if longer */
	char container[65];    /* 64 hex, or "" */
	char unit[64];         /* systemd unit, or "" */
	char pod[37];          /* uid of the pod, or "" */
};

/* Pure: from a path to the rest. */
void owner_parse_path(const char *path, struct owner_cgroup *ret);

struct owner_cache;
int owner_cache_new(const struct pkt_memory *m, struct owner_cache **ret);
void owner_cache_free(struct owner_cache *c);  /* NULL is fine */
/* By cgroup v2 id (kernfs inode; name_to_handle_at/open_by_handle_at, else a bounded walk).
 * pid: tried first, through /proc/PID/cgroup, which also works with cgroup v1; 0: unknown.
 * NULL: not found. Valid until the next call. */
const struct owner_cgroup *owner_cgroup(struct owner_cache *c, uint64_t id, uint32_t pid);

#endif
