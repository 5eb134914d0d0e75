/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overrides as the configuration's topmost layer. Happy path: each entry whose key
 * is below the binder's prefix finds its row and is set over what file and environment
 * have said. One that is being set right now and is wrong is an error; one that was
 * set before (by an older plugin's rules, say) is a warning and left out. Main thread.
 */
#include "config_bind.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PLUGINS "plugins."

static struct weir__mark mark_of(const struct weir__override *it)
{
	return (struct weir__mark){ .file = it->persist && !it->strict ? WEIR__OVERRIDES_FILE : "weir set" };
}

/* The key without the prefix, or NULL: another's. */
static const char *below(const char *key, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!n)
		return strncmp(key, PLUGINS, strlen(PLUGINS)) ? key : NULL;
	return !strncmp(key, prefix, n) && key[n] == '.' ? key + n + 1 : NULL;
}

static int set_value(struct weir__binder *b, const struct weir__target *t,
                     const struct weir_option *opt, const struct weir__override *it)
{
	const struct weir__mark at = mark_of(it);
	struct weir__origin *o;
	char *text = weir__strdup(it->value), err[512];
	int rc = text ? 0 : -ENOMEM;

	if (!rc && !(opt->type == WEIR_OPT_LIST && strchr(text, ',')))
		rc = weir__bind_resolve(b, opt, &text);
	if (!rc)
		rc = weir__option_set(opt, t->base, text, err, sizeof err);
	weir__free(text);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		weir__bind_expected(b, opt, it->key, &at, it->value, "");
		return 0;
	}
	o = weir__origin_get(b->config, it->key);
	if (!o)
		return -ENOMEM;
	o->from = WEIR__FROM_OVERRIDE;
	return 0;
}

/* The last word of a key, as if it stood in the file. */
static void unknown(struct weir__binder *b, const struct weir__override *it, const char *rel)
{
	struct weir__node n = { .key_at = mark_of(it) };
	char section[WEIR__OVERRIDE_KEY_MAX];
	const char *dot = strrchr(rel, '.');

	snprintf(section, sizeof section, "%.*s", dot ? (int)(dot - rel) : 0, rel);
	n.key = (char *)(uintptr_t)(dot ? dot + 1 : rel);
	weir__bind_unknown(b, &n, section, rel);
}

/* Why this option cannot be set here although there is one, or NULL. */
static const char *forbidden(const struct weir__binder *b, const struct weir__target *t,
                             const struct weir_option *opt, const struct weir__override *it)
{
	bool own = t->opts == &weir__daemon_options || t->opts == &weir__common_options;

	if (!*b->prefix && !(opt->reserved & WEIR__OPTION_LIVE))
		return "it holds from start to end; write it into the configuration and restart weir";
	/* The daemon's user writes that file, and root reads it at the next start. */
	if (it->persist && own && (opt->flags & WEIR_OPTION_PATH))
		return "a path is not kept at run time; write it into the configuration";
	return NULL;
}

static int apply(struct weir__binder *b, const struct weir__override *it, const char *rel)
{
	const struct weir__target *t;
	const struct weir_option *opt = weir__bind_find(b, rel, &t);
	struct weir__node n = { .key = (char *)(uintptr_t)rel, .key_at = mark_of(it) };
	const char *why = opt ? forbidden(b, t, opt, it) : NULL;

	if (why)
		weir__config_bad_override(it, b->diags, NULL, why);
	else if (opt && weir__option_applies(opt, b->kind))
		return set_value(b, t, opt, it);
	else if (opt)
		weir__bind_wrong_kind(b, &n, opt, it->key);
	else if (!b->partial)
		unknown(b, it, rel);
	return 0;
}

int weir__bind_overrides(struct weir__binder *b)
{
	const struct weir__overrides *all = &b->config->overrides;
	int rc = 0;

	for (size_t i = 0; !rc && i < all->count; i++) {
		const struct weir__override *it = &all->items[i];
		const char *rel = below(it->key, b->prefix);

		/* an entry that ends hides the lasting one */
		if (!rel || it != weir__override_find(all, it->key))
			continue;
		b->warn = !it->strict;
		rc = apply(b, it, rel);
		b->warn = false;
	}
	return rc;
}

int weir__config_override(struct weir__config *c, struct weir__overrides *o,
                          struct weir__diags *diags)
{
	struct weir__binder b = {
		.config = c, .diags = diags, .prefix = "",
		.target = { { &weir__daemon_options, &c->daemon } },
	};
	int rc;

	weir__overrides_fini(&c->overrides);
	c->overrides = *o;
	*o = (struct weir__overrides){ 0 };
	rc = weir__bind_overrides(&b);
	diags->oom |= rc == -ENOMEM;
	return rc;
}

struct weir__overrides *weir__config_overrides(struct weir__config *c)
{
	return &c->overrides;
}

void weir__config_bad_override(const struct weir__override *it, struct weir__diags *diags,
                               const char *hint, const char *message)
{
	const struct weir__mark at = mark_of(it);

	weir__diag_add(diags, !it->strict, &at, NULL, hint, "%s: %s", it->key, message);
}

/* "weir set --persist, until 21:03:04 UTC" */
static void origin_override(const struct weir__override *it, char *buf, size_t size)
{
	time_t at = it ? (time_t)it->until : 0;
	char until[64] = "";
	struct tm tm;

	if (at && gmtime_r(&at, &tm))
		strftime(until, sizeof until, ", until %Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(buf, size, "weir set%s%s", it && it->persist ? " --persist" : "", until);
}

bool weir__config_origin(const struct weir__config *c, const char *key, char *buf, size_t size)
{
	const struct weir__origin *o = weir__origin_find(c, key);

	if (!o)
		return false;
	if (o->from == WEIR__FROM_DEFAULT)
		snprintf(buf, size, "default");
	else if (o->from == WEIR__FROM_FILE)
		snprintf(buf, size, "line %zu", o->line);
	else if (o->from == WEIR__FROM_ENV)
		snprintf(buf, size, "%s", o->env);
	else
		origin_override(weir__override_find(&c->overrides, key), buf, size);
	return true;
}
