/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: YAML text to checked values. Two phases, since a plugin's
 * options are known only once its descriptor is:
 *
 *   weir__config_open    read, parse, bind the daemon's own options
 *   weir__config_bind    bind one plugin's section against its tables
 *   weir__config_finish  what nobody has claimed is an error
 *
 * Precedence: default < file < environment (WEIR_...) < overrides (`weir set`). ${VAR}
 * is replaced inside scalar values only, after parsing. Main thread only.
 */
#ifndef WEIR_CORE_CONFIG_H
#define WEIR_CORE_CONFIG_H

#include "diag.h"
#include "log.h"
#include "options.h"
#include "overrides.h"
#include <weir/plugin.h>

/* The daemon's own options; the table is weir__daemon_options. */
struct weir__daemon_config {
	uint32_t log_level;             /* log.level: error warn info debug */
	uint32_t log_format;            /* log.format: logfmt json */
	const char *log_file;           /* log.file: "" is stderr */
	uint64_t log_burst;             /* log.burst: lines per second and call site */
	const char *http_listen;        /* http.listen: 127.0.0.1:9347; "" off */
	const char *http_tls_cert;      /* http.tls.cert, PEM file */
	const char *http_tls_key;       /* http.tls.key */
	const char *http_auth_user;     /* http.auth.user */
	const char *http_auth_password_file; /* http.auth.password_file */
	const char *control_socket;     /* control.socket: /run/weir/control.sock */
	const char *control_group;      /* control.group: "" keeps the daemon's */
	const char *state_dir;          /* state_dir: /var/lib/weir */
	const char *user;               /* user: weir; "" stays as started */
	uint32_t isolation;             /* isolation: of plugins that do not say: auto */
	struct weir_strings plugin_dirs;/* plugin_dirs: [] means beside the program */
	uint64_t shutdown_timeout_ns;   /* shutdown_timeout: 5s */
	uint64_t probe_interval_ns;     /* probe_interval: 30s, sources none of which works */
	bool watch;                     /* watch: false, reload when the file changes */
	struct weir_strings kernel_guard; /* kernel_guard: [] is the built-in list */
	double budget_cpu;              /* budget.cpu: 25, percent of one core; 0 none */
	uint64_t budget_memory;         /* budget.memory: 100MiB; 0 none */
};
extern const struct weir_table weir__daemon_options;

/* What every plugin's section may have beside its own options; the table is
 * weir__common_options. Some only make sense for one kind: `kinds` of a row is
 * in its reserved field (bit 1 << enum weir_kind; 0: all), beside WEIR__OPTION_LIVE. */
struct weir__common_config {
	bool enabled;                /* enabled: true */
	const char *path;            /* path: of the .so; "" looks in plugin_dirs */
	uint32_t isolation;          /* isolation: auto thread process */
	uint64_t deadline_ns;        /* deadline: 5s, longest a callback may keep its loop */
	uint64_t breaker_failures;   /* breaker.failures: 5, so many in the window open it */
	uint64_t breaker_window_ns;  /* breaker.window: 60s */
	uint64_t breaker_cooldown_ns;     /* breaker.cooldown: 1s, shortest wait of an open one */
	uint64_t breaker_max_cooldown_ns; /* breaker.max_cooldown: 5m */
	/* collectors */
	struct weir_strings sources; /* sources: which, in which order; [] all */
	uint64_t ring_bytes;         /* ring: 512KiB, all rings together */
	uint32_t latency;            /* latency_class: low balanced economy */
	uint32_t fallback;           /* fallback: auto (only when needed) always */
	/* budgets; 0: none of its own */
	uint64_t priority;           /* priority: 0 is by its topics */
	double budget_cpu;           /* budget.cpu: percent of one core */
	uint64_t budget_memory;      /* budget.memory */
	uint64_t budget_events;      /* budget.events: 25000 per second */
	uint64_t budget_burst;       /* budget.burst: 0 is WEIR__BURST_SECONDS' worth */
	uint64_t budget_queue;       /* budget.queue: bytes, all its queues */
	struct weir_strings on_pressure; /* on_pressure: [] is every action */
	/* outputs */
	struct weir_strings topics;  /* topics: [] is the plugin's default */
	struct weir_strings collectors; /* collectors: [] is every one */
	uint64_t queue_bytes;        /* queue: 4MiB, per route */
	uint32_t on_full;            /* on_full: drop_newest drop_oldest block */
};
enum { WEIR__ISOLATION_AUTO, WEIR__ISOLATION_THREAD, WEIR__ISOLATION_PROCESS };
enum { WEIR__LATENCY_LOW, WEIR__LATENCY_BALANCED, WEIR__LATENCY_ECONOMY };
enum { WEIR__FALLBACK_AUTO, WEIR__FALLBACK_ALWAYS };
enum { WEIR__DROP_NEWEST, WEIR__DROP_OLDEST, WEIR__BLOCK };
extern const struct weir_table weir__common_options;

/* In `reserved` of a row of Weir's own: a new value takes effect without a restart (of
 * the plugin, or of the daemon). The options of a plugin never have it. */
#define WEIR__OPTION_LIVE 0x80000000u
/* Has this row a meaning for plugins of this kind (0: not known)? */
static inline bool weir__option_applies(const struct weir_option *opt, uint32_t kind)
{
	uint32_t kinds = opt->reserved & ~WEIR__OPTION_LIVE;

	return !kind || !kinds || (kinds & 1u << kind);
}

/* One plugin's bound section. */
struct weir__settings {
	char *name;                        /* instance and plugin name */
	struct weir__common_config common;
	const struct weir_plugin_desc *desc;
	void *values;                      /* desc->state_size bytes, options filled in */
	char *library;                     /* the file, if it gets a process of its own; else NULL */
	int library_fd;                    /* then: open, and checked */
};

struct weir__config;

/* path NULL: the built-in default. 0, or -errno with diags filled (never just
 * one without the other). path outlives the diags, and so does name below. */
int weir__config_open(const char *path, struct weir__diags *diags, struct weir__config **ret);
/* The same, but 0 and a usable config also after mistakes in the text, so that the
 * plugins' sections can be searched for more of them: look at diags in the end. */
int weir__config_read(const char *path, struct weir__diags *diags, struct weir__config **ret);
/* From memory; `name` is shown in messages. For tests and the fuzzer. */
int weir__config_open_text(const char *name, const char *text, size_t len,
                           struct weir__diags *diags, struct weir__config **ret);
/* From the text of another one, which lives on: what `weir set` begins with. */
int weir__config_reread(const struct weir__config *old, struct weir__diags *diags,
                        struct weir__config **ret);
/* From its file again. */
int weir__config_read_again(const struct weir__config *old, struct weir__diags *diags,
                            struct weir__config **ret);
/* The text of a file, at most 1 MiB; weir__free. 0 or -errno. */
int weir__config_read_file(const char *path, char **ret, size_t *ret_len);
/* Keeps the file open over the daemon's change of user, to be read again when its path
 * cannot be: written in place it is the new text, replaced it is an error. Once. */
void weir__config_keep_file(const char *path);
/* Its absolute path; NULL: none is kept. */
const char *weir__config_kept(void);
/* What root's `weir reload` read from that path, or NULL. Used where the path cannot be
 * opened; the caller's, and set only while one configuration is read. */
void weir__config_offer(const char *text);
/* The layer above the environment; before any plugin is bound. Takes what is in *o. */
int weir__config_override(struct weir__config *c, struct weir__overrides *o,
                          struct weir__diags *diags);
struct weir__overrides *weir__config_overrides(struct weir__config *c);
const struct weir__daemon_config *weir__config_daemon(const struct weir__config *c);
const char *weir__config_file(const struct weir__config *c); /* or "(built-in)" */
bool weir__config_has_file(const struct weir__config *c);
/* Names below `plugins:` in file order; NULL-terminated, the config's. */
const char *const *weir__config_plugins(const struct weir__config *c);
/* The common part alone, before the descriptor is known (path, enabled). */
int weir__config_common(struct weir__config *c, const char *plugin,
                        struct weir__diags *diags, struct weir__common_config *ret);
/* The same, but 0 and what is right of it also after mistakes: for a section that
 * will be bound, which says them all. */
int weir__config_try_common(struct weir__config *c, const char *plugin,
                            struct weir__diags *diags, struct weir__common_config *ret);
void weir__common_fini(struct weir__common_config *common);
/* A section against its tables; absent section: all defaults. */
int weir__config_bind(struct weir__config *c, const char *plugin,
                      const struct weir_plugin_desc *desc, struct weir__diags *diags,
                      struct weir__settings **ret);
void weir__settings_free(struct weir__settings *s);
/* Report an error at a plugin's key ("plugin not found"); hint may be NULL. */
void weir__config_error(struct weir__config *c, const char *plugin, struct weir__diags *diags,
                        const char *hint, const char *message);
void weir__config_warning(struct weir__config *c, const char *plugin, struct weir__diags *diags,
                          const char *hint, const char *message);
/* Report an error at one of the daemon's own keys. */
void weir__config_key_error(struct weir__config *c, const char *key, struct weir__diags *diags,
                            const char *message);
/* A section whose plugin could not be loaded: nobody can judge its keys, so finish
 * passes over it. */
void weir__config_skip(struct weir__config *c, const char *plugin);
/* Complain that no option of this key can be set: `hint` may be NULL. */
void weir__config_bad_override(const struct weir__override *it, struct weir__diags *diags,
                               const char *hint, const char *message);
/* Where the value of a key comes from: "default", "line 3", the variable, or "weir set";
 * false: no such key. */
bool weir__config_origin(const struct weir__config *c, const char *key, char *buf, size_t size);
/* Sections that were not bound, unknown WEIR_ variables (a warning, since
 * orchestrators set such). */
void weir__config_finish(struct weir__config *c, struct weir__diags *diags);
void weir__config_free(struct weir__config *c); /* NULL is fine */

#endif
