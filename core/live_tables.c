/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live tables there are. A plugin that provides the topic answers these queries; a
 * member that it leaves out is an empty cell.
 */
#include "live_table.h"

#include <string.h>

#define COLUMN(h, k, f, s, w, r) { .head = h, .kind = WEIR__LIVE_##k, .field = f, .second = s, .width = w, .right = r }

#define TRAFFIC                                                                \
	COLUMN("out/s", RATE, "bytes", NULL, 10, true),                        \
	COLUMN("in/s", RATE, "reverse_bytes", NULL, 10, true),                 \
	COLUMN("bytes", SUM, "bytes", "reverse_bytes", 10, true)

#define TALKERS                                                                \
	COLUMN("flows", COUNT, "flows", NULL, 7, true), TRAFFIC,               \
	COLUMN("retr", COUNT, "retransmits", NULL, 6, true)
#define TALKER_SORTS "bytes flows packets"

static const struct weir__live_table flows[] = {
	{ .by = "flow", .query = "flows", .id = "id",
	  .sorts = "rate bytes packets start retransmits rtt",
	  .columns = {
		COLUMN("process", PROCESS, "comm", "pid", 22, false),
		COLUMN("dir", TEXT, "direction", NULL, 8, false),
		COLUMN("proto", TEXT, "transport", NULL, 6, false),
		COLUMN("source", ENDPOINT, "source", "source_port", 26, false),
		COLUMN("destination", ENDPOINT, "destination", "destination_port", 26, false),
		COLUMN("state", TEXT, "state", NULL, 12, false),
		TRAFFIC,
		COLUMN("rtt", TIME_NS, "srtt_ns", NULL, 8, true),
		COLUMN("retr", COUNT, "retransmits", NULL, 6, true),
		COLUMN("age", AGE_S, "start_age_s", NULL, 8, true),
		COLUMN("container", TEXT, "container", NULL, 12, false),
	  } },
	{ .by = "process", .query = "talkers", .arg = "by=process", .id = "key", .sorts = TALKER_SORTS,
	  .columns = { COLUMN("process", TEXT, "key", NULL, 26, false), TALKERS } },
	{ .by = "peer", .query = "talkers", .arg = "by=peer", .id = "key", .sorts = TALKER_SORTS,
	  .columns = { COLUMN("peer", TEXT, "key", NULL, 40, false), TALKERS } },
	{ .by = "port", .query = "talkers", .arg = "by=port", .id = "key", .sorts = TALKER_SORTS,
	  .columns = { COLUMN("port", TEXT, "key", NULL, 12, false), TALKERS } },
};

#define ANSWERS                                                                \
	COLUMN("queries", COUNT, "queries", NULL, 9, true),                    \
	COLUMN("failed", COUNT, "failures", NULL, 8, true),                    \
	COLUMN("timeouts", COUNT, "timeouts", NULL, 9, true),                  \
	COLUMN("mean", TIME_NS, "latency_mean_ns", NULL, 9, true),             \
	COLUMN("longest", TIME_NS, "latency_max_ns", NULL, 9, true)
#define ANSWER_SORTS "queries failures timeouts latency"

static const struct weir__live_table dns[] = {
	{ .by = "query", .query = "queries", .id = "time", .sorts = "latency time failures",
	  .columns = {
		COLUMN("process", PROCESS, "comm", "pid", 22, false),
		COLUMN("name", TEXT, "name", NULL, 38, false),
		COLUMN("type", TEXT, "type", NULL, 7, false),
		COLUMN("server", TEXT, "server", NULL, 26, false),
		COLUMN("outcome", TEXT, "outcome", NULL, 12, false),
		COLUMN("rcode", TEXT, "rcode", NULL, 10, false),
		COLUMN("latency", TIME_NS, "latency_ns", NULL, 9, true),
		COLUMN("retries", COUNT, "retries", NULL, 8, true),
		COLUMN("via", TEXT, "transport", NULL, 5, false),
	  } },
	{ .by = "name", .query = "names", .id = "name", .sorts = ANSWER_SORTS,
	  .columns = { COLUMN("name", TEXT, "name", NULL, 48, false), ANSWERS } },
	{ .by = "server", .query = "servers", .id = "server", .sorts = ANSWER_SORTS,
	  .columns = { COLUMN("server", TEXT, "server", NULL, 40, false), ANSWERS } },
	{ .by = "process", .query = "processes", .id = "pid", .sorts = ANSWER_SORTS,
	  .columns = { COLUMN("process", PROCESS, "comm", "pid", 26, false), ANSWERS } },
};

static const struct weir__live_command commands[] = {
	{ "flows", "flow", flows, sizeof flows / sizeof flows[0] },
	{ "dns", "dns", dns, sizeof dns / sizeof dns[0] },
};

const struct weir__live_command *weir__live_command(const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

const struct weir__live_table *weir__live_by(const struct weir__live_command *c, const char *by)
{
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->tables[i].by, by))
			return &c->tables[i];
	return NULL;
}

char *weir__live_words(const struct weir__live_command *c, char *buf, size_t size)
{
	size_t len = 0;

	*buf = 0;
	for (size_t i = 0; i < c->count && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", !i ? "" : i + 1 < c->count ? ", " : " or ",
		                        c->tables[i].by);
	return buf;
}

bool weir__live_sorts(const struct weir__live_table *t, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = t->sorts; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
		if (n && !strncmp(at, key, n) && (!at[n] || at[n] == ' '))
			return true;
	return false;
}
