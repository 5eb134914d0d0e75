/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flood's one event, shared by both sides: 56 bytes, so that a record with
 * its header is 80, the size of a typical event.
 */
#ifndef WEIR_FLOOD_EVENTS_H
#define WEIR_FLOOD_EVENTS_H

#include <linux/types.h>

enum { FLOOD_CALL };

struct weir_flood_call {
	__u64 seq;     /* of the helper's calls since it was started, from 1, no gaps */
	__u32 pid;     /* the helper */
	__u32 nr;      /* system call number */
	__u64 fill[5]; /* up to the size of a typical event */
};
_Static_assert(sizeof(struct weir_flood_call) == 56, "shared by BPF and user code");

#endif
