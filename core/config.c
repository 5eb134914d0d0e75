/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's life: text to tree, the daemon's own options bound at once,
 * a plugin's section when its descriptor is known. The binding itself is in
 * config_bind.c, reading files in config_file.c.
 *
 * Fails: with everything that is wrong in the diagnostics, never with the first
 * only. Main thread.
 */
#include "config_priv.h"
#include "config_bind.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* desc->name: [a-z][a-z0-9-]*, at most 31 characters */
#define NAME_LEN_MAX 31

/* Whether anything has gone wrong since `before`. */
static int failed_since(const struct weir__diags *d, size_t before)
{
	return d->oom ? -ENOMEM : d->errors != before ? -EINVAL : 0;
}

/* ---- the plugins' names ----------------------------------------------------- */

static bool valid_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return *s >= 'a' && *s <= 'z' && !s[n] && n <= NAME_LEN_MAX;
}

static bool listed(const struct weir__config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->plugin_count; i++)
		if (!strcmp(c->plugins[i], name))
			return true;
	return false;
}

static int list_plugins(struct weir__config *c, struct weir__diags *diags)
{
	const struct weir__node *all = weir__node_get(c->root, "plugins"), *n;
	size_t count = all ? all->count : 0;

	c->plugins = weir__zalloc((count + 1) * sizeof(*c->plugins));
	c->claimed = weir__zalloc(count + 1);
	c->bound = weir__zalloc(count + 1);
	if (!c->plugins || !c->claimed || !c->bound)
		return -ENOMEM;
	if (all && all->kind != WEIR__NODE_MAP && all->kind != WEIR__NODE_NULL) {
		weir__diag_add(diags, false, &all->at, c->text,
		               "write one \"NAME:\" per line below it",
		               "plugins must be a mapping from names to options");
		return 0;
	}
	for (n = all ? all->first : NULL; n; n = n->next) {
		if (!valid_name(n->key)) {
			weir__diag_add(diags, false, &n->key_at, c->text,
			               "a name has lower-case letters, digits and dashes, at most 31",
			               "\"%s\" cannot be the name of a plugin", n->key);
			continue;
		}
		if (listed(c, n->key))
			continue; /* a duplicate key: said already */
		c->plugins[c->plugin_count] = weir__strdup(n->key);
		if (!c->plugins[c->plugin_count])
			return -ENOMEM;
		c->plugin_count++;
	}
	return 0;
}

static const struct weir__node *section(const struct weir__config *c, const char *plugin)
{
	return weir__node_get(weir__node_get(c->root, "plugins"), plugin);
}

static void mark_plugin(struct weir__config *c, const char *plugin, bool *marks)
{
	size_t i;

	for (i = 0; i < c->plugin_count; i++)
		if (!strcmp(c->plugins[i], plugin))
			marks[i] = true;
}

/* ---- the daemon ------------------------------------------------------------- */

/* Two options that make sense only together. */
static void check_pair(struct weir__config *c, struct weir__diags *diags, const char *a,
                       const char *a_value, const char *b, const char *b_value)
{
	const char *has = *a_value ? a : b, *lacks = *a_value ? b : a;
	const struct weir__origin *o = weir__origin_find(c, has);
	struct weir__mark at = { .file = c->name };

	if (!*a_value == !*b_value)
		return;
	if (o && o->from == WEIR__FROM_FILE) {
		at.line = o->line;
		at.column = 1;
	}
	weir__diag_add(diags, false, &at, NULL, "give both or neither",
	               "%s is set, but %s is not", has, lacks);
}

static int bind_daemon(struct weir__config *c, struct weir__diags *diags)
{
	struct weir__binder b = {
		.config = c, .diags = diags, .prefix = "",
		.target = { { &weir__daemon_options, &c->daemon } },
	};
	struct weir__mark at = { c->name, 1, 1, 1 };
	int rc;

	if (c->root && c->root->kind != WEIR__NODE_MAP && c->root->kind != WEIR__NODE_NULL) {
		at = c->root->at;
		if (c->whole) /* else it has been said what is wrong */
			weir__diag_add(diags, false, &at, c->text, "for example \"plugins:\"",
			               "expected a mapping of options at the top");
		weir__node_free(c->root);
		c->root = NULL;
	}
	rc = weir__bind(&b, c->root);
	if (rc)
		return rc;
	check_pair(c, diags, "http.tls.cert", c->daemon.http_tls_cert,
	           "http.tls.key", c->daemon.http_tls_key);
	check_pair(c, diags, "http.auth.user", c->daemon.http_auth_user,
	           "http.auth.password_file", c->daemon.http_auth_password_file);
	return list_plugins(c, diags);
}

/* ---- open and close --------------------------------------------------------- */

static int copy_in(struct weir__config *c, const char *name, const char *dir, const char *text,
                   size_t len)
{
	c->name = name;
	c->file = weir__strdup(name);
	c->dir = dir ? weir__strdup(dir) : NULL;
	c->text = weir__alloc(len + 1);
	if (!c->file || !c->text || (dir && !c->dir))
		return -ENOMEM;
	memcpy(c->text, text, len);
	c->text[len] = 0;
	return 0;
}

int weir__config_read_text(const char *name, const char *dir, const char *text, size_t len,
                           struct weir__diags *diags, struct weir__config **ret)
{
	struct weir__config *c = weir__zalloc(sizeof(*c));
	int rc = c ? 0 : -ENOMEM;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3; /* a byte order mark; libyaml would count it as a column */
		len -= 3;
	}
	if (!rc)
		rc = copy_in(c, name, dir, text, len);
	if (!rc)
		rc = weir__yaml_parse(c->name, c->text, len, diags, &c->root, &c->whole);
	if (!rc)
		rc = bind_daemon(c, diags);
	if (rc) {
		diags->oom |= rc == -ENOMEM;
		weir__config_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

/* Strict: nothing but a faultless configuration is handed out. */
static int strict(struct weir__config *c, const struct weir__diags *diags, size_t before,
                  struct weir__config **ret)
{
	int rc = failed_since(diags, before);

	if (rc)
		weir__config_free(c);
	else
		*ret = c;
	return rc;
}

int weir__config_open_text(const char *name, const char *text, size_t len,
                           struct weir__diags *diags, struct weir__config **ret)
{
	size_t before = diags->errors;
	struct weir__config *c;
	int rc = weir__config_read_text(name, NULL, text, len, diags, &c);

	return rc ? rc : strict(c, diags, before, ret);
}

int weir__config_reread(const struct weir__config *old, struct weir__diags *diags,
                        struct weir__config **ret)
{
	return weir__config_read_text(old->name, old->dir, old->text, strlen(old->text), diags, ret);
}

int weir__config_open(const char *path, struct weir__diags *diags, struct weir__config **ret)
{
	size_t before = diags->errors;
	struct weir__config *c;
	int rc = weir__config_read(path, diags, &c);

	return rc ? rc : strict(c, diags, before, ret);
}

void weir__config_free(struct weir__config *c)
{
	size_t i;

	if (!c)
		return;
	weir__options_free(&weir__daemon_options, &c->daemon);
	weir__overrides_fini(&c->overrides);
	for (i = 0; i < c->plugin_count; i++)
		weir__free(c->plugins[i]);
	weir__free(c->plugins);
	weir__free(c->claimed);
	weir__free(c->bound);
	weir__origins_free(c);
	weir__node_free(c->root);
	weir__free(c->text);
	weir__free(c->file);
	weir__free(c->dir);
	weir__free(c);
}

const struct weir__daemon_config *weir__config_daemon(const struct weir__config *c)
{
	return &c->daemon;
}

const char *weir__config_file(const struct weir__config *c)
{
	return c->file;
}

bool weir__config_has_file(const struct weir__config *c)
{
	return c->dir;
}

const char *const *weir__config_plugins(const struct weir__config *c)
{
	return (const char *const *)c->plugins;
}

/* ---- plugins' sections ------------------------------------------------------ */

static void prefix_of(const char *plugin, char *buf, size_t size)
{
	snprintf(buf, size, "plugins.%s", plugin);
}

void weir__common_fini(struct weir__common_config *common)
{
	weir__options_free(&weir__common_options, common);
}

int weir__config_try_common(struct weir__config *c, const char *plugin,
                            struct weir__diags *diags, struct weir__common_config *ret)
{
	struct weir__common_config common = { 0 };
	char prefix[64];
	struct weir__binder b = {
		.config = c, .diags = diags, .prefix = prefix, .partial = true,
		.target = { { &weir__common_options, &common } },
	};
	int rc;

	prefix_of(plugin, prefix, sizeof(prefix));
	rc = weir__bind(&b, section(c, plugin));
	if (rc) {
		diags->oom |= rc == -ENOMEM;
		weir__common_fini(&common);
		return rc;
	}
	*ret = common;
	return 0;
}

int weir__config_common(struct weir__config *c, const char *plugin,
                        struct weir__diags *diags, struct weir__common_config *ret)
{
	struct weir__common_config common;
	size_t before = diags->errors;
	int rc = weir__config_try_common(c, plugin, diags, &common);

	if (rc)
		return rc;
	rc = failed_since(diags, before);
	if (rc)
		weir__common_fini(&common);
	else
		*ret = common;
	return rc;
}

void weir__settings_free(struct weir__settings *s)
{
	if (!s)
		return;
	weir__common_fini(&s->common);
	if (s->values)
		weir__options_free(&s->desc->options, s->values);
	weir__free(s->values);
	if (s->library)
		close(s->library_fd);
	weir__free(s->library);
	weir__free(s->name);
	weir__free(s);
}

static struct weir__settings *new_settings(const char *plugin, const struct weir_plugin_desc *desc)
{
	struct weir__settings *s = weir__zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->desc = desc;
	s->name = weir__strdup(plugin);
	s->values = weir__zalloc(desc->state_size);
	if (!s->name || !s->values) {
		weir__settings_free(s);
		return NULL;
	}
	return s;
}

int weir__config_bind(struct weir__config *c, const char *plugin,
                      const struct weir_plugin_desc *desc, struct weir__diags *diags,
                      struct weir__settings **ret)
{
	struct weir__settings *s = new_settings(plugin, desc);
	size_t before = diags->errors;
	char prefix[64];
	struct weir__binder b = { .config = c, .diags = diags, .prefix = prefix,
	                          .kind = desc->kind };
	int rc = -ENOMEM;

	mark_plugin(c, plugin, c->claimed);
	mark_plugin(c, plugin, c->bound);
	prefix_of(plugin, prefix, sizeof(prefix));
	if (s) {
		b.target[0] = (struct weir__target){ &weir__common_options, &s->common };
		b.target[1] = (struct weir__target){ &desc->options, s->values };
		b.enabled = &s->common.enabled;
		rc = weir__bind(&b, section(c, plugin));
	}
	diags->oom |= rc == -ENOMEM;
	if (!rc)
		rc = failed_since(diags, before);
	if (rc)
		weir__settings_free(s);
	else
		*ret = s;
	return rc;
}

void weir__config_skip(struct weir__config *c, const char *plugin)
{
	mark_plugin(c, plugin, c->claimed);
}

static void report(struct weir__config *c, const char *plugin, struct weir__diags *diags,
                   bool warning, const char *hint, const char *message)
{
	const struct weir__node *n = section(c, plugin);
	struct weir__mark at = { .file = c->name };

	weir__config_skip(c, plugin);
	weir__diag_add(diags, warning, n ? &n->key_at : &at, n ? c->text : NULL, hint, "%s",
	               message);
}

void weir__config_error(struct weir__config *c, const char *plugin, struct weir__diags *diags,
                        const char *hint, const char *message)
{
	report(c, plugin, diags, false, hint, message);
}

void weir__config_warning(struct weir__config *c, const char *plugin, struct weir__diags *diags,
                          const char *hint, const char *message)
{
	report(c, plugin, diags, true, hint, message);
}

void weir__config_key_error(struct weir__config *c, const char *key, struct weir__diags *diags,
                            const char *message)
{
	const struct weir__node *n = c->root ? weir__node_get(c->root, key) : NULL;
	struct weir__mark at = { .file = c->name };

	weir__diag_add(diags, false, n ? &n->at : &at, n ? c->text : NULL, NULL, "%s", message);
}

void weir__config_finish(struct weir__config *c, struct weir__diags *diags)
{
	char message[96];
	size_t i;

	for (i = 0; i < c->plugin_count; i++) {
		if (c->claimed[i])
			continue;
		snprintf(message, sizeof(message), "no plugin \"%s\" has been loaded", c->plugins[i]);
		weir__config_error(c, c->plugins[i], diags,
		                   "`weir plugins list` shows what there is", message);
	}
	weir__env_unknown(c, diags);
}
