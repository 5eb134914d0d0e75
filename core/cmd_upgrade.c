/* SPDX-License-Identifier: Apache-2.0 */
/* weir upgrade: hand a plugin over to another build of it, and say how that went. */
#include "cli.h"
#include "format.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int weir__cmd_upgrade(int argc, char **argv)
{
	char path[PATH_MAX], shown[1024];
	struct weir__cli cli;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc != 2)
		return weir__cmd_usage(cli.name, "which plugin, and which file? weir upgrade NAME FILE");
	if (!realpath(cli.argv[1], path)) {
		weir__escape(cli.argv[1], 200, shown, sizeof shown);
		return weir__cli_error(cli.name, "%s: %s", shown, strerror(errno));
	}
	return weir__cli_said(&cli, weir__cli_change(&cli, json_pack("{s:s, s:s, s:s}", "cmd", "upgrade",
	    "plugin", cli.argv[0], "path", path)));
}
