/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-flood: more events than anybody asked for, from user space, so that no
 * sampling in the kernel helps.
 */
#include "hostile.h"

struct state {
	struct hostile hostile;
	uint64_t events;
};

static const struct weir_option options[] = {
	HOSTILE_OPTIONS(struct state),
	WEIR_OPTION_UINT(struct state, events, "events", "10000", "Events at a time", .min = 1, .max = 1e8),
};

static int flood(struct weir_plugin *p)
{
	const struct state *s = weir_state(p);

	for (uint64_t i = 0; i < s->events; i++)
		hostile_beat(p);
	return 0;
}

HOSTILE_PLUGIN(struct state, "hostile-flood", "More events than anybody asked for", flood);
