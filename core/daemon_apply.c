/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new setup on the daemon that runs. Happy path: every plugin of it is compared with
 * what the supervisor has, and only what differs is changed, all of it in one go; then
 * the job waits until each of those has settled, and says what has become of them.
 *
 * Failure: a plugin that does not start is said in its item; the others are not
 * touched by it. One that does not settle in time is said as it is then. Main thread.
 */
#include "daemon_live.h"
#include "host_remote.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A plugin that stops has shutdown_timeout for its queues (5 s) and its own stop; the
 * command line waits a minute. */
#define SETTLE_MS 50000

/* ---- the job ------------------------------------------------------------------------- */

static void count_one(void *arg, const struct weir__settings *settings)
{
	(void)settings;
	++*(size_t *)arg;
}

struct live_job *weir__job_new(struct weir__daemon *d, const struct weir__setup *setup)
{
	struct live_job *job = weir__zalloc(sizeof *job);
	size_t n = setup->count;

	if (!job)
		return NULL;
	weir__sup_each(d->sup, count_one, &n);
	job->d = d;
	job->items = weir__zalloc((n + 1) * sizeof *job->items);
	job->daemon_options = json_array();
	if (job->items && job->daemon_options)
		return job;
	weir__job_free(job);
	return NULL;
}

void weir__job_free(struct live_job *job)
{
	struct live_asker *a, *next;

	for (a = job->askers; a; a = next) {
		next = a->next;
		weir__free(a->text);
		weir__free(a);
	}
	json_decref(job->daemon_options);
	weir__free(job->items);
	weir__free(job);
}

static void unref(struct live_job *job)
{
	if (!--job->refs)
		weir__job_free(job);
}

static void on_timer_closed(uv_handle_t *handle)
{
	unref(handle->data);
}

size_t weir__job_count(const struct live_job *job, enum weir__change change, bool failed)
{
	size_t n = 0;

	for (size_t i = 0; i < job->count; i++)
		n += job->items[i].change == change && job->items[i].failed == failed;
	return n;
}

/* ---- the wait ------------------------------------------------------------------------- */

static void finish(struct live_job *job)
{
	if (!job->done)
		return;
	for (size_t i = 0; i < job->count; i++) {
		struct live_item *it = &job->items[i];

		if (it->settled)
			continue;
		snprintf(it->state, sizeof it->state, "%s", weir__sup_state(job->d->sup, it->name));
		if (it->change != WEIR__CHANGE_UNCHANGED)
			snprintf(it->message, sizeof it->message, "has not settled yet");
	}
	weir__sup_sweep(job->d->sup);
	job->done(job);
	job->done = NULL;
	uv_close((uv_handle_t *)&job->timer, on_timer_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	finish(timer->data);
}

static void settled(void *arg, int err, const char *state, const char *message)
{
	struct live_item *it = arg;
	struct live_job *job = it->job;

	it->settled = true;
	it->failed |= err && it->change != WEIR__CHANGE_REMOVED && it->change != WEIR__CHANGE_DISABLED;
	snprintf(it->state, sizeof it->state, "%s", it->change == WEIR__CHANGE_REMOVED ? "gone" : state);
	if (it->failed || job->upgrade)
		snprintf(it->message, sizeof it->message, "%s", message);
	if (!--job->waiting)
		finish(job);
	unref(job);
}

static void wait_for(struct live_job *job)
{
	uv_timer_init(&job->d->loop, &job->timer);
	job->timer.data = job;
	uv_timer_start(&job->timer, on_timeout, SETTLE_MS, 0);
	job->refs = job->waiting = 1; /* the timer's; ours, so that the end comes once */
	for (size_t i = 0; i < job->count; i++) {
		struct live_item *it = &job->items[i];

		if (it->change == WEIR__CHANGE_UNCHANGED || it->settled)
			continue;
		job->refs++;
		job->waiting++;
		if (weir__sup_wait(job->d->sup, it->name, settled, it)) {
			job->refs--;
			job->waiting--;
		}
	}
	if (!--job->waiting)
		finish(job);
}

/* ---- the changes ----------------------------------------------------------------------- */

static struct live_item *add_item(struct live_job *job, const char *name, enum weir__change change)
{
	struct live_item *it = &job->items[job->count++];

	it->job = job;
	it->change = change;
	snprintf(it->name, sizeof it->name, "%s", name);
	return it;
}

static void change_one(struct live_job *job, struct weir__setup_plugin *p)
{
	struct weir__supervisor *sup = job->d->sup;
	struct weir__settings *new = p->settings;
	const struct weir__settings *old = weir__sup_settings(sup, new->name);
	enum weir__change change = old ? weir__settings_diff(old, new) : WEIR__CHANGE_ADDED;
	struct live_item *it = add_item(job, new->name, change);

	p->settings = NULL;
	/* The same build again, if somebody wants that. */
	if (job->upgrade && old && !strcmp(new->name, job->subject))
		it->change = change = WEIR__CHANGE_RESTARTED;
	switch (change) {
	case WEIR__CHANGE_UNCHANGED:
		weir__settings_free(new);
		break;
	case WEIR__CHANGE_ADDED:
		if (!weir__sup_take(sup, new, p->refused))
			break;
		weir__settings_free(new);
		it->settled = it->failed = true;
		snprintf(it->message, sizeof it->message, "out of memory");
		break;
	case WEIR__CHANGE_UPDATED:
		weir__sup_update(sup, new->name, new);
		break;
	default:
		if (job->upgrade && !strcmp(new->name, job->subject)) {
			weir__sup_upgrade(sup, new->name, new, p->refused);
			break;
		}
		weir__sup_replace(sup, new->name, new, p->refused);
		break;
	}
}

static void remove_absent(void *arg, const struct weir__settings *settings)
{
	struct live_job *job = arg;

	for (size_t i = 0; i < job->count; i++)
		if (!strcmp(job->items[i].name, settings->name))
			return;
	add_item(job, settings->name, WEIR__CHANGE_REMOVED);
	weir__sup_remove(job->d->sup, settings->name);
}

static void note_option(struct live_job *job, const struct weir_option *opt, const char *action)
{
	json_array_append_new(job->daemon_options,
	                      json_pack("{s:s, s:s}", "option", opt->name, "action", action));
}

static void note_options(struct live_job *job, const struct weir__daemon_config *was,
                         const struct weir__daemon_config *now)
{
	const struct weir__daemon_config *boot = weir__config_daemon(job->d->live->boot);
	const struct weir_option *opt;
	uint32_t at = 0;

	while ((opt = weir__table_diff(&weir__daemon_options, was, now, &at)))
		if (opt->reserved & WEIR__OPTION_LIVE)
			note_option(job, opt, "applied");
	at = 0; /* what has been waiting for a restart is said as long as it waits */
	while ((opt = weir__table_diff(&weir__daemon_options, boot, now, &at)))
		if (!(opt->reserved & WEIR__OPTION_LIVE))
			note_option(job, opt, "needs restart");
}

static void exchange_config(struct live_job *job, struct weir__setup *setup)
{
	struct weir__daemon *d = job->d;
	struct weir__config *old = d->config;

	note_options(job, weir__config_daemon(old), weir__config_daemon(setup->config));
	d->config = setup->config;
	setup->config = NULL;
	weir__remote_set_budget(weir__config_daemon(d->config)->budget_cpu,
	                        weir__config_daemon(d->config)->budget_memory);
	weir__sup_set_config(d->sup, d->config);
	if (old != d->live->boot)
		weir__config_free(old);
}

void weir__job_apply(struct live_job *job, struct weir__setup *setup)
{
	struct weir__supervisor *sup = job->d->sup;

	weir__sup_hold(sup);
	for (size_t i = 0; i < setup->count; i++)
		change_one(job, &setup->plugins[i]);
	weir__sup_each(sup, remove_absent, job);
	exchange_config(job, setup);
	weir__setup_fini(setup);
	weir__daemon_reconfigured(job->d, job->daemon_options);
	weir__sup_release(sup);
	wait_for(job);
}
