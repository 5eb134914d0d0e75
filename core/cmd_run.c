/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir run`: configuration, then the daemon. All errors of the configuration at
 * once, exit 1, nothing started.
 */
#include "cli.h"
#include "daemon.h"
#include "log.h"
#include "protocol.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* -c, else the environment, else /etc/weir/weir.yaml if it is there, else built in. */
static const char *choose_config(const char *given)
{
	const char *env = getenv("WEIR_CONFIG");

	if (given)
		return given;
	if (env && *env)
		return env;
	return access("/etc/weir/weir.yaml", F_OK) ? NULL : "/etc/weir/weir.yaml";
}

static int setup_log(const struct weir__daemon_config *c)
{
	struct weir__log_config log = { (int)c->log_level, (int)c->log_format, c->log_file, c->log_burst };
	int rc;

	/* On a terminal the live view has the screen: only what needs attention is
	 * written over it, unless a level was asked for. */
	if (isatty(1) && isatty(2) && !*c->log_file && log.level == WEIR_INFO)
		log.level = WEIR_WARN;
	rc = weir__log_setup(&log);
	if (rc)
		weir__log(WEIR_WARN, NULL, "log.file %s cannot be written: logging to stderr", c->log_file);
	return rc;
}

int weir__cmd_run(int argc, char **argv)
{
	static const struct option longs[] = { { "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	const char *given = NULL;
	struct weir__diags diags = { 0 };
	struct weir__setup setup;
	size_t warnings;
	int opt, rc;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		if (opt == 'c')
			given = optarg;
		else
			return weir__cmd_usage("run", opt == 'h' ? NULL : argv[optind - 1]);
	}
	if (optind < argc)
		return weir__cmd_usage("run", argv[optind]);
	rc = weir__setup_load(choose_config(given), &diags, &setup);
	weir__diags_print(&diags, stderr, isatty(2) && !getenv("NO_COLOR"));
	warnings = diags.count - diags.errors;
	weir__diags_fini(&diags);
	if (rc) {
		fprintf(stderr, "weir: nothing was started\n");
		return 1;
	}
	setup_log(weir__config_daemon(setup.config));
	rc = weir__daemon_run(&setup, warnings);
	weir__setup_fini(&setup);
	return rc;
}
