/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what a file and the environment come to, and every message. */
#include "config.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct demo {
	uint64_t interval;
	uint32_t mode;
	const char *cert, *token;
	struct weir_strings comms;
	bool deep;
};

static const struct weir_option demo_rows[] = {
	WEIR_OPTION_DURATION(struct demo, interval, "interval", "1s", "How often to look",
	                     .min = 1e6),
	WEIR_OPTION_ENUM(struct demo, mode, "mode", "fast slow", "fast", "How to look"),
	WEIR_OPTION_STRING(struct demo, cert, "tls.cert", "", "Certificate",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(struct demo, token, "token", "none", "Token",
	                   .flags = WEIR_OPTION_SECRET),
	WEIR_OPTION_LIST(struct demo, comms, "comms", "", "Commands", .max = 3),
	WEIR_OPTION_BOOL(struct demo, deep, "a.b.deep", "false", "Deep"),
};
static const struct weir_plugin_desc demo = {
	.name = "demo", .kind = WEIR_COLLECTOR, .state_size = sizeof(struct demo),
	.options = WEIR_TABLE(demo_rows),
};

/* Everything that weir does with a text: open, bind every section, finish. */
static struct weir__settings *load(const char *text, struct weir__diags *d,
                                   struct weir__config **ret)
{
	struct weir__settings *s = NULL;

	*ret = NULL;
	if (weir__config_open_text("weir.yaml", text, strlen(text), d, ret))
		return NULL;
	if (weir__config_bind(*ret, "demo", &demo, d, &s))
		s = NULL;
	weir__config_finish(*ret, d);
	return s;
}

static void expect_errors(const char *text, const char *want)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	struct weir__settings *s = load(text, &d, &c);
	char *got = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&got, &len);

	weir__diags_print(&d, f, false);
	fclose(f);
	assert_string_equal(got, want);
	free(got);
	weir__settings_free(s);
	weir__config_free(c);
	weir__diags_fini(&d);
}

static struct weir__settings *load_ok(const char *text, struct weir__config **ret)
{
	struct weir__diags d = { 0 };
	struct weir__settings *s = load(text, &d, ret);

	if (!s || d.count)
		weir__diags_print(&d, stderr, false);
	assert_non_null(s);
	assert_int_equal(d.count, 0);
	return s;
}

/* ---- what a file comes to --------------------------------------------------- */

/* A file sets the daemon's and the plugin's options, nested ones too. */
static void test_values(void **state)
{
	struct weir__config *c;
	struct weir__settings *s = load_ok(
		"\xef\xbb\xbflog:\n  level: debug\nhttp: {listen: ''}\nshutdown_timeout: 1m\n"
		"plugin_dirs: [/a, /b]\nplugins:\n  demo:\n    enabled: no\n    interval: 250ms\n"
		"    ring: 1MiB\n    tls:\n      cert: /c\n    comms:\n    - x\n    - 'y,z'\n"
		"    a: {b: {deep: on}}\n", &c);
	struct demo *v = s->values;

	(void)state;
	assert_int_equal(weir__config_daemon(c)->log_level, WEIR_DEBUG);
	assert_string_equal(weir__config_daemon(c)->http_listen, "");
	assert_true(weir__config_daemon(c)->shutdown_timeout_ns == 60000000000ull);
	assert_int_equal(weir__config_daemon(c)->plugin_dirs.count, 2);
	assert_string_equal(weir__config_plugins(c)[0], "demo");
	assert_null(weir__config_plugins(c)[1]);
	assert_false(s->common.enabled);
	assert_int_equal(s->common.ring_bytes, 1 << 20);
	assert_int_equal(v->interval, 250000000);
	assert_string_equal(v->cert, "/c");
	assert_int_equal(v->comms.count, 2);
	assert_string_equal(v->comms.items[1], "y,z");
	assert_true(v->deep);
	weir__settings_free(s);
	weir__config_free(c);
}

/* Nothing at all, comments, and sections without content are all defaults. */
static void test_empty(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "~", "log:\nplugins:\n",
		                             "plugins: {demo: }", "plugins:\n  demo:\n" };
	struct weir__config *c;
	struct weir__settings *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		s = load_ok(texts[i], &c);
		assert_int_equal(weir__config_daemon(c)->log_level, WEIR_INFO);
		assert_true(s->common.enabled);
		assert_int_equal(s->common.ring_bytes, 512 << 10);
		assert_int_equal(((struct demo *)s->values)->interval, 1000000000);
		weir__settings_free(s);
		weir__config_free(c);
	}
}

/* The built-in configuration is faultless and names the plugins that come with Weir. */
static void test_built_in(void **state)
{
	static const char *const want[] = { "iomonitor", "network", "dns", "procfs-fallback", "stdout",
	                                    "prometheus" };
	struct weir__diags d = { 0 };
	struct weir__config *c;
	size_t i;

	(void)state;
	assert_int_equal(weir__config_open(NULL, &d, &c), 0);
	assert_int_equal(d.count, 0);
	assert_string_equal(weir__config_file(c), "(built-in)");
	for (i = 0; i < sizeof want / sizeof want[0]; i++)
		assert_string_equal(weir__config_plugins(c)[i], want[i]);
	assert_null(weir__config_plugins(c)[i]);
	weir__config_free(c);
}

/* ---- the environment -------------------------------------------------------- */

/* A variable wins over the file; dots and dashes in its name are underscores. */
static void test_env(void **state)
{
	struct weir__config *c;
	struct weir__settings *s;

	(void)state;
	setenv("WEIR_LOG_LEVEL", "warn", 1);
	setenv("WEIR_PLUGINS_DEMO_TLS_CERT", "/env", 1);
	setenv("WEIR_PLUGINS_DEMO_COMMS", "a, b", 1);
	setenv("WEIR_SERVICE_HOST", "10.0.0.1", 1); /* Kubernetes, no warning */
	s = load_ok("log: {level: debug}\nplugins: {demo: {comms: [c]}}\n", &c);
	assert_int_equal(weir__config_daemon(c)->log_level, WEIR_WARN);
	assert_string_equal(((struct demo *)s->values)->cert, "/env");
	assert_int_equal(((struct demo *)s->values)->comms.count, 2);
	weir__settings_free(s);
	weir__config_free(c);
	unsetenv("WEIR_LOG_LEVEL");
	unsetenv("WEIR_PLUGINS_DEMO_TLS_CERT");
	unsetenv("WEIR_PLUGINS_DEMO_COMMS");
	unsetenv("WEIR_SERVICE_HOST");
}

/* A wrong variable is an error that keeps its value to itself; an unknown one is
 * only a warning. */
static void test_env_wrong(void **state)
{
	(void)state;
	setenv("WEIR_PLUGINS_DEMO_INTERVAL", "hunter2", 1);
	setenv("WEIR_LOG_LEVLE", "debug", 1);
	expect_errors("plugins: {demo: }",
	              "environment: error: WEIR_PLUGINS_DEMO_INTERVAL: expected a duration such as "
	              "250ms, 10s or 5m, at least 1ms\n"
	              "   (interval: How often to look, default 1s)\n"
	              "environment: warning: WEIR_LOG_LEVLE sets no option\n"
	              "   did you mean WEIR_LOG_LEVEL?\n");
	unsetenv("WEIR_PLUGINS_DEMO_INTERVAL");
	unsetenv("WEIR_LOG_LEVLE");
}

/* ${VAR} is replaced in values, after parsing: it cannot bring structure. */
static void test_expand(void **state)
{
	struct weir__config *c;
	struct weir__settings *s;
	struct demo *v;

	(void)state;
	setenv("DEMO_T", "5s\nmode: slow # [", 1);
	setenv("DEMO_MODE", "slow", 1);
	s = load_ok("plugins:\n  demo:\n    token: ${DEMO_T}\n    mode: '${DEMO_MODE}'\n"
	            "    interval: ${DEMO_UNSET:-2s}\n    comms: [\"$${x}\", 'a${DEMO_MODE}b', $$1]\n", &c);
	v = s->values;
	assert_string_equal(v->token, "5s\nmode: slow # [");
	assert_int_equal(v->mode, 1);
	assert_int_equal(v->interval, 2000000000);
	assert_string_equal(v->comms.items[0], "${x}");
	assert_string_equal(v->comms.items[1], "aslowb");
	assert_string_equal(v->comms.items[2], "$$1");
	weir__settings_free(s);
	weir__config_free(c);
	unsetenv("DEMO_T");
	unsetenv("DEMO_MODE");
}

/* An unset or badly written variable is named, and no value is shown. */
static void test_expand_wrong(void **state)
{
	(void)state;
	setenv("DEMO_T", "hunter2", 1);
	expect_errors("plugins:\n  demo:\n    interval: ${DEMO_NO}\n    mode: ${DEMO_T}\n",
	              "weir.yaml:3:15: error: plugins.demo.interval: the environment variable DEMO_NO is not set\n"
	              "    3 |     interval: ${DEMO_NO}\n"
	              "      |               ^^^^^^^^^^\n"
	              "   (interval: How often to look, default 1s)\n"
	              "weir.yaml:4:11: error: plugins.demo.mode: expected one of fast, slow\n"
	              "    4 |     mode: ${DEMO_T}\n"
	              "      |           ^^^^^^^^^\n"
	              "   (mode: How to look, default fast)\n");
	expect_errors("log: {file: '${1x}'}\n",
	              "weir.yaml:1:13: error: log.file: \"${\" begins a variable: write ${NAME} or "
	              "${NAME:-default}, or \"$${\" for the characters themselves\n"
	              "    1 | log: {file: '${1x}'}\n"
	              "      |             ^^^^^^^\n"
	              "   (log.file: File the log goes to; empty is standard error, default empty)\n");
	unsetenv("DEMO_T");
}

/* ---- mistakes --------------------------------------------------------------- */

/* All mistakes are shown at once, each with place, expectation and nearest key. */
static void test_all_errors(void **state)
{
	(void)state;
	expect_errors(
		"plugins:\n  demo:\n    intervall: 5s\n    mode: slwo\n    tls: x\n    tls.cert: y\n",
		"weir.yaml:3:5: error: unknown key \"intervall\" in plugins.demo\n"
		"    3 |     intervall: 5s\n"
		"      |     ^^^^^^^^^\n"
		"   expected one of: enabled, path, isolation, deadline, breaker, sources, ring, latency_class, fallback, priority, budget, on_pressure, interval, "
		"mode, tls, token, comms, a; did you mean \"interval\"? "
		"(interval: How often to look, default 1s)\n"
		"weir.yaml:4:11: error: plugins.demo.mode: expected one of fast, slow\n"
		"    4 |     mode: slwo\n"
		"      |           ^^^^\n"
		"   did you mean \"slow\"? (mode: How to look, default fast)\n"
		"weir.yaml:5:10: error: plugins.demo.tls must be a mapping of options\n"
		"    5 |     tls: x\n"
		"      |          ^\n"
		"   write each as \"key: value\" on a line of its own below it\n"
		"weir.yaml:6:5: error: unknown key \"tls.cert\" in plugins.demo\n"
		"    6 |     tls.cert: y\n"
		"      |     ^^^^^^^^\n"
		"   write it nested: \"tls:\" and \"cert:\" on the line below\n");
}

/* A key twice is an error that names the other place. */
static void test_duplicates(void **state)
{
	(void)state;
	expect_errors("log: {level: info}\nstate_dir: /x\nlog: {level: warn}\n",
	              "weir.yaml:3:1: error: duplicate key \"log\", already in line 1, column 1\n"
	              "    3 | log: {level: warn}\n"
	              "      | ^^^\n"
	              "   keep one of them\n");
}

/* An option of another kind of plugin says for which kind it is. */
static void test_wrong_kind(void **state)
{
	(void)state;
	expect_errors("plugins:\n  demo:\n    queue: 1MiB\n",
	              "weir.yaml:3:5: error: plugins.demo.queue: \"queue\" is for outputs and processors; "
	              "plugins.demo is a collector\n"
	              "    3 |     queue: 1MiB\n"
	              "      |     ^^^^^\n"
	              "   remove the line (queue: Memory of the queue from each collector, default 4MiB)\n");
}

/* A secret's line is not shown, not even when its value is wrong. */
static void test_secret(void **state)
{
	(void)state;
	expect_errors("plugins:\n  demo:\n    token: [hunter2]\n",
	              "weir.yaml:3:12: error: plugins.demo.token: expected text, not a list\n"
	              "   (token: Token, default none)\n");
}

/* One option of a pair without the other is said at its line. */
static void test_pairs(void **state)
{
	(void)state;
	expect_errors("http:\n  tls:\n    cert: /c\n",
	              "weir.yaml:3:1: error: http.tls.cert is set, but http.tls.key is not\n"
	              "   give both or neither\n");
}

struct mistake {
	const char *text, *first; /* first line of what is printed */
};

static void expect_first(const struct mistake *m)
{
	struct weir__diags d = { 0 };
	struct weir__config *c;
	struct weir__settings *s = load(m->text, &d, &c);
	char *got = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&got, &len);

	weir__diags_print(&d, f, false);
	fclose(f);
	assert_true(d.errors > 0);
	got[strcspn(got, "\n")] = 0;
	assert_string_equal(got, m->first);
	free(got);
	weir__settings_free(s);
	weir__config_free(c);
	weir__diags_fini(&d);
}

/* Wrong types, wrong syntax and what Weir leaves out of YAML are named as such. */
static void test_mistakes(void **state)
{
	static const struct mistake list[] = {
		{ "[a]", "weir.yaml:1:1: error: expected a mapping of options at the top" },
		{ "hello", "weir.yaml:1:1: error: expected a mapping of options at the top" },
		{ "plugins: [demo]", "weir.yaml:1:10: error: plugins must be a mapping from names to options" },
		{ "plugins: {Demo: }", "weir.yaml:1:11: error: \"Demo\" cannot be the name of a plugin" },
		{ "plugins: {demo: off}", "weir.yaml:1:17: error: plugins.demo must be a mapping of options" },
		{ "plugins: {other: }", "weir.yaml:1:11: error: no plugin \"other\" has been loaded" },
		{ "log: {level: }", "weir.yaml:1:7: error: log.level: expected one of error, warn, info, debug, not nothing" },
		{ "log: {level: {a: b}}", "weir.yaml:1:14: error: log.level: expected one of error, warn, info, debug, not a mapping" },
		{ "plugin_dirs: [[a]]", "weir.yaml:1:15: error: plugin_dirs: expected text as item of the list" },
		{ "plugins:\n  demo:\n    comms: [a, b, c, d]", "weir.yaml:3:12: error: plugins.demo.comms: expected a list such as [a, b], at most 3 items, no empty items" },
		{ "log:\n\tlevel: info\n", "weir.yaml:2:1: error: a tab; YAML is indented with blanks only" },
		{ "log:\n  level: info\n \t file: x\n", "weir.yaml:3:2: error: a tab; YAML is indented with blanks only" },
		{ "log: &x {level: info}\n", "weir.yaml:1:6: error: an anchor (&name): Weir's configuration has none" },
		{ "log: {file: *x}\n", "weir.yaml:1:13: error: an alias (*name): Weir's configuration has none" },
		{ "log: {file: !!str x}\n", "weir.yaml:1:13: error: a tag (!name): Weir's configuration has none" },
		{ "log: {level: info}\n---\nlog: {level: warn}\n", "weir.yaml:2:1: error: a second document in the file" },
		{ "log: {{ .Values.log }}\n", "weir.yaml:1:7: error: a key must be a word, not a list or a mapping" },
		{ "log: {level: info\n", "weir.yaml:1:6: error: this mapping is never closed" },
		{ "state_dir: 'x\n", "weir.yaml:1:12: error: this is never closed" },
		{ "log:\n   level info\nhttp:\n", "weir.yaml:2:4: error: log must be a mapping of options" },
		{ "log\nhttp: x\n", "weir.yaml:2:5: error: a \":\" has no place here" },
		{ "log: a: b\n", "weir.yaml:1:7: error: a \":\" has no place here" },
		{ "state_dir: @x\n", "weir.yaml:1:12: error: a value cannot begin with this character" },
		{ "state_dir: \"\\0\"\n", "weir.yaml:1:12: error: a NUL byte in a text" },
		{ "log: \x01\n", "weir.yaml:1:6: error: a control character (0x01)" },
		{ "log: \xff\n", "weir.yaml:1:6: error: this is not UTF-8" },
		{ "\xff\xfel\n", "weir.yaml:1:1: error: the file is UTF-16" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(list) / sizeof(*list); i++)
		expect_first(&list[i]);
}

/* What is nested too deeply or has too many entries is refused, and quickly. */
static void test_bounds(void **state)
{
	struct mistake m = { .first = "weir.yaml:1:17: error: nested too deeply: at most 16 levels" };
	char *text = malloc(400000), *p = text;
	int i;

	(void)state;
	memset(text, '[', 100000);
	text[100000] = 0;
	m.text = text;
	expect_first(&m);
	p = stpcpy(p, "plugin_dirs: [");
	for (i = 0; i < 100000; i++)
		p = stpcpy(p, "a, ");
	stpcpy(p, "]\n");
	m.first = "weir.yaml:1:3087: error: too many entries: at most 1024 in one mapping or list";
	expect_first(&m);
	free(text);
}

/* Mistakes before a syntax error are still shown; what could not be read is not
 * called missing. */
static void test_before_syntax_error(void **state)
{
	expect_errors("lgo:\nhttp: [x\nlog: {}\n",
	              "weir.yaml:1:1: error: unknown key \"lgo\"\n"
	              "    1 | lgo:\n"
	              "      | ^^^\n"
	              "   expected one of: log, http, control, state_dir, user, isolation, plugin_dirs, "
	              "shutdown_timeout, probe_interval, watch, kernel_guard, budget, plugins; did you mean \"log\"?\n"
	              "weir.yaml:2:7: error: this list is never closed\n"
	              "    2 | http: [x\n"
	              "      |       ^\n"
	              "   add \"]\"; between brackets, put \"${VAR}\" in quotes\n");
	(void)state;
}

/* ---- required options ------------------------------------------------------- */

/* What is required and missing is said at the section; a disabled plugin may lack it. */
static void test_required(void **state)
{
	static const struct weir_option rows[] = {
		WEIR_OPTION_STRING(struct demo, cert, "url", NULL, "Where to send"),
	};
	static const struct weir_plugin_desc desc = {
		.name = "demo", .kind = WEIR_OUTPUT, .state_size = sizeof(struct demo),
		.options = WEIR_TABLE(rows),
	};
	const char *text = "plugins:\n  demo:\n", *off = "plugins: {demo: {enabled: false}}";
	struct weir__diags d = { 0 };
	struct weir__settings *s;
	struct weir__config *c;

	(void)state;
	assert_int_equal(weir__config_open_text("f", text, strlen(text), &d, &c), 0);
	assert_int_equal(weir__config_bind(c, "demo", &desc, &d, &s), -EINVAL);
	assert_string_equal(d.items[0].message, "plugins.demo.url is required: expected text");
	assert_int_equal(d.items[0].at.line, 2);
	weir__config_free(c);
	weir__diags_fini(&d);
	assert_int_equal(weir__config_open_text("f", off, strlen(off), &d, &c), 0);
	assert_int_equal(weir__config_bind(c, "demo", &desc, &d, &s), 0);
	weir__settings_free(s);
	weir__config_free(c);
}

/* ---- memory ----------------------------------------------------------------- */

static int load_once(const char *text, struct weir__diags *d)
{
	struct weir__common_config common;
	struct weir__settings *s = NULL;
	struct weir__config *c = NULL;
	int rc = weir__config_open_text("weir.yaml", text, strlen(text), d, &c);

	if (!rc)
		rc = weir__config_common(c, "demo", d, &common);
	if (!rc) {
		weir__common_fini(&common);
		rc = weir__config_bind(c, "demo", &demo, d, &s);
	}
	if (c)
		weir__config_finish(c, d);
	weir__settings_free(s);
	weir__config_free(c);
	return rc;
}

static void fault_loop(const char *text, int want)
{
	long live = weir__mem_live(), n;
	bool oom = true;

	for (n = 0; oom; n++) {
		struct weir__diags d = { 0 };
		int rc;

		weir__mem_fail_at(n);
		rc = load_once(text, &d);
		weir__mem_fail_at(-1);
		oom = d.oom;
		assert_true(oom || rc == want);
		assert_true(!rc == !weir__diags_failed(&d) || oom);
		weir__diags_fini(&d);
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n > 50);
}

/* Each allocation fails in turn: an error every time, and nothing is left. */
static void test_fault_loop(void **state)
{
	(void)state;
	fault_loop("log: {level: debug}\nplugins:\n  demo: {comms: [a, '${HOME:-b}'], tls: {cert: x}}\n", 0);
	fault_loop("plugins:\n  demo: {coms: [a, b], tls: {cert: [x]}, mode: slo}\n", -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),       cmocka_unit_test(test_empty),
		cmocka_unit_test(test_built_in),     cmocka_unit_test(test_env),
		cmocka_unit_test(test_env_wrong),    cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_wrong), cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_duplicates),   cmocka_unit_test(test_wrong_kind),
		cmocka_unit_test(test_secret),       cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_before_syntax_error),
		cmocka_unit_test(test_required),     cmocka_unit_test(test_fault_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
