/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The circuit breaker around a plugin: how often it may fail, and when it is tried
 * again.
 *
 *           failures >= limit in the window,
 *           or a cause that opens at once          cooldown is over, or
 *              +----------------------> open       a person says so
 *              |                        ^  |
 *           closed              failure |  +----+
 *              ^                        |       v
 *              +---- healthy --------- half-open (one start)
 *
 * Closed and below the limit: a failed plugin is tried again soon, 100 ms later and
 * each time twice that. Open: after a time drawn at random between cooldown and an
 * upper end that doubles with every opening in a row, up to max_cooldown, so that a
 * thousand nodes with the same trouble do not all try at the same moment. The row
 * ends when the plugin has been closed and healthy for a whole window.
 *
 * Invariant: retry_ns is set whenever the plugin is not to be started before. One
 * function moves, counts and logs; a move outside the table aborts. Nothing here
 * knows a clock or a random source: both are given. Main thread.
 */
#ifndef WEIR_CORE_BREAKER_H
#define WEIR_CORE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* id, name in status and metrics, opens the breaker at once, what it is */
#define WEIR__CAUSES(X)                                                                        \
	X(START,    "start",    false, "it could not start, or none of its sources works")     \
	X(CALLBACK, "callback", false, "a callback returned an error while it ran")            \
	X(DEADLINE, "deadline", true,  "a callback kept its loop longer than the deadline")    \
	X(CRASH,    "crash",    false, "it crashed")                                           \
	X(DELIVERY, "delivery", true,  "the output refused everything it was given")           \
	X(BUDGET,   "budget",   true,  "it stayed over its budget")

enum weir__cause {
#define X(id, name, at_once, doc) WEIR__CAUSE_##id,
	WEIR__CAUSES(X)
#undef X
	WEIR__CAUSE_COUNT
};
const char *weir__cause_name(enum weir__cause cause);
const char *weir__cause_doc(enum weir__cause cause);

#define WEIR__CIRCUITS(X)                                                                      \
	X(CLOSED,    "closed",    "as it should be; a failed plugin is tried again soon")      \
	X(OPEN,      "open",      "nothing of it runs until the cooldown is over")             \
	X(HALF_OPEN, "half-open", "one start shows whether it works again")

enum weir__circuit {
#define X(id, name, doc) WEIR__CIRCUIT_##id,
	WEIR__CIRCUITS(X)
#undef X
	WEIR__CIRCUIT_COUNT
};
const char *weir__circuit_name(enum weir__circuit s);
bool weir__circuit_may_move(enum weir__circuit from, enum weir__circuit to);

/* Bound of the limit, and of the times that are remembered: more failures within a
 * window than this say nothing new. */
#define WEIR__BREAKER_FAILURES 64

struct weir__breaker_config {
	unsigned failures; /* limit within the window, 1 to WEIR__BREAKER_FAILURES */
	uint64_t window_ns, cooldown_ns, max_cooldown_ns;
};

struct weir__breaker {
	const char *plugin; /* for the log; outlives the breaker */
	struct weir__breaker_config cfg;
	enum weir__circuit state;
	uint64_t failed_ns[WEIR__BREAKER_FAILURES]; /* a ring */
	unsigned next, count;
	unsigned row;       /* openings in a row */
	uint64_t retry_ns;  /* not to be started before; 0: may be */
	uint64_t healthy_ns;/* has been so since; 0: is not, or has not shown it */
	bool failed;        /* cause and detail are of the last failure */
	bool quiet;         /* the same is found again and again: said at level debug */
	enum weir__cause cause;
	char detail[320];
	uint64_t opened;    /* times */
	uint64_t failures[WEIR__CAUSE_COUNT];
	uint64_t moves[WEIR__CIRCUIT_COUNT][WEIR__CAUSE_COUNT]; /* by where to, and what had opened it */
};

struct weir__failure {
	enum weir__cause cause;
	const char *detail;  /* a sentence; copied */
	uint64_t now_ns;
	uint64_t random;     /* any 64 bits */
	bool at_once;        /* it cannot get better soon: open, whatever the count */
	uint64_t cooldown_ns;/* exactly this long, and no part of a row; 0: as the breaker says */
};

/* Closed, all counts 0. Limits out of range are brought into it. */
void weir__breaker_init(struct weir__breaker *b, const char *plugin,
                        const struct weir__breaker_config *cfg);
/* New limits; state and counts stay. */
void weir__breaker_configure(struct weir__breaker *b, const struct weir__breaker_config *cfg);
/* The plugin failed and nothing of it runs. Returns ns until it may be tried again. */
uint64_t weir__breaker_failure(struct weir__breaker *b, const struct weir__failure *f);
/* The plugin is being started: from open that is the probe. */
void weir__breaker_try(struct weir__breaker *b);
/* It has run for weir__breaker_probation_ns() without failing. */
void weir__breaker_success(struct weir__breaker *b, uint64_t now_ns);
/* How long a start must hold to count as a success. */
uint64_t weir__breaker_probation_ns(const struct weir__breaker *b);
/* A person wants it tried: what was is forgiven, an open breaker lets one start pass. */
void weir__breaker_reset(struct weir__breaker *b);
/* So many openings count as having come before (crashes of earlier processes). */
void weir__breaker_recall(struct weir__breaker *b, unsigned row);
/* Failures in the window that ends now. */
unsigned weir__breaker_recent(const struct weir__breaker *b, uint64_t now_ns);
/* "failure 2 of 5 in 60 s; next try in 200 ms": the end of a log line. snprintf-like. */
size_t weir__breaker_outlook(const struct weir__breaker *b, uint64_t now_ns, char *buf, size_t size);

/* The one function that moves, counts and logs. For the above and the test. */
void weir__breaker_move(struct weir__breaker *b, enum weir__circuit to, const char *why);

#endif
