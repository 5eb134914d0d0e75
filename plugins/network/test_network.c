/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network plugin in the test host: options, engine and records, without a source.
 */
#include "network.h"
#include "test_bpf.h"
#include "test_network_packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <weir/testhost.h>

#include <cmocka.h>

static struct weir_test *t;

static int end(void **state)
{
	(void)state;
	if (t)
		assert_int_equal(weir_test_free(t), 0);
	t = NULL;
	return 0;
}

static void test_defaults_are_accepted(void **state)
{
	(void)state;
	t = weir_test_new(&weir_plugin);
	assert_int_equal(weir_test_init(t), 0);
}

static void test_a_wrong_filter_names_option_and_value(void **state)
{
	static const struct { const char *option, *name, *value; } bad[] = {
		{ "filter.address.match=10.0.0.0/33", "filter.address.match", "'10.0.0.0/33'" },
		{ "filter.port.not_match=90-80", "filter.port.not_match", "'90-80'" },
		{ "filter.source.address.match=10.0.0.9-::1", "filter.source.address.match", "'10.0.0.9-::1'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		t = weir_test_new(&weir_plugin, bad[i].option);
		assert_int_equal(weir_test_init(t), -EINVAL);
		assert_non_null(strstr(weir_test_reason(t), bad[i].name));
		assert_non_null(strstr(weir_test_reason(t), bad[i].value));
		end(NULL);
	}
}

static void test_a_flow_is_recorded_when_the_plugin_stops(void **state)
{
	struct weir_flow_key k = { .port = { 1, 2 }, .proto = 6 };
	struct weir_flow_delta d = { .packets = { 1, 2 },
				     .bytes = { 40, 80 },
				     .first_ns = WEIR_TEST_NOW };
	const struct weir_flow *r;

	(void)state;
	t = weir_test_new(&weir_plugin);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(net_add(weir_test_plugin(t), &k, &d, NULL), 0);
	net_pump(weir_test_plugin(t), WEIR_TEST_NOW);
	net_engine_stop(weir_test_plugin(t));
	assert_int_equal(weir_test_event_count(t), 1);
	r = weir_test_event(t, 0)->payload;
	assert_int_equal(r->packets_total + r->reverse_packets_total, 3);
	assert_int_equal(r->phase, WEIR_FLOW_END);
	assert_int_equal(r->end_reason, WEIR_END_FORCED);
}

/* ---- filters -------------------------------------------------------------------------------- */

static void v4(uint8_t a[16], uint32_t ip)
{
	memset(a, 0, 10);
	a[10] = a[11] = 0xff;
	for (int i = 0; i < 4; i++)
		a[12 + i] = (uint8_t)(ip >> (24 - 8 * i));
}

static void flow_of(struct weir_flow_key *k, struct weir_flow_delta *d, uint16_t port, uint64_t bytes)
{
	*k = (struct weir_flow_key){ .port = { port, 443 }, .proto = 6 };
	v4(k->addr[0], 0x0a000001);
	v4(k->addr[1], 0xc0a80101);
	*d = (struct weir_flow_delta){ .packets = { 1, 1 },
				       .bytes = { bytes, 100 },
				       .ttl = { 64, 60 },
				       .first_ns = WEIR_TEST_NOW,
				       .flags = { 2 | 16, 2 | 16 },
				       .synack_ns = WEIR_TEST_NOW + 3000000,
				       .bits = WEIR_FLOW_OWNER | WEIR_FLOW_ACTIVE,
				       .pid = 42,
				       .comm = "curl",
				       .tos = { 46 << 2 },
				       .retransmits = 2 };
}

static void test_filters_keep_what_they_say(void **state)
{
	static const struct { const char *option; bool kept; } cases[] = {
		{ "filter.address.match=10.0.0.0/8", true }, { "filter.address.match=10.0.0.0/30", true },
		{ "filter.address.match=11.0.0.0/8", false }, { "filter.address.not_match=192.168.0.0/16", false },
		{ "filter.source.address.match=192.168.0.0/16", false },
		{ "filter.destination.address.match=192.168.1.0-192.168.1.9", true },
		{ "filter.port.match=443", true }, { "filter.source.port.match=443", false },
		{ "filter.destination.port.not_match=400-500", false }, { "filter.process.match=cur?", true },
		{ "filter.process.not_match=c*", false }, { "filter.process.match=wget", false },
		{ "filter.network.transport.match=tcp", true }, { "filter.network.transport.match=17", false },
		{ "filter.network.type.match=ipv6", false }, { "filter.flow.ip_dscp_name.match=ef", true },
		{ "filter.flow.ip_dscp_name.match=cs1", false }, { "filter.flow.tcp_flags_tags.match=syn", true },
		{ "filter.flow.tcp_flags_tags.not_match=rst", true },
		{ "filter.flow.connection_state.match=established", true },
		{ "filter.flow.ip_ttl.match=1-63", false }, { "filter.flow.icmp_type_name.match=echo_request", false },
		{ "filter.network.interface_name.match=eth*", false },
	};
	struct weir_flow_key k;
	struct weir_flow_delta d;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		t = weir_test_new(&weir_plugin, cases[i].option);
		assert_int_equal(weir_test_init(t), 0);
		flow_of(&k, &d, 50000, 60);
		assert_int_equal(net_add(weir_test_plugin(t), &k, &d, NULL), 0);
		net_engine_stop(weir_test_plugin(t));
		if (weir_test_event_count(t) != cases[i].kept)
			fail_msg("%s: %zu records", cases[i].option, weir_test_event_count(t));
		weir_test_collect(t);
		assert_int_equal(weir_test_metric(t, "weir_network_filtered_packets_total"),
				 cases[i].kept ? 0 : 2);
		end(NULL);
	}
}

static void test_words_that_cannot_occur_are_refused(void **state)
{
	static const char *const bad[] = {
		"filter.network.transport.match=tpc",
		"filter.flow.tcp_flags_tags.match=sym",
		"filter.flow.ip_dscp_name.match=cs9",
		"filter.flow.connection_state.match=open",
		"filter.flow.icmp_type_name.match=pong",
		"discovery.interfaces=/eth(/",
		"discovery.interfaces=/eth",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		t = weir_test_new(&weir_plugin, bad[i]);
		assert_int_equal(weir_test_init(t), -EINVAL);
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)strcspn(bad[i], "="), bad[i]);
		assert_non_null(strstr(weir_test_reason(t), name));
		assert_non_null(strstr(weir_test_reason(t), strchr(bad[i], '=') + 1));
		end(NULL);
	}
}

/* ---- metrics and queries --------------------------------------------------------------------- */

static void begin_with_flows(unsigned count)
{
	struct weir_flow_key k;
	struct weir_flow_delta d;

	t = weir_test_new(&weir_plugin, "owner=process");
	assert_int_equal(weir_test_init(t), 0);
	for (unsigned i = 0; i < count; i++) {
		flow_of(&k, &d, (uint16_t)(40000 + i), 1000 + i);
		d.pid += i % 3;
		assert_int_equal(net_add(weir_test_plugin(t), &k, &d, NULL), 0);
	}
	net_pump(weir_test_plugin(t), WEIR_TEST_NOW);
}

static void test_metrics_count_what_was_emitted(void **state)
{
	(void)state;
	begin_with_flows(10);
	weir_test_collect(t);
	assert_int_equal(weir_test_metric(t, "weir_network_flows"), 10);
	net_engine_stop(weir_test_plugin(t));
	weir_test_collect(t);
	assert_int_equal(weir_test_metric(t, "weir_network_flows"), 0);
	assert_int_equal(weir_test_metric(t, "weir_network_flows_ended_total", "forced_end", "tcp",
					  "client"),
			 10);
	assert_int_equal(weir_test_metric(t, "weir_network_bytes_total", "host", "tcp", "forward"),
			 10045);
	assert_int_equal(
		weir_test_metric(t, "weir_network_packets_total", "host", "tcp", "reverse"), 10);
	assert_int_equal(weir_test_metric(t, "weir_network_process_bytes_total", "curl"), 11045);
	assert_int_equal(weir_test_metric(t, "weir_network_retransmits_total"), 20);
	assert_int_equal(weir_test_metric(t, "weir_network_records_total", "end"), 10);
	const uint64_t *b = weir_test_histogram(t, "weir_network_handshake_seconds");
	assert_int_equal(b[5], 10); /* 2.5 to 5 ms */
}

static size_t occurrences(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

static void test_flows_are_sorted_and_limited(void **state)
{
	static char text[1 << 20];

	(void)state;
	begin_with_flows(50);
	assert_int_equal(weir_test_query(t, "flows", text, sizeof text, "limit=3"), 0);
	assert_int_equal(occurrences(text, "\"source_port\""), 3);
	assert_true(strstr(text, "\"source_port\":40049,") < strstr(text, "\"source_port\":40048,"));
	assert_non_null(strstr(text, "\"source_port\":40047,"));
	assert_non_null(strstr(text, "\"source\":\"10.0.0.1\""));
	assert_non_null(strstr(text, "\"state\":\"established\""));
	assert_non_null(strstr(text, "\"community_id\":\"1:"));
	assert_non_null(strstr(text, "\"comm\":\"curl\""));
	assert_int_equal(weir_test_query(t, "flows", text, sizeof text, "port=40007",
					 "peer=192.168.*", "transport=tcp", "process=c*"),
			 0);
	assert_int_equal(occurrences(text, "\"source_port\""), 1);
	assert_int_equal(
		weir_test_query(t, "flows", text, sizeof text, "peer=192.168.0.0/16", "limit=1000"),
		0);
	assert_int_equal(occurrences(text, "\"source_port\""), 50);
	assert_int_equal(weir_test_query(t, "flows", text, sizeof text, "peer=11.0.0.0/8"), 0);
	assert_string_equal(text, "[]\n");
	assert_int_equal(weir_test_query(t, "flows", text, sizeof text, "transport=udp"), 0);
	assert_string_equal(text, "[]\n");
}

static void test_talkers_sum_up(void **state)
{
	static char text[1 << 16];

	(void)state;
	begin_with_flows(30);
	assert_int_equal(weir_test_query(t, "talkers", text, sizeof text), 0);
	assert_int_equal(occurrences(text, "\"comm\":\"curl\""), 3);
	assert_int_equal(weir_test_query(t, "talkers", text, sizeof text, "by=peer"), 0);
	assert_string_equal(
		text,
		"[{\"key\":\"192.168.1.1\",\"flows\":30,\"packets\":30,\"reverse_packets\":30,"
		"\"bytes\":30435,\"reverse_bytes\":3000,\"retransmits\":60}]\n");
	assert_int_equal(weir_test_query(t, "talkers", text, sizeof text, "by=port"), 0);
	assert_non_null(strstr(text, "{\"key\":\"443/tcp\",\"port\":443,\"flows\":30"));
}

static void test_the_other_queries_answer(void **state)
{
	static char text[1 << 16];

	(void)state;
	begin_with_flows(2);
	assert_int_equal(weir_test_query(t, "stats", text, sizeof text), 0);
	assert_non_null(strstr(text, "\"flows\":2,"));
	assert_non_null(strstr(text, "\"lack_of_resources\":0"));
	assert_int_equal(weir_test_query(t, "attributes", text, sizeof text), 0);
	assert_int_equal(occurrences(text, "\"attribute\":"), 74);
	assert_int_equal(weir_test_query(t, "summary", text, sizeof text), 0);
	assert_non_null(strstr(text, "2 flows"));
	assert_non_null(strstr(text, "10.0.0.1:40001"));
}

/* ---- rounds ------------------------------------------------------------------------------------ */

static void test_a_round_makes_so_many_records_and_the_rest_comes_later(void **state)
{
	struct weir_plugin *p;

	(void)state;
	t = weir_test_new(&weir_plugin, "flow_producer.flow_span_queue_capacity=16",
			  "stats_interval=10s");
	assert_int_equal(weir_test_init(t), 0);
	p = weir_test_plugin(t);
	assert_int_equal(net_engine_start(p), 0);
	for (uint16_t i = 0; i < 100; i++) {
		struct weir_flow_key k;
		struct weir_flow_delta d;

		flow_of(&k, &d, (uint16_t)(40000 + i), 1);
		assert_int_equal(net_add(p, &k, &d, NULL), 0);
	}
	net_pump(p, WEIR_TEST_NOW);
	net_pump(p, WEIR_TEST_NOW + 60 * WEIR_TEST_SECOND);
	assert_int_equal(weir_test_event_count(t), 16);
	weir_test_advance(t, 20 * WEIR_TEST_MS);
	assert_int_equal(weir_test_event_count(t), 100);
	weir_test_advance(t, 11 * WEIR_TEST_SECOND);
	assert_true(weir_test_logged(t, "100 began"));
	net_engine_stop(p);
	assert_int_equal(weir_test_timers(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults_are_accepted, end),
		cmocka_unit_test_teardown(test_a_wrong_filter_names_option_and_value, end),
		cmocka_unit_test_teardown(test_a_flow_is_recorded_when_the_plugin_stops, end),
		cmocka_unit_test_teardown(test_filters_keep_what_they_say, end),
		cmocka_unit_test_teardown(test_words_that_cannot_occur_are_refused, end),
		cmocka_unit_test_teardown(test_metrics_count_what_was_emitted, end),
		cmocka_unit_test_teardown(test_flows_are_sorted_and_limited, end),
		cmocka_unit_test_teardown(test_talkers_sum_up, end),
		cmocka_unit_test_teardown(test_the_other_queries_answer, end),
		cmocka_unit_test_teardown(
			test_a_round_makes_so_many_records_and_the_rest_comes_later, end),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed + test_network_packets() + net_test_bpf();
}
