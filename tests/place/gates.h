/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of gates' programs, for the plugin and for the test that loads them itself. */
#ifndef GATES_H
#define GATES_H

#include "gates_events.h"

#include <weir/weir.h>

WEIR_BPF_DECLARE(gates);

static const struct weir_program gates_programs[GATES] = {
	[GATE_EGRESS] = { .name = "gate_egress", .doc = "Packets sent", .priority = 2 },
	[GATE_INGRESS] = { .name = "gate_ingress", .doc = "Packets received", .priority = 2 },
	[GATE_CREATE] = { .name = "gate_create", .doc = "Sockets", .priority = 2 },
	[GATE_CONNECT] = { .name = "gate_connect", .doc = "Connected sockets", .priority = 2 },
	[GATE_OPS] = { .name = "gate_ops", .doc = "TCP's turns", .priority = 2 },
	[GATE_TC] = { .name = "gate_tc", .flags = WEIR_PROGRAM_MANUAL, .doc = "Packets of interfaces", .priority = 1 },
};

#endif
