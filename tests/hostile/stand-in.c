/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stand-in: not hostile itself. It has the flood's topic while that is down, with the
 * same event as every hostile plugin makes, so that a test sees how soon somebody
 * else's data comes, and that it ends.
 */
#include <weir/weir.h>

#include <stddef.h>

struct state {
	uint64_t interval_ns, seq;
};

struct weir_stand_in {
	uint64_t seq; /* from 1, no gaps */
};

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct state, interval_ns, "interval", "10ms", "Time between two events",
	                     .min = 1e6, .max = 1e10),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct weir_stand_in, seq, WEIR_U64, "", "Number of the event, from 1, no gaps"),
};
static const struct weir_schema schemas[] = {
	{ .name = "stand_in", .topic = "flood", .version = 1, .size = sizeof(struct weir_stand_in),
	  .doc = "Nobody better is there", .fields = WEIR_TABLE(fields) },
};

static int tick(struct weir_plugin *p)
{
	struct state *s = weir_state(p);
	struct weir_stand_in e = { .seq = ++s->seq };

	if (p->host->topic_wanted(p, "flood"))
		weir_emit(p, 0, &e, sizeof e);
	return 0;
}

static const struct weir_source sources[] = {
	{ .name = "timer", .doc = "A clock", .quality = "approx", .tick = tick,
	  .interval_offset = offsetof(struct state, interval_ns) },
};

WEIR_PLUGIN(.name = "stand-in", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "flood",
            .fallback_for = "flood", .doc = "Has the flood's topic while that is down",
            .state_size = sizeof(struct state), .options = WEIR_TABLE(options),
            .schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources));
