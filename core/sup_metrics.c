/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weir's own metrics, from the last refresh. Everything is looked up anew each
 * time (some hundred series), so nothing here has to be kept in step with plugins
 * that come and go. Main thread, on each scrape.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"
#include "process.h"

#include <string.h>

#define SET(m, value, ...)                                                     \
	weir__series_set(weir__series(self, WEIR__SELF_##m,                    \
	                 (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }), (double)(value))

static const char *kind_word(uint32_t kind)
{
	return kind == WEIR_COLLECTOR ? "collector" : kind == WEIR_OUTPUT ? "output" : "processor";
}

static void set_states(struct sup_plugin *p, struct weir__metrics_set *self)
{
	for (int i = 0; i < WEIR__STATE_COUNT; i++)
		SET(PLUGIN_STATE, (int)p->state == i, p->name, weir__state_name((enum weir__state)i));
	SET(PLUGIN_STARTS, p->starts, p->name);
	SET(PLUGIN_RESTARTS, p->restarts, p->name);
	SET(PLUGIN_UPGRADES, p->upgrades, p->name, "done");
	SET(PLUGIN_UPGRADES, p->upgrades_refused, p->name, "refused");
	SET(QUERIES, p->queries_ok, p->name, "ok");
	SET(QUERIES, p->queries_failed, p->name, "error");
	SET(PLUGIN_CPU, (double)(p->cpu_before_ns + (p->host ? weir__host_cpu_ns(p->host) : 0)) / 1e9, p->name);
	if (!p->desc)
		return;
	SET(PLUGIN_INFO, 1, p->name, p->desc->version, kind_word(p->desc->kind));
	if (p->desc->kind == WEIR_COLLECTOR)
		SET(SOURCE_CHANGES, p->source_changes, p->name);
}

/* A cause that has never been is left out of the transitions: 18 series a plugin. */
static void set_breaker(struct sup_plugin *p, struct weir__metrics_set *self)
{
	const struct weir__breaker *b = &p->breaker;

	for (int c = 0; c < WEIR__CAUSE_COUNT; c++)
		SET(PLUGIN_FAILURES, b->failures[c], p->name, weir__cause_name((enum weir__cause)c));
	for (int s = 0; s < WEIR__CIRCUIT_COUNT; s++) {
		const char *state = weir__circuit_name((enum weir__circuit)s);

		SET(BREAKER_STATE, (int)b->state == s, p->name, state);
		for (int c = 0; c < WEIR__CAUSE_COUNT; c++)
			if (b->failures[c])
				SET(BREAKER_TRANSITIONS, b->moves[s][c], p->name, state,
				    weir__cause_name((enum weir__cause)c));
	}
	SET(LOST_THREADS, p->lost, p->name);
}

static void set_programs(struct sup_plugin *p, struct weir__metrics_set *self)
{
	for (size_t i = 0; i < p->snap.program_count; i++) {
		const struct weir__bpf_program *b = &p->snap.programs[i];

		SET(PROGRAM_ATTACHED, b->attached, p->name, b->row->name);
		SET(PROGRAM_RUNS, b->runs, p->name, b->row->name);
		SET(PROGRAM_SECONDS, (double)b->run_ns / 1e9, p->name, b->row->name);
		SET(HOOK_SECONDS, (double)b->hook_ns / 1e9, p->name, b->row->name);
		SET(PROGRAM_MISSED, b->missed, p->name, b->row->name);
	}
	for (size_t i = 0; i < p->snap.map_count; i++)
		SET(MAP_MEMORY, p->snap.maps[i].bytes, p->name, p->snap.maps[i].name);
}

static void set_running(struct sup_plugin *p, struct weir__metrics_set *self)
{
	const struct weir__snapshot *s = &p->snap;
	const char *quality = *s->quality ? s->quality : "exact";

	if (p->state != WEIR__RUNNING || !p->snapped)
		return;
	SET(PLUGIN_RUNNING, (double)(uv_hrtime() - p->since_ns) / 1e9, p->name);
	SET(PLUGIN_MEMORY, s->heap_bytes, p->name, "heap");
	SET(PLUGIN_MEMORY, s->map_bytes, p->name, "maps");
	SET(PLUGIN_MEMORY, s->ring_bytes, p->name, "rings");
	SET(CALLBACK_SLOW, s->overruns, p->name);
	weir__series_histogram(weir__series(self, WEIR__SELF_CALLBACK, (const char *const[]){ p->name, NULL }),
	                       s->callbacks, (double)s->callback_ns / 1e9);
	SET(SERIES, weir__metrics_set_count(p->metrics), p->name);
	SET(SERIES_DROPPED, weir__metrics_set_dropped(p->metrics), p->name);
	if (p->desc->kind == WEIR_OUTPUT && p->desc->deliver)
		weir__series_histogram(weir__series(self, WEIR__SELF_DELIVERY, (const char *const[]){ p->name, NULL }),
		                       s->deliveries, (double)s->delivery_ns / 1e9);
	if (p->desc->kind != WEIR_COLLECTOR)
		return;
	SET(SOURCE_INFO, 1, p->name, s->source, quality);
	SET(TICKS, s->ticks, p->name);
	if (!s->program_count)
		return;
	SET(RING_BYTES, s->ring_bytes, p->name);
	SET(RING_FILL, s->ring_bytes ? (double)s->ring_avail / (double)s->ring_bytes : 0, p->name);
	SET(RING_WAKES, s->wakes, p->name);
	SET(RING_DRAINS, s->drains, p->name);
	SET(SAMPLE_PROBABILITY, 1.0 / p->budget.logic.tune.weight, p->name);
	set_programs(p, self);
}

/* A plugin that does not run has no source, memory or program: absent, not 0. */
static void absent_stopped(struct sup_plugin *p, struct weir__metrics_set *self)
{
	static const char *const kinds[] = { "heap", "maps", "rings" };
	const char *const name[] = { p->name, NULL };

	if (p->state == WEIR__RUNNING || !p->snapped)
		return;
	weir__series_absent(weir__series(self, WEIR__SELF_PLUGIN_RUNNING, name));
	for (size_t i = 0; i < 3; i++)
		weir__series_absent(weir__series(self, WEIR__SELF_PLUGIN_MEMORY,
		                    (const char *const[]){ p->name, kinds[i], NULL }));
	weir__series_absent(weir__series(self, WEIR__SELF_SOURCE_INFO, (const char *const[]){
		p->name, p->snap.source, *p->snap.quality ? p->snap.quality : "exact", NULL }));
	for (size_t i = 0; i < p->snap.program_count; i++)
		SET(PROGRAM_ATTACHED, 0, p->name, p->snap.programs[i].row->name);
}

static void set_fallback(struct sup_plugin *p, struct weir__metrics_set *self)
{
	const char *at = p->desc && p->desc->topics ? p->desc->topics : "";

	if (!weir__sup_is_fallback(p))
		return;
	for (unsigned bit = 0; *at && bit < WEIR__MAX_TOPICS; bit++) {
		size_t n = strcspn(at, " ");
		char topic[32];

		memcpy(topic, at, n < sizeof topic ? n : sizeof topic - 1);
		topic[n < sizeof topic ? n : sizeof topic - 1] = 0;
		SET(FALLBACK, p->state == WEIR__RUNNING && (p->wanted & (1u << bit)), p->name, topic);
		at += n + (at[n] == ' ');
	}
}

static void set_route(struct sup_route *r, struct weir__metrics_set *self)
{
	const char *from = r->from->name, *to = r->to->name;
	struct weir__route_stats st;
	struct weir__ledger l;

	if (r->to->transient)
		return; /* a client's name is not a bounded label */
	weir__sup_route_ledger(r, &l);
	weir__route_stats(r->route, &st);
	SET(EVENTS, l.seen, from, to);
	SET(EVENTS_DELIVERED, l.delivered, from, to);
	SET(EVENTS_AGGREGATED, l.aggregated, from, to);
	SET(EVENTS_QUEUED, l.queued, from, to);
	SET(IMBALANCE, weir__ledger_unexplained(&l), from, to);
	for (int i = 0; i < WEIR__REASON_COUNT; i++)
		SET(EVENTS_DROPPED, l.dropped[i], from, to, weir__reason_name(i));
	SET(BATCHES, st.batches, from, to);
	SET(BATCH_BYTES, st.bytes, from, to);
	SET(QUEUE_BYTES, st.queued_bytes, from, to);
	SET(QUEUE_LIMIT, st.limit, from, to);
	SET(QUEUE_FILL, st.limit ? (double)st.queued_bytes / (double)st.limit : 0, from, to);
}

static void set_process(struct weir__metrics_set *self)
{
	struct weir__process_info info;

	SET(HEAP_BLOCKS, weir__mem_live());
	SET(CPUS, weir__possible_cpus());
	SET(LOG_SUPPRESSED, weir__log_suppressed());
	if (weir__process_info(&info))
		return;
	SET(PROCESS_CPU, info.user_s, "user");
	SET(PROCESS_CPU, info.system_s, "system");
	SET(PROCESS_RESIDENT, info.resident_bytes);
	SET(PROCESS_FDS, info.open_fds);
	SET(PROCESS_MAX_FDS, info.max_fds);
	SET(PROCESS_THREADS, info.threads);
	SET(PROCESS_START, info.start_time_s);
}

void weir__sup_update_metrics(struct weir__supervisor *s, struct weir__metrics_set *self)
{
	char names[1];

	set_process(self);
	SET(READY, weir__sup_unready(s, names, sizeof names) == 0);
	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		if (p->transient || p->gone)
			continue;
		set_states(p, self);
		set_breaker(p, self);
		set_running(p, self);
		absent_stopped(p, self);
		set_fallback(p, self);
	}
	for (struct sup_route *r = s->routes; r; r = r->next)
		set_route(r, self);
	weir__sup_budget_metrics(s, self);
}
