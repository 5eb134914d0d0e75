/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir enable, disable, restart: change one plugin of the running daemon, and say
 * what came of it.
 */
#include "cli.h"
#include "options.h"
#include "format.h"

#include <string.h>

/* A plugin that stops drains first, one that starts may try several sources. */
#define TIMEOUT_MS 60000

struct duration { uint64_t ns; };

/* At most a week: what is meant to stay belongs in the configuration. */
static const struct weir_option for_option =
	WEIR_OPTION_DURATION(struct duration, ns, "for", NULL, "", .min = 1e9, .max = 7 * 86400e9);

static int change(int argc, char **argv)
{
	struct weir__cli cli;
	struct duration d = { 0 };
	json_t *req, *answer;
	const char *said;
	char err[256], text[300], shown[1024];
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc != 1)
		return weir__cmd_usage(cli.name, cli.argc ? "one plugin at a time"
		                                          : "which plugin? weir status lists them");
	if (cli.option[WEIR__CLI_FOR] &&
	    weir__option_set(&for_option, &d, cli.option[WEIR__CLI_FOR], err, sizeof err) != 0) {
		weir__escape(cli.option[WEIR__CLI_FOR], 64, text, sizeof text);
		snprintf(shown, sizeof shown, "--for %s: expected %s", text, err);
		return weir__cmd_usage(cli.name, shown);
	}
	req = json_pack("{s:s, s:s}", "cmd", cli.name, "plugin", cli.argv[0]);
	if (req && d.ns)
		json_object_set_new(req, "for_s", json_real((double)d.ns / 1e9));
	answer = weir__cli_ask(&cli, req, TIMEOUT_MS);
	if (!answer)
		return 1;
	said = json_string_value(json_object_get(answer, "message"));
	if (cli.option[WEIR__CLI_JSON]) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		weir__escape(said ? said : "done", 200, shown, sizeof shown);
		printf("%s\n", shown);
	}
	json_decref(answer);
	return 0;
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
