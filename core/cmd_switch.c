/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir enable, disable, restart: change one plugin of the running daemon, and say
 * what came of it.
 */
#include "cli.h"

static int change(int argc, char **argv)
{
	struct weir__cli cli;
	json_t *req;
	double for_s;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc != 1)
		return weir__cmd_usage(cli.name, cli.argc ? "one plugin at a time"
		                                          : "which plugin? weir status lists them");
	r = weir__cli_for(&cli, &for_s);
	if (r)
		return r;
	req = json_pack("{s:s, s:s}", "cmd", cli.name, "plugin", cli.argv[0]);
	if (req && for_s > 0)
		json_object_set_new(req, "for_s", json_real(for_s));
	if (req && cli.option[WEIR__CLI_PERSIST])
		json_object_set_new(req, "persist", json_true());
	return weir__cli_said(&cli, weir__cli_change(&cli, req));
}

int weir__cmd_enable(int argc, char **argv)
{
	return change(argc, argv);
}

int weir__cmd_disable(int argc, char **argv)
{
	return change(argc, argv);
}

int weir__cmd_restart(int argc, char **argv)
{
	return change(argc, argv);
}
