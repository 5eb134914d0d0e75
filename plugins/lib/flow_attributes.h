/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other tools call the fields of a flow's record: the attributes of the Mermin design that
 * do not need Kubernetes, in one table with a version. An exporter goes through it; a name that
 * is not filled says why.
 */
#ifndef WEIR_LIB_FLOW_ATTRIBUTES_H
#define WEIR_LIB_FLOW_ATTRIBUTES_H

#include "flow_events.h"
#include <stddef.h>
#include <stdbool.h>

/* Grows when a row changes its meaning or its field; new rows alone do not matter. */
#define FLOW_ATTRIBUTES_VERSION 1
#define FLOW_ATTRIBUTES 74

struct flow_attribute {
	const char *name;    /* as exported */
	const char *field;   /* of the flow's schema; NULL: it has none */
	const char *note;    /* when it is there, or what becomes of the value; with no field: why */
	bool number;         /* the text is a number */
	/* The value as text. False: this record has none. */
	bool (*value)(const struct weir_flow *r, char *buf, size_t size);
};
extern const struct flow_attribute flow_attributes[FLOW_ATTRIBUTES];

#endif
