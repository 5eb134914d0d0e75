/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures that others published: every connection of their logs is found with the same packets
 * and bytes each way; and cut anywhere, no packet makes the parser read beyond what is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture.h"
#include "test_packet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS_MAX 256
struct flow {
	struct weir_flow_key key;
	uint64_t packets[2], bytes[2];
	unsigned depth; /* layer it was seen in */
};
struct seen {
	struct pkt_fragments *fragments;
	unsigned n, packets, vlans, mpls, tunnels[WEIR_TUNNEL_WIREGUARD + 1], errors[PKT_ERRORS];
	uint32_t tunnel_id;
	struct flow flow[FLOWS_MAX];
	/* truncations */
	uint64_t parsed;
};

static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}
static const struct pkt_memory memory = { heap, NULL };

static void count_layer(struct seen *s, const struct pkt_layer *l, unsigned depth)
{
	struct weir_flow_key key;
	unsigned direction, i;

	pkt_key(l, 0, 0, &key, &direction);
	for (i = 0; i < s->n && memcmp(&s->flow[i].key, &key, sizeof key); i++)
		;
	assert_true(i < FLOWS_MAX);
	if (i == s->n)
		s->flow[s->n++] = (struct flow){ .key = key, .depth = depth };
	s->flow[i].packets[direction]++;
	s->flow[i].bytes[direction] += l->l3_len;
}

static int on_packet(void *arg, const struct capture_packet *c)
{
	struct seen *s = arg;
	struct pkt p;
	enum pkt_error e = pkt_parse(&pkt_defaults, s->fragments, c->link, c->data, c->caplen, c->len,
	                             c->time_ns, &p);

	s->errors[e]++;
	s->packets++;
	s->vlans += p.vlans;
	s->mpls += p.mpls;
	assert_null(packet_broken(&p, e, c->caplen));
	for (unsigned i = 0; i < p.layers; i++) {
		count_layer(s, &p.layer[i], i);
		s->tunnels[p.layer[i].tunnel]++;
		if (p.layer[i].tunnel)
			s->tunnel_id = p.layer[i].tunnel_id;
	}
	return 0;
}

/* Cut after each number of bytes: in a block of just that size, so that a sanitizer sees one byte
 * too far; what is found only grows with what there is. */
static int on_packet_cut(void *arg, const struct capture_packet *c)
{
	struct seen *s = arg;
	unsigned layers = 0;
	struct pkt p;

	for (uint32_t n = 0; n <= c->caplen; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		const char *broken;
		enum pkt_error e;

		assert_non_null(copy);
		memcpy(copy, c->data, n);
		e = pkt_parse(&pkt_defaults, s->fragments, c->link, copy, n, c->len, c->time_ns, &p);
		broken = packet_broken(&p, e, n);
		if (broken)
			fail_msg("packet %u cut to %u: %s", s->packets, n, broken);
		assert_true(p.layers >= layers);
		layers = p.layers;
		/* as if it had been that short on the wire */
		e = pkt_parse(&pkt_defaults, NULL, c->link, copy, n, n, c->time_ns, &p);
		broken = packet_broken(&p, e, n);
		if (broken)
			fail_msg("packet %u of %u: %s", s->packets, n, broken);
		free(copy);
		s->parsed++;
	}
	s->packets++;
	return 0;
}

static struct seen *read_capture(const char *name, capture_cb cb)
{
	struct seen *s = calloc(1, sizeof *s);
	char path[512], why[256] = "";
	struct capture *c;
	bool end = false;
	int n;

	assert_non_null(s);
	assert_int_equal(pkt_fragments_new(&memory, 64, &s->fragments), 0);
	snprintf(path, sizeof path, TESTDATA "/%s", name);
	if (capture_open_file(&memory, path, &c, why, sizeof why))
		fail_msg("%s", why);
	while (!end) {
		n = capture_read(c, 7, cb, s, &end, why, sizeof why);
		if (n < 0)
			fail_msg("%s", why);
	}
	capture_close(c);
	pkt_fragments_free(s->fragments);
	return s;
}

static void parse_address(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	if (inet_pton(AF_INET, text, ret + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, ret), 1);
}

static void row_layer(char *const f[22], struct pkt_layer *ret)
{
	*ret = (struct pkt_layer){ .proto = (uint8_t)atoi(f[21]), .has_ports = true };
	parse_address(f[2], ret->src);
	parse_address(f[4], ret->dst);
	if (ret->proto == 1 || ret->proto == 58) {
		ret->icmp_type = (uint8_t)atoi(f[3]);
	} else {
		ret->sport = (uint16_t)atoi(f[3]);
		ret->dport = (uint16_t)atoi(f[5]);
	}
}

/* One line of a conn.log: from originator to responder, and back. */
static void check_row(const struct seen *s, char *line)
{
	struct weir_flow_key key;
	struct pkt_layer l;
	unsigned direction, i, n = 0;
	char *f[22], copy[512];

	snprintf(copy, sizeof copy, "%s", line);
	for (char *at = strtok(line, "\t\n"); at && n < 22; at = strtok(NULL, "\t\n"))
		f[n++] = at;
	assert_int_equal(n, 22);
	row_layer(f, &l);
	pkt_key(&l, 0, 0, &key, &direction);
	for (i = 0; i < s->n && memcmp(&s->flow[i].key, &key, sizeof key); i++)
		;
	if (i == s->n)
		fail_msg("not found: %s", copy);
	if (s->flow[i].packets[direction] != strtoull(f[16], NULL, 10) ||
	    s->flow[i].bytes[direction] != strtoull(f[17], NULL, 10) ||
	    s->flow[i].packets[!direction] != strtoull(f[18], NULL, 10) ||
	    s->flow[i].bytes[!direction] != strtoull(f[19], NULL, 10))
		fail_msg("%lu/%lu and %lu/%lu: %s", s->flow[i].packets[direction],
		         s->flow[i].bytes[direction], s->flow[i].packets[!direction],
		         s->flow[i].bytes[!direction], copy);
	/* a row with parents is inside a tunnel, one without is not */
	assert_int_equal(s->flow[i].depth > 0, strcmp(f[20], "-") != 0);
}

static void check_log(const struct seen *s, const char *name, unsigned want)
{
	char line[512];
	unsigned n = 0;
	FILE *f;

	snprintf(line, sizeof line, TESTDATA "/flow/%s", name);
	f = fopen(line, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (line[0] == '#')
			continue;
		check_row(s, line);
		n++;
	}
	fclose(f);
	assert_int_equal(n, want);
}

static void vxlan(void **state)
{
	struct seen *s = read_capture("flow/vxlan.pcap", on_packet);

	(void)state;
	check_log(s, "core.tunnels.vxlan.conn.log", 5);
	assert_int_equal(s->errors[PKT_OK], s->packets);
	assert_int_equal(s->tunnels[WEIR_TUNNEL_VXLAN], 10); /* two of them carry ARP */
	assert_int_equal(s->tunnel_id, 123);
	free(s);
}

static void geneve(void **state)
{
	struct seen *s = read_capture("flow/geneve.pcap", on_packet);

	(void)state;
	check_log(s, "core.tunnels.geneve.conn.log", 3);
	assert_int_equal(s->errors[PKT_OK], s->packets);
	assert_int_equal(s->tunnels[WEIR_TUNNEL_GENEVE], 6);
	free(s);
}

static void gre(void **state)
{
	struct seen *s = read_capture("flow/gre-sample.pcap", on_packet);

	(void)state;
	check_log(s, "core.tunnels.gre.conn.log", 7);
	assert_int_equal(s->errors[PKT_OK], s->packets);
	assert_int_equal(s->tunnels[WEIR_TUNNEL_GRE], 40);
	free(s);
}

static void vlan_and_mpls(void **state)
{
	struct seen *s = read_capture("flow/mixed-vlan-mpls.pcap", on_packet);

	(void)state;
	check_log(s, "core.vlan-mpls.conn.log", 3);
	assert_int_equal(s->errors[PKT_OK], s->packets);
	assert_int_equal(s->n, 3);
	assert_true(s->vlans > 0);
	assert_true(s->mpls > 0);
	free(s);
}

static const char *const all[] = {
	"flow/vxlan.pcap", "flow/geneve.pcap", "flow/gre-sample.pcap", "flow/mixed-vlan-mpls.pcap",
	"dns/dns-edns-ecs.pcap", "dns/dns-two-responses.pcap", "dns/dns-zero-RRs.pcap",
	"dns/dns_notify2.pcap", "dns/ipv6-fragmented-dns.pcap", "dns/max-compression-depth.pcap",
	"dns/mdns-no-assoc.pcap", "dns/rrsig.pcap",
};

static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct seen *s = read_capture(all[i], on_packet_cut);

		assert_true(s->packets > 0 && s->parsed > s->packets);
		free(s);
	}
}

/* A DNS answer in three fragments is in its flow with all three; the last fragment of another, of
 * which the others were not captured, has no ports. */
static void ipv6_fragments(void **state)
{
	struct seen *s = read_capture("dns/ipv6-fragmented-dns.pcap", on_packet);
	unsigned without = 0, answers = 0;

	(void)state;
	assert_int_equal(s->errors[PKT_OK], s->packets);
	for (unsigned i = 0; i < s->n; i++) {
		const struct flow *f = &s->flow[i];

		if (!f->key.port[0] && !f->key.port[1])
			without += (unsigned)(f->packets[0] + f->packets[1]);
		else if (f->packets[0] == 3 || f->packets[1] == 3)
			answers++;
	}
	assert_int_equal(without, 1);
	assert_int_equal(answers, 1);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vxlan), cmocka_unit_test(geneve), cmocka_unit_test(gre),
		cmocka_unit_test(vlan_and_mpls), cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(ipv6_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
