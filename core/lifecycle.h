/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a plugin, as the supervisor sees it.
 *
 *              enable                 ok
 *   disabled ---------> starting ----------> running
 *      ^  ^  \             |  ^                 |
 *      |  |   \ fallback   |  | again           | disable, restart,
 *      |  |    v           v  |                 | no longer needed
 *      |  |  standby    failed/refused          v
 *      |  +----+------------+---------------stopping
 *      +------------------------------------------+
 *
 * From stopping also to suspended: over its budget, until a probe starts it again.
 *
 * Invariant: a host exists in starting, running and stopping only. One function
 * moves and logs; a move outside the table aborts.
 */
#ifndef WEIR_CORE_LIFECYCLE_H
#define WEIR_CORE_LIFECYCLE_H

#include <stdbool.h>

#define WEIR__STATES(X)                                                        \
	X(DISABLED, "disabled", "switched off")                                \
	X(STANDBY,  "standby",  "ready to stand in, not needed now")           \
	X(STARTING, "starting", "on its way")                                  \
	X(RUNNING,  "running",  "does its work")                               \
	X(STOPPING, "stopping", "handing over what is under way")              \
	X(FAILED,   "failed",   "could not start or failed; tried again later") \
	X(SUSPENDED, "suspended", "over its budget: nothing of it runs; tried again later") \
	X(REFUSED,  "refused",  "its library was refused")

enum weir__state {
#define X(id, name, doc) WEIR__##id,
	WEIR__STATES(X)
#undef X
	WEIR__STATE_COUNT
};

const char *weir__state_name(enum weir__state s);
bool weir__state_may_move(enum weir__state from, enum weir__state to);
/* *state = to, with a log line; why may be "". Aborts on a move not allowed. */
void weir__state_move(enum weir__state *state, enum weir__state to, const char *plugin, const char *why);

#endif
