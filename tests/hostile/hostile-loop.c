/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-loop: a callback that does not come back: it burns a core, or it sleeps; for
 * ever, or for a while.
 */
#include "hostile.h"

#include <time.h>

struct state {
	struct hostile hostile;
	bool sleep;
	uint64_t for_ns;
};

static const struct weir_option options[] = {
	HOSTILE_OPTIONS(struct state),
	WEIR_OPTION_BOOL(struct state, sleep, "sleep", "false", "Sleep instead of burning a core"),
	WEIR_OPTION_DURATION(struct state, for_ns, "for", "0s", "Come back after this time, 0 for never",
	                     .min = 0, .max = 3.6e12),
};

static int loop(struct weir_plugin *p)
{
	const struct state *s = weir_state(p);
	uint64_t begun = weir_now(p);

	while (!s->for_ns || weir_now(p) - begun < s->for_ns) {
		struct timespec ts = { 0, 10000000 };

		if (s->sleep)
			nanosleep(&ts, NULL);
	}
	return 0;
}

HOSTILE_PLUGIN(struct state, "hostile-loop", "Does not come back", loop);
