/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir flows, weir dns: live tables of what a plugin knows about its topic.
 *
 * Which plugin is found, not named: the one that runs and provides the topic, a fallback
 * included. Words KEY=VALUE go to its query as they are. On a terminal it is a live view
 * (live.h); elsewhere, or with --once, --count or --json, frames are printed one after the
 * other, and a daemon that is gone is an error. One thread.
 */
#include "cli.h"
#include "control.h"
#include "control_private.h"
#include "live.h"
#include "live_table.h"
#include "mem.h"
#include "options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A plugin has ten seconds to answer, and the daemon says then that it took longer. */
#define TIMEOUT_MS 15000
/* Wide enough for all columns, where there is no terminal. */
#define PAPER_COLUMNS 400
/* Rows that are asked for: more than any terminal has; and where there is none. */
#define ROWS "200"
#define PAPER_ROWS "20"

struct arguments { uint64_t interval_ns; };
static const struct weir_option interval_option =
	WEIR_OPTION_DURATION(struct arguments, interval_ns, "interval", "1s", "",
	                     .min = WEIR__TOP_INTERVAL_MIN_S * 1e9, .max = WEIR__TOP_INTERVAL_MAX_S * 1e9);

struct tables {
	const struct weir__live_command *command;
	const struct weir__live_table *table;
	const char *sort;         /* NULL: the table's first */
	char sort_now[32];
	char plugin[64], source[64];
	bool paused, help, limit; /* limit: given by hand */
	char **words;
	int word_count;
	json_t *now, *before;     /* arrays */
	double now_s, before_s;
	struct weir__live live;
	char *line;               /* the request */
};

static double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void forget(struct tables *l)
{
	json_decref(l->now);
	json_decref(l->before);
	l->now = l->before = NULL;
}

/* An answer's body; takes the reference. false: it is not what a table can show. */
static bool take_body(struct tables *l, json_t *answer)
{
	const json_t *body = json_object_get(answer, "body");
	json_t *rows = json_is_string(body)
		? json_loadb(json_string_value(body), json_string_length(body), 0, NULL) : NULL;

	json_decref(answer);
	if (!json_is_array(rows)) {
		json_decref(rows);
		return false;
	}
	json_decref(l->before);
	l->before = l->now;
	l->before_s = l->now_s;
	l->now = rows;
	l->now_s = clock_s();
	return true;
}

/* ---- asking ------------------------------------------------------------------------------ */

static json_t *make_request(const struct tables *l, bool paper)
{
	json_t *args = json_array();
	char text[64];

	for (int i = 0; i < l->word_count; i++)
		if (json_array_append_new(args, json_string(l->words[i])) != 0)
			goto fail;
	if (l->table->arg)
		json_array_append_new(args, json_string(l->table->arg));
	snprintf(text, sizeof text, "sort=%.*s", (int)strcspn(l->sort_now, " "), l->sort_now);
	json_array_append_new(args, json_string(text));
	if (!l->limit)
		json_array_append_new(args, json_string(paper ? "limit=" PAPER_ROWS : "limit=" ROWS));
	return json_pack("{s:s, s:s, s:s, s:o}", "cmd", "query", "plugin", l->plugin, "query",
	                 l->table->query, "args", args);
fail:
	json_decref(args);
	return NULL;
}

/* Who has the topic. 0, or 1 after a complaint. */
static int find_plugin(struct tables *l, const struct weir__cli *cli)
{
	json_t *status = weir__cli_ask(cli, json_pack("{s:s}", "cmd", "status"), WEIR__CONTROL_TIMEOUT_MS);
	const json_t *plugin, *topic, *plugins = json_object_get(status, "plugins");
	char could[256] = "";
	size_t i, j;

	if (!status)
		return 1;
	json_array_foreach(plugins, i, plugin)
		json_array_foreach(json_object_get(plugin, "topics"), j, topic) {
			const char *name = weir__top_string(plugin, "name");
			const char *state = weir__top_string(plugin, "state");

			if (!json_is_string(topic) || strcmp(json_string_value(topic), l->command->topic) ||
			    strcmp(weir__top_string(plugin, "kind"), "collector"))
				continue;
			if (!strcmp(state, "running") && !*l->plugin) {
				snprintf(l->plugin, sizeof l->plugin, "%s", name);
				snprintf(l->source, sizeof l->source, "%s", weir__top_string(plugin, "source"));
			}
			snprintf(could + strlen(could), sizeof could - strlen(could), "%s%s (%s)",
			         *could ? ", " : "", name, state);
		}
	json_decref(status);
	if (*l->plugin)
		return 0;
	if (*could)
		return weir__cli_error(cli->name, "no plugin with topic %s runs: %s; weir status says why, "
		                       "weir enable NAME switches one on", l->command->topic, could);
	return weir__cli_error(cli->name, "no plugin in the configuration has topic %s: weir plugins lists "
	                       "those there are; add one below `plugins:`, then weir reload",
	                       l->command->topic);
}

/* ---- the live view ------------------------------------------------------------------------- */

static const char *request(void *arg)
{
	struct tables *l = arg;
	json_t *rq = make_request(l, false);
	char *text = rq ? json_dumps(rq, JSON_COMPACT) : NULL;

	json_decref(rq);
	free(l->line);
	l->line = NULL;
	if (text && asprintf(&l->line, "%s\n", text) < 0)
		l->line = NULL;
	free(text);
	return l->line ? l->line : "{}\n";
}

static void take(void *arg, json_t *answer)
{
	take_body(arg, answer);
}

static void paint_help(struct weir__top_text *t)
{
	static const char *const lines[] = {
		"q      quit", "s      sort by the next key", "Enter  the next table (--by)",
		"p      pause", "+ -    longer, shorter interval", "h      this help",
	};

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		weir__top_line(t, WEIR__PLAIN, "%s", lines[i]);
}

static void paint(void *arg, struct weir__top_text *t, const char *trouble)
{
	struct tables *l = arg;

	weir__top_put(t, WEIR__BOLD, "weir %s", l->command->name);
	weir__top_put(t, WEIR__PLAIN, "  by %s, sorted by %.*s  from %s", l->table->by,
	              (int)strcspn(l->sort_now, " "), l->sort_now, l->plugin);
	weir__top_put(t, WEIR__PLAIN, "%s%s%s", *l->source ? " (" : "", l->source, *l->source ? ")" : "");
	weir__top_put(t, WEIR__YELLOW, "%s", l->paused ? "  paused" : "");
	weir__top_put(t, WEIR__DIM, "  h help");
	weir__top_end(t);
	if (*trouble)
		weir__top_line(t, WEIR__RED, "%s", trouble);
	if (l->help)
		paint_help(t);
	else
		weir__live_frame(l->table, l->now, l->before, l->before ? l->now_s - l->before_s : 0, t);
}

/* The next table: a key of --sort that it does not have gives way to its first. */
static void next_table(struct tables *l)
{
	size_t at = (size_t)(l->table - l->command->tables);

	l->table = &l->command->tables[(at + 1) % l->command->count];
	snprintf(l->sort_now, sizeof l->sort_now, "%.*s", (int)strcspn(l->table->sorts, " "), l->table->sorts);
	forget(l);
}

static void next_sort(struct tables *l)
{
	size_t n = strlen(l->sort_now);
	const char *at = l->table->sorts;

	while (*at && (strncmp(at, l->sort_now, n) || (at[n] && at[n] != ' '))) {
		at += strcspn(at, " ");
		at += *at == ' ';
	}
	at += *at ? n : 0;
	at = *at == ' ' ? at + 1 : l->table->sorts;
	snprintf(l->sort_now, sizeof l->sort_now, "%.*s", (int)strcspn(at, " "), at);
}

static bool press(void *arg, enum weir__top_key key)
{
	struct tables *l = arg;
	struct weir__live *live = &l->live;

	switch (key) {
	case WEIR__KEY_QUIT: return false;
	case WEIR__KEY_SORT: next_sort(l); live->ask_now = true; break;
	case WEIR__KEY_ENTER: next_table(l); live->ask_now = true; break;
	case WEIR__KEY_PAUSE: l->paused = live->paused = !l->paused; break;
	case WEIR__KEY_HELP: l->help = !l->help; break;
	case WEIR__KEY_BACK: l->help = false; break;
	case WEIR__KEY_FASTER: live->interval_s = live->interval_s / 2; break;
	case WEIR__KEY_SLOWER: live->interval_s = live->interval_s * 2; break;
	default: break;
	}
	if (live->interval_s < WEIR__TOP_INTERVAL_MIN_S)
		live->interval_s = WEIR__TOP_INTERVAL_MIN_S;
	if (live->interval_s > WEIR__TOP_INTERVAL_MAX_S)
		live->interval_s = WEIR__TOP_INTERVAL_MAX_S;
	return true;
}

/* ---- frames one after the other ------------------------------------------------------------- */

static bool print_frame(struct tables *l, bool json)
{
	struct weir__top_text text = { .rows = UINT_MAX, .columns = PAPER_COLUMNS, .colour = l->live.colour };
	unsigned rows;
	bool ok;

	if (json) {
		ok = json_dumpf(l->now, stdout, JSON_COMPACT) == 0;
		printf("\n");
		return ok;
	}
	if (isatty(STDOUT_FILENO))
		weir__top_term_size(&rows, &text.columns);
	weir__live_frame(l->table, l->now, l->before, l->before ? l->now_s - l->before_s : 0, &text);
	ok = !text.oom && text.text;
	if (ok)
		fputs(text.text, stdout);
	weir__top_text_fini(&text);
	return ok;
}

static int ask_once(struct tables *l, const struct weir__cli *cli)
{
	json_t *answer = weir__cli_ask(cli, make_request(l, true), TIMEOUT_MS);

	if (!answer)
		return 1;
	return take_body(l, answer) ? 0 : weir__cli_error(cli->name, "%s does not answer %s with a list",
	                                                  l->plugin, l->table->query);
}

/* count 0: no end. */
static int print_frames(struct tables *l, const struct weir__cli *cli, unsigned long count)
{
	for (unsigned long i = 0; !count || i < count; i++) {
		weir__live_nap(l->live.interval_s);
		if (ask_once(l, cli) != 0)
			return 1;
		if (i && !cli->option[WEIR__CLI_JSON])
			printf("\n");
		if (!print_frame(l, cli->option[WEIR__CLI_JSON]))
			return weir__cli_error(cli->name, "out of memory");
		if (fflush(stdout) != 0)
			return 1; /* main says why */
	}
	return 0;
}

/* ---- words ------------------------------------------------------------------------------------ */

/* -1, or the exit code. */
static int read_words(const struct weir__cli *cli, struct tables *l, unsigned long *ret_count)
{
	const char *by = cli->option[WEIR__CLI_BY], *sort = cli->option[WEIR__CLI_SORT];
	const char *count = cli->option[WEIR__CLI_COUNT], *interval = cli->option[WEIR__CLI_INTERVAL];
	struct arguments args = { .interval_ns = 1000000000ull };
	char err[256], text[400], words[200], *end = NULL;

	l->table = by ? weir__live_by(l->command, by) : l->command->tables;
	if (!l->table) {
		snprintf(text, sizeof text, "--by takes %s", weir__live_words(l->command, words, sizeof words));
		return weir__cmd_usage(cli->name, text);
	}
	if (sort && !weir__live_sorts(l->table, sort)) {
		snprintf(text, sizeof text, "--sort of --by %s takes one of: %s", l->table->by, l->table->sorts);
		return weir__cmd_usage(cli->name, text);
	}
	snprintf(l->sort_now, sizeof l->sort_now, "%.*s",
	         (int)strcspn(sort ? sort : l->table->sorts, " "), sort ? sort : l->table->sorts);
	if (interval && weir__option_set(&interval_option, &args, interval, err, sizeof err) != 0) {
		snprintf(text, sizeof text, "--interval: expected %s", err);
		return weir__cmd_usage(cli->name, text);
	}
	l->live.interval_s = (double)args.interval_ns / 1e9;
	for (int i = 0; i < cli->argc; i++) {
		if (!strchr(cli->argv[i], '='))
			return weir__cmd_usage(cli->name, "words are KEY=VALUE, such as process=nginx");
		l->limit |= !strncmp(cli->argv[i], "limit=", 6);
	}
	l->words = cli->argv;
	l->word_count = cli->argc;
	*ret_count = count ? strtoul(count, &end, 10) : 0;
	if (count && (*count < '1' || *count > '9' || *end))
		return weir__cmd_usage(cli->name, "--count takes a number from 1");
	if (cli->option[WEIR__CLI_ONCE])
		*ret_count = 1;
	return -1;
}

static int cmd_live(int argc, char **argv)
{
	struct tables l = { .command = weir__live_command(argv[0]) };
	unsigned long count = 0;
	struct weir__cli cli;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	r = read_words(&cli, &l, &count);
	if (r >= 0)
		return r;
	l.live = (struct weir__live){ .name = cli.name, .socket = weir__cli_socket(&cli),
		.colour = weir__cli_colour(stdout), .interval_s = l.live.interval_s, .arg = &l,
		.request = request, .take = take, .paint = paint, .press = press };
	/* The first answer waits as that of any other command does, and says what is wrong. */
	r = find_plugin(&l, &cli);
	if (!r)
		r = ask_once(&l, &cli);
	if (r)
		goto out;
	if (count || cli.option[WEIR__CLI_JSON])
		r = print_frames(&l, &cli, count);
	else if (!weir__top_term_able())
		r = print_frames(&l, &cli, 1);
	else
		r = weir__live_run(&l.live);
out:
	forget(&l);
	free(l.line);
	return r;
}

int weir__cmd_flows(int argc, char **argv)
{
	return cmd_live(argc, argv);
}

int weir__cmd_dns(int argc, char **argv)
{
	return cmd_live(argc, argv);
}
