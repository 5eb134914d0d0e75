/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the supervisor from outside: enable, disable or restart a plugin, start
 * or stop all of them; and the answers to those who wait for it. The steps themselves are
 * sup_plugin.c's.
 *
 * Happy path: the wish is noted, reconcile() takes the steps, settle() answers when the
 * plugin is on its way nowhere. Failure: an unknown or disabled plugin is answered at
 * once; one that fails, with its reason; a stop that takes too long ends at its deadline,
 * not clean. Main thread.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>

/* ---- one plugin ------------------------------------------------------------------------ */

void weir__sup_answer_waiters(struct sup_plugin *p, int err, const char *message)
{
	struct waiter *w = p->waiters, *next;

	p->waiters = NULL;
	for (; w; w = next) {
		next = w->next;
		w->done(w->arg, err, weir__state_name(p->state), message);
		weir__free(w);
	}
}

void weir__sup_settle(struct sup_plugin *p)
{
	char text[700];

	if (p->upgrade_error) {
		snprintf(text, sizeof text, "%s goes on as it is: %.500s", p->name, p->upgrade_error);
		weir__free(p->upgrade_error);
		p->upgrade_error = NULL;
		weir__sup_answer_waiters(p, -EINVAL, text);
		return;
	}
	if (p->state == WEIR__STARTING || p->state == WEIR__STOPPING || p->phase || p->upgrade ||
	    p->switching)
		return;
	if (p->lost && p->enabled && p->state != WEIR__RUNNING) {
		snprintf(text, sizeof text, "%s: a thread of it does not come back (%.500s); it can start "
		         "again when it does, or when weir is restarted", p->name, p->reason);
		weir__sup_answer_waiters(p, -EBUSY, text);
		return;
	}
	if (p->state == WEIR__FAILED || p->state == WEIR__REFUSED) {
		snprintf(text, sizeof text, "%s: %s", p->name, p->reason);
		weir__sup_answer_waiters(p, p->start_rc ? p->start_rc : -EIO, text);
		return;
	}
	snprintf(text, sizeof text, "%s is %s%s%s", p->name, weir__state_name(p->state),
	         p->state == WEIR__STANDBY ? ": the topics it stands in for are served" : "",
	         p->for_until_ns ? ", for a limited time" : "");
	weir__sup_answer_waiters(p, 0, text);
}

void weir__sup_change(struct weir__supervisor *s, enum weir__sup_verb verb, const char *plugin,
                      weir__sup_done done, void *arg)
{
	struct sup_plugin *p = weir__sup_find(s, plugin);
	struct waiter *w = p ? weir__zalloc(sizeof *w) : NULL;
	bool enabled = verb != WEIR__DISABLE;
	char text[300];

	if (!w) {
		snprintf(text, sizeof text, p ? "out of memory" : "there is no plugin \"%.64s\"", plugin);
		done(arg, p ? -ENOMEM : -ENOENT, "", text);
		return;
	}
	if (verb == WEIR__RESTART && !p->enabled) {
		snprintf(text, sizeof text, "%s is disabled; use `weir enable %s`", plugin, plugin);
		done(arg, -EINVAL, weir__state_name(p->state), text);
		weir__free(w);
		return;
	}
	w->done = done;
	w->arg = arg;
	w->next = p->waiters;
	p->waiters = w;
	if (enabled)
		weir__sup_forgive(p);
	if (verb == WEIR__RESTART || (enabled && (p->state == WEIR__FAILED || p->state == WEIR__SUSPENDED)))
		p->restart = true;
	p->enabled = enabled;
	weir__sup_reconcile(s);
}

/* ---- all of them ---------------------------------------------------------------------- */

void weir__sup_start(struct weir__supervisor *s)
{
	s->started = true;
	weir__sup_recall_crashes(s);
	weir__sup_reconcile(s);
}

/* The stop of the whole is done when collectors have gone, then all others. */
void weir__sup_check_stopped(struct weir__supervisor *s)
{
	bool collectors = false, others = false, lost = false;
	void (*stopped)(void *, bool) = s->stopped;

	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		lost |= p->lost > 0;
		if (!p->host)
			continue;
		if (p->desc->kind == WEIR_COLLECTOR)
			collectors = true;
		else
			others = true;
	}
	if (collectors || !stopped)
		return;
	if (!s->outputs_stopping) {
		s->outputs_stopping = true;
		weir__sup_reconcile(s);
		return;
	}
	if (others)
		return;
	s->stopped = NULL;
	uv_timer_stop(&s->stop_timer);
	stopped(s->stopped_arg, !lost); /* a lost thread still uses what would be freed */
}

static void on_stop_deadline(uv_timer_t *timer)
{
	struct weir__supervisor *s = timer->data;
	void (*stopped)(void *, bool) = s->stopped;

	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->host)
			weir__log(WEIR_ERROR, p->name, "did not end within the deadline: its "
			          "thread does not answer");
	s->stopped = NULL;
	if (stopped)
		stopped(s->stopped_arg, false);
}

void weir__sup_stop(struct weir__supervisor *s, uint64_t timeout_ns,
                    void (*done)(void *arg, bool clean), void *arg)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	/* Collectors and outputs each have the timeout for their queues, and what a
	 * plugin's own stop takes comes on top. */
	uv_timer_start(&s->stop_timer, on_stop_deadline, 2 * timeout_ns / 1000000 + 3000, 0);
	weir__sup_reconcile(s);
}

bool weir__sup_settled(const struct weir__supervisor *s)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->state == WEIR__STARTING)
			return false;
	return s->started;
}
