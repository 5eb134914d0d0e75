/* SPDX-License-Identifier: Apache-2.0 */
/* forkwatch's events: shared by both sides, types and limits only. */
#ifndef FORKWATCH_EVENTS_H
#define FORKWATCH_EVENTS_H

#include <linux/types.h>

enum weir_forkwatch_kind { FORKWATCH_EXIT };
enum weir_forkwatch_how { FORKWATCH_EXITED, FORKWATCH_KILLED, FORKWATCH_UNKNOWN };

/* One per process that ends. */
struct weir_forkwatch_exit {
	__u32 pid, ppid;
	__u64 runtime_ns;
	__s32 exit_code; /* the status, or the signal */
	__u32 how;       /* enum weir_forkwatch_how */
	char comm[16];
};
_Static_assert(sizeof(struct weir_forkwatch_exit) == 40, "both compilers agree");

#endif
