/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another list of sources for a plugin that runs: the first of it that works takes over,
 * with the plugin's state as it is, so that what the one counts ends where the other begins.
 *
 *   make the new one ready beside the old (programs loaded and attached, but off; sockets open)
 *   ── READY both ── old programs off, new ones on ── BEGIN, END ── old: drained, stopped, gone
 *
 * Failure: none of the list works: the old one has noticed nothing, and runs on; the caller
 * decides. Only if the new one's rings cannot be drained is there none at the end. While the
 * new one is made ready its side stands in the host's fields, so that what it calls finds its
 * own object. Host thread only; others see h->bpf change under h->lock.
 */
#include "host_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the host has of one source. */
struct side {
	struct weir__bpf *bpf;
	int source;
	bool approx;
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

/* Source i in *next, ready and off; or -errno, and the host as it was. */
static int make_ready(struct weir__host *h, int i, struct side *next)
{
	struct weir__bpf *bpf;
	int rc;

	*next = (struct side){ NULL, i, false };
	exchange(h, next);
	turn(h, WEIR_TURN_BESIDE, 0, 0);
	rc = weir__source_make(h, i);
	bpf = rc ? h->bpf : NULL;
	exchange(h, next);
	weir__bpf_free(bpf);
	return rc;
}

static void hand_over(struct weir__host *h, struct side *next)
{
	uint64_t before, at;

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
	weir__source_stop(h);
	exchange(h, next);
}

int weir__source_switch(struct weir__host *h, const struct weir__source_list *list)
{
	const struct weir__source_list was = h->allowed;
	struct side next;
	int rc = -ENOENT, i;

	if (!h->started || h->source < 0 || h->waiting || !weir__desc_switches(h->desc))
		return -ESHUTDOWN;
	h->allowed = *list;
	h->reason[0] = 0;
	for (i = 0; i < (int)h->desc->sources.count && i < 8; i++)
		if (i != h->source)
			snprintf(h->source_reasons[i], sizeof h->source_reasons[i], "not tried");
	for (size_t place = 0; (i = weir__source_at(h, place)) >= 0; place++) {
		if (i == h->source)
			return 0;
		rc = make_ready(h, i, &next);
		if (!rc)
			break;
		weir__host_set_reason(h, "source %s: %s", weir__source_row(h, i)->name, h->source_reasons[i]);
	}
	if (rc) {
		h->allowed = was;
		return rc;
	}
	snprintf(h->source_reasons[h->source], sizeof h->source_reasons[0], "not tried");
	hand_over(h, &next);
	rc = weir__source_run(h);
	if (!rc && h->bpf)
		weir__drain_now(h); /* nobody was woken meanwhile */
	return rc;
}
