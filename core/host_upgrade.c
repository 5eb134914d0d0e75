/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One host taking over from another: what each does of it, on its own loop. The
 * supervisor's side, and the order of it all, is sup_upgrade.c.
 *
 *   new: prepare (init, start, the source as far as it needs no kernel), adopt (the old
 *        one's BPF object, or its own beside it; the source's start; the health check)
 *   old: yield (ends, hands over its counts)        new: take (drains, ticks)
 *
 * Whatever fails before the yield leaves the old one untouched.
 */
#include "host_upgrade.h"
#include "host_priv.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int weir__host_prepare(struct weir__host *h, const char *source)
{
	int rc;

	h->beside = true;
	snprintf(h->beside_source, sizeof h->beside_source, "%s", source);
	rc = weir__host_start(h);
	h->beside = false;
	return rc;
}

/* Of the old one, as it stands now; nothing of it changes. */
int weir__host_export(struct weir__host *h, struct weir__bpf_handles *ret)
{
	memset(ret, 0, sizeof *ret);
	return h->bpf ? weir__bpf_export(h->bpf, ret) : 0;
}

static int check_health(struct weir__host *h)
{
	uint64_t entered;
	int rc;

	if (!h->desc->check)
		return 0;
	h->fail_text[0] = 0;
	entered = host_enter(h, WEIR__IN_CHECK);
	rc = h->desc->check(&h->plugin);
	weir__host_left(h, entered);
	if (rc < 0)
		weir__host_set_reason(h, "check: %s", h->fail_text[0] ? h->fail_text : strerror(-rc));
	return rc < 0 ? rc : 0;
}

int weir__host_adopt(struct weir__host *h, struct weir__bpf_handles *handles, bool *ret_adopted)
{
	int rc;

	*ret_adopted = false;
	h->waiting = h->source >= 0;
	if (h->bpf) {
		rc = weir__bpf_adopt(h->bpf, handles);
		*ret_adopted = h->adopted = !rc;
		if (rc == -EXDEV)
			rc = weir__bpf_load(h->bpf); /* beside the old one's, and not enabled */
		if (rc) {
			weir__host_set_reason(h, "its BPF programs: %s", weir__bpf_error(h->bpf));
			return rc;
		}
	}
	rc = h->bpf ? weir__source_begin(h) : 0;
	return rc ? rc : check_health(h);
}

/* What the kernel has counted by now, in the old one's account and as the new one's
 * beginning: what is in the rings is the new one's. */
static void split_kernel(struct weir__host *h, struct weir__yielded *y)
{
	weir__emit_update_missed(h);
	for (uint32_t k = 0; k < WEIR_MAX_KINDS; k++)
		y->missed[k] = h->account->missed[k] - h->account->missed_closed[k];
	memcpy(h->account->missed_closed, h->account->missed, sizeof h->account->missed_closed);
	for (uint32_t k = 0; k < WEIR_MAX_KINDS; k++) {
		struct weir_kind_counts now, *closed = &h->account->kernel_closed[k];
		uint64_t fates, drained = h->account->kinds[k].drained, in_ring;

		weir__bpf_kind_counts(h->bpf, k, &now);
		fates = now.filtered + now.sampled + now.rate_limited + now.ring_full + now.too_big + now.map_full;
		/* All it has seen, less what has had a fate, here or in the kernel. */
		in_ring = closed->seen + now.seen - (closed->filtered + closed->sampled + closed->rate_limited +
		          closed->ring_full + closed->too_big + closed->map_full + fates) - drained;
		now.seen -= in_ring;
		y->kernel[k] = now;
		weir__emit_add_counts(closed, &now);
	}
}

static void close_source(struct weir__host *h, bool adopted, struct weir__yielded *y)
{
	struct weir__bpf *bpf = h->bpf;

	weir__source_tick(h, false);
	if (!adopted || !bpf) {
		weir__source_stop(h); /* its programs, if any, have been switched off already */
		return;
	}
	weir__host_collect(h);
	weir__drain_stop(h);
	weir__emit_flush(h);
	weir__source_end(h);
	weir__emit_flush(h);
	pthread_mutex_lock(&h->lock);
	split_kernel(h, y);
	h->bpf = NULL;
	pthread_mutex_unlock(&h->lock);
	weir__bpf_part(bpf);
	h->source = -1;
}

void weir__host_yield(struct weir__host *h, bool adopted, struct weir__yielded *y)
{
	weir__switch_abort(h);
	memset(y, 0, sizeof *y);
	y->adopted = adopted && h->bpf;
	close_source(h, adopted, y);
	if (h->desc->kind == WEIR_COLLECTOR)
		weir__host_stop(h); /* what it ends with goes the routes that it has still */
	for (size_t t = 0; t < WEIR__MAX_TOPICS; t++)
		y->seq[t] = h->seq[t];
	y->count = weir__host_detach_all(h, y->items);
}

/* What was before is not this one's: it begins where the old one has ended. */
static void begin_account(struct weir__host *h, const struct weir__yielded *y)
{
	struct weir__bpf *bpf = h->bpf;

	h->bpf = NULL; /* without the kernel's counts: what it emitted itself until now */
	weir__emit_rebase(h);
	h->bpf = bpf;
	for (uint32_t k = 0; y->adopted && k < WEIR_MAX_KINDS; k++) {
		weir__emit_sub_counts(&h->account->kernel_closed[k], &y->kernel[k]);
		h->account->missed_closed[k] -= y->missed[k];
	}
	weir__emit_update_missed(h);
}

int weir__host_take(struct weir__host *h, const struct weir__yielded *y)
{
	int rc;

	memcpy(h->seq, y->seq, sizeof h->seq);
	if (!h->bpf) {
		h->waiting = false;
		if (!h->started) /* it has yielded, and gets it back */
			return weir__host_start(h);
		rc = weir__source_begin(h);
		if (!rc)
			weir__source_tick(h, true);
		return rc;
	}
	begin_account(h, y);
	rc = weir__drain_start(h);
	if (rc) {
		weir__host_set_reason(h, "drain: %s", strerror(-rc));
		return rc;
	}
	h->waiting = false;
	if (y->adopted)
		weir__bpf_own(h->bpf);
	else
		weir__bpf_enable(h->bpf, true); /* it is, if the daemon could reach its knobs */
	weir__drain_now(h); /* nobody was woken meanwhile */
	weir__source_tick(h, true);
	return 0;
}
