/* SPDX-License-Identifier: Apache-2.0 */
/* The one that behaves, beside hostile ones: a collector that emits a number each 5 ms. */
#include <weir/weir.h>

struct steady_number {
	uint64_t n;
};

struct steady {
	uint64_t interval_ns, next;
};

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct steady, interval_ns, "interval", "5ms", "Between two records",
	                     .min = 1e6, .max = 6e10),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct steady_number, n, WEIR_U64, "", "Counts up"),
};
static const struct weir_schema schemas[] = {
	{ .name = "steady_number", .topic = "calm", .doc = "A number", .version = 1,
	  .size = sizeof(struct steady_number), .fields = WEIR_TABLE(fields) },
};

static int tick(struct weir_plugin *p)
{
	struct steady *s = weir_state(p);
	struct steady_number n = { ++s->next };

	p->host->emit(p, 0, &n, sizeof n, p->host->now(p), 1);
	return 0;
}

static const struct weir_source sources[] = {
	{ .name = "made-up", .doc = "Numbers that it makes up", .quality = "", .tick = tick,
	  .interval_offset = offsetof(struct steady, interval_ns) },
};

WEIR_PLUGIN(
	.name = "steady", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "calm",
	.doc = "Emits numbers, for tests", .state_size = sizeof(struct steady),
	.options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources));
