/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: recent slow or failed transactions, and who asks what of whom most. Answers are
 * JSON, except the summary. Names and comms are bytes from outside: JSON strings escape
 * them, the summary's text is of escaped names and filtered comms.
 */
#include "dns.h"

#include <string.h>

#define ROWS_MAX 256

enum sort { SORT_TIME, SORT_LATENCY };

struct queries_args {
	uint64_t limit;
	uint32_t sort, failed;
	const char *process, *name;
};
struct top_args {
	uint64_t limit;
};

#define A struct queries_args
static const struct weir_option queries_options[] = {
	WEIR_OPTION_UINT(A, limit, "limit", "20", "How many", .unit = "rows", .min = 1, .max = ROWS_MAX),
	WEIR_OPTION_ENUM(A, sort, "sort", "time latency", "time", "Newest, or slowest, first"),
	WEIR_OPTION_ENUM(A, failed, "failed", "any only", "any", "Only those that failed"),
	WEIR_OPTION_STRING(A, process, "process", "", "Only of this pid or name"),
	WEIR_OPTION_STRING(A, name, "name", "", "Only names with this in them"),
};
#undef A
static const struct weir_option top_options[] = {
	WEIR_OPTION_UINT(struct top_args, limit, "limit", "20", "How many", .unit = "rows", .min = 1,
		.max = 128),
};

static const char *const outcomes[WEIR_DNS_OUTCOMES] = {
	"answered", "timeout", "unsolicited", "duplicate", "multicast", "evicted", "open",
};

static bool wanted(const struct dns_recent *r, const struct queries_args *a)
{
	char pid[12];

	snprintf(pid, sizeof pid, "%u", r->pid);
	if (a->process[0] && strcmp(a->process, pid) && strncmp(a->process, r->comm, sizeof r->comm))
		return false;
	if (a->failed && r->outcome == WEIR_DNS_ANSWERED && !r->rcode)
		return false;
	return !a->name[0] || strstr(r->name, a->name);
}

static uint64_t rank(const struct dns_recent *r, uint32_t sort)
{
	return sort == SORT_TIME ? r->seq : r->latency_ns;
}

static uint32_t select_recent(const struct dns *d, const struct queries_args *a,
                              const struct dns_recent **ret)
{
	uint32_t n = 0, total = d->recent_count < DNS_RECENT ? (uint32_t)d->recent_count : DNS_RECENT;

	for (uint32_t i = 0; i < total; i++) {
		const struct dns_recent *r = &d->recent[i];
		uint32_t j = n;

		if (!wanted(r, a))
			continue;
		for (; j > 0 && rank(ret[j - 1], a->sort) < rank(r, a->sort); j--)
			if (j < a->limit)
				ret[j] = ret[j - 1];
		if (j < a->limit)
			ret[j] = r;
		n += n < a->limit;
	}
	return n;
}

static void put_string(struct weir_plugin *p, struct weir_out *out, const char *key, const char *s,
                       size_t max)
{
	weir_printf(p, out, ",\"%s\":", key);
	p->host->out_json_string(out, s, max);
}

static int answer_queries(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct dns_recent *list[ROWS_MAX];
	struct dns *d = weir_state(p);
	uint32_t n = select_recent(d, args, list);
	uint64_t now = weir_now(p);

	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < n; i++) {
		const struct dns_recent *r = list[i];
		struct dns_server_key ends[2] = { { .port = r->client_port }, { .port = r->server_port } };
		char type[16], rcode[16], client[64], server[64];

		memcpy(ends[0].address, r->client, 16);
		memcpy(ends[1].address, r->server, 16);
		dns_server_text(&ends[0], client, sizeof client);
		dns_server_text(&ends[1], server, sizeof server);
		weir_printf(p, out, "%s{\"seq\":%llu,\"age_ns\":%llu", i ? "," : "",
		            (unsigned long long)r->seq,
		            (unsigned long long)((int64_t)(now - r->time_ns) < 0 ? 0 : now - r->time_ns));
		put_string(p, out, "name", r->name, sizeof r->name);
		put_string(p, out, "type", dns_type_name(r->type, type), 16);
		put_string(p, out, "outcome", outcomes[r->outcome], 16);
		put_string(p, out, "rcode",
		           r->outcome == WEIR_DNS_ANSWERED ? dns_rcode_name(r->rcode, rcode) : "", 16);
		put_string(p, out, "client", client, sizeof client);
		put_string(p, out, "server", server, sizeof server);
		put_string(p, out, "transport", r->transport ? "tcp" : "udp", 4);
		weir_printf(p, out, ",\"latency_ns\":%llu,\"retries\":%u,\"pid\":%u",
		            (unsigned long long)r->latency_ns, r->retries, r->pid);
		put_string(p, out, "comm", r->comm, sizeof r->comm);
		weir_printf(p, out, "}");
	}
	weir_printf(p, out, "]\n");
	return 0;
}

/* ---- heavy hitters ------------------------------------------------------------------ */

static void put_counts(struct weir_plugin *p, struct weir_out *out, const struct dns_top_entry *e)
{
	weir_printf(p, out, ",\"queries\":%llu,\"error\":%llu,\"failed\":%llu,"
	            "\"timeouts\":%llu,\"latency_mean_ns\":%llu,\"latency_max_ns\":%llu}",
	            (unsigned long long)e->count, (unsigned long long)e->error,
	            (unsigned long long)e->failed, (unsigned long long)e->timeouts,
	            (unsigned long long)(e->answered ? e->latency_ns / e->answered : 0),
	            (unsigned long long)e->latency_max_ns);
}

static int answer_names(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct dns_top_entry *list[128];
	const struct top_args *a = args;
	struct dns *d = weir_state(p);
	uint32_t n = dns_top_list(d->top_names, list, (uint32_t)a->limit);

	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < n; i++) {
		weir_printf(p, out, "%s{\"name\":", i ? "," : "");
		p->host->out_json_string(out, list[i]->key, list[i]->len);
		put_counts(p, out, list[i]);
	}
	weir_printf(p, out, "]\n");
	return 0;
}

static int answer_servers(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct dns_top_entry *list[128];
	const struct top_args *a = args;
	struct dns *d = weir_state(p);
	uint32_t n = dns_top_list(d->top_servers, list, (uint32_t)a->limit);

	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < n; i++) {
		struct dns_server_key k;
		char buf[64];

		memcpy(&k, list[i]->key, sizeof k);
		dns_server_text(&k, buf, sizeof buf);
		weir_printf(p, out, "%s{\"server\":\"%s\"", i ? "," : "", buf);
		put_counts(p, out, list[i]);
	}
	weir_printf(p, out, "]\n");
	return 0;
}

static int answer_processes(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct dns_top_entry *list[128];
	const struct top_args *a = args;
	struct dns *d = weir_state(p);
	uint32_t n = dns_top_list(d->top_processes, list, (uint32_t)a->limit);

	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < n; i++) {
		struct dns_process_key k;

		memcpy(&k, list[i]->key, sizeof k);
		weir_printf(p, out, "%s{\"pid\":%u", i ? "," : "", k.pid);
		put_string(p, out, "comm", k.comm, sizeof k.comm);
		put_counts(p, out, list[i]);
	}
	weir_printf(p, out, "]\n");
	return 0;
}

/* ---- the balance, and the live view --------------------------------------------------- */

static int answer_stats(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct dns *d = weir_state(p);
	struct dns_match_stats m;

	(void)args;
	dns_match_stats(d->match, &m);
	weir_printf(p, out, "{\"queries\":%llu,\"responses\":%llu,\"retries\":%llu,\"copies\":%llu,\"response_copies\":%llu,"
	            "\"tcp_retries\":%llu,\"early\":%llu,\"pending\":%llu,\"ignored\":%llu,"
	            "\"sampled\":%llu,\"queue_full\":%llu,\"packets\":%llu,\"lost\":%llu,\"approx\":%llu",
	            (unsigned long long)m.queries, (unsigned long long)m.responses,
	            (unsigned long long)m.retries, (unsigned long long)m.copies,
	            (unsigned long long)m.response_copies,
	            (unsigned long long)m.tcp_retries, (unsigned long long)m.early,
	            (unsigned long long)m.open, (unsigned long long)d->counts.filtered,
	            (unsigned long long)d->counts.sampled, (unsigned long long)d->counts.queue_full,
	            (unsigned long long)d->counts.packets, (unsigned long long)d->counts.lost,
	            (unsigned long long)d->counts.approx);
	for (unsigned i = 0; i < WEIR_DNS_OUTCOMES; i++)
		weir_printf(p, out, ",\"%s\":%llu", outcomes[i], (unsigned long long)m.outcomes[i]);
	weir_printf(p, out, "}\n");
	return 0;
}

static void plain_comm(const char *comm, char ret[17])
{
	size_t i;

	/* A process names itself: nothing of that may move a terminal's cursor. */
	for (i = 0; i < 16 && comm[i]; i++)
		ret[i] = comm[i] >= ' ' && comm[i] < 127 ? comm[i] : '?';
	ret[i] = 0;
}

static int answer_summary(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct queries_args a = { .limit = 5, .sort = SORT_TIME, .process = "", .name = "" };
	const struct dns_recent *recent[5];
	const struct dns_top_entry *names[5];
	struct dns *d = weir_state(p);
	struct dns_match_stats m;
	uint64_t all[DNS_BUCKETS];
	uint32_t n;

	(void)args;
	dns_match_stats(d->match, &m);
	for (unsigned i = 0; i < DNS_BUCKETS; i++)
		all[i] = d->counts.latency[0][i] + d->counts.latency[1][i];
	weir_printf(p, out, "dns          %llu queries  %llu answered  %llu timeouts  %llu open  "
	            "%llu nxdomain", (unsigned long long)m.queries,
	            (unsigned long long)m.outcomes[WEIR_DNS_ANSWERED],
	            (unsigned long long)m.outcomes[WEIR_DNS_TIMEOUT], (unsigned long long)m.open,
	            (unsigned long long)d->counts.responses[3]);
	if (m.outcomes[WEIR_DNS_ANSWERED])
		weir_printf(p, out, "  p50 <= %.3f ms  p99 <= %.3f ms",
		            (double)dns_quantile_ns(all, 0.5) / 1e6, (double)dns_quantile_ns(all, 0.99) / 1e6);
	weir_printf(p, out, "\n");
	n = dns_top_list(d->top_names, names, 5);
	for (uint32_t i = 0; i < n; i++)
		weir_printf(p, out, "  %-40.*s%10llu queries%10llu failed\n", (int)names[i]->len,
		            names[i]->key, (unsigned long long)names[i]->count,
		            (unsigned long long)names[i]->failed);
	n = select_recent(d, &a, recent);
	for (uint32_t i = 0; i < n; i++) {
		const struct dns_recent *r = recent[i];
		char comm[17], type[16], rcode[16];

		plain_comm(r->comm, comm);
		weir_printf(p, out, "  %-12s%-8s%-40.80s%10.3f ms  %u %s\n",
		            r->outcome == WEIR_DNS_ANSWERED ? dns_rcode_name(r->rcode, rcode) : outcomes[r->outcome],
		            dns_type_name(r->type, type), r->name, (double)r->latency_ns / 1e6, r->pid, comm);
	}
	return 0;
}

const struct weir_query dns_queries[] = {
	{ .name = "queries", .doc = "Recent questions that failed or were slow, as JSON",
	  .content_type = "application/json", .args = WEIR_TABLE(queries_options),
	  .args_size = sizeof(struct queries_args), .answer = answer_queries },
	{ .name = "names", .doc = "Names asked for most, as JSON; error: how much too high a count may be",
	  .content_type = "application/json", .args = WEIR_TABLE(top_options),
	  .args_size = sizeof(struct top_args), .answer = answer_names },
	{ .name = "servers", .doc = "Servers asked most, as JSON", .content_type = "application/json",
	  .args = WEIR_TABLE(top_options), .args_size = sizeof(struct top_args),
	  .answer = answer_servers },
	{ .name = "processes", .doc = "Processes that ask most, as JSON",
	  .content_type = "application/json", .args = WEIR_TABLE(top_options),
	  .args_size = sizeof(struct top_args), .answer = answer_processes },
	{ .name = "stats", .doc = "The account: queries = retries + copies + answered + timeout + "
	  "evicted + open + pending, as JSON", .content_type = "application/json",
	  .answer = answer_stats },
	{ .name = WEIR_QUERY_SUMMARY, .doc = "Questions since the start, as text",
	  .content_type = "text/plain", .answer = answer_summary },
};
const uint32_t dns_query_count = sizeof dns_queries / sizeof dns_queries[0];
