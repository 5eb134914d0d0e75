/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source proc, the last resort: /proc/net says which sockets there are, in what state, and whose.
 * No counts: its flows have zero packets and bytes.
 *
 * Happy path: tick begins a round over the files, which is worked off in steps of 3 ms.
 * What may fail: no procfs, or memory: the source does not start.
 * Threads: the host's loop.
 */
#include "network.h"
#include "procnet.h"

#include <string.h>

#define STEP_NS 3000000ull
#define PAUSE_NS 1000000ull
#define CAPACITY 1048576u

struct net_proc {
	struct procnet *procnet;
	struct weir_timer *more;
	uint64_t begun_ns;
};

static int flow(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	return net_add(arg, k, d, x);
}

static void on_listen(void *arg, const struct weir_flow_listen *l)
{
	net_listen(arg, l);
}

static void work(struct weir_plugin *p, void *arg)
{
	struct net_proc *s = arg;

	if (procnet_work(s->procnet, weir_now(p), STEP_NS)) {
		if (!s->more)
			s->more = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, work, s);
		return;
	}
	p->host->timer_stop(s->more);
	s->more = NULL;
	net_pump(p, s->begun_ns);
}

int net_proc_tick(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	uint64_t now = weir_now(p);

	procnet_begin(n->proc->procnet, now);
	if (!n->proc->more) {
		n->proc->begun_ns = now;
		work(p, n->proc);
	}
	return 0;
}

void net_proc_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->proc)
		return;
	p->host->timer_stop(n->proc->more);
	procnet_close(n->proc->procnet);
	weir_free(p, n->proc);
	n->proc = NULL;
	net_source_ended(n, "proc");
}

int net_proc_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct sock_sink sink = { .flow = flow, .listen = on_listen, .arg = p };
	uint32_t capacity = (uint32_t)(n->store_capacity < CAPACITY ? n->store_capacity : CAPACITY);
	char why[256];
	int rc;

	n->proc = weir_alloc(p, sizeof *n->proc);
	if (!n->proc)
		return weir_fail(p, -ENOMEM, "no memory for the proc source");
	memset(n->proc, 0, sizeof *n->proc);
	rc = procnet_open(&n->memory, "/proc", capacity, &sink, &n->proc->procnet, why, sizeof why);
	if (rc) {
		net_proc_stop(p);
		return weir_fail(p, rc, "%s", why);
	}
	n->source = "proc";
	return net_proc_tick(p);
}
