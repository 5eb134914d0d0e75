/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's own process costs, and those of its plugins, from /proc. Any thread. */
#ifndef WEIR_CORE_PROCESS_H
#define WEIR_CORE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct weir__process_info {
	double user_s, system_s;     /* CPU time */
	double start_time_s;         /* since 1970 */
	uint64_t resident_bytes;
	uint64_t threads, open_fds, max_fds;
};

/* 0 or -errno: /proc is not mounted. */
int weir__process_info(struct weir__process_info *ret);
/* Resident bytes of any process; 0: it has gone, or may not be looked at. */
uint64_t weir__process_resident(pid_t pid);

#endif
