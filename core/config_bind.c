/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding: keys to options, values to their types. Happy path: walk the section,
 * find each key's row, set it. A mistake is reported with what was expected, the
 * nearest known key, its doc and default, and the walk goes on. Main thread.
 */
#include "config_bind.h"
#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "plugins.NAME." and an option's name; both are bounded by the loader. */
#define KEY_MAX 256
/* Keys of one level that a message lists; no plugin has more. */
#define LEVEL_MAX 64
#define HINT_MAX 1024

struct hint {
	char buf[HINT_MAX];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct hint *h, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(h->buf + h->len, sizeof(h->buf) - h->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		h->len += (size_t)n;
	if (h->len >= sizeof(h->buf))
		h->len = sizeof(h->buf) - 1;
}

/* ---- names ------------------------------------------------------------------ */

/* a.b into buf; cut if it is longer than any key there is. */
static void dotted(const char *a, const char *b, char *buf)
{
	size_t n = strnlen(a, KEY_MAX - 2);

	memcpy(buf, a, n);
	if (n && *b)
		buf[n++] = '.';
	buf[n] = 0;
	strncat(buf, b, KEY_MAX - 1 - n);
}

static void full_key(const struct weir__binder *b, const char *rel, char *buf)
{
	dotted(b->prefix, rel, buf);
}

static bool applies(const struct weir__binder *b, const struct weir_option *opt)
{
	return weir__option_applies(opt, b->kind);
}

/* Row i of both tables in turn, or NULL behind the last. */
static const struct weir_option *row(const struct weir__binder *b, uint32_t i,
                                     const struct weir__target **ret)
{
	uint32_t n = b->target[0].opts ? b->target[0].opts->count : 0;
	const struct weir__target *t = &b->target[i >= n];

	*ret = t;
	return t->opts ? weir_table_row(t->opts, i >= n ? i - n : i) : NULL;
}

const struct weir_option *weir__bind_find(const struct weir__binder *b, const char *rel,
                                          const struct weir__target **ret)
{
	const struct weir_option *opt, *other = NULL;
	const struct weir__target *t, *other_target = NULL;
	uint32_t i;

	for (i = 0; (opt = row(b, i, &t)); i++) {
		if (strcmp(opt->name, rel))
			continue;
		if (applies(b, opt)) {
			*ret = t;
			return opt;
		}
		other = opt;
		other_target = t;
	}
	*ret = other_target;
	return other;
}

/* Is the option below "rel."? Its name from there on, or NULL. */
static const char *below(const struct weir_option *opt, const char *rel)
{
	size_t n = strlen(rel);

	if (!n)
		return opt->name;
	return !strncmp(opt->name, rel, n) && opt->name[n] == '.' ? opt->name + n + 1 : NULL;
}

static bool is_section(const struct weir__binder *b, const char *rel)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	uint32_t i;

	for (i = 0; (opt = row(b, i, &t)); i++)
		if (applies(b, opt) && below(opt, rel))
			return true;
	return false;
}

struct level {
	char name[LEVEL_MAX][48];
	const char *list[LEVEL_MAX + 1];
	size_t count;
};

static void level_add(struct level *l, const char *name, size_t len)
{
	size_t i;

	if (l->count == LEVEL_MAX || len >= sizeof(l->name[0]))
		return;
	for (i = 0; i < l->count; i++)
		if (!strncmp(l->name[i], name, len) && !l->name[i][len])
			return;
	memcpy(l->name[l->count], name, len);
	l->name[l->count][len] = 0;
	l->list[l->count] = l->name[l->count];
	l->list[++l->count] = NULL;
}

/* The keys that may stand below rel. */
static void level_fill(const struct weir__binder *b, const char *rel, struct level *l)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	const char *rest;
	uint32_t i;

	l->count = 0;
	l->list[0] = NULL;
	for (i = 0; (opt = row(b, i, &t)); i++) {
		rest = applies(b, opt) ? below(opt, rel) : NULL;
		if (rest)
			level_add(l, rest, strcspn(rest, "."));
	}
	if (!*b->prefix && !*rel)
		level_add(l, "plugins", 7);
}

/* ---- messages --------------------------------------------------------------- */

/* A secret's line is not shown: it may hold the secret. */
static void complain(struct weir__binder *b, const struct weir_option *opt,
                     const struct weir__mark *at, const char *hint, const char *message)
{
	bool secret = opt && (opt->flags & WEIR_OPTION_SECRET);

	weir__diag_add(b->diags, b->warn, at, secret || !at->line ? NULL : b->config->text,
	               hint && *hint ? hint : NULL, "%s", message);
}

static void put_doc(struct hint *h, const char *name, const struct weir_option *opt)
{
	put(h, "(%s: %s", name, opt->doc ? opt->doc : "");
	if (!opt->def)
		put(h, ", required)");
	else if (*opt->def)
		put(h, ", default %s)", opt->def);
	else
		put(h, ", default empty)");
}

/* An element of the choices that is near to text, into buf. */
static bool nearest_choice(const struct weir_option *opt, const char *text, char *buf, size_t size)
{
	const char *words[LEVEL_MAX + 1] = { 0 }, *near;
	char copy[1024], *rest = copy;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", opt->choices ? opt->choices : "");
	while (n < LEVEL_MAX && rest)
		words[n++] = strsep(&rest, " ");
	near = weir__nearest(text, words);
	if (near)
		snprintf(buf, size, "%s", near);
	return near;
}

/* text: what was written in the file, or NULL. */
static void wrong_value(struct weir__binder *b, const struct weir_option *opt, const char *key,
                        const struct weir__mark *at, const char *text, const char *problem)
{
	struct hint h = { .len = 0 }, m = { .len = 0 };
	char near[64];

	put(&m, "%s: %s", key, problem);
	if (text && opt->type == WEIR_OPT_ENUM && nearest_choice(opt, text, near, sizeof(near)))
		put(&h, "did you mean \"%s\"? ", near);
	put_doc(&h, opt->name, opt);
	complain(b, opt, at, h.buf, m.buf);
}

void weir__bind_expected(struct weir__binder *b, const struct weir_option *opt, const char *key,
                     const struct weir__mark *at, const char *text, const char *instead)
{
	char what[512], problem[600];

	weir__option_expected(opt, what, sizeof(what));
	snprintf(problem, sizeof(problem), "expected %s%s", what, instead);
	wrong_value(b, opt, key, at, text, problem);
}

void weir__bind_unknown(struct weir__binder *b, const struct weir__node *n, const char *rel,
                        const char *path)
{
	const char *near, *dot = strchr(n->key, '.');
	struct hint h = { .len = 0 }, m = { .len = 0 };
	const struct weir__target *t;
	const struct weir_option *opt;
	char where[KEY_MAX], key[KEY_MAX];
	struct level l;
	size_t i;

	full_key(b, rel, where);
	put(&m, "unknown key \"%s\"%s%s", n->key, *where ? " in " : "", where);
	if (dot && weir__bind_find(b, path, &t)) {
		put(&h, "write it nested: \"%.*s:\" and \"%s:\" on the line below",
		    (int)(dot - n->key), n->key, dot + 1);
		complain(b, NULL, &n->key_at, h.buf, m.buf);
		return;
	}
	level_fill(b, rel, &l);
	near = weir__nearest(n->key, l.list);
	put(&h, "expected one of: ");
	for (i = 0; i < l.count; i++)
		put(&h, "%s%s", i ? ", " : "", l.list[i]);
	if (near) {
		put(&h, "; did you mean \"%s\"?", near);
		dotted(rel, near, key);
		opt = weir__bind_find(b, key, &t);
		if (opt) {
			put(&h, " ");
			put_doc(&h, near, opt);
		}
	}
	complain(b, NULL, &n->key_at, h.buf, m.buf);
}

static const char *kinds(uint32_t bits)
{
	if (bits == 1u << WEIR_COLLECTOR)
		return "collectors";
	if (bits == 1u << WEIR_OUTPUT)
		return "outputs";
	if (bits == 1u << WEIR_PROCESSOR)
		return "processors";
	return bits & 1u << WEIR_COLLECTOR ? "collectors and processors" : "outputs and processors";
}

void weir__bind_wrong_kind(struct weir__binder *b, const struct weir__node *n,
                       const struct weir_option *opt, const char *key)
{
	static const char *const kind[] = { "plugin", "a collector", "a processor", "an output" };
	struct hint h = { .len = 0 }, m = { .len = 0 };

	put(&m, "%s: \"%s\" is for %s; %s is %s", key, opt->name, kinds(opt->reserved & ~WEIR__OPTION_LIVE), b->prefix,
	    kind[b->kind <= WEIR_OUTPUT ? b->kind : 0]);
	if (n->key_at.line)
		put(&h, "remove the line ");
	put_doc(&h, opt->name, opt);
	complain(b, NULL, &n->key_at, h.buf, m.buf);
}

/* ---- values ----------------------------------------------------------------- */

static int no_memory(struct weir__binder *b)
{
	b->diags->oom = true;
	return -ENOMEM;
}

/* A relative path is to the file it stands in. Takes *text, a heap string. */
int weir__bind_resolve(const struct weir__binder *b, const struct weir_option *opt, char **text)
{
	char *full;

	if (!(opt->flags & WEIR_OPTION_PATH) || !b->config->dir || !**text || **text == '/')
		return 0;
	full = weir__sprintf("%s/%s", b->config->dir, *text);
	if (!full)
		return -ENOMEM;
	weir__free(*text);
	*text = full;
	return 0;
}

/* The value of a scalar, ready to be parsed; -EINVAL: said. */
static int value_of(struct weir__binder *b, const struct weir_option *opt, const char *key,
                    const struct weir__node *n, char **ret)
{
	char err[512];
	int rc = weir__env_expand(n->text, ret, err, sizeof(err));

	if (rc == -EINVAL)
		wrong_value(b, opt, key, &n->at, NULL, err);
	if (rc)
		return rc;
	rc = opt->type == WEIR_OPT_LIST && n->kind != WEIR__NODE_LIST && strchr(*ret, ',') ?
	             0 : weir__bind_resolve(b, opt, ret);
	if (rc)
		weir__free(*ret);
	return rc;
}

static int set_scalar(struct weir__binder *b, const struct weir__target *t,
                      const struct weir_option *opt, const char *key, const struct weir__node *n)
{
	char *text, err[512];
	int rc = value_of(b, opt, key, n, &text);

	if (rc)
		return rc;
	rc = weir__option_set(opt, t->base, text, err, sizeof(err));
	weir__free(text);
	if (rc && rc != -ENOMEM)
		weir__bind_expected(b, opt, key, &n->at, n->text, "");
	return rc;
}

static int fill_items(struct weir__binder *b, const struct weir_option *opt, const char *key,
                      const struct weir__node *list, char **items)
{
	const struct weir__node *n;
	int rc = 0, first = 0;

	for (n = list->first; n && rc != -ENOMEM; n = n->next, items++) {
		if (n->kind == WEIR__NODE_SCALAR) {
			rc = value_of(b, opt, key, n, items);
		} else {
			wrong_value(b, opt, key, &n->at, NULL, "expected text as item of the list");
			rc = -EINVAL;
		}
		first = first && rc != -ENOMEM ? first : rc;
	}
	return first;
}

static int set_items(struct weir__binder *b, const struct weir__target *t,
                     const struct weir_option *opt, const char *key, const struct weir__node *n)
{
	char **items = weir__zalloc((n->count + 1) * sizeof(*items)), err[512];
	size_t i;
	int rc;

	if (!items)
		return -ENOMEM;
	rc = fill_items(b, opt, key, n, items);
	if (!rc) {
		rc = weir__option_set_list(opt, t->base, (const char *const *)items, n->count, err,
		                           sizeof(err));
		if (rc && rc != -ENOMEM)
			weir__bind_expected(b, opt, key, &n->at, NULL, ", no empty items");
	}
	for (i = 0; i < n->count; i++)
		weir__free(items[i]);
	weir__free(items);
	return rc;
}

/* -EINVAL: said. */
static int set_node(struct weir__binder *b, const struct weir__target *t,
                    const struct weir_option *opt, const char *key, const struct weir__node *n)
{
	if (n->kind == WEIR__NODE_SCALAR)
		return set_scalar(b, t, opt, key, n);
	if (n->kind == WEIR__NODE_LIST && opt->type == WEIR_OPT_LIST)
		return set_items(b, t, opt, key, n);
	weir__bind_expected(b, opt, key, n->kind == WEIR__NODE_NULL ? &n->key_at : &n->at, NULL,
	         n->kind == WEIR__NODE_NULL ? ", not nothing" :
	         n->kind == WEIR__NODE_LIST ? ", not a list" : ", not a mapping");
	return -EINVAL;
}

/* ---- the walk --------------------------------------------------------------- */

static int walk(struct weir__binder *b, const struct weir__node *map, const char *rel);

static int take(struct weir__binder *b, const struct weir__node *n, const char *rel)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	struct weir__origin *o;
	char path[KEY_MAX], key[KEY_MAX];
	int rc;

	dotted(rel, n->key, path);
	full_key(b, path, key);
	opt = strchr(n->key, '.') ? NULL : weir__bind_find(b, path, &t);
	if (opt && !applies(b, opt)) {
		weir__bind_wrong_kind(b, n, opt, key);
		return 0;
	}
	if (n->cut && n->kind == WEIR__NODE_LIST)
		return 0; /* the syntax error has been said */
	if (opt) {
		rc = set_node(b, t, opt, key, n);
		o = rc ? NULL : weir__origin_get(b->config, key);
		if (!rc && !o)
			return -ENOMEM;
		if (o) {
			o->from = WEIR__FROM_FILE;
			o->line = n->at.line;
		}
		return rc == -ENOMEM ? rc : 0;
	}
	if (!strchr(n->key, '.') && is_section(b, path))
		return walk(b, n, path);
	if (!*b->prefix && !*rel && !strcmp(n->key, "plugins"))
		return 0;
	if (!b->partial)
		weir__bind_unknown(b, n, rel, path);
	return 0;
}

/* As deep as the tree, which is bounded. */
static int walk(struct weir__binder *b, const struct weir__node *map, const char *rel)
{
	const struct weir__node *n;
	char key[KEY_MAX];
	int rc = 0;

	if (!map || map->kind == WEIR__NODE_NULL)
		return 0;
	if (map->kind != WEIR__NODE_MAP) {
		struct hint m = { .len = 0 };

		full_key(b, rel, key);
		put(&m, "%s must be a mapping of options", key);
		complain(b, NULL, &map->at,
		         *rel ? "write each as \"key: value\" on a line of its own below it" :
		         "to switch a plugin off, write \"enabled: false\" below its name",
		         m.buf);
		return 0;
	}
	for (n = map->first; n && !rc; n = n->next)
		rc = take(b, n, rel);
	return rc;
}

/* ---- the environment, and what is missing ----------------------------------- */

static int set_env(struct weir__binder *b, const struct weir__target *t,
                   const struct weir_option *opt, const struct weir__origin *o, const char *value)
{
	const struct weir__mark at = { .file = "environment" };
	char err[512];
	/* a relative path is to the working directory: it is not written in the file */
	int rc = weir__option_set(opt, t->base, value, err, sizeof(err));

	if (rc && rc != -ENOMEM)
		weir__bind_expected(b, opt, o->env, &at, NULL, "");
	return rc;
}

static int from_env(struct weir__binder *b, const struct weir__target *t,
                    const struct weir_option *opt, struct weir__origin *o)
{
	const struct weir__mark at = { .file = "environment" };
	const char *value = getenv(o->env), *other;
	int rc;

	if (!value)
		return 0;
	other = weir__origin_clash(b->config, o);
	if (other) {
		weir__diag_add(b->diags, false, &at, NULL, "set it in the file",
		               "%s may mean %s or %s", o->env, o->key, other);
		return 0;
	}
	rc = set_env(b, t, opt, o, value);
	if (!rc)
		o->from = WEIR__FROM_ENV;
	return rc == -ENOMEM ? rc : 0;
}

static void missing(struct weir__binder *b, const struct weir__node *section,
                    const struct weir_option *opt, const char *key)
{
	struct weir__mark at = { .file = b->config->name };
	struct hint h = { .len = 0 }, m = { .len = 0 };
	char what[512];

	weir__option_expected(opt, what, sizeof(what));
	put(&m, "%s is required: expected %s", key, what);
	put_doc(&h, opt->name, opt);
	complain(b, NULL, section && section->key ? &section->key_at : &at, h.buf, m.buf);
}

/* Every option has a record from the start, so that its variable is known. */
static int make_origins(struct weir__binder *b)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	char key[KEY_MAX];
	uint32_t i;
	struct weir__origin *o;

	for (i = 0; (opt = row(b, i, &t)); i++) {
		if (!applies(b, opt))
			continue;
		full_key(b, opt->name, key);
		o = weir__origin_get(b->config, key);
		if (!o)
			return -ENOMEM;
		o->from = WEIR__FROM_DEFAULT;
	}
	return 0;
}

static int apply_env(struct weir__binder *b)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	char key[KEY_MAX];
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && (opt = row(b, i, &t)); i++) {
		full_key(b, opt->name, key);
		if (applies(b, opt))
			rc = from_env(b, t, opt, weir__origin_get(b->config, key));
	}
	return rc;
}

static void check_required(struct weir__binder *b, const struct weir__node *section)
{
	const struct weir__target *t;
	const struct weir_option *opt;
	const struct weir__origin *o;
	char key[KEY_MAX];
	uint32_t i;

	if (!b->config->whole || (b->enabled && !*b->enabled))
		return;
	for (i = 0; (opt = row(b, i, &t)); i++) {
		full_key(b, opt->name, key);
		o = weir__origin_find(b->config, key);
		if (!opt->def && applies(b, opt) && o && o->from == WEIR__FROM_DEFAULT)
			missing(b, section, opt, key);
	}
}

static int set_defaults(struct weir__binder *b)
{
	const struct weir__mark at = { .file = b->config->name };
	char err[512];
	int i, rc;

	for (i = 0; i < 2 && b->target[i].opts; i++) {
		rc = weir__options_defaults(b->target[i].opts, b->target[i].base, err, sizeof(err));
		if (rc == -EINVAL)
			weir__diag_add(b->diags, false, &at, NULL, "this is the plugin's mistake",
			               "%s: %s", b->prefix, err);
		if (rc)
			return rc;
	}
	return 0;
}

int weir__bind(struct weir__binder *b, const struct weir__node *section)
{
	int rc = set_defaults(b);

	if (!rc)
		rc = make_origins(b);
	if (!rc)
		rc = walk(b, section, "");
	if (!rc)
		rc = apply_env(b);
	if (!rc)
		rc = weir__bind_overrides(b);
	if (!rc)
		check_required(b, section);
	return rc == -ENOMEM ? no_memory(b) : rc;
}
