/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides: which is in force, what is kept, and the configuration's topmost layer. */
#include "config.h"
#include "mem.h"
#include "overrides.h"
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY "plugins.demo.interval"

static const char *in_force(const struct weir__overrides *o, const char *key)
{
	const struct weir__override *it = weir__override_find(o, key);

	return it ? it->value : "-";
}

/* What ends is above what lasts, and when it has ended that is in force again. */
static void timed(void **state)
{
	struct weir__overrides o = { 0 };

	(void)state;
	assert_int_equal(weir__override_set(&o, KEY, "1s", 0, false), 0);
	assert_int_equal(weir__override_set(&o, KEY, "2s", 100, false), 0);
	assert_string_equal(in_force(&o, KEY), "2s");
	assert_true(weir__overrides_next(&o) > 99 && weir__overrides_next(&o) < 101);
	assert_int_equal(weir__overrides_expire(&o, 99.5), 0);
	assert_int_equal(weir__overrides_expire(&o, 100), 1);
	assert_string_equal(in_force(&o, KEY), "1s");
	assert_true(weir__overrides_next(&o) <= 0);
	weir__override_set(&o, KEY, "3s", 200, false);
	weir__override_set(&o, KEY, "4s", 0, false); /* for good: nothing comes back */
	assert_int_equal(o.count, 1);
	assert_true(weir__override_unset(&o, KEY));
	assert_false(weir__override_unset(&o, KEY));
	assert_string_equal(in_force(&o, KEY), "-");
	weir__overrides_fini(&o);
}

/* What is not kept is above what is, and leaves it alone; what is kept replaces both. */
static void kept(void **state)
{
	struct weir__overrides o = { 0 }, copy;

	(void)state;
	weir__override_set(&o, KEY, "1s", 0, true);
	assert_int_equal(weir__overrides_copy(&copy, &o), 0);
	weir__override_set(&o, KEY, "2s", 0, false);
	assert_string_equal(in_force(&o, KEY), "2s");
	assert_true(weir__overrides_same_kept(&o, &copy));
	weir__override_set(&o, KEY, "3s", 0, true);
	assert_string_equal(in_force(&o, KEY), "3s");
	assert_int_equal(o.count, 1);
	assert_false(weir__overrides_same_kept(&o, &copy));
	assert_true(weir__override_unset(&o, KEY));
	assert_false(weir__overrides_same_kept(&o, &copy));
	weir__overrides_fini(&o);
	weir__overrides_fini(&copy);
}

/* There is an end to how many, how long a value and how long a key may be. */
static void bounds(void **state)
{
	struct weir__overrides o = { 0 };
	char key[64], *large = calloc(1, WEIR__OVERRIDE_VALUE_MAX + 2);

	(void)state;
	for (int i = 0; i < WEIR__OVERRIDES_MAX; i++) {
		snprintf(key, sizeof key, "plugins.demo.o%d", i);
		assert_int_equal(weir__override_set(&o, key, "1", 0, false), 0);
	}
	assert_int_equal(weir__override_set(&o, KEY, "1", 0, false), -ENOSPC);
	assert_int_equal(weir__override_set(&o, "plugins.demo.o7", "2", 0, false), 0);
	memset(large, 'x', WEIR__OVERRIDE_VALUE_MAX + 1);
	assert_int_equal(weir__override_set(&o, KEY, large, 0, false), -E2BIG);
	assert_int_equal(weir__override_set(&o, large, "1", 0, false), -E2BIG);
	weir__overrides_fini(&o);
	free(large);
}

static size_t parse(const char *text, struct weir__overrides *o)
{
	struct weir__diags d = { 0 };
	size_t n;

	assert_int_equal(weir__overrides_parse("overrides.json", text, strlen(text), 50, &d, o), 0);
	assert_int_equal(d.errors, 0);
	n = d.count;
	weir__diags_fini(&d);
	return n;
}

/* What was written is read back; an entry that is wrong is left out with a warning, and
 * one whose end has come while nobody ran without. */
static void text(void **state)
{
	struct weir__overrides o = { 0 }, back;
	char *written;

	(void)state;
	weir__override_set(&o, KEY, "a \"b\" \xc3\xa9\n", 0, true);
	weir__override_set(&o, KEY, "2s", 1234567890.25, true);
	weir__override_set(&o, "log.level", "debug", 0, false);
	written = weir__overrides_format(&o);
	assert_non_null(written);
	assert_int_equal(parse(written, &back), 0);
	assert_int_equal(back.count, 2);
	assert_true(weir__overrides_same_kept(&o, &back));
	assert_false(back.items[0].strict);
	weir__free(written);
	weir__overrides_fini(&o);
	weir__overrides_fini(&back);

	assert_int_equal(parse("{\"overrides\":[{\"key\":\"a.b\",\"value\":\"1\"},{\"key\":\"a.b\"},7,"
	                       "{\"key\":\"A b\",\"value\":\"1\"},{\"key\":\"a.c\",\"value\":1},"
	                       "{\"key\":\"a.d\",\"value\":\"1\",\"until\":-1},"
	                       "{\"key\":\"a.e\",\"value\":\"1\",\"until\":49}]}", &o), 5);
	assert_int_equal(o.count, 1);
	weir__overrides_fini(&o);
	for (size_t i = 0; i < 6; i++) {
		static const char *const broken[] = { "", "{", "[]", "{\"overrides\":{}}", "null", "{\"overrides\"" };

		assert_int_equal(parse(broken[i], &o), 1);
		assert_int_equal(o.count, 0);
	}
}

static void remove_state(const char *dir)
{
	char path[300];

	snprintf(path, sizeof path, "%s/overrides.json", dir);
	unlink(path);
	rmdir(dir);
}

static size_t load(const char *dir, struct weir__overrides *o)
{
	struct weir__diags d = { 0 };
	size_t n;

	assert_int_equal(weir__overrides_load(dir, &d, o), 0);
	n = d.count;
	weir__diags_fini(&d);
	return n;
}

/* The file: written whole, mode 0600, nothing left beside it; not taken from others. */
static void file(void **state)
{
	struct weir__overrides o = { 0 }, back;
	char dir[] = "/tmp/weir-overrides-XXXXXX", path[300], temp[300];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/overrides.json", dir);
	snprintf(temp, sizeof temp, "%s/.overrides.json.new", dir);
	assert_int_equal(load(dir, &back), 0);
	assert_int_equal(back.count, 0);
	weir__override_set(&o, KEY, "1s", 0, true);
	assert_int_equal(close(open(temp, O_CREAT | O_WRONLY, 0666)), 0); /* of a crash */
	assert_int_equal(weir__overrides_save(dir, &o), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_not_equal(access(temp, F_OK), 0);
	assert_int_equal(load(dir, &back), 0);
	assert_string_equal(in_force(&back, KEY), "1s");
	weir__overrides_fini(&back);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(load(dir, &back), 1);
	assert_int_equal(back.count, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(load(dir, &back), 1);
	assert_int_equal(weir__overrides_save(dir, &o), 0); /* replaces the link itself */
	assert_int_equal(load(dir, &back), 0);
	weir__overrides_fini(&back);
	weir__overrides_fini(&o);
	remove_state(dir);
	assert_int_equal(weir__overrides_save(dir, &o), -ENOENT);
	assert_int_equal(load(dir, &back), 0);
	assert_int_equal(weir__overrides_save("", &o), -ENOENT);
}

/* ---- the layer -------------------------------------------------------------------------- */

struct demo {
	uint64_t interval;
	uint32_t mode;
	const char *token;
};
static const struct weir_option demo_rows[] = {
	WEIR_OPTION_DURATION(struct demo, interval, "interval", "1s", "How often to look", .min = 1e6),
	WEIR_OPTION_ENUM(struct demo, mode, "mode", "fast slow", "fast", "How to look"),
	WEIR_OPTION_STRING(struct demo, token, "a.token", NULL, "Token"),
};
static const struct weir_plugin_desc demo = { .name = "demo", .kind = WEIR_COLLECTOR,
	.state_size = sizeof(struct demo), .options = WEIR_TABLE(demo_rows) };

/* The file's section, then one override; what is said goes to text. */
static struct weir__settings *layered(struct weir__config **c, const char *key, const char *value,
                                      bool strict, struct weir__diags *d)
{
	static const char yaml[] = "plugins:\n  demo: {interval: 2s, a: {token: t}}\n";
	struct weir__settings *s = NULL;
	struct weir__overrides o = { 0 };

	*c = NULL;
	if (weir__override_set(&o, key, value, 0, true) ||
	    weir__config_open_text("weir.yaml", yaml, sizeof yaml - 1, d, c)) {
		weir__overrides_fini(&o);
		return NULL;
	}
	if (!strict)
		weir__overrides_accept(&o);
	if (weir__config_override(*c, &o, d) || weir__config_bind(*c, "demo", &demo, d, &s))
		return NULL;
	weir__config_finish(*c, d);
	return s;
}

static void expect_said(const char *key, const char *value, bool strict, const char *want)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	struct weir__settings *s = layered(&c, key, value, strict, &d);
	char *got = d.count ? weir__diag_text(&d.items[0]) : NULL;

	assert_int_equal(d.count, 1);
	assert_int_equal(d.errors, strict);
	assert_non_null(got);
	assert_string_equal(got, want);
	if (!strict) {
		assert_non_null(s); /* left out: the file's holds */
		assert_true(((struct demo *)s->values)->interval == 2000000000u);
	}
	weir__free(got);
	weir__settings_free(s);
	weir__config_free(c);
	weir__diags_fini(&d);
}

/* An override is above the file, and the origin says so. */
static void layer(void **state)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	struct weir__settings *s;
	char from[200];

	(void)state;
	setenv("WEIR_PLUGINS_DEMO_INTERVAL", "3s", 1);
	s = layered(&c, KEY, "250ms", true, &d);
	unsetenv("WEIR_PLUGINS_DEMO_INTERVAL");
	assert_non_null(s);
	assert_int_equal(d.count, 0);
	assert_true(((struct demo *)s->values)->interval == 250000000u);
	assert_true(weir__config_origin(c, KEY, from, sizeof from));
	assert_string_equal(from, "weir set --persist");
	assert_true(weir__config_origin(c, "plugins.demo.a.token", from, sizeof from));
	assert_string_equal(from, "line 2");
	assert_false(weir__config_origin(c, "plugins.demo.nothing", from, sizeof from));
	weir__settings_free(s);
	weir__config_free(c);
	s = layered(&c, "log.level", "debug", true, &d);
	assert_int_equal(d.count, 0);
	assert_int_equal(weir__config_daemon(c)->log_level, WEIR_DEBUG);
	weir__settings_free(s);
	weir__config_free(c);
	weir__diags_fini(&d);
}

/* What is being set is judged as the file is; what was kept is a warning and left out. */
static void messages(void **state)
{
	(void)state;
	expect_said(KEY, "soon", true,
	            "weir set: error: plugins.demo.interval: expected a duration such as 250ms, 10s or 5m, "
	            "at least 1ms\n   (interval: How often to look, default 1s)");
	expect_said(KEY, "soon", false,
	            "overrides.json: warning: plugins.demo.interval: expected a duration such as 250ms, 10s "
	            "or 5m, at least 1ms\n   (interval: How often to look, default 1s)");
	expect_said("plugins.demo.mode", "fsat", true,
	            "weir set: error: plugins.demo.mode: expected one of fast, slow\n"
	            "   did you mean \"fast\"? (mode: How to look, default fast)");
	expect_said("plugins.demo.a.tokne", "x", true,
	            "weir set: error: unknown key \"tokne\" in plugins.demo.a\n"
	            "   expected one of: token; did you mean \"token\"? (token: Token, required)");
	expect_said("plugins.demo.queue", "1MiB", true,
	            "weir set: error: plugins.demo.queue: \"queue\" is for outputs and processors; "
	            "plugins.demo is a collector\n   (queue: Memory of the queue from each collector, default 4MiB)");
	expect_said("http.listen", "127.0.0.1:1", true,
	            "weir set: error: http.listen: it holds from start to end; write it into the "
	            "configuration and restart weir");
	expect_said("log.file", "/etc/shadow", true,
	            "weir set: error: log.file: a path is not kept at run time; write it into the configuration");
	expect_said("log.file", "/etc/shadow", false,
	            "overrides.json: warning: log.file: a path is not kept at run time; write it into the "
	            "configuration");
}

/* ---- no memory ---------------------------------------------------------------------------- */

/* Whichever allocation fails: the same answer, and nothing is left. */
static void fault_parse(void **state)
{
	static const char yes[] = "{\"overrides\":[{\"key\":\"a.b\",\"value\":\"1\"},{\"key\":\"a.c\","
		"\"value\":\"2\",\"until\":99},{\"key\":7}]}";
	long live = weir__mem_live();
	size_t got = 0;

	(void)state;
	for (long n = 0; got != 2; n++) {
		struct weir__diags d = { 0 };
		struct weir__overrides o;
		int rc;

		weir__mem_fail_at(n);
		rc = weir__overrides_parse("overrides.json", yes, sizeof yes - 1, 50, &d, &o);
		weir__mem_fail_at(-1);
		/* jansson does not always know that it was the memory: then it is a warning */
		assert_true(rc == -ENOMEM || (!rc && (o.count == 2 || d.count)));
		got = o.count;
		weir__overrides_fini(&o);
		weir__diags_fini(&d);
		assert_int_equal(weir__mem_live(), live);
		assert_true(n < 200);
	}
}

static void fault_change(void **state)
{
	long live = weir__mem_live();
	int rc = -1;

	(void)state;
	for (long n = 0; rc; n++) {
		struct weir__overrides o = { 0 }, copy = { 0 };
		char *text = NULL;

		weir__mem_fail_at(n);
		rc = weir__override_set(&o, KEY, "1s", 0, true);
		if (!rc)
			rc = weir__overrides_copy(&copy, &o);
		if (!rc)
			text = weir__overrides_format(&copy);
		weir__mem_fail_at(-1);
		if (!rc && !text)
			rc = -ENOMEM;
		assert_true(!rc || rc == -ENOMEM);
		weir__free(text);
		weir__overrides_fini(&o);
		weir__overrides_fini(&copy);
		assert_int_equal(weir__mem_live(), live);
		assert_true(n < 200);
	}
}

static void fault_layer(void **state)
{
	struct weir__settings *s = NULL;
	long live = weir__mem_live();

	(void)state;
	for (long n = 0; !s; n++) {
		struct weir__diags d = { 0 };
		struct weir__config *c;

		weir__mem_fail_at(n);
		s = layered(&c, KEY, "250ms", true, &d);
		weir__mem_fail_at(-1);
		if (d.oom) {
			weir__settings_free(s); /* a warning could not be kept */
			s = NULL;
		}
		weir__config_free(c);
		weir__diags_fini(&d);
		if (!s)
			assert_int_equal(weir__mem_live(), live);
		assert_true(n < 2000);
	}
	weir__settings_free(s);
	assert_int_equal(weir__mem_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timed), cmocka_unit_test(kept), cmocka_unit_test(bounds),
		cmocka_unit_test(text), cmocka_unit_test(file), cmocka_unit_test(layer),
		cmocka_unit_test(messages), cmocka_unit_test(fault_parse),
		cmocka_unit_test(fault_change), cmocka_unit_test(fault_layer),
	};

	weir__json_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
