/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for a live table. Each round is two requests: the daemon's status says who
 * gives the topic now and what can be asked of it, then that plugin is asked. So a
 * stand-in that takes over, or a collector that is back, is simply the next answer.
 *
 * Failures: no plugin gives the topic, or the answer is no list: the round has failed,
 * and why says which plugins could give it and what to do.
 */
#include "watch.h"

#include <string.h>

/* ---- who ------------------------------------------------------------------------------- */

static bool has_word(const json_t *array, const char *word)
{
	size_t i;
	json_t *v;

	json_array_foreach(array, i, v)
		if (json_is_string(v) && !strcmp(json_string_value(v), word))
			return true;
	return false;
}

/* The query's own part of the status; NULL: there is none. */
static const json_t *query_of(const json_t *plugin, const char *name)
{
	size_t i;
	json_t *q;

	json_array_foreach(json_object_get(plugin, "queries"), i, q)
		if (!strcmp(weir__top_string(q, "name"), name))
			return q;
	return NULL;
}

static bool runs(const json_t *plugin)
{
	return !strcmp(weir__top_string(plugin, "state"), "running");
}

/* One that stands in gives the topics it has been asked for only. */
static bool gives(const json_t *plugin, const char *topic)
{
	const json_t *for_others = json_object_get(plugin, "fallback_for");

	return has_word(json_object_get(plugin, "topics"), topic) && runs(plugin) &&
	       (!for_others || has_word(for_others, topic));
}

static const json_t *find(const struct weir__watch *w, const json_t *status)
{
	const json_t *stand_in = NULL;
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(status, "plugins"), i, p) {
		if (!gives(p, w->kind->topic) || !query_of(p, w->table->query))
			continue;
		if (!json_object_get(p, "fallback_for"))
			return p;
		stand_in = p;
	}
	return stand_in;
}

/* ---- nobody ------------------------------------------------------------------------------ */

static void add(char *buf, size_t size, const char *a, const char *b, const char *c)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s%s%s", a, b, c);
}

/* Why one that could does not, and what helps. */
static void say_one(const struct weir__watch *w, const json_t *p, char *buf, size_t size)
{
	const char *name = weir__top_string(p, "name"), *state = weir__top_string(p, "state");
	const char *reason = weir__top_string(p, "reason");

	add(buf, size, *buf ? "; " : "", name, "");
	if (runs(p) && gives(p, w->kind->topic)) {
		add(buf, size, " runs, but has no query ", w->table->query, "");
		return;
	}
	add(buf, size, " is ", runs(p) ? "standby" : state, "");
	if (*reason)
		add(buf, size, ": ", reason, "");
	if (!strcmp(state, "disabled"))
		add(buf, size, " (weir enable ", name, ")");
	else if (!runs(p) && strcmp(state, "standby"))
		add(buf, size, " (weir check says what it needs)", "", "");
}

static void say_nobody(struct weir__watch *w, const json_t *status, char *why, size_t size)
{
	char those[400] = "";
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(status, "plugins"), i, p)
		if (has_word(json_object_get(p, "topics"), w->kind->topic))
			say_one(w, p, those, sizeof those);
	if (!*those && w->look) {
		w->look(w->kind->topic, w->could, sizeof w->could);
		w->look = NULL;
	}
	if (*those)
		snprintf(why, size, "no running plugin answers for topic %s: %s", w->kind->topic, those);
	else if (*w->could)
		snprintf(why, size, "no plugin of the running configuration gives topic %s; %s could: "
		         "put it under plugins: in the configuration, then weir reload",
		         w->kind->topic, w->could);
	else
		snprintf(why, size, "no plugin gives topic %s: weir plugins shows which there are",
		         w->kind->topic);
}

/* ---- what --------------------------------------------------------------------------------- */

static bool append(json_t *array, const char *word)
{
	/* Not UTF-8, or no memory: without this word the answer would be another. */
	return json_array_append_new(array, json_string(word)) == 0;
}

bool weir__watch_filter(const char *text, json_t *ret)
{
	char word[WEIR__WATCH_FILTER_BYTES] = "";
	const char *at = text + strspn(text, " ");
	bool ok = true;

	while (*at) {
		size_t n = strcspn(at, " "), len = strlen(word);
		bool begins = memchr(at, '=', n) && *at != '=';

		if (!begins && !*word)
			return false;
		if (begins && *word)
			ok &= !ret || append(ret, word);
		/* A word without = goes on with the value: names of processes have spaces. */
		if (begins)
			len = 0;
		snprintf(word + len, sizeof word - len, "%s%.*s", begins ? "" : " ", (int)n, at);
		at += n + strspn(at + n, " ");
	}
	return (!*word || !ret || append(ret, word)) && ok;
}

static const json_t *argument_of(const json_t *query, const char *name)
{
	size_t i;
	json_t *a;

	json_array_foreach(json_object_get(query, "args"), i, a)
		if (!strcmp(weir__top_string(a, "name"), name))
			return a;
	return NULL;
}

/* The plugin sorts too, so that a bounded answer has the rows that are wanted. false: it
 * cannot sort by just this. */
static bool add_sort(const struct weir__watch *w, const json_t *query, json_t *args, bool *ok)
{
	const json_t *choices = json_object_get(argument_of(query, "sort"), "choices");
	const char *at = w->sort->asked ? w->sort->asked : "";
	char arg[48];

	for (bool first = true; *at; first = false) {
		size_t n = strcspn(at, " ");

		snprintf(arg, sizeof arg, "sort=%.*s", (int)n, at);
		if (has_word(choices, arg + 5)) {
			*ok &= append(args, arg);
			return first && w->sort->exact && !w->reverse;
		}
		at += n + strspn(at + n, " ");
	}
	return false;
}

/* Of what it cannot sort by, some more rows than are shown: the order is made here. NULL: no
 * memory, or a filter that is not UTF-8. */
static json_t *arguments(struct weir__watch *w, const json_t *query)
{
	const json_t *limit = argument_of(query, "limit");
	double most = weir__top_number(limit, "max");
	json_t *args = json_array();
	char text[48];
	bool ok = !w->table->argument || append(args, w->table->argument);

	w->asked_limit = w->limit ? w->limit : WEIR__WATCH_LIMIT;
	if (!add_sort(w, query, args, &ok) && w->asked_limit < WEIR__WATCH_SAMPLE)
		w->asked_limit = WEIR__WATCH_SAMPLE;
	if (!limit)
		w->asked_limit = WEIR__WATCH_ROWS;
	if (most >= 1 && (double)w->asked_limit > most)
		w->asked_limit = (size_t)most;
	snprintf(text, sizeof text, "limit=%zu", w->asked_limit);
	ok &= !limit || append(args, text);
	ok &= args && weir__watch_filter(w->filter, args);
	if (ok)
		return args;
	json_decref(args);
	return NULL;
}

json_t *weir__watch_request(void *view, unsigned step)
{
	struct weir__watch *w = view;
	const json_t *plugin;

	if (!step)
		return json_pack("{s:s}", "cmd", "status");
	w->asked = w->table;
	w->asked_filter = w->filters;
	plugin = find(w, w->next_status);
	return json_pack("{s:s, s:s, s:s, s:o}", "cmd", "query", "plugin", w->plugin,
	                 "query", w->table->query, "args", arguments(w, query_of(plugin, w->table->query)));
}

/* ---- its answer ---------------------------------------------------------------------------- */

static int take_status(struct weir__watch *w, json_t *status, char *why, size_t size)
{
	const json_t *p = find(w, status);
	const char *name = weir__top_string(p, "name");

	json_decref(w->next_status);
	w->next_status = status;
	if (!p) {
		say_nobody(w, status, why, size);
		return -1;
	}
	if (strcmp(w->plugin, name)) { /* another one counts from zero */
		json_decref(w->now);
		w->now = NULL;
	}
	snprintf(w->plugin, sizeof w->plugin, "%s", name);
	snprintf(w->source, sizeof w->source, "%s", weir__top_string(p, "source"));
	w->approx = !strcmp(weir__top_string(p, "quality"), "approx");
	w->looks_s = weir__top_number(p, "interval_s");
	/* Asked more often, it would say the same again and then all at once. */
	if (w->looks_s > w->interval_s && w->looks_s <= WEIR__TOP_INTERVAL_MAX_S)
		w->interval_s = w->looks_s;
	return 1;
}

static int take_rows(struct weir__watch *w, const json_t *answer, char *why, size_t size)
{
	const json_t *body = json_object_get(answer, "body");
	json_t *rows = json_loadb(json_string_value(body) ? json_string_value(body) : "",
	                          json_string_length(body), 0, NULL);

	if (w->asked != w->table || w->asked_filter != w->filters) {
		json_decref(rows); /* about what is not wanted any more */
		return 0;
	}
	if (!json_is_array(rows)) {
		json_decref(rows);
		snprintf(why, size, "%s.%s answers with something else than a list", w->plugin, w->table->query);
		return -1;
	}
	/* Asked between two looks of the source (a key was pressed): the answer before stays
	 * the one that rates are over. */
	if (w->now && weir__top_passed(w->next_status, w->status) < 0.9 * w->looks_s) {
		json_decref(w->now);
		json_decref(w->status);
	} else {
		json_decref(w->before);
		json_decref(w->status_before);
		w->before = w->now;
		w->status_before = w->status;
		w->before_limit = w->now_limit;
	}
	w->now = rows;
	w->now_limit = w->asked_limit;
	w->status = w->next_status;
	w->next_status = NULL;
	return 0;
}

int weir__watch_take(void *view, unsigned step, json_t *answer, char *why, size_t size)
{
	struct weir__watch *w = view;
	int r;

	if (!step)
		return take_status(w, answer, why, size);
	r = take_rows(w, answer, why, size);
	json_decref(answer);
	return r;
}

void weir__watch_fini(struct weir__watch *w)
{
	json_decref(w->status);
	json_decref(w->status_before);
	json_decref(w->next_status);
	json_decref(w->now);
	json_decref(w->before);
}
