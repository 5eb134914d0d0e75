/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start a plugin once, look, and stop it again: how `weir check` finds out which
 * source a collector would get. By trying, not by version numbers. Blocks.
 */
#ifndef WEIR_CORE_TRY_H
#define WEIR_CORE_TRY_H

#include "host.h"

struct weir__trial {
	int rc;                     /* of the start: 0, or -errno */
	char reason[512];           /* why it failed, or what was passed over */
	int source;                 /* index in the descriptor, -1 none */
	char source_reasons[8][WEIR__ERROR_TEXT]; /* "ok", "not tried", or why not */
	struct weir__snapshot snap; /* programs with their errors, maps; if rc is 0 */
};

/* 0 if it could be tried (see rc), -ETIMEDOUT if the plugin did not come back within
 * 5 s, -ENOMEM. Uses a loop of its own; any thread. ret is large: do not put it on a
 * stack. */
int weir__try_plugin(const struct weir_plugin_desc *desc, const struct weir__settings *settings,
                     struct weir__trial *ret);

#endif
