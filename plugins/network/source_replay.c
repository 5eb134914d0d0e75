/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source replay: a capture file, as fast as the engine takes it, in the time of its packets: flows
 * idle out and are reported as they would have been then. At the file's end they end as well.
 *
 * A file that is broken gives the flows of what came before, and fails the source's tick once.
 * Threads: the host's loop; a round reads 5 ms at most.
 */
#include "packets.h"

#include <string.h>

#define ROUND 512              /* packets between two looks at the clock */
#define SLICE_NS 4000000ull    /* a callback may take 10 ms, and the engine works 5 */
#define PAUSE_NS 1000000ull    /* timers have 1 ms */
#define END_NS 5000000ull

struct net_replay {
	struct capture *capture;
	struct net_packets packets;
	struct weir_timer *timer;
	bool ended;                /* the file; then the flows are ended, in slices */
	int error;
	char why[256];
};

static int on_packet(void *arg, const struct capture_packet *c)
{
	struct weir_plugin *p = arg;
	struct network *n = weir_state(p);

	return net_packets_take(p, &n->replay->packets, c, UINT64_MAX);
}

static void say_end(struct weir_plugin *p, const struct net_replay *r)
{
	const struct network *n = weir_state(p);
	const struct net_packets *s = &r->packets;

	weir_log(p, r->error ? WEIR_WARN : WEIR_INFO, "%s: %llu packets read%s%s; %llu not IP, %llu "
	         "truncated, %llu malformed, %llu too deep", n->replay_file,
	         (unsigned long long)s->packets, r->error ? ", then " : "", r->why,
	         (unsigned long long)s->errors[PKT_NOT_IP], (unsigned long long)s->errors[PKT_TRUNCATED],
	         (unsigned long long)s->errors[PKT_MALFORMED], (unsigned long long)s->errors[PKT_TOO_DEEP]);
}

/* Returns whether there is more to do now. */
static bool step(struct weir_plugin *p, struct net_replay *r)
{
	struct network *n = weir_state(p);
	uint64_t until = weir_now(p) + SLICE_NS;
	bool end = false;
	int got;

	if (!net_packets_ready(p, &r->packets))
		return true;
	if (r->ended) {
		n->round_records = 0;
		return flow_flush(n->flows, r->packets.latest_ns, END_NS, WEIR_END_FORCED);
	}
	do {
		got = capture_read(r->capture, ROUND, on_packet, p, &end, r->why, sizeof r->why);
		if (r->packets.packets)
			net_pump(p, r->packets.latest_ns);
	} while (got > 0 && !r->packets.waiting && weir_now(p) < until);
	if (got < 0 || end) {
		r->error = got < 0 ? got : 0;
		r->ended = true;
		say_end(p, r);
	}
	return true;
}

static void work(struct weir_plugin *p, void *arg)
{
	struct net_replay *r = arg;

	if (step(p, r))
		return;
	p->host->timer_stop(r->timer);
	r->timer = NULL;
}

static void free_state(struct weir_plugin *p, struct network *n)
{
	if (!n->replay)
		return;
	p->host->timer_stop(n->replay->timer);
	capture_close(n->replay->capture);
	net_packets_fini(&n->replay->packets);
	weir_free(p, n->replay);
	n->replay = NULL;
}

int net_replay_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct net_replay *r = weir_alloc(p, sizeof *r);
	int rc;

	if (!r)
		return weir_fail(p, -ENOMEM, "no memory for the replay source");
	memset(r, 0, sizeof *r);
	n->replay = r;
	rc = net_packets_init(p, &r->packets, "replay");
	if (rc)
		goto fail;
	rc = capture_open_file(&n->memory, n->replay_file, &r->capture, r->why, sizeof r->why);
	if (rc) {
		weir_fail(p, rc, "%s", r->why);
		goto fail;
	}
	r->timer = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, work, r);
	if (!r->timer) {
		rc = weir_fail(p, -ENOMEM, "no memory for a timer");
		goto fail;
	}
	n->source = "replay";
	return 0;
fail:
	free_state(p, n);
	return rc;
}

int net_replay_tick(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	int rc = n->replay ? n->replay->error : 0;

	if (!rc)
		return 0;
	n->replay->error = 0;
	return weir_fail(p, rc, "%s: %s", n->replay_file, n->replay->why);
}

void net_replay_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->replay)
		return;
	free_state(p, n);
	net_source_ended(n, "replay");
}
