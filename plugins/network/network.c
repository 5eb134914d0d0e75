/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: every packet of every flow, with its owner.
 *
 * Here: the tables the host reads (options, metrics, sources) and the lifecycle. init checks
 * the options and makes the engine; a source feeds it; stop ends the flows. What may fail: an
 * option's value (the message names both), memory.
 */
#include "source_bpf.h"

#include "flow_schema.h"
#include <string.h>

#define O struct network
#define SECOND 1e9
#define SPAN(m, n, d, dc)                                                                          \
	WEIR_OPTION_DURATION(O, flow.m, "span." n, d, dc, .min = 1e8, .max = 3600 * SECOND)
#define PORT(m, n, d, dc)                                                                          \
	WEIR_OPTION_UINT(O, m, "parser." n, d, dc, .unit = "port", .max = 65535)
#define FILTER(id, n, kind, dc)                                                                    \
	WEIR_OPTION_LIST(O, filter[NET_F_##id].match, "filter." n ".match", "",                    \
		"Only flows with this: " dc, .max = 256),                                          \
	WEIR_OPTION_LIST(O, filter[NET_F_##id].not_match, "filter." n ".not_match", "",            \
		"No flows with this: " dc, .max = 256),
static const struct weir_option options[] = {
	WEIR_OPTION_UINT(O, flow_stats_capacity, "flow_capture.flow_stats_capacity", "16384",
		"Flows the kernel's map holds between two polls", .unit = "flows", .min = 64,
		.max = 4194304),
	WEIR_OPTION_UINT(O, flow_events_capacity, "flow_capture.flow_events_capacity", "1024",
		"Packets that may wait in the ring when that map is full", .unit = "records",
		.min = 64, .max = 1048576),
	WEIR_OPTION_UINT(O, workers, "flow_producer.workers", "4",
		"Queues the updates are spread over", .unit = "queues", .min = 1, .max = 64,
		.flags = WEIR_OPTION_POWER_OF_TWO),
	WEIR_OPTION_UINT(O, worker_queue_capacity, "flow_producer.worker_queue_capacity", "1024",
		"Updates that wait in each of them", .unit = "updates", .min = 16, .max = 65536,
		.flags = WEIR_OPTION_POWER_OF_TWO),
	WEIR_OPTION_DURATION(O, poll_ns, "flow_producer.flow_store_poll_interval", "5s",
		"How often the kernel's counts are fetched and flows are looked at", .min = 1e8,
		.max = 60 * SECOND),
	WEIR_OPTION_UINT(O, span_queue_capacity, "flow_producer.flow_span_queue_capacity", "4096",
		"Records made in one round of the loop", .unit = "records", .min = 16, .max = 65536),
	WEIR_OPTION_UINT(O, store_capacity, "store_capacity", "131072",
		"Flows followed at a time; beyond it the longest idle one ends early", .unit = "flows",
		.min = 64, .max = 8388608),
	SPAN(max_record_interval, "max_record_interval", "60s", "A flow that lasts is reported so often"),
	SPAN(generic_timeout, "generic_timeout", "30s", "Other flows end after so long without a packet"),
	SPAN(icmp_timeout, "icmp_timeout", "10s", "The same for ICMP and ICMPv6"),
	SPAN(tcp_timeout, "tcp_timeout", "20s", "The same for TCP"),
	SPAN(tcp_fin_timeout, "tcp_fin_timeout", "5s", "The same for TCP that is closed"),
	SPAN(tcp_rst_timeout, "tcp_rst_timeout", "5s", "The same for TCP that was reset"),
	SPAN(udp_timeout, "udp_timeout", "60s", "The same for UDP"),
	WEIR_OPTION_UINT(O, community_id_seed, "span.community_id_seed", "0",
		"Seed of the Community ID; the same in all tools whose IDs are compared", .max = 65535),
	PORT(geneve_port, "geneve_port", "6081", "UDP port of Geneve; 0: do not look inside"),
	PORT(vxlan_port, "vxlan_port", "4789", "UDP port of VXLAN; 0: do not look inside"),
	PORT(wireguard_port, "wireguard_port", "51820", "UDP port of WireGuard; 0: none"),
	WEIR_OPTION_LIST(O, interfaces, "discovery.interfaces",
		"veth*,tunl*,ip6tnl*,vxlan*,flannel*,cali*,cilium_*,lxc*,gke*,eni*,azure*,ovn-k8s*",
		"Scope wire: which interfaces; a name, with * and ?, or a regular expression between slashes",
		.max = 64),
	WEIR_OPTION_BOOL(O, auto_discover, "discovery.auto_discover_interfaces", "true",
		"Take interfaces that appear later too"),
	WEIR_OPTION_UINT(O, tc_priority, "discovery.tc_priority", "1",
		"Priority of the filter where the kernel has no tcx (before 6.6)", .min = 1, .max = 65535),
	WEIR_OPTION_ENUM(O, tcx_order, "discovery.tcx_order", "first last", "first",
		"Before or after the other programs of an interface"),
	WEIR_OPTION_ENUM(O, scope, "scope", "host wire both", "host",
		"host: packets of this node's sockets, with their owner; wire: packets at interfaces"),
	WEIR_OPTION_ENUM(O, owner, "owner", "full process off", "full",
		"full: process, and container, unit and pod from its cgroup; process: only that"),
	WEIR_OPTION_BOOL(O, start_records, "start_records", "false",
		"A record when a flow begins as well"),
	WEIR_OPTION_DURATION(O, stats_ns, "stats_interval", "60s",
		"How often the statistics are logged; 0: never", .max = 86400 * SECOND),
	WEIR_OPTION_STRING(O, replay_file, "replay.file", "",
		"Read this capture file instead of the network", .flags = WEIR_OPTION_PATH),
	NET_FILTERS(FILTER)
};
#undef O

static const struct weir_metric metrics[M_COUNT] = {
#define X(i, n, t, u, l, h)                                                                        \
	[i] = { .name = n, .type = t, .unit = u, .labels = l, .help = h,                           \
		.bucket_count = t == WEIR_HISTOGRAM ? NET_HANDSHAKE_BUCKETS : 0,                   \
		.buckets = t == WEIR_HISTOGRAM ? net_handshake_buckets : NULL },
	NETWORK_METRICS(X)
#undef X
};

#define S struct weir_net_overflow
static const struct weir_field overflow_fields[] = {
	WEIR_FIELD(S, key, WEIR_HEX, "", "Key of the flow"),
	WEIR_FIELD(S, delta, WEIR_HEX, "", "What the packet adds to it"),
};
#undef S
#define S struct weir_net_owner
static const struct weir_field owner_fields[] = {
	WEIR_FIELD(S, cookie, WEIR_U64, "", "Socket"),
	WEIR_FIELD(S, cgroup, WEIR_U64, "", "Cgroup of the process"),
	WEIR_FIELD(S, pid, WEIR_U32, "", "Process"),
	WEIR_FIELD(S, uid, WEIR_U32, "", "Its user"),
	WEIR_FIELD(S, comm, WEIR_CHARS, "", "Its name"),
	WEIR_FIELD(S, bits, WEIR_U32, "", "How that is known"),
};
#undef S

static const struct weir_schema schemas[WEIR_NET_KINDS] = {
	[WEIR_NET_FLOW] = WEIR_FLOW_SCHEMA,
	[WEIR_NET_LISTEN] = WEIR_FLOW_LISTEN_SCHEMA,
	[WEIR_NET_OVERFLOW] = { .name = "net_overflow", .topic = "flow", .version = 1, .priority = 1,
		.size = sizeof(struct weir_net_overflow), .fields = WEIR_TABLE(overflow_fields),
		.doc = "A packet the kernel's map had no room for; taken up into its flow, and passed on only if the engine has no room either" },
	[WEIR_NET_OWNER] = { .name = "net_owner", .topic = "flow", .version = 1, .priority = 1,
		.size = sizeof(struct weir_net_owner), .fields = WEIR_TABLE(owner_fields),
		.doc = "A socket changed hands; always taken up into its flows" },
};

/* ---- sources ----------------------------------------------------------------------------- */

int net_live_probe(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (n->replay_file[0])
		return weir_fail(p, -ENODEV, "replay.file is set to %s: that is read instead",
		                 n->replay_file);
	return 0;
}

int net_replay_probe(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (!n->replay_file[0])
		return weir_fail(p, -ENODEV, "no capture file to read: set replay.file");
	return 0;
}

/* bpf is exchanged by the host, to the instant; proc counts nothing, and replay is alone. */
void net_plain_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	(void)p, (void)turn, (void)at_ns, (void)unsure_ns;
}

WEIR_BPF_DECLARE(network);
/* In order: bpf, packet, diag, proc, replay. */
static const struct weir_source sources[] = {
	{ .name = "bpf", .quality = "", WEIR_BPF_OBJECT(network), .programs = WEIR_TABLE(net_bpf_programs),
	  .probe = net_live_probe, .prepare = net_bpf_prepare, .start = net_bpf_start,
	  .stop = net_bpf_stop, .record = net_bpf_record, .tick = net_bpf_tick,
	  .turn = net_plain_turn,
	  .interval_offset = offsetof(struct network, poll_ns),
	  .doc = "Programs in the kernel add up every packet; exact, with owners" },
	{ .name = "packet", .quality = "", .probe = net_live_probe, .start = net_packet_start,
	  .stop = net_packet_stop, .tick = net_packet_tick, .turn = net_packet_turn,
	  .interval_offset = offsetof(struct network, poll_ns),
	  .doc = "A packet socket: every packet of this network namespace; exact, without owners" },
	{ .name = "diag", .quality = "approx", .probe = net_live_probe, .start = net_diag_start,
	  .stop = net_diag_stop, .tick = net_diag_tick, .turn = net_diag_turn,
	  .interval_offset = offsetof(struct network, poll_ns),
	  .doc = "INET_DIAG: what TCP sockets have counted; other sockets only exist" },
	{ .name = "proc", .quality = "approx", .probe = net_live_probe, .start = net_proc_start,
	  .stop = net_proc_stop, .tick = net_proc_tick, .turn = net_plain_turn,
	  .interval_offset = offsetof(struct network, poll_ns),
	  .doc = "/proc/net: which sockets there are, and whose; counts nothing" },
	{ .name = "replay", .quality = "", .probe = net_replay_probe, .start = net_replay_start,
	  .stop = net_replay_stop, .tick = net_replay_tick, .turn = net_plain_turn,
	  .interval_offset = offsetof(struct network, poll_ns),
	  .doc = "A capture file, of any of libpcap's formats" },
};

/* ---- lifecycle ----------------------------------------------------------------------------- */

static void fini(struct weir_plugin *p)
{
	net_engine_fini(p);
	net_filters_fini(p);
}

static int init(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	int rc;

	n->source = "";
	n->parser = (struct pkt_config){ .vxlan_port = (uint16_t)n->vxlan_port,
		.geneve_port = (uint16_t)n->geneve_port, .wireguard_port = (uint16_t)n->wireguard_port };
	rc = net_filters_init(p);
	if (!rc)
		rc = net_engine_init(p);
	if (rc)
		fini(p);
	return rc;
}

WEIR_PLUGIN(.name = "network", .version = "1.0.0", .kind = WEIR_COLLECTOR,
	.topics = "flow", .doc = "Network flows: every packet, each flow with its owner",
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON | WEIR_CAP_NET_ADMIN | WEIR_CAP_NET_RAW |
		WEIR_CAP_SYS_PTRACE | WEIR_CAP_DAC_READ_SEARCH,
	.state_size = sizeof(struct network), .options = WEIR_TABLE(options),
	.schemas = WEIR_TABLE(schemas), .metrics = WEIR_TABLE(metrics),
	.sources = WEIR_TABLE(sources), .queries = { net_queries, NET_QUERIES, sizeof(struct weir_query) },
	.collect = net_publish, .start = net_engine_start,
	.init = init, .fini = fini, .stop = net_engine_stop);
