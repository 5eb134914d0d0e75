/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic flow: the engine of flows (plugins/lib/flow.h), there only while the topic is wanted.
 *
 * Happy path: on, a source is opened, and what every socket has counted is where it starts from;
 * then a timer steps through rounds, takes closings, and asks whether the topic is still wanted.
 * Off: a last round, then every flow ends with what it had since its last record (forced end), and
 * nothing is kept. So no byte is in two records of this plugin. The host says when the topic is served
 * again, and since when: what the looks from then on found may be in the other's records too, and is
 * counted (handed over). So that it is little, the sockets are read ten times a second while another is
 * about to start. Before it, nobody counted from the end of the other to its first look: that time is
 * counted too.
 * Failure modes: no source works, no memory: said by the tick, which tries again.
 * Threads: the host's loop.
 */
#include "procfs_flow.h"

#include <string.h>

#define RECORDS_STEP 4096       /* emitted in one step, as network does */
#define IDLE_TICK_NS 10000000ull
#define SOON_NS 3000000000ull   /* network's programs are checked by the kernel for a second */

static void *account(void *arg, void *ptr, size_t size)
{
	struct weir_plugin *p = arg;

	return p->host->realloc(p, ptr, size);
}

static struct procfs_flow *of(struct weir_plugin *p)
{
	return ((struct procfs *)weir_state(p))->flow;
}

/* ---- the engine ------------------------------------------------------------------- */

static int emit(void *arg, const struct weir_flow *r)
{
	struct weir_plugin *p = arg;
	struct procfs_flow *f = of(p);

	if (f->emitted >= RECORDS_STEP)
		return -EAGAIN;
	f->emitted++;
	/* What the host cannot take it has counted: for the engine it is emitted. */
	p->host->emit(p, PROCFS_FLOW, r, sizeof *r, 0, 1);
	return 0;
}

static const struct owner_cgroup *place(void *arg, uint64_t cgroup, uint32_t pid)
{
	return owner_cgroup(of(arg)->owners, cgroup, pid);
}

static void work(struct weir_plugin *p, struct procfs_flow *f)
{
	f->emitted = 0;
	flow_work(f->table, f->round_ns, FLOW_ENGINE_NS);
	(void)p;
}

int procfs_flow_add(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                    const struct flow_extra *x)
{
	struct procfs_flow *f = of(arg);
	int rc = flow_add(f->table, k, d, x);

	if (rc == -EAGAIN) {
		work(arg, f);
		rc = flow_add(f->table, k, d, x);
	}
	/* What ended before is only this plugin's. Idle times have the kernel's ticks. */
	if (!rc && (!f->ending || d->first_ns + d->span * 1024ull + IDLE_TICK_NS >= f->served_ns)) {
		struct flow_look *l = &f->look[f->looks % FLOW_LOOKS];

		l->packets += d->packets[0] + d->packets[1];
		l->bytes += d->bytes[0] + d->bytes[1];
	}
	return rc;
}

void procfs_flow_owner(void *arg, uint64_t cookie, const struct weir_flow_delta *d)
{
	flow_owner(of(arg)->table, cookie, d);
}

void procfs_flow_listen(void *arg, const struct weir_flow_listen *l)
{
	struct weir_plugin *p = arg;

	flow_listening(of(p)->table, l->netns_cookie, l->address, l->port, l->transport, l->open);
	weir_emit(p, PROCFS_FLOW_LISTEN, l, sizeof *l);
}

/* ---- on and off -------------------------------------------------------------------- */

static void end_look(struct weir_plugin *p, struct procfs_flow *f)
{
	f->look[f->looks++ % FLOW_LOOKS].end_ns = weir_now(p);
	f->look[f->looks % FLOW_LOOKS] = (struct flow_look){ 0 };
}

/* The first round is over, and what it found is where the sums begin. */
static void tell_gap(struct weir_plugin *p, struct procfs_flow *f)
{
	struct procfs *s = weir_state(p);
	uint64_t since = p->host->topic_since(p, "flow"), now = weir_now(p);

	f->told_gap = true;
	if (!since || since >= now)
		return;
	s->unserved_ns += now - since;
	procfs_put(p, M_FLOW_UNSERVED, true, (double)s->unserved_ns / 1e9, NULL, NULL, NULL);
	weir_log(p, WEIR_INFO, "flows: what passed in %.3f s before this is in no record: the collector "
	         "before has ended, and this one had not begun", (double)(now - since) / 1e9);
}

/* A step, of a new round if it is time for one. */
static void step(struct weir_plugin *p, struct procfs_flow *f, bool due)
{
	/* Owners that are still looked for can wait. */
	if (due && (!f->working || !procfs_flow_reads(f))) {
		f->round_ns = weir_now(p);
		f->working = true;
		procfs_flow_begin(p, f);
	}
	f->working = procfs_flow_step(p, f);
	work(p, f);
	end_look(p, f);
	if (!f->told_gap && (!f->working || !procfs_flow_reads(f)))
		tell_gap(p, f);
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	struct procfs *s = weir_state(p);
	struct procfs_flow *f = arg;
	uint64_t now = weir_now(p), interval = now < f->soon_ns ? FLOW_TIMER_NS : s->flow_interval_ns;

	if (!p->host->topic_wanted(p, "flow")) {
		procfs_flow_off(p);
		return;
	}
	step(p, f, now - f->round_ns + FLOW_TIMER_NS / 2 >= interval);
}

/* What the looks have found that ended when another collector counted already. */
static void tell_handed(struct weir_plugin *p, const struct procfs_flow *f)
{
	struct procfs *s = weir_state(p);
	uint64_t packets = 0, bytes = 0;

	for (unsigned i = 0; i < FLOW_LOOKS; i++)
		if (f->look[i].end_ns >= f->served_ns) {
			packets += f->look[i].packets;
			bytes += f->look[i].bytes;
		}
	s->handed_packets += packets;
	s->handed_bytes += bytes;
	procfs_put(p, M_FLOW_HANDED, true, (double)s->handed_packets, "packets", NULL, NULL);
	procfs_put(p, M_FLOW_HANDED, true, (double)s->handed_bytes, "bytes", NULL, NULL);
	if (packets)
		weir_log(p, WEIR_INFO, "flows: the last look found %llu packets, %llu bytes; of these, what "
		         "came since another collector counts is in its records too",
		         (unsigned long long)packets, (unsigned long long)bytes);
}

static void release(struct weir_plugin *p, struct procfs_flow *f)
{
	struct procfs *s = weir_state(p);

	p->host->timer_stop(f->timer);
	procfs_flow_close(p, f);
	flow_table_free(f->table);
	owner_cache_free(f->owners);
	weir_free(p, f);
	s->flow = NULL;
}

static int make(struct weir_plugin *p, struct procfs_flow *f)
{
	struct procfs *s = weir_state(p);
	/* span.* of network, which has an option for each */
	struct flow_options o = {
		.max_record_interval = 60000000000ull, .generic_timeout = 30000000000ull,
		.icmp_timeout = 10000000000ull, .tcp_timeout = 20000000000ull,
		.tcp_fin_timeout = 5000000000ull, .tcp_rst_timeout = 5000000000ull,
		.udp_timeout = 60000000000ull, .capacity = s->flow_max, .shards = 1, .queue = 1024,
		.hash_seed = p->host->random(p), .place = place };
	int rc = owner_cache_new(&f->memory, &f->owners);

	if (!rc)
		rc = owner_cache_paths(f->owners, s->proc, NULL);
	if (!rc)
		rc = flow_table_new(&f->memory, &o, emit, NULL, p, &f->table);
	if (rc)
		return weir_fail(p, rc, "no memory for %llu flows: set flow.max_flows lower",
		                 (unsigned long long)s->flow_max);
	rc = procfs_flow_open(p, f);
	if (rc)
		return rc;
	f->timer = p->host->timer_start(p, FLOW_TIMER_NS, FLOW_TIMER_NS, on_timer, f);
	return f->timer ? 0 : weir_fail(p, -ENOMEM, "no memory for a timer");
}

int procfs_flow_on(struct weir_plugin *p, bool soon)
{
	struct procfs *s = weir_state(p);
	int rc;

	if (s->flow) {
		if (soon)
			s->flow->soon_ns = weir_now(p) + SOON_NS;
		step(p, s->flow, true);
		/* To its end, if that is near: it may be the last but one. */
		for (int i = 0; i < 3 && procfs_flow_reads(s->flow); i++)
			step(p, s->flow, false);
		return 0;
	}
	s->flow = weir_alloc(p, sizeof *s->flow);
	if (!s->flow)
		return weir_fail(p, -ENOMEM, "no memory for flows");
	memset(s->flow, 0, sizeof *s->flow);
	s->flow->memory = (struct pkt_memory){ account, p };
	rc = make(p, s->flow);
	if (rc)
		release(p, s->flow);
	else
		weir_log(p, WEIR_INFO, "flows come from %s", s->flow->from);
	return rc;
}

void procfs_flow_off(struct weir_plugin *p)
{
	struct procfs_flow *f = of(p);

	if (!f)
		return;
	f->ending = true;
	f->served_ns = p->host->topic_wanted(p, "flow") ? UINT64_MAX : p->host->topic_since(p, "flow");
	procfs_flow_finish(p, f);
	end_look(p, f);
	/* The host takes as much as there is, and counts what it has no room for. */
	do
		f->emitted = 0;
	while (flow_flush(f->table, weir_now(p), FLOW_ENGINE_NS, WEIR_END_FORCED));
	tell_handed(p, f);
	if (f->lost)
		weir_log(p, WEIR_WARN, "flows: %llu packets were lost for want of room",
		         (unsigned long long)f->lost);
	release(p, f);
}
