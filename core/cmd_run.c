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
	rc = weir__daemon_run(&setup, warnings);
	weir__setup_fini(&setup);
	return rc;
}
