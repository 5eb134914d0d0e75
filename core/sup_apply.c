/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new configuration on running plugins: what changed is updated in place, restarted,
 * added or removed; nothing else is touched.
 *
 *   update:  settings exchanged at once; the host keeps the ones it was started with
 *            (its plugin's strings are theirs) until it ends
 *   replace: settings wait in next_settings until the host has ended, then are adopted,
 *            and reconcile() starts the plugin with them
 *   remove:  stopped as usual, then gone; its routes go when their queues are empty
 *
 * Ownership: settings, running and next_settings of a plugin are its own. The name's
 * string goes over to each new settings, so that its address holds as long as the
 * plugin: hosts and batches refer to it.
 *
 * Fails: weir__sup_add alone, for memory. Main thread.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void weir__sup_hold(struct weir__supervisor *s)
{
	s->held++;
}

void weir__sup_release(struct weir__supervisor *s)
{
	if (!--s->held)
		weir__sup_reconcile(s);
}

void weir__sup_set_config(struct weir__supervisor *s, struct weir__config *config)
{
	s->config = config;
}

static const struct weir__settings *configured(const struct sup_plugin *p)
{
	return p->next_settings ? p->next_settings : p->settings;
}

const struct weir__settings *weir__sup_settings(struct weir__supervisor *s, const char *name)
{
	struct sup_plugin *p = weir__sup_find(s, name);

	return p ? configured(p) : NULL;
}

const char *weir__sup_refused(struct weir__supervisor *s, const char *name)
{
	struct sup_plugin *p = weir__sup_find(s, name);

	return p && p->next_settings ? p->next_refused : p ? p->reason : "";
}

void weir__sup_each(struct weir__supervisor *s,
                    void (*fn)(void *arg, const struct weir__settings *settings), void *arg)
{
	for (struct sup_plugin *p = s->plugins, *next; p; p = next) {
		next = p->next;
		if (!p->gone && !p->removed && !p->transient)
			fn(arg, configured(p));
	}
}

/* ---- new values where the old ones are in use ------------------------------------------ */

static void tuned(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	weir__free(rq);
}

/* Tell a host what it has a copy of. Without memory it goes on as before. */
static void tell(struct sup_plugin *p, const struct weir__request *what)
{
	struct weir__request *rq = weir__zalloc(sizeof *rq);

	if (rq) {
		*rq = *what;
		rq->done = tuned;
	}
	if (!rq || weir__host_request(p->host, rq)) {
		weir__log(WEIR_WARN, p->name, "no memory: a new value is in force after a restart only");
		weir__free(rq);
	}
}

/* Everything that has a copy of a live option: its queues, and its host. */
static void tune(struct sup_plugin *p)
{
	const struct weir__common_config *c = &p->settings->common;
	struct weir__request rq;

	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->to != p)
			continue;
		weir__route_tune(r->route, c->queue_bytes, (int)c->on_full);
		if (!r->far_from || !r->open || !r->from->host)
			continue; /* else the queue is in the collector's process */
		rq = (struct weir__request){ .type = WEIR__HOST_LIMIT, .limit = { .id = r->id,
			.policy = (int)c->on_full, .limit = c->queue_bytes } };
		tell(r->from, &rq);
	}
	weir__sup_breaker_configure(p);
	weir__sup_budget_configure(p);
	if (p->host)
		weir__host_limit(p->host, c);
	if (!p->host || p->desc->kind != WEIR_COLLECTOR)
		return;
	rq = (struct weir__request){ .type = WEIR__HOST_LATENCY, .latency = { c->latency,
		c->budget_events, c->budget_burst } };
	tell(p, &rq);
}

/* The old ones, for the caller to keep or to free. */
struct weir__settings *weir__sup_exchange(struct sup_plugin *p, struct weir__settings *settings)
{
	struct weir__settings *old = p->settings;
	char *name = old->name;

	old->name = settings->name;
	settings->name = name;
	p->settings = settings;
	return old;
}

static void free_next(struct sup_plugin *p)
{
	weir__settings_free(p->next_settings);
	p->next_settings = NULL;
}

/* ---- called by the other sup_*.c --------------------------------------------------------- */

void weir__sup_adopt(struct sup_plugin *p)
{
	struct weir__settings *next = p->next_settings;

	if (!next || p->host || p->lost) /* a lost thread may use the old ones still */
		return;
	p->next_settings = NULL;
	weir__settings_free(weir__sup_exchange(p, next));
	if (p->desc != next->desc) {
		p->desc = next->desc;
		p->source = p->last_source = -1;
		memset(p->source_reasons, 0, sizeof p->source_reasons);
		snprintf(p->reason, sizeof p->reason, "%s", p->next_refused);
	}
	if (p->state == WEIR__REFUSED && p->desc)
		weir__state_move(&p->state, WEIR__DISABLED, p->name, "its library is there now");
	if (p->desc)
		tune(p);
}

void weir__sup_host_gone(struct sup_plugin *p)
{
	weir__settings_free(p->running);
	p->running = NULL;
}

void weir__sup_free_settings(struct sup_plugin *p)
{
	weir__settings_free(p->running);
	weir__settings_free(p->next_settings);
	weir__settings_free(p->settings);
}

/* ---- the changes ----------------------------------------------------------------------- */

void weir__sup_update(struct weir__supervisor *s, const char *name, struct weir__settings *settings)
{
	struct sup_plugin *p = weir__sup_find(s, name);
	struct weir__source_list before, after;
	struct weir__settings *old;

	weir__source_list_of(&configured(p)->common, &before);
	weir__source_list_of(&settings->common, &after);
	if (memcmp(&before, &after, sizeof before) && (p->state != WEIR__RUNNING || p->upgrade)) {
		weir__sup_replace(s, name, settings, ""); /* there is no source that could hand over */
		return;
	}
	if (p->next_settings || !p->host) {
		/* on its way to other settings already, or nothing runs (or something lost) */
		free_next(p);
		p->next_settings = settings;
		weir__sup_adopt(p);
		return;
	}
	old = weir__sup_exchange(p, settings);
	if (p->running)
		weir__settings_free(old);
	else
		p->running = old;
	tune(p);
	if (memcmp(&before, &after, sizeof before))
		weir__sup_switch(p);
}

void weir__sup_replace(struct weir__supervisor *s, const char *name,
                       struct weir__settings *settings, const char *refused)
{
	struct sup_plugin *p = weir__sup_find(s, name);

	free_next(p);
	p->next_settings = settings;
	snprintf(p->next_refused, sizeof p->next_refused, "%s", refused);
	p->enabled = settings->common.enabled;
	p->restart = p->enabled && (p->host || p->state == WEIR__FAILED);
	weir__sup_reconcile(s);
}

/* One of this name that is on its way out comes back instead. */
int weir__sup_take(struct weir__supervisor *s, struct weir__settings *settings, const char *refused)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (p->removed && !p->gone && !strcmp(p->name, settings->name)) {
			p->removed = false;
			weir__sup_replace(s, p->name, settings, refused);
			return 0;
		}
	return weir__sup_add(s, settings, settings->desc, refused);
}

void weir__sup_remove(struct weir__supervisor *s, const char *name)
{
	struct sup_plugin *p = weir__sup_find(s, name);

	p->removed = true;
	p->enabled = p->restart = false;
	free_next(p);
	weir__sup_reconcile(s);
}

int weir__sup_wait(struct weir__supervisor *s, const char *name, weir__sup_done done, void *arg)
{
	struct sup_plugin *p = s->plugins;
	struct waiter *w;

	/* one that is being removed is no longer found by its name */
	while (p && (p->gone || p->transient || strcmp(p->name, name)))
		p = p->next;
	if (!p) {
		done(arg, 0, "gone", "");
		return 0;
	}
	w = weir__zalloc(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct waiter){ .next = p->waiters, .done = done, .arg = arg };
	p->waiters = w;
	weir__sup_settle(p);
	return 0;
}

const char *weir__sup_state(struct weir__supervisor *s, const char *name)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (!p->gone && !p->transient && !strcmp(p->name, name))
			return weir__state_name(p->state);
	return "gone";
}

void weir__sup_note_until(struct weir__supervisor *s, const char *name, uint64_t until_ns)
{
	struct sup_plugin *p = weir__sup_find(s, name);

	if (p)
		p->for_until_ns = until_ns;
}
