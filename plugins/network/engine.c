/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the sources and the engine: makes the table of flows, works it off in rounds of the
 * loop, and emits its records.
 *
 * A round works 5 ms and emits flow_span_queue_capacity records at most; what is left goes on
 * 1 ms later, so that rings and timers get their turn. What may fail: memory, at init.
 */
#include "network.h"

#include <string.h>

#define ROUND_NS 5000000ull  /* half of what a callback may take */
#define PAUSE_NS 1000000ull  /* timers have 1 ms */
#define ADDRESSES_NS 10000000000ull /* addresses come and go with interfaces */

static void *engine_realloc(void *arg, void *ptr, size_t size)
{
	struct weir_plugin *p = arg;

	return p->host->realloc(p, ptr, size);
}

/* One record of the engine. Refused when the round has made enough: it comes again. */
static int emit(void *arg, const struct weir_flow *r)
{
	struct weir_plugin *p = arg;
	struct network *n = weir_state(p);
	struct weir_flow named;

	if (n->round_records >= n->span_queue_capacity)
		return -EAGAIN;
	n->round_records++;
	net_count(n, r);
	named = *r;
	net_interface_fill(p, &named);
	net_reason_fill(n, &named);
	/* What the host cannot take it has counted: for the engine it is emitted. */
	p->host->emit(p, WEIR_NET_FLOW, &named, sizeof named, 0, 1);
	return 0;
}

static bool keep(void *arg, const struct weir_flow *r)
{
	struct weir_plugin *p = arg;
	struct weir_flow named = *r;

	net_interface_fill(p, &named);
	return net_filter_wants(weir_state(p), &named);
}

static const struct owner_cgroup *place(void *arg, uint64_t cgroup, uint32_t pid)
{
	struct network *n = weir_state((struct weir_plugin *)arg);

	return owner_cgroup(n->owners, cgroup, pid);
}

int net_engine_init(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	int rc;

	n->memory = (struct pkt_memory){ engine_realloc, p };
	n->flow.capacity = n->store_capacity;
	n->flow.shards = n->workers;
	n->flow.queue = n->worker_queue_capacity;
	n->flow.community_id_seed = (uint16_t)n->community_id_seed;
	n->flow.start_records = n->start_records;
	n->flow.hash_seed = p->host->random(p);
	n->flow.place = n->owner == NET_OWNER_FULL ? place : NULL;
	net_interface_init(n);
	rc = n->flow.place ? owner_cache_new(&n->memory, &n->owners) : 0;
	if (!rc)
		rc = flow_table_new(&n->memory, &n->flow, emit, n->filtering ? keep : NULL, p,
				    &n->flows);
	if (rc)
		return weir_fail(p, rc, "no memory for %llu flows: set store_capacity lower",
		                 (unsigned long long)n->store_capacity);
	return 0;
}

void net_engine_fini(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	flow_table_free(n->flows);
	n->flows = NULL;
	net_reasons_free(p);
	owner_cache_free(n->owners);
	n->owners = NULL;
}

static void stats(struct weir_plugin *p, void *arg)
{
	(void)arg;
	net_log_stats(p);
}

int net_engine_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->stats_ns)
		return 0;
	n->stats_timer = p->host->timer_start(p, n->stats_ns, n->stats_ns, stats, NULL);
	return n->stats_timer ? 0 : weir_fail(p, -ENOMEM, "no memory for a timer");
}

static void work(struct weir_plugin *p, void *arg)
{
	struct network *n = arg;
	bool more;

	n->round_records = 0;
	more = flow_work(n->flows, n->pumped_ns, ROUND_NS);
	if (more && !n->more)
		n->more = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, work, n);
	if (more)
		return;
	p->host->timer_stop(n->more);
	n->more = NULL;
}

void net_pump(struct weir_plugin *p, uint64_t up_to_ns)
{
	struct network *n = weir_state(p);

	if (up_to_ns > n->pumped_ns)
		n->pumped_ns = up_to_ns;
	if (weir_now(p) - n->addresses_ns > ADDRESSES_NS) {
		n->addresses_ns = weir_now(p);
		net_addresses_read(n);
	}
	work(p, n);
}

int net_add(struct weir_plugin *p, const struct weir_flow_key *k, const struct weir_flow_delta *d,
            const struct flow_extra *x)
{
	struct network *n = weir_state(p);
	int rc = flow_add(n->flows, k, d, x);

	if (rc != -EAGAIN)
		return rc;
	work(p, n);
	return flow_add(n->flows, k, d, x);
}

void net_unsure(struct weir_plugin *p, const char *source, uint64_t packets, uint64_t bytes)
{
	struct network *n = weir_state(p);

	n->unsure_packets += packets;
	n->unsure_bytes += bytes;
	if (packets)
		weir_log(p, WEIR_INFO, "%s: %llu packets, %llu bytes, passed while one source took over from "
		         "another: they may be in the records of both, or of none", source,
		         (unsigned long long)packets, (unsigned long long)bytes);
}

void net_source_ended(struct network *n, const char *source)
{
	if (!strcmp(n->source, source))
		n->source = "";
}

void net_listen(struct weir_plugin *p, const struct weir_flow_listen *l)
{
	struct network *n = weir_state(p);

	flow_listening(n->flows, l->netns_cookie, l->address, l->port, l->transport, l->open);
	weir_emit(p, WEIR_NET_LISTEN, l, sizeof *l);
}

void net_engine_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct flow_stats before, after;
	bool more;

	if (!n->flows)
		return;
	p->host->timer_stop(n->more);
	p->host->timer_stop(n->stats_timer);
	n->more = n->stats_timer = NULL;
	/* The host takes as much as there is, and counts what it has no room for. What cannot be
	 * ended for want of memory stays: the next source may go on with it. */
	do {
		flow_stats(n->flows, &before);
		n->round_records = 0;
		more = flow_flush(n->flows, weir_now(p), ROUND_NS, WEIR_END_FORCED);
		flow_stats(n->flows, &after);
	} while (more && (before.flows != after.flows || before.queued != after.queued));
}
