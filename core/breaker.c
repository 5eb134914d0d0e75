/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breaker's table, its window of failures and its waits. See breaker.h for the
 * picture. Cannot fail: it allocates nothing.
 */
#include "breaker.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(s) (1u << WEIR__CIRCUIT_##s)
#define MS 1000000u
#define S  1000000000u

/* The first wait of a closed breaker: long enough for a port or a file of the one
 * that ended to be free again, too short for anybody to miss the plugin. */
#define FIRST_WAIT_NS (100u * MS)
/* Load changes quickly: a plugin that was over its budget is tried after 15 s at most. */
#define BUDGET_MAX_NS (15ull * S)
/* A plugin that has run so long works, even if its cooldown is longer. */
#define PROBATION_MAX_NS (5ull * S)
/* Doubling further says nothing: max_cooldown is at most a day, cooldown 10 ms at least. */
#define MAX_DOUBLINGS 24

static const struct {
	const char *name;
	unsigned next;
} circuits[] = {
	[WEIR__CIRCUIT_CLOSED] = { "closed", BIT(OPEN) },
	[WEIR__CIRCUIT_OPEN] = { "open", BIT(HALF_OPEN) },
	[WEIR__CIRCUIT_HALF_OPEN] = { "half-open", BIT(CLOSED) | BIT(OPEN) },
};

static const struct {
	const char *name, *doc;
	bool at_once;
} causes[] = {
#define X(id, text, once, what) [WEIR__CAUSE_##id] = { text, what, once },
	WEIR__CAUSES(X)
#undef X
};

const char *weir__cause_name(enum weir__cause cause)
{
	return causes[cause].name;
}

const char *weir__cause_doc(enum weir__cause cause)
{
	return causes[cause].doc;
}

const char *weir__circuit_name(enum weir__circuit s)
{
	return circuits[s].name;
}

bool weir__circuit_may_move(enum weir__circuit from, enum weir__circuit to)
{
	return circuits[from].next & (1u << to);
}

void weir__breaker_move(struct weir__breaker *b, enum weir__circuit to, const char *why)
{
	int level = b->quiet ? WEIR_DEBUG : to == WEIR__CIRCUIT_OPEN ? WEIR_WARN : WEIR_INFO;

	if (!weir__circuit_may_move(b->state, to)) {
		weir__log(WEIR_ERROR, b->plugin, "bug: no way for the breaker from %s to %s",
		          circuits[b->state].name, circuits[to].name);
		abort();
	}
	weir__log(level, b->plugin, "breaker %s: %s", circuits[to].name, why);
	b->state = to;
	b->moves[to][b->cause]++;
	b->opened += to == WEIR__CIRCUIT_OPEN;
}

void weir__breaker_configure(struct weir__breaker *b, const struct weir__breaker_config *cfg)
{
	b->cfg = *cfg;
	if (!b->cfg.failures)
		b->cfg.failures = 1;
	if (b->cfg.failures > WEIR__BREAKER_FAILURES)
		b->cfg.failures = WEIR__BREAKER_FAILURES;
	if (b->cfg.max_cooldown_ns < b->cfg.cooldown_ns)
		b->cfg.max_cooldown_ns = b->cfg.cooldown_ns;
}

void weir__breaker_init(struct weir__breaker *b, const char *plugin,
                        const struct weir__breaker_config *cfg)
{
	*b = (struct weir__breaker){ .plugin = plugin };
	weir__breaker_configure(b, cfg);
}

/* ---- how often, how long ------------------------------------------------------------- */

unsigned weir__breaker_recent(const struct weir__breaker *b, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++)
		n += now_ns - b->failed_ns[i] < b->cfg.window_ns;
	return n;
}

static void remember(struct weir__breaker *b, const struct weir__failure *f)
{
	b->failed_ns[b->next] = f->now_ns;
	b->next = (b->next + 1) % WEIR__BREAKER_FAILURES;
	if (b->count < WEIR__BREAKER_FAILURES)
		b->count++;
	b->failures[f->cause]++;
	/* A source that is not there is looked for at each interval, for ever. */
	b->quiet = f->cooldown_ns && b->failed && !strcmp(b->detail, f->detail);
	b->failed = true;
	b->cause = f->cause;
	snprintf(b->detail, sizeof b->detail, "%s", f->detail);
	/* Healthy for a whole window before this: the row of openings has ended. */
	if (b->state == WEIR__CIRCUIT_CLOSED && b->healthy_ns &&
	    f->now_ns - b->healthy_ns >= b->cfg.window_ns)
		b->row = 0;
	b->healthy_ns = 0;
}

/* ns, doubled so many times, at most max. */
static uint64_t doubled(uint64_t ns, unsigned times, uint64_t max)
{
	for (unsigned i = 0; i < times && i < MAX_DOUBLINGS && ns < max; i++)
		ns *= 2;
	return ns < max ? ns : max;
}

/* The wait of an opening: at random between cooldown and what the row has come to. */
static uint64_t draw_wait(const struct weir__breaker *b, enum weir__cause cause, uint64_t random)
{
	uint64_t low = b->cfg.cooldown_ns, max = b->cfg.max_cooldown_ns, high;

	if (cause == WEIR__CAUSE_BUDGET && max > BUDGET_MAX_NS)
		max = BUDGET_MAX_NS;
	if (low > max)
		low = max;
	high = doubled(low, b->row, max);
	return low + (high > low ? random % (high - low + 1) : 0);
}

/* ---- what happens --------------------------------------------------------------------- */

static size_t put_time(uint64_t ns, char *buf, size_t size)
{
	int n = ns < S ? snprintf(buf, size, "%" PRIu64 " ms", (ns + MS - 1) / MS)
	               : snprintf(buf, size, "%.1f s", (double)ns / 1e9);

	return n > 0 ? (size_t)n : 0;
}

size_t weir__breaker_outlook(const struct weir__breaker *b, uint64_t now_ns, char *buf, size_t size)
{
	char window[32], wait[32];
	int n;

	put_time(b->cfg.window_ns, window, sizeof window);
	put_time(b->retry_ns > now_ns ? b->retry_ns - now_ns : 0, wait, sizeof wait);
	n = snprintf(buf, size, "failure %u in %s, it opens at %u; next try in %s",
	             weir__breaker_recent(b, now_ns), window, b->cfg.failures, wait);
	return n > 0 ? (size_t)n : 0;
}

static void open_circuit(struct weir__breaker *b, const struct weir__failure *f)
{
	char outlook[160], why[600];

	weir__breaker_outlook(b, f->now_ns, outlook, sizeof outlook);
	snprintf(why, sizeof why, "%s (%s): %s; %s", causes[f->cause].name, causes[f->cause].doc,
	         b->detail, outlook);
	weir__breaker_move(b, WEIR__CIRCUIT_OPEN, why);
}

uint64_t weir__breaker_failure(struct weir__breaker *b, const struct weir__failure *f)
{
	uint64_t wait;
	unsigned n;

	remember(b, f);
	n = weir__breaker_recent(b, f->now_ns);
	if (b->state == WEIR__CIRCUIT_CLOSED && !f->at_once && !causes[f->cause].at_once &&
	    !f->cooldown_ns && n < b->cfg.failures) {
		wait = doubled(FIRST_WAIT_NS, n ? n - 1 : 0, b->cfg.max_cooldown_ns);
		b->retry_ns = f->now_ns + wait;
		return wait;
	}
	if (f->cooldown_ns) {
		wait = f->cooldown_ns;
	} else {
		if (b->row < MAX_DOUBLINGS)
			b->row++;
		wait = draw_wait(b, f->cause, f->random);
	}
	b->retry_ns = f->now_ns + wait;
	if (b->state != WEIR__CIRCUIT_OPEN)
		open_circuit(b, f);
	return wait;
}

void weir__breaker_try(struct weir__breaker *b)
{
	b->retry_ns = 0;
	if (b->state == WEIR__CIRCUIT_OPEN)
		weir__breaker_move(b, WEIR__CIRCUIT_HALF_OPEN, "one start shows whether it works again");
}

void weir__breaker_success(struct weir__breaker *b, uint64_t now_ns)
{
	if (b->state == WEIR__CIRCUIT_OPEN)
		return; /* said too late: it has failed meanwhile */
	b->quiet = false;
	if (b->state == WEIR__CIRCUIT_HALF_OPEN)
		weir__breaker_move(b, WEIR__CIRCUIT_CLOSED, "it works again");
	if (!b->healthy_ns)
		b->healthy_ns = now_ns;
}

uint64_t weir__breaker_probation_ns(const struct weir__breaker *b)
{
	return b->cfg.cooldown_ns < PROBATION_MAX_NS ? b->cfg.cooldown_ns : PROBATION_MAX_NS;
}

void weir__breaker_reset(struct weir__breaker *b)
{
	b->count = b->next = b->row = 0;
	b->retry_ns = 0;
	b->quiet = false;
	if (b->state == WEIR__CIRCUIT_OPEN)
		weir__breaker_move(b, WEIR__CIRCUIT_HALF_OPEN, "asked for: it is tried at once");
}

void weir__breaker_recall(struct weir__breaker *b, unsigned row)
{
	b->row = row < MAX_DOUBLINGS ? row : MAX_DOUBLINGS;
}
