/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairing: retries, id reuse, duplicates, strays, eviction, answers that overtake their
 * question, truncation and TCP; and that every query ends exactly once, whatever comes.
 */
#include "test_dns.h"

#include <stdlib.h>

static void *heap(void *arg, void *p, size_t n)
{
	(void)arg;
	if (n)
		return realloc(p, n);
	free(p);
	return NULL;
}
static const struct pkt_memory memory = { heap, NULL };

static struct dns_match *m;
static unsigned count[WEIR_DNS_OUTCOMES];
static struct dns_query last;
static uint64_t answered_ns;

static void on_finish(void *arg, enum weir_dns_outcome outcome, const struct dns_query *q,
                      const struct dns_seen *seen, const struct dns_msg *response)
{
	(void)arg, (void)response;
	count[outcome]++;
	last = *q;
	answered_ns = seen ? seen->time_ns : 0;
}

static void begin(uint32_t capacity, uint64_t early)
{
	const struct dns_match_options o = { .capacity = capacity, .timeout_ns = 1000, .early_ns = early };

	memset(count, 0, sizeof count);
	assert_int_equal(dns_match_new(&memory, &o, on_finish, NULL, &m), 0);
}

static void end(void)
{
	struct dns_match_stats s;

	dns_match_flush(m, WEIR_DNS_OPEN);
	dns_match_stats(m, &s);
	assert_int_equal(s.queries, s.retries + s.copies + s.outcomes[WEIR_DNS_ANSWERED] +
	                 s.outcomes[WEIR_DNS_TIMEOUT] + s.outcomes[WEIR_DNS_EVICTED] +
	                 s.outcomes[WEIR_DNS_OPEN] + s.multicast_queries);
	assert_int_equal(s.open, 0);
	dns_match_free(m);
}

static uint8_t via; /* the source of the next messages */

/* A message of id for one label, from the client's port or to it. */
static void message_on(uint64_t at, unsigned id, const char *label, unsigned flags, unsigned transport,
                       uint32_t ifindex)
{
	uint8_t b[64] = { (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(flags >> 8), (uint8_t)flags, 0, 1 };
	struct dns_seen s = { .time_ns = at, .transport = (uint8_t)transport, .weight = 1, .ifindex = ifindex,
		.via = via };
	size_t n = strlen(label);
	struct dns_msg msg;
	bool response = flags & DNS_QR;

	s.src[15] = response ? 2 : 1;
	s.dst[15] = response ? 1 : 2;
	s.sport = response ? 53 : 40000;
	s.dport = response ? 40000 : 53;
	b[12] = (uint8_t)n;
	memcpy(b + 13, label, n);
	b[13 + n + 2] = 1;
	b[13 + n + 4] = 1;
	assert_int_equal(dns_parse(b, (uint32_t)(18 + n), (uint32_t)(18 + n), &msg), DNS_OK);
	dns_match_message(m, &s, &msg);
}
#define Q(at, id, label) message_on(at, id, label, 0, WEIR_DNS_UDP, 0)
#define R(at, id, label) message_on(at, id, label, DNS_QR, WEIR_DNS_UDP, 0)

static void a_retry_is_one_question(void **state)
{
	(void)state;
	begin(8, 0);
	Q(100, 7, "a");
	Q(600, 7, "A"); /* case may change on the way */
	dns_match_expire(m, 1200, 10); /* counted from the newest */
	R(650, 7, "a");
	assert_int_equal(count[WEIR_DNS_ANSWERED], 1);
	assert_int_equal(last.retries, 1);
	assert_int_equal(answered_ns - last.seen.time_ns, 50);
	assert_int_equal(answered_ns - last.wait_from_ns, 550);
	R(660, 7, "a");
	assert_int_equal(count[WEIR_DNS_DUPLICATE], 1);
	Q(700, 7, "a"); /* the id anew: not a retry of what has its answer */
	R(720, 7, "a");
	assert_int_equal(count[WEIR_DNS_ANSWERED], 2);
	assert_int_equal(last.retries, 0);
	assert_int_equal(answered_ns - last.wait_from_ns, 20);
	end();
}

static void one_id_for_two_names(void **state)
{
	(void)state;
	begin(8, 0);
	Q(100, 0, "a");
	Q(110, 0, "b");
	R(120, 0, "b");
	assert_memory_equal(last.name.wire, "\1b", 3);
	R(130, 1, "a");
	assert_int_equal(count[WEIR_DNS_UNSOLICITED], 1);
	dns_match_expire(m, 1099, 10);
	assert_int_equal(count[WEIR_DNS_TIMEOUT], 0);
	dns_match_expire(m, 1100, 10);
	assert_int_equal(count[WEIR_DNS_TIMEOUT], 1);
	R(1200, 0, "a"); /* too late */
	assert_int_equal(count[WEIR_DNS_UNSOLICITED], 2);
	end();
}

static void a_full_table_evicts_the_oldest(void **state)
{
	(void)state;
	begin(4, 0);
	for (unsigned i = 0; i < 6; i++)
		Q(100 + i, i, "a");
	assert_int_equal(count[WEIR_DNS_EVICTED], 2);
	assert_int_equal(last.id, 1);
	R(200, 5, "a");
	Q(201, 9, "a"); /* an answered one goes before an open one */
	assert_int_equal(count[WEIR_DNS_EVICTED], 2);
	end();
	assert_int_equal(count[WEIR_DNS_OPEN], 4);
}

static void an_answer_may_overtake_its_question(void **state)
{
	(void)state;
	begin(8, 100);
	R(150, 3, "a");
	assert_int_equal(count[WEIR_DNS_UNSOLICITED], 0);
	Q(120, 3, "a");
	assert_int_equal(count[WEIR_DNS_ANSWERED], 1);
	assert_int_equal(answered_ns - last.seen.time_ns, 30);
	R(160, 4, "a");
	dns_match_expire(m, 300, 10);
	assert_int_equal(count[WEIR_DNS_UNSOLICITED], 1);
	end();
}

static void truncation_leads_to_tcp(void **state)
{
	(void)state;
	begin(8, 0);
	Q(100, 1, "a");
	message_on(110, 1, "a", DNS_QR | DNS_TC, WEIR_DNS_UDP, 0);
	assert_false(last.tcp_retry);
	message_on(150, 2, "b", 0, WEIR_DNS_TCP, 0); /* another name */
	message_on(160, 3, "a", 0, WEIR_DNS_TCP, 0);
	message_on(190, 3, "a", DNS_QR, WEIR_DNS_TCP, 0);
	assert_true(last.tcp_retry);
	assert_int_equal(answered_ns - last.seen.time_ns, 30);
	assert_int_equal(answered_ns - last.wait_from_ns, 90);
	message_on(200, 2, "b", DNS_QR, WEIR_DNS_TCP, 0);
	assert_false(last.tcp_retry);
	end();
}

static void copies_are_not_counted_twice(void **state)
{
	(void)state;
	begin(8, 0);
	message_on(100, 1, "a", 0, WEIR_DNS_UDP, 2);
	message_on(101, 1, "a", 0, WEIR_DNS_UDP, 3);
	message_on(110, 1, "a", DNS_QR, WEIR_DNS_UDP, 3);
	message_on(111, 1, "a", DNS_QR, WEIR_DNS_UDP, 2);
	assert_int_equal(count[WEIR_DNS_ANSWERED], 1);
	assert_int_equal(count[WEIR_DNS_DUPLICATE], 0);
	assert_int_equal(last.retries, 0);
	end();
}

/* Losses mark what was open then, and nothing else. */
/* Two sources that hand over meet the same messages, at slightly different times, in any order of
 * sources; a question of the one is answered by the other. A retry comes later and is one. */
static void two_sources_meet_one_message(void **state)
{
	const uint64_t ms = 1000000;
	struct dns_match_stats s;

	(void)state;
	for (uint8_t first = 0; first < 2; first++) {
		const struct dns_match_options o = { .capacity = 64, .timeout_ns = 1000 * ms };

		memset(count, 0, sizeof count);
		assert_int_equal(dns_match_new(&memory, &o, on_finish, NULL, &m), 0);
		via = first;
		Q(500 * ms, 1, "both");
		R(501 * ms, 1, "both");
		Q(502 * ms, 2, "half");
		via = !first;
		Q(500 * ms - 20000, 1, "both");
		R(501 * ms + 20000, 1, "both");
		R(503 * ms, 2, "half");
		Q(504 * ms, 3, "new");
		Q(504 * ms + 50 * ms, 3, "new");
		R(560 * ms, 3, "new");
		R(561 * ms, 3, "new"); /* by the same source: the server says it again */
		dns_match_stats(m, &s);
		assert_int_equal(count[WEIR_DNS_ANSWERED], 3);
		assert_int_equal(count[WEIR_DNS_DUPLICATE], 1);
		assert_int_equal(count[WEIR_DNS_UNSOLICITED], 0);
		assert_int_equal(s.copies, 1);
		assert_int_equal(s.response_copies, 1);
		assert_int_equal(s.retries, 1);
		end();
	}
	via = 0;
}

static void losses_are_said(void **state)
{
	(void)state;
	begin(8, 0);
	Q(100, 1, "a");
	dns_match_lost(m);
	Q(110, 2, "b");
	dns_match_expire(m, 1105, 10);
	assert_true(last.approx);
	dns_match_expire(m, 1111, 10);
	assert_false(last.approx);
	end();
}

/* A hundred thousand messages at random: each query still ends once. */
static void any_order_balances(void **state)
{
	uint32_t x = 12345;

	(void)state;
	begin(64, 20);
	for (unsigned i = 0; i < 100000; i++) {
		x = x * 1664525 + 1013904223;
		message_on(i, x >> 24 & 127, x >> 16 & 1 ? "a" : "b", x >> 8 & 1 ? DNS_QR : 0,
		           x >> 9 & 1, x >> 12 & 1);
		if (!(x >> 20 & 15))
			dns_match_expire(m, i, 8);
	}
	end();
}

static void memory_may_fail(void **state)
{
	struct weir_test *t;

	(void)state;
	for (long n = 0;; n++) {
		int rc;

		t = weir_test_new(&weir_plugin, "ignore=a.b,c", "keep=d");
		weir_test_fail(t, WEIR_TEST_REALLOC, n);
		rc = weir_test_init(t);
		if (rc)
			assert_int_equal(rc, -ENOMEM);
		assert_int_equal(weir_test_free(t), 0);
		if (!rc)
			break;
	}
}

int test_match(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_retry_is_one_question), cmocka_unit_test(one_id_for_two_names),
		cmocka_unit_test(a_full_table_evicts_the_oldest),
		cmocka_unit_test(an_answer_may_overtake_its_question),
		cmocka_unit_test(truncation_leads_to_tcp), cmocka_unit_test(copies_are_not_counted_twice),
		cmocka_unit_test(two_sources_meet_one_message),
		cmocka_unit_test(losses_are_said), cmocka_unit_test(any_order_balances),
		cmocka_unit_test(memory_may_fail),
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
