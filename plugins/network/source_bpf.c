/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source bpf: programs add up every packet in the kernel; here their maps are drained each
 * poll interval (drain.c), and the few records of the ring taken up: packets that a full map
 * had no room for, sockets that changed hands, ports that listen.
 *
 * stop() detaches the programs first and then drains both maps, so that what was counted is
 * in the engine when another source takes over. What may fail: a required program, memory.
 * Threads: the host's loop.
 */
#include "source_bpf.h"

#include "owner_fill.h"
#include <string.h>

#define LISTEN_AND_MARKS (1u << WEIR_NET_LISTEN | 1u << WEIR_NET_OVERFLOW)
#define PACKETS (1u << WEIR_NET_FLOW | 1u << WEIR_NET_OVERFLOW)
#define OWNERS (1u << WEIR_NET_OWNER | 1u << WEIR_NET_OVERFLOW)
const struct weir_program net_bpf_programs[NET_BPF_PROGRAMS] = {
	{ .name = "net_egress", .flags = WEIR_PROGRAM_REQUIRED, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that local sockets send" },
	{ .name = "net_ingress", .flags = WEIR_PROGRAM_REQUIRED, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that local sockets receive" },
	{ .name = "own_create", .priority = 6, .kinds = OWNERS, .doc = "who made a socket" },
	{ .name = "own_connect4", .priority = 6, .kinds = OWNERS, .doc = "who connected it, IPv4" },
	{ .name = "own_connect6", .priority = 6, .kinds = OWNERS, .doc = "who connected it, IPv6" },
	{ .name = "own_sendmsg4", .priority = 5, .kinds = OWNERS,
	  .doc = "who sends from an unconnected socket, IPv4" },
	{ .name = "own_sendmsg6", .priority = 5, .kinds = OWNERS,
	  .doc = "who sends from an unconnected socket, IPv6" },
	{ .name = "own_send", .variants = "own_send own_send_inet", .priority = 5, .kinds = OWNERS,
	  .doc = "who uses a socket: without it, an accepted one is its listener's" },
	{ .name = "own_recv", .variants = "own_recv own_recv_inet", .priority = 5, .kinds = OWNERS,
	  .doc = "who uses a socket: without it, an accepted one is its listener's" },
	{ .name = "own_send_inet6", .priority = 5, .kinds = OWNERS,
	  .doc = "the same for IPv6 (before Linux 6.3)" },
	{ .name = "own_recv_inet6", .priority = 5, .kinds = OWNERS,
	  .doc = "the same for IPv6 (before Linux 6.3)" },
	{ .name = "net_state", .priority = 7, .kinds = LISTEN_AND_MARKS,
	  .doc = "ends of connections, their errors, ports that listen" },
	{ .name = "net_retransmit", .priority = 4, .kinds = PACKETS, .doc = "retransmissions" },
	{ .name = "net_drop", .variants = "net_drop net_drop_5_17", .priority = 7, .kinds = PACKETS,
	  .doc = "packets dropped and why; packets to sockets in TIME_WAIT" },
	{ .name = "net_queue", .priority = 7, .kinds = PACKETS,
	  .doc = "what sockets in TIME_WAIT answer (since Linux 6.13)" },
	{ .name = "net_time_wait", .priority = 7, .kinds = PACKETS,
	  .doc = "packets to sockets in TIME_WAIT (before Linux 6.11)" },
	{ .name = "net_fill", .flags = WEIR_PROGRAM_MANUAL, .priority = 5,
	  .doc = "owners of sockets older than Weir" },
	{ .name = "net_eth_in", .flags = WEIR_PROGRAM_MANUAL, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that come in at an interface" },
	{ .name = "net_eth_out", .flags = WEIR_PROGRAM_MANUAL, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that go out at an interface" },
	{ .name = "net_raw_in", .flags = WEIR_PROGRAM_MANUAL, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that come in at an interface without link layer" },
	{ .name = "net_raw_out", .flags = WEIR_PROGRAM_MANUAL, .priority = 9, .kinds = PACKETS,
	  .doc = "packets that go out at an interface without link layer" },
};

int net_bpf_prepare(struct weir_plugin *p)
{
	return net_knobs_prepare(p);
}

/* Ten times a second: a burst of new flows must not wait for the poll. Half full, so that the
 * other half lasts while RCU is waited for (30 ms: at 16384 that is 270 000 new flows/s). */
#define WATCH_NS 100000000ull

uint64_t net_bpf_inserts(const struct network *n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; n->bpf && n->bpf->cpu && i < n->bpf->cpus; i++)
		sum += __atomic_load_n(&n->bpf->cpu[i].inserts, __ATOMIC_RELAXED);
	return sum;
}

static void watch_fill(struct weir_plugin *p, void *arg)
{
	struct network *n = arg;

	if (net_bpf_inserts(n) - n->bpf->drain.inserted > n->flow_stats_capacity / 2)
		net_drain_early(p, &n->bpf->drain);
}

static void free_state(struct weir_plugin *p, struct network *n)
{
	if (!n->bpf)
		return;
	p->host->timer_stop(n->bpf->watch);
	net_wire_stop(p, n->bpf);
	net_drain_fini(p, &n->bpf->drain);
	weir_free(p, n->bpf);
	n->bpf = NULL;
}

int net_bpf_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	size_t size;
	int rc;

	n->bpf = weir_alloc(p, sizeof *n->bpf);
	if (!n->bpf)
		return weir_fail(p, -ENOMEM, "no memory for the bpf source");
	memset(n->bpf, 0, sizeof *n->bpf);
	rc = net_drain_init(p, &n->bpf->drain);
	if (!rc) {
		n->bpf->cpu = p->host->bpf_mmap(p, "net_cpu", &size, &n->bpf->cpus);
		rc = n->bpf->cpu && size == sizeof *n->bpf->cpu ? net_knobs_start(p) :
		     weir_fail(p, -EINVAL, "the BPF object's counters cannot be read");
	}
	if (!rc && n->scope != NET_SCOPE_HOST)
		rc = net_wire_start(p, n->bpf);
	if (!rc) {
		n->bpf->watch = p->host->timer_start(p, WATCH_NS, WATCH_NS, watch_fill, n);
		rc = n->bpf->watch ? 0 : weir_fail(p, -ENOMEM, "no memory for a timer");
	}
	if (rc) {
		free_state(p, n);
		return rc;
	}
	n->source = "bpf";
	net_reasons_read(p);
	if (n->scope != NET_SCOPE_WIRE && n->owner != NET_OWNER_OFF)
		owner_fill(p, "net_fill");
	return 0;
}

static int take_overflow(struct weir_plugin *p, const struct weir_net_overflow *o)
{
	struct network *n = weir_state(p);
	struct flow_extra x;
	int rc;

	if (!n->bpf)
		return WEIR_RECORD_AGGREGATED;
	net_drain_extra(p, &n->bpf->drain, &o->key, &x);
	net_drain_early(p, &n->bpf->drain);
	rc = net_add(p, &o->key, &o->delta, &x);
	if (rc == -EAGAIN) {
		/* Once more after a round of work: the record cannot wait. */
		n->round_records = 0;
		net_pump(p, 0);
		rc = net_add(p, &o->key, &o->delta, &x);
	}
	if (rc != -EAGAIN)
		return WEIR_RECORD_AGGREGATED;
	/* Not taken up: it goes to the outputs as it is, so that it is somewhere. */
	n->bpf->drain.refused_packets += o->delta.packets[0] + o->delta.packets[1];
	return WEIR_RECORD_PASS;
}

static int take_owner(struct weir_plugin *p, const struct weir_net_owner *o)
{
	struct network *n = weir_state(p);
	struct weir_flow_delta d = { .cookie = o->cookie, .cgroup = o->cgroup, .pid = o->pid,
		.uid = o->uid, .bits = (uint8_t)o->bits };

	memcpy(d.comm, o->comm, sizeof d.comm);
	flow_owner(n->flows, o->cookie, &d);
	return WEIR_RECORD_AGGREGATED;
}

int net_bpf_record(struct weir_plugin *p, struct weir_record *r)
{
	struct network *n = weir_state(p);
	const void *payload = r + 1;
	const struct weir_flow_listen *l = payload;

	switch (r->kind) {
	case WEIR_NET_OVERFLOW:
		return take_overflow(p, payload);
	case WEIR_NET_OWNER:
		return take_owner(p, payload);
	case WEIR_NET_LISTEN:
		flow_listening(n->flows, l->netns_cookie, l->address, l->port, l->transport, l->open);
		return WEIR_RECORD_PASS;
	default:
		return WEIR_RECORD_PASS;
	}
}

/* What a full map costs is said while it lasts, and what it lost whenever it does. */
static void complain(struct weir_plugin *p, struct net_bpf *b, const struct weir_net_cpu *now)
{
	struct network *n = weir_state(p);

	if (now->lost_packets > b->said.lost_packets)
		weir_log(p, WEIR_ERROR, "%llu packets have no record: the kernel's map of flows and the "
		         "ring were full; raise flow_capture.flow_stats_capacity (%llu)",
		         (unsigned long long)(now->lost_packets - b->said.lost_packets),
		         (unsigned long long)n->flow_stats_capacity);
	else if (b->drain.refused_packets > b->said_refused)
		weir_log(p, WEIR_ERROR, "%llu packets are in no flow but in net_overflow records: the queues of the engine were full; raise "
		         "flow_producer.worker_queue_capacity (%llu)",
		         (unsigned long long)(b->drain.refused_packets - b->said_refused),
		         (unsigned long long)n->worker_queue_capacity);
	else if (now->overflows > b->said.overflows)
		weir_log(p, WEIR_WARN, "the kernel's map of flows was full: %llu packets went over the ring, "
		         "none is lost; raise flow_capture.flow_stats_capacity (%llu)",
		         (unsigned long long)(now->overflows - b->said.overflows),
		         (unsigned long long)n->flow_stats_capacity);
	b->said = *now;
}

/* Added to what was there: counters go on over a stop and a start of the source. */
static void grow(struct weir_plugin *p, uint64_t now, uint64_t before, const char *what)
{
	p->host->series_add(p->host->series(p, M_KERNEL, (const char *const[]){ what, NULL }),
	                    (double)(now - before));
}

static void publish(struct weir_plugin *p, struct net_bpf *b)
{
	struct weir_net_cpu c, was = b->said;

	net_bpf_counts(weir_state(p), &c);
	complain(p, b, &c);
#define GROW(m, what) grow(p, c.m, was.m, what)
	GROW(inserts, "inserts");
	GROW(overflows, "overflows");
	GROW(lost_packets, "lost");
	GROW(filtered_packets, "filtered");
	GROW(sampled_packets, "sampled");
	GROW(unparsed, "unparsed");
	GROW(fragments, "fragments");
	GROW(time_wait, "time_wait");
	GROW(owners, "owners");
	GROW(no_owner, "no_owner");
#undef GROW
	grow(p, b->drain.behind, b->said_behind, "behind");
	grow(p, b->drain.early, b->said_early, "early");
	grow(p, b->drain.refused_packets, b->said_refused, "refused");
	b->said_behind = b->drain.behind;
	b->said_early = b->drain.early;
	b->said_refused = b->drain.refused_packets;
}

void net_bpf_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->bpf)
		return;
	net_wire_stop(p, n->bpf);
	for (size_t i = 0; i < NET_BPF_PROGRAMS; i++)
		p->host->bpf_attach(p, net_bpf_programs[i].name, false);
	net_drain_rest(p, &n->bpf->drain);
	publish(p, n->bpf);
	free_state(p, n);
	net_source_ended(n, "bpf");
}

int net_bpf_tick(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	net_drain_tick(p, &n->bpf->drain);
	net_wire_tick(p, n->bpf);
	publish(p, n->bpf);
	return 0;
}

void net_bpf_counts(const struct network *n, struct weir_net_cpu *ret)
{
	memset(ret, 0, sizeof *ret);
	if (!n->bpf || !n->bpf->cpu)
		return;
	for (uint32_t i = 0; i < n->bpf->cpus; i++) {
		const struct weir_net_cpu *c = &n->bpf->cpu[i];

#define ADD(m) ret->m += __atomic_load_n(&c->m, __ATOMIC_RELAXED)
		ADD(inserts);
		ADD(overflows);
		ADD(lost_packets);
		ADD(lost_bytes);
		ADD(filtered_packets);
		ADD(filtered_bytes);
		ADD(sampled_packets);
		ADD(sampled_bytes);
		ADD(unparsed);
		ADD(fragments);
		ADD(time_wait);
		ADD(owners);
		ADD(no_owner);
#undef ADD
	}
}
