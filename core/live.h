/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What live views share: asking the daemon again and again, painting, keys, signals;
 * and the same without a terminal, frame after frame. What is asked, shown and done
 * with keys is the view's: weir top, weir flows, weir dns. One thread.
 */
#ifndef WEIR_CORE_LIVE_H
#define WEIR_CORE_LIVE_H

#include "cli.h"
#include "top.h"

enum weir__live_pressed {
	WEIR__LIVE_QUIT,
	WEIR__LIVE_STAY,
	WEIR__LIVE_ASK, /* what is shown is not what is wanted any more: ask at once */
};

struct weir__live_ops {
	/* A round is one request or more, each by the answer to the one before: that of
	 * this step, from 0. NULL: out of memory. */
	json_t *(*request)(void *view, unsigned step);
	/* Takes the reference of an answer with "ok" true. 0: the round is complete; 1: it
	 * goes on with the next step; <0: it cannot, and why. */
	int (*take)(void *view, unsigned step, json_t *answer, char *why, size_t size);
	void (*frame)(void *view, struct weir__top_text *t);
	/* The frame for programs; NULL: out of memory. */
	json_t *(*json)(void *view);
	/* The first key of what was typed; *ret_used bytes of it, at least 1. */
	enum weir__live_pressed (*press)(void *view, const char *typed, size_t len, size_t *ret_used);
};

struct weir__live {
	const struct weir__live_ops *ops;
	void *view;
	/* In the view: */
	double *interval_s; /* taking an answer may make it longer */
	const bool *paused;
	bool *plain;          /* set for frames on paper */
	const char **trouble; /* why nothing new came; "" if it did */
};

/* --interval, --count and --once. -1 go on, or the exit code. *ret_count 0: no end. */
int weir__live_words(const struct weir__cli *cli, double *ret_interval_s, unsigned long *ret_count);
/* Until the user quits, or count frames have been printed; without a terminal one, with
 * --json until it is ended. The exit code. */
int weir__live_run(const struct weir__live *live, const struct weir__cli *cli, unsigned long count);

#endif
