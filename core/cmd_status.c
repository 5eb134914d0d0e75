/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir status: what the daemon says of itself, for people. Everything shown comes
 * from the answer (protocol.h); what is missing there is shown as "-".
 */
#include "cli.h"
#include "cli_table.h"
#include "protocol.h"

#include <math.h>
#include <string.h>

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* "" for what is missing: most fields are told apart by that. */
static const char *string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool bad_state(const char *state)
{
	static const char *const bad[] = { WEIR__STATES_BAD };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (!strcmp(state, bad[i]))
			return true;
	return false;
}

/* ["io","memory"] as "io,memory" */
static void join(const json_t *array, const char *sep, char *buf, size_t size)
{
	size_t i, len = 0;
	json_t *v;

	buf[0] = 0;
	json_array_foreach(array, i, v) {
		const char *s = json_string_value(v);
		int n = snprintf(buf + len, size - len, "%s%s", i ? sep : "", s ? s : "?");

		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
}

/* ---- head ------------------------------------------------------------------------ */

static void print_head(const json_t *a, bool colour)
{
	const json_t *d = json_object_get(a, "daemon");
	bool ready = json_is_true(json_object_get(a, "ready"));
	char up[24], rss[24];

	weir__text_seconds(number(a, "uptime_s"), up, sizeof up);
	weir__text_bytes(number(d, "rss_bytes"), rss, sizeof rss);
	printf("%sweir %s%s: %s%s%s, pid %.0f, up %s\n", weir__paint(colour, WEIR__BOLD),
	       string(a, "version"), weir__paint(colour, WEIR__PLAIN),
	       weir__paint(colour, ready ? WEIR__GREEN : WEIR__YELLOW), ready ? "ready" : "not ready",
	       weir__paint(colour, WEIR__PLAIN), number(a, "pid"), up);
	weir__print_line(stdout, "configuration %s", string(a, "config"));
	printf("%.2f%% of a core, %s of memory, %.0f threads, %.0f files open\n\n",
	       number(d, "cpu_percent"), rss, number(d, "threads"), number(d, "fds"));
}

/* ---- plugins ----------------------------------------------------------------------- */

static void note_programs(struct weir__cli_table *t, const json_t *p)
{
	const json_t *list = json_object_get(p, "programs");
	size_t i;
	json_t *g;

	json_array_foreach(list, i, g) {
		const char *error = string(g, "error");
		bool optional = json_is_true(json_object_get(g, "optional"));

		if (!json_is_true(json_object_get(g, "attached")) && *error)
			weir__table_note(t, optional ? WEIR__DIM : WEIR__YELLOW, "program %s%s is not attached: %s",
			                 string(g, "name"), optional ? " (optional)" : "", error);
		if (number(g, "missed") > 0)
			weir__table_note(t, WEIR__YELLOW, "program %s was skipped %.0f times by the kernel",
			                 string(g, "name"), number(g, "missed"));
	}
}

/* Only if there is something to say: a closed breaker with no failure is no news. */
static void note_breaker(struct weir__cli_table *t, const json_t *p)
{
	const json_t *b = json_object_get(p, "breaker");
	const char *state = string(b, "state");
	bool closed = !*state || !strcmp(state, "closed");
	char retry[40] = "", wait[24];

	if (number(b, "lost") > 0)
		weir__table_note(t, WEIR__RED, "%.0f thread%s of it given up in a callback, not back yet",
		                 number(b, "lost"), number(b, "lost") > 1 ? "s" : "");
	if (closed && number(b, "failures") == 0)
		return;
	if (json_object_get(b, "retry_s"))
		snprintf(retry, sizeof retry, ", next try in %s",
		         weir__text_seconds(number(b, "retry_s"), wait, sizeof wait));
	weir__table_note(t, closed ? WEIR__YELLOW : WEIR__RED, "breaker %s: %s, %.0f failure%s lately%s",
	                 state, string(b, "cause"), number(b, "failures"),
	                 number(b, "failures") == 1 ? "" : "s", retry);
}

static void note_plugin(struct weir__cli_table *t, const json_t *p)
{
	const char *reason = string(p, "reason"), *fallback = string(p, "fallback");
	const json_t *sources = json_object_get(p, "sources");
	char topics[256];
	json_t *s;
	size_t i;

	join(json_object_get(p, "fallback_for"), ",", topics, sizeof topics);
	if (*topics)
		weir__table_note(t, WEIR__YELLOW, "stands in for: %s", topics);
	join(json_object_get(p, "topics"), ",", topics, sizeof topics);
	if (*reason)
		weir__table_note(t, bad_state(string(p, "state")) ? WEIR__RED : WEIR__YELLOW, "%s", reason);
	if (*fallback)
		weir__table_note(t, WEIR__YELLOW, "%s: from %s meanwhile", topics, fallback);
	note_breaker(t, p);
	if (json_object_get(p, "for_s"))
		weir__table_note(t, WEIR__YELLOW, "for another %.0f s", number(p, "for_s"));
	json_array_foreach(sources, i, s)
		if (!strcmp(string(s, "state"), "failed"))
			weir__table_note(t, WEIR__YELLOW, "source %s: %s", string(s, "name"), string(s, "reason"));
	note_programs(t, p);
}

static void plugin_row(struct weir__cli_table *t, const json_t *p)
{
	const json_t *m = json_object_get(p, "memory");
	const char *state = string(p, "state"), *source = string(p, "source");
	bool bad = bad_state(state), collector = !strcmp(string(p, "kind"), "collector");
	char buf[24];

	weir__table_cell(t, WEIR__PLAIN, "%s", string(p, "name"));
	weir__table_cell(t, WEIR__PLAIN, "%s", string(p, "kind"));
	weir__table_cell(t, bad ? WEIR__RED : !strcmp(state, "running") ? WEIR__GREEN : WEIR__YELLOW,
	                 "%s", state);
	weir__table_cell(t, WEIR__PLAIN, "%s%s%s", *source ? source : "-",
	                 *string(p, "quality") ? " " : "", string(p, "quality"));
	weir__table_cell(t, WEIR__PLAIN, collector ? "%.1f" : "-", number(p, "events_per_s"));
	weir__table_cell(t, WEIR__PLAIN, "%.2f%%", number(p, "cpu_percent"));
	weir__table_cell(t, WEIR__PLAIN, collector ? "%.2f%%" : "-", number(p, "bpf_percent"));
	weir__table_cell(t, WEIR__PLAIN, "%s",
	                 weir__text_bytes(number(m, "heap") + number(m, "maps") + number(m, "rings"),
	                                  buf, sizeof buf));
	weir__table_cell(t, WEIR__PLAIN, "%.0f", number(p, "restarts"));
	weir__table_cell(t, WEIR__PLAIN, "%s", weir__text_seconds(number(p, "since_s"), buf, sizeof buf));
	note_plugin(t, p);
}

static void print_plugins(const json_t *a, bool colour)
{
	struct weir__cli_table t = { 0 };
	size_t i;
	json_t *p;

	weir__table_column(&t, "PLUGIN", false);
	weir__table_column(&t, "KIND", false);
	weir__table_column(&t, "STATE", false);
	weir__table_column(&t, "SOURCE", false);
	weir__table_column(&t, "EVENTS/S", true);
	weir__table_column(&t, "CPU", true);
	weir__table_column(&t, "BPF", true);
	weir__table_column(&t, "MEMORY", true);
	weir__table_column(&t, "RESTARTS", true);
	weir__table_column(&t, "SINCE", true);
	json_array_foreach(json_object_get(a, "plugins"), i, p)
		plugin_row(&t, p);
	weir__table_print(&t, stdout, colour);
	weir__table_fini(&t);
}

/* ---- routes: the ledger --------------------------------------------------------------- */

static void note_dropped(struct weir__cli_table *t, const json_t *dropped)
{
	char text[512] = "";
	const char *reason;
	size_t len = 0;
	json_t *n;

	json_object_foreach((json_t *)(uintptr_t)dropped, reason, n) {
		int w;

		if (json_number_value(n) == 0)
			continue;
		w = snprintf(text + len, sizeof text - len, "%s%s %.0f", len ? ", " : "", reason,
		             json_number_value(n));
		if (w < 0 || (size_t)w >= sizeof text - len)
			break;
		len += (size_t)w;
	}
	if (len)
		weir__table_note(t, WEIR__YELLOW, "dropped: %s", text);
}

static double total(const json_t *dropped)
{
	const char *reason;
	double sum = 0;
	json_t *n;

	json_object_foreach((json_t *)(uintptr_t)dropped, reason, n)
		sum += json_number_value(n);
	return sum;
}

static void route_row(struct weir__cli_table *t, const json_t *r)
{
	static const char *const counts[] = { "seen", "delivered", "queued", "aggregated" };
	const json_t *dropped = json_object_get(r, "dropped");
	double unexplained = number(r, "unexplained"), limit = number(r, "queue_limit");
	char topics[256];

	join(json_object_get(r, "topics"), ",", topics, sizeof topics);
	weir__table_cell(t, WEIR__PLAIN, "%s -> %s", string(r, "from"), string(r, "to"));
	weir__table_cell(t, WEIR__PLAIN, "%s", topics);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		weir__table_cell(t, WEIR__PLAIN, "%.0f", number(r, counts[i]));
	weir__table_cell(t, total(dropped) > 0 ? WEIR__YELLOW : WEIR__PLAIN, "%.0f", total(dropped));
	weir__table_cell(t, WEIR__PLAIN, "%.0f%%", limit > 0 ? number(r, "queue_bytes") / limit * 100 : 0);
	if (unexplained != 0)
		weir__table_cell(t, WEIR__RED, "UNEXPLAINED %.0f", unexplained);
	else
		weir__table_cell(t, WEIR__GREEN, "balanced");
	if (json_is_false(json_object_get(r, "open")))
		weir__table_note(t, WEIR__YELLOW, "closed: nothing goes this way now");
	note_dropped(t, dropped);
}

static void print_routes(const json_t *a, bool colour)
{
	const json_t *routes = json_object_get(a, "routes");
	struct weir__cli_table t = { 0 };
	size_t i;
	json_t *r;

	if (!json_array_size(routes)) {
		printf("\nNo routes: no running collector has an output that wants its topics.\n");
		return;
	}
	weir__table_column(&t, "ROUTE", false);
	weir__table_column(&t, "TOPICS", false);
	weir__table_column(&t, "SEEN", true);
	weir__table_column(&t, "DELIVERED", true);
	weir__table_column(&t, "QUEUED", true);
	weir__table_column(&t, "AGGREGATED", true);
	weir__table_column(&t, "DROPPED", true);
	weir__table_column(&t, "QUEUE", true);
	weir__table_column(&t, "LEDGER", false);
	json_array_foreach(routes, i, r)
		route_row(&t, r);
	printf("\n");
	weir__table_print(&t, stdout, colour);
	weir__table_fini(&t);
}

/* What is wrong, whatever is printed. */
static bool all_well(const json_t *a)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(a, "plugins"), i, v)
		if (bad_state(string(v, "state")))
			return false;
	json_array_foreach(json_object_get(a, "routes"), i, v)
		if (number(v, "unexplained") != 0)
			return false;
	return true;
}

int weir__cmd_status(int argc, char **argv)
{
	struct weir__cli cli;
	json_t *answer;
	bool colour, ok;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc)
		return weir__cmd_usage(cli.name, "takes no arguments");
	answer = weir__cli_ask(&cli, json_pack("{s:s}", "cmd", "status"), 5000);
	if (!answer)
		return 1;
	if (cli.option[WEIR__CLI_JSON]) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		colour = weir__cli_colour(stdout);
		print_head(answer, colour);
		print_plugins(answer, colour);
		print_routes(answer, colour);
	}
	ok = all_well(answer);
	json_decref(answer);
	return ok ? 0 : 1;
}
