/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes: each name once, each with a field of the schema or with a reason, and what a
 * record makes of them.
 */
#include "flow_attributes.h"
#include "flow_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_every_row_has_a_field_or_a_reason(void **state)
{
	(void)state;
	for (int i = 0; i < FLOW_ATTRIBUTES; i++) {
		const struct flow_attribute *a = &flow_attributes[i];
		bool found = false;

		for (int j = 0; j < i; j++)
			assert_string_not_equal(a->name, flow_attributes[j].name);
		if (!a->field) {
			assert_null(a->value);
			assert_true(strlen(a->note) > 10);
			continue;
		}
		for (int j = 0; j < WEIR_FLOW_FIELDS; j++)
			found |= !strcmp(a->field, weir_flow_fields[j].name);
		assert_true(found);
		assert_non_null(a->value);
	}
}

static const char *value(const struct weir_flow *r, const char *name)
{
	static char buf[128];

	for (int i = 0; i < FLOW_ATTRIBUTES; i++)
		if (!strcmp(flow_attributes[i].name, name))
			return flow_attributes[i].value && flow_attributes[i].value(r, buf, sizeof buf) ? buf : NULL;
	fail_msg("no attribute %s", name);
	return NULL;
}

static void test_values_are_what_other_tools_expect(void **state)
{
	struct weir_flow r = { .transport = 6, .source_port = 4000, .tcp_flags = 2 | 16,
		.packets_total = 1, .ttl = 64, .dscp = 46, .ecn = 2, .state = WEIR_STATE_FIN_WAIT_2,
		.end_reason = WEIR_END_DETECTED, .direction = WEIR_DIR_SERVER, .waits = 2, .latency_ns = 7,
		.pid = 9, .comm = "sixteen-letters!", .source_address = { [10] = 255, 255, 1, 2, 3, 4 } };

	(void)state;
	assert_string_equal(value(&r, "source.address"), "1.2.3.4");
	assert_string_equal(value(&r, "destination.address"), "::");
	assert_string_equal(value(&r, "source.port"), "4000");
	assert_string_equal(value(&r, "network.transport"), "tcp");
	assert_string_equal(value(&r, "flow.direction"), "reverse");
	assert_string_equal(value(&r, "flow.connection.state"), "fin_wait_2");
	assert_string_equal(value(&r, "flow.end_reason"), "end of Flow detected");
	assert_string_equal(value(&r, "flow.tcp.flags.tags"), "syn,ack");
	assert_string_equal(value(&r, "flow.ip.dscp.name"), "ef");
	assert_string_equal(value(&r, "flow.ip.ecn.name"), "ect0");
	assert_string_equal(value(&r, "flow.tcp.svc.latency"), "7");
	assert_string_equal(value(&r, "process.executable.name"), "sixteen-letters!");
	assert_null(value(&r, "flow.tcp.rndtrip.latency"));
	assert_null(value(&r, "flow.reverse.ip.ttl"));
	assert_null(value(&r, "flow.icmp.type.id"));
	assert_null(value(&r, "tunnel.source.address"));
	assert_null(value(&r, "network.policies.ingress"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_a_field_or_a_reason),
		cmocka_unit_test(test_values_are_what_other_tools_expect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
