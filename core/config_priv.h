/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration's own files share: the state behind struct weir__config,
 * where each value came from, and the environment. Main thread only.
 */
#ifndef WEIR_CORE_CONFIG_PRIV_H
#define WEIR_CORE_CONFIG_PRIV_H

#include "config.h"
#include "config_yaml.h"

enum weir__from { WEIR__FROM_DEFAULT, WEIR__FROM_FILE, WEIR__FROM_ENV, WEIR__FROM_OVERRIDE };

/* One option that has been looked at. */
struct weir__origin {
	char *key; /* "plugins.iomonitor.interval" */
	char *env; /* "WEIR_PLUGINS_IOMONITOR_INTERVAL" */
	enum weir__from from;
	size_t line; /* in the file */
};

struct weir__config {
	const char *name;  /* shown in messages; the caller's */
	char *file;        /* the same, ours */
	char *dir;         /* relative paths begin here; NULL: no file */
	char *text;
	struct weir__node *root;
	bool whole;        /* no syntax error: what is missing is really missing */
	struct weir__daemon_config daemon;
	struct weir__overrides overrides;
	char **plugins;    /* names below plugins:, NULL-terminated */
	bool *claimed;     /* [plugin] bound, or something said about it */
	bool *bound;       /* [plugin] bound: its options are known */
	size_t plugin_count;
	struct weir__origin *origins;
	size_t origin_count;
};

extern const char weir__config_default[]; /* config_default.yaml */

/* As weir__config_read, from memory; dir: where relative paths begin, or NULL. */
int weir__config_read_text(const char *name, const char *dir, const char *text, size_t len,
                           struct weir__diags *diags, struct weir__config **ret);

/* The record of a key, made if there is none yet; NULL: no memory. Valid until
 * the next one is made. */
struct weir__origin *weir__origin_get(struct weir__config *c, const char *key);
/* The same, but never made. */
const struct weir__origin *weir__origin_find(const struct weir__config *c, const char *key);
/* Another key with the same variable, or NULL. */
const char *weir__origin_clash(const struct weir__config *c, const struct weir__origin *o);
void weir__origins_free(struct weir__config *c);
/* "log.level" -> "WEIR_LOG_LEVEL". */
void weir__env_name(const char *key, char *buf, size_t size);
/* Replace ${VAR} and ${VAR:-default}; "$${" is "${". 0, -EINVAL with err (names
 * the variable, never its value), -ENOMEM. *ret is the caller's. */
int weir__env_expand(const char *text, char **ret, char *err, size_t err_size);
/* Warn of WEIR_ variables that set nothing. */
void weir__env_unknown(const struct weir__config *c, struct weir__diags *diags);

#endif
