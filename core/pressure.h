/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of want: PSI of the machine, and the limits of the cgroup Weir
 * runs in (v2, or v1's memory). Files that are not there mean no pressure. Main thread.
 */
#ifndef WEIR_CORE_PRESSURE_H
#define WEIR_CORE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

struct weir__pressure {
	/* Percent of the last 10 s; -1: not known here. */
	double cpu_some, memory_some, memory_full, io_full;
	/* Of our cgroup, in bytes; limit 0: none. */
	uint64_t cgroup_memory, cgroup_limit;
	double throttled;  /* percent of the time since the last look; -1: not known */
	double stalled;    /* what the manager counts: a pressure, 0 if all is well */
};

struct weir__pressure_reader {
	const char *root;   /* "" but in tests: before /proc and /sys */
	char v2[512], v1[512]; /* directories of the cgroup, "" none */
	bool looked;
	uint64_t throttled_us, at_ns;
};

void weir__pressure_read(struct weir__pressure_reader *r, uint64_t now_ns, struct weir__pressure *ret);

#endif
