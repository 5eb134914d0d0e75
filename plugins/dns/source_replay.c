/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source replay: a capture file, as fast as it can be read, in the time of the packets. When
 * it ends, what is still open ends as `open`, and the source is idle.
 */
#include "dns.h"

#include <string.h>

/* Packets in one tick: some 5 ms. */
#define ROUND 2000

int dns_replay_probe(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	return d->replay_file[0] ? 0 : weir_fail(p, -ENODEV, "no capture file to read: set replay.file");
}

int dns_replay_start(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct pkt_memory m = dns_memory(p);
	char why[200] = "";
	int rc = capture_open_file(&m, d->replay_file, &d->capture, why, sizeof why);

	if (rc)
		return weir_fail(p, rc, "%s", why);
	d->source = "replay";
	d->replay_done = false;
	d->clock_offset = p->host->realtime(p) - weir_now(p);
	return 0;
}

static int on_packet(void *arg, const struct capture_packet *c)
{
	struct weir_plugin *p = arg;
	struct dns *d = weir_state(p);

	dns_match_expire(d->match, c->time_ns - d->clock_offset, 64);
	dns_take_packet(p, c);
	return 0;
}

int dns_replay_tick(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	char why[200] = "";
	bool end = false;
	int n;

	if (d->replay_done || !d->capture)
		return 0;
	n = capture_read(d->capture, ROUND, on_packet, p, &end, why, sizeof why);
	if (n < 0) {
		d->replay_done = true;
		dns_flush(p);
		return weir_fail(p, n, "%s", why);
	}
	if (end) {
		d->replay_done = true;
		dns_take_end(p);
		dns_match_flush(d->match, WEIR_DNS_OPEN);
		weir_log(p, WEIR_INFO, "%s is read to its end: %llu packets", d->replay_file,
		         (unsigned long long)d->counts.packets);
	}
	dns_flush(p);
	return 0;
}

void dns_replay_stop(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	capture_close(d->capture);
	d->capture = NULL;
	dns_flush(p);
}
