/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests of dns that need no kernel: what they share, and main().
 */
#include "test_dns.h"

#include <stdlib.h>

struct weir_test *replay(const char *file, const char *const *options)
{
	const char *all[16] = { NULL };
	char path[300];
	struct weir_test *t;
	size_t n = 1;

	snprintf(path, sizeof path, "replay.file=../../tests/data/dns/%s", file);
	all[0] = path;
	for (; options && *options && n < 15; options++)
		all[n++] = *options;
	t = weir_test_new_with(&weir_plugin, all);
	assert_int_equal(weir_test_init(t), 0);
	if (weir_test_start(t, "replay"))
		fail_msg("%s: %s", file, weir_test_reason(t));
	for (int i = 0; i < 50 && !weir_test_logged(t, "read to its end"); i++)
		weir_test_advance(t, WEIR_TEST_SECOND);
	assert_true(weir_test_logged(t, "read to its end"));
	return t;
}

const struct weir_dns_transaction *record_at(struct weir_test *t, size_t i)
{
	const struct weir_test_event *e = weir_test_event_of(t, WEIR_DNS_TRANSACTION, i);

	return e ? e->payload : NULL;
}

unsigned long long stat_of(struct weir_test *t, const char *key)
{
	char buf[2048], quoted[64];
	const char *at;

	assert_int_equal(weir_test_query(t, "stats", buf, sizeof buf), 0);
	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	at = strstr(buf, quoted);
	assert_non_null(at);
	return strtoull(at + strlen(quoted), NULL, 10);
}

void assert_balanced(struct weir_test *t)
{
	unsigned long long ends = stat_of(t, "answered") + stat_of(t, "timeout") + stat_of(t, "evicted") +
	                          stat_of(t, "open") + stat_of(t, "pending");
	unsigned long long strays = stat_of(t, "unsolicited") + stat_of(t, "duplicate") + stat_of(t, "multicast");

	/* Every message is one end, or part of one. */
	assert_int_equal(stat_of(t, "queries") + stat_of(t, "responses"),
	                 ends + stat_of(t, "answered") + strays + stat_of(t, "retries") + stat_of(t, "copies") +
	                 stat_of(t, "response_copies"));
}

int main(void)
{
	int bad = 0;

	bad += test_wire();
	bad += test_match();
	bad += test_stream();
	bad += test_zeek();
	bad += test_plugin();
	return bad ? 1 : 0;
}
