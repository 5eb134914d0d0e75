/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir reload: let the daemon read its configuration again, and say what came of it for
 * every plugin. The daemon's user may not enter the file's directory: root brings the text
 * along. Exit 1 if it was refused, or a plugin did not start with it.
 */
#include "cli.h"
#include "cli_table.h"
#include "config.h"
#include "control.h"
#include "diag.h"
#include "mem.h"

#include <string.h>
#include <unistd.h>

static const char *string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool any_failed(const json_t *plugins)
{
	size_t i;
	json_t *p;

	json_array_foreach(plugins, i, p)
		if (!strcmp(string(p, "action"), "failed"))
			return true;
	return false;
}

static int paint(const char *action)
{
	return !strcmp(action, "failed") ? WEIR__RED : !strcmp(action, "unchanged") ? WEIR__DIM
	                                                                            : WEIR__GREEN;
}

static void print_plugins(const json_t *plugins, bool colour)
{
	struct weir__cli_table t = { 0 };
	size_t i;
	json_t *p;

	weir__table_column(&t, "PLUGIN", false);
	weir__table_column(&t, "RELOAD", false);
	weir__table_column(&t, "STATE", false);
	json_array_foreach(plugins, i, p) {
		weir__table_cell(&t, WEIR__PLAIN, "%s", string(p, "name"));
		weir__table_cell(&t, paint(string(p, "action")), "%s", string(p, "action"));
		weir__table_cell(&t, WEIR__PLAIN, "%s", string(p, "state"));
		if (*string(p, "message"))
			weir__table_note(&t, WEIR__RED, "%s", string(p, "message"));
	}
	weir__table_print(&t, stdout, colour);
	weir__table_fini(&t);
}

/* The path came from the daemon, which is not root: nothing but a configuration without a
 * mistake is handed over, so that it cannot have root read other files for it. */
static bool is_config(const char *path, const char *text, size_t len)
{
	struct weir__diags diags = { 0 };
	struct weir__config *config = NULL;
	bool good = !weir__config_open_text(path, text, len, &diags, &config);

	if (good)
		weir__config_free(config);
	weir__diags_fini(&diags);
	return good;
}

/* The request, with the file's text where that can help. */
static json_t *request(const struct weir__cli *cli)
{
	json_t *r = json_pack("{s:s}", "cmd", "reload"), *answer, *old;
	char *text = NULL;
	size_t len = 0;

	if (geteuid() != 0)
		return r;
	answer = weir__cli_ask(cli, json_pack("{s:s}", "cmd", "config"), 5000);
	if (!answer) {
		json_decref(r);
		return NULL;
	}
	if (*string(answer, "file") && !weir__config_read_file(string(answer, "file"), &text, &len) &&
	    is_config(string(answer, "file"), text, len)) {
		old = json_copy(r);
		json_object_set_new(r, "text", json_stringn(text, len)); /* none if it is not UTF-8 */
		if (json_dumpb(r, NULL, 0, 0) < WEIR__CONTROL_REQUEST_MAX - 1)
			json_decref(old);
		else {
			json_decref(r);
			r = old;
		}
	}
	weir__free(text);
	json_decref(answer);
	return r;
}

int weir__cmd_reload(int argc, char **argv)
{
	struct weir__cli cli;
	json_t *answer, *plugins, *o;
	size_t i;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc)
		return weir__cmd_usage(cli.name, "takes no arguments");
	answer = weir__cli_change(&cli, request(&cli));
	if (!answer)
		return 1;
	plugins = json_object_get(answer, "plugins");
	if (!cli.option[WEIR__CLI_JSON]) {
		weir__print_line(stdout, "%s", string(answer, "message"));
		print_plugins(plugins, weir__cli_colour(stdout));
		json_array_foreach(json_object_get(answer, "daemon"), i, o)
			weir__print_line(stdout, "%s: %s", string(o, "option"), string(o, "action"));
	}
	r = any_failed(plugins);
	json_decref(answer);
	return r;
}
