/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir flows and weir dns against a daemon whose plugin makes its answers up, as a user
 * has them: on a terminal, into a file, and when nobody answers. Needs neither root nor BPF.
 */
#include "terminal.h"

#define TALKER                                                                 \
	"control: {socket: '@S'}\nstate_dir: '@D'\nhttp: {listen: ''}\n"        \
	"plugin_dirs: ['@B', '@P', '@H']\n"                                    \
	"plugins:\n  talker:\n  count:\n"

static char out[1 << 16];

static int setup(void **state)
{
	static struct daemon d;

	daemon_start(&d, TALKER);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	daemon_clean(*state);
	return 0;
}

static void says(const char *what)
{
	if (!strstr(out, what))
		print_error("not said: %s\n%s\n", what, out);
	assert_non_null(strstr(out, what));
}

/* One frame with rates and nothing that acts; a line of JSON each; filters arrive. */
static void frames(void **state)
{
	json_t *j, *flow;
	size_t lines = 0;

	assert_int_equal(plain(*state, "flows", "-i 100ms", out, sizeof out), 0);
	says("42 curl\\x1b[31m");
	says("[2001:db8::1]:443");
	assert_null(strchr(out, '\033'));
	assert_null(strstr(out, "q quit"));
	assert_int_equal(plain(*state, "flows", "--json -n 2 -i 100ms --sort bytes", out, sizeof out), 0);
	for (const char *at = out; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 2);
	j = json_loads(out, JSON_DISABLE_EOF_CHECK, NULL);
	assert_int_equal(json_array_size(json_object_get(j, "flows")), 2);
	flow = json_array_get(json_object_get(j, "flows"), 0);
	assert_true(json_number_value(json_object_get(flow, "tx_bytes_per_s")) > 0);
	assert_string_equal(json_string_value(json_object_get(j, "plugin")), "talker");
	json_decref(j);
	assert_int_equal(plain(*state, "flows", "--once -i 100ms --filter port=22", out, sizeof out), 0);
	says("10.0.0.9:1");
	assert_null(strstr(out, "curl"));
	assert_int_equal(plain(*state, "flows", "--once -i 100ms --by peer", out, sizeof out), 0);
	says("192.0.2.7");
	assert_int_equal(plain(*state, "dns", "--once -i 100ms", out, sizeof out), 0);
	says("slow.example\\xe2\\x80\\xae");
	says("timeout");
	assert_int_equal(plain(*state, "dns", "--json --once -i 100ms", out, sizeof out), 0);
	says("\\u202E");
}

/* Wrong words are refused with those that are right; wrong answers are said. */
static void complaints(void **state)
{
	assert_int_equal(plain(*state, "flows", "--sort colour", out, sizeof out), 2);
	says("--sort takes, by flow, one of rate, tx");
	assert_int_equal(plain(*state, "dns", "--by peer", out, sizeof out), 2);
	says("--by takes one of query, name, server or process");
	assert_int_equal(plain(*state, "flows", "--filter 443", out, sizeof out), 2);
	says("KEY=VALUE");
	assert_int_equal(plain(*state, "flows", "--limit 0", out, sizeof out), 2);
	assert_int_equal(plain(*state, "flows", "--limit 1001", out, sizeof out), 2);
	assert_int_equal(plain(*state, "flows", "--count 0", out, sizeof out), 2);
	assert_int_equal(plain(*state, "flows", "tcp", out, sizeof out), 2);
	assert_int_equal(plain(*state, "flows", "--once --filter colour=red", out, sizeof out), 1);
	says("colour");
	assert_int_equal(plain(*state, "flows", "--once --filter port=red", out, sizeof out), 1);
	says("port");
	assert_int_equal(plain(*state, "dns", "--once --by name", out, sizeof out), 1);
	says("something else than a list");
	assert_int_equal(plain(*state, "dns", "--once --by server", out, sizeof out), 1);
	says("talker runs, but has no query servers");
	assert_int_equal(plain(*state, "flows", "-s /nonexistent/sock", out, sizeof out), 1);
}

/* Keys change the table, what it is of and which rows; q ends with 0. */
static void keys(void **state)
{
	begin(*state, "flows", 24, 100);
	fits(wait_frame("curl", true), 24, 100);
	wait_frame("MiB", true);
	type("s");
	wait_frame("sort: tx", true);
	type("bb");
	wait_frame("192.0.2.7", true);
	type("bb");
	wait_frame("curl", true);
	type("fport=22\r");
	wait_frame("filter: port=22", true);
	wait_frame("curl", false);
	wait_frame("10.0.0.9", true);
	type("f\177\177red\r");
	wait_frame("port=red", true);
	type("q");
	assert_int_equal(end(), 0);
}

static bool is(const json_t *status, void *arg)
{
	const char *const *want = arg;
	const char *got = json_string_value(json_object_get(plugin_of(status, want[0]), "state"));

	return got && !strcmp(got, want[1]);
}

/* A plugin that goes is said to, with what to do, and shown again when it is back; so is
 * a daemon. */
static void plugin_comes_back(void **state)
{
	struct daemon *d = *state;

	begin(d, "flows", 24, 120);
	wait_frame("curl", true);
	json_decref(daemon_call(d, json_pack("{s:s, s:s}", "cmd", "disable", "plugin", "talker")));
	json_decref(wait_for(d, is, (const char *[]){ "talker", "disabled" }, "disabled"));
	wait_frame("talker is disabled (weir enable talker)", true);
	assert_int_equal(plain(d, "dns", "--once", out, sizeof out), 1);
	says("weir enable talker");
	json_decref(daemon_call(d, json_pack("{s:s, s:s}", "cmd", "enable", "plugin", "talker")));
	wait_frame("talker is disabled", false);
	wait_frame("curl", true);
	assert_int_equal(daemon_stop(d, SIGTERM), 0);
	wait_frame("weir does not answer, trying again", true);
	daemon_again(d);
	wait_frame("weir does not answer", false);
	type("q");
	assert_int_equal(end(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(complaints),
		cmocka_unit_test(keys),
		cmocka_unit_test(plugin_comes_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
