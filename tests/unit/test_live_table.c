/* SPDX-License-Identifier: Apache-2.0 */
/* Live tables: canned answers of plugins to lines of text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "live_table.h"

#include <limits.h>
#include <string.h>

static struct weir__top_text text;

static const char *lines(const char *by, const char *now, const char *before, double passed_s, unsigned rows)
{
	json_t *a = json_loads(now, 0, NULL), *b = before ? json_loads(before, 0, NULL) : NULL;

	assert_non_null(a);
	weir__top_text_fini(&text);
	text = (struct weir__top_text){ .rows = rows, .columns = 300 };
	weir__live_frame(weir__live_by(weir__live_command("flows"), by), a, b, passed_s, &text);
	json_decref(a);
	json_decref(b);
	assert_non_null(text.text);
	return text.text;
}

#define FLOW(bytes) "[{\"id\":\"x\",\"comm\":\"nginx\",\"pid\":7,\"source\":\"10.0.0.1\",\"source_port\":443," \
	"\"destination\":\"fe80::1\",\"destination_port\":5,\"transport\":\"tcp\",\"bytes\":" bytes ",\"reverse_bytes\":24}]"

/* Endpoints, processes and sums are put together; IPv6 has brackets. */
static void test_cells(void **state)
{
	const char *t = lines("flow", FLOW("1000"), NULL, 0, UINT_MAX);

	(void)state;
	assert_non_null(strstr(t, "7 nginx"));
	assert_non_null(strstr(t, "10.0.0.1:443"));
	assert_non_null(strstr(t, "[fe80::1]:5"));
	assert_non_null(strstr(t, "1.0 KiB"));
}

/* A rate is the growth of the row with the same id; without one there is none. */
static void test_rates(void **state)
{
	const char *t = lines("flow", FLOW("5096"), FLOW("1000"), 2, UINT_MAX);

	(void)state;
	assert_non_null(strstr(t, "2.0 KiB"));
	t = lines("flow", FLOW("1000"), FLOW("5096"), 2, UINT_MAX);
	assert_null(strstr(t, "2.0 KiB"));
}

/* What comes from outside does not reach the terminal as it is; what is no table is none. */
static void test_hostile(void **state)
{
	const char *t = lines("process", "[{\"key\":\"a\\u001b[31mb\\nc\"}, 5, \"x\", {\"key\":{}}]", NULL, 0, UINT_MAX);

	(void)state;
	assert_null(strchr(t, '\033'));
	assert_int_equal(text.lines, 5);
	assert_non_null(strstr(lines("peer", "[]", NULL, 0, UINT_MAX), "nothing so far"));
}

/* No more lines than there is room for. */
static void test_rows(void **state)
{
	(void)state;
	lines("port", "[{\"key\":\"1\"},{\"key\":\"2\"},{\"key\":\"3\"}]", NULL, 0, 2);
	assert_int_equal(text.lines, 2);
}

/* Each table has a query, an id and a first key to sort by; words are found whole only. */
static void test_tables(void **state)
{
	const char *const names[] = { "flows", "dns" };
	char words[200];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct weir__live_command *c = weir__live_command(names[i]);

		for (size_t j = 0; j < c->count; j++) {
			assert_true(strlen(c->tables[j].query) && strlen(c->tables[j].id));
			assert_ptr_equal(weir__live_by(c, c->tables[j].by), &c->tables[j]);
		}
		assert_null(weir__live_by(c, "pro"));
	}
	assert_true(weir__live_sorts(weir__live_command("flows")->tables, "packets"));
	assert_false(weir__live_sorts(weir__live_command("flows")->tables, "pack"));
	assert_false(weir__live_sorts(weir__live_command("flows")->tables, ""));
	assert_string_equal(weir__live_words(weir__live_command("flows"), words, sizeof words),
	                    "flow, process, peer or port");
	weir__top_text_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells), cmocka_unit_test(test_rates), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_rows), cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
