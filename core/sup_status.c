/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor says of its plugins and routes, as JSON (protocol.h), as log
 * lines at the end, and the rates behind them. Main thread; jansson's failures for
 * want of memory leave a key out.
 */
#include "sup_priv.h"
#include "log.h"
#include "process.h"
#include "protocol.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- rates --------------------------------------------------------------------------- */

static uint64_t bpf_ns(const struct sup_plugin *p)
{
	uint64_t ns = 0;

	for (size_t i = 0; i < p->snap.program_count; i++)
		ns += p->snap.programs[i].run_ns + p->snap.programs[i].hook_ns;
	return ns;
}

static struct sup_sample take_sample(struct sup_plugin *p)
{
	struct sup_sample s = { .at_ns = uv_hrtime(), .records = p->snap.records,
		.cpu_ns = p->host ? weir__host_cpu_ns(p->host) : 0, .bpf_ns = bpf_ns(p) };

	memcpy(s.deliveries, p->snap.deliveries, sizeof s.deliveries);
	return s;
}

static void take_latency(struct sup_plugin *p, const struct sup_sample *was, const struct sup_sample *now)
{
	uint64_t counts[WEIR__DELIVERY_BUCKETS + 1];

	for (size_t i = 0; i <= WEIR__DELIVERY_BUCKETS; i++)
		counts[i] = now->deliveries[i] - was->deliveries[i];
	p->latency_p50_s = weir__quantile(counts, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.5);
	p->latency_p99_s = weir__quantile(counts, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.99);
}

/* Over what has passed since the older of the two samples. */
void weir__sup_rates(struct sup_plugin *p)
{
	struct sup_sample now = take_sample(p), *was = &p->samples[0];
	double dt;

	if (!was->at_ns)
		was = &p->samples[1];
	if (!was->at_ns) {
		/* Just started: over its life so far. */
		*was = (struct sup_sample){ .at_ns = p->since_ns };
	}
	dt = (double)(now.at_ns - was->at_ns) / 1e9;
	if (dt < 0.05)
		return;
	p->events_per_s = (double)(now.records - was->records) / dt;
	p->cpu_percent = (double)(now.cpu_ns - was->cpu_ns) / dt / 1e7;
	p->bpf_percent = (double)(now.bpf_ns - was->bpf_ns) / dt / 1e7;
	take_latency(p, was, &now);
}

static void sampled(void *arg)
{
	struct weir__supervisor *s = arg;

	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		if (p->state != WEIR__RUNNING)
			continue;
		p->samples[0] = p->samples[1];
		p->samples[1] = take_sample(p);
	}
}

void weir__sup_sample(struct weir__supervisor *s)
{
	weir__sup_refresh(s, false, sampled, s);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void put(json_t *o, const char *key, json_t *value)
{
	if (value)
		json_object_set_new(o, key, value);
}

static void put_text(json_t *o, const char *key, const char *s)
{
	if (s && *s)
		put(o, key, weir__json_text(s));
}

static json_t *integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* Words of a list separated by spaces; with a mask only those with their bit. */
static json_t *words(const char *list, uint32_t mask)
{
	json_t *a = json_array();
	unsigned bit = 0;

	for (const char *at = list ? list : ""; a && *at; bit++) {
		size_t n = strcspn(at, " ");

		if (bit < 32 && (mask & (1u << bit)))
			json_array_append_new(a, json_stringn(at, n));
		at += n + (at[n] == ' ');
	}
	return a;
}

static json_t *json_programs(const struct sup_plugin *p)
{
	json_t *a = json_array();

	for (size_t i = 0; i < p->snap.program_count; i++) {
		const struct weir__bpf_program *b = &p->snap.programs[i];
		json_t *o = json_object();

		put_text(o, "name", b->row->name);
		put_text(o, "variant", b->variant);
		put(o, "attached", json_boolean(b->attached));
		put(o, "optional", json_boolean(!(b->row->flags & WEIR_PROGRAM_REQUIRED)));
		put(o, "off", json_boolean(b->off));
		put(o, "runs", integer(b->runs));
		put(o, "ns_per_run", json_real(b->ns_per_run));
		put(o, "missed", integer(b->missed));
		if (!b->attached)
			put_text(o, "error", b->error);
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *json_sources(const struct sup_plugin *p)
{
	json_t *a = json_array();
	const struct weir_source *s;

	for (uint32_t i = 0; i < 8 && (s = weir_table_row(&p->desc->sources, i)); i++) {
		const char *why = p->source_reasons[i];
		bool active = p->state == WEIR__RUNNING && p->source == (int)i;
		bool untried = !*why || !strcmp(why, "not tried");
		json_t *o = json_object();

		put_text(o, "name", s->name);
		put_text(o, "state", active ? "active" : untried ? "untried"
		         : !strcmp(why, "ok") ? "available" : "failed");
		if (!active && !untried && strcmp(why, "ok"))
			put_text(o, "reason", why);
		json_array_append_new(a, o);
	}
	return a;
}

static void put_memory(json_t *o, const struct sup_plugin *p)
{
	json_t *m = json_object();

	/* The kernel charges the rings in the maps' figure; show them apart. */
	put(m, "heap", integer(p->snap.heap_bytes));
	put(m, "maps", integer(p->snap.map_bytes));
	put(m, "rings", integer(p->snap.ring_bytes));
	if (p->host && weir__host_pid(p->host))
		put(m, "rss", integer(weir__process_resident(weir__host_pid(p->host))));
	put(o, "memory", m);
}

/* Bytes that wait in all its queues, to it or from it. */
static uint64_t queue_bytes(const struct sup_plugin *p)
{
	struct weir__route_stats st;
	uint64_t sum = 0;

	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p && r->to != p)
			continue;
		weir__route_stats(r->route, &st);
		sum += st.queued_bytes;
	}
	return sum;
}

static void put_latency(json_t *o, const struct sup_plugin *p)
{
	if (p->desc->kind == WEIR_OUTPUT && isfinite(p->latency_p99_s) && p->latency_p99_s > 0)
		put(o, "latency_s", json_pack("{s:f, s:f}", "p50", p->latency_p50_s, "p99", p->latency_p99_s));
}

/* Which stand-in has this collector's topics now? */
static const char *fallback_of(const struct sup_plugin *p)
{
	if (!p->desc || p->desc->kind != WEIR_COLLECTOR || p->state == WEIR__RUNNING)
		return NULL;
	for (struct sup_plugin *q = p->sup->plugins; q; q = q->next) {
		const struct weir_schema *s;

		if (q == p || !weir__sup_is_fallback(q) || q->state != WEIR__RUNNING)
			continue;
		for (uint32_t i = 0; (s = weir_table_row(&q->desc->schemas, i)); i++)
			if (weir__sup_provides(p, s->topic))
				return q->name;
	}
	return NULL;
}

static const char *kind_name(const struct weir_plugin_desc *d)
{
	static const char *const names[] = { "", "collector", "processor", "output" };

	return d && d->kind <= WEIR_OUTPUT ? names[d->kind] : "unknown";
}

static json_t *json_breaker(const struct sup_plugin *p, uint64_t now)
{
	const struct weir__breaker *b = &p->breaker;
	json_t *o = json_object();

	put_text(o, "state", weir__circuit_name(b->state));
	put(o, "failures", integer(weir__breaker_recent(b, now)));
	put(o, "opened", integer(b->opened));
	if (b->failed) { /* since the start of the daemon, also if it is closed again */
		put_text(o, "cause", weir__cause_name(b->cause));
		put_text(o, "detail", b->detail);
	}
	if (p->state == WEIR__FAILED && p->enabled && b->retry_ns)
		put(o, "retry_s", json_real(b->retry_ns > now ? (double)(b->retry_ns - now) / 1e9 : 0));
	if (p->lost)
		put(o, "lost", integer(p->lost));
	return o;
}

/* What an asker must know to ask for no more than there is: words, and the most. */
static json_t *json_args(const struct weir_query *q)
{
	const struct weir_option *arg;
	json_t *a = json_array();

	for (uint32_t i = 0; (arg = weir_table_row(&q->args, i)); i++) {
		json_t *o = json_object();

		put_text(o, "name", arg->name);
		if (arg->choices)
			put(o, "choices", words(arg->choices, ~0u));
		if (arg->max > 0)
			put(o, "max", json_real(arg->max));
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *json_queries(const struct sup_plugin *p)
{
	const struct weir_query *q;
	json_t *a = json_array();

	for (uint32_t i = 0; (q = weir_table_row(&p->desc->queries, i)); i++) {
		json_t *o = json_object();

		put_text(o, "name", q->name);
		put(o, "args", json_args(q));
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *json_plugin(struct sup_plugin *p)
{
	const struct weir_source *src;
	json_t *o = json_object();
	uint64_t now = uv_hrtime();

	put_text(o, "name", p->name);
	put_text(o, "kind", kind_name(p->desc));
	put_text(o, "version", p->desc ? p->desc->version : NULL);
	put_text(o, "state", weir__state_name(p->state));
	put_text(o, "isolation", p->settings->library ? "process" : "thread");
	if (p->host && weir__host_pid(p->host))
		put(o, "pid", json_integer(weir__host_pid(p->host)));
	put_text(o, "reason", p->reason);
	put_text(o, "fallback", fallback_of(p));
	put(o, "since_s", p->since_ns ? json_real((double)(now - p->since_ns) / 1e9) : NULL);
	put(o, "restarts", integer(p->restarts));
	if (p->for_until_ns > now)
		put(o, "for_s", json_real((double)(p->for_until_ns - now) / 1e9));
	if (!p->desc)
		return o;
	put(o, "breaker", json_breaker(p, now));
	put(o, "topics", words(p->desc->topics, ~0u));
	if (p->state == WEIR__RUNNING || p->state == WEIR__SUSPENDED)
		put(o, "budget", weir__sup_budget_json(p));
	if (weir__sup_is_fallback(p) && p->state == WEIR__RUNNING)
		put(o, "fallback_for", words(p->desc->topics, p->wanted));
	put(o, "sources", json_sources(p));
	put(o, "queue_bytes", integer(queue_bytes(p)));
	if (p->state != WEIR__RUNNING)
		return o;
	src = p->source < 0 ? NULL : weir_table_row(&p->desc->sources, (uint32_t)p->source);
	put_text(o, "source", src ? src->name : NULL);
	if (p->snap.tick_interval_s > 0)
		put(o, "interval_s", json_real(p->snap.tick_interval_s));
	put(o, "quality", json_string(p->snap.quality));
	put(o, "events_per_s", json_real(p->events_per_s));
	put(o, "cpu_percent", json_real(p->cpu_percent));
	put(o, "bpf_percent", json_real(p->bpf_percent));
	put_memory(o, p);
	put_latency(o, p);
	put(o, "programs", json_programs(p));
	put(o, "queries", json_queries(p));
	return o;
}

json_t *weir__sup_json_plugins(struct weir__supervisor *s)
{
	json_t *a = json_array();

	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (!p->gone)
			json_array_append_new(a, json_plugin(p));
	return a;
}

static const char *const policies[] = { "drop_newest", "drop_oldest", "block" };

static json_t *json_route(struct sup_route *r)
{
	struct weir__route_stats st;
	struct weir__ledger l;
	json_t *o = json_object(), *dropped = json_object();

	weir__route_stats(r->route, &st);
	weir__sup_route_ledger(r, &l);
	put_text(o, "from", r->from->name);
	put_text(o, "to", r->to->name);
	put(o, "topics", words(r->from->desc ? r->from->desc->topics : NULL, r->topics));
	put_text(o, "policy", policies[st.policy]);
	put(o, "open", json_boolean(r->open));
	put(o, "queue_bytes", integer(st.queued_bytes));
	put(o, "queue_limit", integer(st.limit));
	put(o, "seen", integer(l.seen));
	put(o, "delivered", integer(l.delivered));
	put(o, "queued", integer(l.queued));
	put(o, "aggregated", integer(l.aggregated));
	for (int i = 0; i < WEIR__REASON_COUNT; i++)
		if (l.dropped[i])
			put(dropped, weir__reason_name(i), integer(l.dropped[i]));
	put(o, "dropped", dropped);
	put(o, "unexplained", json_integer(weir__ledger_unexplained(&l)));
	return o;
}

json_t *weir__sup_json_routes(struct weir__supervisor *s)
{
	json_t *a = json_array();

	for (struct sup_route *r = s->routes; r; r = r->next)
		json_array_append_new(a, json_route(r));
	return a;
}

/* ---- the end -------------------------------------------------------------------------------- */

void weir__sup_log_ledger(struct weir__supervisor *s)
{
	struct weir__ledger l;
	char text[512];

	for (struct sup_route *r = s->routes; r; r = r->next) {
		weir__sup_route_ledger(r, &l);
		weir__ledger_format(&l, text, sizeof text);
		weir__log(weir__ledger_unexplained(&l) ? WEIR_ERROR : WEIR_INFO, r->from->name,
		          "ledger to %s: %s", r->to->name, text);
	}
}

bool weir__sup_balanced(struct weir__supervisor *s)
{
	struct weir__ledger l;

	for (struct sup_route *r = s->routes; r; r = r->next) {
		weir__sup_route_ledger(r, &l);
		if (weir__ledger_unexplained(&l))
			return false;
	}
	return !s->forgot_unbalanced;
}

/* Those that are on their way; or, if there is nothing else, those that should run and
 * do not: a daemon in which nothing runs is not ready. */
size_t weir__sup_unready(struct weir__supervisor *s, char *names, size_t size)
{
	size_t starting = 0, running = 0, failed = 0, at = 0;

	if (size)
		names[0] = 0;
	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		/* A start that follows a failure is no reason to call all of it unready. */
		starting += (p->state == WEIR__STARTING && !p->breaker.failed) || !s->started;
		running += p->state == WEIR__RUNNING || p->state == WEIR__STOPPING;
		failed += p->state == WEIR__FAILED || p->state == WEIR__REFUSED;
	}
	if (!starting && (running || !failed))
		return 0;
	for (struct sup_plugin *p = s->plugins; p && at < size; p = p->next)
		if (p->state == WEIR__STARTING || p->state == WEIR__FAILED || p->state == WEIR__REFUSED)
			at += (size_t)snprintf(names + at, size - at, "%s%s (%s)", at ? " " : "", p->name,
			                       weir__state_name(p->state));
	return starting + failed;
}
