/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the resource manager wants of a host, and the limit on events per second.
 *
 * The limit is a bucket of tokens, one for each record that passes on. When half of
 * it is gone the host itself raises the weight of the sampling in the kernel, within
 * a drain, to what the rate calls for; the manager lowers it slowly. Records of emit() are
 * fewer, too, if they are made of what comes from the ring. What comes too fast for that, or
 * from elsewhere, finds the bucket empty and is counted as rate_limited. Host thread only, but
 * for weir__host_meter().
 */
#include "host_priv.h"

#include <assert.h>
#include <malloc.h>
#include <math.h>

/* Sampled at once to this share of the limit: between the manager's steps. */
#define AIM 0.70
/* The rate is taken over a window of this length at least: some drains, and the start
 * of a flood is seen in it. */
#define WINDOW_NS 2000000u

void weir__limit_set(struct weir__host *h, uint64_t events, uint64_t burst)
{
	h->limit.rate = (double)events;
	h->limit.burst = burst ? (double)burst : WEIR__BURST_SECONDS * h->limit.rate;
	h->limit.tokens = h->limit.burst;
	h->limit.filled_ms = uv_now(&h->loop);
}

void weir__limit_setup(struct weir__host *h)
{
	const struct weir__common_config *c = &h->settings->common;

	weir__limit_set(h, c->budget_events, c->budget_burst);
	h->tune = (struct weir__tune){ .weight = 1 };
}

static void fill(struct limit *l, uint64_t now_ms)
{
	if (now_ms <= l->filled_ms)
		return;
	l->tokens += (double)(now_ms - l->filled_ms) * l->rate / 1e3;
	if (l->tokens > l->burst)
		l->tokens = l->burst;
	l->filled_ms = now_ms;
}

bool weir__limit_empty(struct weir__host *h)
{
	fill(&h->limit, uv_now(&h->loop));
	return h->limit.tokens < 1;
}

void weir__limit_drained(struct weir__host *h, uint64_t now_ns)
{
	struct limit *l = &h->limit;
	uint64_t dt = now_ns - l->window_ns;
	double rate, want;

	if (!l->rate || dt < WINDOW_NS)
		return;
	/* Made of the ring's: as many as were taken up, at most. */
	rate = (double)(l->events + (l->made < l->taken ? l->made : l->taken)) * 1e9 / (double)dt;
	l->window_ns = now_ns;
	l->events = l->taken = l->made = 0;
	fill(l, uv_now(&h->loop));
	/* A sleep before the window makes the rate smaller than it is: the next one sees. */
	if (l->tokens > l->burst / 2 || rate <= l->rate || !h->bpf)
		return;
	want = ceil(rate / (AIM * l->rate));
	want = want > WEIR__WEIGHT_MAX ? WEIR__WEIGHT_MAX : want;
	if ((uint32_t)want > h->tune.weight) {
		h->tune.weight = (uint32_t)want;
		weir__bpf_sample(h->bpf, h->tune.weight);
	}
}

/* Memory it does not need now. */
static void give_back(struct weir__host *h)
{
	weir__emit_flush(h);
	for (size_t t = 0; t < h->topic_count; t++) {
		weir__batch_unref(h->open[t]);
		h->open[t] = NULL; /* made anew by the next record */
	}
	malloc_trim(0);
}

void weir__host_tune(struct weir__host *h, const struct weir__tune *t)
{
	uint32_t weight = t->weight ? t->weight : 1;

	assert(weight <= WEIR__WEIGHT_MAX);
	if (t->give_back)
		give_back(h);
	/* Raised here since the manager looked: it decides anew, with that. */
	if (weight < h->tune.weight && h->tune.weight != t->weight_seen)
		weight = h->tune.weight;
	h->tune = *t;
	h->tune.weight = weight;
	h->tune.give_back = false;
	weir__source_widen(h, t->widen);
	if (!h->bpf)
		return;
	weir__bpf_sample(h->bpf, weight);
	weir__bpf_kinds_off(h->bpf, t->kinds_off);
	weir__bpf_shed(h->bpf, t->detach_below); /* why one does not attach is in its row */
}

/* The bpf object is made and freed inside of calls whose end the main thread waits for,
 * so in between it may ask for a mapping. */
struct weir__meter *weir__host_meter(struct weir__host *h)
{
	struct weir__meter *m = h->far_meter;

	h->far_meter = NULL;
	if (h->bpf)
		weir__bpf_meter(h->bpf, &m);
	return m;
}

void weir__host_keep_meter(struct weir__host *h, struct weir__meter *m)
{
	if (h->remote)
		h->far_meter = m; /* there is no other: its descriptors are gone */
	else
		weir__meter_close(m);
}
