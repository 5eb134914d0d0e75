/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's description, for people: on a terminal, and as Markdown for the
 * reference pages. Every text goes through a table's cell or md(), so it is escaped.
 */
#include "cli_table.h"
#include "describe.h"
#include "format.h"

#include <ctype.h>
#include <string.h>

static const char *string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const char *join(const json_t *o, const char *key, const char *sep, char *buf, size_t size)
{
	const json_t *array = json_object_get(o, key);
	size_t i, len = 0;
	json_t *v;

	buf[0] = 0;
	json_array_foreach(array, i, v) {
		int n = snprintf(buf + len, size - len, "%s%s", i ? sep : "", json_string_value(v));

		if (n < 0 || (size_t)n >= size - len)
			break;
		len += (size_t)n;
	}
	return buf;
}

/* Bounds are part of the type's text. */
static const char *value(const json_t *o, char *buf, size_t size)
{
	const char *def = json_string_value(json_object_get(o, "default"));

	snprintf(buf, size, "%s%s", def ? "default " : "required", def ? *def ? def : "empty" : "");
	return buf;
}

/* ---- terminal ---------------------------------------------------------------------- */

struct page {
	FILE *f;
	bool colour;
};

static void head(const struct page *p, const char *title)
{
	fprintf(p->f, "\n%s", weir__paint(p->colour, WEIR__BOLD));
	weir__print_line(p->f, "%s", title);
	fputs(weir__paint(p->colour, WEIR__PLAIN), p->f);
}

/* A table without a head line of its own: two or three columns and notes. */
static void option_rows(struct weir__cli_table *t, const json_t *options, const char *indent)
{
	char buf[256];
	json_t *o;
	size_t i;

	json_array_foreach(options, i, o) {
		weir__table_cell(t, WEIR__PLAIN, "%s%s", indent, string(o, "name"));
		weir__table_cell(t, WEIR__DIM, "%s", string(o, "type"));
		weir__table_cell(t, WEIR__DIM, "%s", value(o, buf, sizeof buf));
		weir__table_cell(t, WEIR__PLAIN, "%s", string(o, "doc"));
	}
}

static void print_options(const struct page *p, const json_t *d)
{
	const json_t *options = json_object_get(d, "options");
	struct weir__cli_table t = { 0 };

	if (!json_array_size(options))
		return;
	head(p, "Options");
	weir__table_column(&t, "  NAME", false);
	weir__table_column(&t, "TYPE", false);
	weir__table_column(&t, "VALUE", false);
	weir__table_column(&t, "", false);
	option_rows(&t, options, "  ");
	weir__table_print(&t, p->f, p->colour);
	weir__table_fini(&t);
}

static void print_queries(const struct page *p, const json_t *d)
{
	const json_t *queries = json_object_get(d, "queries");
	size_t i;
	json_t *q;

	if (!json_array_size(queries))
		return;
	head(p, "Queries");
	json_array_foreach(queries, i, q) {
		struct weir__cli_table t = { 0 };
		const char *mount = string(q, "mount");

		weir__print_line(p->f, "  %s.%s: %s (%s%s%s)", string(d, "name"), string(q, "name"),
		                 string(q, "doc"), string(q, "content_type"), *mount ? ", HTTP " : "", mount);
		if (!json_array_size(json_object_get(q, "args")))
			continue;
		weir__table_column(&t, "    ARGUMENT", false);
		weir__table_column(&t, "TYPE", false);
		weir__table_column(&t, "VALUE", false);
		weir__table_column(&t, "", false);
		option_rows(&t, json_object_get(q, "args"), "    ");
		weir__table_print(&t, p->f, p->colour);
		weir__table_fini(&t);
	}
}

static void print_events(const struct page *p, const json_t *d)
{
	const json_t *events = json_object_get(d, "events");
	size_t i, k;
	json_t *e, *f;
	char values[256];

	json_array_foreach(events, i, e) {
		struct weir__cli_table t = { 0 };
		char title[320];

		snprintf(title, sizeof title, "Event %s, topic %s: %s", string(e, "name"),
		         string(e, "topic"), string(e, "doc"));
		weir__table_column(&t, "  FIELD", false);
		weir__table_column(&t, "TYPE", false);
		weir__table_column(&t, "UNIT", false);
		weir__table_column(&t, "", false);
		json_array_foreach(json_object_get(e, "fields"), k, f) {
			join(f, "values", ", ", values, sizeof values);
			weir__table_cell(&t, WEIR__PLAIN, "  %s", string(f, "name"));
			weir__table_cell(&t, WEIR__DIM, "%s", string(f, "type"));
			weir__table_cell(&t, WEIR__DIM, "%s", string(f, "unit"));
			weir__table_cell(&t, WEIR__PLAIN, "%s%s%s", string(f, "doc"),
			                 *values ? ": " : "", values);
		}
		head(p, title);
		weir__table_print(&t, p->f, p->colour);
		weir__table_fini(&t);
	}
}

static void print_metrics(const struct page *p, const json_t *d)
{
	const json_t *metrics = json_object_get(d, "metrics");
	struct weir__cli_table t = { 0 };
	char labels[256];
	size_t i;
	json_t *m;

	if (!json_array_size(metrics))
		return;
	head(p, "Metrics");
	weir__table_column(&t, "  NAME", false);
	weir__table_column(&t, "TYPE", false);
	weir__table_column(&t, "UNIT", false);
	weir__table_column(&t, "LABELS", false);
	weir__table_column(&t, "", false);
	json_array_foreach(metrics, i, m) {
		weir__table_cell(&t, WEIR__PLAIN, "  %s", string(m, "name"));
		weir__table_cell(&t, WEIR__DIM, "%s", string(m, "type"));
		weir__table_cell(&t, WEIR__DIM, "%s", string(m, "unit"));
		weir__table_cell(&t, WEIR__DIM, "%s", join(m, "labels", ",", labels, sizeof labels));
		weir__table_cell(&t, WEIR__PLAIN, "%s", string(m, "help"));
	}
	weir__table_print(&t, p->f, p->colour);
	weir__table_fini(&t);
}

static void print_programs(struct weir__cli_table *t, const json_t *s)
{
	char variants[512];
	size_t i;
	json_t *g;

	json_array_foreach(json_object_get(s, "programs"), i, g) {
		weir__table_cell(t, WEIR__PLAIN, "    %s", string(g, "name"));
		weir__table_cell(t, WEIR__DIM, "%s%s", flag(g, "required") ? "required" : "optional",
		                 flag(g, "manual") ? ", on demand" : "");
		weir__table_cell(t, WEIR__PLAIN, "%s", string(g, "doc"));
		weir__table_note(t, WEIR__DIM, "  tries: %s", join(g, "variants", ", ", variants, sizeof variants));
	}
}

static void print_sources(const struct page *p, const json_t *d)
{
	const json_t *sources = json_object_get(d, "sources");
	struct weir__cli_table t = { 0 };
	size_t i;
	json_t *s;

	if (!json_array_size(sources))
		return;
	head(p, "Sources, best first");
	weir__table_column(&t, "  NAME", false);
	weir__table_column(&t, "QUALITY", false);
	weir__table_column(&t, "", false);
	json_array_foreach(sources, i, s) {
		weir__table_cell(&t, WEIR__PLAIN, "  %s", string(s, "name"));
		weir__table_cell(&t, WEIR__DIM, "%s", string(s, "quality"));
		weir__table_cell(&t, WEIR__PLAIN, "%s", string(s, "doc"));
		print_programs(&t, s);
	}
	weir__table_print(&t, p->f, p->colour);
	weir__table_fini(&t);
}

void weir__describe_print(const json_t *d, FILE *f, bool colour)
{
	const struct page p = { f, colour };
	char buf[512];

	fputs(weir__paint(colour, WEIR__BOLD), f);
	weir__print_line(f, "%s %s: %s, ABI %s", string(d, "name"), string(d, "version"),
	                 string(d, "kind"), string(d, "abi"));
	fputs(weir__paint(colour, WEIR__PLAIN), f);
	weir__print_line(f, "%s", string(d, "doc"));
	if (*string(d, "path"))
		weir__print_line(f, "File: %s", string(d, "path"));
	fprintf(f, "Topics: %s\n", *join(d, "topics", " ", buf, sizeof buf) ? buf : "none");
	if (*join(d, "fallback_for", " ", buf, sizeof buf))
		fprintf(f, "Stands in for: %s\n", buf);
	fprintf(f, "Needs: %s\n", *join(d, "needs", " ", buf, sizeof buf) ? buf : "no capabilities");
	print_sources(&p, d);
	print_options(&p, d);
	print_queries(&p, d);
	print_events(&p, d);
	print_metrics(&p, d);
}

/* ---- Markdown ------------------------------------------------------------------------ */

/* Escaped for a table's cell; `code`: in backticks, unless empty. */
static void md(FILE *f, const char *s, bool code)
{
	char text[2048];

	weir__escape(s, sizeof text / 4 - 1, text, sizeof text);
	fputs(code && *text ? " `" : " ", f);
	for (const char *p = text; *p; p++) {
		if (*p == '|' || (!code && (*p == '<' || *p == '*' || *p == '_')))
			fputc('\\', f);
		fputc(*p, f);
	}
	fputs(code && *text ? "` |" : " |", f);
}

void weir__describe_md_options(const json_t *options, const char *prefix, FILE *f)
{
	char name[256], buf[256];
	size_t i;
	json_t *o;

	fputs("\n| option | type | value | meaning |\n|---|---|---|---|\n", f);
	json_array_foreach(options, i, o) {
		snprintf(name, sizeof name, "%s%s", prefix, string(o, "name"));
		fputc('|', f);
		md(f, name, true);
		md(f, string(o, "type"), false);
		md(f, value(o, buf, sizeof buf), false);
		md(f, string(o, "doc"), false);
		fputc('\n', f);
	}
}

void weir__describe_md_metrics(const json_t *metrics, FILE *f)
{
	char labels[256];
	size_t i;
	json_t *m;

	fputs("\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n", f);
	json_array_foreach(metrics, i, m) {
		fputc('|', f);
		md(f, string(m, "name"), true);
		md(f, string(m, "type"), false);
		md(f, string(m, "unit"), false);
		md(f, join(m, "labels", ", ", labels, sizeof labels), true);
		md(f, string(m, "help"), false);
		fputc('\n', f);
	}
}

void weir__describe_md_events(const json_t *d, FILE *f)
{
	char values[512], title[512];
	size_t i, k;
	json_t *e, *v;

	json_array_foreach(json_object_get(d, "events"), i, e) {
		weir__escape(string(e, "doc"), 128, title, sizeof title);
		fprintf(f, "\n### %s\n\n%s. Topic `%s`, version %d, payload %d bytes, priority %d.\n",
		        string(e, "name"), title, string(e, "topic"),
		        (int)json_integer_value(json_object_get(e, "version")),
		        (int)json_integer_value(json_object_get(e, "size")),
		        (int)json_integer_value(json_object_get(e, "priority")));
		fputs("\n| field | type | unit | meaning |\n|---|---|---|---|\n", f);
		json_array_foreach(json_object_get(e, "fields"), k, v) {
			char doc[1024];

			join(v, "values", ", ", values, sizeof values);
			snprintf(doc, sizeof doc, "%s%s%s", string(v, "doc"), *values ? ": " : "", values);
			fputc('|', f);
			md(f, string(v, "name"), true);
			md(f, string(v, "type"), false);
			md(f, string(v, "unit"), false);
			md(f, doc, false);
			fputc('\n', f);
		}
	}
}
