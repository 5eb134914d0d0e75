/* SPDX-License-Identifier: Apache-2.0 */
/* Option values: text to value and back, bounds, and nothing written on error. */
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct all {
	bool flag;
	int64_t count;
	uint64_t limit;
	double ratio;
	const char *name, *secret;
	uint32_t mode;
	uint64_t size, ring, every;
	struct weir_strings list;
};

static const struct weir_option rows[] = {
	WEIR_OPTION_BOOL(struct all, flag, "flag", "true", "A flag"),
	WEIR_OPTION_INT(struct all, count, "count", "-3", "A count", .min = -10, .max = 10),
	WEIR_OPTION_UINT(struct all, limit, "limit", "7", "A limit", .unit = "records"),
	WEIR_OPTION_DOUBLE(struct all, ratio, "ratio", "0.5", "A ratio", .min = 0, .max = 1),
	WEIR_OPTION_STRING(struct all, name, "name", "x", "A name"),
	WEIR_OPTION_STRING(struct all, secret, "secret", "s3cret", "A secret",
	                   .flags = WEIR_OPTION_SECRET),
	WEIR_OPTION_ENUM(struct all, mode, "mode", "fast slow", "slow", "A mode"),
	WEIR_OPTION_BYTES(struct all, size, "size", "64MB", "A size"),
	WEIR_OPTION_BYTES(struct all, ring, "ring", "512KiB", "A ring", .min = 65536,
	                  .max = 1 << 30, .flags = WEIR_OPTION_POWER_OF_TWO),
	WEIR_OPTION_DURATION(struct all, every, "every", "1m30s", "How often", .min = 1e6),
	WEIR_OPTION_LIST(struct all, list, "list", "a, b", "A list", .max = 4),
};
static const struct weir_table table = WEIR_TABLE(rows);

static struct all *with_defaults(void)
{
	static struct all a;
	char err[256];

	memset(&a, 0, sizeof(a));
	assert_int_equal(weir__options_defaults(&table, &a, err, sizeof(err)), 0);
	return &a;
}

static int set(struct all *a, const char *name, const char *text)
{
	char err[256] = "";
	int rc = weir__option_set(weir__option_find(&table, name), a, text, err, sizeof(err));

	assert_true(!rc || *err);
	return rc;
}

/* Every default is what a user would have written, and is written back so. */
static void test_defaults(void **state)
{
	static const char *const want[] = { "true", "-3", "7", "0.5", "x", "***", "slow",
		                            "64MB", "512KiB", "1m30s", "a,b" };
	struct all *a = with_defaults();
	char buf[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(weir__option_format(&rows[i], a, buf, sizeof(buf)),
		                 strlen(want[i]));
		assert_string_equal(buf, want[i]);
	}
	weir__options_free(&table, a);
	assert_null(a->name);
	assert_int_equal(a->list.count, 0);
}

/* Numbers, sizes and durations mean what they say. */
static void test_values(void **state)
{
	static const struct { const char *text; uint64_t want; } sizes[] = {
		{ "0", 0 }, { "4096", 4096 }, { "1KiB", 1024 }, { "1kib", 1024 }, { "1KB", 1000 },
		{ "1.5 MiB", 1536 << 10 }, { "2Gi", 2ull << 30 }, { "1TB", 1000000000000ull },
		{ "18446744073709551615", UINT64_MAX }, { "10 B", 10 },
	}, times[] = {
		{ "1ms", 1000000 }, { "1h30m", 5400000000000ull }, { "1.5s", 1500000000 },
		{ "1000us", 1000000 }, { "2000\xc2\xb5s", 2000000 }, { "1d", 86400000000000ull },
		{ "1s500ms", 1500000000 },
	};
	struct all *a = with_defaults();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(set(a, "size", sizes[i].text), 0);
		assert_true(a->size == sizes[i].want);
	}
	for (i = 0; i < sizeof(times) / sizeof(*times); i++) {
		assert_int_equal(set(a, "every", times[i].text), 0);
		assert_true(a->every == times[i].want);
	}
	assert_int_equal(set(a, "flag", "Off"), 0);
	assert_false(a->flag);
	assert_int_equal(set(a, "count", "+10"), 0);
	assert_int_equal(a->count, 10);
	assert_int_equal(set(a, "ratio", "1e-3"), 0);
	assert_int_equal(set(a, "list", ""), 0);
	assert_int_equal(a->list.count, 0);
	weir__options_free(&table, a);
}

/* A wrong value is refused with what was expected, and changes nothing. */
static void test_wrong(void **state)
{
	static const struct { const char *name, *text; int rc; } bad[] = {
		{ "flag", "maybe", -EINVAL }, { "flag", "", -EINVAL },
		{ "count", "11", -ERANGE }, { "count", "ten", -EINVAL }, { "count", "1.5", -EINVAL },
		{ "count", "-+1", -EINVAL }, { "count", "99999999999999999999", -ERANGE },
		{ "limit", "-1", -EINVAL }, { "limit", "", -EINVAL }, { "limit", "1 ", -EINVAL },
		{ "limit", "18446744073709551616", -ERANGE },
		{ "ratio", "nan", -EINVAL }, { "ratio", "1e999", -ERANGE }, { "ratio", "2", -ERANGE },
		{ "ratio", "0x1p1", -EINVAL }, { "ratio", "--1", -EINVAL },
		{ "mode", "slo", -EINVAL }, { "mode", "fast slow", -EINVAL }, { "mode", "", -EINVAL },
		{ "size", "64M", -EINVAL }, { "size", "-1", -EINVAL }, { "size", "1.KiB", -EINVAL },
		{ "size", "1KiB1", -EINVAL }, { "size", "99999999999TiB", -ERANGE },
		{ "ring", "100000", -EINVAL }, { "ring", "1KiB", -ERANGE }, { "ring", "0", -ERANGE },
		{ "every", "10", -EINVAL }, { "every", "5M", -EINVAL }, { "every", "1m1h", -EINVAL },
		{ "every", "1s1s", -EINVAL }, { "every", "", -EINVAL }, { "every", "1us", -ERANGE },
		{ "every", "999999999d", -ERANGE },
		{ "list", "a,,b", -EINVAL }, { "list", "a,", -EINVAL }, { "list", "a,b,c,d,e", -ERANGE },
	};
	struct all *a = with_defaults(), before = *a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(set(a, bad[i].name, bad[i].text), bad[i].rc);
	assert_memory_equal(a, &before, sizeof(before));
	weir__options_free(&table, a);
}

static void expect_text(size_t (*f)(const struct weir_option *, char *, size_t),
                        const char *name, const char *want)
{
	char buf[256];

	f(weir__option_find(&table, name), buf, sizeof(buf));
	assert_string_equal(buf, want);
}

/* What is expected is said in the user's units, with the bounds. */
static void test_texts(void **state)
{
	char small[8];

	(void)state;
	expect_text(weir__option_expected, "count", "a whole number, from -10 to 10");
	expect_text(weir__option_expected, "mode", "one of fast, slow");
	expect_text(weir__option_expected, "ring",
	            "a size such as 512KiB, 64MB or 4096, a power of two, from 64KiB to 1GiB");
	expect_text(weir__option_expected, "every",
	            "a duration such as 250ms, 10s or 5m, at least 1ms");
	expect_text(weir__option_expected, "list", "a list such as [a, b], at most 4 items");
	expect_text(weir__option_type_text, "limit", "unsigned (records)");
	expect_text(weir__option_type_text, "mode", "one of fast, slow");
	assert_int_equal(weir__option_type_text(&rows[6], small, sizeof(small)), 17);
	assert_string_equal(small, "one of ");
}

/* A value replaces the one before without leaking it, also when memory is short. */
static void test_fault_loop(void **state)
{
	static const char *const words[] = { "name=y", "list=a,b,c" };
	long live = weir__mem_live(), n;
	char err[256];
	int rc = -ENOMEM;

	(void)state;
	for (n = 0; rc; n++) {
		struct all a = { 0 };

		weir__mem_fail_at(n);
		rc = weir__options_parse_args(&table, &a, words, 2, err, sizeof(err));
		weir__mem_fail_at(-1);
		assert_true(rc == 0 || rc == -ENOMEM);
		if (!rc) {
			assert_string_equal(a.name, "y");
			assert_int_equal(a.list.count, 3);
			assert_string_equal(a.list.items[2], "c");
			weir__options_free(&table, &a);
		}
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n > 8);
}

static void arg_error(const char *const *words, size_t count, const char *want)
{
	struct all a = { 0 };
	char err[256] = "";

	assert_int_equal(weir__options_parse_args(&table, &a, words, count, err, sizeof(err)),
	                 -EINVAL);
	assert_string_equal(err, want);
	assert_null(a.name);
}

/* A query's wrong argument is named, with the nearest one. */
static void test_args(void **state)
{
	static const char *const unknown[] = { "limti=3" }, *const bare[] = { "limit" },
	                  *const twice[] = { "limit=1", "limit=2" }, *const wrong[] = { "flag=7" };

	(void)state;
	arg_error(unknown, 1, "unknown argument \"limti\"; did you mean \"limit\"?");
	arg_error(bare, 1, "\"limit\": write an argument as NAME=VALUE");
	arg_error(twice, 2, "argument \"limit\" is given twice");
	arg_error(wrong, 1, "argument \"flag\": expected true or false");
}

/* A plugin's default that does not parse is its mistake, and is said. */
static void test_bad_default(void **state)
{
	static const struct weir_option bad[] = {
		WEIR_OPTION_STRING(struct all, name, "name", "x", ""),
		WEIR_OPTION_UINT(struct all, limit, "limit", "many", ""),
	};
	static const struct weir_table t = WEIR_TABLE(bad);
	struct all a = { 0 };
	char err[256];

	(void)state;
	assert_int_equal(weir__options_defaults(&t, &a, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "the default \"many\" of \"limit\" is not a whole number, not negative");
	assert_null(a.name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_values),
		cmocka_unit_test(test_wrong),      cmocka_unit_test(test_texts),
		cmocka_unit_test(test_fault_loop), cmocka_unit_test(test_args),
		cmocka_unit_test(test_bad_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
