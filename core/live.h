/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live view on a terminal: ask the daemon again and again, paint, take keys.
 *
 *   timer -> request() -> answer -> take() -> paint() -> one write
 *   keys, resizes ---------- press() ---------^
 *
 * It asks over a loop, so that a daemon that is slow or gone stops neither keys nor resizes: it
 * then says so and goes on asking; a daemon that has been started anew is simply the next
 * answer. One thread.
 */
#ifndef WEIR_CORE_LIVE_H
#define WEIR_CORE_LIVE_H

#include "top.h"

struct weir__live {
	const char *name;    /* of the command */
	const char *socket;
	bool colour;
	double interval_s;   /* press() may change both */
	bool paused;
	bool ask_now;        /* set by press(): the next request is another one */
	void *arg;
	/* The next request, a line with its newline; valid until the next call. */
	const char *(*request)(void *arg);
	/* An answer with "ok" true; takes the reference. */
	void (*take)(void *arg, json_t *answer);
	/* trouble: "" the daemon answers, else why not. */
	void (*paint)(void *arg, struct weir__top_text *t, const char *trouble);
	/* false: quit */
	bool (*press)(void *arg, enum weir__top_key key);
};

/* For an answer on a busy machine; after that the view says that none came. */
#define WEIR__LIVE_ANSWER_MS 3000

/* Until quit, or a signal. The exit code. */
int weir__live_run(struct weir__live *live);
/* Wait between two frames that are printed one after the other. */
void weir__live_nap(double s);

#endif
