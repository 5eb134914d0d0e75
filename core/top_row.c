/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugins of a "status" answer as rows: what can be known of each, rates from
 * the difference to the answer before, in the order asked for; and the same as JSON.
 * Nothing of the answer is trusted to be there or to be of its type.
 */
#include "top.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const sort_names[] = {
#define X(id, name, doc) name,
	WEIR__TOP_SORTS(X)
#undef X
};

const char *weir__top_sort_name(enum weir__top_sort s)
{
	return sort_names[s];
}

int weir__top_sort_find(const char *name)
{
	for (int i = 0; i < WEIR__TOP_SORT_COUNT; i++)
		if (!strcmp(name, sort_names[i]))
			return i;
	return -1;
}

double weir__top_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

const char *weir__top_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static double at_least(double v, double least)
{
	return v >= least ? v : least; /* NAN too */
}

double weir__top_passed(const json_t *now, const json_t *before)
{
	double s = weir__top_number(now, "uptime_s") - weir__top_number(before, "uptime_s");

	/* Another daemon counts from zero; a moment is too short for a rate. */
	if (!(s >= 0.01) || weir__top_number(now, "pid") != weir__top_number(before, "pid"))
		return 0;
	return s;
}

/* ---- drops ------------------------------------------------------------------------- */

/* What a user asked to be left out is no loss. */
static bool wanted(const char *reason)
{
	return !strcmp(reason, "filtered");
}

double weir__top_sum(const json_t *dropped, bool wanted_too)
{
	const char *reason;
	double sum = 0;
	json_t *n;

	json_object_foreach((json_t *)(uintptr_t)dropped, reason, n)
		if (wanted_too || !wanted(reason))
			sum += json_number_value(n);
	return sum;
}

static const json_t *same_route(const json_t *status, const json_t *route)
{
	const json_t *routes = json_object_get(status, "routes");
	size_t i;
	json_t *r;

	json_array_foreach(routes, i, r)
		if (!strcmp(weir__top_string(r, "from"), weir__top_string(route, "from")) &&
		    !strcmp(weir__top_string(r, "to"), weir__top_string(route, "to")))
			return r;
	return NULL;
}

/* A counter's growth; one that is smaller than before began anew. */
static double grown(const json_t *now, const json_t *before, const char *key)
{
	double n = json_number_value(json_object_get(now, key));
	double b = json_number_value(json_object_get(before, key));

	return n >= b ? n - b : n;
}

/* The routes of one plugin, taken together. */
struct sums {
	double passed;
	double dropped, delivered, bytes, fill;
	const char *reason;
	double most;
	bool any;
};

static void add_route(struct sums *s, const json_t *r, const json_t *before)
{
	const json_t *dropped = json_object_get(r, "dropped"), *old = json_object_get(before, "dropped");
	double bytes = weir__top_number(r, "queue_bytes"), limit = weir__top_number(r, "queue_limit");
	const char *reason;
	json_t *n;

	s->any = true;
	s->bytes += at_least(bytes, 0);
	if (limit > 0 && bytes / limit > s->fill)
		s->fill = bytes / limit;
	s->delivered += grown(r, before, "delivered");
	json_object_foreach((json_t *)(uintptr_t)dropped, reason, n) {
		double more = grown(dropped, old, reason);

		if (wanted(reason) || more <= 0)
			continue;
		s->dropped += more;
		if (more > s->most) {
			s->most = more;
			s->reason = reason;
		}
	}
}

static struct sums sum_routes(const json_t *now, const json_t *before, const char *name)
{
	struct sums s = { .passed = weir__top_passed(now, before), .reason = "" };
	const json_t *routes = json_object_get(now, "routes");
	size_t i;
	json_t *r;

	json_array_foreach(routes, i, r)
		if (!strcmp(weir__top_string(r, "from"), name) || !strcmp(weir__top_string(r, "to"), name))
			add_route(&s, r, s.passed > 0 ? same_route(before, r) : NULL);
	return s;
}

/* ---- rows -------------------------------------------------------------------------- */

static void fill_routes(struct weir__top_row *row, const json_t *now, const json_t *before, bool output)
{
	struct sums s = sum_routes(now, before, row->name);

	row->drops = row->queue = row->queue_bytes = NAN;
	row->drop_reason = "";
	if (!s.any)
		return;
	row->queue = s.fill;
	row->queue_bytes = s.bytes;
	if (!(s.passed > 0))
		return;
	row->drops = s.dropped / s.passed;
	row->drop_reason = s.reason;
	if (output)
		row->events = s.delivered / s.passed;
}

static double memory_of(const json_t *p)
{
	static const char *const parts[] = { "heap", "maps", "rings" };
	const json_t *m = json_object_get(p, "memory");
	double sum = NAN;

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		double v = weir__top_number(m, parts[i]);

		if (!isnan(v))
			sum = isnan(sum) ? v : sum + v;
	}
	return sum;
}

static void fill(struct weir__top_row *row, const json_t *p, const json_t *now, const json_t *before)
{
	const json_t *breaker = json_object_get(p, "breaker"), *budget = json_object_get(p, "budget");
	bool output = !strcmp(weir__top_string(p, "kind"), "output");
	double queued;

	memset(row, 0, sizeof *row);
	row->plugin = p;
	row->name = weir__top_string(p, "name");
	row->state = weir__top_string(p, "state");
	row->source = weir__top_string(p, "source");
	row->approx = !strcmp(weir__top_string(p, "quality"), "approx");
	row->isolation = weir__top_string(p, "isolation");
	row->breaker = weir__top_string(breaker, "state");
	row->pid = weir__top_number(p, "pid");
	row->events = output ? NAN : weir__top_number(p, "events_per_s");
	row->user = weir__top_number(p, "cpu_percent");
	row->kernel = output ? NAN : weir__top_number(p, "bpf_percent");
	row->memory = memory_of(p);
	row->rss = weir__top_number(json_object_get(p, "memory"), "rss");
	row->p50 = weir__top_number(json_object_get(p, "latency_s"), "p50");
	row->p99 = weir__top_number(json_object_get(p, "latency_s"), "p99");
	row->pressure = weir__top_number(budget, "pressure");
	row->sampling = weir__top_number(budget, "sampling");
	fill_routes(row, now, before, output);
	queued = weir__top_number(p, "queue_bytes");
	if (!isnan(queued))
		row->queue_bytes = queued;
}

static double key_of(const struct weir__top_row *r, enum weir__top_sort sort)
{
	switch (sort) {
	case WEIR__TOP_CPU:      return at_least(r->user, 0) + at_least(r->kernel, 0);
	case WEIR__TOP_EVENTS:   return r->events;
	case WEIR__TOP_DROPS:    return r->drops;
	case WEIR__TOP_MEMORY:   return at_least(r->memory, at_least(r->rss, 0));
	case WEIR__TOP_QUEUE:    return r->queue;
	case WEIR__TOP_LATENCY:  return r->p99;
	case WEIR__TOP_PRESSURE: return r->pressure;
	default:                 return 0;
	}
}

struct order {
	enum weir__top_sort sort;
	bool reverse;
};

/* What is not known comes after what is known to be nothing. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct weir__top_row *x = a, *y = b;
	const struct order *o = arg;
	double p = at_least(key_of(x, o->sort), -1), q = at_least(key_of(y, o->sort), -1);
	int by = p > q ? -1 : p < q ? 1 : 0;

	if (!by)
		return o->sort == WEIR__TOP_NAME && o->reverse ? strcmp(y->name, x->name)
		                                              : strcmp(x->name, y->name);
	return o->reverse ? -by : by;
}

size_t weir__top_rows(const json_t *now, const json_t *before, enum weir__top_sort sort,
                      bool reverse, struct weir__top_row *rows)
{
	const json_t *plugins = json_object_get(now, "plugins");
	struct order order = { sort, reverse };
	size_t i, n = 0;
	json_t *p;

	json_array_foreach(plugins, i, p)
		if (n < WEIR__TOP_ROWS && json_is_object(p))
			fill(&rows[n++], p, now, before);
	qsort_r(rows, n, sizeof *rows, compare, &order);
	return n;
}

/* ---- for programs ------------------------------------------------------------------- */

static void put(json_t *o, const char *key, double v)
{
	json_object_set_new(o, key, isfinite(v) ? json_real(v) : json_null());
}

static void put_text(json_t *o, const char *key, const char *s)
{
	json_object_set_new(o, key, *s ? json_string(s) : json_null());
}

static json_t *row_json(const struct weir__top_row *r)
{
	json_t *o = json_object(), *action;

	put_text(o, "name", r->name);
	put_text(o, "kind", weir__top_string(r->plugin, "kind"));
	put_text(o, "state", r->state);
	put_text(o, "isolation", r->isolation);
	json_object_set_new(o, "pid", isnan(r->pid) ? json_null() : json_integer((json_int_t)r->pid));
	put_text(o, "source", r->source);
	put_text(o, "quality", weir__top_string(r->plugin, "quality"));
	put_text(o, "breaker", r->breaker);
	put(o, "events_per_s", r->events);
	put(o, "drops_per_s", r->drops);
	put_text(o, "drop_reason", r->drop_reason);
	put(o, "cpu_percent", r->user);
	put(o, "bpf_percent", r->kernel);
	put(o, "memory_bytes", r->memory);
	put(o, "rss_bytes", r->rss);
	put(o, "queue_ratio", r->queue);
	put(o, "queue_bytes", r->queue_bytes);
	put(o, "latency_p50_s", r->p50);
	put(o, "latency_p99_s", r->p99);
	put(o, "pressure", r->pressure);
	put(o, "sampling", r->sampling);
	action = json_object_get(json_object_get(r->plugin, "budget"), "last_action");
	json_object_set_new(o, "last_action", action ? json_incref(action) : json_null());
	put_text(o, "reason", weir__top_string(r->plugin, "reason"));
	return o;
}

json_t *weir__top_json(const json_t *now, const json_t *before, enum weir__top_sort sort, bool reverse)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	size_t n = weir__top_rows(now, before, sort, reverse, rows);
	json_t *o = json_object(), *a = json_array(), *daemon = json_object_get(now, "daemon");
	double passed = weir__top_passed(now, before);

	put_text(o, "version", weir__top_string(now, "version"));
	json_object_set_new(o, "ready", json_boolean(json_is_true(json_object_get(now, "ready"))));
	put(o, "uptime_s", weir__top_number(now, "uptime_s"));
	put(o, "passed_s", passed > 0 ? passed : NAN);
	json_object_set_new(o, "daemon", daemon ? json_incref(daemon) : json_null());
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, row_json(&rows[i]));
	json_object_set_new(o, "plugins", a);
	/* Without memory: better nothing than a list with a plugin left out. */
	if (!o || json_array_size(a) != n || !json_object_get(o, "plugins")) {
		json_decref(o);
		return NULL;
	}
	return o;
}
