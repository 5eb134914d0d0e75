/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: tried in order until one works; why each was passed over is kept for
 * status and check. Host thread only.
 */
#include "host_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct weir_source *weir__source_row(struct weir__host *h, int i)
{
	return i < 0 ? NULL : weir_table_row(&h->desc->sources, (uint32_t)i);
}

static void on_tick(uv_timer_t *timer)
{
	struct weir__host *h = timer->data;
	uint64_t entered = host_enter(h, WEIR__IN_TICK);
	int rc;

	h->fail_text[0] = 0;
	rc = weir__source_row(h, h->source)->tick(&h->plugin);
	weir__host_left(h, entered);
	h->ticks++;
	if (rc < 0) {
		h->failures++;
		weir__host_set_reason(h, "tick: %s", h->fail_text[0] ? h->fail_text : strerror(-rc));
		h->events.failed(h->events.arg, h, rc);
	}
}

/* ms between two ticks; twice as long under pressure. */
static uint64_t tick_ms(struct weir__host *h, const struct weir_source *s)
{
	uint64_t ns, ms;

	memcpy(&ns, (const char *)h->plugin.state + s->interval_offset, sizeof ns);
	ms = ns / 1000000;
	return (ms ? ms : 1) << h->tune.widen;
}

static void start_tick(struct weir__host *h, const struct weir_source *s)
{
	uint64_t ms;

	if (!s->tick)
		return;
	ms = tick_ms(h, s);
	uv_timer_start(&h->tick, on_tick, ms, ms);
	h->tick_on = true;
}

void weir__source_widen(struct weir__host *h, bool wide)
{
	h->tune.widen = wide;
	if (h->tick_on) /* from the next one on: no tick is put off for ever */
		uv_timer_set_repeat(&h->tick, tick_ms(h, weir__source_row(h, h->source)));
}

static int say(struct weir__host *h, int i, int rc, const char *step, const char *why)
{
	if (!why[0])
		why = strerror(-rc);
	snprintf(h->source_reasons[i], sizeof h->source_reasons[i], "%s%s%.280s", step,
	         *step ? ": " : "", why);
	return rc;
}

/* One of the source's own steps; 0 if it has none. */
static int run_step(struct weir__host *h, enum weir__callback step, int (*fn)(struct weir_plugin *))
{
	uint64_t entered;
	int rc;

	h->fail_text[0] = 0;
	if (!fn)
		return 0;
	entered = host_enter(h, step);
	rc = fn(&h->plugin);
	weir__host_left(h, entered);
	return rc < 0 ? rc : 0;
}

static void run_stop(struct weir__host *h, const struct weir_source *s)
{
	uint64_t entered;

	if (!s->stop)
		return;
	entered = host_enter(h, WEIR__IN_SOURCE_STOP);
	s->stop(&h->plugin);
	weir__host_left(h, entered);
}

static int make_object(struct weir__host *h, int i, const struct weir_source *s)
{
	int rc = weir__bpf_new(s, h->settings->common.ring_bytes, &h->bpf);

	h->fail_text[0] = 0;
	if (!rc)
		rc = run_step(h, WEIR__IN_PREPARE, s->prepare);
	if (rc)
		return say(h, i, rc, "prepare", h->fail_text);
	weir__bpf_shed(h->bpf, h->tune.detach_below);
	return 0;
}

int weir__source_open(struct weir__host *h, int i)
{
	const struct weir_source *s = weir__source_row(h, i);
	int rc;

	h->source = i;
	h->approx = false;
	if ((rc = run_step(h, WEIR__IN_PROBE, s->probe)) < 0)
		return say(h, i, rc, "", h->fail_text);
	if (s->object)
		return make_object(h, i, s);
	rc = run_step(h, WEIR__IN_PREPARE, s->prepare);
	return rc < 0 ? say(h, i, rc, "prepare", h->fail_text) : 0;
}

int weir__source_loaded(struct weir__host *h, int rc)
{
	const struct weir_source *s = weir__source_row(h, h->source);

	if (rc)
		return say(h, h->source, rc, "", weir__bpf_error(h->bpf));
	if (h->bpf) {
		weir__bpf_sample(h->bpf, h->tune.weight);
		weir__bpf_kinds_off(h->bpf, h->tune.kinds_off);
	}
	h->counts_ns = uv_hrtime();
	rc = run_step(h, WEIR__IN_SOURCE_START, s->start);
	return rc < 0 ? say(h, h->source, rc, "start", h->fail_text) : 0;
}

int weir__source_run(struct weir__host *h)
{
	const struct weir_source *s = weir__source_row(h, h->source);
	int rc = 0;

	if (h->bpf) {
		rc = weir__drain_start(h);
		if (rc) {
			run_stop(h, s);
			return say(h, h->source, rc, "drain", "");
		}
		h->counts_ns = uv_hrtime();
		weir__bpf_enable(h->bpf, true);
	}
	start_tick(h, s);
	h->spoke = h->source;
	snprintf(h->source_reasons[h->source], sizeof h->source_reasons[0], "ok");
	return 0;
}

/* ---- which ---------------------------------------------------------------------------- */

void weir__source_list_of(const struct weir__common_config *c, struct weir__source_list *ret)
{
	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < c->sources.count && ret->count < 8; i++)
		snprintf(ret->names[ret->count++], sizeof ret->names[0], "%s", c->sources.items[i]);
}

bool weir__desc_switches(const struct weir_plugin_desc *d)
{
	const struct weir_source *s;
	uint32_t i = 0;

	while ((s = weir_table_row(&d->sources, i)) && s->turn)
		i++;
	return i && !s;
}

int weir__source_at(struct weir__host *h, size_t place)
{
	const struct weir__source_list *want = &h->allowed;
	const struct weir_source *s;

	if (!want->count)
		return place < h->desc->sources.count && place < 8 ? (int)place : -1;
	if (place >= want->count)
		return -1;
	for (uint32_t i = 0; i < 8 && (s = weir_table_row(&h->desc->sources, i)); i++)
		if (!strcmp(s->name, want->names[place]))
			return (int)i;
	return -1;
}

int weir__source_start(struct weir__host *h)
{
	int rc = -ENOENT, i;
	size_t place;

	for (i = 0; i < (int)h->desc->sources.count && i < 8; i++)
		snprintf(h->source_reasons[i], sizeof h->source_reasons[i], "not tried");
	for (place = 0; (i = weir__source_at(h, place)) >= 0; place++) {
		rc = weir__source_open(h, i);
		rc = rc ? rc : weir__source_loaded(h, h->bpf ? weir__bpf_load(h->bpf) : 0);
		rc = rc ? rc : weir__source_run(h);
		if (!rc)
			return 0;
		if (h->bpf) {
			weir__bpf_free(h->bpf);
			h->bpf = NULL;
		}
		weir__host_set_reason(h, "source %s: %s", weir__source_row(h, i)->name, h->source_reasons[i]);
	}
	h->source = -1;
	if (rc == -ENOENT && !place)
		weir__host_set_reason(h, "none of the configured sources exists; see `weir plugins describe %s`",
		                      h->plugin.name);
	return rc;
}

int weir__source_prepare(struct weir__host *h, const char *name)
{
	const struct weir_source *s;
	int i = 0, rc;

	while ((s = weir__source_row(h, i)) && strcmp(s->name, name))
		i++;
	if (!s || i >= 8) {
		weir__host_set_reason(h, "it has no source \"%s\", which the running one uses", name);
		return -ENOENT;
	}
	h->source = i;
	h->approx = false;
	rc = run_step(h, WEIR__IN_PROBE, s->probe);
	if (!rc && s->object)
		rc = weir__bpf_new(s, h->settings->common.ring_bytes, &h->bpf);
	if (!rc)
		rc = run_step(h, WEIR__IN_PREPARE, s->prepare);
	if (!rc)
		return 0;
	weir__host_set_reason(h, "source %s: %s", name, h->fail_text[0] ? h->fail_text : strerror(-rc));
	weir__bpf_free(h->bpf);
	h->bpf = NULL;
	h->source = -1;
	return rc;
}

int weir__source_begin(struct weir__host *h)
{
	int rc = run_step(h, WEIR__IN_SOURCE_START, weir__source_row(h, h->source)->start);

	if (rc)
		weir__host_set_reason(h, "source %s: start: %s", weir__source_row(h, h->source)->name,
		                      h->fail_text[0] ? h->fail_text : strerror(-rc));
	else
		snprintf(h->source_reasons[h->source], sizeof h->source_reasons[0], "ok");
	return rc;
}

void weir__source_tick(struct weir__host *h, bool on)
{
	if (on) {
		start_tick(h, weir__source_row(h, h->source));
		return;
	}
	if (h->tick_on)
		uv_timer_stop(&h->tick);
	h->tick_on = false;
}

void weir__source_tick_now(struct weir__host *h)
{
	uint64_t ms = h->tick_on ? uv_timer_get_repeat(&h->tick) : 0;

	if (ms) {
		uv_timer_start(&h->tick, on_tick, ms, ms);
		on_tick(&h->tick);
	}
}

void weir__source_end(struct weir__host *h)
{
	run_stop(h, weir__source_row(h, h->source));
}

/* It was to take over and did not: an object that is another host's is left alone. */
void weir__source_forget(struct weir__host *h, const struct weir_source *s)
{
	struct weir__bpf *bpf = h->bpf;

	run_stop(h, s);
	weir__emit_flush(h);
	pthread_mutex_lock(&h->lock);
	h->bpf = NULL;
	h->waiting = false;
	h->source = -1;
	pthread_mutex_unlock(&h->lock);
	if (h->adopted)
		weir__bpf_part(bpf);
	else
		weir__bpf_free(bpf);
}

void weir__source_stop(struct weir__host *h)
{
	const struct weir_source *s = weir__source_row(h, h->source);
	struct weir__ledger account;
	uint32_t topics = (1u << h->topic_count) - 1;

	weir__switch_abort(h);
	if (!s)
		return;
	if (h->tick_on)
		uv_timer_stop(&h->tick);
	h->tick_on = false;
	if (h->waiting) {
		weir__source_forget(h, s);
		return;
	}
	if (h->bpf) {
		/* Last word of the plugin's metrics, while its maps are there. */
		weir__host_collect(h);
		weir__bpf_enable(h->bpf, false);
		weir__bpf_detach(h->bpf);
		weir__drain_stop(h);
		weir__drain_all(h);
	}
	run_stop(h, s);
	weir__emit_update_missed(h);
	weir__emit_flush(h);
	weir__emit_account(h, topics, &account);
	h->unexplained = (int64_t)(weir__emit_seen(h, topics) - account.seen);
	if (h->bpf) {
		struct weir__bpf *bpf = h->bpf;

		/* Who buries this host must find the counts in one place or the other. */
		pthread_mutex_lock(&h->lock);
		weir__emit_close_kernel(h);
		h->bpf = NULL;
		pthread_mutex_unlock(&h->lock);
		weir__bpf_free(bpf);
	}
	h->source = -1;
}
