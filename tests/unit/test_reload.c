/* SPDX-License-Identifier: Apache-2.0 */
/* The difference of two configurations: by value, for every type of option. */
#include "config.h"
#include "mem.h"
#include "reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct all {
	bool flag;
	int64_t count;
	uint64_t limit, size, every;
	double ratio;
	const char *name;
	uint32_t mode;
	struct weir_strings list;
};

static const struct weir_option rows[] = {
	WEIR_OPTION_BOOL(struct all, flag, "flag", "true", "A flag"),
	WEIR_OPTION_INT(struct all, count, "count", "-3", "A count"),
	WEIR_OPTION_UINT(struct all, limit, "limit", "7", "A limit"),
	WEIR_OPTION_DOUBLE(struct all, ratio, "ratio", "0.5", "A ratio"),
	WEIR_OPTION_STRING(struct all, name, "name", "x", "A name"),
	WEIR_OPTION_ENUM(struct all, mode, "mode", "fast slow", "slow", "A mode"),
	WEIR_OPTION_BYTES(struct all, size, "size", "64MB", "A size"),
	WEIR_OPTION_DURATION(struct all, every, "every", "1m30s", "How often"),
	WEIR_OPTION_LIST(struct all, list, "list", "a, b", "A list"),
};
#define ROWS (sizeof rows / sizeof *rows)
static const struct weir_plugin_desc in = { .name = "in", .kind = WEIR_COLLECTOR,
	.state_size = sizeof(struct all), .options = WEIR_TABLE(rows) };
static const struct weir_plugin_desc out = { .name = "out", .kind = WEIR_OUTPUT,
	.state_size = sizeof(struct all), .options = WEIR_TABLE(rows) };
/* another library of the same plugin */
static const struct weir_plugin_desc in_again = { .name = "in", .kind = WEIR_COLLECTOR,
	.state_size = sizeof(struct all), .options = WEIR_TABLE(rows) };

static struct weir__settings *bound(const struct weir_plugin_desc *desc, const char *options)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	struct weir__settings *s = NULL;
	char text[512];

	snprintf(text, sizeof text, "plugins:\n  %s: {%s}\n", desc->name, options);
	assert_int_equal(weir__config_open_text("weir.yaml", text, strlen(text), &d, &c), 0);
	if (weir__config_bind(c, desc->name, desc, &d, &s))
		weir__diags_print(&d, stderr, false);
	assert_non_null(s);
	weir__config_free(c);
	weir__diags_fini(&d);
	return s;
}

static void expect(const struct weir_plugin_desc *a_desc, const char *a,
                   const struct weir_plugin_desc *b_desc, const char *b, enum weir__change want)
{
	struct weir__settings *from = bound(a_desc, a), *to = bound(b_desc, b);

	if (weir__settings_diff(from, to) != want)
		fail_msg("{%s} -> {%s}: %s, expected %s", a, b,
		         weir__change_name(weir__settings_diff(from, to)), weir__change_name(want));
	weir__settings_free(from);
	weir__settings_free(to);
}

/* What is written otherwise but means the same is no change. */
static void same_values(void **state)
{
	(void)state;
	expect(&in, "", &in, "", WEIR__CHANGE_UNCHANGED);
	expect(&in, "flag: yes, count: -3, limit: 7, ratio: 0.50, name: x", &in, "", WEIR__CHANGE_UNCHANGED);
	expect(&in, "mode: slow, size: 64000000, every: 90s, list: [a, b]", &in, "list: 'a,b'",
	       WEIR__CHANGE_UNCHANGED);
	expect(&in, "ring: 1MiB", &in, "ring: 1024KiB", WEIR__CHANGE_UNCHANGED);
}

/* A change of any type of option of the plugin's own restarts it. */
static void own_options(void **state)
{
	static const char *const others[ROWS] = {
		"flag: no", "count: -4", "limit: 8", "ratio: 0.25", "name: y", "mode: fast",
		"size: 65MB", "every: 1m31s", "list: [a, c]",
	};

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		expect(&in, "", &in, others[i], WEIR__CHANGE_RESTARTED);
		expect(&in, others[i], &in, "", WEIR__CHANGE_RESTARTED);
	}
	expect(&in, "list: [a]", &in, "list: [a, b]", WEIR__CHANGE_RESTARTED);
	expect(&in, "list: []", &in, "list: [a]", WEIR__CHANGE_RESTARTED);
	expect(&in, "name: ''", &in, "name: x", WEIR__CHANGE_RESTARTED);
}

/* The common options have their class in the table: some take effect at once. */
static void common_options(void **state)
{
	(void)state;
	expect(&out, "", &out, "queue: 1MiB", WEIR__CHANGE_UPDATED);
	expect(&out, "", &out, "on_full: block", WEIR__CHANGE_UPDATED);
	expect(&in, "", &in, "latency_class: low", WEIR__CHANGE_UPDATED);
	expect(&out, "", &out, "queue: 1MiB, flag: no", WEIR__CHANGE_RESTARTED);
	expect(&out, "", &out, "topics: [io]", WEIR__CHANGE_RESTARTED);
	expect(&in, "", &in, "ring: 1MiB", WEIR__CHANGE_RESTARTED);
	expect(&in, "", &in, "sources: [bpf]", WEIR__CHANGE_RESTARTED);
	expect(&in, "", &in, "path: /x.so", WEIR__CHANGE_RESTARTED);
	expect(&in, "latency_class: low", &in, "path: /x.so", WEIR__CHANGE_RESTARTED);
}

/* Off and on come before all else; what is off is never restarted. */
static void enabled(void **state)
{
	(void)state;
	expect(&in, "", &in, "enabled: no", WEIR__CHANGE_DISABLED);
	expect(&in, "enabled: no", &in, "limit: 9", WEIR__CHANGE_ENABLED);
	expect(&in, "enabled: no", &in, "enabled: no, limit: 9", WEIR__CHANGE_UPDATED);
	expect(&in, "enabled: no", &in, "enabled: no", WEIR__CHANGE_UNCHANGED);
}

/* A library that was loaded anew is a change, whatever the values. */
static void library(void **state)
{
	(void)state;
	expect(&in, "", &in_again, "", WEIR__CHANGE_RESTARTED);
	expect(&in, "limit: 9", &in_again, "limit: 9", WEIR__CHANGE_RESTARTED);
	expect(&in, "enabled: no", &in_again, "enabled: no", WEIR__CHANGE_UPDATED);
}

/* weir__table_diff names every row that differs, in order, and no other. */
static void table_diff(void **state)
{
	struct weir__settings *a = bound(&in, ""), *b = bound(&in, "count: 1, mode: fast, list: [z]");
	uint32_t at = 0;

	(void)state;
	assert_string_equal(weir__table_diff(&in.options, a->values, b->values, &at)->name, "count");
	assert_string_equal(weir__table_diff(&in.options, a->values, b->values, &at)->name, "mode");
	assert_string_equal(weir__table_diff(&in.options, a->values, b->values, &at)->name, "list");
	assert_null(weir__table_diff(&in.options, a->values, b->values, &at));
	weir__settings_free(a);
	weir__settings_free(b);
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* What the manager, the breakers and the routes look up at each use is live in the table,
 * and nothing that a plugin or its host reads only once. */
static void live_rows(void **state)
{
	static const char *const live[] = { "queue", "on_full", "latency_class", "budget.", "priority",
		"on_pressure", "deadline", "breaker." };
	const struct weir_option *opt;

	(void)state;
	for (uint32_t i = 0; (opt = weir_table_row(&weir__common_options, i)); i++) {
		bool want = false;

		for (size_t k = 0; k < sizeof live / sizeof *live; k++)
			want |= begins(opt->name, live[k]);
		if (want != !!(opt->reserved & WEIR__OPTION_LIVE))
			fail_msg("%s is %smarked as live", opt->name, want ? "not " : "");
	}
	for (uint32_t i = 0; (opt = weir_table_row(&weir__daemon_options, i)); i++)
		if ((begins(opt->name, "log.") || begins(opt->name, "budget.")) &&
		    !(opt->reserved & WEIR__OPTION_LIVE))
			fail_msg("%s is not marked as live", opt->name);
	assert_true(weir__option_applies(weir__option_find(&weir__common_options, "queue"), WEIR_OUTPUT));
	assert_false(weir__option_applies(weir__option_find(&weir__common_options, "queue"), WEIR_COLLECTOR));
	assert_true(weir__option_applies(weir__option_find(&weir__common_options, "enabled"), WEIR_OUTPUT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_values), cmocka_unit_test(own_options),
		cmocka_unit_test(common_options), cmocka_unit_test(enabled),
		cmocka_unit_test(library), cmocka_unit_test(table_diff), cmocka_unit_test(live_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
