/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of flows to the engine, without losing a count.
 *
 *   tick: generation + 1 ─► membarrier on the pool (RCU: programs that began before have
 *   ended) ─► fetch and delete in batches ─► net_add() ─► net_pump() up to the flip
 *
 * Two maps, one filled and one quiet: what is read is deleted, nothing is written back. The
 * engine's queues full: the rest of the batch waits for the next round of the loop. A drain
 * that is not done when the next is due: no flip, the map goes on filling (`behind`).
 * Failure: a map call that fails ends the drain; its elements stay for the next but one.
 * Threads: the host's loop; the barrier alone runs on the pool.
 */
#include "source_bpf.h"

#include <linux/membarrier.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 8000000ull  /* of one round of the loop: callbacks may take 10 ms */
#define PAUSE_NS 1000000ull

/* Where membarrier refuses (kernels with nohz_full CPUs): longer than any program runs. */
#define SETTLE_US 200000

int net_drain_init(struct weir_plugin *p, struct net_drain *d)
{
	const struct weir_host *h = p->host;
	struct stat own;

	d->maps[0] = h->bpf_map(p, "net_flows_a");
	d->maps[1] = h->bpf_map(p, "net_flows_b");
	d->control = h->bpf_map(p, "net_control");
	d->names = h->bpf_map(p, "net_names");
	if (!stat("/proc/thread-self/ns/net", &own))
		d->own_inum = (uint32_t)own.st_ino;
	d->recent = h->bpf_map(p, "net_recent");
	d->cpus = h->cpus(p);
	if (d->names < 0 || d->recent < 0 || d->maps[0] < 0 || d->maps[1] < 0 || d->control < 0)
		return weir_fail(p, -ENOENT, "the BPF object lacks its maps");
	d->keys = weir_alloc(p, NET_BATCH * sizeof *d->keys);
	d->deltas = weir_alloc(p, NET_BATCH * sizeof *d->deltas);
	if (!d->keys || !d->deltas)
		return weir_fail(p, -ENOMEM, "no memory for %d flows at a time", NET_BATCH);
	return 0;
}

void net_drain_fini(struct weir_plugin *p, struct net_drain *d)
{
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	weir_free(p, d->keys);
	weir_free(p, d->deltas);
	d->keys = NULL;
	d->deltas = NULL;
}

static uint32_t netns_of(struct weir_plugin *p, struct net_drain *d, uint64_t cookie)
{
	uint32_t at = (uint32_t)cookie % NET_NAMES;

	if (!cookie)
		return 0;
	if (d->name[at].cookie != cookie &&
	    !p->host->map_lookup(d->names, &cookie, &d->name[at].inum))
		d->name[at].cookie = cookie;
	return d->name[at].cookie == cookie ? d->name[at].inum : 0;
}

void net_drain_extra(struct weir_plugin *p, struct net_drain *d, const struct weir_flow_key *k,
                     struct flow_extra *ret)
{
	bool wire = k->scope == WEIR_FLOW_WIRE;

	*ret = (struct flow_extra){ .source = wire ? "wire" : "bpf",
		.netns = wire ? d->own_inum : netns_of(p, d, k->netns) };
}

/* Add what is in the buffers. False: the engine is full for now. */
static bool add_batch(struct weir_plugin *p, struct net_drain *d)
{
	struct flow_extra x;

	for (; d->at < d->have; d->at++) {
		net_drain_extra(p, d, &d->keys[d->at], &x);
		if (net_add(p, &d->keys[d->at], &d->deltas[d->at], &x) == -EAGAIN)
			return false;
		d->drained++;
	}
	return true;
}

/* The next batch. False: nothing is left, or the kernel says no. */
static bool fetch(struct weir_plugin *p, struct net_drain *d, int fd)
{
	uint32_t count = NET_BATCH;
	uint64_t begin = weir_now(p);
	int rc;

	rc = p->host->map_drain(fd, &d->token, d->first, d->keys, d->deltas, &count);
	d->fetch_ns += weir_now(p) - begin;
	d->first = false;
	d->at = 0;
	d->have = rc && rc != -ENOENT ? 0 : count;
	d->last = rc != 0;
	if (rc && rc != -ENOENT)
		weir_log(p, WEIR_WARN, "flows cannot be fetched from the kernel (%s): tried again "
		         "at the next poll, nothing is lost", strerror(-rc));
	return d->have || !d->last;
}

/* What a CPU had in its slots. The map comes first: there each of these flows has begun. */
static void take_slots(struct weir_plugin *p, struct net_drain *d)
{
	struct weir_net_recent slots[WEIR_NET_RECENTS];
	uint32_t at = d->cpu++ * 2 + ((d->word.generation + 1) & 1);
	bool any = false;

	if (p->host->map_lookup(d->recent, &at, slots))
		return;
	for (uint32_t i = 0; i < WEIR_NET_RECENTS; i++) {
		const struct weir_net_recent *r = &slots[i];

		any |= r->cookie != 0;
		if (!r->cookie || !(r->packets[0] | r->packets[1]))
			continue;
		d->keys[d->have] = r->key;
		d->deltas[d->have++] = (struct weir_flow_delta){
			.packets = { r->packets[0], r->packets[1] }, .bytes = { r->bytes[0], r->bytes[1] },
			.flags = { (uint8_t)r->flags, (uint8_t)(r->flags >> 8) }, .first_ns = r->last_ns };
	}
	memset(slots, 0, sizeof slots);
	if (any)
		p->host->map_update(d->recent, &at, slots, 0);
}

static bool fetch_slots(struct weir_plugin *p, struct net_drain *d)
{
	d->at = d->have = 0;
	while (d->cpu < d->cpus && d->have + WEIR_NET_RECENTS <= NET_BATCH)
		take_slots(p, d);
	return d->have;
}

static int quiet_map(const struct net_drain *d)
{
	return d->maps[(d->word.generation + 1) & 1];
}

static void begin_fetch(struct net_drain *d)
{
	d->phase = NET_DRAIN_FETCH;
	d->first = true;
	d->last = false;
	d->at = d->have = d->cpu = 0;
	d->fetch_ns = 0;
}

/* A slice. True: done. */
static bool drain_some(struct weir_plugin *p, struct net_drain *d)
{
	uint64_t until = weir_now(p) + SLICE_NS;

	for (;;) {
		if (!add_batch(p, d))
			return false;
		if (d->last ? !fetch_slots(p, d) : !fetch(p, d, quiet_map(d)))
			break;
		if (weir_now(p) > until)
			return false;
	}
	return d->at == d->have;
}

static void drain_on(struct weir_plugin *p, void *arg)
{
	struct net_drain *d = arg;

	if (!drain_some(p, d)) {
		if (!d->timer)
			d->timer = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, drain_on, d);
		return;
	}
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	d->phase = NET_DRAIN_IDLE;
	d->rounds++;
	d->took_ns = weir_now(p) - d->flipped_ns;
	if (d->took_ns > d->most_ns) {
		d->most_ns = d->took_ns;
		d->most_fetch_ns = d->fetch_ns;
	}
	net_pump(p, d->flipped_ns);
}

static void barrier(void *arg)
{
	(void)arg;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(SETTLE_US);
}

static void barrier_done(struct weir_plugin *p, void *arg)
{
	struct network *n = weir_state(p);

	if (!n->bpf || n->bpf->drain.phase != NET_DRAIN_BARRIER || n->barriers != (uintptr_t)arg)
		return; /* stopped in between, and perhaps started again: then another is waited for */
	begin_fetch(&n->bpf->drain);
	drain_on(p, &n->bpf->drain);
}

static int flip(struct weir_plugin *p, struct net_drain *d)
{
	uint32_t zero = 0;
	int rc;

	d->word.generation++;
	rc = p->host->map_update(d->control, &zero, &d->word, 0);
	if (rc)
		d->word.generation--;
	d->flipped_ns = weir_now(p);
	return rc;
}

void net_drain_tick(struct weir_plugin *p, struct net_drain *d)
{
	struct network *n = weir_state(p);

	if (d->phase != NET_DRAIN_IDLE) {
		d->behind++;
		return;
	}
	if (flip(p, d))
		return;
	d->inserted = net_bpf_inserts(n);
	d->phase = NET_DRAIN_BARRIER;
	n->barriers++;
	if (p->host->work(p, barrier, barrier_done, (void *)n->barriers)) {
		barrier(NULL); /* no pool: rather 30 ms here than a lost count */
		barrier_done(p, (void *)n->barriers);
	}
}

void net_drain_early(struct weir_plugin *p, struct net_drain *d)
{
	if (d->phase != NET_DRAIN_IDLE)
		return;
	d->early++;
	net_drain_tick(p, d);
}

/* The map being drained to its end. The engine gets as many rounds as its queues need; each
 * takes what flow_work() can do, so a full queue empties unless records have no way out. */
static void drain_whole(struct weir_plugin *p, struct net_drain *d)
{
	struct network *n = weir_state(p);
	uint32_t stuck = 0;

	while (!drain_some(p, d)) {
		if (d->at == d->have)
			continue;
		n->round_records = 0;
		net_pump(p, 0);
		if (++stuck < 1000) /* of 5 ms */
			continue;
		for (; d->at < d->have; d->at++)
			d->refused_packets += d->deltas[d->at].packets[0] + d->deltas[d->at].packets[1];
	}
}

void net_drain_rest(struct weir_plugin *p, struct net_drain *d)
{
	bool fetching = d->phase == NET_DRAIN_FETCH;

	if (!d->keys || !d->deltas)
		return;
	barrier(NULL);
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	if (!fetching)
		begin_fetch(d);
	d->phase = NET_DRAIN_FETCH;
	drain_whole(p, d); /* what an earlier flip left */
	d->word.generation++;
	begin_fetch(d);
	drain_whole(p, d);
	d->phase = NET_DRAIN_IDLE;
	if (d->refused_packets)
		weir_log(p, WEIR_ERROR, "%llu packets were counted and have no record: outputs took "
		         "none for 5 s while the source ended", (unsigned long long)d->refused_packets);
	net_pump(p, weir_now(p));
}
