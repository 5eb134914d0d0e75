/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: what became of every record, per route.
 *
 *     seen = delivered + queued + aggregated + sum of dropped[reason]
 *
 * Counters are kept where the loss happens: in the kernel per CPU (struct
 * weir_kind_counts), at the collector's host, and at the route. All are
 * monotonic; this header is the one list of reasons.
 */
#ifndef WEIR_CORE_LEDGER_H
#define WEIR_CORE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

/* id, name in metrics and status, where it is counted and why */
#define WEIR__REASONS(X)                                                       \
	X(FILTERED,     "filtered",     "a filter left it out")                \
	X(SAMPLED,      "sampled",      "sampling left it out; weights make up for it") \
	X(RATE_LIMITED, "rate_limited", "over the plugin's events per second") \
	X(RING_FULL,    "ring_full",    "no room in the kernel's ring buffer") \
	X(MISSED,       "missed",       "the kernel skipped the program: recursion, or a lock in NMI") \
	X(TOO_BIG,      "too_big",      "longer than a record may be, or malformed") \
	X(MAP_FULL,     "map_full",     "a bounded map had no room for the key") \
	X(QUEUE_FULL,   "queue_full",   "the route's queue was at its limit, or memory was short") \
	X(BREAKER_OPEN, "breaker_open", "the output's breaker was open")       \
	X(REJECTED,     "rejected",     "the output refused it for good")      \
	X(CRASHED,      "crashed",      "in flight when a host ended before its deadline")

enum weir__reason {
#define X(id, name, doc) WEIR__##id,
	WEIR__REASONS(X)
#undef X
	WEIR__REASON_COUNT
};
const char *weir__reason_name(int reason);
const char *weir__reason_doc(int reason);

struct weir__ledger {
	uint64_t seen, delivered, queued, aggregated;
	uint64_t dropped[WEIR__REASON_COUNT];
};

uint64_t weir__ledger_dropped(const struct weir__ledger *l);
/* seen minus everything that is explained; 0 is balanced. */
int64_t weir__ledger_unexplained(const struct weir__ledger *l);
void weir__ledger_add(struct weir__ledger *to, const struct weir__ledger *l);
void weir__ledger_sub(struct weir__ledger *from, const struct weir__ledger *l);
/* "seen 10 = delivered 7 + queued 0 + aggregated 0 + dropped 3 (ring_full 3): balanced" */
size_t weir__ledger_format(const struct weir__ledger *l, char *buf, size_t size);

#endif
