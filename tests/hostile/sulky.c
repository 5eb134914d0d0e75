/* SPDX-License-Identifier: Apache-2.0 */
/* An output that does as it is told: orders.h. Otherwise it takes everything. */
#include "orders.h"

struct sulky {
	const char *orders;
};

static const struct weir_option options[] = {
	WEIR_OPTION_STRING(struct sulky, orders, "orders", "", "File with what to do"),
};

static int obeys(struct weir_plugin *p, const char *where)
{
	return obey(p, ((struct sulky *)weir_state(p))->orders, where);
}

static int start(struct weir_plugin *p)
{
	return obeys(p, "start");
}

static void stop(struct weir_plugin *p)
{
	obeys(p, "stop");
}

static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	(void)b;
	return obeys(p, "deliver");
}

static void flush(struct weir_plugin *p)
{
	obeys(p, "flush");
}

WEIR_PLUGIN(
	.name = "sulky", .version = "1.0.0", .kind = WEIR_OUTPUT, .topics = "*",
	.doc = "Does as it is told, for tests", .state_size = sizeof(struct sulky),
	.options = WEIR_TABLE(options), .start = start, .stop = stop, .deliver = deliver, .flush = flush);
