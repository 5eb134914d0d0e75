/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic and text of the ledger. Plain values, no state: whoever holds the
 * counters takes a snapshot and calls this.
 */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	const char *name, *doc;
} reasons[] = {
#define X(id, name, doc) { name, doc },
	WEIR__REASONS(X)
#undef X
};

const char *weir__reason_name(int reason)
{
	return reason >= 0 && reason < WEIR__REASON_COUNT ? reasons[reason].name : "?";
}

const char *weir__reason_doc(int reason)
{
	return reason >= 0 && reason < WEIR__REASON_COUNT ? reasons[reason].doc : "";
}

uint64_t weir__ledger_dropped(const struct weir__ledger *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < WEIR__REASON_COUNT; i++)
		sum += l->dropped[i];
	return sum;
}

int64_t weir__ledger_unexplained(const struct weir__ledger *l)
{
	return (int64_t)(l->seen - l->delivered - l->queued - l->aggregated -
	                 weir__ledger_dropped(l));
}

void weir__ledger_add(struct weir__ledger *to, const struct weir__ledger *l)
{
	to->seen += l->seen;
	to->delivered += l->delivered;
	to->queued += l->queued;
	to->aggregated += l->aggregated;
	for (int i = 0; i < WEIR__REASON_COUNT; i++)
		to->dropped[i] += l->dropped[i];
}

void weir__ledger_sub(struct weir__ledger *from, const struct weir__ledger *l)
{
	from->seen -= l->seen;
	from->delivered -= l->delivered;
	from->queued -= l->queued;
	from->aggregated -= l->aggregated;
	for (int i = 0; i < WEIR__REASON_COUNT; i++)
		from->dropped[i] -= l->dropped[i];
}

size_t weir__ledger_format(const struct weir__ledger *l, char *buf, size_t size)
{
	int64_t lost = weir__ledger_unexplained(l);
	const char *sep = " (";
	size_t n;

#define PUT(...) (n += (size_t)snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, __VA_ARGS__))
	n = 0;
	PUT("seen %" PRIu64 " = delivered %" PRIu64 " + queued %" PRIu64
	    " + aggregated %" PRIu64 " + dropped %" PRIu64, l->seen, l->delivered,
	    l->queued, l->aggregated, weir__ledger_dropped(l));
	for (int i = 0; i < WEIR__REASON_COUNT; i++) {
		if (!l->dropped[i])
			continue;
		PUT("%s%s %" PRIu64, sep, weir__reason_name(i), l->dropped[i]);
		sep = ", ";
	}
	if (*sep == ',')
		PUT(")");
	if (lost)
		PUT(": UNEXPLAINED %" PRId64, lost);
	else
		PUT(": balanced");
#undef PUT
	return n;
}
