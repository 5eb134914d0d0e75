/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What network's programs are told: sizes, ports of tunnels, which programs this kernel and
 * these options want. Before load: net_knobs_prepare(); after: net_knobs_start().
 */
#include "source_bpf.h"

#include <string.h>

int net_knobs_prepare(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	const struct weir_host *h = p->host;
	bool cast = h->kernel_has(p, "bpf_rdonly_cast", NULL);
	bool host = n->scope != NET_SCOPE_WIRE;
	/* 6.11 (c53795d48ee8): kfree_skb says which socket, so TIME_WAIT's packets show there. */
	bool says = h->kernel_has(p, "sk_skb_reason_drop", NULL);
	static const char *const owners[] = { "own_create", "own_connect4", "own_connect6",
		"own_sendmsg4", "own_sendmsg6", "own_send", "own_recv", "net_fill" };
	static const char *const hosts[] = { "net_egress", "net_ingress", "net_state",
		"net_retransmit", "net_drop", "net_queue" };
	static const char *const wires[] = { "net_eth_in", "net_eth_out", "net_raw_in", "net_raw_out" };
	uint32_t flows = (uint32_t)n->flow_stats_capacity;
	uint16_t vxlan = n->parser.vxlan_port, geneve = n->parser.geneve_port,
	         wireguard = n->parser.wireguard_port;
	int rc;

	rc = h->bpf_set_const(p, "weir_has_cast", &cast, sizeof cast);
	rc = rc ? rc : h->bpf_set_const(p, "net_vxlan_port", &vxlan, sizeof vxlan);
	rc = rc ? rc : h->bpf_set_const(p, "net_geneve_port", &geneve, sizeof geneve);
	rc = rc ? rc : h->bpf_set_const(p, "net_wireguard_port", &wireguard, sizeof wireguard);
	rc = rc ? rc : h->bpf_set_entries(p, "net_cpu", h->cpus(p));
	rc = rc ? rc : h->bpf_set_entries(p, "net_flows_a", flows);
	rc = rc ? rc : h->bpf_set_entries(p, "net_flows_b", flows);
	for (size_t i = 0; i < sizeof owners / sizeof owners[0] && !rc; i++)
		rc = h->bpf_enable(p, owners[i], host && n->owner != NET_OWNER_OFF);
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0] && !rc; i++)
		rc = h->bpf_enable(p, hosts[i], host);
	for (size_t i = 0; i < sizeof wires / sizeof wires[0] && !rc; i++)
		rc = h->bpf_enable(p, wires[i], n->scope != NET_SCOPE_HOST);
	return rc ? rc : h->bpf_enable(p, "net_time_wait", host && !says);
}

int net_knobs_start(struct weir_plugin *p)
{
	(void)p;
	return 0;
}
