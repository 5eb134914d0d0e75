/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where flows come from without BPF: INET_DIAG, packets, or /proc/net.
 *
 * Happy path: with `auto`, the first of these that works. diag comes first: it knows the owners,
 * costs least, and counts what sockets send and receive, as network's programs do, so that
 * figures go on when it hands over; packets are of scope wire, which is another sum.
 * Failure modes: what is missing is said by weir_fail(), of the last one tried.
 * Threads: the host's loop.
 */
#include "procfs_flow.h"

#include "capture.h"
#include "diag.h"
#include "procnet.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES (4u << 20)     /* some 25 000 packets of 160 bytes: 100 ms at 250 000 a second */
#define SNAP_BYTES 160            /* Ethernet, VLANs, IPv6, a tunnel, TCP with options */
#define READ_MAX 8192             /* in one step: some 2 ms */
#define FINISH_NS 200000000ull    /* 100 000 sockets */

static int flow(void *p, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	return procfs_flow_add(p, k, d, x);
}

/* ---- packets ------------------------------------------------------------------------- */

struct reading {
	struct weir_plugin *p;
	struct procfs_flow *f;
};

/* Each layer is a flow. */
static int take_packet(void *arg, const struct capture_packet *c)
{
	const struct reading *r = arg;
	struct weir_flow_delta d;
	struct weir_flow_key k;
	unsigned direction;
	struct pkt pkt;

	pkt_parse(&pkt_defaults, NULL, c->link, c->data, c->caplen, c->len, c->time_ns, &pkt);
	for (unsigned i = 0; i < pkt.layers; i++) {
		struct flow_extra x = { .source = "packet", .outer = i ? &pkt.layer[i - 1] : NULL,
			.spi = pkt.layer[i].spi, .approx = true };

		pkt_key(&pkt.layer[i], c->has_vlan ? c->vlan_tci & 0xfff : pkt.vlans ? pkt.vlan[0] & 0xfff : 0,
		        r->f->netns, &k, &direction);
		pkt_delta(&pkt.layer[i], direction, weir_now(r->p), c->ifindex, &d);
		if (i + 1u == pkt.layers)
			pkt_segments(&pkt, i, direction, c->gso_size, &d);
		if (procfs_flow_add(r->p, &k, &d, &x))
			r->f->lost += d.packets[0] + d.packets[1];
	}
	return 0;
}

/* False: nothing more is there now. */
static bool read_packets(struct weir_plugin *p, struct procfs_flow *f)
{
	struct reading r = { p, f };
	char why[128];
	bool end;
	int n = capture_read(f->capture, READ_MAX, take_packet, &r, &end, why, sizeof why);

	f->lost += capture_drops(f->capture);
	return n >= READ_MAX;
}

static void on_packets(struct weir_plugin *p, int fd, int events, void *arg)
{
	(void)fd, (void)events;
	read_packets(p, arg);
}

static int open_packets(struct weir_plugin *p, struct procfs_flow *f, char *why, size_t size)
{
	struct capture_live c = { .snaplen = SNAP_BYTES, .ring_bytes = RING_BYTES, .retire_ms = 100 };
	int rc = capture_open_live(&f->memory, &c, &f->capture, why, size);
	socklen_t len = sizeof f->netns;

	if (rc)
		return rc;
#ifdef SO_NETNS_COOKIE
	if (getsockopt(capture_fd(f->capture), SOL_SOCKET, SO_NETNS_COOKIE, &f->netns, &len))
		f->netns = 0;
#else
	(void)len;
#endif
	f->watch = p->host->fd_start(p, capture_fd(f->capture), WEIR_READABLE, on_packets, f);
	if (f->watch)
		return 0;
	capture_close(f->capture);
	f->capture = NULL;
	snprintf(why, size, "no memory to watch for packets");
	return -ENOMEM;
}

/* ---- one of them --------------------------------------------------------------------- */

static int try(struct weir_plugin *p, struct procfs_flow *f, enum procfs_flow_from from, char *why,
               size_t size)
{
	struct procfs *s = weir_state(p);
	uint32_t capacity = (uint32_t)s->flow_max;
	struct sock_sink sink = { .flow = flow, .owner = procfs_flow_owner, .listen = procfs_flow_listen,
		.arg = p };
	struct diag_options o = { .capacity = capacity, .proc = s->proc, .other_namespaces = true };

	switch (from) {
	case FLOW_DIAG:
		f->from = "diag";
		return diag_open(&f->memory, &o, &sink, &f->diag, why, size);
	case FLOW_PACKET:
		f->from = "packet";
		return open_packets(p, f, why, size);
	default:
		f->from = "proc";
		return procnet_open(&f->memory, s->proc, capacity, &sink, &f->proc, why, size);
	}
}

int procfs_flow_open(struct weir_plugin *p, struct procfs_flow *f)
{
	static const enum procfs_flow_from order[] = { FLOW_DIAG, FLOW_PACKET, FLOW_PROC };
	struct procfs *s = weir_state(p);
	char why[256] = "";
	int rc = -ENODEV;

	for (unsigned i = 0; i < 3 && rc; i++)
		if (s->flow_from == FLOW_AUTO || s->flow_from == order[i])
			rc = try(p, f, order[i], why, sizeof why);
	return rc ? weir_fail(p, rc, "no flows from %s: %s", f->from, why) : 0;
}

void procfs_flow_begin(struct weir_plugin *p, struct procfs_flow *f)
{
	if (f->diag)
		diag_begin(f->diag, weir_now(p));
	if (f->proc)
		procnet_begin(f->proc, weir_now(p));
}

bool procfs_flow_reads(const struct procfs_flow *f)
{
	return f->diag ? diag_running(f->diag) : f->working;
}

bool procfs_flow_step(struct weir_plugin *p, struct procfs_flow *f)
{
	uint64_t now = weir_now(p);
	bool more = false;

	if (f->diag && f->working)
		more = diag_work(f->diag, now, FLOW_STEP_NS);
	else if (f->diag) {
		diag_events(f->diag, now, FLOW_STEP_NS);
		more = diag_running(f->diag); /* closings were lost: all sockets are read at once */
	}
	if (f->capture) /* it is readable again only when another block is full */
		read_packets(p, f);
	if (f->proc && f->working)
		more = procnet_work(f->proc, now, FLOW_STEP_NS);
	return more;
}

void procfs_flow_finish(struct weir_plugin *p, struct procfs_flow *f)
{
	if (f->diag && !diag_finish(f->diag, weir_now(p), FINISH_NS))
		weir_log(p, WEIR_WARN, "flows: the last look at the sockets was not over in time: what they "
		         "counted since the one before is missing");
	for (int i = 0; i < 16 && f->capture && read_packets(p, f); i++)
		;
}

void procfs_flow_close(struct weir_plugin *p, struct procfs_flow *f)
{
	p->host->fd_stop(f->watch);
	capture_close(f->capture);
	diag_close(f->diag);
	procnet_close(f->proc);
	f->watch = NULL;
	f->capture = NULL;
	f->diag = NULL;
	f->proc = NULL;
}
