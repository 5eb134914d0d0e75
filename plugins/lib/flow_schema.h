/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schemas of flow_events.h, for every collector that emits them: one name, one meaning,
 * whatever the source. Rows of a table of schemas: { WEIR_FLOW_SCHEMA, ... }.
 */
#ifndef WEIR_LIB_FLOW_SCHEMA_H
#define WEIR_LIB_FLOW_SCHEMA_H

#include "flow_events.h"
#include <weir/weir.h>

#define WEIR_FLOW_SCOPE_NAMES "host wire" /* enum weir_flow_scope */
#define WEIR_FLOW_FIELDS 71
#define WEIR_FLOW_LISTEN_FIELDS 11
extern const struct weir_field weir_flow_fields[WEIR_FLOW_FIELDS];
extern const struct weir_field weir_flow_listen_fields[WEIR_FLOW_LISTEN_FIELDS];

#define WEIR_FLOW_SCHEMA                                                                           \
	{ .name = "flow", .topic = "flow", .version = 1, .priority = 2,                            \
	  .size = sizeof(struct weir_flow),                                                 \
	  .fields = { weir_flow_fields, WEIR_FLOW_FIELDS, sizeof(struct weir_field) },             \
	  .doc = "A flow: when it begins (optional), at intervals, and when it ends" }
#define WEIR_FLOW_LISTEN_SCHEMA                                                                    \
	{ .name = "flow_listen", .topic = "flow", .version = 1, .priority = 2,                     \
	  .size = sizeof(struct weir_flow_listen),                                                 \
	  .fields = { weir_flow_listen_fields, WEIR_FLOW_LISTEN_FIELDS, sizeof(struct weir_field) }, \
	  .doc = "A socket begins to listen, or ends" }

#endif
