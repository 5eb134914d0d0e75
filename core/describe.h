/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's descriptor as JSON: from this one description come `weir plugins
 * describe`, its --json, and the reference pages. Main thread.
 */
#ifndef WEIR_CORE_DESCRIBE_H
#define WEIR_CORE_DESCRIBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <weir/plugin.h>

/* NULL without memory. */
json_t *weir__describe(const struct weir_plugin_desc *d);
json_t *weir__describe_options(const struct weir_table *options);
json_t *weir__describe_metrics(const struct weir_table *metrics);

/* Text for people. */
void weir__describe_print(const json_t *description, FILE *f, bool colour);

/* Names of capabilities, "CAP_BPF", by number; NULL for unknown ones. */
const char *weir__capability_name(unsigned number);

/* Markdown. `what` a plugin has none of is left out. */
void weir__describe_md_options(const json_t *options, const char *prefix, FILE *f);
void weir__describe_md_metrics(const json_t *metrics, FILE *f);
void weir__describe_md_events(const json_t *description, FILE *f);

#endif
