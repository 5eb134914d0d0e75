/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration shows of itself: YAML that reads back, and its schema. */
#include "config_show.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct demo {
	const char *name, *cert, *key;
	uint64_t every;
	uint32_t mode;
	struct weir_strings list;
};

static const struct weir_option rows[] = {
	WEIR_OPTION_STRING(struct demo, name, "name", "x", "A name"),
	WEIR_OPTION_STRING(struct demo, cert, "tls.cert", "", "A path", .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_DURATION(struct demo, every, "every", "1s", "How often", .min = 1e6),
	WEIR_OPTION_ENUM(struct demo, mode, "mode", "fast slow", "fast", "How"),
	/* not beside its sibling on purpose */
	WEIR_OPTION_STRING(struct demo, key, "tls.key", "", "A secret",
	                   .flags = WEIR_OPTION_SECRET),
	WEIR_OPTION_LIST(struct demo, list, "list", "", "A list", .max = 3),
};
static const struct weir__loaded demo = { .desc = {
	.name = "demo", .doc = "A demo", .kind = WEIR_OUTPUT, .state_size = sizeof(struct demo),
	.options = WEIR_TABLE(rows),
} };

/* The configuration's YAML; the caller frees it. */
static char *shown(const char *text)
{
	struct weir__setup_plugin plugins[2] = { { .loaded = &demo },
	                                         { .refused = "mode: others\nmay write it" } };
	struct weir__settings gone = { .name = (char[]){ "gone" }, .common.enabled = true };
	struct weir__setup setup = { .plugins = plugins, .count = 2 };
	struct weir__diags d = { 0 };
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	plugins[1].settings = &gone;
	assert_int_equal(weir__config_open_text("f.yaml", text, strlen(text), &d, &setup.config), 0);
	assert_int_equal(weir__config_bind(setup.config, "demo", &demo.desc, &d,
	                                   &plugins[0].settings), 0);
	weir__config_show(&setup, f);
	fclose(f);
	weir__settings_free(plugins[0].settings);
	weir__config_free(setup.config);
	return got;
}

static const char text[] =
	"shutdown_timeout: 90s\nplugins:\n  gone:\n  demo:\n    queue: 65536\n"
	"    name: \"a: # '$${X}' \\u00e4\\x07\\\"\"\n    every: 1500ms\n"
	"    list: ['null', \"d,e\", 1]\n    tls:\n      key: hunter2\n";

static void expect_line(const char *yaml, const char *line)
{
	if (!strstr(yaml, line))
		print_error("no line \"%s\" in:\n%s", line, yaml);
	assert_non_null(strstr(yaml, line));
}

/* Every value has its place or "default" beside it; a secret is not shown; a plugin
 * that could not be loaded says why; siblings stand together. */
static void test_show(void **state)
{
	char *yaml;

	(void)state;
	setenv("WEIR_PLUGINS_DEMO_MODE", "slow", 1);
	yaml = shown(text);
	unsetenv("WEIR_PLUGINS_DEMO_MODE");
	expect_line(yaml, "# Configuration in effect: f.yaml\nlog:\n  level: info ");
	expect_line(yaml, "\nshutdown_timeout: 1m30s                 # line 1\n");
	expect_line(yaml, "\n  gone: {enabled: true} # not loaded: mode: others\\x0amay write it\n");
	expect_line(yaml, "\n    queue: 64KiB                        # line 5\n");
	expect_line(yaml, "\n    name: \"a: # '$${X}' \\u00E4\\u0007\\\"\" # line 6\n");
	expect_line(yaml, "\n    mode: slow                          # WEIR_PLUGINS_DEMO_MODE\n");
	expect_line(yaml, "\n    list: [\"null\", \"d,e\", 1]            # line 8\n");
	expect_line(yaml, "\n    tls:\n      cert: \"\"                          # default\n"
	                  "      key: '***'                        # line 10\n");
	assert_null(strstr(yaml, "hunter2"));
	assert_null(strstr(yaml, "ring:")); /* an output has none */
	free(yaml);
}

/* Cuts the comments off, one at each line's end: they say where a value came from. */
static void cut_comments(char *yaml)
{
	char *out = yaml, *line = yaml, *end, *cut;
	size_t len;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		cut = strrchr(line, '#');
		while (cut && cut > line && cut[-1] == ' ')
			cut--;
		if (cut)
			*cut = 0;
		len = strlen(line);
		memmove(out, line, len);
		out += len;
		*out++ = '\n';
	}
	*out = 0;
}

/* What is shown is a configuration, and shows the same again. */
static void test_round_trip(void **state)
{
	char *once = shown(text), *twice = shown(once);

	(void)state;
	cut_comments(once);
	cut_comments(twice);
	assert_string_equal(strchr(once, '\n'), strchr(twice, '\n'));
	free(once);
	free(twice);
}

static const char *at(const json_t *j, const char *a, const char *b, const char *c)
{
	j = json_object_get(json_object_get(json_object_get(j, "properties"), "plugins"), "properties");
	j = json_object_get(json_object_get(json_object_get(j, "demo"), "properties"), a);
	if (b)
		j = json_object_get(json_object_get(j, "properties"), b);
	return json_string_value(json_object_get(j, c));
}

/* The schema has every option at its place, and only those of the plugin's kind. */
static void test_schema(void **state)
{
	json_t *j = weir__schema_new();
	char *all;

	(void)state;
	assert_non_null(j);
	assert_int_equal(weir__schema_add(j, &demo.desc), 0);
	assert_string_equal(at(j, "every", NULL, "default"), "1s");
	assert_string_equal(at(j, "every", NULL, "description"), "How often (duration, at least 1ms)");
	assert_string_equal(at(j, "tls", "cert", "description"), "A path (path)");
	assert_string_equal(at(j, "queue", NULL, "default"), "4MiB");
	assert_null(at(j, "ring", NULL, "default"));
	all = json_dumps(j, JSON_COMPACT);
	assert_non_null(strstr(all, "\"additionalProperties\":false"));
	assert_non_null(strstr(all, "{\"enum\":[\"fast\",\"slow\"]}"));
	assert_non_null(strstr(all, "\"maxItems\":3"));
	free(all);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
