/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source packet: the headers of all packets of this network namespace, from a packet socket, where
 * the kernel takes no BPF programs. Exact, without owners; scope wire.
 *
 *   ring ──► on_readable: walk it where it lies ──► net_packets_take() ──► tick: net_pump()
 *
 * A packet is counted once: where it comes in at a device, and where it goes out only if it was made
 * here, which is if its source is an address of this namespace. Left out are devices that stand on
 * others (iface.h), and what is inside a tunnel that ends at a tunnel device here: that shows it.
 * Failure: no CAP_NET_RAW: the source does not start. Ring full: the kernel counts; said and in
 * weir_network_lost_packets_total. Packets sent with a foreign source address (IP_TRANSPARENT) are
 * taken for forwarded ones. Threads: the host's loop.
 */
#include "source_packet.h"

#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>

#define ROUND 512              /* packets between two looks at the clock: 0.3 ms */
#define SLICE_NS 4000000ull    /* a callback may take 10 ms */
#define RETIRE_MS 20           /* a live view lags no more than that */
#define SNAPLEN 256            /* headers of four layers with options: 14 + 4 * 60 and the tunnels' */
#define RING_BYTES (8u << 20)  /* 0.1 s of 250 000 packets a second */
#define PAUSE_NS 1000000ull

static bool may_count(void *arg, const struct capture_packet *c, const struct pkt *pkt, unsigned layer)
{
	struct net_packet *s = arg;
	const struct pkt_layer *outer = &pkt->layer[0], *carrier = layer ? &pkt->layer[layer - 1] : NULL;
	bool out = c->pkttype == PACKET_OUTGOING;

	if (!net_taps_chosen(&s->taps, c->ifindex) ||
	    (out && !net_taps_local(&s->taps, outer->src))) {
		s->elsewhere += !layer;
		return false;
	}
	return !carrier || !net_taps_unwraps(&s->taps, carrier, out);
}

static int on_packet(void *arg, const struct capture_packet *c)
{
	struct weir_plugin *p = arg;
	struct network *n = weir_state(p);

	return net_packets_take(p, &n->packet->packets, c, n->packet->now_ns);
}

/* What the ring has, for a slice. Returns whether it is empty. */
static bool read_ring(struct weir_plugin *p, struct net_packet *s)
{
	uint64_t until = weir_now(p) + SLICE_NS;
	char why[128];
	bool end;
	int got;

	net_taps_refresh(p, &s->taps);
	if (!net_packets_ready(p, &s->packets))
		return false;
	s->packets.clock_offset = p->host->realtime(p) - weir_now(p); /* it is set, and slewed */
	do {
		s->now_ns = weir_now(p);
		got = capture_read(s->capture, ROUND, on_packet, p, &end, why, sizeof why);
	} while (got == ROUND && !s->packets.waiting && weir_now(p) < until);
	return got < ROUND && !s->packets.waiting;
}

static void count_drops(struct weir_plugin *p, struct net_packet *s)
{
	struct network *n = weir_state(p);
	uint64_t lost = capture_drops(s->capture);

	if (!lost)
		return;
	n->lost_packets += lost;
	weir_log(p, WEIR_WARN, "packet: the kernel dropped %llu packets, since they came faster than they "
	         "could be counted", (unsigned long long)lost);
}

static void go_on(struct weir_plugin *p, void *arg);

static void read_and_come_again(struct weir_plugin *p, struct net_packet *s)
{
	bool empty = read_ring(p, s);

	/* The socket is only readable again when another block is full. */
	if (!empty && !s->more)
		s->more = p->host->timer_start(p, PAUSE_NS, PAUSE_NS, go_on, s);
	if (!empty || !s->more)
		return;
	p->host->timer_stop(s->more);
	s->more = NULL;
}

static void go_on(struct weir_plugin *p, void *arg)
{
	read_and_come_again(p, arg);
}

static void on_readable(struct weir_plugin *p, int fd, int events, void *arg)
{
	(void)fd, (void)events;
	read_and_come_again(p, arg);
}

/* What passed at a hand-over, once all of it has been read. */
static void tell_unsure(struct weir_plugin *p, struct net_packet *s)
{
	struct net_edge *e = &s->packets.edge;

	if (e->far_ns)
		net_unsure(p, "packet", e->packets, e->bytes);
	e->near_ns = e->far_ns = e->packets = e->bytes = 0;
}

void net_packet_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	struct network *n = weir_state(p);

	if (turn == WEIR_TURN_BEGIN) {
		net_edge_begin(&n->packet->packets.edge, at_ns, unsure_ns);
		n->source = "packet";
	}
	if (turn == WEIR_TURN_END) {
		tell_unsure(p, n->packet);
		net_edge_end(&n->packet->packets.edge, at_ns, unsure_ns);
	}
}

int net_packet_tick(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct net_packet *s = n->packet;
	/* what is older than this is in a block that was handed over */
	uint64_t up_to = weir_now(p) - 2 * RETIRE_MS * 1000000ull;

	read_and_come_again(p, s);
	count_drops(p, s);
	if (!s->more && up_to > s->packets.edge.far_ns)
		tell_unsure(p, s);
	net_pump(p, s->more ? s->packets.latest_ns : up_to);
	return 0;
}

static void free_state(struct weir_plugin *p, struct network *n)
{
	if (!n->packet)
		return;
	p->host->fd_stop(n->packet->watch);
	p->host->timer_stop(n->packet->more);
	capture_close(n->packet->capture);
	net_taps_close(p, &n->packet->taps);
	net_packets_fini(&n->packet->packets);
	weir_free(p, n->packet);
	n->packet = NULL;
}

int net_packet_start(struct weir_plugin *p)
{
	const struct capture_live live = { .snaplen = SNAPLEN, .ring_bytes = RING_BYTES,
	                                   .retire_ms = RETIRE_MS };
	struct network *n = weir_state(p);
	struct net_packet *s = weir_alloc(p, sizeof *s);
	char why[256] = "";
	int rc;

	if (!s)
		return weir_fail(p, -ENOMEM, "no memory for the packet source");
	memset(s, 0, sizeof *s);
	s->taps.ifaces.fd = s->taps.addresses = -1;
	n->packet = s;
	rc = net_packets_init(p, &s->packets, "packet");
	rc = rc ? rc : net_taps_open(p, &s->taps);
	if (rc)
		goto fail;
	rc = capture_open_live(&n->memory, &live, &s->capture, why, sizeof why);
	if (rc) {
		weir_fail(p, rc, "%s", why);
		goto fail;
	}
	s->packets.wanted = may_count;
	s->packets.arg = s;
	s->packets.netns = n->own_netns;
	s->packets.blind_to_gso = capture_blind_to_gso(s->capture);
	s->watch = p->host->fd_start(p, capture_fd(s->capture), WEIR_READABLE, on_readable, s);
	if (!s->watch) {
		rc = weir_fail(p, -ENOMEM, "no memory to watch the packet socket");
		goto fail;
	}
	p->host->source_approx(p, s->packets.blind_to_gso);
	n->source = "packet";
	return 0;
fail:
	free_state(p, n);
	return rc;
}

void net_packet_stop(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct net_packet *s = n->packet;

	if (!s)
		return;
	/* What the ring holds, in no more rounds than it has packets; then the block that the kernel
	 * is filling, which it hands over after RETIRE_MS at the latest. */
	for (int last = 0; last < 3; last++) {
		struct pollfd ready = { .fd = capture_fd(s->capture), .events = POLLIN };

		for (uint32_t i = 0; i < RING_BYTES / ROUND / 64 && !read_ring(p, s); i++)
			net_pump(p, s->packets.latest_ns);
		if (last < 2 && poll(&ready, 1, 2 * RETIRE_MS) <= 0)
			last++;
	}
	count_drops(p, s);
	tell_unsure(p, s);
	if (s->packets.waiting)
		weir_log(p, WEIR_WARN, "packet: the flows had no room for %u last updates", s->packets.waiting);
	net_pump(p, weir_now(p));
	free_state(p, n);
	net_source_ended(n, "packet");
}
