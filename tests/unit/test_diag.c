/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics: what is printed, what is cleaned, what is bounded. */
#include "diag.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *print(const struct weir__diags *d, bool colour)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	weir__diags_print(d, f, colour);
	fclose(f);
	return buf;
}

static void expect(const struct weir__diags *d, const char *want)
{
	char *got = print(d, false);

	assert_string_equal(got, want);
	free(got);
}

/* An error shows its place, the line with a caret under the word, and the hint. */
static void test_caret(void **state)
{
	const struct weir__mark at = { "weir.yaml", 2, 3, 9 };
	struct weir__diags d = { 0 };

	(void)state;
	weir__diag_add(&d, false, &at, "a:\n  intervall: 5s\n", "did you mean \"interval\"?",
	               "unknown key \"%s\"", "intervall");
	expect(&d, "weir.yaml:2:3: error: unknown key \"intervall\"\n"
	           "    2 |   intervall: 5s\n"
	           "      |   ^^^^^^^^^\n"
	           "   did you mean \"interval\"?\n");
	assert_int_equal(d.errors, 1);
	weir__diags_fini(&d);
}

/* Diagnostics come in the order of their lines, those without one last. */
static void test_order(void **state)
{
	const struct weir__mark two = { "f", 2, 1, 1 }, one = { "f", 1, 1, 1 };
	const struct weir__mark env = { .file = "environment" };
	struct weir__diags d = { 0 };

	(void)state;
	weir__diag_add(&d, true, &env, NULL, NULL, "last");
	weir__diag_add(&d, false, &two, NULL, NULL, "second");
	weir__diag_add(&d, false, &one, NULL, NULL, "first");
	weir__diag_add(&d, false, NULL, NULL, NULL, "nowhere");
	expect(&d, "f:1:1: error: first\nf:2:1: error: second\n"
	           "environment: warning: last\nerror: nowhere\n");
	weir__diags_fini(&d);
}

/* The same said twice at one place is kept and counted once. */
static void test_duplicate(void **state)
{
	const struct weir__mark at = { "f", 2, 1, 1 };
	struct weir__diags d = { 0 };

	(void)state;
	weir__diag_add(&d, false, &at, NULL, NULL, "x");
	weir__diag_add(&d, false, &at, NULL, NULL, "x");
	assert_int_equal(d.count, 1);
	assert_int_equal(d.errors, 1);
	weir__diags_fini(&d);
}

/* No control byte, broken UTF-8 or bidirectional override is printed. */
static void test_clean(void **state)
{
	const struct weir__mark at = { "f\033", 1, 3, 1 };
	struct weir__diags d = { 0 };

	(void)state;
	weir__diag_add(&d, false, &at, "a\tb\033[2J\xc2\x9b\xff\xc3\xa4", "\xe2\x80\xae",
	               "bad \033[31m %s", "\xf0\x9f\x98\x80\xed\xa0\x80");
	expect(&d, "f\\x1b:1:3: error: bad \\x1b[31m \xf0\x9f\x98\x80\\xed\\xa0\\x80\n"
	           "    1 | a b?[2J??\xc3\xa4\n"
	           "      |   ^\n"
	           "   \\xe2\\x80\\xae\n");
	weir__diags_fini(&d);
}

/* A long line is cut around the caret, and the caret still stands under its word. */
static void test_long_line(void **state)
{
	const struct weir__mark at = { "f", 1, 5001, 4 };
	struct weir__diags d = { 0 };
	char text[10001];

	(void)state;
	memset(text, 'x', 10000);
	memcpy(text + 5000, "word", 4);
	text[10000] = 0;
	weir__diag_add(&d, false, &at, text, NULL, "m");
	assert_true(strlen(d.items[0].source) < 200);
	assert_memory_equal(d.items[0].source + d.items[0].caret, "word", 4);
	weir__diags_fini(&d);
}

/* However many warnings there are, the error behind them is shown. */
static void test_warnings_leave_room(void **state)
{
	struct weir__mark at = { "f", 1, 1, 1 };
	struct weir__diags d = { 0 };
	char *got;

	(void)state;
	for (at.line = 1; at.line <= 150; at.line++)
		weir__diag_add(&d, true, &at, NULL, NULL, "w");
	weir__diag_add(&d, false, &at, NULL, NULL, "the error");
	assert_int_equal(d.errors, 1);
	got = print(&d, false);
	assert_non_null(strstr(got, "error: the error\n"));
	free(got);
	weir__diags_fini(&d);
}

/* After a hundred the rest are only counted. */
static void test_bound(void **state)
{
	struct weir__mark at = { "f", 1, 1, 1 };
	struct weir__diags d = { 0 };
	char *got;

	(void)state;
	for (at.line = 1; at.line <= 150; at.line++)
		weir__diag_add(&d, false, &at, NULL, NULL, "m");
	assert_int_equal(d.count, 100);
	assert_int_equal(d.errors, 150);
	got = print(&d, true);
	assert_non_null(strstr(got, "... and 50 more\n"));
	free(got);
	weir__diags_fini(&d);
}

/* Without memory an error is still an error, and nothing leaks. */
static void test_no_memory(void **state)
{
	const struct weir__mark at = { "f", 1, 1, 1 };
	long live = weir__mem_live(), n;
	bool done = false;

	(void)state;
	for (n = 0; !done; n++) {
		struct weir__diags d = { 0 };

		weir__mem_fail_at(n);
		weir__diag_add(&d, false, &at, "line", "hint", "m");
		weir__mem_fail_at(-1);
		assert_true(weir__diags_failed(&d));
		done = !d.oom;
		weir__diags_fini(&d);
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n > 3);
}

/* A typing error finds its word; a different word finds none. */
static void test_nearest(void **state)
{
	static const char *const names[] = { "interval", "enabled", "on_full", "topics", NULL };
	char huge[500];

	(void)state;
	assert_string_equal(weir__nearest("intervall", names), "interval");
	assert_string_equal(weir__nearest("ENABLED", names), "enabled");
	assert_string_equal(weir__nearest("on-full", names), "on_full");
	assert_string_equal(weir__nearest("tpoics", names), "topics");
	assert_string_equal(weir__nearest("enable", names), "enabled");
	assert_null(weir__nearest("password", names));
	assert_null(weir__nearest("", names));
	memset(huge, 'a', sizeof(huge));
	huge[sizeof(huge) - 1] = 0;
	assert_null(weir__nearest(huge, names));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caret),     cmocka_unit_test(test_order),
		cmocka_unit_test(test_duplicate), cmocka_unit_test(test_clean),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_warnings_leave_room), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
