/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs at gates count: one number per program, in the order of the rows. */
#ifndef GATES_EVENTS_H
#define GATES_EVENTS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum gate { GATE_EGRESS, GATE_INGRESS, GATE_CREATE, GATE_CONNECT, GATE_OPS, GATE_TC, GATES };

struct weir_gates_seen {
	__u64 seen[GATES];
};

#endif
