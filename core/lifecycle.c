/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a plugin's states, and the one function that moves. */
#include "lifecycle.h"
#include "log.h"

#include <stdlib.h>

#define BIT(s) (1u << WEIR__##s)

static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[WEIR__DISABLED] = { "disabled", BIT(STARTING) | BIT(STANDBY) | BIT(REFUSED) },
	[WEIR__STANDBY] = { "standby", BIT(STARTING) | BIT(DISABLED) },
	[WEIR__STARTING] = { "starting", BIT(RUNNING) | BIT(FAILED) },
	[WEIR__RUNNING] = { "running", BIT(STOPPING) },
	[WEIR__STOPPING] = { "stopping", BIT(DISABLED) | BIT(STANDBY) | BIT(FAILED) | BIT(STARTING) |
	                                     BIT(SUSPENDED) },
	[WEIR__FAILED] = { "failed", BIT(STARTING) | BIT(DISABLED) | BIT(STANDBY) },
	[WEIR__SUSPENDED] = { "suspended", BIT(STARTING) | BIT(DISABLED) | BIT(STANDBY) },
	[WEIR__REFUSED] = { "refused", BIT(DISABLED) | BIT(STARTING) },
};

const char *weir__state_name(enum weir__state s)
{
	return states[s].name;
}

bool weir__state_may_move(enum weir__state from, enum weir__state to)
{
	return states[from].next & (1u << to);
}

void weir__state_move(enum weir__state *state, enum weir__state to, const char *plugin, const char *why)
{
	int level = to == WEIR__FAILED || to == WEIR__REFUSED ? WEIR_WARN
		: to == WEIR__RUNNING || to == WEIR__DISABLED ? WEIR_INFO : WEIR_DEBUG;

	if (!weir__state_may_move(*state, to)) {
		weir__log(WEIR_ERROR, plugin, "bug: no way from %s to %s", states[*state].name,
		          states[to].name);
		abort();
	}
	weir__log(level, plugin, "%s%s%s", states[to].name, *why ? ": " : "", why);
	*state = to;
}
