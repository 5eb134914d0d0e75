/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What network's programs are told: sizes, ports of tunnels, which programs this kernel and
 * these options want. Before load: net_knobs_prepare(); after: net_knobs_start().
 */
#include "source_bpf.h"

#include "flow_names.h"
#include <stdio.h>
#include <string.h>

/* ---- filters in the kernel: what it can decide as exactly as filter_match.c ---------------- */

static uint32_t lists_of(const struct net_filter *f, size_t i)
{
	return i < f->match.count ? WEIR_NET_MATCH : WEIR_NET_NOT_MATCH;
}

static size_t rules_of(const struct net_filter *f)
{
	return f->match.count + f->not_match.count;
}

/* Which lists of addresses the trie can hold: prefixes, not ranges, and not too many. */
static uint32_t net_lists(const struct net_filter *f)
{
	uint32_t have = 0;

	if (rules_of(f) > WEIR_NET_PREFIXES)
		return 0;
	for (size_t i = 0; i < rules_of(f); i++)
		have |= lists_of(f, i);
	for (size_t i = 0; i < rules_of(f); i++)
		if (f->rules[i].prefix > 128)
			have &= ~lists_of(f, i);
	return have;
}

static uint32_t port_lists(const struct net_filter *f)
{
	return (f->match.count ? WEIR_NET_MATCH : 0) | (f->not_match.count ? WEIR_NET_NOT_MATCH : 0);
}

static bool proto_fits(const struct net_filter *f, size_t from, size_t to, unsigned proto)
{
	const char *name = flow_transport_name((uint8_t)proto);
	char digits[12];

	snprintf(digits, sizeof digits, "%u", proto);
	for (size_t i = from; i < to; i++)
		if ((name && net_filter_text(f->rules[i].text, name, 64)) ||
		    !strcmp(f->rules[i].text, digits))
			return true;
	return false;
}

static void fill_protos(const struct net_filter *f, struct weir_net_filter *ret)
{
	size_t matches = f->match.count;

	ret->proto_filter = rules_of(f) > 0;
	for (unsigned proto = 0; proto < 256; proto++)
		if ((!matches || proto_fits(f, 0, matches, proto)) &&
		    !proto_fits(f, matches, rules_of(f), proto))
			ret->protos[proto / 32] |= 1u << proto % 32;
}

/* Plain names, and names with one * at their end; with any other the kernel leaves it be. */
static void fill_comms(const struct net_filter *f, struct weir_net_filter *ret)
{
	size_t count = f->match.count;

	if (count > WEIR_NET_NAMES)
		return;
	for (size_t i = 0; i < count; i++) {
		const char *name = f->rules[i].text;
		size_t plain = strcspn(name, "*?"), len = strlen(name);

		if (plain > 15 || (plain != len && (name[plain] != '*' || plain + 1 != len)))
			return;
		ret->comm[i].len = plain == len ? 16 : (uint8_t)plain;
		memcpy(ret->comm[i].name, name, plain);
	}
	ret->comms = (uint32_t)count;
}

static int set_filter(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct weir_net_filter f = { 0 };
	bool any;
	int rc;

	f.nets = net_lists(&n->filter[NET_F_ADDRESS]);
	f.ports = port_lists(&n->filter[NET_F_PORT]);
	fill_protos(&n->filter[NET_F_TRANSPORT], &f);
	fill_comms(&n->filter[NET_F_PROCESS], &f);
	any = f.nets | f.ports | f.proto_filter | f.comms;
	rc = p->host->bpf_set_const(p, "net_filter", &f, sizeof f);
	return rc ? rc : p->host->bpf_set_const(p, "net_filtering", &any, sizeof any);
}

/* The longest prefix decides, so each has the lists of those around it as well. */
static int load_nets(struct weir_plugin *p, const struct net_filter *f)
{
	int map = p->host->bpf_map(p, "net_nets"), rc = map < 0 ? map : 0;

	for (size_t i = 0; net_lists(f) && i < rules_of(f) && !rc; i++) {
		const struct net_rule *u = &f->rules[i];
		struct weir_net_prefix k = { .bits = u->prefix };
		uint32_t lists = 0;

		if (u->prefix > 128)
			continue;
		memcpy(k.addr, u->lo, 16);
		for (size_t j = 0; j < rules_of(f); j++)
			if (memcmp(f->rules[j].lo, u->lo, 16) <= 0 && memcmp(u->hi, f->rules[j].hi, 16) <= 0)
				lists |= lists_of(f, j);
		rc = p->host->map_update(map, &k, &lists, 0);
	}
	return rc;
}

static int load_ports(struct weir_plugin *p, const struct net_filter *f)
{
	int map = p->host->bpf_map(p, "net_ports"), rc = map < 0 ? map : 0;
	uint32_t zero = 0;
	uint8_t *ports;

	if (!rules_of(f) || rc)
		return rc;
	ports = weir_alloc(p, 65536);
	if (!ports)
		return -ENOMEM;
	memset(ports, 0, 65536);
	for (size_t i = 0; i < rules_of(f); i++)
		for (uint32_t port = f->rules[i].min; port <= f->rules[i].max && port < 65536; port++)
			ports[port] |= (uint8_t)lists_of(f, i);
	rc = p->host->map_update(map, &zero, ports, 0);
	weir_free(p, ports);
	return rc;
}

int net_knobs_prepare(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	const struct weir_host *h = p->host;
	bool cast = h->kernel_has(p, "bpf_rdonly_cast", NULL);
	bool host = n->scope != NET_SCOPE_WIRE;
	/* 6.11 (c53795d48ee8): kfree_skb says which socket, so TIME_WAIT's packets show there. */
	bool says = h->kernel_has(p, "sk_skb_reason_drop", NULL);
	/* 6.3 (6e6eda44b939): one tracepoint for all families. */
	bool old = host && !h->kernel_has(p, "btf_trace_sock_send_length", NULL);
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
	rc = rc ? rc : set_filter(p);
	rc = rc ? rc : h->bpf_set_entries(p, "net_cpu", h->cpus(p));
	rc = rc ? rc : h->bpf_set_entries(p, "net_recent", 2 * h->cpus(p));
	rc = rc ? rc : h->bpf_set_entries(p, "net_flows_a", flows);
	rc = rc ? rc : h->bpf_set_entries(p, "net_flows_b", flows);
	for (size_t i = 0; i < sizeof owners / sizeof owners[0] && !rc; i++)
		rc = h->bpf_enable(p, owners[i], host && n->owner != NET_OWNER_OFF);
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0] && !rc; i++)
		rc = h->bpf_enable(p, hosts[i], host);
	for (size_t i = 0; i < sizeof wires / sizeof wires[0] && !rc; i++)
		rc = h->bpf_enable(p, wires[i], n->scope != NET_SCOPE_HOST);
	rc = rc ? rc : h->bpf_enable(p, "own_send_inet6", old && n->owner != NET_OWNER_OFF);
	rc = rc ? rc : h->bpf_enable(p, "own_recv_inet6", old && n->owner != NET_OWNER_OFF);
	return rc ? rc : h->bpf_enable(p, "net_time_wait", host && !says);
}

int net_knobs_start(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	int rc = load_nets(p, &n->filter[NET_F_ADDRESS]);

	rc = rc ? rc : load_ports(p, &n->filter[NET_F_PORT]);
	if (rc)
		return weir_fail(p, rc, "the filters cannot be loaded: %s", strerror(-rc));
	return 0;
}
