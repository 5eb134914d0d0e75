/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source diag: the kernel's list of sockets, each poll interval, and its last word of those that
 * close (plugins/lib/diag.h says what is exact).
 *
 * Happy path: tick begins a round, which is worked off in steps of 3 ms; then all up to its
 * begin is in the engine. Closings are taken ten times a second. stop() makes a last round, so
 * that what sockets counted until then is in the records.
 * What may fail: the kernel has no INET_DIAG, or memory is short: the source does not start.
 * Threads: the host's loop.
 */
#include "diag.h"
#include "network.h"

#include <string.h>

#define STEP_NS 3000000ull      /* a callback may take 10 ms, and the engine works 5 */
#define PAUSE_NS 1000000ull     /* timers have 1 ms */
#define EVENTS_NS 100000000ull  /* 60 000 closings a second until the queue is full */
#define FINISH_NS 200000000ull  /* 100 000 sockets */
#define CAPACITY 1048576u       /* 180 MB: more sockets than any table of flows */

/* What sockets have counted since the last look at them: the flows', or at a hand-over that of
 * another source, or of nobody. */
enum deltas { COUNTED, OF_THE_OTHER, UNSURE };

struct net_diag {
	enum deltas deltas;
	uint64_t packets, bytes;   /* unsure ones */
	bool beside;               /* another source still runs */
	struct diag *diag;
	struct weir_timer *events, *more;
	uint64_t begun_ns;
	uint32_t namespaces;
	bool told, lost;        /* what cannot be seen has been said */
};

/* At a hand-over only that a connection has ended is told. */
static int flow(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	struct network *n = weir_state((struct weir_plugin *)arg);
	struct weir_flow_delta end = *d;

	if (n->diag->deltas == COUNTED)
		return net_add(arg, k, d, x);
	if (d->bits & WEIR_FLOW_CLOSED) {
		memset(end.packets, 0, sizeof end.packets);
		memset(end.bytes, 0, sizeof end.bytes);
		end.retransmits = end.drops = 0;
		if (net_add(arg, k, &end, x) == -EAGAIN)
			return -EAGAIN;
	}
	if (n->diag->deltas == UNSURE) {
		n->diag->packets += d->packets[0] + d->packets[1];
		n->diag->bytes += d->bytes[0] + d->bytes[1];
	}
	return 0;
}

static void owner(void *arg, uint64_t cookie, const struct weir_flow_delta *d)
{
	struct network *n = weir_state((struct weir_plugin *)arg);

	flow_owner(n->flows, cookie, d);
}

static void on_listen(void *arg, const struct weir_flow_listen *l)
{
	net_listen(arg, l);
}

/* Said once: what it does not see. */
static void tell(struct weir_plugin *p, struct net_diag *d)
{
	struct sock_stats sockets;
	struct diag_stats s;

	diag_stats(d->diag, &s, &sockets);
	if (!d->told && s.refused_namespaces)
		weir_log(p, WEIR_INFO, "diag: %u network namespaces are not seen (%s); CAP_SYS_ADMIN "
		         "would let it in", s.refused_namespaces, strerror(-s.refused_error));
	if (!d->lost && (s.overruns || sockets.untracked))
		weir_log(p, WEIR_WARN, "diag: last counts of closed sockets lost %llu times, %llu sockets "
		         "not followed; flow_store_poll_interval or store_capacity may help",
		         (unsigned long long)s.overruns, (unsigned long long)sockets.untracked);
	d->told |= s.refused_namespaces > 0;
	d->lost |= s.overruns || sockets.untracked;
}

static void work(struct weir_plugin *p, void *arg)
{
	struct net_diag *d = arg;

	if (diag_work(d->diag, weir_now(p), STEP_NS)) {
		if (!d->more)
			d->more = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, work, d);
		return;
	}
	p->host->timer_stop(d->more);
	d->more = NULL;
	tell(p, d);
	net_pump(p, d->begun_ns);
}

static void events(struct weir_plugin *p, void *arg)
{
	struct net_diag *d = arg;

	diag_events(d->diag, weir_now(p), STEP_NS);
	if (d->more || !diag_running(d->diag))
		return;
	d->begun_ns = weir_now(p); /* closings were lost: all sockets are read at once */
	work(p, d);
}

static void free_state(struct weir_plugin *p, struct network *n)
{
	if (!n->diag)
		return;
	p->host->timer_stop(n->diag->events);
	p->host->timer_stop(n->diag->more);
	diag_close(n->diag->diag);
	weir_free(p, n->diag);
	n->diag = NULL;
}

int net_diag_tick(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	uint64_t now = weir_now(p);

	diag_begin(n->diag->diag, now);
	if (!n->diag->more) {
		n->diag->begun_ns = now;
		work(p, n->diag);
	}
	return 0;
}

int net_diag_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct diag_options o = { .proc = "/proc", .other_namespaces = true,
		.capacity = (uint32_t)(n->store_capacity < CAPACITY ? n->store_capacity : CAPACITY) };
	struct sock_sink sink = { .flow = flow, .owner = owner, .listen = on_listen, .arg = p };
	char why[256];
	int rc;

	n->diag = weir_alloc(p, sizeof *n->diag);
	if (!n->diag)
		return weir_fail(p, -ENOMEM, "no memory for the diag source");
	memset(n->diag, 0, sizeof *n->diag);
	n->diag->beside = n->source[0];
	n->diag->deltas = n->diag->beside ? OF_THE_OTHER : COUNTED;
	rc = diag_open(&n->memory, &o, &sink, &n->diag->diag, why, sizeof why);
	if (rc) {
		free_state(p, n);
		return weir_fail(p, rc, "%s", why);
	}
	n->diag->events = p->host->timer_start(p, EVENTS_NS, EVENTS_NS, events, n->diag);
	if (!n->diag->beside)
		n->source = "diag";
	/* What every socket starts from. */
	return net_diag_tick(p);
}

/* All sockets, now. */
static void look(struct weir_plugin *p, struct net_diag *d, enum deltas deltas)
{
	struct sock_stats s;
	struct diag_stats ds;

	d->deltas = deltas;
	if (!diag_finish(d->diag, weir_now(p), FINISH_NS)) {
		diag_stats(d->diag, &ds, &s);
		weir_log(p, WEIR_WARN, "diag: the last look at %llu sockets was not over in time: what they "
		         "counted since the one before is missing", (unsigned long long)s.sockets);
	}
}

static void tell_unsure(struct weir_plugin *p, struct net_diag *d)
{
	net_unsure(p, "diag", d->packets, d->bytes);
	d->packets = d->bytes = 0;
	d->deltas = COUNTED;
}

/* What sockets count between the looks before and after a hand-over has no side: it is named, and
 * in no record of this source. */
void net_diag_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	struct network *n = weir_state(p);

	(void)at_ns, (void)unsure_ns;
	switch (turn) {
	case WEIR_TURN_BESIDE:
		break;
	case WEIR_TURN_READY:
		look(p, n->diag, n->diag->beside ? OF_THE_OTHER : COUNTED);
		break;
	case WEIR_TURN_BEGIN:
		look(p, n->diag, UNSURE);
		tell_unsure(p, n->diag);
		n->diag->beside = false;
		n->source = "diag";
		break;
	case WEIR_TURN_END:
		n->diag->deltas = UNSURE;
		break;
	}
}

void net_diag_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->diag)
		return;
	look(p, n->diag, n->diag->deltas);
	tell_unsure(p, n->diag);
	net_pump(p, weir_now(p));
	free_state(p, n);
	net_source_ended(n, "diag");
}
