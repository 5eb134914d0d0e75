/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* numbered: one record per call, with the number its caller gave it. */
#ifndef WEIR_NUMBERED_EVENTS_H
#define WEIR_NUMBERED_EVENTS_H

#include <weir/kernel.h>

enum { NUMBERED_CALL };

struct weir_numbered_call {
	__u64 seq;
	__u32 pid;
	__u32 build; /* which build's program has made it */
};

#endif
