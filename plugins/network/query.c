/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: the live flows, what they sum up to, how the engine fares, what fields are called
 * elsewhere, and a few lines for the live view.
 *
 * Each is one walk of the store, some 10 ms at 100 000 flows. What comes from outside, names of
 * processes above all, is escaped. What may fail: memory for the rows to sort.
 */
#include "query.h"

#include "community_id.h"
#include "flow_attributes.h"
#include "flow_names.h"
#include "flow_schema.h"
#include "source_bpf.h"
#include <stdlib.h>
#include <string.h>

enum flows_sort { SORT_BYTES, SORT_PACKETS, SORT_RATE, SORT_START, SORT_LAST, SORT_RETRANSMITS,
	SORT_RTT };
struct flows_args {
	uint32_t sort;
	uint64_t limit, port;
	const char *process, *peer, *transport;
};
#define A struct flows_args
static const struct weir_option flows_options[] = {
	WEIR_OPTION_ENUM(
		A, sort, "sort", "bytes packets rate start last retransmits rtt", "bytes",
		"What comes first: most bytes, packets, bytes per second; latest start; latest packet"),
	WEIR_OPTION_UINT(A, limit, "limit", "20", "How many flows", .unit = "flows", .min = 1,
			 .max = 1000),
	WEIR_OPTION_STRING(A, process, "process", "",
			   "Only of processes with this name, with * and ?, or with this pid"),
	WEIR_OPTION_STRING(
		A, peer, "peer", "",
		"Only with this at either end: address, CIDR, first-last, or text with * and ?"),
	WEIR_OPTION_UINT(A, port, "port", "0", "Only with this port at either end", .max = 65535),
	WEIR_OPTION_STRING(A, transport, "transport", "", "Only tcp, udp, icmp, ... or a number"),
};
#undef A
#define A struct talkers_args
static const struct weir_option talkers_options[] = {
	WEIR_OPTION_ENUM(A, by, "by", "process peer port", "process", "What to sum up by"),
	WEIR_OPTION_ENUM(A, sort, "sort", "bytes packets flows retransmits", "bytes",
			 "What comes first"),
	WEIR_OPTION_UINT(A, limit, "limit", "20", "How many", .min = 1, .max = 1000),
};
#undef A

/* ---- flows ---------------------------------------------------------------------------------- */

struct top {
	const struct flows_args *a;
	struct weir_flow *rows;  /* limit of them; heap[] says in which order */
	struct { uint64_t value; uint32_t row; } *heap;
	uint32_t count;
};

static uint64_t rate_of(const struct weir_flow *r)
{
	uint64_t ns = r->end_ns - r->start_ns, bytes = r->bytes_total + r->reverse_bytes_total;

	return (uint64_t)((double)bytes * 1e9 / (double)(ns > 1000000000 ? ns : 1000000000));
}

static uint64_t sort_value(const struct weir_flow *r, uint32_t sort)
{
	switch ((enum flows_sort)sort) {
	case SORT_BYTES: return r->bytes_total + r->reverse_bytes_total;
	case SORT_PACKETS: return r->packets_total + r->reverse_packets_total;
	case SORT_RATE: return rate_of(r);
	case SORT_START: return r->start_ns;
	case SORT_LAST: return r->end_ns;
	case SORT_RETRANSMITS: return r->retransmits;
	case SORT_RTT: return r->srtt_ns;
	}
	return 0;
}

static bool asked_for(const struct flows_args *a, const struct weir_flow *r)
{
	const char *transport = flow_transport_name(r->transport);
	struct net_rule rule;
	char text[46];

	snprintf(text, sizeof text, "%u", r->pid);
	if (a->process[0] && (!r->pid || (strcmp(a->process, text) &&
	                                  !net_filter_text(a->process, r->comm, sizeof r->comm))))
		return false;
	if (a->port && r->source_port != a->port && r->destination_port != a->port)
		return false;
	snprintf(text, sizeof text, "%u", r->transport);
	if (a->transport[0] && strcmp(a->transport, text) &&
	    (!transport || strcmp(a->transport, transport)))
		return false;
	if (!a->peer[0])
		return true;
	if (net_filter_address(a->peer, &rule))
		return (memcmp(rule.lo, r->source_address, 16) <= 0 &&
		        memcmp(r->source_address, rule.hi, 16) <= 0) ||
		       (memcmp(rule.lo, r->destination_address, 16) <= 0 &&
		        memcmp(r->destination_address, rule.hi, 16) <= 0);
	net_print_address(r->source_address, text);
	if (net_filter_text(a->peer, text, sizeof text))
		return true;
	net_print_address(r->destination_address, text);
	return net_filter_text(a->peer, text, sizeof text);
}

/* The least of the heap on top; it gives way. */
static void sift(struct top *t, uint32_t i)
{
	for (;;) {
		uint32_t least = i, l = 2 * i + 1;

		if (l < t->count && t->heap[l].value < t->heap[least].value)
			least = l;
		if (l + 1 < t->count && t->heap[l + 1].value < t->heap[least].value)
			least = l + 1;
		if (least == i)
			return;
		__typeof__(t->heap[0]) x = t->heap[i];
		t->heap[i] = t->heap[least];
		t->heap[least] = x;
		i = least;
	}
}

static bool consider(void *arg, const struct weir_flow *r)
{
	struct top *t = arg;
	uint64_t value;

	if (!asked_for(t->a, r))
		return true;
	value = sort_value(r, t->a->sort);
	if (t->count < t->a->limit) {
		t->heap[t->count].value = value;
		t->heap[t->count].row = t->count;
		t->rows[t->count++] = *r;
		if (t->count == t->a->limit)
			for (uint32_t i = t->count / 2 + 1; i-- > 0;)
				sift(t, i);
	} else if (value > t->heap[0].value) {
		t->heap[0].value = value;
		t->rows[t->heap[0].row] = *r;
		sift(t, 0);
	}
	return true;
}

static int most_first(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Tells a flow from one before on the same addresses and ports. */
static uint64_t id_of(const struct weir_flow *r)
{
	const struct { const void *at; size_t len; } parts[] = {
		{ r->source_address, 16 }, { r->destination_address, 16 }, { &r->source_port, 2 },
		{ &r->destination_port, 2 }, { &r->transport, 1 }, { &r->scope, 1 }, { &r->vlan, 2 },
		{ &r->netns_cookie, 8 }, { &r->start_ns, 8 },
	};
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		for (size_t j = 0; j < parts[i].len; j++)
			h = (h ^ ((const uint8_t *)parts[i].at)[j]) * 1099511628211ull;
	return h;
}

static void print_text(struct weir_plugin *p, struct weir_out *out, const char *name, const char *s,
                       size_t max)
{
	weir_printf(p, out, ",\"%s\":", name);
	p->host->out_json_string(out, s, max);
}

static void print_word(struct weir_plugin *p, struct weir_out *out, const char *name,
                       const char *words, unsigned i)
{
	char word[24];

	weir_printf(p, out, ",\"%s\":\"%s\"", name, flow_word(words, i, word, sizeof word));
}

static void print_ends(struct weir_plugin *p, struct weir_out *out, const struct weir_flow *r)
{
	const char *transport = flow_transport_name(r->transport);
	char source[46], destination[46], number[12];

	snprintf(number, sizeof number, "%u", r->transport);
	net_print_address(r->source_address, source);
	net_print_address(r->destination_address, destination);
	weir_printf(p, out,
		    "{\"id\":\"%016llx\",\"transport\":\"%s\",\"source\":\"%s\",\"source_port\":%u,"
		    "\"destination\":\"%s\",\"destination_port\":%u",
		    (unsigned long long)id_of(r), transport ? transport : number, source,
		    r->source_port, destination, r->destination_port);
	print_word(p, out, "scope", WEIR_FLOW_SCOPE_NAMES, r->scope);
	print_word(p, out, "direction", WEIR_FLOW_DIRECTION_NAMES, r->direction);
	print_word(p, out, "state", WEIR_FLOW_STATE_NAMES, r->state);
	print_word(p, out, "tunnel", WEIR_FLOW_TUNNEL_NAMES, r->tunnel_type);
}

static void print_owner(struct weir_plugin *p, struct weir_out *out, const struct weir_flow *r)
{
	if (r->pid)
		weir_printf(p, out, ",\"pid\":%u,\"uid\":%u", r->pid, r->uid);
	print_text(p, out, "comm", r->comm, sizeof r->comm);
	print_word(p, out, "owner_from", WEIR_FLOW_OWNER_NAMES, r->owner_from);
	print_text(p, out, "container", r->container_id, sizeof r->container_id);
	print_text(p, out, "unit", r->unit, sizeof r->unit);
	print_text(p, out, "pod", r->pod_uid, sizeof r->pod_uid);
	print_text(p, out, "interface", r->interface_name, sizeof r->interface_name);
}

/* The walk leaves it out: at 100 000 flows it would be most of the work. */
static void print_community_id(struct weir_plugin *p, struct weir_out *out, const struct weir_flow *r)
{
	struct network *n = weir_state(p);
	bool icmp = r->transport == 1 || r->transport == 58;
	char id[COMMUNITY_ID_SIZE];

	community_id(n->flow.community_id_seed, r->source_address, r->destination_address,
		     r->transport, icmp ? r->icmp_type : r->source_port,
		     icmp ? r->icmp_code : r->destination_port, id);
	weir_printf(p, out, ",\"community_id\":\"%s\"", id);
}

static void print_flow(struct weir_plugin *p, struct weir_out *out, const struct weir_flow *r)
{
	uint64_t now = weir_now(p);
	const struct { const char *name; uint64_t value; } numbers[] = {
		{ "packets", r->packets_total }, { "bytes", r->bytes_total },
		{ "reverse_packets", r->reverse_packets_total }, { "reverse_bytes", r->reverse_bytes_total },
		{ "rate", rate_of(r) }, { "retransmits", r->retransmits }, { "resets", r->resets },
		{ "drops", r->drops }, { "error", r->error }, { "srtt_ns", r->srtt_ns },
		{ "handshake_latency_ns", r->handshake_latency_ns }, { "latency_ns", r->latency_ns },
		{ "jitter_ns", r->jitter_ns }, { "netns", r->netns }, { "netns_cookie", r->netns_cookie },
		{ "socket_cookie", r->socket_cookie }, { "cgroup_id", r->cgroup_id }, { "vlan", r->vlan },
		{ "tunnel_id", r->tunnel_id }, { "approx", r->approx | r->sampled },
	};

	print_ends(p, out, r);
	print_community_id(p, out, r);
	print_owner(p, out, r);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		weir_printf(p, out, ",\"%s\":%llu", numbers[i].name,
			    (unsigned long long)numbers[i].value);
	weir_printf(p, out, ",\"drop_reason\":\"%s\"", r->drop_reason);
	weir_printf(p, out, ",\"start_age_s\":%.3f,\"idle_s\":%.3f}",
	            now > r->start_ns ? (double)(now - r->start_ns) / 1e9 : 0,
	            now > r->end_ns ? (double)(now - r->end_ns) / 1e9 : 0);
}

static int answer_flows(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct network *n = weir_state(p);
	struct top t = { .a = args };
	int rc = 0;

	t.rows = weir_alloc(p, t.a->limit * sizeof *t.rows);
	t.heap = weir_alloc(p, t.a->limit * sizeof *t.heap);
	if (!t.rows || !t.heap) {
		rc = weir_fail(p, -ENOMEM, "no memory for %llu flows: ask for fewer",
		               (unsigned long long)t.a->limit);
		goto out;
	}
	flow_walk(n->flows, consider, &t);
	qsort(t.heap, t.count, sizeof *t.heap, most_first);
	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < t.count; i++) {
		net_interface_fill(p, &t.rows[t.heap[i].row]);
		net_reason_fill(n, &t.rows[t.heap[i].row]);
		weir_printf(p, out, i ? "," : "");
		print_flow(p, out, &t.rows[t.heap[i].row]);
	}
	weir_printf(p, out, "]\n");
out:
	weir_free(p, t.rows);
	weir_free(p, t.heap);
	return rc;
}

/* ---- stats, attributes, summary ----------------------------------------------------------------- */

/* Of source bpf, while it runs. */
static void answer_kernel(struct weir_plugin *p, struct weir_out *out)
{
	struct network *n = weir_state(p);
	struct weir_net_cpu c;

	if (!n->bpf)
		return;
	net_bpf_counts(n, &c);
	const struct { const char *name; uint64_t value; } rows[] = {
		{ "overflows", c.overflows }, { "lost_packets", c.lost_packets }, { "lost_bytes", c.lost_bytes },
		{ "unparsed", c.unparsed }, { "no_owner", c.no_owner }, { "behind", n->bpf->drain.behind },
		{ "drained", n->bpf->drain.drained }, { "drain_most_ns", n->bpf->drain.most.all_ns },
		{ "drain_most_flows", n->bpf->drain.most.flows },
		{ "drain_most_wait_ns", n->bpf->drain.most.wait_ns },
		{ "drain_most_fetch_ns", n->bpf->drain.most.read_ns },
		{ "drain_most_add_ns", n->bpf->drain.most.add_ns },
		{ "drain_most_delete_ns", n->bpf->drain.most.delete_ns },
		{ "refused_packets", n->bpf->drain.refused_packets },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		weir_printf(p, out, "\"%s\":%llu,", rows[i].name, (unsigned long long)rows[i].value);
}

static int answer_stats(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct network *n = weir_state(p);
	struct flow_stats s;
	char word[24];

	(void)args;
	flow_stats(n->flows, &s);
	const struct { const char *name; uint64_t value; } rows[] = {
		{ "flows", s.flows }, { "queued", s.queued }, { "capacity", n->store_capacity },
		{ "created", s.created }, { "evicted", s.evicted }, { "records", s.records },
		{ "added_packets", s.added_packets }, { "added_bytes", s.added_bytes },
		{ "emitted_packets", s.emitted_packets }, { "emitted_bytes", s.emitted_bytes },
		{ "filtered_packets", s.filtered_packets }, { "filtered_bytes", s.filtered_bytes },
		{ "refused", s.refused }, { "details_lost", s.lost_details },
		{ "marks_unmatched", s.unmatched }, { "memory_bytes", s.memory_bytes },
		{ "unsure_packets", n->unsure_packets }, { "unsure_bytes", n->unsure_bytes },
		{ "lost_packets", n->lost_packets },
	};

	weir_printf(p, out, "{\"source\":\"%s\",", n->source);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		weir_printf(p, out, "\"%s\":%llu,", rows[i].name, (unsigned long long)rows[i].value);
	answer_kernel(p, out);
	weir_printf(p, out, "\"ended\":{");
	for (unsigned i = WEIR_END_IDLE; i <= WEIR_END_RESOURCES; i++)
		weir_printf(p, out, "%s\"%s\":%llu", i > WEIR_END_IDLE ? "," : "",
		            flow_word(WEIR_FLOW_END_NAMES, i, word, sizeof word),
		            (unsigned long long)s.ended[i]);
	weir_printf(p, out, "}}\n");
	return 0;
}

static int answer_attributes(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	(void)args;
	weir_printf(p, out, "{\"version\":%d,\"attributes\":[", FLOW_ATTRIBUTES_VERSION);
	for (int i = 0; i < FLOW_ATTRIBUTES; i++) {
		const struct flow_attribute *a = &flow_attributes[i];

		weir_printf(p, out, "%s{\"attribute\":\"%s\",\"field\":", i ? "," : "", a->name);
		if (a->field)
			weir_printf(p, out, "\"%s\",\"note\":", a->field);
		else
			weir_printf(p, out, "null,\"note\":");
		p->host->out_json_string(out, a->note, strlen(a->note));
		weir_printf(p, out, "}");
	}
	weir_printf(p, out, "]}\n");
	return 0;
}

static void print_end(struct weir_plugin *p, struct weir_out *out, const uint8_t a[16], uint16_t port)
{
	char address[46], text[56];

	net_print_address(a, address);
	snprintf(text, sizeof text, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
	weir_printf(p, out, "%-28s", text);
}

static void print_comm(struct weir_plugin *p, struct weir_out *out, const char *comm)
{
	char s[17];
	size_t i;

	/* A process names itself: nothing of that may move a terminal's cursor. */
	for (i = 0; i < 16 && comm[i]; i++)
		s[i] = comm[i] >= ' ' && comm[i] < 127 ? comm[i] : '?';
	s[i] = 0;
	weir_printf(p, out, "%-17s", s);
}

static int answer_summary(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct flows_args a = { .limit = 5, .process = "", .peer = "", .transport = "" };
	__typeof__(((struct top *)0)->heap[0]) heap[5];
	struct weir_flow rows[5];
	struct top t = { .a = &a, .rows = rows, .heap = heap };
	struct network *n = weir_state(p);
	struct flow_stats s;

	(void)args;
	flow_stats(n->flows, &s);
	flow_walk(n->flows, consider, &t);
	qsort(t.heap, t.count, sizeof *t.heap, most_first);
	weir_printf(p, out,
		    "network      %llu flows  %llu began  %llu records  %llu packets  %llu KiB\n",
		    (unsigned long long)s.flows, (unsigned long long)s.created,
		    (unsigned long long)s.records, (unsigned long long)s.added_packets,
		    (unsigned long long)(s.added_bytes >> 10));
	for (uint32_t i = 0; i < t.count; i++) {
		const struct weir_flow *r = &rows[t.heap[i].row];
		const char *transport = flow_transport_name(r->transport);

		weir_printf(p, out, "  %-8s", transport ? transport : "other");
		print_comm(p, out, r->comm);
		print_end(p, out, r->source_address, r->source_port);
		print_end(p, out, r->destination_address, r->destination_port);
		weir_printf(p, out, "%10llu KiB\n",
		            (unsigned long long)((r->bytes_total + r->reverse_bytes_total) >> 10));
	}
	return 0;
}

/* flows and talkers answer with the fields that `weir flows` shows, whoever gives the topic. */
const struct weir_query net_queries[NET_QUERIES] = {
	{ .name = "flows", .doc = "Live flows, the largest or latest first, as a JSON array",
	  .content_type = "application/json", .args = WEIR_TABLE(flows_options),
	  .args_size = sizeof(struct flows_args), .answer = answer_flows },
	{ .name = "talkers", .doc = "Live flows summed up by process, peer or port, as a JSON array",
	  .content_type = "application/json", .args = WEIR_TABLE(talkers_options),
	  .args_size = sizeof(struct talkers_args), .answer = net_answer_talkers },
	{ .name = "stats", .doc = "What the engine has taken, holds, and gave out, as JSON",
	  .content_type = "application/json", .answer = answer_stats },
	{ .name = "attributes", .doc = "What other tools call the fields of a flow, as JSON",
	  .content_type = "application/json", .answer = answer_attributes },
	{ .name = WEIR_QUERY_SUMMARY, .doc = "Flows now, and the five largest, as text",
	  .content_type = "text/plain", .answer = answer_summary },
};
