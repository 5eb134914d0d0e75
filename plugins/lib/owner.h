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

/* Pure: from a path to the rest. Of containers in one another the innermost counts; of
 * units the innermost that is not a container's own scope. */
void owner_parse_path(const char *path, struct owner_cgroup *ret);
/* Pure: the text of /proc/PID/cgroup. Of its lines, v1 and v2, the one that says most.
 * False: none is whole. ret_v2: it was the line of cgroup v2. */
bool owner_parse_lines(const char *text, size_t len, struct owner_cgroup *ret, bool *ret_v2);
/* Pure: where cgroup v2 is mounted, from the text of mountinfo(5). False: nowhere. */
bool owner_parse_mounts(const char *text, size_t len, char *ret, size_t size);

struct owner_cache;
int owner_cache_new(const struct pkt_memory *m, struct owner_cache **ret);
void owner_cache_free(struct owner_cache *c);  /* NULL is fine */
/* For containers and tests: where procfs and cgroup v2 are, when not at /proc and where
 * /proc/self/mountinfo says. NULL: as it was. What is cached is forgotten. */
int owner_cache_paths(struct owner_cache *c, const char *proc, const char *mount);
/* By cgroup v2 id (kernfs inode): the cache, open_by_handle_at(2) (CAP_DAC_READ_SEARCH), the
 * cgroup of the process if it is that one, a bounded walk. Where cgroup v2 says nothing of a
 * container (v1 and hybrid hosts), and with id 0: by pid alone, which is read each time, since
 * pids come again. pid 0: unknown. NULL: not found. Valid until the next call. */
const struct owner_cgroup *owner_cgroup(struct owner_cache *c, uint64_t id, uint32_t pid);

#endif
