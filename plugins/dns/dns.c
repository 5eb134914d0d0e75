/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: every question, its answer, how long it took, and who asked.
 *
 * Here: the tables the host reads (options, sources) and the lifecycle. init() allocates the
 * tables, which outlive a change of source; a source only brings messages. stop() ends what
 * is open when the plugin ends. What may fail: an option that is no name or port, memory, a
 * source without the rights it needs; each says so.
 */
#include "source_bpf.h"

#include <string.h>

WEIR_BPF_DECLARE(dns);

#define SECOND 1e9
#define O struct dns
static const struct weir_option options[] = {
	WEIR_OPTION_LIST(O, port_list, "ports", "53,5353,5355,137",
		"UDP and TCP ports that carry DNS; 5353 mDNS, 5355 LLMNR, 137 NetBIOS",
		.min = 1, .max = DNS_PORTS_MAX),
	WEIR_OPTION_DURATION(O, timeout_ns, "timeout", "6s",
		"A question without an answer for so long has timed out; libc asks again after 5 s", .min = 1e8, .max = 120 * SECOND),
	WEIR_OPTION_UINT(O, max_pending, "max_pending", "8192",
		"Open questions at a time; beyond it the longest open one ends as evicted",
		.unit = "queries", .min = 64, .max = 1048576),
	WEIR_OPTION_LIST(O, ignore_list, "ignore", "",
		"No names that are or end in one of these domains; the longest match of both lists wins",
		.max = DNS_SUFFIXES_MAX),
	WEIR_OPTION_LIST(O, keep_list, "keep", "",
		"Only names that are or end in one of these domains", .max = DNS_SUFFIXES_MAX),
	WEIR_OPTION_ENUM(O, redact, "redact", "off hash", "off",
		"hash: names become a keyed hash, and text in answers is left out"),
	WEIR_OPTION_STRING(O, redact_key, "redact_key", "",
		"Key of that hash, to have the same on several nodes; else one is made up at each start",
		.flags = WEIR_OPTION_SECRET),
	WEIR_OPTION_UINT(O, sample, "sample", "1",
		"Keep one transaction in so many, question and answer alike", .min = 1, .max = 1000000),
	WEIR_OPTION_BYTES(O, snaplen, "payload", "1600",
		"Bytes kept of each packet; what is beyond is missing in long answers",
		.min = 128, .max = 65536),
	WEIR_OPTION_BYTES(O, ring_bytes, "packet.ring", "1MiB", "Memory of source packet's ring", .min = 131072,
		.max = 268435456),
	WEIR_OPTION_STRING(O, interface, "packet.interface", "", "Source packet: only this interface"),
	WEIR_OPTION_UINT(O, max_connections, "tcp.connections", "512",
		"TCP connections that are put together at a time", .min = 8, .max = 65536),
	WEIR_OPTION_BYTES(O, stream_bytes, "tcp.buffers", "4MiB",
		"Bytes that may wait in all of them for the rest of a message", .min = 131072,
		.max = 1073741824),
	WEIR_OPTION_BOOL(O, follow_sockets, "follow_sockets", "false",
		"Source bpf: follow sockets that processes hand to one another, at a cost for each send and receive"),
	WEIR_OPTION_BOOL(O, executable, "executable", "true", "Look up the program of the process"),
	WEIR_OPTION_BOOL(O, containers, "containers", "true",
		"Look up container, unit and pod of its cgroup"),
	WEIR_OPTION_BOOL(O, community_id, "community_id", "true", "Compute the Community ID"),
	WEIR_OPTION_DURATION(O, slow_ns, "slow", "100ms",
		"What is answered later than this is kept for the query queries", .max = 120 * SECOND),
	WEIR_OPTION_UINT(O, top_series, "top_series", "0",
		"Names asked for most that are exported as a metric", .max = DNS_SERIES_MAX),
	WEIR_OPTION_DURATION(O, tick_ns, "interval", "100ms",
		"How often timeouts are looked for", .min = 1e7, .max = SECOND),
	WEIR_OPTION_STRING(O, replay_file, "replay.file", "",
		"Read this capture file instead of the network", .flags = WEIR_OPTION_PATH),
};
#undef O

static void *reallocate(void *arg, void *ptr, size_t size)
{
	struct weir_plugin *p = arg;

	return p->host->realloc(p, ptr, size);
}

struct pkt_memory dns_memory(struct weir_plugin *p)
{
	return (struct pkt_memory){ .realloc = reallocate, .arg = p };
}

static void fini(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct pkt_memory m = dns_memory(p);

	dns_match_free(d->match);
	dns_streams_free(d->streams);
	dns_defrag_free(d->defrag);
	dns_top_free(&m, d->top_names);
	dns_top_free(&m, d->top_servers);
	dns_top_free(&m, d->top_processes);
	dns_owners_fini(p);
	weir_free(p, d->recent);
	weir_free(p, d->queue);
	weir_free(p, d->ignore);
	weir_free(p, d->keep);
	d->match = NULL;
	d->streams = NULL;
	d->defrag = NULL;
	d->top_names = d->top_servers = d->top_processes = NULL;
	d->recent = NULL;
	d->queue = NULL;
	d->queue_len = d->queue_cap = 0;
	d->ignore = d->keep = NULL;
}

/* Responses may be read before their queries where CPUs have rings of their own. */
#define EARLY_NS 100000000ull
/* Heavy hitters are exact as long as there are no more different ones than this. */
#define TOP_ENTRIES 128

static int allocate(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct pkt_memory m = dns_memory(p);
	const struct dns_match_options o = {
		.capacity = (uint32_t)d->max_pending, .timeout_ns = d->timeout_ns,
		.early_ns = d->replay_file[0] ? 0 : EARLY_NS,
	};
	int rc = dns_match_new(&m, &o, dns_finish, p, &d->match);

	rc = rc ? rc : dns_streams_new(&m, (uint32_t)d->max_connections, (uint32_t)d->stream_bytes,
	                               dns_stream_message, p, &d->streams);
	rc = rc ? rc : dns_defrag_new(&m, &d->defrag);
	rc = rc ? rc : dns_top_new(&m, TOP_ENTRIES, &d->top_names);
	rc = rc ? rc : dns_top_new(&m, TOP_ENTRIES, &d->top_servers);
	rc = rc ? rc : dns_top_new(&m, TOP_ENTRIES, &d->top_processes);
	rc = rc ? rc : dns_owners_init(p);
	if (rc)
		return rc;
	d->recent = weir_alloc(p, DNS_RECENT * sizeof *d->recent);
	return d->recent ? 0 : -ENOMEM;
}

static int init(struct weir_plugin *p)
{
	int rc = dns_filters(p);

	if (!rc) {
		rc = allocate(p);
		if (rc)
			weir_fail(p, rc, "cannot allocate the tables; more memory, or a smaller max_pending");
	}
	if (rc)
		fini(p);
	return rc;
}

/* The plugin ends, and with it all questions that are open. */
static void stop(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	if (!d->match)
		return;
	dns_match_flush(d->match, WEIR_DNS_OPEN);
	dns_flush(p);
}

static int collect(struct weir_plugin *p)
{
	dns_publish(p);
	return 0;
}

/* bpf is exchanged by the host, to the instant; replay is alone. */
void dns_plain_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	(void)p, (void)turn, (void)at_ns, (void)unsure_ns;
}

static const struct weir_source sources[] = {
	{ .name = "bpf", .quality = "", .doc = "DNS packets of all local sockets with their process",
	  WEIR_BPF_OBJECT(dns), .programs = WEIR_TABLE(dns_bpf_programs), .probe = dns_live_probe,
	  .prepare = dns_bpf_prepare, .start = dns_bpf_start, .stop = dns_bpf_stop,
	  .record = dns_bpf_record, .tick = dns_bpf_tick, .turn = dns_plain_turn,
	  .interval_offset = offsetof(struct dns, tick_ns) },
	{ .name = "packet", .quality = "", .doc = "A packet socket: DNS of this network namespace, "
	  "without processes", .probe = dns_live_probe, .start = dns_packet_start,
	  .stop = dns_packet_stop, .tick = dns_tick, .turn = dns_packet_turn,
	  .interval_offset = offsetof(struct dns, tick_ns) },
	{ .name = "replay", .quality = "", .doc = "A capture file: option replay.file",
	  .probe = dns_replay_probe, .start = dns_replay_start, .stop = dns_replay_stop,
	  .tick = dns_replay_tick, .turn = dns_plain_turn,
	  .interval_offset = offsetof(struct dns, tick_ns) },
};

WEIR_PLUGIN(.name = "dns", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "dns",
	.doc = "DNS questions with their answers, latency and process",
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON | WEIR_CAP_NET_ADMIN | WEIR_CAP_NET_RAW |
	         WEIR_CAP_SYS_PTRACE | WEIR_CAP_DAC_READ_SEARCH,
	.state_size = sizeof(struct dns), .options = WEIR_TABLE(options),
	.schemas = WEIR_TABLE(dns_schemas), .metrics = WEIR_TABLE(dns_metrics),
	.queries = { dns_queries, 6, sizeof(struct weir_query) }, .sources = WEIR_TABLE(sources),
	.init = init, .fini = fini, .stop = stop, .collect = collect);
