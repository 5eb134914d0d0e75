/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir plugins: what is in the plugin directories, from the files themselves. A
 * refused file is listed with the reason, and makes the exit code 1.
 */
#include "cli.h"
#include "cli_plugins.h"
#include "host_remote.h"
#include "cli_table.h"
#include "describe.h"
#include "diag.h"
#include "mem.h"
#include "protocol.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int weir__cli_plugins_open(const struct weir__cli *cli, struct weir__cli_plugins *ret)
{
	const char *file = weir__cli_config(cli);
	struct weir__diags diags = { 0 };
	int r;

	memset(ret, 0, sizeof *ret);
	r = weir__config_open(file, &diags, &ret->config);
	if (r)
		weir__diags_print(&diags, stderr, weir__cli_colour(stderr));
	weir__diags_fini(&diags);
	if (r)
		return r;
	ret->dirs = &weir__config_daemon(ret->config)->plugin_dirs;
	r = weir__list_plugins(ret->dirs, &ret->names);
	if (r) {
		weir__cli_error(cli->name, "cannot list the plugins: %s", strerror(-r));
		weir__cli_plugins_close(ret);
	}
	return r;
}

void weir__cli_plugins_close(struct weir__cli_plugins *p)
{
	weir__free(p->names);
	weir__config_free(p->config);
	memset(p, 0, sizeof *p);
}

int weir__cli_plugin_load(const struct weir__cli_plugins *p, const char *name,
                          struct weir__loaded **ret, char *reason, size_t size)
{
	char path[PATH_MAX];
	int refusal, fd, rc;

	if (strchr(name, '/')) { /* a file, to look at before it is installed */
		rc = weir__remote_describe(name, NULL, ret, &fd, reason, size);
		if (!rc)
			close(fd);
		return rc;
	}
	if (weir__find_plugin(p->dirs, name, path, sizeof path) != 0) {
		snprintf(reason, size, "no %s.so in the plugin directories", name);
		return -ENOENT;
	}
	if (weir__plugin_is_shipped(path, name))
		return weir__load(path, name, ret, &refusal, reason, size);
	/* None of a stranger's code runs here, its constructors neither. */
	rc = weir__remote_describe(path, name, ret, &fd, reason, size);
	if (!rc)
		close(fd);
	return rc;
}

static json_t *list(const struct weir__cli_plugins *p)
{
	json_t *all = json_array(), *one;
	struct weir__loaded *l;
	char reason[512];

	for (size_t i = 0; p->names[i]; i++) {
		if (weir__cli_plugin_load(p, p->names[i], &l, reason, sizeof reason) != 0) {
			one = json_pack("{s:s, s:o}", "name", p->names[i], "refused",
			                weir__json_text(reason));
		} else {
			one = weir__describe(&l->desc);
			json_object_set_new(one, "path", weir__json_text(l->path));
		}
		if (json_array_append_new(all, one) != 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

static void words(const json_t *array, char *buf, size_t size)
{
	size_t i, len = 0;
	json_t *v;

	buf[0] = 0;
	json_array_foreach(array, i, v)
		if (len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? " " : "",
			                        json_string_value(v));
}

static void print_list(const json_t *all, bool colour)
{
	static const char *const columns[] = { "name", "kind", "version", "topics", "doc" };
	static const char *const heads[] = { "NAME", "KIND", "VERSION", "TOPICS", "" };
	struct weir__cli_table t = { 0 };
	char topics[256];
	json_t *p;
	size_t i;

	for (i = 0; i < 5; i++)
		weir__table_column(&t, heads[i], false);
	json_array_foreach(all, i, p) {
		const char *refused = json_string_value(json_object_get(p, "refused"));

		for (size_t c = 0; c < 5; c++) {
			const json_t *v = json_object_get(p, columns[c]);

			words(json_is_array(v) ? v : NULL, topics, sizeof topics);
			weir__table_cell(&t, refused ? WEIR__RED : WEIR__PLAIN, "%s",
			                 json_is_string(v) ? json_string_value(v) : *topics ? topics
			                 : refused ? c == 4 ? "refused" : "-" : "");
		}
		if (refused)
			weir__table_note(&t, WEIR__RED, "%s", refused);
	}
	if (json_array_size(all))
		weir__table_print(&t, stdout, colour);
	else
		printf("No plugins: set plugin_dirs, or install some beside the program.\n");
	weir__table_fini(&t);
}

static int cmd_list(const struct weir__cli *cli, const struct weir__cli_plugins *p)
{
	json_t *all = list(p), *v;
	int r = 0;
	size_t i;

	if (!all)
		return weir__cli_error(cli->name, "out of memory");
	if (cli->option[WEIR__CLI_JSON]) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		print_list(all, weir__cli_colour(stdout));
	}
	json_array_foreach(all, i, v)
		if (json_object_get(v, "refused"))
			r = 1;
	json_decref(all);
	return r;
}

static int cmd_describe(const struct weir__cli *cli, const struct weir__cli_plugins *p)
{
	struct weir__loaded *l;
	const char *name = cli->argv[1], *near;
	char reason[512];
	json_t *d;
	int r = weir__cli_plugin_load(p, name, &l, reason, sizeof reason);

	if (r) {
		near = r == -ENOENT ? weir__nearest(name, (const char *const *)p->names) : NULL;
		return weir__cli_error(cli->name, "%s: %s%s%s%s", name, reason,
		                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	d = weir__describe(&l->desc);
	if (!d)
		return weir__cli_error(cli->name, "out of memory");
	json_object_set_new(d, "path", weir__json_text(l->path));
	if (cli->option[WEIR__CLI_JSON]) {
		json_dumpf(d, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		weir__describe_print(d, stdout, weir__cli_colour(stdout));
	}
	json_decref(d);
	return 0;
}

int weir__cmd_plugins(int argc, char **argv)
{
	struct weir__cli_plugins p;
	struct weir__cli cli;
	bool describe;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	describe = cli.argc > 0 && !strcmp(cli.argv[0], "describe");
	if (cli.argc > 0 && !describe && strcmp(cli.argv[0], "list"))
		return weir__cmd_usage(cli.name, "say list, or describe NAME");
	if (cli.argc != (describe ? 2 : cli.argc ? 1 : 0))
		return weir__cmd_usage(cli.name, describe ? "describe takes one plugin" : "list takes no arguments");
	if (weir__cli_plugins_open(&cli, &p) != 0)
		return 1;
	r = describe ? cmd_describe(&cli, &p) : cmd_list(&cli, &p);
	weir__cli_plugins_close(&p);
	return r;
}
