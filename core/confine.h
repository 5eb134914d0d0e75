/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds a plugin's process in: limits and rights between fork and exec, the
 * filter of system calls before its library is loaded. Its cgroup is hostgroup.h.
 *
 *   fork -> weir__confine_exec -> exec weir host -> weir__confine_seal -> dlopen -> init
 *
 * All that dlopen does is allowed by the filter, so a library's constructors run under
 * it as well.
 */
#ifndef WEIR_CORE_CONFINE_H
#define WEIR_CORE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Under a sanitizer memory and stacks are of other sizes altogether. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR__SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR__SANITIZED 1
#endif
#endif
#ifndef WEIR__SANITIZED
#define WEIR__SANITIZED 0
#endif

struct weir__confine {
	pid_t parent;          /* getpid() before the fork: it dies with this process */
	uint64_t needs;        /* what the plugin declares; of that, what is held */
	uid_t uid;             /* not 0: become this user first; for what root starts before the drop */
	gid_t gid;
	uint64_t memory_bytes; /* its limit; 0: none */
	uint64_t mapped_bytes; /* shared mappings beyond that, rings twice; if memory_bytes */
	uint32_t open_files;   /* 0: the daemon's own limit */
	const int *keep;       /* descriptors the child gets, ascending; 0 to 2 always */
	size_t keep_count;
};

/* In the child, before exec. Only system calls: the parent may have threads. Must be
 * forked by a thread that lives as long as the daemon, since that one's end kills.
 * 0 or -errno: then _exit, for the child is not confined. */
int weir__confine_exec(const struct weir__confine *c);

/* In the child's main thread; covers all its threads and those to come. needs: as
 * above. forks: it may fork, though not execute. 0; -EOPNOTSUPP: this kernel filters no
 * system calls; else -errno. */
int weir__confine_seal(uint64_t needs, bool forks);

/* For tests and the documentation: the table of the filter, row by row. */
enum weir__confine_fate {
	WEIR__CONFINE_ALLOW,
	WEIR__CONFINE_BPF,     /* allowed with CAP_BPF or CAP_SYS_ADMIN */
	WEIR__CONFINE_PERF,    /* allowed with CAP_PERFMON or CAP_SYS_ADMIN */
	WEIR__CONFINE_ABSENT,  /* -ENOSYS: libc has another way */
	WEIR__CONFINE_KILL,    /* SIGSYS: nobody does this by mistake */
};
struct weir__confine_row {
	const char *name;
	enum weir__confine_fate fate;
	const char *why;
};
const struct weir__confine_row *weir__confine_table(size_t *ret_count);

#endif
