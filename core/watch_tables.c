/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live tables: for each --by its query, its columns in the order shown, and what
 * it can be sorted by. Fields are those that plugins of the topic have agreed on.
 */
#include "watch.h"

#include <math.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- keys to sort by: the largest is first ----------------------------------------- */

static double by_number(const struct weir__watch_row *r, const char *field)
{
	return weir__watch_number(r->o, field);
}

static double by_age(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return -weir__watch_age(r->o); /* the youngest first */
}

static double by_bytes(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return weir__watch_both(r->o, WEIR__WATCH_TOTAL("bytes"));
}

static double by_packets(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return weir__watch_both(r->o, WEIR__WATCH_TOTAL("packets"));
}

static double by_rate(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return r->bytes;
}

static double by_tx(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return r->tx;
}

static double by_rx(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return r->rx;
}

static double by_queries(const struct weir__watch_row *r, const char *field)
{
	(void)field;
	return r->queries;
}

/* ---- flows ---------------------------------------------------------------------------- */

static const struct weir__watch_column flow_columns[] = {
	{ { "PROCESS",     7, 24, false, 2 },  weir__cell_process, "comm process" },
	{ { "DIR",         6, 8,  false, 12 }, weir__cell_text, "direction" },
	{ { "SOURCE",      9, 47, false, 3 },  weir__cell_source, "source source_address" },
	{ { "DESTINATION", 11, 47, false, 0 }, weir__cell_destination, "destination destination_address" },
	{ { "PROTO",       5, 8,  false, 8 },  weir__cell_transport, NULL },
	{ { "STATE",       5, 12, false, 7 },  weir__cell_state, "state" },
	{ { "TX/S",        8, 9,  true,  1 },  weir__cell_tx, NULL },
	{ { "RX/S",        8, 9,  true,  1 },  weir__cell_rx, NULL },
	{ { "BYTES",       8, 9,  true,  4 },  weir__cell_both, NULL },
	{ { "PACKETS",     7, 8,  true,  9 },  weir__cell_both_packets, NULL },
	{ { "RTT",         5, 7,  true,  5 },  weir__cell_ns, "srtt_ns" },
	{ { "RETR",        4, 7,  true,  6 },  weir__cell_bad, "retransmits" },
	{ { "AGE",         4, 8,  true,  11 }, weir__cell_age, NULL },
	{ { "UNIT",        6, 24, false, 13 }, weir__cell_text, "container container_id unit" },
	{ { "NETNS",       5, 12, true,  14 }, weir__cell_text, "netns" },
};
/* Words of WEIR__CLI_FLOW_SORTS. What moves most now is among what moved last; a plugin's
 * own rate may be one over the whole life of a flow. */
static const struct weir__watch_sort flow_sorts[] = {
	{ "rate", by_rate, NULL, "last rate bytes", false },
	{ "tx", by_tx, NULL, "last rate bytes", false },
	{ "rx", by_rx, NULL, "last rate bytes", false },
	{ "bytes", by_bytes, NULL, "bytes", true },
	{ "packets", by_packets, NULL, "packets", true },
	{ "rtt", by_number, "srtt_ns", "rtt srtt", true },
	{ "retransmits", by_number, "retransmits", "retransmits", true },
	{ "age", by_age, NULL, "start age", true },
	{ "process", NULL, "comm process", "process", false },
};

#define TALKERS(head)                                                          \
	{ { head,       12, 48, false, 0 },  weir__cell_talker, "key address port" }, \
	{ { "FLOWS",    5, 8,  true,  3 },  weir__cell_number, "flows" },      \
	{ { "BYTES/S",  8, 9,  true,  1 },  weir__cell_rate, NULL },           \
	{ { "PACKETS/S", 9, 9, true,  5 },  weir__cell_packets, NULL },        \
	{ { "BYTES",    8, 9,  true,  2 },  weir__cell_both, NULL },           \
	{ { "PACKETS",  7, 8,  true,  6 },  weir__cell_both_packets, NULL },   \
	{ { "RETR",     4, 8,  true,  4 },  weir__cell_bad, "retransmits" }

static const struct weir__watch_column process_columns[] = { TALKERS("PROCESS") };
static const struct weir__watch_column peer_columns[] = { TALKERS("PEER") };
static const struct weir__watch_column port_columns[] = { TALKERS("PORT") };
/* Words of WEIR__CLI_TALKER_SORTS. */
static const struct weir__watch_sort talker_sorts[] = {
	{ "rate", by_rate, NULL, "rate bytes", false },
	{ "bytes", by_bytes, NULL, "bytes", true },
	{ "packets", by_packets, NULL, "packets", true },
	{ "flows", by_number, "flows", "flows", true },
	{ "retransmits", by_number, "retransmits", "retransmits", true },
	{ "name", NULL, "key comm address port", NULL, false },
};

#define TALKERS_BY(word, c)                                                    \
	{ .by = word, .query = "talkers", .argument = "by=" word, .rows = "talkers", \
	  .id = "key pid comm address port transport",                          \
	  .counts = WEIR__WATCH_BYTES | WEIR__WATCH_SUMS, .columns = c, .column_count = COUNT(c),  \
	  .sorts = talker_sorts, .sort_count = COUNT(talker_sorts) }

static const struct weir__watch_table flow_tables[] = {
	{ .by = "flow", .query = "flows", .rows = "flows",
	  .id = "id scope netns_cookie netns transport source source_address source_port destination "
	        "destination_address destination_port",
	  .counts = WEIR__WATCH_BYTES | WEIR__WATCH_ENDS, .columns = flow_columns,
	  .column_count = COUNT(flow_columns), .sorts = flow_sorts, .sort_count = COUNT(flow_sorts) },
	TALKERS_BY("process", process_columns),
	TALKERS_BY("peer", peer_columns),
	TALKERS_BY("port", port_columns),
};
const struct weir__watch_kind weir__watch_flows = {
	.topic = "flow", .words = "process=curl peer=10.0.0.0/8 port=443 transport=tcp",
	.tables = flow_tables, .count = COUNT(flow_tables),
};

/* ---- dns ------------------------------------------------------------------------------- */

static const struct weir__watch_column query_columns[] = {
	{ { "WHEN",    5, 30, true,  5 },  weir__cell_when, "time" },
	{ { "PROCESS", 7, 24, false, 3 },  weir__cell_process, "comm process" },
	{ { "NAME",    8, 64, false, 0 },  weir__cell_text, "name" },
	{ { "TYPE",    4, 10, false, 4 },  weir__cell_text, "type" },
	{ { "OUTCOME", 7, 12, false, 1 },  weir__cell_outcome, "outcome" },
	{ { "LATENCY", 7, 8,  true,  2 },  weir__cell_ns, "latency_ns" },
	{ { "SERVER",  9, 47, false, 6 },  weir__cell_text, "server" },
	{ { "RETRIES", 7, 7,  true,  8 },  weir__cell_bad, "retries" },
	{ { "PROTO",   5, 8,  false, 9 },  weir__cell_text, "transport" },
	{ { "CLIENT",  9, 47, false, 10 }, weir__cell_text, "client" },
};
/* The latest first. A date need not become seconds to be put in order. */
static double by_when(const struct weir__watch_row *r, const char *field)
{
	double age = weir__watch_number(r->o, "age_ns"), s;
	unsigned y, m, d, h, min;

	if (isfinite(age))
		return -age;
	if (sscanf(weir__watch_text(r->o, field), "%4u-%2u-%2uT%2u:%2u:%10lf",
	           &y, &m, &d, &h, &min, &s) == 6)
		return ((((double)y * 12 + m) * 31 + d) * 24 + h) * 3600 + min * 60 + s;
	return weir__watch_number(r->o, field);
}

/* Words of WEIR__CLI_DNS_SORTS. */
static const struct weir__watch_sort query_sorts[] = {
	{ "time", by_when, "time", "time", true },
	{ "latency", by_number, "latency_ns", "latency", true },
	{ "retries", by_number, "retries", "retries", true },
	{ "name", NULL, "name", NULL, false },
};

#define COUNTS                                                                 \
	{ { "QUERIES/S", 9, 9, true, 3 }, weir__cell_queries, NULL },          \
	{ { "QUERIES",  7, 9,  true, 1 }, weir__cell_number, "queries" },      \
	{ { "FAILED",   6, 9,  true, 2 }, weir__cell_bad, "failures failed" }, \
	{ { "TIMEOUTS", 8, 9,  true, 7 }, weir__cell_bad, "timeouts" },        \
	{ { "MEAN",     5, 8,  true, 4 }, weir__cell_ns, "latency_mean_ns latency_ns" }, \
	{ { "MAX",      5, 8,  true, 8 }, weir__cell_ns, "latency_max_ns" }

static const struct weir__watch_column name_columns[] = {
	{ { "NAME", 16, 80, false, 0 }, weir__cell_text, "name" }, COUNTS,
};
static const struct weir__watch_column server_columns[] = {
	{ { "SERVER", 16, 50, false, 0 }, weir__cell_text, "server" }, COUNTS,
};
static const struct weir__watch_column asker_columns[] = {
	{ { "PROCESS", 16, 24, false, 0 }, weir__cell_process, "comm process" }, COUNTS,
};

#define COUNT_SORTS(field)                                                     \
	{ "queries", by_number, "queries", "queries", true },                  \
	{ "rate", by_queries, NULL, "rate queries", true },                    \
	{ "failures", by_number, "failures failed", "failures", true },        \
	{ "timeouts", by_number, "timeouts", "timeouts", true },               \
	{ "latency", by_number, "latency_mean_ns latency_ns", "latency", true }, \
	{ "name", NULL, field, NULL, false }

/* Words of WEIR__CLI_DNS_COUNT_SORTS. */
static const struct weir__watch_sort name_sorts[] = { COUNT_SORTS("name") };
static const struct weir__watch_sort server_sorts[] = { COUNT_SORTS("server") };
static const struct weir__watch_sort asker_sorts[] = { COUNT_SORTS("comm process") };

#define COUNTED_BY(word, plural, fields, c, s)                                 \
	{ .by = word, .query = plural, .rows = plural, .id = fields, .counts = WEIR__WATCH_QUERIES, \
	  .columns = c, .column_count = COUNT(c), .sorts = s, .sort_count = COUNT(s) }

static const struct weir__watch_table dns_tables[] = {
	{ .by = "query", .query = "queries", .rows = "queries",
	  .id = "id time seq client pid server name type", .columns = query_columns,
	  .column_count = COUNT(query_columns), .sorts = query_sorts, .sort_count = COUNT(query_sorts) },
	COUNTED_BY("name", "names", "name", name_columns, name_sorts),
	COUNTED_BY("server", "servers", "server", server_columns, server_sorts),
	COUNTED_BY("process", "processes", "pid comm", asker_columns, asker_sorts),
};
const struct weir__watch_kind weir__watch_dns = {
	.topic = "dns", .words = "process=curl name=example.com",
	.tables = dns_tables, .count = COUNT(dns_tables),
};

/* ---- words -------------------------------------------------------------------------------- */

const struct weir__watch_table *weir__watch_by(const struct weir__watch_kind *k, const char *word)
{
	for (size_t i = 0; i < k->count; i++)
		if (!strcmp(k->tables[i].by, word))
			return &k->tables[i];
	return NULL;
}

const struct weir__watch_sort *weir__watch_sort_of(const struct weir__watch_table *t,
                                                   const char *word)
{
	for (size_t i = 0; i < t->sort_count; i++)
		if (!strcmp(t->sorts[i].word, word))
			return &t->sorts[i];
	return NULL;
}

static void add_word(char *buf, size_t size, size_t i, size_t n, const char *word)
{
	size_t len = strlen(buf);

	snprintf(buf + len, size - len, "%s%s", !i ? "" : i + 1 == n ? " or " : ", ", word);
}

char *weir__watch_sorts(const struct weir__watch_table *t, char *buf, size_t size)
{
	*buf = 0;
	for (size_t i = 0; i < t->sort_count; i++)
		add_word(buf, size, i, t->sort_count, t->sorts[i].word);
	return buf;
}

char *weir__watch_bys(const struct weir__watch_kind *k, char *buf, size_t size)
{
	*buf = 0;
	for (size_t i = 0; i < k->count; i++)
		add_word(buf, size, i, k->count, k->tables[i].by);
	return buf;
}
