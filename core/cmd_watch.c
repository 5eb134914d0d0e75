/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir flows, weir dns: live tables of what the plugins of a topic answer. One thread.
 */
#include "cli_plugins.h"
#include "format.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

/* A topic is among words separated by spaces. */
static bool declares(const char *topics, const char *topic)
{
	size_t n = strlen(topic);

	for (const char *at = topics; at && *at; at += strcspn(at, " "), at += *at == ' ')
		if (!strncmp(at, topic, n) && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

/* From the plugin files: those that a daemon does not load are in no status. */
static void look_for(const char *topic, char *buf, size_t size)
{
	struct weir__cli cli = { .name = "plugins" };
	struct weir__cli_plugins p;
	struct weir__loaded *l;
	char reason[512];
	size_t n = 0;

	*buf = 0;
	if (weir__cli_plugins_open(&cli, &p) != 0)
		return;
	for (size_t i = 0; p.names[i]; i++)
		if (weir__cli_plugin_load(&p, p.names[i], &l, reason, sizeof reason) == 0 &&
		    l->desc.kind == WEIR_COLLECTOR && declares(l->desc.topics, topic) && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", p.names[i]);
	weir__cli_plugins_close(&p);
}

/* -1, or the exit code. */
static int read_words(const struct weir__cli *cli, struct weir__watch *w)
{
	const char *by = cli->option[WEIR__CLI_BY], *sort = cli->option[WEIR__CLI_SORT];
	const char *limit = cli->option[WEIR__CLI_LIMIT], *filter = cli->option[WEIR__CLI_FILTER];
	char words[128], text[320], *end;

	if (cli->argc)
		return weir__cmd_usage(cli->name, "takes no arguments but options; a filter is --filter EXPR");
	w->table = by ? weir__watch_by(w->kind, by) : w->kind->tables;
	if (!w->table) {
		snprintf(text, sizeof text, "--by takes one of %s",
		         weir__watch_bys(w->kind, words, sizeof words));
		return weir__cmd_usage(cli->name, text);
	}
	w->sort = sort ? weir__watch_sort_of(w->table, sort) : w->table->sorts;
	if (!w->sort) {
		snprintf(text, sizeof text, "--sort takes, by %s, one of %s", w->table->by,
		         weir__watch_sorts(w->table, words, sizeof words));
		return weir__cmd_usage(cli->name, text);
	}
	if (limit) {
		w->limit = strtoul(limit, &end, 10);
		if (*limit < '1' || *limit > '9' || *end || w->limit > WEIR__WATCH_ROWS)
			return weir__cmd_usage(cli->name, "--limit takes a number from 1 to 1000");
	}
	if (filter && (strlen(filter) >= sizeof w->filter || !weir__watch_filter(filter, NULL))) {
		snprintf(text, sizeof text, "--filter takes KEY=VALUE pairs, such as \"%s\"", w->kind->words);
		return weir__cmd_usage(cli->name, text);
	}
	snprintf(w->filter, sizeof w->filter, "%s", filter ? filter : "");
	return -1;
}

static int watch(int argc, char **argv, const struct weir__watch_kind *kind)
{
	static const struct weir__live_ops ops = { weir__watch_request, weir__watch_take,
		weir__watch_frame, weir__watch_json, weir__watch_press };
	struct weir__watch w = { .kind = kind, .look = look_for };
	struct weir__live live = { .ops = &ops, .view = &w, .interval_s = &w.interval_s,
		.paused = &w.paused, .plain = &w.plain, .trouble = &w.trouble };
	unsigned long count = 0;
	struct weir__cli cli;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	r = read_words(&cli, &w);
	if (r < 0)
		r = weir__live_words(&cli, &w.interval_s, &count);
	if (r >= 0)
		return r;
	r = weir__live_run(&live, &cli, count);
	weir__watch_fini(&w);
	return r;
}

int weir__cmd_flows(int argc, char **argv)
{
	return watch(argc, argv, &weir__watch_flows);
}

int weir__cmd_dns(int argc, char **argv)
{
	return watch(argc, argv, &weir__watch_dns);
}
