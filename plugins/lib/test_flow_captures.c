/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures through the parser and the engine, held against the conn.log that Zeek made of the
 * same captures: every row must be there, with its endpoints, packets and bytes.
 */
#include "capture.h"
#include "flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000ull
#define MAX 1000

static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}
static const struct pkt_memory memory = { heap, NULL };

static struct weir_flow records[MAX];
static size_t count;
static struct flow_table *flows;
static struct pkt_fragments *fragments;
static uint64_t now;

static int emit(void *arg, const struct weir_flow *r)
{
	(void)arg;
	assert_true(count < MAX);
	records[count++] = *r;
	return 0;
}

static int packet(void *arg, const struct capture_packet *c)
{
	struct weir_flow_key k;
	struct weir_flow_delta d;
	struct pkt p;
	unsigned dir;

	(void)arg;
	now = c->time_ns;
	pkt_parse(&pkt_defaults, fragments, c->link, c->data, c->caplen, c->len, now, &p);
	for (unsigned i = 0; i < p.layers; i++) {
		struct flow_extra x = { .outer = i ? &p.layer[i - 1] : NULL, .source = "replay",
			.spi = p.layer[i].spi };

		pkt_key(&p.layer[i], 0, 0, &k, &dir);
		pkt_delta(&p.layer[i], dir, now, 0, &d);
		while (flow_add(flows, &k, &d, &x) == -EAGAIN)
			flow_work(flows, now, UINT64_MAX);
	}
	return 0;
}

static void replay(const char *name)
{
	/* Zeek ends no connection of these within the capture. */
	const struct flow_options o = { .max_record_interval = 3600 * S,
					.generic_timeout = 3600 * S,
					.icmp_timeout = 3600 * S,
					.tcp_timeout = 3600 * S,
					.tcp_fin_timeout = 3600 * S,
					.tcp_rst_timeout = 3600 * S,
					.udp_timeout = 3600 * S,
					.capacity = MAX,
					.shards = 4,
					.queue = 64 };
	struct capture *c;
	char path[512], why[256];
	bool end = false;

	snprintf(path, sizeof path, "%s/flow/%s.pcap", TESTDATA, name);
	count = 0;
	assert_int_equal(flow_table_new(&memory, &o, emit, NULL, NULL, &flows), 0);
	assert_int_equal(pkt_fragments_new(&memory, 64, &fragments), 0);
	if (capture_open_file(&memory, path, &c, why, sizeof why))
		fail_msg("%s: %s", path, why);
	while (!end)
		assert_true(capture_read(c, 100, packet, NULL, &end, why, sizeof why) >= 0);
	capture_close(c);
	while (flow_flush(flows, now, UINT64_MAX, WEIR_END_FORCED))
		;
	pkt_fragments_free(fragments);
	flow_table_free(flows);
}

/* ---- conn.log ------------------------------------------------------------------------------------ */

enum { ORIG_H, ORIG_P, RESP_H, RESP_P, PROTO, ORIG_PKTS, ORIG_BYTES, RESP_PKTS, RESP_BYTES, COLUMNS };
static const char *const columns[COLUMNS] = {
	"id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "ip_proto", "orig_pkts", "orig_ip_bytes",
	"resp_pkts", "resp_ip_bytes",
};

/* The columns' places from the line "#fields". */
static void places(char *line, int at[COLUMNS])
{
	char *save, *word = strtok_r(line, "\t\n", &save);

	for (int i = 0; (word = strtok_r(NULL, "\t\n", &save)); i++)
		for (int c = 0; c < COLUMNS; c++)
			if (!strcmp(word, columns[c]))
				at[c] = i;
}

static void parse_address(const char *s, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (inet_pton(AF_INET6, s, ret) == 1)
		return;
	ret[10] = ret[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, s, ret + 12), 1);
}

static void check_row(const char *log, char *const v[COLUMNS])
{
	uint64_t sums[4] = { 0 }, want[4];
	uint8_t orig[16], resp[16];
	unsigned proto = (unsigned)atoi(v[PROTO]), sport = (unsigned)atoi(v[ORIG_P]),
		 dport = (unsigned)atoi(v[RESP_P]);

	parse_address(v[ORIG_H], orig);
	parse_address(v[RESP_H], resp);
	for (size_t i = 0; i < count; i++) {
		const struct weir_flow *r = &records[i];
		bool ports = proto == 1 ? r->icmp_type == sport :
		                          r->source_port == sport && r->destination_port == dport;

		if (r->transport != proto || memcmp(r->source_address, orig, 16) ||
		    memcmp(r->destination_address, resp, 16) || !ports)
			continue;
		sums[0] += r->packets_delta;
		sums[1] += r->bytes_delta;
		sums[2] += r->reverse_packets_delta;
		sums[3] += r->reverse_bytes_delta;
	}
	for (int i = 0; i < 4; i++) {
		want[i] = strtoull(v[ORIG_PKTS + i], NULL, 10);
		if (sums[i] != want[i])
			fail_msg("%s: %s:%s > %s:%s %s: %s is %llu, not %llu", log, v[ORIG_H],
				 v[ORIG_P], v[RESP_H], v[RESP_P], v[PROTO], columns[ORIG_PKTS + i],
				 (unsigned long long)sums[i], (unsigned long long)want[i]);
	}
}

static int check_log(const char *name)
{
	char path[512], line[4096], *v[COLUMNS];
	int at[COLUMNS], rows = 0;

	memset(at, -1, sizeof at);
	snprintf(path, sizeof path, "%s/flow/%s.conn.log", TESTDATA, name);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		char *save, *word;

		if (!strncmp(line, "#fields", 7))
			places(line, at);
		if (line[0] == '#')
			continue;
		word = strtok_r(line, "\t\n", &save);
		for (int i = 0; word; i++, word = strtok_r(NULL, "\t\n", &save))
			for (int c = 0; c < COLUMNS; c++)
				if (at[c] == i)
					v[c] = word;
		for (int c = 0; c < COLUMNS; c++)
			assert_true(at[c] >= 0);
		check_row(name, v);
		rows++;
	}
	fclose(f);
	return rows;
}

static void test_captures_give_what_the_logs_say(void **state)
{
	static const struct { const char *pcap, *log; int rows; } cases[] = {
		{ "vxlan", "core.tunnels.vxlan", 5 }, { "geneve", "core.tunnels.geneve", 3 },
		{ "gre-sample", "core.tunnels.gre", 7 }, { "mixed-vlan-mpls", "core.vlan-mpls", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		replay(cases[i].pcap);
		assert_int_equal(check_log(cases[i].log), cases[i].rows);
	}
}

static void test_inner_flows_know_the_tunnel_around_them(void **state)
{
	int inner = 0, outer = 0;

	(void)state;
	replay("vxlan");
	for (size_t i = 0; i < count; i++) {
		const struct weir_flow *r = &records[i];

		assert_int_equal(r->tunnel_type, WEIR_TUNNEL_VXLAN);
		assert_int_equal(r->tunnel_id, 123);
		if (r->transport == 1) {
			inner++;
			assert_int_equal(r->tunnel_destination_port, 4789);
			assert_int_equal(r->tunnel_source_address[12], 192);
		} else {
			outer++;
			assert_int_equal(r->tunnel_source_address[12], 0);
		}
	}
	assert_int_equal(inner, 1);
	assert_int_equal(outer, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captures_give_what_the_logs_say),
		cmocka_unit_test(test_inner_flows_know_the_tunnel_around_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
