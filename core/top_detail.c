/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top: all about one plugin. What the daemon does not say is left out here, not
 * shown as "-": there is more that may be missing than there is room.
 */
#include "top.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Lines that are passed over are only counted. */
struct pane {
	struct weir__top_text *t;
	unsigned skip, count;
};

__attribute__((format(printf, 4, 5))) static void
line(struct pane *p, const char *head, int paint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (p->count++ < p->skip)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	weir__top_cell(p->t, WEIR__BOLD, 10, false, "%s", head);
	weir__top_put(p->t, paint, "%s", text);
	weir__top_end(p->t);
}

static bool is(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v && !json_is_null(v);
}

static void put_life(struct pane *p, const struct weir__top_row *r)
{
	const json_t *o = r->plugin;
	const char *reason = weir__top_string(o, "reason"), *fallback = weir__top_string(o, "fallback");
	char since[24];

	line(p, "plugin", WEIR__BOLD, "%s %s, %s", r->name, weir__top_string(o, "version"),
	     weir__top_string(o, "kind"));
	line(p, "state", strcmp(r->state, "running") ? WEIR__YELLOW : WEIR__GREEN,
	     "%s for %s, started again %.0f times", *r->state ? r->state : "-",
	     weir__text_seconds(weir__top_number(o, "since_s"), since, sizeof since),
	     is(o, "restarts") ? weir__top_number(o, "restarts") : 0);
	if (*reason)
		line(p, "reason", WEIR__YELLOW, "%s", reason);
	if (*fallback)
		line(p, "fallback", WEIR__YELLOW, "%s has its topics now", fallback);
	if (r->pid > 0)
		line(p, "host", WEIR__PLAIN, "its own process, pid %.0f", r->pid);
	else if (*r->isolation)
		line(p, "host", WEIR__PLAIN, "%s", !strcmp(r->isolation, "thread") ? "a thread of the daemon's"
		                                                                  : r->isolation);
}

static void put_breaker(struct pane *p, const struct weir__top_row *r)
{
	const json_t *b = json_object_get(r->plugin, "breaker");
	const char *cause = weir__top_string(b, "cause"), *detail = weir__top_string(b, "detail");
	char retry[40] = "", when[16];

	if (!*r->breaker)
		return;
	if (is(b, "retry_s"))
		snprintf(retry, sizeof retry, ", next try in %s",
		         weir__top_time(weir__top_number(b, "retry_s"), when, sizeof when));
	line(p, "breaker", strcmp(r->breaker, "closed") ? WEIR__RED : WEIR__PLAIN,
	     "%s, %.0f failures in the window, opened %.0f times%s", r->breaker,
	     is(b, "failures") ? weir__top_number(b, "failures") : 0,
	     is(b, "opened") ? weir__top_number(b, "opened") : 0, retry);
	if (*cause)
		line(p, "", WEIR__PLAIN, "%s%s%s", cause, *detail ? ": " : "", detail);
}

/* ---- cost -------------------------------------------------------------------------- */

static void put_cost(struct pane *p, const struct weir__top_row *r)
{
	char a[24], b[24], c[24], d[24];

	line(p, "flow", WEIR__PLAIN, "%s events/s, %s drops/s, %s queued%s%s%s%s",
	     weir__top_rate(r->events, a, sizeof a), weir__top_rate(r->drops, b, sizeof b),
	     weir__top_bytes(r->queue_bytes, c, sizeof c), isnan(r->p99) ? "" : ", latency p50 ",
	     isnan(r->p99) ? "" : weir__top_time(r->p50, d, sizeof d), isnan(r->p99) ? "" : " p99 ",
	     isnan(r->p99) ? "" : weir__top_time(r->p99, (char[24]){ 0 }, 24));
	line(p, "CPU", WEIR__PLAIN, "%s in user space, %s in the kernel",
	     weir__top_percent(r->user, a, sizeof a), weir__top_percent(r->kernel, b, sizeof b));
	if (!isnan(r->memory)) {
		const json_t *m = json_object_get(r->plugin, "memory");

		line(p, "memory", WEIR__PLAIN, "heap %s, maps %s, rings %s%s%s",
		     weir__top_bytes(weir__top_number(m, "heap"), a, sizeof a),
		     weir__top_bytes(weir__top_number(m, "maps"), b, sizeof b),
		     weir__top_bytes(weir__top_number(m, "rings"), c, sizeof c),
		     isnan(r->rss) ? "" : ", resident ",
		     isnan(r->rss) ? "" : weir__top_bytes(r->rss, d, sizeof d));
	}
}

static char *amount(bool bytes, bool percent, double v, char *buf, size_t size)
{
	return bytes ? weir__top_bytes(v, buf, size) : percent ? weir__top_percent(v, buf, size)
		: weir__top_rate(v, buf, size);
}

static void put_budget(struct pane *p, const struct weir__top_row *r)
{
	static const struct { const char *name; bool bytes, percent; } limits[] = {
		{ "cpu", false, true }, { "memory", true, false }, { "events", false, false },
		{ "queue", true, false },
	};
	const json_t *b = json_object_get(r->plugin, "budget");
	const json_t *action = json_object_get(b, "last_action");
	const char *head = "budget";
	char used[24], limit[24];

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		const json_t *o = json_object_get(b, limits[i].name);
		double of = weir__top_number(o, "limit"), ratio = weir__top_number(o, "pressure");

		if (!(of > 0))
			continue;
		line(p, head, ratio >= 1 ? WEIR__RED : ratio >= 0.8 ? WEIR__YELLOW : WEIR__PLAIN,
		     "%s %s of %s", limits[i].name,
		     amount(limits[i].bytes, limits[i].percent, weir__top_number(o, "used"), used, sizeof used),
		     amount(limits[i].bytes, limits[i].percent, of, limit, sizeof limit));
		head = "";
	}
	if (is(b, "weight") && is(b, "level") && strcmp(weir__top_string(b, "level"), "none"))
		line(p, head, WEIR__PLAIN, "level %s: one event in %.0f kept, %.0f kinds off, %.0f programs detached",
		     weir__top_string(b, "level"), weir__top_number(b, "weight"),
		     is(b, "kinds_off") ? weir__top_number(b, "kinds_off") : 0,
		     is(b, "detached") ? weir__top_number(b, "detached") : 0);
	if (is(action, "what"))
		line(p, "last", WEIR__PLAIN, "%s, %s ago: %s", weir__top_string(action, "what"),
		     weir__text_seconds(weir__top_number(action, "age_s"), used, sizeof used),
		     weir__top_string(action, "why"));
}

/* ---- lists -------------------------------------------------------------------------- */

static void put_sources(struct pane *p, const struct weir__top_row *r)
{
	const char *head = "sources";
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(r->plugin, "sources"), i, s) {
		const char *reason = weir__top_string(s, "reason"), *state = weir__top_string(s, "state");

		line(p, head, strcmp(state, "failed") ? WEIR__PLAIN : WEIR__YELLOW, "%s %s%s%s",
		     weir__top_string(s, "name"), state, *reason ? ": " : "", reason);
		head = "";
	}
}

static void put_programs(struct pane *p, const struct weir__top_row *r)
{
	const char *head = "programs";
	char runs[24], ns[24];
	size_t i;
	json_t *g;

	json_array_foreach(json_object_get(r->plugin, "programs"), i, g) {
		bool attached = json_is_true(json_object_get(g, "attached"));
		const char *variant = weir__top_string(g, "variant");
		double missed = is(g, "missed") ? weir__top_number(g, "missed") : 0;

		if (attached)
			line(p, head, missed > 0 ? WEIR__YELLOW : WEIR__PLAIN,
			     "%-16s %s runs, %s each, %.0f missed%s%s%s", weir__top_string(g, "name"),
			     weir__top_rate(weir__top_number(g, "runs"), runs, sizeof runs),
			     weir__top_time(weir__top_number(g, "ns_per_run") / 1e9, ns, sizeof ns), missed,
			     json_is_true(json_object_get(g, "off")) ? ", off" : "",
			     strcmp(variant, weir__top_string(g, "name")) ? ", as " : "",
			     strcmp(variant, weir__top_string(g, "name")) ? variant : "");
		else
			line(p, head, WEIR__YELLOW, "%-16s not attached%s: %s", weir__top_string(g, "name"),
			     json_is_true(json_object_get(g, "optional")) ? " (optional)" : "",
			     weir__top_string(g, "error"));
		head = "";
	}
}

static void drops_text(const json_t *dropped, char *buf, size_t size)
{
	const char *reason, *sep = ": ";
	size_t len = 0;
	json_t *n;

	buf[0] = 0;
	json_object_foreach((json_t *)(uintptr_t)dropped, reason, n) {
		int w = json_number_value(n) > 0 ? snprintf(buf + len, size - len, "%s%s %.0f", sep, reason,
		                                            json_number_value(n)) : 0;

		if (w < 0 || (size_t)w >= size - len)
			return;
		len += (size_t)w;
		sep = w ? ", " : sep;
	}
}

static void put_routes(struct pane *p, const struct weir__top_view *v,
                       const struct weir__top_row *r)
{
	char dropped[200], a[24], b[24];
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(v->now, "routes"), i, o) {
		const char *from = weir__top_string(o, "from"), *to = weir__top_string(o, "to");
		double unexplained = weir__top_number(o, "unexplained");

		if (strcmp(from, r->name) && strcmp(to, r->name))
			continue;
		line(p, "route", WEIR__PLAIN, "%s -> %s, %s%s: queue %s of %s", from, to,
		     weir__top_string(o, "policy"), json_is_false(json_object_get(o, "open")) ? ", closed" : "",
		     weir__top_bytes(weir__top_number(o, "queue_bytes"), a, sizeof a),
		     weir__top_bytes(weir__top_number(o, "queue_limit"), b, sizeof b));
		drops_text(json_object_get(o, "dropped"), dropped, sizeof dropped);
		line(p, "", WEIR__PLAIN, "seen %.0f, delivered %.0f, queued %.0f, aggregated %.0f",
		     weir__top_number(o, "seen"), weir__top_number(o, "delivered"),
		     weir__top_number(o, "queued"), weir__top_number(o, "aggregated"));
		if (*dropped)
			line(p, "", WEIR__YELLOW, "dropped %.0f%s", weir__top_sum(json_object_get(o, "dropped"), true),
			     dropped);
		if (unexplained > 0 || unexplained < 0)
			line(p, "", WEIR__RED, "UNEXPLAINED %.0f: a bug in weir", unexplained);
	}
}

static unsigned put_all(const struct weir__top_view *v, struct weir__top_text *t,
                        const struct weir__top_row *r, unsigned skip)
{
	struct pane p = { t, skip, 0 };

	put_life(&p, r);
	put_breaker(&p, r);
	put_cost(&p, r);
	put_budget(&p, r);
	put_sources(&p, r);
	put_routes(&p, v, r);
	put_programs(&p, r);
	return p.count;
}

void weir__top_detail(const struct weir__top_view *v, struct weir__top_text *t)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	size_t n = weir__top_rows(v->now, v->before, v->sort, v->reverse, rows);
	const struct weir__top_row *r = weir__top_selected(v, rows, n);
	unsigned all = t->rows;

	if (!r || strcmp(r->name, v->selected)) {
		weir__top_line(t, WEIR__YELLOW, "%s is not here any more: Esc goes back", v->selected);
		return;
	}
	if (t->rows)
		t->rows--; /* the keys' line */
	put_all(v, t, r, v->scroll);
	t->rows = all;
}

unsigned weir__top_detail_lines(const struct weir__top_view *v)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	size_t n = weir__top_rows(v->now, v->before, v->sort, v->reverse, rows);
	const struct weir__top_row *r = weir__top_selected(v, rows, n);
	struct weir__top_text none = { 0 };

	return r ? put_all(v, &none, r, 0) : 0;
}
