/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine: what flow.h offers, the queues, and the rounds in which they are worked off.
 *
 * A round takes updates from the queues in turn, then, when all are in, looks at the flows
 * whose time has come. Whenever the emitter refuses, the round ends with nothing changed: the
 * update stays first in its queue, the flow first in its slot.
 * What may fail in a round: memory for a new flow; then the longest idle one ends, and when
 * there is none, the update waits.
 */
#include "flow_priv.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define CHECK 64       /* looks at the clock after so many steps: 20 µs or so */
#define AHEAD_SLOT 8   /* updates whose place in the index is fetched ahead */
#define AHEAD_ROW 4    /* ... and whose row is */

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int queues_init(struct flow_table *t)
{
	size_t count = t->o.shards, size = t->o.queue * sizeof(struct flow_update);

	t->queues = flow_alloc(t, NULL, count * sizeof *t->queues);
	if (!t->queues)
		return -ENOMEM;
	memset(t->queues, 0, count * sizeof *t->queues);
	for (size_t i = 0; i < count; i++) {
		t->queues[i].items = flow_alloc(t, NULL, size);
		if (!t->queues[i].items)
			return -ENOMEM;
	}
	t->owners_due = flow_alloc(t, NULL, FLOW_OWNERS_DUE * sizeof *t->owners_due);
	t->stats.memory_bytes += sizeof *t + count * (sizeof *t->queues + size) +
	                         FLOW_OWNERS_DUE * sizeof *t->owners_due;
	return t->owners_due ? 0 : -ENOMEM;
}

int flow_table_new(const struct pkt_memory *m, const struct flow_options *o, flow_emit_cb emit,
                   flow_keep_cb keep, void *arg, struct flow_table **ret)
{
	struct flow_table *t;
	int rc;

	if (!o->capacity || o->capacity > 1u << 24 || !o->queue || o->queue & (o->queue - 1) ||
	    !o->shards || o->shards > 64 || o->shards & (o->shards - 1))
		return -EINVAL;
	t = m->realloc(m->arg, NULL, sizeof *t);
	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof *t);
	t->m = *m;
	t->o = *o;
	t->emit = emit;
	t->keep = keep;
	t->arg = arg;
	t->seed = o->hash_seed ^ 0x9e3779b97f4a7c15ull;
	t->sources[0] = "";
	t->owners = (struct flow_intern){ .size = sizeof(struct flow_owner_entry),
					  .key = FLOW_OWNER_KEY };
	t->places = (struct flow_intern){ .size = sizeof(struct flow_place), .key = FLOW_PLACE_KEY };
	flow_wheel_init(t);
	rc = queues_init(t);
	if (!rc)
		rc = flow_store_init(t);
	if (rc) {
		flow_table_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	flow_store_fini(t);
	flow_intern_fini(t, &t->owners);
	flow_intern_fini(t, &t->places);
	flow_listen_fini(t);
	for (size_t i = 0; t->queues && i < t->o.shards; i++)
		flow_free(t, t->queues[i].items);
	flow_free(t, t->queues);
	flow_free(t, t->owners_due);
	struct pkt_memory m = t->m;
	m.realloc(m.arg, t, 0);
}

/* ---- adding --------------------------------------------------------------------------------- */

static uint8_t source_number(struct flow_table *t, const char *name)
{
	if (!name)
		return 0;
	for (uint8_t i = 1; i < FLOW_SOURCES; i++) {
		if (!t->sources[i])
			t->sources[i] = name;
		if (t->sources[i] == name || !strcmp(t->sources[i], name))
			return i;
	}
	return 0;
}

static void add_extra(struct flow_table *t, struct flow_update *u, const struct flow_extra *x)
{
	u->outer = u->tunnel_type = 0;
	u->spi = 0;
	u->source = u->approx = 0;
	if (!x)
		return;
	u->spi = x->spi;
	u->approx = x->approx;
	u->source = source_number(t, x->source);
	if (x->netns && u->key.netns) {
		t->netns[u->key.netns % FLOW_NETNS].cookie = u->key.netns;
		t->netns[u->key.netns % FLOW_NETNS].inode = x->netns;
	}
	if (!x->outer)
		return;
	u->outer = 1;
	u->tunnel_type = (uint8_t)x->outer->tunnel;
	u->tunnel_id = x->outer->tunnel_id;
	u->tunnel_sport = x->outer->sport;
	u->tunnel_dport = x->outer->dport;
	memcpy(u->tunnel_src, x->outer->src, 16);
	memcpy(u->tunnel_dst, x->outer->dst, 16);
}

int flow_add(struct flow_table *t, const struct weir_flow_key *k, const struct weir_flow_delta *d,
             const struct flow_extra *x)
{
	uint64_t hash = flow_hash(t->seed, k);
	struct flow_queue *q = &t->queues[hash & (t->o.shards - 1)];
	struct flow_update *u;

	if (q->tail - q->head == t->o.queue) {
		t->stats.refused++;
		return -EAGAIN;
	}
	u = &q->items[q->tail & (t->o.queue - 1)];
	u->key = *k;
	u->d = *d;
	u->hash = hash;
	add_extra(t, u, x);
	q->tail++;
	t->stats.queued++;
	t->stats.added_packets += d->packets[0] + d->packets[1];
	t->stats.added_bytes += d->bytes[0] + d->bytes[1];
	return 0;
}

/* ---- updates into flows ------------------------------------------------------------------------ */

static int end_flow(struct flow_table *t, struct flow_row *r, enum weir_flow_end_reason why)
{
	int rc = flow_emit(t, r, WEIR_FLOW_END, why);

	if (rc < 0)
		return rc;
	t->stats.ended[why]++;
	t->stats.flows--;
	flow_forget(t, r);
	return 0;
}

static bool wanted(struct flow_table *t, const struct flow_update *u)
{
	struct flow_row r = { 0 };
	struct weir_flow o;
	bool yes;

	flow_begin(t, &r, u);
	flow_merge(t, &r, u);
	flow_fill(t, &r, &o);
	flow_forget(t, &r);
	yes = t->keep(t->arg, &o);
	if (!yes) {
		t->stats.filtered_packets += u->d.packets[0] + u->d.packets[1];
		t->stats.filtered_bytes += u->d.bytes[0] + u->d.bytes[1];
	}
	return yes;
}

/* A row for this key: new, or that of the longest idle flow. */
static int take_row(struct flow_table *t, const struct flow_update *u, uint32_t *ret)
{
	uint32_t id = flow_pool_get(t, &t->rows);
	struct flow_row *r;
	int rc;

	if (!id && !t->stats.flows && t->rows.used) {
		flow_store_clear(t); /* all were flushed */
		id = flow_pool_get(t, &t->rows);
	}
	if (!id) {
		id = flow_victim(t);
		if (!id)
			return -ENOMEM;
		r = flow_row(t, id);
		rc = end_flow(t, r, flow_over(r) ? WEIR_END_DETECTED : WEIR_END_RESOURCES);
		if (rc < 0)
			return rc;
		t->stats.evicted++;
		flow_index_remove(t, id);
		/* It stays where it is in the wheel: nothing is armed beyond the horizon. */
		flow_begin(t, r, u);
	} else {
		r = flow_row(t, id);
		flow_begin(t, r, u);
		flow_wheel_arm(t, id, r->last_ns + flow_timeout(t, r));
	}
	flow_index_add(t, id, u->hash);
	*ret = id;
	return 0;
}

static int apply(struct flow_table *t, const struct flow_update *u)
{
	uint32_t id = flow_find(t, &u->key, u->hash);
	struct flow_row *r = id ? flow_row(t, id) : NULL;
	int rc = 0;

	if (r && flow_begins_anew(r, &u->d)) {
		rc = end_flow(t, r, WEIR_END_DETECTED);
		if (rc < 0)
			return rc;
		flow_begin(t, r, u);
		t->stats.flows++;
		t->stats.created++;
	} else if (r && !flow_merge_fits(r, &u->d)) {
		rc = flow_emit(t, r, WEIR_FLOW_UPDATE, WEIR_END_ACTIVE);
		if (rc < 0)
			return rc;
	}
	if (!r) {
		/* A mark alone begins no flow. */
		if (!u->d.first_ns && !(u->d.packets[0] | u->d.packets[1])) {
			t->stats.unmatched++;
			return 0;
		}
		if (t->keep && !wanted(t, u))
			return 0;
		rc = take_row(t, u, &id);
		if (rc < 0)
			return rc;
		r = flow_row(t, id);
		t->stats.flows++;
		t->stats.created++;
	}
	flow_merge(t, r, u);
	if (r->start_due && flow_emit(t, r, WEIR_FLOW_START, WEIR_END_NONE) < 0)
		t->starts_due = true;
	return 0;
}

/* Starts that were refused; rare enough for a walk. */
static bool late_starts(struct flow_table *t)
{
	for (uint32_t id = 1; t->starts_due && id <= t->rows.made; id++) {
		struct flow_row *r = flow_row(t, id);

		if (r->alive && r->start_due && flow_emit(t, r, WEIR_FLOW_START, WEIR_END_NONE) < 0)
			return false;
	}
	t->starts_due = false;
	return true;
}

static void fetch_ahead(const struct flow_table *t, const struct flow_queue *q)
{
	uint64_t mask = t->o.queue - 1, left = q->tail - q->head;

	if (left > AHEAD_SLOT)
		flow_prefetch_slot(t, q->items[(q->head + AHEAD_SLOT) & mask].hash);
	if (left > AHEAD_ROW)
		flow_prefetch_row(t, q->items[(q->head + AHEAD_ROW) & mask].hash);
}

/* Works off the queues; true when they are empty. */
static bool drain(struct flow_table *t, uint64_t until)
{
	unsigned steps = 0;

	for (uint64_t i = 0; i < t->o.shards; i++, t->turn++) {
		struct flow_queue *q = &t->queues[t->turn & (t->o.shards - 1)];

		while (q->head != q->tail) {
			if (!late_starts(t))
				return false;
			fetch_ahead(t, q);
			if (apply(t, &q->items[q->head & (t->o.queue - 1)]) < 0)
				return false;
			q->head++;
			t->stats.queued--;
			if (++steps % CHECK == 0 && clock_ns() >= until)
				return !t->stats.queued && late_starts(t);
		}
	}
	return late_starts(t);
}

/* ---- flows whose time has come -------------------------------------------------------------------- */

/* 0: looked at; <0: refused, nothing changed. */
static int look(struct flow_table *t, uint32_t id)
{
	struct flow_row *r = flow_row(t, id);
	uint64_t deadline, interval = t->o.max_record_interval >> FLOW_TICK_SHIFT;
	uint16_t tick = (uint16_t)(t->now >> FLOW_TICK_SHIFT), since;
	bool more;
	int rc = 0;

	if (!r->alive) {
		flow_pool_put(&t->rows, id);
		return 0;
	}
	deadline = r->last_ns + flow_timeout(t, r);
	if (t->now >= deadline) {
		rc = end_flow(t, r, flow_over(r) ? WEIR_END_DETECTED : WEIR_END_IDLE);
		if (rc < 0)
			return rc;
		flow_index_remove(t, id);
		flow_pool_put(&t->rows, id);
		return 0;
	}
	since = (uint16_t)(tick - r->record_tick);
	more = r->delta_packets[0] | r->delta_packets[1];
	if (since >= interval && more)
		rc = flow_emit(t, r, WEIR_FLOW_UPDATE, WEIR_END_ACTIVE);
	else if (since >= interval) /* due as soon as there is something to say */
		r->record_tick = (uint16_t)(tick - interval);
	if (rc < 0)
		return rc;
	since = (uint16_t)(tick - r->record_tick);
	if (since < interval && t->now + ((interval - since) << FLOW_TICK_SHIFT) < deadline)
		deadline = t->now + ((interval - since) << FLOW_TICK_SHIFT);
	flow_wheel_arm(t, id, deadline);
	return 0;
}

static bool expire(struct flow_table *t, uint64_t until)
{
	unsigned steps = 0;
	uint32_t id;

	while ((id = flow_wheel_due(t))) {
		if (look(t, id) < 0) {
			flow_wheel_again(t, id);
			return false;
		}
		if (++steps % CHECK == 0 && clock_ns() >= until)
			return false;
	}
	return true;
}

/* Sockets that changed hands: one walk for many. */
static void owners(struct flow_table *t)
{
	uint32_t n = t->owner_due_count;

	for (uint32_t id = 1; n && id <= t->rows.made; id++) {
		struct flow_row *r = flow_row(t, id);

		if (!r->alive || !r->cookie)
			continue;
		for (uint32_t i = 0; i < n; i++)
			if (t->owners_due[i].cookie == r->cookie)
				flow_set_owner(t, r, &t->owners_due[i].owner, t->owners_due[i].from);
	}
	t->owner_due_count = 0;
}

bool flow_work(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t until = clock_ns() + budget_ns;

	if (until < budget_ns)
		until = UINT64_MAX;
	if (now_ns > t->now)
		t->now = now_ns;
	if (!drain(t, until))
		return true;
	owners(t);
	return !expire(t, until);
}

bool flow_flush(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns,
		enum weir_flow_end_reason why)
{
	uint64_t until = clock_ns() + budget_ns;
	unsigned steps = 0;

	if (until < budget_ns)
		until = UINT64_MAX;
	if (now_ns > t->now)
		t->now = now_ns;
	if (!drain(t, until))
		return true;
	owners(t);
	for (; t->flush_at < t->rows.made; t->flush_at++) {
		struct flow_row *r = flow_row(t, t->flush_at + 1);

		if (!r->alive)
			continue;
		if (end_flow(t, r, flow_over(r) ? WEIR_END_DETECTED : why) < 0)
			return true;
		/* The row itself is free when the wheel comes to it. */
		flow_index_remove(t, t->flush_at + 1);
		if (++steps % CHECK == 0 && clock_ns() >= until) {
			t->flush_at++;
			return true;
		}
	}
	t->flush_at = 0;
	if (t->stats.flows)
		return true;
	flow_store_clear(t);
	return t->stats.queued > 0;
}

/* ---- the rest of flow.h ----------------------------------------------------------------------------- */

void flow_stats(const struct flow_table *t, struct flow_stats *ret)
{
	*ret = t->stats;
}

void flow_owner(struct flow_table *t, uint64_t cookie, const struct weir_flow_delta *owner)
{
	struct flow_owner_due due = { .cookie = cookie };

	due.from = flow_owner_of(owner, &due.owner);
	if (!cookie || due.from == WEIR_OWNER_NONE)
		return;
	if (t->owner_due_count == FLOW_OWNERS_DUE)
		owners(t);
	t->owners_due[t->owner_due_count++] = due;
}

void flow_walk(struct flow_table *t, flow_walk_cb cb, void *arg)
{
	struct weir_flow o;

	for (uint32_t id = 1; id <= t->rows.made; id++) {
		const struct flow_row *r = flow_row(t, id);

		if (!r->alive)
			continue;
		flow_fill(t, r, &o);
		if (!cb(arg, &o))
			return;
	}
}
