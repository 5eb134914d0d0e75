/* SPDX-License-Identifier: Apache-2.0 */
/* A collector that does as it is told: orders.h. Otherwise it emits numbers. */
#include "orders.h"

struct moody_number {
	uint64_t n;
};

struct moody {
	const char *orders;
	uint64_t interval_ns, next;
};

static const struct weir_option options[] = {
	WEIR_OPTION_STRING(struct moody, orders, "orders", "", "File with what to do"),
	WEIR_OPTION_DURATION(struct moody, interval_ns, "interval", "10ms", "Between two records",
	                     .min = 1e6, .max = 6e10),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct moody_number, n, WEIR_U64, "", "Counts up"),
};
static const struct weir_schema schemas[] = {
	{ .name = "moody_number", .topic = "mood", .doc = "A number", .version = 1,
	  .size = sizeof(struct moody_number), .fields = WEIR_TABLE(fields) },
};

static int obeys(struct weir_plugin *p, const char *where)
{
	return obey(p, ((struct moody *)weir_state(p))->orders, where);
}

static int init(struct weir_plugin *p)
{
	return obeys(p, "init");
}

static int start(struct weir_plugin *p)
{
	return obeys(p, "start");
}

static void stop(struct weir_plugin *p)
{
	obeys(p, "stop");
}

static int probe(struct weir_plugin *p)
{
	return obeys(p, "probe");
}

static int tick(struct weir_plugin *p)
{
	struct moody *m = weir_state(p);
	struct moody_number n = { ++m->next };

	p->host->emit(p, 0, &n, sizeof n, p->host->now(p), 1);
	return obeys(p, "tick");
}

static int collect(struct weir_plugin *p)
{
	return obeys(p, "collect");
}

static int answer(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	(void)args;
	weir_printf(p, out, "fine\n");
	return obeys(p, "query");
}

static const struct weir_query queries[] = {
	{ .name = "mood", .doc = "How it is", .content_type = "text/plain", .answer = answer },
};
static const struct weir_source sources[] = {
	{ .name = "made-up", .doc = "Numbers that it makes up", .quality = "", .probe = probe, .tick = tick,
	  .interval_offset = offsetof(struct moody, interval_ns) },
};

WEIR_PLUGIN(
	.name = "moody", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "mood",
	.doc = "Does as it is told, for tests", .state_size = sizeof(struct moody),
	.options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas), .queries = WEIR_TABLE(queries),
	.sources = WEIR_TABLE(sources), .init = init, .start = start, .stop = stop, .collect = collect);
