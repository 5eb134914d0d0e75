/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host's side of the ledger consists of, in one block: private memory for a
 * thread, a memfd shared with the daemon for a process. So the daemon can close
 * the account of a host that has died, or hangs, to the last record: what was
 * counted is there, and what is missing was in flight.
 *
 * One writer: the host (a route's `stats` are written under the route's lock).
 * Readers in the daemon see single counters whole, several of them perhaps of
 * different moments; only what is read after the writer's end is exact.
 */
#ifndef WEIR_CORE_HOST_ACCOUNT_H
#define WEIR_CORE_HOST_ACCOUNT_H

#include "ledger.h"
#include "route.h"
#include <weir/kernel.h>

/* Bounds: topics of one plugin; routes of one collector (32 outputs at most). */
#define WEIR__MAX_TOPICS WEIR__ROUTE_TOPICS
#define WEIR__MAX_ROUTES 32

/* Source-side account of one kind at a collector's host. Monotonic. */
struct weir__kind_account {
	uint64_t emitted;    /* by weir_emit: seen in user space */
	uint64_t drained;    /* records taken from the rings */
	uint64_t aggregated;
	uint64_t filtered;   /* by the plugin's record() or count() */
	uint64_t malformed;  /* too big or of no known kind: a plugin's bug */
	uint64_t no_memory;  /* emitted or drained, but no batch could be had */
	uint64_t rate_limited; /* emitted or drained, over the events per second */
};

/* The source side of one route. */
struct weir__route_account {
	uint32_t id;                    /* of the route; 0: free */
	uint32_t topics;                /* bit per topic */
	uint64_t sent;                  /* records handed to it since */
	struct weir__ledger base;       /* the source side when it was attached */
};

/* One end of a route in a process. */
struct weir__end_account {
	uint32_t id;                    /* of the route; 0: free */
	struct weir__route_stats stats;
};

/* What a host's thread may be in: id, name in messages, what it runs. */
#define WEIR__CALLBACKS(X)                                                     \
	X(NONE,         "",             "nothing of the plugin's")             \
	X(INIT,         "init",         "init()")                              \
	X(START,        "start",        "start()")                             \
	X(STOP,         "stop",         "stop()")                              \
	X(CHECK,        "check",        "check()")                             \
	X(FINI,         "fini",         "fini()")                              \
	X(COLLECT,      "collect",      "collect(), before a scrape")          \
	X(DELIVER,      "deliver",      "deliver() of an output")              \
	X(FLUSH,        "flush",        "flush() of an output")                \
	X(PROBE,        "probe",        "a source's probe()")                  \
	X(PREPARE,      "prepare",      "a source's prepare()")                \
	X(SOURCE_START, "source-start", "a source's start()")                  \
	X(TURN, "turn", "a source's turn()")                                   \
	X(SOURCE_STOP,  "source-stop",  "a source's stop()")                   \
	X(RECORD,       "record",       "a drain of the rings with its record()") \
	X(TICK,         "tick",         "a source's tick()")                   \
	X(TIMER,        "timer",        "a timer of the plugin's")             \
	X(FD,           "fd",           "a descriptor that it watches")        \
	X(WORK_DONE,    "work-done",    "the end of work in the pool")         \
	X(QUERY,        "query",        "the answer to a query")               \
	X(ANSWER,       "answer",       "the answer to a question of its own")

enum weir__callback {
#define X(id, name, doc) WEIR__IN_##id,
	WEIR__CALLBACKS(X)
#undef X
	WEIR__CALLBACK_COUNT
};
const char *weir__callback_name(uint32_t callback); /* async-signal-safe */

/* What the host's thread is doing, for others to see. */
struct weir__doing {
	_Atomic uint32_t callback; /* enum weir__callback: this one, or the last */
	_Atomic uint64_t busy_ns;  /* uv_hrtime() at its beginning; 0: in none */
};

struct weir__account {
	struct weir__doing doing;
	struct weir__kind_account kinds[WEIR_MAX_KINDS];
	struct weir_kind_counts kernel_closed[WEIR_MAX_KINDS]; /* of BPF objects gone */
	uint64_t missed_closed[WEIR_MAX_KINDS], missed[WEIR_MAX_KINDS];
	struct weir__route_account routes[WEIR__MAX_ROUTES]; /* by the host's thread */
	struct weir__end_account ends[WEIR__MAX_ROUTES];     /* by its process's main thread */
};

#endif
