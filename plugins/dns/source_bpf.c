/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source bpf: DNS packets of all local sockets, in every network namespace, with the process
 * that owns the socket. dns.bpf.c copies them into the ring; here each is taken apart and is
 * gone (aggregated): what comes of it is a transaction.
 */
#include "source_bpf.h"

#include <owner_fill.h>
#include <string.h>

#define KIND(k) (1u << (k))
const struct weir_program dns_bpf_programs[DNS_BPF_PROGRAMS] = {
	{ .name = "dns_egress", .flags = WEIR_PROGRAM_REQUIRED, .priority = 9,
	  .kinds = KIND(WEIR_DNS_PACKET), .doc = "what local sockets send" },
	{ .name = "dns_ingress", .flags = WEIR_PROGRAM_REQUIRED, .priority = 9,
	  .kinds = KIND(WEIR_DNS_PACKET), .doc = "what local sockets receive" },
	{ .name = "own_create", .priority = 6, .doc = "who made a socket" },
	{ .name = "own_connect4", .priority = 6, .doc = "who connected it, IPv4" },
	{ .name = "own_connect6", .priority = 6, .doc = "who connected it, IPv6" },
	{ .name = "own_sendmsg4", .priority = 5, .doc = "who sends from it to an address, IPv4" },
	{ .name = "own_sendmsg6", .priority = 5, .doc = "who sends from it to an address, IPv6" },
	{ .name = "own_send", .priority = 4, .doc = "who sends on a connection (6.3)" },
	{ .name = "own_recv", .priority = 4, .doc = "who receives (6.3)" },
	{ .name = "dns_sockets", .flags = WEIR_PROGRAM_MANUAL, .priority = 5,
	  .doc = "who has sockets open that are older than Weir" },
};

int dns_bpf_prepare(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	const struct weir_host *h = p->host;
	bool cast = h->kernel_has(p, "bpf_cast_to_kern_ctx", NULL);
	uint32_t payload = d->snaplen > 4096 ? 4096 : (uint32_t)d->snaplen;
	uint64_t bits[64] = { 0 };
	int rc;

	for (uint32_t i = 0; i < d->port_count; i++)
		bits[d->ports[i] / 64 % 64] |= 1ull << d->ports[i] % 64;
	rc = h->bpf_set_const(p, "dns_port_bits", bits, sizeof bits);
	rc = rc ? rc : h->bpf_set_const(p, "dns_ports", d->ports, sizeof d->ports);
	rc = rc ? rc : h->bpf_set_const(p, "dns_payload", &payload, sizeof payload);
	rc = rc ? rc : h->bpf_set_const(p, "weir_has_cast", &cast, sizeof cast);
	if (rc)
		return weir_fail(p, rc, "the BPF object does not take its settings: %s; reinstall Weir",
		                 strerror(-rc));
	/* Hooks at every send and receive of the host: only to follow sockets that processes hand
	 * to one another. An empty program at sendmsg alone costs a resolver 5 % (decision 0011). */
	h->bpf_enable(p, "own_sendmsg4", d->follow_sockets);
	h->bpf_enable(p, "own_sendmsg6", d->follow_sockets);
	h->bpf_enable(p, "own_send", d->follow_sockets);
	h->bpf_enable(p, "own_recv", d->follow_sockets);
	return 0;
}

int dns_bpf_start(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	size_t size;

	d->cpu = p->host->bpf_mmap(p, WEIR_MAP_CPU, &size, &d->cpus);
	if (size < sizeof *d->cpu)
		d->cpu = NULL; /* then losses are in the ledger only */
	d->ring_lost = 0;
	d->kernel_weight = 0;
	d->source = "bpf";
	owner_fill(p, "dns_sockets");
	return 0;
}

/* Nothing of the ring is left when this is called for the last time: it is drained after. */
void dns_bpf_stop(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	d->cpu = NULL;
	dns_flush(p);
}

static void losses(struct dns *d)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; d->cpu && i < d->cpus; i++)
		lost += d->cpu[i].kind[WEIR_DNS_PACKET].ring_full;
	if (lost == d->ring_lost)
		return;
	d->counts.lost += lost - d->ring_lost;
	d->ring_lost = lost;
	dns_match_lost(d->match);
}

int dns_bpf_tick(struct weir_plugin *p)
{
	losses(weir_state(p));
	return dns_tick(p);
}

int dns_bpf_record(struct weir_plugin *p, struct weir_record *r)
{
	const struct weir_dns_packet *k = (const void *)(r + 1);
	struct dns *d = weir_state(p);
	struct dns_seen seen;
	const uint8_t *data = (const uint8_t *)(k + 1);
	bool response;

	if (r->kind != WEIR_DNS_PACKET)
		return WEIR_RECORD_PASS;
	if (r->len < sizeof *r + sizeof *k || k->copied > r->len - sizeof *r - sizeof *k || k->copied > k->len)
		return WEIR_RECORD_AGGREGATED; /* not of our program */
	d->counts.packets++;
	/* The kernel samples by another share from now on: of a question that it had kept it may
	 * have left out the answer. */
	if (r->weight != d->kernel_weight) {
		if (d->kernel_weight)
			dns_match_lost(d->match);
		d->kernel_weight = r->weight;
	}
	memset(&seen, 0, sizeof seen);
	d->source = "bpf"; /* so that what another source has left is still that one's */
	seen.via = DNS_VIA_BPF;
	seen.time_ns = r->time_ns;
	memcpy(seen.src, k->src, 16);
	memcpy(seen.dst, k->dst, 16);
	seen.sport = k->sport;
	seen.dport = k->dport;
	seen.ifindex = k->ifindex;
	seen.loopback = k->ifindex == 1;
	seen.netns = k->netns;
	seen.cookie = k->cookie;
	seen.cgroup = k->cgroup;
	seen.owned = k->owned;
	seen.pid = k->pid;
	seen.uid = k->uid;
	memcpy(seen.comm, k->comm, sizeof seen.comm);
	seen.weight = r->weight * (uint32_t)d->sample;
	if (k->proto == 17) {
		response = k->copied > 2 && data[2] & 0x80;
		seen.transport = WEIR_DNS_UDP;
		seen.role = (k->egress != 0) == response ? WEIR_DNS_SERVER : WEIR_DNS_CLIENT;
		dns_take_datagram(p, &seen, data, k->copied, k->len);
	} else {
		const struct dns_segment g = { .seq = k->seq, .flags = k->tcp_flags, .data = data,
			.have = k->copied, .len = k->len };

		response = dns_is_port(d, k->sport) && !dns_is_port(d, k->dport);
		seen.transport = WEIR_DNS_TCP;
		seen.role = (k->egress != 0) == response ? WEIR_DNS_SERVER : WEIR_DNS_CLIENT;
		dns_take_segment(p, &seen, &g);
	}
	return WEIR_RECORD_AGGREGATED;
}
