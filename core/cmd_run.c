/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir run`: configuration, then the daemon. All errors of the configuration at
 * once, exit 1, nothing started.
 */
#include "cli.h"
#include "daemon.h"

#include <stdio.h>

int weir__cmd_run(int argc, char **argv)
{
	struct weir__diags diags = { 0 };
	struct weir__setup setup;
	struct weir__cli cli;
	size_t warnings;
	int rc = weir__cli_parse(argc, argv, &cli);

	if (rc >= 0)
		return rc;
	rc = weir__setup_load(weir__cli_config(&cli), &diags, &setup);
	weir__diags_print(&diags, stderr, weir__cli_colour(stderr));
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
