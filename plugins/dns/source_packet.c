/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source packet: an AF_PACKET socket with a classic filter, so that only DNS packets, and
 * fragments that may belong to one, are copied. Needs CAP_NET_RAW. It sees this network
 * namespace only, and knows no process; what the kernel dropped for want of room is counted,
 * and questions that were open then are marked approx.
 */
#include "dns.h"
#include "packet_filter.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Packets in one round of the loop: some 2 ms. */
#define ROUND 1024
/* A block is handed over after this at the latest: what a live view may lag behind. */
#define RETIRE_MS 20

int dns_live_probe(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	return d->replay_file[0] ? weir_fail(p, -ENODEV, "replay.file is set to %s: that is read instead",
	                                     d->replay_file) : 0;
}

static int on_packet(void *arg, const struct capture_packet *c)
{
	dns_take_packet(arg, c);
	return 0;
}

static void drops(struct dns *d)
{
	uint64_t n = capture_drops(d->capture);

	if (!n)
		return;
	d->counts.lost += n;
	dns_match_lost(d->match);
}

static int read_some(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	char why[160];
	bool end;
	int n;

	d->source = "packet";
	d->clock_offset = p->host->realtime(p) - weir_now(p);
	n = capture_read(d->capture, ROUND, on_packet, p, &end, why, sizeof why);
	dns_flush(p);
	return n < 0 ? weir_fail(p, n, "%s", why) : n;
}

static void on_readable(struct weir_plugin *p, int fd, int events, void *arg)
{
	int n = read_some(p);

	(void)fd, (void)events, (void)arg;
	if (n < 0)
		weir_log(p, WEIR_WARN, "packets cannot be read: %s", strerror(-n));
}

int dns_tick(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	int n = 0;

	if (d->capture) {
		n = read_some(p);
		drops(d);
	}
	while (dns_match_expire(d->match, weir_now(p), 512))
		dns_flush(p);
	dns_flush(p);
	return n < 0 ? n : 0;
}

int dns_packet_start(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct pkt_memory m = dns_memory(p);
	struct dns_packet_filter filter;
	char why[200] = "";
	int rc;

	dns_packet_filter(&filter, d->ports, d->port_count, (uint32_t)d->snaplen);
	const struct capture_live live = {
		.interface = d->interface[0] ? d->interface : NULL, .filter = filter.code,
		.filter_len = filter.len, .snaplen = (uint32_t)d->snaplen,
		.ring_bytes = (uint32_t)d->ring_bytes, .retire_ms = RETIRE_MS,
	};
	rc = capture_open_live(&m, &live, &d->capture, why, sizeof why);
	if (rc)
		return weir_fail(p, rc, "%s", why);
	d->fd = p->host->fd_start(p, capture_fd(d->capture), WEIR_READABLE, on_readable, NULL);
	if (!d->fd) {
		capture_close(d->capture);
		d->capture = NULL;
		return weir_fail(p, -ENOMEM, "no memory to watch the packet socket");
	}
	d->opened_ns = weir_now(p);
	d->edge = (struct dns_edge){ 0 };
	d->source = d->source ? d->source : "packet";
	return 0;
}

/* Until then, if that is soon. */
static void sleep_until(struct weir_plugin *p, uint64_t then_ns)
{
	uint64_t now = weir_now(p);

	if (then_ns > now && then_ns - now < 4 * DNS_OVERLAP_NS)
		usleep((useconds_t)((then_ns - now) / 1000 + 1));
}

/* The packet socket and the programs meet a packet at different times, so for a while both are
 * believed, and match.c tells what both have met. */
void dns_packet_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	struct dns *d = weir_state(p);

	switch (turn) {
	case WEIR_TURN_BESIDE:
		break;
	case WEIR_TURN_READY: /* of one that begins: it has the whole overlap */
		sleep_until(p, d->opened_ns + DNS_OVERLAP_NS);
		break;
	case WEIR_TURN_BEGIN:
		d->edge = (struct dns_edge){ .from_ns = at_ns - unsure_ns - DNS_OVERLAP_NS,
		                             .own_from_ns = at_ns - unsure_ns };
		break;
	case WEIR_TURN_END:
		d->edge = (struct dns_edge){ .own_until_ns = at_ns, .until_ns = at_ns + DNS_OVERLAP_NS };
		break;
	}
}

void dns_packet_stop(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	if (!d->capture)
		return;
	p->host->fd_stop(d->fd);
	d->fd = NULL;
	sleep_until(p, d->edge.until_ns);
	/* What the ring holds; then the block that the kernel is filling, which it hands over after
	 * RETIRE_MS at the latest. */
	for (int last = 0; last < 3; last++) {
		struct pollfd ready = { .fd = capture_fd(d->capture), .events = POLLIN };

		for (int i = 0; i < 64 && read_some(p) > 0; i++)
			;
		if (last < 2 && poll(&ready, 1, 2 * RETIRE_MS) <= 0)
			last++;
	}
	drops(d);
	capture_close(d->capture);
	d->capture = NULL;
	if (!d->edge.until_ns) /* else another source goes on with what is half there */
		dns_take_end(p);
	d->edge = (struct dns_edge){ 0 };
	dns_flush(p);
}
