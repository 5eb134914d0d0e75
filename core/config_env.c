/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment in the configuration: the variable of each option, ${VAR} in
 * values, and variables that look like Weir's but set nothing. A variable's value
 * is never shown: secrets come that way. Main thread; nobody calls setenv.
 */
#include "config_priv.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ${VAR} may make of one value: as much as an option takes. */
#define EXPANDED_MAX 65536
/* Names of variables; longer ones are no option's. */
#define NAME_MAX_LEN 200

extern char **environ;

/* ---- where values come from ------------------------------------------------- */

void weir__env_name(const char *key, char *buf, size_t size)
{
	char *p;

	snprintf(buf, size, "WEIR_%s", key);
	for (p = buf; *p; p++)
		*p = *p == '.' || *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

const struct weir__origin *weir__origin_find(const struct weir__config *c, const char *key)
{
	size_t i;

	for (i = 0; i < c->origin_count; i++)
		if (!strcmp(c->origins[i].key, key))
			return &c->origins[i];
	return NULL;
}

struct weir__origin *weir__origin_get(struct weir__config *c, const char *key)
{
	struct weir__origin *o = (struct weir__origin *)weir__origin_find(c, key), *all;
	char env[NAME_MAX_LEN];

	if (o)
		return o;
	all = weir__realloc(c->origins, (c->origin_count + 1) * sizeof(*all));
	if (!all)
		return NULL;
	c->origins = all;
	o = &all[c->origin_count];
	memset(o, 0, sizeof(*o));
	weir__env_name(key, env, sizeof(env));
	o->key = weir__strdup(key);
	o->env = weir__strdup(env);
	if (!o->key || !o->env) {
		weir__free(o->key);
		weir__free(o->env);
		return NULL;
	}
	c->origin_count++;
	return o;
}

const char *weir__origin_clash(const struct weir__config *c, const struct weir__origin *o)
{
	size_t i;

	for (i = 0; i < c->origin_count; i++)
		if (&c->origins[i] != o && !strcmp(c->origins[i].env, o->env))
			return c->origins[i].key;
	return NULL;
}

void weir__origins_free(struct weir__config *c)
{
	size_t i;

	for (i = 0; i < c->origin_count; i++) {
		weir__free(c->origins[i].key);
		weir__free(c->origins[i].env);
	}
	weir__free(c->origins);
}

/* ---- ${VAR} ----------------------------------------------------------------- */

struct growing {
	char *buf;
	size_t len;
};

/* 0, -ENOMEM, -ERANGE: too long. */
static int append(struct growing *g, const char *s, size_t n)
{
	char *tmp;

	if (g->len + n > EXPANDED_MAX)
		return -ERANGE;
	tmp = weir__realloc(g->buf, g->len + n + 1);
	if (!tmp)
		return -ENOMEM;
	g->buf = tmp;
	memcpy(g->buf + g->len, s, n);
	g->len += n;
	g->buf[g->len] = 0;
	return 0;
}

static size_t name_length(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

static int malformed(char *err, size_t size)
{
	snprintf(err, size, "\"${\" begins a variable: write ${NAME} or ${NAME:-default}, "
	                    "or \"$${\" for the characters themselves");
	return -EINVAL;
}

/* *s behind "${"; moves behind the "}". */
static int expand_one(const char **s, struct growing *g, char *err, size_t size)
{
	size_t n = name_length(*s), dn = 0;
	const char *def = NULL, *value, *end;
	char name[NAME_MAX_LEN];
	int rc;

	if (!n || n >= sizeof(name))
		return malformed(err, size);
	memcpy(name, *s, n);
	name[n] = 0;
	end = *s + n;
	if (!strncmp(end, ":-", 2)) {
		def = end + 2;
		dn = strcspn(def, "}");
		end = def + dn;
		if (memmem(def, dn, "${", 2)) {
			snprintf(err, size, "the default of ${%s} cannot hold another variable", name);
			return -EINVAL;
		}
	}
	if (*end != '}')
		return malformed(err, size);
	*s = end + 1;
	value = getenv(name);
	if (def && (!value || !*value))
		rc = append(g, def, dn);
	else if (value)
		rc = append(g, value, strnlen(value, EXPANDED_MAX + 1));
	else {
		snprintf(err, size, "the environment variable %s is not set", name);
		return -EINVAL;
	}
	if (rc == -ERANGE)
		snprintf(err, size, "the environment variable %s is too long: at most 64 KiB", name);
	return rc == -ERANGE ? -EINVAL : rc;
}

int weir__env_expand(const char *text, char **ret, char *err, size_t err_size)
{
	struct growing g = { 0 };
	const char *s = text;
	size_t n;
	int rc = append(&g, "", 0);

	while (!rc && *s) {
		n = strcspn(s, "$");
		if (n) {
			rc = append(&g, s, n);
			s += n;
		} else if (!strncmp(s, "$${", 3)) {
			rc = append(&g, "${", 2);
			s += 3;
		} else if (s[1] == '{') {
			s += 2;
			rc = expand_one(&s, &g, err, err_size);
		} else {
			rc = append(&g, s++, 1);
		}
	}
	if (rc == -ERANGE) {
		snprintf(err, err_size, "too long: at most 64 KiB");
		rc = -EINVAL;
	}
	if (rc)
		weir__free(g.buf);
	else
		*ret = g.buf;
	return rc;
}

/* ---- unknown variables ------------------------------------------------------ */

/* Kubernetes sets these for a service that is called weir. */
static bool from_kubernetes(const char *name)
{
	return !strncmp(name, "WEIR_SERVICE_", 13) || !strcmp(name, "WEIR_PORT") ||
	       !strncmp(name, "WEIR_PORT_", 10);
}

/* Read by the command line, not options: which configuration to take. */
static bool of_command_line(const char *name)
{
	return !strcmp(name, "WEIR_CONFIG");
}

/* Of a plugin that could not be loaded, so that its options are not known? */
static bool of_unbound_plugin(const struct weir__config *c, const char *name)
{
	char key[NAME_MAX_LEN], prefix[NAME_MAX_LEN];
	size_t i;

	for (i = 0; i < c->plugin_count; i++) {
		snprintf(key, sizeof(key), "plugins.%s.", c->plugins[i]);
		weir__env_name(key, prefix, sizeof(prefix));
		if (!c->bound[i] && !strncmp(name, prefix, strlen(prefix)))
			return true;
	}
	return false;
}

static void warn(const char *name, const char *const *known, struct weir__diags *diags)
{
	const struct weir__mark at = { .file = "environment" };
	const char *near = weir__nearest(name, known);
	char hint[NAME_MAX_LEN + 64] = "see `weir config show` for the options there are";

	if (near)
		snprintf(hint, sizeof(hint), "did you mean %s?", near);
	else if (!strncmp(name, "WEIR_PLUGINS_", 13))
		snprintf(hint, sizeof(hint), "a plugin has to be named below plugins: in the file");
	weir__diag_add(diags, true, &at, NULL, hint, "%s sets no option", name);
}

void weir__env_unknown(const struct weir__config *c, struct weir__diags *diags)
{
	const char **known = weir__zalloc((c->origin_count + 1) * sizeof(*known));
	char name[NAME_MAX_LEN], **e;
	size_t i;

	if (!known) {
		diags->oom = true;
		return;
	}
	for (i = 0; i < c->origin_count; i++)
		known[i] = c->origins[i].env;
	for (e = environ; e && *e; e++) {
		if (strncmp(*e, "WEIR_", 5))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*e, "="), *e);
		for (i = 0; i < c->origin_count && strcmp(known[i], name); i++)
			;
		if (i < c->origin_count || from_kubernetes(name) || of_command_line(name) ||
		    of_unbound_plugin(c, name))
			continue;
		warn(name, known, diags);
	}
	weir__free(known);
}
