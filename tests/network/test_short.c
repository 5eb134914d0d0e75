/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many short TCP connections, with every way to end: one record each at either socket, with the
 * right owner, the right bytes and the right end, and all together what the interface counted.
 * WEIR_NETWORK_FULL=1: 100 000 instead of 5 000.
 */
#include "expect.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FIRST_PORT 5100
#define SHOWN 8

static struct watch w;
static struct net_pair pair;

struct seen {
	struct shorts *s;
	int family;
};

static void addresses(const struct seen *v, uint32_t n, struct sockaddr_storage *ret_client,
                      struct sockaddr_storage *ret_server)
{
	pair_address(&pair, v->family, 1, v->s->conn[n].port, ret_client);
	pair_address(&pair, v->family, 2, v->s->conn[n].server_port, ret_server);
}

static struct flow *flow_at(const struct seen *v, uint32_t n, const struct ns *ns)
{
	struct sockaddr_storage a, b;

	addresses(v, n, &a, &b);
	return flows_find(&w.flows, FLOW_HOST, ns->cookie, IPPROTO_TCP, &a, &b);
}

static bool all_there(struct watch *watch, void *arg)
{
	struct seen *v = arg;

	(void)watch;
	for (uint32_t i = 0; i < v->s->count; i++) {
		const struct flow *c = flow_at(v, i, &pair.client), *s = flow_at(v, i, &pair.server);

		if (!c || !s || !c->ends || !s->ends)
			return false;
	}
	return true;
}

/* A packet of an established connection is headers and payload; SYN and SYN-ACK have options. */
static uint64_t payload(const struct counts *c, int family)
{
	return c->bytes - c->packets * truth_headers(family) - TRUTH_SYN_EXTRA;
}

static const char *wrong(const struct seen *v, uint32_t n, const struct flow *f, bool client)
{
	const struct short_conn *c = &v->s->conn[n];
	struct sockaddr_storage a, b;
	uint32_t pid = client ? c->client_pid : v->s->served[c->server_port - FIRST_PORT][c->port];
	unsigned from;

	if (!f)
		return "no record";
	addresses(v, n, &a, &b);
	from = flow_end(f, &a);
	if (f->records != 1 || f->ends != 1)
		return "not one record";
	if (f->sampled || f->approx || memcmp(f->from, f->total, sizeof f->from))
		return "not exact, or totals are not the deltas";
	if (payload(&f->from[from], v->family) != c->sent || payload(&f->from[!from], v->family) != c->answered)
		return "bytes";
	if (f->pid != pid)
		return "owner";
	if (strcmp(f->end_reason, "end_of_flow"))
		return "end reason";
	if (f->source_end != from || strcmp(f->direction, client ? "client" : "server"))
		return "direction";
	if (!f->resets != (c->end != SHORT_CLIENT_RESETS))
		return "resets";
	return NULL;
}

/* No packet was dropped on the way: what one socket sent, the other received. */
static const char *unequal(const struct seen *v, uint32_t n, const struct flow *client, const struct flow *server)
{
	struct sockaddr_storage a, b;
	unsigned from;

	if (!client || !server)
		return NULL;
	addresses(v, n, &a, &b);
	from = flow_end(client, &a);
	return memcmp(&client->from[from], &server->from[from], sizeof *client->from) ||
	       memcmp(&client->from[!from], &server->from[!from], sizeof *client->from)
	       ? "the two sockets differ" : NULL;
}

static size_t count_wrong(const struct seen *v)
{
	size_t n = 0;

	for (uint32_t i = 0; i < v->s->count * 2; i++) {
		const struct flow *f = flow_at(v, i / 2, i & 1 ? &pair.server : &pair.client);
		const char *what = wrong(v, i / 2, f, !(i & 1));

		if (!what)
			what = unequal(v, i / 2, flow_at(v, i / 2, &pair.client), flow_at(v, i / 2, &pair.server));
		if (!what || n++ >= SHOWN)
			continue;
		printf("    connection %u (end %u), %s: %s; sent %u, answered %u, client %u, served by %u\n", i / 2,
		       v->s->conn[i / 2].end, i & 1 ? "server" : "client", what, v->s->conn[i / 2].sent,
		       v->s->conn[i / 2].answered, v->s->conn[i / 2].client_pid,
		       v->s->served[v->s->conn[i / 2].server_port - FIRST_PORT][v->s->conn[i / 2].port]);
		if (f)
			flow_print(f, "got");
	}
	return n;
}

static void sum(const struct ns *ns, struct counts *ret_out, struct counts *ret_in, size_t *ret_flows)
{
	memset(ret_out, 0, sizeof *ret_out);
	memset(ret_in, 0, sizeof *ret_in);
	*ret_flows = 0;
	for (size_t i = 0; i < w.flows.pool_used; i++) {
		const struct flow *f = &w.flows.pool[i];
		unsigned c = f->source_end;

		if (f->netns != ns->cookie || f->scope != FLOW_HOST)
			continue;
		ret_out->packets += f->from[c].packets;
		ret_out->bytes += f->from[c].bytes;
		ret_in->packets += f->from[!c].packets;
		ret_in->bytes += f->from[!c].bytes;
		++*ret_flows;
	}
}

static void hold_against(const struct seen *v, const struct link_counters *d)
{
	for (int i = 0; i < 2; i++) {
		const struct ns *ns = i ? &pair.server : &pair.client;
		struct counts out, in;
		size_t flows;

		sum(ns, &out, &in, &flows);
		printf("    %s: %zu flows; %llu packets %llu bytes, back %llu %llu; interface %llu %llu, back %llu %llu\n",
		       i ? "server" : "client", flows, (unsigned long long)out.packets,
		       (unsigned long long)out.bytes, (unsigned long long)in.packets,
		       (unsigned long long)in.bytes, (unsigned long long)d->tx_packets,
		       (unsigned long long)pair_l3(&pair, d->tx_bytes, d->tx_packets),
		       (unsigned long long)d->rx_packets,
		       (unsigned long long)pair_l3(&pair, d->rx_bytes, d->rx_packets));
		assert_int_equal(flows, v->s->count);
		assert_int_equal(out.packets, d->tx_packets);
		assert_int_equal(out.bytes, pair_l3(&pair, d->tx_bytes, d->tx_packets));
		assert_int_equal(in.packets, d->rx_packets);
		assert_int_equal(in.bytes, pair_l3(&pair, d->rx_bytes, d->rx_packets));
	}
}

static void check(int family, uint32_t count)
{
	struct seen v = { shorts_new(count), family };
	struct link_counters before, d;
	bool ended;
	size_t bad;

	pair_new(&pair, 21);
	v.s->len = pair_address(&pair, family, 2, FIRST_PORT, &v.s->to);
	v.s->clients = 2;
	v.s->servers = 3;
	v.s->ends = 7;
	watch_start(&w, NULL, "    flow_capture: {flow_stats_capacity: 131072}\n", count * 4 + 20000);
	link_counters(&pair.client, "c0", &before);
	shorts_run(v.s, &pair.client, &pair.server);
	d = link_since(&pair.client, "c0", &before);
	ended = watch_until(&w, all_there, &v, 30 + count / 2000);
	watch_nothing_lost(&w);
	watch_stop(&w);
	bad = count_wrong(&v);
	printf("    %u connections: %zu of %u records wrong\n", count, bad, count * 2);
	hold_against(&v, &d);
	assert_int_equal(bad, 0);
	assert_true(ended);
	pair_free(&pair);
	shorts_free(v.s);
}

static void test_each_short_connection_is_one_right_record(void **state)
{
	(void)state;
	check(AF_INET, full_size() ? 100000 : 5000);
}

static void test_the_same_over_ipv6(void **state)
{
	(void)state;
	check(AF_INET6, full_size() ? 20000 : 2000);
}

static int teardown(void **state)
{
	(void)state;
	watch_clean(&w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_each_short_connection_is_one_right_record, teardown),
		cmocka_unit_test_teardown(test_the_same_over_ipv6, teardown),
	};

	need_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
