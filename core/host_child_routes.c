/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of routes in a plugin's process: a collector's dials, an output's listens, and
 * both count in memory the daemon sees (host_account.h).
 *
 * Happy path: attach or receive opens an end, close ends it and answers with its counts;
 * an output's is freed when the plugin has acknowledged its frames. Failure: -errno, and
 * no end is left. Main thread only; what nng's threads do with an end is in route_far.c.
 */
#include "host_child_priv.h"
#include "desc_wire.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct child_end *end_of(uint32_t id)
{
	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++)
		if (weir__child.ends[i].id == id && !weir__child.ends[i].closed)
			return &weir__child.ends[i];
	return NULL;
}

static void free_end(struct child_end *e)
{
	weir__route_free(e->route);
	weir__desc_copy_free(e->from);
	if (e->account)
		e->account->id = 0;
	memset(e, 0, sizeof *e);
}

/* Ends that were kept for their frames' sake only, and have none any more. */
static void forget_closed(void)
{
	struct weir__route_stats st;

	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++) {
		if (!weir__child.ends[i].forget)
			continue;
		weir__route_stats(weir__child.ends[i].route, &st);
		if (!st.queued)
			free_end(&weir__child.ends[i]);
	}
}

/* A route object whose counters the daemon sees. */
static int new_end(const struct weir__wire_route *w, struct child_end **ret)
{
	struct weir__route_config cfg = { .id = w->id, .from = w->from, .to = w->to,
		.limit = w->limit, .policy = w->policy };
	struct child_end *e;
	int rc;

	forget_closed();
	e = end_of(0);
	if (!e || !w->id || !weir__child.account)
		return -ENOSPC;
	rc = weir__route_new(&cfg, &e->route);
	if (rc)
		return rc;
	e->account = &weir__child.account->ends[e - weir__child.ends];
	memset(&e->account->stats, 0, sizeof e->account->stats);
	weir__route_share_stats(e->route, &e->account->stats);
	e->account->id = e->id = w->id;
	*ret = e;
	return 0;
}

static bool wire_route(const char *body, size_t len, struct weir__wire_route *w)
{
	if (len < sizeof *w)
		return false;
	memcpy(w, body, sizeof *w);
	w->from[sizeof w->from - 1] = w->to[sizeof w->to - 1] = w->url[sizeof w->url - 1] = 0;
	return true;
}

/* 0: the request is to be passed on to the host. */
int weir__child_attach(struct child_call *c, const char *body, size_t len)
{
	struct weir__wire_route w;
	struct child_end *e;
	int rc = wire_route(body, len, &w) && weir__child.host ? new_end(&w, &e) : -EINVAL;

	if (rc)
		return rc;
	rc = weir__route_open_tx(e->route, w.url);
	if (rc) {
		free_end(e);
		return rc;
	}
	c->rq.attach.route = e->route;
	c->rq.attach.topics = w.topics;
	return 0;
}

int weir__child_receive(const char *body, size_t len)
{
	struct weir__wire_route w;
	struct child_end *e;
	char why[256];
	json_t *j;
	int rc = wire_route(body, len, &w) && weir__child.host ? new_end(&w, &e) : -EINVAL;

	if (rc)
		return rc;
	j = json_loadb(body + sizeof w, len - sizeof w, 0, NULL);
	rc = j ? weir__desc_decode(j, &e->from, why, sizeof why) : -EINVAL;
	json_decref(j);
	if (!rc)
		rc = weir__route_open_rx(e->route, w.url, weir__desc_of(e->from),
		                         weir__host_receive, weir__child.host);
	if (rc)
		free_end(e);
	return rc;
}

/* The frames of an output's end may still be in its hands: it stays until they are
 * acknowledged, and until it is closed a second time. */
void weir__child_close(struct child_call *c, uint32_t id)
{
	struct child_end *e = NULL;

	for (size_t i = 0; i < WEIR__MAX_ROUTES && !e; i++)
		if (id && weir__child.ends[i].id == id && !weir__child.ends[i].forget)
			e = &weir__child.ends[i];
	if (e && !e->closed)
		weir__route_close(e->route);
	if (e) {
		weir__route_stats(e->route, &c->rq.close.stats);
		e->forget = e->closed || !e->from;
		e->closed = true;
	}
	forget_closed();
	weir__child_reply(WEIR__WIRE_REQUEST + WEIR__HOST_CLOSE, c->id, e ? 0 : -ENOENT,
	                  &c->rq.close.stats, sizeof c->rq.close.stats);
	weir__child_free_call(c);
}
