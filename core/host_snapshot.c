/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host says of itself: account, programs, maps, rings, callbacks. Taken on
 * the host's thread, so its own counters stand still. For the kernel's, the rings
 * are drained first: if then the ring is empty and nothing new was seen, `queued`
 * is exactly 0 and anything left is unexplained; under load it is what the kernel
 * has seen and nobody has taken yet.
 *
 * A program counts what it has seen before it has room for it or says why not, and may be
 * interrupted in between, its CPU taken away too. So what looks lost is on its way until
 * every program that ran has ended, and no other has begun.
 */
#include "host_priv.h"
#include "ring.h"

#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where membarrier refuses (kernels with nohz_full CPUs): longer than any program runs. */
#define SETTLE_US 200000

static uint64_t rings_avail(struct weir__host *h, uint64_t *ret_size)
{
	struct weir__ring *const *rings;
	size_t n = h->bpf ? weir__bpf_rings(h->bpf, &rings) : 0;
	uint64_t avail = 0;

	*ret_size = 0;
	for (size_t i = 0; i < n; i++) {
		avail += weir__ring_avail(rings[i]);
		*ret_size += weir__ring_size(rings[i]);
	}
	return avail;
}

/* What the kernel has seen and nobody's account has, although the rings are empty and it
 * is quiet: lost, or a program is between its count and its record. */
static int64_t find_gap(struct weir__host *h, uint32_t topics, uint64_t *ret_seen)
{
	struct weir__ledger account;
	uint64_t seen, size;
	int64_t gap = 0;

	for (int i = 0; i < 4; i++) {
		seen = weir__emit_seen(h, topics);
		weir__emit_account(h, topics, &account);
		gap = (int64_t)(seen - account.seen);
		if (!gap || rings_avail(h, &size) || weir__emit_seen(h, topics) != seen)
			return 0;
	}
	*ret_seen = seen;
	return gap;
}

/* Only what is still a gap when the programs of then have ended, and nothing was seen
 * since, is lost for certain. That blocks for some 20 ms, so it is done when there is a
 * gap larger than the one that is known. Until it can be said, it is on its way; when
 * the source ends it is said at the latest. */
static int64_t find_unexplained(struct weir__host *h, uint32_t topics)
{
	uint64_t seen, again = 0;
	int64_t gap = find_gap(h, topics, &seen);

	if (gap <= h->unexplained)
		return gap;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(SETTLE_US);
	gap = find_gap(h, topics, &again);
	return again == seen ? gap : 0;
}

static void snapshot_topics(struct weir__host *h, struct weir__snapshot *s)
{
	s->topic_count = h->topic_count;
	for (size_t t = 0; t < h->topic_count; t++) {
		weir__emit_account(h, 1u << t, &s->topics[t]);
		s->in_ring[t] = weir__emit_seen(h, 1u << t) - s->topics[t].seen;
		s->records += s->topics[t].delivered;
	}
	s->route_count = h->route_count;
	for (size_t i = 0; i < h->route_count; i++) {
		struct weir__ledger *l = &s->routes[i].source;
		uint64_t accounted;

		s->routes[i].id = h->routes[i].account->id;
		weir__emit_account(h, h->routes[i].account->topics, l);
		accounted = l->seen;
		weir__ledger_sub(l, &h->routes[i].account->base);
		l->queued = weir__emit_seen(h, h->routes[i].account->topics) - accounted;
		l->seen += l->queued;
		if (h->waiting) {
			l->seen -= l->queued;
			l->queued = 0; /* counted from the moment it takes over */
		}
		/* the rings were empty then: that is in none */
		l->queued -= (uint64_t)h->unexplained < l->queued ? (uint64_t)h->unexplained : l->queued;
		/* Only this thread sends, so the route's side is of the same moment. */
		weir__route_stats(h->routes[i].route, &s->routes[i].stats);
	}
}

static void snapshot_bpf(struct weir__host *h, struct weir__snapshot *s)
{
	struct weir__bpf_program *rows;

	if (!h->bpf)
		return;
	s->program_count = weir__bpf_programs(h->bpf, &rows);
	memcpy(s->programs, rows, s->program_count * sizeof *rows);
	s->map_count = weir__bpf_maps(h->bpf, s->maps, sizeof s->maps / sizeof s->maps[0]);
	for (size_t i = 0; i < s->map_count; i++)
		s->map_bytes += s->maps[i].bytes;
	s->ring_avail = rings_avail(h, &s->ring_bytes);
	s->drains = h->drain.drains;
	s->wakes = h->drain.wake_count;
	s->drain_interval_s = h->drain.mode == DRAIN_POLLING ? (double)h->drain.interval_ns / 1e9 : 0;
}

void weir__host_snapshot(struct weir__host *h, struct weir__snapshot *s)
{
	const struct weir_source *src = h->source < 0 ? NULL
		: weir_table_row(&h->desc->sources, (uint32_t)h->source);

	memset(s, 0, sizeof *s);
	s->taken_ns = uv_hrtime();
	if (h->bpf && !h->waiting && !weir__emit_blocked(h))
		weir__drain_now(h);
	weir__emit_update_missed(h);
	weir__emit_flush(h);
	if (h->bpf && !h->waiting)
		h->unexplained = find_unexplained(h, (1u << h->topic_count) - 1);
	s->unexplained = h->unexplained;
	snapshot_topics(h, s);
	snapshot_bpf(h, s);
	s->heap_bytes = atomic_load(&h->heap_bytes);
	memcpy(s->callbacks, h->callbacks, sizeof s->callbacks);
	s->callback_ns = h->callback_ns;
	memcpy(s->deliveries, h->deliveries, sizeof s->deliveries);
	s->delivery_ns = h->delivery_ns;
	s->overruns = h->overruns;
	s->tick_interval_s = h->tick_on ? (double)uv_timer_get_repeat(&h->tick) / 1e3 : 0;
	s->ticks = h->ticks;
	s->failures = h->failures;
	s->batches = h->batches;
	s->delivered_batches = h->delivered_batches;
	if (src) {
		snprintf(s->source, sizeof s->source, "%s", src->name);
		snprintf(s->quality, sizeof s->quality, "%s",
		         h->approx ? "approx" : src->quality ? src->quality : "");
	}
}
