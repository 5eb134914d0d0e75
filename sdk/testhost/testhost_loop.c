/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake loop: a clock that the test moves, timers and ticks on it, real file
 * descriptors through poll(2), work and answers in the next round.
 *
 * Timers fire in the order of their due times, each at its own time, so a test
 * that advances by a minute sees what a minute would have shown. A callback may
 * start and stop anything, itself included.
 */
#include "testhost_priv.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX
/* A callback that re-arms itself at once would hold the clock for ever. */
#define MAX_CALLS 1000000

/* ---- clocks ------------------------------------------------------------------ */

static uint64_t test_now(struct weir_plugin *p)
{
	return weir__test_of(p)->now_ns;
}

static uint64_t test_realtime(struct weir_plugin *p)
{
	return weir__test_of(p)->now_ns - WEIR_TEST_NOW + WEIR_TEST_REALTIME;
}

/* The same in every run: xorshift64. */
static uint64_t test_random(struct weir_plugin *p)
{
	struct weir_test *t = weir__test_of(p);

	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

uint64_t weir_test_now(struct weir_test *t)
{
	return t->now_ns;
}

/* ---- timers -------------------------------------------------------------------- */

static struct weir_timer *add_timer(struct weir_test *t, uint64_t first_ns, uint64_t repeat_ns,
                                    void (*cb)(struct weir_plugin *, void *), void *arg)
{
	struct weir_timer *w = weir__test_alloc(sizeof(*w));

	/* resolution of the real host */
	if (repeat_ns && repeat_ns < WEIR_TEST_MS)
		repeat_ns = WEIR_TEST_MS;
	*w = (struct weir_timer){ .next = t->timers, .test = t, .due_ns = t->now_ns + first_ns,
		.repeat_ns = repeat_ns, .order = t->order++, .cb = cb, .arg = arg };
	t->timers = w;
	return w;
}

static struct weir_timer *test_timer_start(struct weir_plugin *p, uint64_t first_ns,
                                           uint64_t repeat_ns,
                                           void (*cb)(struct weir_plugin *, void *), void *arg)
{
	struct weir_test *t = weir__test_of(p);

	if (weir__test_must_fail(t, WEIR_TEST_TIMER))
		return NULL;
	return add_timer(t, first_ns, repeat_ns, cb, arg);
}

static void test_timer_stop(struct weir_timer *w)
{
	struct weir_timer **at;

	if (!w)
		return;
	for (at = &w->test->timers; *at && *at != w; at = &(*at)->next)
		;
	if (!*at)
		weir__test_die("timer_stop of a timer that is not running");
	*at = w->next;
	free(w);
}

size_t weir_test_timers(struct weir_test *t)
{
	size_t n = 0;

	for (struct weir_timer *w = t->timers; w; w = w->next)
		n += w != t->tick;
	return n;
}

static struct weir_timer *first_due(struct weir_test *t)
{
	struct weir_timer *first = NULL;

	for (struct weir_timer *w = t->timers; w; w = w->next)
		if (w->due_ns != NEVER &&
		    (!first || w->due_ns < first->due_ns ||
		     (w->due_ns == first->due_ns && w->order < first->order)))
			first = w;
	return first;
}

static void fire(struct weir_test *t, struct weir_timer *w)
{
	void (*cb)(struct weir_plugin *, void *) = w->cb;
	void *arg = w->arg;

	/* A timer that has fired for the only time stays until it is stopped. */
	w->due_ns = w->repeat_ns ? w->due_ns + w->repeat_ns : NEVER;
	w->order = t->order++;
	cb(&t->plugin, arg);
}

unsigned int weir_test_advance(struct weir_test *t, uint64_t ns)
{
	uint64_t until = t->now_ns + ns;
	unsigned int calls = weir__test_run_pending(t);
	struct weir_timer *w;

	while ((w = first_due(t)) && w->due_ns <= until) {
		if (w->due_ns > t->now_ns)
			t->now_ns = w->due_ns;
		fire(t, w);
		calls += 1 + weir__test_run_pending(t);
		if (calls > MAX_CALLS)
			weir__test_die("advance: %u callbacks, a timer re-arms itself at once", calls);
	}
	t->now_ns = until;
	return calls;
}

/* ---- the tick of a source ---------------------------------------------------------- */

int weir_test_tick(struct weir_test *t)
{
	int r;

	if (!t->source_started || !t->source->tick)
		weir__test_die("tick: no source with tick() is started");
	r = t->source->tick(&t->plugin);
	if (r < 0) {
		t->tick_errors++;
		t->tick_error = r;
	}
	return r;
}

static void on_tick(struct weir_plugin *p, void *arg)
{
	(void)arg;
	weir_test_tick(weir__test_of(p));
}

void weir__test_tick_start(struct weir_test *t)
{
	uint64_t ns;

	if (!t->source->tick)
		return;
	memcpy(&ns, (const char *)t->plugin.state + t->source->interval_offset, sizeof(ns));
	if (ns < WEIR_TEST_MS)
		ns = WEIR_TEST_MS;
	t->tick = add_timer(t, ns, ns, on_tick, NULL);
}

void weir__test_tick_stop(struct weir_test *t)
{
	test_timer_stop(t->tick);
	t->tick = NULL;
}

unsigned int weir_test_tick_errors(struct weir_test *t, int *ret_last)
{
	if (ret_last)
		*ret_last = t->tick_error;
	return t->tick_errors;
}

/* ---- descriptors ----------------------------------------------------------------- */

static struct weir_fd *test_fd_start(struct weir_plugin *p, int fd, int events,
                                     void (*cb)(struct weir_plugin *, int, int, void *), void *arg)
{
	struct weir_test *t = weir__test_of(p);
	struct weir_fd *w;

	if (weir__test_must_fail(t, WEIR_TEST_FD))
		return NULL;
	w = weir__test_alloc(sizeof(*w));
	*w = (struct weir_fd){ .next = t->fds, .test = t, .fd = fd, .events = events, .cb = cb, .arg = arg };
	t->fds = w;
	return w;
}

static void test_fd_stop(struct weir_fd *w)
{
	struct weir_fd **at;

	if (!w)
		return;
	for (at = &w->test->fds; *at && *at != w; at = &(*at)->next)
		;
	if (!*at)
		weir__test_die("fd_stop of a watcher that is not running");
	*at = w->next;
	free(w);
}

size_t weir_test_watchers(struct weir_test *t)
{
	size_t n = 0;

	for (struct weir_fd *w = t->fds; w; w = w->next)
		n++;
	return n;
}

static bool still_watched(struct weir_test *t, const struct weir_fd *w)
{
	for (struct weir_fd *at = t->fds; at; at = at->next)
		if (at == w)
			return true;
	return false;
}

unsigned int weir_test_poll(struct weir_test *t, int timeout_ms)
{
	unsigned int calls = weir__test_run_pending(t);
	size_t n = weir_test_watchers(t), i = 0;
	struct pollfd *fds = weir__test_alloc(n * sizeof(*fds));
	struct weir_fd **who = weir__test_alloc(n * sizeof(*who));

	for (struct weir_fd *w = t->fds; w; w = w->next, i++) {
		who[i] = w;
		fds[i].fd = w->fd;
		fds[i].events = (short)((w->events & WEIR_READABLE ? POLLIN : 0) |
		                        (w->events & WEIR_WRITABLE ? POLLOUT : 0));
	}
	if (n && poll(fds, n, calls ? 0 : timeout_ms) > 0) {
		for (i = 0; i < n; i++) {
			int events = (fds[i].revents & (POLLIN | POLLHUP | POLLERR) ? WEIR_READABLE : 0) |
			             (fds[i].revents & POLLOUT ? WEIR_WRITABLE : 0);

			if (!events || !still_watched(t, who[i]))
				continue;
			who[i]->cb(&t->plugin, fds[i].fd, events, who[i]->arg);
			calls++;
		}
	}
	free(fds);
	free(who);
	return calls + weir__test_run_pending(t);
}

/* ---- work and answers ---------------------------------------------------------------- */

static struct pending *add_pending(struct weir_test *t)
{
	struct pending *q = weir__test_alloc(sizeof(*q));

	*t->pending_end = q;
	t->pending_end = &q->next;
	return q;
}

static int test_work(struct weir_plugin *p, void (*work)(void *), void (*done)(struct weir_plugin *, void *),
                     void *arg)
{
	struct weir_test *t = weir__test_of(p);
	struct pending *q;

	if (weir__test_must_fail(t, WEIR_TEST_WORK))
		return -ENOMEM;
	q = add_pending(t);
	q->work = work;
	q->done = done;
	q->arg = arg;
	return 0;
}

static int test_ask(struct weir_plugin *p, const char *query,
                    void (*cb)(struct weir_plugin *, int, const char *, size_t, void *), void *arg)
{
	struct pending *q = add_pending(weir__test_of(p));

	q->query = weir__test_strdup(query);
	q->answered = cb;
	q->arg = arg;
	return 0;
}

void weir_test_answer(struct weir_test *t, const char *query, const char *text)
{
	weir__named_set(&t->answers, query, text, strlen(text));
}

static void run_one(struct weir_test *t, struct pending *q)
{
	if (q->query) {
		struct named *n = weir__named_find(t->answers, q->query);

		q->answered(&t->plugin, n ? 0 : -ENOENT, n ? n->data : "", n ? n->len : 0, q->arg);
		return;
	}
	q->work(q->arg);
	if (q->done)
		q->done(&t->plugin, q->arg);
}

unsigned int weir__test_run_pending(struct weir_test *t)
{
	unsigned int calls = 0;
	struct pending *q;

	while ((q = t->pending)) {
		t->pending = q->next;
		if (!t->pending)
			t->pending_end = &t->pending;
		run_one(t, q);
		free(q->query);
		free(q);
		if (++calls > MAX_CALLS)
			weir__test_die("%u rounds of work, each asks for more", calls);
	}
	return calls;
}

void weir__test_loop_free(struct weir_test *t)
{
	while (t->timers)
		test_timer_stop(t->timers);
	while (t->fds)
		test_fd_stop(t->fds);
	while (t->pending) {
		struct pending *q = t->pending;

		t->pending = q->next;
		free(q->query);
		free(q);
	}
}

void weir__test_loop_slots(struct weir_host *h)
{
	h->now = test_now;
	h->realtime = test_realtime;
	h->random = test_random;
	h->timer_start = test_timer_start;
	h->timer_stop = test_timer_stop;
	h->fd_start = test_fd_start;
	h->fd_stop = test_fd_stop;
	h->work = test_work;
	h->ask = test_ask;
}
