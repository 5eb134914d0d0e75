/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's descriptor as JSON, and back: so that the daemon, and other processes,
 * know what a plugin declares without having run any of its code. Callbacks do not
 * travel; what comes back has a trap in the place of each that is there.
 */
#ifndef WEIR_CORE_DESC_WIRE_H
#define WEIR_CORE_DESC_WIRE_H

#include <jansson.h>
#include <weir/plugin.h>

struct weir__desc_copy; /* a descriptor and all it points to */

/* NULL: no memory. */
json_t *weir__desc_encode(const struct weir_plugin_desc *d);
/* Checked as the loader checks one. 0, -ENOMEM, -EINVAL with a reason. */
int weir__desc_decode(const json_t *j, struct weir__desc_copy **ret, char *reason, size_t size);
const struct weir_plugin_desc *weir__desc_of(const struct weir__desc_copy *c);
void weir__desc_copy_free(struct weir__desc_copy *c); /* NULL is fine */

#endif
