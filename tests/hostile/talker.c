/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for topics flow and dns that it makes up, beside hostile ones: counters grow with
 * each answer, and names are what no terminal should be sent. For weir flows and weir dns.
 */
#include <weir/weir.h>

struct talker {
	uint64_t interval_ns, answers;
};
struct talker_event {
	uint64_t n;
};

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct talker, interval_ns, "interval", "1s", "Between two events", .min = 1e6, .max = 6e10),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct talker_event, n, WEIR_U64, "", "Counts up"),
};
static const struct weir_schema schemas[] = {
	{ .name = "talker_flow", .topic = "flow", .doc = "A flow", .version = 1,
	  .size = sizeof(struct talker_event), .fields = WEIR_TABLE(fields) },
	{ .name = "talker_dns", .topic = "dns", .doc = "A query", .version = 1,
	  .size = sizeof(struct talker_event), .fields = WEIR_TABLE(fields) },
};

struct args {
	uint64_t limit, port;
	uint32_t sort, by;
	const char *process;
};
static const struct weir_option args[] = {
	WEIR_OPTION_UINT(struct args, limit, "limit", "20", "How many", .min = 1, .max = 50),
	WEIR_OPTION_UINT(struct args, port, "port", "0", "Only of this port", .max = 65535),
	WEIR_OPTION_ENUM(struct args, sort, "sort", "bytes packets", "bytes", "The most of this first"),
	WEIR_OPTION_ENUM(struct args, by, "by", "process peer port", "process", "Added up by this"),
	WEIR_OPTION_STRING(struct args, process, "process", "", "Only of this process"),
};

static int flows(struct weir_plugin *p, const void *arg, struct weir_out *out)
{
	struct talker *t = weir_state(p);
	const struct args *a = arg;
	unsigned long long n = ++t->answers;

	weir_printf(p, out, "[");
	if (!a->port || a->port == 443)
		weir_printf(p, out, "{\"id\":1,\"comm\":\"curl\\u001b[31m\",\"pid\":42,\"direction\":\"client\","
		            "\"source\":\"10.0.0.1\",\"source_port\":50000,\"destination\":\"2001:db8::1\","
		            "\"destination_port\":443,\"transport\":\"tcp\",\"state\":\"established\","
		            "\"bytes\":%llu,\"reverse_bytes\":%llu,\"packets\":%llu,\"reverse_packets\":1,"
		            "\"srtt_ns\":1500000,\"retransmits\":3,\"start_age_s\":100}", n * 1000000, n * 10, n);
	if (!a->port)
		weir_printf(p, out, ",");
	if (a->port != 443)
		weir_printf(p, out, "{\"id\":2,\"direction\":\"server\",\"source\":\"10.0.0.9\",\"source_port\":1,"
		            "\"destination\":\"10.0.0.1\",\"destination_port\":22,\"transport\":\"tcp\","
		            "\"bytes\":%llu,\"reverse_bytes\":7,\"packets\":1,\"reverse_packets\":1}", n * 100);
	weir_printf(p, out, "]");
	return 0;
}

static int talkers(struct weir_plugin *p, const void *arg, struct weir_out *out)
{
	static const char *const keys[] = { "sshd", "192.0.2.7", "22/tcp" };
	struct talker *t = weir_state(p);
	const struct args *a = arg;

	weir_printf(p, out, "[{\"key\":\"%s\",\"flows\":2,\"bytes\":%llu,\"packets\":5}]", keys[a->by],
	            (unsigned long long)++t->answers * 1000);
	return 0;
}

static int queries(struct weir_plugin *p, const void *arg, struct weir_out *out)
{
	(void)arg;
	weir_printf(p, out, "[{\"time\":\"2026-01-01T00:00:00Z\",\"name\":\"slow.example\\u202e\",\"type\":\"A\","
	            "\"outcome\":\"timeout\",\"latency_ns\":5000000000,\"pid\":7,\"comm\":\"dig\"}]");
	return 0;
}

static int no_list(struct weir_plugin *p, const void *arg, struct weir_out *out)
{
	(void)arg;
	weir_printf(p, out, "certainly");
	return 0;
}

#define QUERY(n, f)                                                            \
	{ .name = n, .doc = "Made up", .content_type = "application/json", .args = WEIR_TABLE(args), \
	  .args_size = sizeof(struct args), .answer = f }
static const struct weir_query queries_table[] = {
	QUERY("flows", flows), QUERY("talkers", talkers), QUERY("queries", queries), QUERY("names", no_list),
};

static int tick(struct weir_plugin *p)
{
	(void)p;
	return 0;
}

static const struct weir_source sources[] = {
	{ .name = "made-up", .doc = "Nothing", .quality = "approx", .tick = tick,
	  .interval_offset = offsetof(struct talker, interval_ns) },
};

WEIR_PLUGIN(
	.name = "talker", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "flow dns",
	.doc = "Answers for flows and queries that it makes up, for tests",
	.state_size = sizeof(struct talker), .options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas),
	.queries = WEIR_TABLE(queries_table), .sources = WEIR_TABLE(sources));
