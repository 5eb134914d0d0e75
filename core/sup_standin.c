/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stand-ins (fallback_for): which topics one has to serve, and since when.
 *
 *   a collector is about to start ── announced: stand-ins look, answer ── START ── it runs ── told
 *   it is stopped ── its source has ended ── the stand-in starts, and is told since when nobody counted
 *
 * A stand-in that does not answer keeps nobody from starting. Failure: no memory: it serves as before, the
 * next change says it again. Main thread.
 */
#include "sup_priv.h"
#include "mem.h"
#include "words.h"

#include <string.h>

/* A reading of all sockets takes some ms; ten times that of 100 000. */
#define ANNOUNCE_MS 1000

/* Until its source has ended it counts: a stand-in for it would count the same. */
static bool counts_yet(const struct sup_plugin *p)
{
	return p->state == WEIR__RUNNING || (p->state == WEIR__STOPPING && p->phase == STOP_DETACH && p->host);
}

/* Does a collector that is no stand-in have this topic, or, unless `now`, is it about to? */
static bool topic_served(struct weir__supervisor *s, const char *topic, bool now)
{
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		/* A probe of one that was suspended serves nobody yet. */
		if (!weir__sup_is_fallback(p) && weir__sup_provides(p, topic) && !p->budget.probing &&
		    (counts_yet(p) || (!now && weir__sup_back_soon(p))))
			return true;
	return false;
}

/* Which topics of its own list a stand-in should serve now. */
static uint32_t wanted_topics(struct sup_plugin *p)
{
	bool always = p->settings->common.fallback == WEIR__FALLBACK_ALWAYS;
	const char *at = p->desc->topics;
	uint32_t mask = 0;
	char topic[32];

	for (unsigned bit = 0; bit < WEIR__MAX_TOPICS && weir__next_word(&at, topic, sizeof topic); bit++) {
		/* It does not step in for what comes back soon; but one that has serves until then. */
		bool serves = p->state == WEIR__RUNNING && p->wanted & 1u << bit;

		if (always || (weir__has_word(p->desc->fallback_for, topic, strlen(topic)) &&
		               !topic_served(p->sup, topic, serves)))
			mask |= 1u << bit;
	}
	return mask;
}

static void wanted_set(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	weir__free(rq);
}

/* When others began to serve this topic, at the earliest, or ceased to, at the latest. */
static uint64_t served_since(struct weir__supervisor *s, const char *topic, bool served)
{
	uint64_t since = 0;

	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		uint64_t at = served ? p->served_from_ns : p->served_until_ns;

		if (weir__sup_is_fallback(p) || !weir__sup_provides(p, topic) || !at ||
		    (served && p->state != WEIR__RUNNING))
			continue;
		if (!since || (served ? at < since : at > since))
			since = at;
	}
	return since;
}

static void note_since(struct sup_plugin *p, uint32_t mask)
{
	const char *at = p->desc->topics;
	char topic[32];

	for (unsigned bit = 0; bit < WEIR__MAX_TOPICS && weir__next_word(&at, topic, sizeof topic); bit++)
		if ((mask ^ p->wanted) & 1u << bit)
			p->wanted_since_ns[bit] = served_since(p->sup, topic, !(mask & 1u << bit));
}

struct weir__wanted weir__sup_wanted_by(const struct sup_plugin *p, uint32_t mask)
{
	struct weir__wanted w = { .topics = mask };

	memcpy(w.since_ns, p->wanted_since_ns, sizeof w.since_ns);
	return w;
}

/* False: no memory, it serves as before; the next change says it again. */
static bool ask_wanted(struct sup_plugin *p, uint32_t mask, void (*done)(struct weir__host *, struct weir__request *),
                       void *arg)
{
	struct weir__request *rq = weir__zalloc(sizeof *rq);

	if (!rq)
		return false;
	*rq = (struct weir__request){ .type = WEIR__HOST_WANTED, .done = done, .arg = arg,
		.wanted = weir__sup_wanted_by(p, mask) };
	if (!weir__host_request(p->host, rq))
		return true;
	weir__free(rq);
	return false;
}

void weir__sup_set_wanted(struct sup_plugin *p, uint32_t mask)
{
	ask_wanted(p, mask, wanted_set, NULL);
}

void weir__sup_update_wanted(struct sup_plugin *p)
{
	uint32_t mask;

	if (!weir__sup_is_fallback(p))
		return;
	mask = wanted_topics(p);
	note_since(p, mask);
	if (mask != p->wanted && p->state == WEIR__RUNNING)
		weir__sup_set_wanted(p, mask);
	p->wanted = mask;
}

static void announced(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = rq->arg;

	(void)h;
	weir__free(rq);
	if (!--p->announcing)
		weir__sup_ask_start(p);
}

static void announced_late(uv_timer_t *timer)
{
	weir__sup_ask_start(timer->data);
}

/* To stand-ins for it, before it starts: what they serve may soon be served. Each has a look first, so
 * that little is in its next one, which may be in the records of both. */
void weir__sup_announce(struct sup_plugin *p)
{
	for (struct sup_plugin *q = p->sup->plugins; q; q = q->next) {
		bool stands_in = q->desc && q->state == WEIR__RUNNING && weir__sup_is_fallback(q), serves = false;
		const char *at = stands_in ? q->desc->topics : NULL;
		char topic[32];

		for (unsigned bit = 0; bit < WEIR__MAX_TOPICS && weir__next_word(&at, topic, sizeof topic); bit++)
			serves |= (q->wanted & 1u << bit) && weir__sup_provides(p, topic);
		p->announcing += serves && q != p && ask_wanted(q, q->wanted, announced, p);
	}
	if (p->announcing) /* one that hangs keeps nobody from starting */
		uv_timer_start(&p->timer, announced_late, ANNOUNCE_MS, 0);
}
