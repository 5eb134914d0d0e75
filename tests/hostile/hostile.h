/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hostile plugins share: each is a collector without BPF that behaves well
 * for a while, one event a tick, and then does its one bad thing, in the callback
 * that a test has chosen.
 */
#ifndef WEIR_TESTS_HOSTILE_H
#define WEIR_TESTS_HOSTILE_H

#include <weir/weir.h>

#include <stddef.h>

enum hostile_place { IN_INIT, IN_START, IN_TICK, IN_QUERY, IN_STOP };

/* First member of every hostile plugin's state. */
struct hostile {
	uint64_t after_ns, interval_ns;
	uint32_t in;
	uint64_t begun_ns; /* 0: not yet */
	uint64_t beats;
};

struct weir_hostile_beat {
	uint64_t seq; /* from 1, no gaps */
};

#define HOSTILE_OPTIONS(s)                                                     \
	WEIR_OPTION_ENUM(s, hostile.in, "in", "init start tick query stop", "tick", \
	                 "The callback that misbehaves"),                      \
	WEIR_OPTION_DURATION(s, hostile.after_ns, "after", "1s",               \
	                     "How long it behaves well, from its first callback on", \
	                     .min = 0, .max = 3.6e12),                         \
	WEIR_OPTION_DURATION(s, hostile.interval_ns, "interval", "10ms",       \
	                     "Time between two ticks", .min = 1e6, .max = 1e10)

static const struct weir_field hostile_fields[] = {
	WEIR_FIELD(struct weir_hostile_beat, seq, WEIR_U64, "", "Number of the beat, from 1, no gaps"),
};
static const struct weir_schema hostile_schemas[] = {
	{ .name = "hostile_beat", .topic = "hostile", .version = 1,
	  .size = sizeof(struct weir_hostile_beat), .doc = "It has not gone wrong yet",
	  .fields = WEIR_TABLE(hostile_fields) },
};

/* Is this the callback, and the time? Counted from the first callback of its life. */
static inline bool hostile_due(struct weir_plugin *p, enum hostile_place place)
{
	struct hostile *h = weir_state(p);
	uint64_t now = weir_now(p);

	if (!h->begun_ns)
		h->begun_ns = now;
	return h->in == (uint32_t)place && now - h->begun_ns >= h->after_ns;
}

static inline int hostile_beat(struct weir_plugin *p)
{
	struct hostile *h = weir_state(p);
	struct weir_hostile_beat b = { .seq = ++h->beats };

	weir_emit(p, 0, &b, sizeof b);
	return 0;
}

/* The callbacks; each plugin says what `misbehave` is. */
#define HOSTILE_PLUGIN(s, n, about, misbehave)                                 \
	static int hostile_init(struct weir_plugin *p)                         \
	{                                                                      \
		return hostile_due(p, IN_INIT) ? misbehave(p) : 0;             \
	}                                                                      \
	static int hostile_start(struct weir_plugin *p)                        \
	{                                                                      \
		return hostile_due(p, IN_START) ? misbehave(p) : 0;            \
	}                                                                      \
	static int hostile_tick(struct weir_plugin *p)                         \
	{                                                                      \
		hostile_beat(p);                                               \
		return hostile_due(p, IN_TICK) ? misbehave(p) : 0;             \
	}                                                                      \
	static void hostile_stop(struct weir_plugin *p)                        \
	{                                                                      \
		if (hostile_due(p, IN_STOP))                                   \
			misbehave(p);                                          \
	}                                                                      \
	static int hostile_answer(struct weir_plugin *p, const void *args, struct weir_out *out) \
	{                                                                      \
		struct hostile *h = weir_state(p);                             \
		int rc = hostile_due(p, IN_QUERY) ? misbehave(p) : 0;          \
		(void)args;                                                    \
		weir_printf(p, out, "{\"beats\": %llu}\n", (unsigned long long)h->beats); \
		return rc;                                                     \
	}                                                                      \
	static const struct weir_query hostile_queries[] = {                   \
		{ .name = "beats", .doc = "How many beats it has sent",        \
		  .content_type = "application/json", .answer = hostile_answer }, \
	};                                                                     \
	static const struct weir_source hostile_sources[] = {                  \
		{ .name = "timer", .doc = "A clock", .quality = "", .start = hostile_start, \
		  .stop = hostile_stop, .tick = hostile_tick,                  \
		  .interval_offset = offsetof(s, hostile.interval_ns) },       \
	};                                                                     \
	WEIR_PLUGIN(.name = n, .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "hostile", \
	            .doc = about, .state_size = sizeof(s), .options = WEIR_TABLE(options), \
	            .schemas = WEIR_TABLE(hostile_schemas), .queries = WEIR_TABLE(hostile_queries), \
	            .sources = WEIR_TABLE(hostile_sources), .init = hostile_init)

#endif
