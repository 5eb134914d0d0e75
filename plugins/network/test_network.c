/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network plugin in the test host: options, engine and records, without a source.
 */
#include "network.h"

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
	struct weir_flow_delta d = { .packets = { 1, 2 }, .bytes = { 40, 80 }, .first_ns = WEIR_TEST_NOW };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults_are_accepted, end),
		cmocka_unit_test_teardown(test_a_wrong_filter_names_option_and_value, end),
		cmocka_unit_test_teardown(test_a_flow_is_recorded_when_the_plugin_stops, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
