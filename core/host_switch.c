/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another list of sources for a plugin that runs: the first of it that works takes over,
 * with the plugin's state as it is, so that what the one counts ends where the other begins.
 *
 *   open the new one beside the old ── load its programs, on a thread of their own ── start
 *   ── READY both ── old programs off, new ones on ── BEGIN, END ── old: drained, stopped, gone
 *
 * Until READY the old one goes on, loop and all; loading takes a second. While steps of the new
 * one run its side stands in the host's fields, so that what it calls finds its own object.
 * Failure: none of the list works: the old one has noticed nothing, and runs on; the caller
 * decides. Only if the new one's rings cannot be drained is there none at the end.
 * Host thread; but for loader(), which has nothing but the object. Others see h->bpf change
 * under h->lock.
 */
#include "host_request.h"
#include "host_priv.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the host has of one source. */
struct side {
	struct weir__bpf *bpf;
	int source;
	bool approx;
};

struct weir__switch {
	struct weir__host *h;
	struct weir__request *rq;
	struct call *answer;           /* made beforehand, so that it comes */
	struct weir__source_list was;
	struct side next;
	size_t place;                  /* in the list: what is tried */
	pthread_t loader;
	bool loading;
	bool *ret_decided;             /* of who began it, until it has returned */
	int rc;                        /* of loading */
	uv_async_t loaded;
};

static void exchange(struct weir__host *h, struct side *s)
{
	struct side was = { h->bpf, h->source, h->approx };

	weir__emit_flush(h); /* a batch says whose its records are */
	pthread_mutex_lock(&h->lock);
	h->bpf = s->bpf;
	h->source = s->source;
	h->approx = s->approx;
	pthread_mutex_unlock(&h->lock);
	*s = was;
}

static void turn(struct weir__host *h, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns)
{
	uint64_t entered = host_enter(h, WEIR__IN_TURN);

	weir__source_row(h, h->source)->turn(&h->plugin, turn, at_ns, unsure_ns);
	weir__host_left(h, entered);
}

/* ---- the end -------------------------------------------------------------------------- */

static void free_switch(uv_handle_t *handle)
{
	weir__free(handle->data);
}

static void answered(struct weir__host *h, void *arg)
{
	struct weir__request *rq = arg;

	rq->done(h, rq);
}

static void end(struct weir__switch *w, int rc)
{
	struct weir__host *h = w->h;

	if (rc)
		h->allowed = w->was;
	h->switching = NULL;
	w->rq->rc = rc;
	uv_close((uv_handle_t *)&w->loaded, free_switch);
	if (w->ret_decided) { /* it is answered as any other request */
		*w->ret_decided = true;
		weir__free(w->answer);
		return;
	}
	*w->answer = (struct call){ .done = answered, .arg = w->rq };
	pthread_mutex_lock(&h->lock);
	*h->finished_tail = w->answer;
	h->finished_tail = &w->answer->next;
	pthread_mutex_unlock(&h->lock);
	uv_async_send(&h->main_async);
}

static void hand_over(struct weir__switch *w)
{
	struct weir__host *h = w->h;
	struct side *next = &w->next;
	uint64_t before, at;
	int rc;

	snprintf(h->source_reasons[h->source], sizeof h->source_reasons[0], "not tried");
	turn(h, WEIR_TURN_READY, 0, 0);
	exchange(h, next);
	turn(h, WEIR_TURN_READY, 0, 0);
	before = uv_hrtime();
	if (next->bpf) /* the old one's, now */
		weir__bpf_enable(next->bpf, false);
	if (h->bpf)
		weir__bpf_enable(h->bpf, true);
	at = uv_hrtime();
	turn(h, WEIR_TURN_BEGIN, at, at - before);
	exchange(h, next);
	turn(h, WEIR_TURN_END, at, at - before);
	h->switching = NULL; /* what follows is no abort */
	weir__source_stop(h);
	exchange(h, next);
	rc = weir__source_run(h);
	if (!rc && h->bpf)
		weir__drain_now(h); /* nobody was woken meanwhile */
	end(w, rc);
}

/* ---- the beginning -------------------------------------------------------------------- */

static void *loader(void *arg)
{
	struct weir__switch *w = arg;

	pthread_setname_np(pthread_self(), "weir-load");
	weir__fatal_enter(&w->h->who);
	w->rc = weir__bpf_load(w->next.bpf);
	weir__fatal_leave(&w->h->who);
	uv_async_send(&w->loaded);
	return NULL;
}

/* It did not work: what it had goes. The host has the old side. */
static void passed_over(struct weir__switch *w, int i, int rc)
{
	weir__bpf_free(w->next.bpf);
	w->next.bpf = NULL;
	w->rc = rc;
	w->place++;
	weir__host_set_reason(w->h, "source %s: %s", weir__source_row(w->h, i)->name, w->h->source_reasons[i]);
}

/* True: the new one has taken over, or none can any more. */
static bool use(struct weir__switch *w)
{
	int i = w->next.source, rc;

	exchange(w->h, &w->next);
	rc = weir__source_loaded(w->h, w->rc);
	exchange(w->h, &w->next);
	if (rc)
		passed_over(w, i, rc);
	else
		hand_over(w);
	return !rc;
}

/* The next of the list, up to what takes long. */
static void try_on(struct weir__switch *w)
{
	struct weir__host *h = w->h;
	int i, rc;

	w->rc = w->place ? w->rc : -ENOENT;
	while ((i = weir__source_at(h, w->place)) >= 0) {
		if (i == h->source) {
			end(w, 0);
			return;
		}
		w->next = (struct side){ NULL, i, false };
		exchange(h, &w->next);
		turn(h, WEIR_TURN_BESIDE, 0, 0);
		rc = weir__source_open(h, i);
		exchange(h, &w->next);
		if (rc) {
			passed_over(w, i, rc);
			continue;
		}
		w->rc = 0;
		if (w->next.bpf && !pthread_create(&w->loader, NULL, loader, w)) {
			w->loading = true;
			return;
		}
		if (w->next.bpf) /* no thread: then here */
			w->rc = weir__bpf_load(w->next.bpf);
		if (use(w))
			return;
	}
	end(w, w->rc);
}

static void on_loaded(uv_async_t *async)
{
	struct weir__switch *w = async->data;

	if (!w->loading)
		return;
	pthread_join(w->loader, NULL);
	w->loading = false;
	if (!use(w))
		try_on(w);
}

void weir__switch_abort(struct weir__host *h)
{
	struct weir__switch *w = h->switching;

	if (!w)
		return;
	if (w->loading)
		pthread_join(w->loader, NULL);
	w->loading = false;
	weir__bpf_free(w->next.bpf);
	end(w, -ECANCELED);
}

bool weir__switch_begin(struct weir__host *h, struct weir__request *rq)
{
	struct weir__switch *w;
	bool decided = false;

	weir__switch_abort(h);
	rq->rc = -ESHUTDOWN;
	if (!h->started || h->source < 0 || h->waiting || !weir__desc_switches(h->desc))
		return false;
	rq->rc = -ENOMEM;
	w = weir__zalloc(sizeof *w);
	if (!w || !(w->answer = weir__zalloc(sizeof *w->answer)) || uv_async_init(&h->loop, &w->loaded, on_loaded)) {
		weir__free(w ? w->answer : NULL);
		weir__free(w);
		return false;
	}
	w->loaded.data = w;
	w->h = h;
	w->rq = rq;
	w->was = h->allowed;
	w->ret_decided = &decided;
	h->switching = w;
	h->allowed = rq->sources;
	h->reason[0] = 0;
	for (int i = 0; i < (int)h->desc->sources.count && i < 8; i++)
		if (i != h->source)
			snprintf(h->source_reasons[i], sizeof h->source_reasons[i], "not tried");
	try_on(w);
	if (!decided)
		w->ret_decided = NULL;
	return !decided;
}
