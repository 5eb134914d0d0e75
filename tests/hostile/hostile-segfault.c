/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-segfault: ends its process, by a wild pointer, by abort(), or by exit() with
 * a status that looks like success.
 */
#include "hostile.h"

#include <stdlib.h>

enum { BY_SEGFAULT, BY_ABORT, BY_EXIT };

struct state {
	struct hostile hostile;
	uint32_t by;
};

static const struct weir_option options[] = {
	HOSTILE_OPTIONS(struct state),
	WEIR_OPTION_ENUM(struct state, by, "by", "segfault abort exit", "segfault", "How it ends"),
};

/* Not a case for the sanitizers: it is meant. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static int crash(struct weir_plugin *p)
{
	const struct state *s = weir_state(p);
	volatile uintptr_t low = 8; /* nothing is mapped there; the compiler must not know */

	if (s->by == BY_ABORT)
		abort();
	if (s->by == BY_EXIT)
		_Exit(0);
	*(volatile int *)low = 1;
	return 0;
}

HOSTILE_PLUGIN(struct state, "hostile-segfault", "Ends its process", crash);
