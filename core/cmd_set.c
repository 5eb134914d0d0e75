/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir set: one option of the running daemon, for now, for a time or for good; without a
 * value, what it is and who says so. Exit 1 if it was refused, or the plugin did not
 * start with it.
 */
#include "cli.h"
#include "format.h"

#include <string.h>

/* "NAME.option" into both; NAME alone is an option of the daemon without a dot. */
static int split(const struct weir__cli *cli, char *plugin, size_t size, const char **option)
{
	const char *word = cli->argv[0];
	size_t n = strcspn(word, ".");

	if (!n || n >= size || strlen(word) > 200)
		return weir__cmd_usage(cli->name, "say NAME.option, such as iomonitor.interval");
	memcpy(plugin, word, n);
	plugin[n] = 0;
	*option = word[n] ? word + n + 1 : "";
	return 0;
}

static int show(const struct weir__cli *cli, const char *plugin, const char *option)
{
	json_t *answer = weir__cli_change(cli, json_pack("{s:s, s:s, s:s}", "cmd", "get", "plugin", plugin,
	                                                 "option", option));
	const char *value, *origin;
	char a[4096], b[1024];

	if (!answer)
		return 1;
	value = json_string_value(json_object_get(answer, "value"));
	origin = json_string_value(json_object_get(answer, "origin"));
	weir__escape(value ? value : "", 1000, a, sizeof a);
	weir__escape(origin ? origin : "?", 200, b, sizeof b);
	if (!cli->option[WEIR__CLI_JSON])
		printf("%s%s%s = %s  # %s\n", plugin, *option ? "." : "", option, a, b);
	json_decref(answer);
	return 0;
}

static int change(const struct weir__cli *cli, const char *plugin, const char *option, double for_s)
{
	json_t *req = json_pack("{s:s, s:s, s:s}", "cmd", "set", "plugin", plugin, "option", option);

	if (req && cli->argc == 2)
		json_object_set_new(req, "value", json_string(cli->argv[1]));
	else if (req)
		json_object_set_new(req, "unset", json_true());
	if (req && for_s > 0)
		json_object_set_new(req, "for_s", json_real(for_s));
	if (req && cli->option[WEIR__CLI_PERSIST])
		json_object_set_new(req, "persist", json_true());
	return weir__cli_said(cli, weir__cli_change(cli, req));
}

int weir__cmd_set(int argc, char **argv)
{
	struct weir__cli cli;
	char plugin[64];
	const char *option = "";
	double for_s;
	bool unset;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	unset = cli.option[WEIR__CLI_UNSET];
	if (cli.argc < 1 || cli.argc > 2)
		return weir__cmd_usage(cli.name, "say NAME.option VALUE, such as iomonitor.interval 250ms");
	if (unset && (cli.argc == 2 || cli.option[WEIR__CLI_FOR]))
		return weir__cmd_usage(cli.name, "--unset takes neither a value nor --for");
	if (cli.argc == 1 && !unset && (cli.option[WEIR__CLI_FOR] || cli.option[WEIR__CLI_PERSIST]))
		return weir__cmd_usage(cli.name, "a value is missing");
	r = split(&cli, plugin, sizeof plugin, &option);
	if (!r)
		r = weir__cli_for(&cli, &for_s);
	if (r)
		return r;
	return cli.argc == 1 && !unset ? show(&cli, plugin, option)
	                               : change(&cli, plugin, option, for_s);
}
