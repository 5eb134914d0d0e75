/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration for others to read: in effect, as YAML, and its JSON schema.
 * Main thread.
 */
#ifndef WEIR_CORE_CONFIG_SHOW_H
#define WEIR_CORE_CONFIG_SHOW_H

#include "setup.h"

#include <jansson.h>
#include <stdio.h>

/* YAML that reads back as the same configuration (secrets apart), every line with
 * a comment that says where the value comes from. */
void weir__config_show(const struct weir__setup *setup, FILE *f);

/* JSON schema (2020-12) of the daemon's options, without plugins. NULL: no memory. */
json_t *weir__schema_new(void);
/* A plugin's section: the common options of its kind, and its own. 0 or -ENOMEM. */
int weir__schema_add(json_t *schema, const struct weir_plugin_desc *desc);

#endif
