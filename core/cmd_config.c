/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir config check, show, schema. Check and show go the way `weir run` goes, up
 * to the point where something would be started; schema loads every plugin there
 * is. Needs neither root nor a running daemon.
 */
#include "cli.h"
#include "cli_plugins.h"
#include "cli_table.h"
#include "config_show.h"
#include "protocol.h"

#include <errno.h>
#include <string.h>

static size_t warnings(const struct weir__diags *d)
{
	size_t all = d->count + d->more;

	return all > d->errors ? all - d->errors : 0;
}

static void set_text(json_t *j, const char *key, const char *text)
{
	if (text)
		json_object_set_new(j, key, weir__json_text(text));
}

static json_t *diag_json(const struct weir__diag *it)
{
	json_t *j = json_pack("{s:s}", "severity", it->warning ? "warning" : "error");

	set_text(j, "file", it->at.file);
	if (j && it->at.line) {
		json_object_set_new(j, "line", json_integer((json_int_t)it->at.line));
		json_object_set_new(j, "column", json_integer((json_int_t)it->at.column));
		json_object_set_new(j, "length",
		                    json_integer((json_int_t)(it->at.length ? it->at.length : 1)));
	}
	set_text(j, "message", it->message);
	set_text(j, "hint", it->hint);
	set_text(j, "source", it->source);
	return j;
}

static int check_json(const struct weir__cli *cli, const char *file,
                      const struct weir__diags *d)
{
	json_t *list = json_array(), *j;
	size_t i;

	for (i = 0; list && i < d->count; i++)
		json_array_append_new(list, diag_json(&d->items[i]));
	j = json_pack("{s:o, s:b, s:I, s:I, s:o}", "file", weir__json_text(file),
	              "ok", !weir__diags_failed(d), "errors", (json_int_t)d->errors,
	              "warnings", (json_int_t)warnings(d), "diagnostics", list);
	if (!j)
		return weir__cli_error(cli->name, "out of memory");
	json_dumpf(j, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(j);
	return weir__diags_failed(d);
}

/* A kept override may be a secret, and here is no daemon to hide it. */
static const char *override_shown(const struct weir__setup *setup, const struct weir__override *it)
{
	size_t i, n;

	for (i = 0; i < setup->count; i++) {
		const struct weir__settings *s = setup->plugins[i].settings;
		const struct weir_option *opt;

		n = strlen(s->name);
		if (strncmp(it->key, "plugins.", 8) || strncmp(it->key + 8, s->name, n) ||
		    it->key[8 + n] != '.' || !s->desc)
			continue;
		opt = weir__option_find(&s->desc->options, it->key + 8 + n + 1);
		return opt && (opt->flags & WEIR_OPTION_SECRET) ? "***" : it->value;
	}
	return it->value;
}

static int check_text(const struct weir__cli *cli, const char *file,
                      const struct weir__diags *d, const struct weir__setup *setup)
{
	size_t i, n = warnings(d);

	weir__diags_print(d, stderr, weir__cli_colour(stderr));
	if (weir__diags_failed(d))
		return weir__cli_error(cli->name, "%s: %zu error%s, %zu warning%s", file,
		                       d->errors, d->errors == 1 ? "" : "s", n, n == 1 ? "" : "s");
	printf("%s: correct", file);
	if (n)
		printf(", %zu warning%s", n, n == 1 ? "" : "s");
	for (i = 0; i < setup->count; i++)
		printf("%s%s%s", i ? ", " : "; plugins: ", setup->plugins[i].settings->name,
		       !setup->plugins[i].loaded ? " (not loaded)" :
		       !setup->plugins[i].settings->common.enabled ? " (disabled)" : "");
	printf("\n");
	for (i = 0; i < weir__config_overrides(setup->config)->count; i++)
		weir__print_line(stdout, "set at run time, above the file: %s = %s",
		                 weir__config_overrides(setup->config)->items[i].key,
		                 override_shown(setup, &weir__config_overrides(setup->config)->items[i]));
	return 0;
}

/* Plugins that are switched on but would not run: `weir run` goes on without them, a
 * check is asked to find them. */
static size_t would_not_run(const struct weir__setup *setup)
{
	size_t i, n = 0;

	for (i = 0; i < setup->count; i++)
		n += !setup->plugins[i].loaded && setup->plugins[i].settings->common.enabled;
	return n;
}

static int check(const struct weir__cli *cli)
{
	const char *given = weir__cli_config(cli), *file = given ? given : "(built-in)";
	struct weir__diags d = { 0 };
	struct weir__setup setup;
	int rc = weir__setup_load(given, &d, &setup), code;

	if (cli->option[WEIR__CLI_JSON])
		code = check_json(cli, file, &d);
	else
		code = check_text(cli, file, &d, &setup);
	if (!rc && would_not_run(&setup))
		code = 1;
	if (!rc)
		weir__setup_fini(&setup);
	weir__diags_fini(&d);
	return rc ? 1 : code;
}

static int show_running(const struct weir__cli *cli)
{
	json_t *answer = weir__cli_ask(cli, json_pack("{s:s}", "cmd", "config"), 5000);
	const char *text = json_string_value(json_object_get(answer, "text"));

	if (answer && !text)
		weir__cli_error(cli->name, "the daemon did not say: it may be older than the command, or "
		                "out of memory");
	if (text)
		fputs(text, stdout); /* escaped by the daemon's own config show */
	json_decref(answer);
	return text ? 0 : 1;
}

static int show(const struct weir__cli *cli)
{
	struct weir__diags d = { 0 };
	struct weir__setup setup;
	int rc = weir__setup_load(weir__cli_config(cli), &d, &setup);

	weir__diags_print(&d, stderr, weir__cli_colour(stderr));
	weir__diags_fini(&d);
	if (rc)
		return 1;
	weir__config_show(&setup, stdout);
	weir__setup_fini(&setup);
	return 0;
}

/* A refused plugin is left out, and said on stderr: the rest is still of use. */
static int schema_plugins(const struct weir__cli *cli, const struct weir__cli_plugins *p,
                          json_t *schema)
{
	struct weir__loaded *l;
	char reason[512];
	size_t i;
	int rc = 0;

	for (i = 0; p->names[i] && !rc; i++) {
		if (weir__cli_plugin_load(p, p->names[i], &l, reason, sizeof(reason)))
			weir__cli_error(cli->name, "%s is left out: %s", p->names[i], reason);
		else
			rc = weir__schema_add(schema, &l->desc);
	}
	return rc;
}

static int schema(const struct weir__cli *cli)
{
	struct weir__cli_plugins plugins;
	json_t *j;
	int rc = weir__cli_plugins_open(cli, &plugins);

	if (rc)
		return 1;
	j = weir__schema_new();
	if (!j || schema_plugins(cli, &plugins, j))
		rc = weir__cli_error(cli->name, "out of memory");
	else
		json_dumpf(j, stdout, JSON_INDENT(2));
	if (!rc)
		printf("\n");
	json_decref(j);
	weir__cli_plugins_close(&plugins);
	return rc;
}

int weir__cmd_config(int argc, char **argv)
{
	struct weir__cli cli;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc != 1)
		return weir__cmd_usage(cli.name, "say one of check, show, schema");
	if (!strcmp(cli.argv[0], "check"))
		return check(&cli);
	if (cli.option[WEIR__CLI_RUNNING] && strcmp(cli.argv[0], "show"))
		return weir__cmd_usage(cli.name, "--running is for show");
	if (!strcmp(cli.argv[0], "show"))
		return cli.option[WEIR__CLI_RUNNING] ? show_running(&cli) : show(&cli);
	if (!strcmp(cli.argv[0], "schema"))
		return schema(&cli);
	return weir__cmd_usage(cli.name, "say one of check, show, schema");
}
