/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gates: the programs at a place in a daemon. Attaches at one interface, empties the map on
 * threads of the pool, which have no rights, and answers with the sums.
 */
#include "gates.h"

#include <arpa/inet.h>
#include <stddef.h>

struct gates {
	uint64_t pid, port, ifindex, interval_ns;
	const struct weir_host *host;
	bool busy;
	int fd, err;
	uint32_t count;
	uint32_t keys[16];
	uint64_t values[16], sums[GATES];
};

static const struct weir_option options[] = {
	WEIR_OPTION_UINT(struct gates, pid, "pid", "0", "Whose sockets are counted", .min = 0, .max = 4194304),
	WEIR_OPTION_UINT(struct gates, port, "port", "0", "Which packets are counted", .min = 0, .max = 65535),
	WEIR_OPTION_UINT(struct gates, ifindex, "ifindex", "0", "Interface, or 0", .min = 0, .max = 1e9),
	WEIR_OPTION_DURATION(struct gates, interval_ns, "interval", "20ms", "Between two readings",
	                     .min = 1e6, .max = 6e10),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct weir_gates_seen, seen, WEIR_HEX, "", "Counters"),
};
static const struct weir_schema schemas[] = {
	{ .name = "gates_seen", .topic = "gates", .doc = "Counters", .version = 1,
	  .size = sizeof(struct weir_gates_seen), .fields = WEIR_TABLE(fields) },
};

static int prepare(struct weir_plugin *p)
{
	struct gates *g = weir_state(p);
	uint16_t port = htons((uint16_t)g->port);
	uint32_t pid = (uint32_t)g->pid;
	int err = p->host->bpf_set_const(p, "gates_port", &port, sizeof port);

	return err ? err : p->host->bpf_set_const(p, "gates_tgid", &pid, sizeof pid);
}

static int start(struct weir_plugin *p)
{
	struct gates *g = weir_state(p);
	int err = 0;

	g->fd = p->host->bpf_map(p, "gates_seen");
	if (g->ifindex)
		err = p->host->bpf_attach_at(p, "gate_tc", (int)g->ifindex, WEIR_ATTACH_EGRESS, true);
	return err ? weir_fail(p, err, "cannot attach at interface %d", (int)g->ifindex) : 0;
}

/* On a thread of the pool: the vtable's map calls need no handle. */
static void drain(void *arg)
{
	struct gates *g = arg;
	uint64_t token = 0;

	g->count = 16;
	g->err = g->host->map_drain(g->fd, &token, true, g->keys, g->values, &g->count);
}

static void drained(struct weir_plugin *p, void *arg)
{
	struct gates *g = arg;

	(void)p;
	g->busy = false;
	for (uint32_t i = 0; (!g->err || g->err == -ENOENT) && i < g->count; i++)
		if (g->keys[i] < GATES)
			g->sums[g->keys[i]] += g->values[i];
}

static int tick(struct weir_plugin *p)
{
	struct gates *g = weir_state(p);

	if (g->busy)
		return 0;
	g->host = p->host;
	g->busy = !p->host->work(p, drain, drained, g);
	return 0;
}

static int seen(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct gates *g = weir_state(p);

	(void)args;
	weir_printf(p, out, "{\"err\":%d,\"seen\":[", g->err);
	for (int i = 0; i < GATES; i++)
		weir_printf(p, out, "%s%llu", i ? "," : "", (unsigned long long)g->sums[i]);
	weir_printf(p, out, "]}");
	return 0;
}

static const struct weir_query queries[] = {
	{ .name = "seen", .doc = "The sums", .content_type = "application/json", .answer = seen },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "Programs at places", .quality = "", WEIR_BPF_OBJECT(gates),
	  .programs = WEIR_TABLE(gates_programs), .prepare = prepare, .start = start, .tick = tick,
	  .interval_offset = offsetof(struct gates, interval_ns) },
};

WEIR_PLUGIN(
	.name = "gates", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "gates",
	.doc = "Counts at cgroups and interfaces, for tests", .state_size = sizeof(struct gates),
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON | WEIR_CAP_NET_ADMIN, .options = WEIR_TABLE(options),
	.schemas = WEIR_TABLE(schemas), .queries = WEIR_TABLE(queries), .sources = WEIR_TABLE(sources));
