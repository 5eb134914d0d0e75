/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, metrics and queries of the plugin, on captures: what is ignored, sampled and
 * hashed, and what the kernel's records become.
 */
#include "test_dns.h"

#include <math.h>

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void names_are_ignored_and_kept(void **state)
{
	struct weir_test *t = replay("rrsig.pcap", OPTIONS("ignore=upenn.edu"));

	(void)state;
	assert_int_equal(weir_test_event_count(t), 0);
	assert_int_equal(weir_test_counted(t, WEIR_DNS_TRANSACTION, WEIR_RECORD_FILTERED), 4);
	assert_int_equal(weir_test_free(t), 0);
	/* the longer match wins */
	t = replay("rrsig.pcap", OPTIONS("ignore=upenn.edu", "keep=virgo.sas.upenn.edu"));
	assert_int_equal(weir_test_event_count(t), 3);
	assert_int_equal(weir_test_free(t), 0);
	t = replay("rrsig.pcap", OPTIONS("keep=example.com"));
	assert_int_equal(weir_test_event_count(t), 0);
	assert_int_equal(weir_test_free(t), 0);
}

static void wrong_options_say_why(void **state)
{
	static const char *const wrong[][2] = {
		{ "ports=0", "is no port" }, { "ports=53x", "is no port" },
		{ "ignore=a..b", "no domain name" }, { "redact_key=x", "redact is off" },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct weir_test *t = weir_test_new(&weir_plugin, wrong[i][0]);

		assert_int_equal(weir_test_init(t), -EINVAL);
		assert_non_null(strstr(weir_test_reason(t), wrong[i][1]));
		assert_int_equal(weir_test_free(t), 0);
	}
}

/* No letter of a name is left, and the same name has the same hash with the same key. */
static void names_are_hashed(void **state)
{
	char first[256];
	struct weir_test *t;

	(void)state;
	for (int round = 0; round < 2; round++) {
		t = replay("rrsig.pcap", OPTIONS("redact=hash", "redact_key=secret"));
		for (size_t i = 0; i < weir_test_event_count(t); i++) {
			const char *text = weir_test_event_text(t, i, WEIR_FORMAT_JSON);

			assert_null(strstr(text, "upenn"));
			assert_null(strstr(text, "UPENN"));
			assert_true(record_at(t, i)->redacted);
			assert_int_equal(strlen(WEIR_DNS_TEXT(record_at(t, i), name)), 16);
		}
		if (round)
			assert_string_equal(WEIR_DNS_TEXT(record_at(t, 0), name), first);
		snprintf(first, sizeof first, "%s", WEIR_DNS_TEXT(record_at(t, 0), name));
		assert_int_equal(weir_test_free(t), 0);
	}
}

static void sampling_keeps_pairs(void **state)
{
	struct weir_test *t = replay("dns-edns-ecs.pcap", NULL);
	unsigned long long open = stat_of(t, "open") + stat_of(t, "timeout");
	unsigned long long strays = stat_of(t, "unsolicited");

	(void)state;
	assert_int_equal(weir_test_free(t), 0);
	t = replay("dns-edns-ecs.pcap", OPTIONS("sample=3"));
	for (size_t i = 0; i < weir_test_event_count(t); i++)
		assert_int_equal(weir_test_event(t, i)->weight, 3);
	assert_balanced(t);
	/* Questions that have an answer in the capture still have it. */
	assert_true(stat_of(t, "open") + stat_of(t, "timeout") <= open);
	assert_true(stat_of(t, "unsolicited") <= strays);
	assert_int_equal(weir_test_free(t), 0);
}

static void metrics_say_what_came(void **state)
{
	struct weir_test *t = replay("rrsig.pcap", NULL);
	char buf[8192];

	(void)state;
	assert_int_equal(weir_test_collect(t), 0);
	assert_true(weir_test_metric(t, "weir_dns_queries_total", "A") == 4);
	assert_true(weir_test_metric(t, "weir_dns_responses_total", "NOERROR") == 3);
	assert_true(weir_test_metric(t, "weir_dns_transactions_total", "udp", "answered") == 3);
	assert_true(weir_test_metric(t, "weir_dns_nxdomain_ratio") == 0);
	assert_true(fabs(weir_test_metric(t, "weir_dns_lookup_duration_seconds", "udp") - 0.010516) < 1e-9);
	assert_true(weir_test_metric(t, "weir_dns_top_server_queries", "128.175.13.16:53") == 4);
	assert_true(isnan(weir_test_metric(t, "weir_dns_top_name_queries", "virgo.SAS.upenn.edu")));
	assert_int_equal(weir_test_query(t, "names", buf, sizeof buf, "limit=1"), 0);
	assert_non_null(strstr(buf, "virgo.SAS.upenn.edu"));
	assert_non_null(strstr(buf, "\"queries\":3"));
	assert_int_equal(weir_test_query(t, "servers", buf, sizeof buf), 0);
	assert_non_null(strstr(buf, "128.175.13.16:53"));
	assert_int_equal(weir_test_query(t, "queries", buf, sizeof buf, "failed=only"), 0);
	assert_int_equal(weir_test_query(t, "summary", buf, sizeof buf), 0);
	assert_non_null(strstr(buf, "4 queries"));
	assert_int_equal(weir_test_free(t), 0);
}

/* ---- what the kernel's records become ------------------------------------------------ */

static const uint8_t question[] = { 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1 };

static int packet(struct weir_test *t, bool response, uint32_t copied, uint32_t len)
{
	struct { struct weir_dns_packet p; uint8_t data[64]; } r;

	memset(&r, 0, sizeof r);
	r.p.src[15] = response ? 2 : 1;
	r.p.dst[15] = response ? 1 : 2;
	r.p.sport = response ? 53 : 40000;
	r.p.dport = response ? 40000 : 53;
	r.p.proto = 17;
	r.p.egress = !response;
	r.p.owned = 1;
	r.p.pid = 4242;
	strcpy(r.p.comm, "asker");
	r.p.copied = copied;
	r.p.len = len;
	memcpy(r.data, question, sizeof question);
	r.data[2] |= response ? 0x80 : 0;
	return weir_test_record(t, WEIR_DNS_PACKET, &r, sizeof r);
}

static void records_of_the_kernel(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "executable=no", "containers=no");
	const struct weir_dns_transaction *r;

	(void)state;
	weir_test_array(t, WEIR_MAP_CPU, sizeof(struct weir_cpu), 2);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	assert_int_equal(packet(t, false, sizeof question, sizeof question), WEIR_RECORD_AGGREGATED);
	assert_int_equal(packet(t, true, sizeof question, sizeof question), WEIR_RECORD_AGGREGATED);
	/* lengths that lie are no crash */
	assert_int_equal(packet(t, true, 5000, 6000), WEIR_RECORD_AGGREGATED);
	assert_int_equal(packet(t, true, 60, 20), WEIR_RECORD_AGGREGATED);
	assert_int_equal(packet(t, true, 0, 20), WEIR_RECORD_AGGREGATED);
	weir_test_advance(t, WEIR_TEST_SECOND);
	r = record_at(t, 0);
	assert_non_null(r);
	assert_null(record_at(t, 1));
	assert_string_equal(r->comm, "asker");
	assert_int_equal(r->pid, 4242);
	assert_int_equal(r->role, WEIR_DNS_CLIENT);
	assert_int_equal(r->outcome, WEIR_DNS_ANSWERED);
	/* One that is never answered ends by itself; one that is open when all ends, then. */
	weir_test_events_clear(t);
	packet(t, false, sizeof question, sizeof question);
	weir_test_advance(t, 20 * WEIR_TEST_SECOND);
	assert_int_equal(record_at(t, 0)->outcome, WEIR_DNS_TIMEOUT);
	weir_test_events_clear(t);
	packet(t, false, sizeof question, sizeof question);
	weir_test_stop(t);
	assert_int_equal(record_at(t, 0)->outcome, WEIR_DNS_OPEN);
	assert_int_equal(weir_test_free(t), 0);
}

/* Of a million different names and two that come again and again, those two are found. */
static void heavy_hitters(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "ports=53");
	const struct dns_top_entry *list[4];
	struct pkt_memory m = dns_memory(weir_test_plugin(t));
	struct dns_top *top;
	char key[32];

	(void)state;
	assert_int_equal(dns_top_new(&m, 128, &top), 0);
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(key, sizeof key, "n%u", i);
		dns_top_add(top, key, strlen(key), 1);
		if (!(i % 20))
			dns_top_add(top, "often", 5, 1);
		if (!(i % 40))
			dns_top_add(top, "half", 4, 1);
	}
	assert_int_equal(dns_top_list(top, list, 4), 4);
	assert_memory_equal(list[0]->key, "often", 5);
	assert_memory_equal(list[1]->key, "half", 4);
	assert_true(list[0]->count >= 10000 && list[0]->count - list[0]->error <= 10000);
	dns_top_free(&m, top);
	assert_int_equal(weir_test_free(t), 0);
}

int test_plugin(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_ignored_and_kept), cmocka_unit_test(wrong_options_say_why),
		cmocka_unit_test(names_are_hashed), cmocka_unit_test(sampling_keeps_pairs),
		cmocka_unit_test(metrics_say_what_came), cmocka_unit_test(records_of_the_kernel),
		cmocka_unit_test(heavy_hitters),
	};

	return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
