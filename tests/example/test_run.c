/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example plugin, built elsewhere against the installed SDK, in the real
 * daemon: with BPF and without, a process that ends becomes a line of JSON.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 20

static const char *config(const char *source)
{
	static char yaml[1024];

	snprintf(yaml, sizeof(yaml),
	         "http: { listen: \"\" }\n"
	         "control: { socket: \"@S\" }\n"
	         "state_dir: \"@D\"\n"
	         "plugin_dirs: [ \"%s\", \"@P\" ]\n"
	         "plugins:\n"
	         "  forkwatch: { sources: [ %s ], interval: 10ms }\n"
	         "  stdout: { format: json }\n",
	         EXAMPLE, source);
	return yaml;
}

/* A process that lives for 100 ms, so that a look every 10 ms sees it, and ends
 * with status 7. */
static void live_and_end(void)
{
	struct timespec life = { .tv_nsec = 100000000 };
	pid_t pid = fork();

	if (pid == 0) {
		nanosleep(&life, NULL);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The line of one of them, or NULL: it comes when it comes, not at once. Free with
 * json_decref. */
static json_t *line_of_child(struct daemon *d)
{
	char *out = daemon_out(d), *save = NULL;
	json_t *found = NULL;

	for (char *line = strtok_r(out, "\n", &save); line && !found; line = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_loads(line, 0, NULL); /* the last may be half written */

		if (o && num(o, "ppid") == getpid())
			found = json_incref(o);
		json_decref(o);
	}
	free(out);
	return found;
}

static void ends_are_printed(const char *source, const char *how, const char *quality)
{
	time_t until = time(NULL) + DEADLINE_S;
	json_t *line = NULL;
	struct daemon d;

	daemon_start(&d, config(source));
	while (!line && time(NULL) < until) {
		live_and_end();
		line = line_of_child(&d);
	}
	if (!line)
		fail_msg("no event within %d s", DEADLINE_S);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "forkwatch_exit");
	assert_string_equal(json_string_value(json_object_get(line, "source")), source);
	assert_string_equal(json_string_value(json_object_get(line, "how")), how);
	if (quality)
		assert_string_equal(json_string_value(json_object_get(line, "quality")), quality);
	else
		assert_int_equal(num(line, "exit_code"), 7);
	json_decref(line);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* With BPF every end is seen, with its status. */
static void bpf_tells_how_it_ended(void **state)
{
	(void)state;
	if (no_bpf()) {
		print_message("SKIP: bpf_tells_how_it_ended: %s\n", no_bpf());
		return;
	}
	ends_are_printed("bpf", "exited", NULL);
}

/* Without, what two looks at /proc can tell, and it says that it is less. */
static void procfs_tells_that_it_ended(void **state)
{
	(void)state;
	ends_are_printed("procfs", "unknown", "approx");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bpf_tells_how_it_ended),
		cmocka_unit_test(procfs_tells_that_it_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
