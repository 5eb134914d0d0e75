/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top: a live view of the plugins, from "status" asked again and again.
 *
 * On a terminal it is a live view (live.h). Without a terminal, with --once, --count or --json,
 * frames are printed one after the other and a daemon that is gone is an error. One
 * thread.
 */
#include "cli.h"
#include "live.h"
#include "options.h"
#include "control_private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On paper, not on a terminal: wide enough for all columns. */
#define PAPER_COLUMNS 400

struct arguments { uint64_t interval_ns; };
static const struct weir_option interval_option =
	WEIR_OPTION_DURATION(struct arguments, interval_ns, "interval", "1s", "",
	                     .min = WEIR__TOP_INTERVAL_MIN_S * 1e9, .max = WEIR__TOP_INTERVAL_MAX_S * 1e9);

struct top {
	struct weir__top_view view;
	json_t *now, *before;
	bool colour;
	struct weir__live live;
};

/* Takes the reference. */
static void take_answer(struct top *top, json_t *answer)
{
	json_decref(top->before);
	top->before = top->now;
	top->now = answer;
	top->view.now = top->now;
	top->view.before = top->before;
}

/* ---- the live view -------------------------------------------------------------------- */

static const char *request(void *arg)
{
	(void)arg;
	return "{\"cmd\":\"status\"}\n";
}

static void take(void *arg, json_t *answer)
{
	take_answer(arg, answer);
}

static void paint(void *arg, struct weir__top_text *text, const char *trouble)
{
	struct top *top = arg;

	top->view.trouble = trouble;
	weir__top_frame(&top->view, text);
}

static bool press(void *arg, enum weir__top_key key)
{
	struct top *top = arg;
	bool go_on = weir__top_press(&top->view, key);

	top->live.interval_s = top->view.interval_s;
	top->live.paused = top->view.paused;
	return go_on;
}

/* ---- frames one after the other ----------------------------------------------------------- */

static bool print_json(struct top *top)
{
	json_t *frame = weir__top_json(top->now, top->before, top->view.sort, top->view.reverse);
	bool ok = frame && json_dumpf(frame, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0;

	json_decref(frame);
	printf("\n");
	return ok;
}

static bool print_text(struct top *top)
{
	struct weir__top_text text = { .rows = UINT_MAX, .columns = PAPER_COLUMNS, .colour = top->colour };
	unsigned rows;
	bool ok;

	if (isatty(STDOUT_FILENO))
		weir__top_term_size(&rows, &text.columns);
	top->view.plain = true;
	weir__top_frame(&top->view, &text);
	ok = !text.oom && text.text;
	if (ok)
		fputs(text.text, stdout);
	weir__top_text_fini(&text);
	return ok;
}

/* count 0: no end. */
static int print_frames(struct top *top, const struct weir__cli *cli, unsigned long count)
{
	bool json = cli->option[WEIR__CLI_JSON], ok = true;

	for (unsigned long i = 0; (!count || i < count) && ok; i++) {
		json_t *answer;

		weir__live_nap(top->view.interval_s);
		answer = weir__cli_ask(cli, json_pack("{s:s}", "cmd", "status"), WEIR__LIVE_ANSWER_MS);
		if (!answer)
			return 1;
		take_answer(top, answer);
		if (i && !json)
			printf("\n");
		ok = json ? print_json(top) : print_text(top);
		if (!ok)
			return weir__cli_error(cli->name, "out of memory");
		if (fflush(stdout) != 0)
			return 1; /* main says why */
	}
	return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* -1, or the exit code. */
static int read_words(const struct weir__cli *cli, struct top *top, unsigned long *ret_count)
{
	const char *count = cli->option[WEIR__CLI_COUNT], *sort = cli->option[WEIR__CLI_SORT];
	const char *interval = cli->option[WEIR__CLI_INTERVAL];
	struct arguments args = { .interval_ns = 1000000000ull };
	char err[256], text[320], *end = NULL;

	if (cli->argc)
		return weir__cmd_usage(cli->name, "takes no arguments");
	if (interval && weir__option_set(&interval_option, &args, interval, err, sizeof err) != 0) {
		snprintf(text, sizeof text, "--interval: expected %s", err);
		return weir__cmd_usage(cli->name, text);
	}
	top->view.interval_s = (double)args.interval_ns / 1e9;
	if (sort && weir__top_sort_find(sort) < 0)
		return weir__cmd_usage(cli->name, "--sort takes one of " WEIR__CLI_SORTS);
	top->view.sort = sort ? (enum weir__top_sort)weir__top_sort_find(sort) : WEIR__TOP_CPU;
	*ret_count = 0;
	if (count) {
		*ret_count = strtoul(count, &end, 10);
		if (*count < '1' || *count > '9' || *end)
			return weir__cmd_usage(cli->name, "--count takes a number from 1");
	}
	if (cli->option[WEIR__CLI_ONCE])
		*ret_count = 1;
	return -1;
}

int weir__cmd_top(int argc, char **argv)
{
	struct top top = { .view = { .trouble = "" } };
	unsigned long count = 0;
	struct weir__cli cli;
	json_t *answer;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	r = read_words(&cli, &top, &count);
	if (r >= 0)
		return r;
	/* The first one waits as any other command does, and says what is wrong. */
	answer = weir__cli_ask(&cli, json_pack("{s:s}", "cmd", "status"), WEIR__CONTROL_TIMEOUT_MS);
	if (!answer)
		return 1;
	take_answer(&top, answer);
	top.colour = weir__cli_colour(stdout);
	top.live = (struct weir__live){ .name = cli.name, .socket = weir__cli_socket(&cli),
		.colour = top.colour, .interval_s = top.view.interval_s, .arg = &top,
		.request = request, .take = take, .paint = paint, .press = press };
	if (count || cli.option[WEIR__CLI_JSON])
		r = print_frames(&top, &cli, count);
	else if (!weir__top_term_able())
		r = print_frames(&top, &cli, 1);
	else
		r = weir__live_run(&top.live);
	json_decref(top.now);
	json_decref(top.before);
	return r;
}
