/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame of weir top: the head (what the whole costs, against its budget), the table
 * of plugins, what is to be said of the selected one, the keys. Columns that do not
 * fit give way by rank; those that say nothing of any plugin are left out.
 */
#include "top.h"
#include "protocol.h"

#include <math.h>
#include <string.h>

/* Above the table: three lines of sums, one for trouble, one for the columns. */
#define BAR 20

/* ---- head ------------------------------------------------------------------------ */

static double known(double v)
{
	return isnan(v) ? 0 : v;
}

static const char *daemon_state(const json_t *a, int *ret_paint)
{
	bool ready = json_is_true(json_object_get(a, "ready"));

	*ret_paint = ready ? WEIR__GREEN : WEIR__YELLOW;
	return ready ? "ready" : "not ready";
}

static bool is_bad(const char *state)
{
	static const char *const bad[] = { WEIR__STATES_BAD };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (!strcmp(state, bad[i]))
			return true;
	return false;
}

static void put_title(const struct weir__top_view *v, struct weir__top_text *t,
                      const struct weir__top_row *rows, size_t n)
{
	size_t running = 0, bad = 0;
	int paint;
	const char *state = daemon_state(v->now, &paint);
	char up[24];

	for (size_t i = 0; i < n; i++) {
		running += !strcmp(rows[i].state, "running");
		bad += is_bad(rows[i].state);
	}
	weir__top_put(t, WEIR__BOLD, "weir %s", weir__top_string(v->now, "version"));
	weir__top_put(t, WEIR__PLAIN, "  ");
	weir__top_put(t, paint, "%s", state);
	weir__top_put(t, WEIR__PLAIN, "  up %s  pid %.0f  %zu plugins, %zu running",
	              weir__text_seconds(weir__top_number(v->now, "uptime_s"), up, sizeof up),
	              known(weir__top_number(v->now, "pid")), n, running);
	if (bad)
		weir__top_put(t, WEIR__RED, ", %zu bad", bad);
	weir__top_end(t);
}

/* "[######              ]", filled by used / limit; without a limit empty. */
static void put_bar(struct weir__top_text *t, double used, double limit)
{
	double ratio = limit > 0 && used > 0 ? used / limit : 0;
	int fill = ratio >= 1 ? BAR : (int)(ratio * BAR + 0.5);
	char bar[BAR + 1];

	memset(bar, ' ', BAR);
	memset(bar, '#', (size_t)fill);
	bar[BAR] = 0;
	weir__top_put(t, WEIR__PLAIN, "[");
	weir__top_put(t, ratio >= 1 ? WEIR__RED : ratio >= 0.8 ? WEIR__YELLOW : WEIR__GREEN, "%s", bar);
	weir__top_put(t, WEIR__PLAIN, "] ");
}

/* What all of it is: of the budget if the daemon has one, else added up here. */
struct totals {
	double user, kernel, cpu, cpu_limit;
	double memory, memory_limit;
	double events, drops, queued;
	const char *reason;
	double most;
};

static struct totals add_up(const json_t *now, const struct weir__top_row *rows, size_t n)
{
	const json_t *d = json_object_get(now, "daemon"), *budget = json_object_get(d, "budget");
	const json_t *cpu = json_object_get(budget, "cpu"), *memory = json_object_get(budget, "memory");
	struct totals s = { .user = weir__top_number(d, "cpu_percent"),
		.memory = weir__top_number(d, "rss_bytes"), .reason = "" };

	for (size_t i = 0; i < n; i++) {
		const struct weir__top_row *r = &rows[i];
		const json_t *m = json_object_get(r->plugin, "memory");
		bool process = !strcmp(r->isolation, "process");

		s.user += process ? known(r->user) : 0;
		s.kernel += known(r->kernel);
		s.memory += known(weir__top_number(m, "maps")) + known(weir__top_number(m, "rings")) +
		            (process ? known(r->rss) : 0);
		if (!strcmp(weir__top_string(r->plugin, "kind"), "output"))
			continue; /* its routes are the collectors' */
		s.events += known(r->events);
		s.drops += known(r->drops);
		s.queued += known(r->queue_bytes);
		if (known(r->drops) > s.most) {
			s.most = r->drops;
			s.reason = r->drop_reason;
		}
	}
	s.cpu = weir__top_number(cpu, "used");
	if (isnan(s.cpu))
		s.cpu = s.user + s.kernel;
	s.cpu_limit = weir__top_number(cpu, "limit");
	if (!isnan(weir__top_number(memory, "used")))
		s.memory = weir__top_number(memory, "used");
	s.memory_limit = weir__top_number(memory, "limit");
	return s;
}

static void put_costs(const struct weir__top_view *v, struct weir__top_text *t,
                      const struct totals *s)
{
	const json_t *d = json_object_get(v->now, "daemon");
	char used[24], limit[24], a[24], b[24];

	weir__top_put(t, WEIR__PLAIN, "CPU    ");
	put_bar(t, s->cpu, s->cpu_limit);
	weir__top_put(t, WEIR__PLAIN, "%s", weir__top_percent(s->cpu, used, sizeof used));
	if (s->cpu_limit > 0)
		weir__top_put(t, WEIR__PLAIN, " of %s", weir__top_percent(s->cpu_limit, limit, sizeof limit));
	weir__top_put(t, WEIR__PLAIN, ": %s user, %s BPF", weir__top_percent(s->user, a, sizeof a),
	              weir__top_percent(s->kernel, b, sizeof b));
	weir__top_end(t);
	weir__top_put(t, WEIR__PLAIN, "Memory ");
	put_bar(t, s->memory, s->memory_limit);
	weir__top_put(t, WEIR__PLAIN, "%s", weir__top_bytes(s->memory, used, sizeof used));
	if (s->memory_limit > 0)
		weir__top_put(t, WEIR__PLAIN, " of %s", weir__top_bytes(s->memory_limit, limit, sizeof limit));
	weir__top_put(t, WEIR__PLAIN, ": %s resident, %.0f threads, %.0f files",
	              weir__top_bytes(weir__top_number(d, "rss_bytes"), a, sizeof a),
	              known(weir__top_number(d, "threads")), known(weir__top_number(d, "fds")));
	weir__top_end(t);
}

/* Where the machine's tasks wait, if the kernel says: pressure stall information. */
static void put_stalls(const struct weir__top_view *v, struct weir__top_text *t)
{
	static const struct { const char *key, *name; } stalls[] = {
		{ "cpu_some", "CPU" }, { "memory_some", "memory" }, { "io_full", "I/O" },
	};
	const json_t *psi = json_object_get(json_object_get(v->now, "daemon"), "psi");
	const char *sep = "; stalls: ";
	char text[24];

	for (size_t i = 0; i < sizeof stalls / sizeof stalls[0]; i++) {
		double percent = weir__top_number(psi, stalls[i].key);

		if (isnan(percent))
			continue;
		weir__top_put(t, percent >= 10 ? WEIR__YELLOW : WEIR__PLAIN, "%s%s %s", sep, stalls[i].name,
		              weir__top_percent(percent, text, sizeof text));
		sep = ", ";
	}
}

static void put_flow(const struct weir__top_view *v, struct weir__top_text *t,
                     const struct totals *s)
{
	bool rates = weir__top_passed(v->now, v->before) > 0;
	char events[24], drops[24], queued[24];

	weir__top_put(t, WEIR__PLAIN, "Flow   %s events/s, ", weir__top_rate(s->events, events, sizeof events));
	weir__top_put(t, s->drops > 0 ? WEIR__YELLOW : WEIR__PLAIN, "%s dropped/s%s%s",
	              weir__top_rate(rates ? s->drops : NAN, drops, sizeof drops), *s->reason ? ": " : "", s->reason);
	weir__top_put(t, WEIR__PLAIN, ", %s queued", weir__top_bytes(s->queued, queued, sizeof queued));
	put_stalls(v, t);
	weir__top_end(t);
}

/* ---- columns ------------------------------------------------------------------------ */

#define CELL WEIR__TOP_CELL_BYTES

static void cell_plugin(const struct weir__top_row *r, struct weir__top_shown *c)
{
	snprintf(c->text, CELL, "%s", r->name);
}

static void cell_state(const struct weir__top_row *r, struct weir__top_shown *c)
{
	snprintf(c->text, CELL, "%s", *r->state ? r->state : "-");
	c->paint = is_bad(r->state) ? WEIR__RED : !strcmp(r->state, "running") ? WEIR__GREEN
		: !strcmp(r->state, "disabled") || !strcmp(r->state, "standby") ? WEIR__DIM : WEIR__YELLOW;
}

static void cell_source(const struct weir__top_row *r, struct weir__top_shown *c)
{
	snprintf(c->text, CELL, "%s%s", *r->source ? r->source : "-", r->approx ? " ~" : "");
	c->paint = r->approx ? WEIR__YELLOW : WEIR__PLAIN;
}

static void cell_host(const struct weir__top_row *r, struct weir__top_shown *c)
{
	if (r->pid > 0)
		snprintf(c->text, CELL, "%.0f", r->pid);
	else
		snprintf(c->text, CELL, "%s", *r->isolation ? r->isolation : "-");
}

static void cell_events(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_rate(r->events, c->text, CELL);
}

static void cell_drops(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_rate(r->drops, c->text, CELL);
	c->paint = r->drops > 0 ? WEIR__YELLOW : WEIR__PLAIN;
}

static void cell_why(const struct weir__top_row *r, struct weir__top_shown *c)
{
	snprintf(c->text, CELL, "%s", *r->drop_reason ? r->drop_reason : "-");
	c->paint = WEIR__YELLOW;
}

static void cell_user(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_percent(r->user, c->text, CELL);
}

static void cell_kernel(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_percent(r->kernel, c->text, CELL);
}

static void cell_memory(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_bytes(r->memory, c->text, CELL);
}

static void cell_rss(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_bytes(r->rss, c->text, CELL);
}

static int paint_ratio(double v)
{
	return v >= 1 ? WEIR__RED : v >= 0.8 ? WEIR__YELLOW : WEIR__PLAIN;
}

static void cell_queue(const struct weir__top_row *r, struct weir__top_shown *c)
{
	if (isfinite(r->queue))
		snprintf(c->text, CELL, "%.0f%%", r->queue * 100);
	c->paint = paint_ratio(r->queue);
}

static void cell_p50(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_time(r->p50, c->text, CELL);
}

static void cell_p99(const struct weir__top_row *r, struct weir__top_shown *c)
{
	weir__top_time(r->p99, c->text, CELL);
}

static void cell_pressure(const struct weir__top_row *r, struct weir__top_shown *c)
{
	const char *by = weir__top_string(json_object_get(r->plugin, "budget"), "by");

	if (isfinite(r->pressure))
		snprintf(c->text, CELL, "%.0f%%%s%s", r->pressure * 100, *by ? " " : "", by);
	c->paint = paint_ratio(r->pressure);
}

/* "1/8": one in eight is kept. */
static void cell_sampling(const struct weir__top_row *r, struct weir__top_shown *c)
{
	double weight = weir__top_number(json_object_get(r->plugin, "budget"), "weight");

	if (!(weight > 0) && r->sampling > 0)
		weight = 1 / r->sampling;
	if (weight > 0)
		snprintf(c->text, CELL, weight > 1 ? "1/%.0f" : "1", weight);
	c->paint = weight > 1 ? WEIR__YELLOW : WEIR__PLAIN;
}

static int paint_breaker(const char *state)
{
	return !strcmp(state, "open") ? WEIR__RED
		: !strcmp(state, "half-open") ? WEIR__YELLOW : WEIR__PLAIN;
}

static void cell_breaker(const struct weir__top_row *r, struct weir__top_shown *c)
{
	const char *cause = weir__top_string(json_object_get(r->plugin, "breaker"), "cause");

	if (!strcmp(r->breaker, "closed"))
		cause = "";
	snprintf(c->text, CELL, "%s%s%s", *r->breaker ? r->breaker : "-", *cause ? " " : "", cause);
	c->paint = paint_breaker(r->breaker);
}

static void cell_action(const struct weir__top_row *r, struct weir__top_shown *c)
{
	const json_t *action = json_object_get(json_object_get(r->plugin, "budget"), "last_action");
	const char *what = weir__top_string(action, "what");
	char age[24];

	if (*what)
		snprintf(c->text, CELL, "%s, %s ago", what,
		         weir__text_seconds(weir__top_number(action, "age_s"), age, sizeof age));
}

/* In the order shown. */
static const struct column {
	struct weir__top_column layout;
	void (*cell)(const struct weir__top_row *r, struct weir__top_shown *c);
} columns[] = {
	{ { "PLUGIN",      8, 31, false, 0 },  cell_plugin },
	{ { "STATE",       8, 12, false, 1 },  cell_state },
	{ { "SOURCE",      6, 16, false, 7 },  cell_source },
	{ { "HOST",        6, 8,  false, 13 }, cell_host },
	{ { "EVENTS/S",    8, 9,  true,  2 },  cell_events },
	{ { "DROPS/S",     7, 9,  true,  3 },  cell_drops },
	{ { "WHY",         8, 14, false, 12 }, cell_why },
	{ { "CPU",         6, 7,  true,  4 },  cell_user },
	{ { "BPF",         6, 7,  true,  6 },  cell_kernel },
	{ { "MEMORY",      8, 9,  true,  5 },  cell_memory },
	{ { "RSS",         8, 9,  true,  16 }, cell_rss },
	{ { "QUEUE",       5, 5,  true,  8 },  cell_queue },
	{ { "P50",         5, 8,  true,  15 }, cell_p50 },
	{ { "P99",         5, 8,  true,  9 },  cell_p99 },
	{ { "BUDGET",      6, 12, true,  10 }, cell_pressure },
	{ { "SAMPLE",      6, 6,  true,  11 }, cell_sampling },
	{ { "BREAKER",     7, 20, false, 14 }, cell_breaker },
	{ { "LAST ACTION", 11, 60, false, 17 }, cell_action },
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static void cell_of(const void *column, const void *row, struct weir__top_shown *ret)
{
	((const struct column *)column)->cell(row, ret);
}

/* ---- the frame ------------------------------------------------------------------------ */

/* What is to be said of one plugin: the worst first. */
static void put_note(struct weir__top_text *t, const struct weir__top_row *r)
{
	const char *reason = weir__top_string(r->plugin, "reason");
	const json_t *action = json_object_get(json_object_get(r->plugin, "budget"), "last_action");
	const char *detail = weir__top_string(json_object_get(r->plugin, "breaker"), "detail");

	if (*reason)
		weir__top_line(t, is_bad(r->state) ? WEIR__RED : WEIR__YELLOW, "%s: %s", r->name, reason);
	else if (*r->breaker && strcmp(r->breaker, "closed"))
		weir__top_line(t, paint_breaker(r->breaker), "%s: breaker %s%s%s", r->name, r->breaker,
		               *detail ? ": " : "", detail);
	else if (*weir__top_string(action, "what"))
		weir__top_line(t, WEIR__PLAIN, "%s: %s%s%s", r->name, weir__top_string(action, "what"),
		               *weir__top_string(action, "why") ? ": " : "", weir__top_string(action, "why"));
	else
		weir__top_end(t);
}

static void put_keys(const struct weir__top_view *v, struct weir__top_text *t)
{
	char every[24];

	if (v->detail && !v->help) {
		weir__top_put(t, WEIR__DIM, "q quit  Esc back  up, down scroll  p %s  h help  +- every %s",
		              v->paused ? "go on" : "pause", weir__top_time(v->interval_s, every, sizeof every));
		weir__top_end(t);
		return;
	}
	weir__top_put(t, WEIR__DIM, "q quit  s sort: %s%s  r reverse  p %s  Enter detail  h help  +- every %s",
	              weir__top_sort_name(v->sort), v->reverse ? " up" : "", v->paused ? "go on" : "pause",
	              weir__top_time(v->interval_s, every, sizeof every));
	weir__top_end(t);
}

/* The line between the sums and the table. */
static void put_trouble(const struct weir__top_view *v, struct weir__top_text *t)
{
	if (*v->trouble)
		weir__top_line(t, WEIR__RED, "%s", v->trouble);
	else if (v->paused)
		weir__top_line(t, WEIR__YELLOW, "paused: p goes on");
	else
		weir__top_end(t);
}

static void put_help(struct weir__top_text *t)
{
	static const char *const lines[] = {
		"s          sort by the next column        r   reverse the order",
		"up, down   select a plugin (also k, j)    p   pause, go on",
		"Enter      all about the selected plugin  +-  longer, shorter interval",
		"Esc        back                           q   quit",
		"",
		"SOURCE   where a collector reads; ~ cannot know exactly",
		"HOST     pid of the plugin's own process, or a thread of the daemon's",
		"DROPS/S  lost or sampled away, the last interval; WHY: the leading reason",
		"CPU BPF  percent of a core: in user space; its programs in the kernel",
		"MEMORY   heap, BPF maps and rings; RSS: resident in the plugin's process",
		"QUEUE    its fullest queue     P50 P99  age of what an output has taken",
		"BUDGET   the most pressing limit           SAMPLE  1/8: one in eight is kept",
		"-        not known, or not of this kind of plugin",
	};

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		weir__top_line(t, WEIR__PLAIN, "%s", lines[i]);
}

static void put_table(const struct weir__top_view *v, struct weir__top_text *t,
                      const struct weir__top_row *rows, size_t n)
{
	const struct weir__top_row *selected = v->plain ? NULL : weir__top_selected(v, rows, n);
	const struct weir__top_table table = { .columns = columns, .column_size = sizeof columns[0],
		.column_count = COLUMNS, .spare = 7, .rows = rows, .row_size = sizeof *rows, .count = n,
		.selected = selected, .cell = cell_of };
	unsigned foot = v->plain ? 0 : 2;

	weir__top_table(&table, foot, t);
	if (v->plain)
		return;
	while (t->lines + foot < t->rows)
		weir__top_end(t);
	if (selected)
		put_note(t, selected);
	else
		weir__top_end(t);
}

void weir__top_frame(const struct weir__top_view *v, struct weir__top_text *t)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	size_t n = weir__top_rows(v->now, v->before, v->sort, v->reverse, rows);
	struct totals s = add_up(v->now, rows, n);

	put_title(v, t, rows, n);
	put_costs(v, t, &s);
	put_flow(v, t, &s);
	put_trouble(v, t);
	if (v->help)
		put_help(t);
	else if (v->detail)
		weir__top_detail(v, t);
	else
		put_table(v, t, rows, n);
	if (v->plain)
		return;
	while (t->lines + 1 < t->rows)
		weir__top_end(t);
	put_keys(v, t);
}
