/* SPDX-License-Identifier: Apache-2.0 */
/* Expectations against records. See expect.h. */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 12 /* of many rows that differ, these tell enough */

void expect_init(struct expectations *e, size_t room)
{
	e->row = calloc(room, sizeof *e->row);
	if (!e->row)
		net_die("no memory");
	e->count = 0;
	e->room = room;
}

void expect_fini(struct expectations *e)
{
	free(e->row);
	memset(e, 0, sizeof *e);
}

void expect(struct expectations *e, const struct expectation *row)
{
	if (e->count == e->room)
		net_die("more expectations than room");
	e->row[e->count++] = *row;
}

static struct flow *find(const struct expectation *x, const struct watch *w)
{
	return flows_find(&w->flows, x->scope, x->netns, x->transport, &x->a, &x->b);
}

static bool all_ended(struct watch *w, void *arg)
{
	const struct expectations *e = arg;

	for (size_t i = 0; i < e->count; i++) {
		const struct flow *f = find(&e->row[i], w);

		if (!f || !f->ends)
			return false;
	}
	return true;
}

bool expect_ends(struct expectations *e, struct watch *w, unsigned seconds)
{
	return watch_until(w, all_ended, e, seconds);
}

static bool same(const struct counts *a, const struct counts *b)
{
	return a->packets == b->packets && a->bytes == b->bytes;
}

static const char *difference(const struct expectation *x, const struct flow *f)
{
	unsigned a = f ? flow_end(f, &x->a) : 0;

	if (!f)
		return "no record";
	if (f->sampled || f->approx)
		return "not exact";
	if (!same(&f->from[a], &x->from_a) || !same(&f->from[!a], &x->from_b))
		return "counts";
	if (memcmp(f->from, f->total, sizeof f->from))
		return "deltas are not the totals";
	if (x->pid && f->pid != x->pid)
		return "owner";
	if (x->end && (f->records != 1 || strcmp(f->end_reason, x->end)))
		return "end, or more than one record";
	return NULL;
}

size_t expect_differences(const struct expectations *e, const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct expectation *x = &e->row[i];
		const struct flow *f = find(x, w);
		const char *what = difference(x, f);

		if (!what || n++ >= SHOWN)
			continue;
		printf("    %s: %s: expected %llu packets %llu bytes, back %llu %llu, pid %u, netns %llu\n", x->what,
		       what, (unsigned long long)x->from_a.packets, (unsigned long long)x->from_a.bytes,
		       (unsigned long long)x->from_b.packets, (unsigned long long)x->from_b.bytes, x->pid,
		       (unsigned long long)x->netns);
		if (f)
			flow_print(f, "got");
	}
	return n;
}
