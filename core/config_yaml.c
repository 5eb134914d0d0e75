/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to nodes, by libyaml's events; no recursion. Happy path: one event makes
 * one node, hung below the one that is open. What the configuration does not use
 * (anchors, aliases, tags, a second document) is refused by name, so that a small
 * file can never grow (no "billion laughs"). After a syntax error the rest cannot
 * be read: the tree ends there.
 *
 * Main thread. libyaml's own memory is bounded by the size of the text.
 */
#include "config_yaml.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* plugins.NAME.a.b.c and a list are five; the rest is mistake or malice. */
#define DEPTH_MAX 16
/* Some 60 plugins with 1000 values each. */
#define NODES_MAX 65536
/* Keys of a mapping and items of a list: the latter is the bound of an option. */
#define CHILDREN_MAX 1024

struct reader {
	yaml_parser_t yaml;
	const char *name, *text;
	size_t len;
	struct weir__diags *diags;
	struct weir__node *root, *open; /* open: the innermost mapping or list */
	char *key;                      /* read, and waiting for its value */
	struct weir__mark key_at;
	size_t nodes, depth, documents;
	int rc;                         /* nonzero: stop; -EINVAL has been said */
};

static struct weir__mark mark(const struct reader *r, const yaml_mark_t *from,
                              const yaml_mark_t *to)
{
	struct weir__mark m = { r->name, from->line + 1, from->column + 1, 1 };

	if (to && to->line == from->line && to->column > from->column)
		m.length = to->column - from->column;
	return m;
}

static void error(struct reader *r, const struct weir__mark *at, const char *hint,
                  const char *message)
{
	weir__diag_add(r->diags, false, at, r->text, hint, "%s", message);
}

/* ---- syntax errors ---------------------------------------------------------- */

/* libyaml's words for an error, and what helps. */
static const struct problem {
	const char *problem; /* begins with */
	bool at_context;     /* the place is where it began, not where it was noticed */
	const char *message, *hint;
} problems[] = {
	{ "could not find expected ':'", true, "expected \":\" after this",
	  "a key and its value are written as \"key: value\", with a blank" },
	{ "did not find expected key", false, "expected a key here",
	  "check the indentation of this line, and quotes and brackets above it" },
	{ "did not find expected '-'", false, "expected \"- \" here",
	  "every item of a list has its own line, equally indented" },
	{ "mapping values are not allowed", false, "a \":\" has no place here",
	  "put a value that contains \": \" in quotes; check the indentation" },
	{ "block sequence entries are not allowed", false, "a list has no place here",
	  "a list begins on the line below its key" },
	{ "block mapping", false, "a mapping has no place here", "check the indentation" },
	{ "found unexpected end of stream", true, "this is never closed", "add the missing quote" },
	{ "found unexpected document indicator", true, "this is never closed",
	  "add the missing quote" },
	{ "did not find expected ',' or ']'", true, "this list is never closed",
	  "add \"]\"; between brackets, put \"${VAR}\" in quotes" },
	{ "did not find expected ',' or '}'", true, "this mapping is never closed",
	  "add \"}\"; between brackets, put \"${VAR}\" in quotes" },
	{ "did not find expected node content", false, "expected a value here",
	  "is a bracket above never closed?" },
	{ "found character that cannot start any token", false,
	  "a value cannot begin with this character", "put the value in quotes" },
	{ "found unknown escape character", false, "unknown escape in a quoted text",
	  "write \\\\ for a backslash, or use single quotes" },
};

/* A tab in what indents the line of m, up to its column? */
static bool tab_before(const struct reader *r, const struct weir__mark *m, size_t *ret_column)
{
	const char *p = r->text;
	size_t line = m->line, i;

	while (line > 1 && (p = strchr(p, '\n'))) {
		p++;
		line--;
	}
	for (i = 0; p && i < m->column && (p[i] == ' ' || p[i] == '\t'); i++)
		if (p[i] == '\t') {
			*ret_column = i + 1;
			return true;
		}
	return false;
}

/* The reader knows only an offset in bytes. */
static void reader_error(struct reader *r)
{
	struct weir__mark m = { r->name, 1, 1, 1 };
	size_t i, end = r->yaml.problem_offset;
	const char *hint = "save the file as UTF-8 text";

	for (i = 0; i < end && i < r->len; i++) {
		if (r->text[i] == '\n') {
			m.line++;
			m.column = 1;
		} else if ((r->text[i] & 0xc0) != 0x80) {
			m.column++;
		}
	}
	if (r->yaml.problem_value >= 0 && r->yaml.problem && strstr(r->yaml.problem, "control"))
		weir__diag_add(r->diags, false, &m, r->text, hint,
		               "a control character (0x%02x)", r->yaml.problem_value);
	else
		error(r, &m, hint, "this is not UTF-8");
}

static void syntax_error(struct reader *r)
{
	const yaml_parser_t *y = &r->yaml;
	const char *what = y->problem ? y->problem : "not valid YAML";
	struct weir__mark m = mark(r, &y->problem_mark, NULL);
	struct weir__mark began = mark(r, &y->context_mark, NULL);
	char hint[256] = "";
	size_t i;

	if (tab_before(r, &m, &m.column) || strstr(what, "tab character")) {
		error(r, &m, "indent with blanks", "a tab; YAML is indented with blanks only");
		return;
	}
	for (i = 0; i < sizeof(problems) / sizeof(*problems); i++)
		if (!strncmp(what, problems[i].problem, strlen(problems[i].problem))) {
			error(r, problems[i].at_context && y->context ? &began : &m,
			      problems[i].hint, problems[i].message);
			return;
		}
	if (y->context)
		snprintf(hint, sizeof(hint), "%s that begins in line %zu", y->context, began.line);
	error(r, &m, *hint ? hint : NULL, what);
}

static void parse_error(struct reader *r)
{
	r->rc = -EINVAL;
	if (r->yaml.error == YAML_MEMORY_ERROR)
		r->rc = -ENOMEM;
	else if (r->yaml.error == YAML_READER_ERROR)
		reader_error(r);
	else
		syntax_error(r);
}

/* ---- the tree --------------------------------------------------------------- */

struct weir__node *weir__node_get(const struct weir__node *map, const char *key)
{
	struct weir__node *n = map && map->kind == WEIR__NODE_MAP ? map->first : NULL;

	while (n && strcmp(n->key, key))
		n = n->next;
	return n;
}

void weir__node_free(struct weir__node *n)
{
	struct weir__node *next;

	/* leaf by leaf; the depth is bounded, but so no stack is needed */
	while (n) {
		if (n->first) {
			next = n->first;
			n->first = next->next;
			next->next = NULL;
			n = next;
			continue;
		}
		next = n->parent;
		weir__free(n->key);
		weir__free(n->text);
		weir__free(n);
		n = next;
	}
}

static void fatal(struct reader *r, const struct weir__mark *at, const char *hint,
                  const char *message)
{
	error(r, at, hint, message);
	r->rc = -EINVAL;
}

static void hang(struct reader *r, struct weir__node *n)
{
	n->parent = r->open;
	n->key = r->key;
	n->key_at = r->key_at;
	r->key = NULL;
	if (!r->open) {
		r->root = n;
		return;
	}
	if (r->open->last)
		r->open->last->next = n;
	else
		r->open->first = n;
	r->open->last = n;
	r->open->count++;
}

/* A new value at its place, or NULL with r->rc set. */
static struct weir__node *add(struct reader *r, enum weir__node_kind kind, struct weir__mark at)
{
	struct weir__node *n;

	if (r->open && r->open->kind == WEIR__NODE_MAP && !r->key)
		fatal(r, &at, "if this is a template ({{ ... }}), render it first",
		      "a key must be a word, not a list or a mapping");
	else if (r->nodes++ >= NODES_MAX)
		fatal(r, &at, NULL, "too many values: at most 65536 in one file");
	else if (r->open && r->open->count >= CHILDREN_MAX)
		fatal(r, &at, NULL, "too many entries: at most 1024 in one mapping or list");
	if (r->rc)
		return NULL;
	n = weir__zalloc(sizeof(*n));
	if (!n) {
		r->rc = -ENOMEM;
		return NULL;
	}
	n->kind = kind;
	n->at = at;
	hang(r, n);
	return n;
}

static void open_node(struct reader *r, enum weir__node_kind kind, struct weir__mark at)
{
	struct weir__node *n;

	if (r->depth >= DEPTH_MAX) {
		fatal(r, &at, NULL, "nested too deeply: at most 16 levels");
		return;
	}
	n = add(r, kind, at);
	if (n) {
		r->open = n;
		r->depth++;
	}
}

static void close_node(struct reader *r)
{
	r->open = r->open->parent;
	r->depth--;
}

/* ---- events ----------------------------------------------------------------- */

static void take_key(struct reader *r, const yaml_event_t *e, struct weir__mark at)
{
	const char *key = (const char *)e->data.scalar.value;
	struct weir__node *first = weir__node_get(r->open, key);

	/* An error, but the tree stays usable: both are kept. */
	if (first)
		weir__diag_add(r->diags, false, &at, r->text, "keep one of them",
		               "duplicate key \"%s\", already in line %zu, column %zu", key,
		               first->key_at.line, first->key_at.column);
	r->key = weir__strdup(key);
	r->key_at = at;
	if (!r->key)
		r->rc = -ENOMEM;
}

static bool is_null(const yaml_event_t *e)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	size_t i;

	for (i = 0; i < 5; i++)
		if (!strcmp((const char *)e->data.scalar.value, words[i]))
			return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return false;
}

static void scalar(struct reader *r, const yaml_event_t *e, struct weir__mark at)
{
	const char *text = (const char *)e->data.scalar.value;
	struct weir__node *n;

	if (strlen(text) != e->data.scalar.length) {
		fatal(r, &at, NULL, "a NUL byte in a text");
		return;
	}
	if (r->open && r->open->kind == WEIR__NODE_MAP && !r->key) {
		take_key(r, e, at);
		return;
	}
	n = add(r, is_null(e) ? WEIR__NODE_NULL : WEIR__NODE_SCALAR, at);
	if (!n || n->kind == WEIR__NODE_NULL)
		return;
	n->text = weir__strdup(text);
	if (!n->text)
		r->rc = -ENOMEM;
}

static void refuse(struct reader *r, struct weir__mark at, const yaml_char_t *anchor,
                   const yaml_char_t *tag)
{
	if (anchor)
		error(r, &at, "write the value out where it is used",
		      "an anchor (&name): Weir's configuration has none");
	if (tag)
		error(r, &at, "leave it out: the option knows its type",
		      "a tag (!name): Weir's configuration has none");
}

static void alias(struct reader *r, struct weir__mark at)
{
	error(r, &at, "write the value out", "an alias (*name): Weir's configuration has none");
	if (r->open && r->open->kind == WEIR__NODE_MAP && !r->key)
		r->rc = -EINVAL;
	else
		add(r, WEIR__NODE_NULL, at);
}

static void document(struct reader *r, struct weir__mark at)
{
	if (r->documents++)
		fatal(r, &at, "put everything below one \"---\", or remove it",
		      "a second document in the file");
}

static void event(struct reader *r, const yaml_event_t *e)
{
	struct weir__mark at = mark(r, &e->start_mark, &e->end_mark);

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		document(r, at);
		break;
	case YAML_ALIAS_EVENT:
		alias(r, at);
		break;
	case YAML_SCALAR_EVENT:
		refuse(r, at, e->data.scalar.anchor, e->data.scalar.tag);
		scalar(r, e, at);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse(r, at, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		open_node(r, WEIR__NODE_LIST, at);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse(r, at, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		open_node(r, WEIR__NODE_MAP, at);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_node(r);
		break;
	default:
		break;
	}
}

static void read_events(struct reader *r)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t e;

	while (!r->rc && type != YAML_STREAM_END_EVENT) {
		if (!yaml_parser_parse(&r->yaml, &e)) {
			parse_error(r);
			return;
		}
		type = e.type;
		event(r, &e);
		yaml_event_delete(&e);
	}
}

/* UTF-16 is YAML too, but then no line of it could be shown. */
static bool utf16(const struct reader *r)
{
	return r->len >= 2 && (!memcmp(r->text, "\xff\xfe", 2) || !memcmp(r->text, "\xfe\xff", 2));
}

int weir__yaml_parse(const char *name, const char *text, size_t len,
                     struct weir__diags *diags, struct weir__node **ret, bool *ret_whole)
{
	struct reader r = { .name = name, .text = text, .len = len, .diags = diags };
	struct weir__mark top = { name, 1, 1, 1 };
	struct weir__node *n;

	if (utf16(&r)) {
		weir__diag_add(diags, false, &top, NULL, "save it as UTF-8",
		               "the file is UTF-16");
		r.rc = -EINVAL;
	} else if (!yaml_parser_initialize(&r.yaml)) {
		return -ENOMEM;
	} else {
		yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, len);
		yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
		read_events(&r);
		yaml_parser_delete(&r.yaml);
	}
	weir__free(r.key);
	for (n = r.open; n; n = n->parent)
		n->cut = true;
	if (r.rc == -ENOMEM) {
		weir__node_free(r.root);
		return r.rc;
	}
	*ret = r.root;
	*ret_whole = r.rc == 0;
	return 0;
}
