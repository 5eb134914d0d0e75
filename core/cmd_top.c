/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top: a live view of the plugins, from "status" asked again and again. The loop
 * is live.c's, rows and frames are top_*.c's. One thread.
 */
#include "live.h"

struct top {
	struct weir__top_view view;
	json_t *now, *before;
};

static json_t *request(void *view, unsigned step)
{
	(void)view;
	(void)step;
	return json_pack("{s:s}", "cmd", "status");
}

static int take(void *view, unsigned step, json_t *answer, char *why, size_t size)
{
	struct top *top = view;

	(void)step;
	(void)why;
	(void)size;
	json_decref(top->before);
	top->before = top->now;
	top->now = answer;
	top->view.now = top->now;
	top->view.before = top->before;
	return 0;
}

static void frame(void *view, struct weir__top_text *t)
{
	struct top *top = view;

	weir__top_frame(&top->view, t);
}

static json_t *frame_json(void *view)
{
	struct top *top = view;

	return weir__top_json(top->now, top->before, top->view.sort, top->view.reverse);
}

static enum weir__live_pressed press(void *view, const char *typed, size_t len, size_t *ret_used)
{
	struct top *top = view;
	enum weir__top_key key = weir__top_key(typed, len, ret_used);

	return weir__top_press(&top->view, key) ? WEIR__LIVE_STAY : WEIR__LIVE_QUIT;
}

int weir__cmd_top(int argc, char **argv)
{
	static const struct weir__live_ops ops = { request, take, frame, frame_json, press };
	struct top top = { 0 };
	struct weir__live live = { .ops = &ops, .view = &top, .interval_s = &top.view.interval_s,
		.paused = &top.view.paused, .plain = &top.view.plain, .trouble = &top.view.trouble };
	unsigned long count = 0;
	struct weir__cli cli;
	const char *sort;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc)
		return weir__cmd_usage(cli.name, "takes no arguments");
	r = weir__live_words(&cli, &top.view.interval_s, &count);
	if (r >= 0)
		return r;
	sort = cli.option[WEIR__CLI_SORT];
	if (sort && weir__top_sort_find(sort) < 0)
		return weir__cmd_usage(cli.name, "--sort takes one of " WEIR__CLI_SORTS);
	top.view.sort = sort ? (enum weir__top_sort)weir__top_sort_find(sort) : WEIR__TOP_CPU;
	r = weir__live_run(&live, &cli, count);
	json_decref(top.now);
	json_decref(top.before);
	return r;
}
