/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top on a terminal, as a user has it: keys, another size, a daemon that goes and
 * comes back, and a terminal that is afterwards as it was. Needs neither root nor BPF.
 */
#include "terminal.h"

#define PROCFS                                                                 \
	"control: {socket: '@S'}\nstate_dir: '@D'\nhttp: {listen: ''}\n"        \
	"plugin_dirs: ['@B', '@P']\n"                                          \
	"plugins:\n  procfs-fallback: {interval: 1s, fallback: always}\n  count:\n"

static int setup(void **state)
{
	static struct daemon d;

	daemon_start(&d, PROCFS);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	daemon_clean(*state);
	return 0;
}

/* Keys change what is shown, a new size is taken up, q ends with 0. */
static void keys_and_sizes(void **state)
{
	struct winsize size = { .ws_row = 12, .ws_col = 50 };

	begin(*state, "top", 24, 80);
	fits(wait_frame("procfs-fallback", true), 24, 80);
	wait_frame("sort: cpu", true);
	type("s");
	wait_frame("sort: events", true);
	type("h");
	wait_frame("select a plugin", true);
	type("\033");
	wait_frame("select a plugin", false);
	type("\033[B\r");
	wait_frame("plugin    ", true);
	type("\033");
	wait_frame("PLUGIN", true);
	assert_int_equal(ioctl(term.fd, TIOCSWINSZ, &size), 0);
	wait_frame("q quit  s sort: events  r reverse  p pause  Enter detail", false);
	fits(wait_frame("q quit", true), 12, 50);
	type("q");
	assert_int_equal(end(), 0);
}

/* A daemon that goes is said to, and shown again when it is back. */
static void daemon_comes_back(void **state)
{
	struct daemon *d = *state;

	begin(d, "top", 24, 80);
	wait_frame("ready", true);
	assert_int_equal(daemon_stop(d, SIGTERM), 0);
	wait_frame("weir does not answer, trying again", true);
	type("h");
	wait_frame("select a plugin", true);
	type("h");
	daemon_again(d);
	wait_frame("weir does not answer", false);
	type("q");
	assert_int_equal(end(), 0);
}

/* ^C is a way out; other signals end it as they should; both give the terminal back. */
static void signals(void **state)
{
	int status;

	begin(*state, "top", 24, 80);
	wait_frame("ready", true);
	type("\003");
	assert_int_equal(end(), 0);
	begin(*state, "top", 24, 80);
	wait_frame("ready", true);
	kill(term.pid, SIGTERM);
	status = end();
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* Without a terminal: one frame, no control bytes; or JSON, a line each. */
static void without_a_terminal(void **state)
{
	static char out[1 << 16];
	char *second;
	json_t *j;

	assert_int_equal(plain(*state, "top", "-i 200ms", out, sizeof out), 0);
	assert_non_null(strstr(out, "procfs-fallback"));
	assert_null(strchr(out, '\033'));
	assert_null(strstr(out, "q quit"));
	assert_int_equal(plain(*state, "top", "--json -n 2 -i 100ms --sort name", out, sizeof out), 0);
	second = strchr(out, '\n');
	assert_non_null(second);
	for (char *at = out; at; at = at == out ? second + 1 : NULL) {
		*second = 0;
		j = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
		assert_string_equal(json_string_value(json_object_get(json_array_get(
			json_object_get(j, "plugins"), 0), "name")), "count");
		json_decref(j);
	}
	assert_int_equal(plain(*state, "top", "--sort colour", out, sizeof out), 2);
	assert_int_equal(plain(*state, "top", "-n 0", out, sizeof out), 2);
	assert_int_equal(plain(*state, "top", "-i 1ns", out, sizeof out), 2);
	assert_int_equal(plain(*state, "top", "-s /nonexistent/sock", out, sizeof out), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_sizes),
		cmocka_unit_test(daemon_comes_back),
		cmocka_unit_test(signals),
		cmocka_unit_test(without_a_terminal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
