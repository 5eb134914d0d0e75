/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of flows to the engine, without losing a count.
 *
 *   tick: generation + 1 ─► membarrier on the pool (RCU: programs that began before have
 *   ended) ─► read in batches on the pool (reader.c) ─► net_add() ─► the slots of CPUs
 *   (net_recent.bpf.h) ─► net_pump() up to the flip ─► what was more than a batch is deleted
 *
 * Two maps, one filled and one quiet: what is read is deleted, nothing is written back. The
 * engine's queues full: the rest of the batch waits for the next round of the loop. A drain
 * that is not done when the next is due: no flip, the map goes on filling (`behind`).
 * Failure: a map call that fails ends the drain, and its elements stay for the next but one; or,
 * when some have been read and not deleted, it is made again until it does not fail.
 * Threads: the host's loop; the barrier and the reading run on the pool.
 */
#include "source_bpf.h"

#include <linux/membarrier.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 6000000ull  /* of one round of the loop: callbacks may take 10 ms, a full engine's work 5 */
#define PAUSE_NS 1000000ull

/* Where membarrier refuses (kernels with nohz_full CPUs): longer than any program runs. */
#define SETTLE_US 200000

static void batch_done(struct weir_plugin *p, void *arg);

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
	for (unsigned i = 0; i < NET_READERS; i++) {
		d->reader[i] = net_reader_take(p);
		if (!d->reader[i])
			return weir_fail(p, -ENOMEM, "no memory for %d flows at a time", NET_BATCH);
	}
	return 0;
}

void net_drain_fini(struct weir_plugin *p, struct net_drain *d)
{
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	for (unsigned i = 0; i < NET_READERS; i++) {
		net_reader_give(p, d->reader[i]);
		d->reader[i] = NULL;
	}
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

/* Add what a reader has brought. False: the engine is full for now. */
static bool add_batch(struct weir_plugin *p, struct net_drain *d, struct net_reader *r)
{
	uint64_t begin = weir_now(p);
	struct flow_extra x;
	bool room = true;

	for (; r->at < r->have; r->at++) {
		net_drain_extra(p, d, &r->keys[r->at], &x);
		room = net_add(p, &r->keys[r->at], &r->deltas[r->at], &x) != -EAGAIN;
		if (!room)
			break;
		d->drained++;
		d->took.flows++;
	}
	d->took.add_ns += weir_now(p) - begin;
	return room;
}

/* What a CPU had in its slots. The map comes first: there each of these flows has begun. */
static void take_slots(struct weir_plugin *p, struct net_drain *d, struct net_reader *to)
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
		to->keys[to->have] = r->key;
		to->deltas[to->have++] = (struct weir_flow_delta){
			.packets = { r->packets[0], r->packets[1] }, .bytes = { r->bytes[0], r->bytes[1] },
			.flags = { (uint8_t)r->flags, (uint8_t)(r->flags >> 8) }, .first_ns = r->last_ns };
	}
	memset(slots, 0, sizeof slots);
	if (any)
		p->host->map_update(d->recent, &at, slots, 0);
}

static bool fetch_slots(struct weir_plugin *p, struct net_drain *d, struct net_reader *to)
{
	to->at = to->have = 0;
	while (d->cpu < d->cpus && to->have + WEIR_NET_RECENTS <= NET_BATCH)
		take_slots(p, d, to);
	return to->have;
}

static int quiet_map(const struct net_drain *d)
{
	return d->maps[(d->word.generation + 1) & 1];
}

static void begin_fetch(struct weir_plugin *p, struct net_drain *d)
{
	d->phase = NET_DRAIN_FETCH;
	d->cpu = d->turn = d->errors = 0;
	d->took = (struct net_drain_took){ .wait_ns = weir_now(p) - d->flipped_ns };
	for (unsigned i = 0; i < NET_READERS; i++) {
		net_reader_begin(d->reader[i], quiet_map(d), false);
		d->reader[i]->spent_ns = 0;
	}
}

/* A batch more into r: on the pool, or, without one, on this thread. */
static void next_batch(struct weir_plugin *p, struct net_drain *d, struct net_reader *r, bool here)
{
	if (!here && !d->here && !net_reader_ask(p, r, batch_done))
		return;
	d->here |= !here;
	net_reader_here(r);
}

enum outcome { DONE, MORE, WAITS };

/* A batch could not be read. True: it is being read again. */
static bool failed(struct weir_plugin *p, struct net_drain *d, struct net_reader *r)
{
	if (r->rc == -EPERM && !d->here) { /* bpf(2) is not for the pool's threads here */
		d->here = true;
		net_reader_again(r);
		net_reader_here(r);
		return !r->rc;
	}
	if (!d->errors++)
		weir_log(p, WEIR_WARN, "flows cannot be fetched from the kernel (%s): tried again, nothing "
		         "is lost", strerror(-r->rc));
	if (!r->keep && d->phase == NET_DRAIN_FETCH) {
		r->rc = 0; /* what is left stays in the map, for the next poll but one */
		return true;
	}
	net_reader_again(r); /* part of the map has been read, and is in it still: no way but on */
	return false;
}

/* The rest of the map, after the batch of r. The first batch was read and deleted at once, and
 * mostly it is all there is. More of them are only read, in half of the time, and deleted when
 * all is in the engine. */
static void read_on(struct weir_plugin *p, struct net_drain *d, struct net_reader *r, bool here)
{
	struct net_reader *other = d->reader[d->turn ^ 1];

	if (r->keep || here || d->here)
		net_reader_pass(r, other);
	else
		net_reader_begin(other, r->fd, true);
	r->passed = true;
	next_batch(p, d, other, here);
}

/* A slice of reading and adding. MORE: to be gone on with; WAITS: until a reader is back. */
static enum outcome add_some(struct weir_plugin *p, struct net_drain *d, bool here)
{
	uint64_t until = weir_now(p) + SLICE_NS;

	while (weir_now(p) < until) {
		struct net_reader *r = d->reader[d->turn];

		if (!net_reader_ours(r))
			return WAITS;
		if (r->rc && !failed(p, d, r)) {
			next_batch(p, d, r, here);
			return MORE;
		}
		if (!r->last && !r->passed)
			read_on(p, d, r, here);
		if (!add_batch(p, d, r))
			return MORE;
		if (!r->last)
			d->turn ^= 1;
		else if (!fetch_slots(p, d, r))
			return DONE;
	}
	return MORE;
}

/* What was read, and is in the map still. */
static enum outcome delete_some(struct weir_plugin *p, struct net_drain *d, bool here)
{
	uint64_t until = weir_now(p) + SLICE_NS;
	struct net_reader *r = d->reader[0];

	while (weir_now(p) < until) {
		if (!net_reader_ours(r))
			return WAITS;
		if (r->rc && !failed(p, d, r)) {
			next_batch(p, d, r, here);
			return MORE;
		}
		if (r->last)
			return DONE;
		next_batch(p, d, r, here);
	}
	return MORE;
}

/* All is in the engine. */
static void added(struct weir_plugin *p, struct net_drain *d)
{
	bool kept = d->reader[d->turn]->keep;

	for (unsigned i = 0; i < NET_READERS; i++)
		d->took.read_ns += d->reader[i]->spent_ns;
	d->took.all_ns = weir_now(p) - d->flipped_ns;
	d->phase = kept ? NET_DRAIN_DELETE : NET_DRAIN_IDLE;
	if (kept) {
		net_reader_begin(d->reader[0], quiet_map(d), false);
		d->reader[0]->spent_ns = 0;
	}
	net_pump(p, d->flipped_ns);
}

static enum outcome drain_some(struct weir_plugin *p, struct net_drain *d, bool here)
{
	enum outcome now = DONE;

	if (d->phase == NET_DRAIN_FETCH) {
		now = add_some(p, d, here);
		if (now != DONE)
			return now;
		added(p, d);
	}
	if (d->phase == NET_DRAIN_DELETE) {
		now = delete_some(p, d, here);
		if (now == DONE)
			d->took.delete_ns = d->reader[0]->spent_ns;
	}
	return now;
}

static void drained(struct net_drain *d)
{
	d->phase = NET_DRAIN_IDLE;
	d->rounds++;
	if (d->took.all_ns > d->most.all_ns)
		d->most = d->took;
}

static void drain_on(struct weir_plugin *p, void *arg)
{
	struct net_drain *d = arg;
	enum outcome now = drain_some(p, d, false);

	if (now == MORE) {
		if (!d->timer)
			d->timer = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, drain_on, d);
		return;
	}
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	if (now == DONE)
		drained(d);
}

static void batch_done(struct weir_plugin *p, void *arg)
{
	struct network *n = weir_state(p);

	(void)arg;
	if (n->bpf && n->bpf->drain.phase >= NET_DRAIN_FETCH)
		drain_on(p, &n->bpf->drain); /* another drain's perhaps: a slice too many does no harm */
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
	begin_fetch(p, &n->bpf->drain);
	next_batch(p, &n->bpf->drain, n->bpf->drain.reader[0], false);
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
	uint64_t before = 0;
	uint32_t stuck = 0;

	while (drain_some(p, d, true) != DONE) {
		n->round_records = 0;
		net_pump(p, 0);
		stuck = d->drained == before ? stuck + 1 : 0;
		before = d->drained;
		if (d->errors > 100) /* the map goes with its source */
			return;
		if (stuck < 1000) /* of 5 ms */
			continue;
		for (unsigned i = 0; i < NET_READERS; i++) {
			struct net_reader *r = d->reader[i];

			for (; r->at < r->have; r->at++)
				d->refused_packets += r->deltas[r->at].packets[0] + r->deltas[r->at].packets[1];
		}
	}
}

static void read_whole(struct weir_plugin *p, struct net_drain *d)
{
	begin_fetch(p, d);
	next_batch(p, d, d->reader[0], true);
	drain_whole(p, d);
}

void net_drain_rest(struct weir_plugin *p, struct net_drain *d)
{
	bool fetching = d->phase >= NET_DRAIN_FETCH;

	if (!d->reader[0] || !d->reader[1])
		return;
	for (unsigned i = 0; i < NET_READERS; i++)
		net_reader_halt(d->reader[i]);
	if (d->phase == NET_DRAIN_BARRIER)
		barrier(NULL);
	p->host->timer_stop(d->timer);
	d->timer = NULL;
	if (fetching)
		drain_whole(p, d);
	read_whole(p, d); /* what an earlier flip left */
	/* The programs may run on for a successor that has taken them over. */
	if (flip(p, d))
		d->word.generation++;
	barrier(NULL);
	read_whole(p, d);
	d->phase = NET_DRAIN_IDLE;
	if (d->refused_packets)
		weir_log(p, WEIR_ERROR, "%llu packets were counted and have no record: outputs took "
		         "none for 5 s while the source ended", (unsigned long long)d->refused_packets);
	net_pump(p, weir_now(p));
}
