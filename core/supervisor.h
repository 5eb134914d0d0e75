/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: which plugins run, which routes are between them, what they say
 * of themselves. It owns hosts and routes; all of it is on the main thread, and it
 * never waits for a host: what a host does comes back as a call's end.
 *
 * Files: sup.c (made and freed), sup_plugin.c (start, stop, fallback), sup_change.c (what
 * is asked from outside, and who waits for it), sup_routes.c, sup_far.c (routes with an end
 * in a process), sup_query.c, sup_apply.c (new settings), sup_upgrade.c, sup_breaker.c,
 * sup_budget.c and sup_suspend.c, sup_bury.c (hosts that died or are lost), sup_status.c
 * and sup_budget_show.c (JSON), sup_metrics.c (Weir's own metrics), sup_summary.c.
 */
#ifndef WEIR_CORE_SUPERVISOR_H
#define WEIR_CORE_SUPERVISOR_H

#include "config.h"
#include "host.h"
#include "lifecycle.h"
#include <jansson.h>

struct weir__supervisor;

/* cfg is kept by reference for plugins that are added later; must outlive. */
int weir__sup_new(uv_loop_t *loop, struct weir__config *cfg, struct weir__supervisor **ret);
void weir__sup_free(struct weir__supervisor *s); /* after stop; NULL is fine */

/* Take a plugin in. desc NULL: refused, for this reason. settings are the
 * supervisor's from here, desc must live for ever. */
int weir__sup_add(struct weir__supervisor *s, struct weir__settings *settings,
                  const struct weir_plugin_desc *desc, const char *refused);
/* Does some collector, running or not, provide this topic? Else all there are, as text. */
bool weir__sup_has_topic(struct weir__supervisor *s, const char *topic, char *all, size_t size);
bool weir__sup_knows(struct weir__supervisor *s, const char *name);
/* Start what is enabled, outputs first. */
void weir__sup_start(struct weir__supervisor *s);
/* Has every enabled plugin started, been given up or been replaced? */
bool weir__sup_settled(const struct weir__supervisor *s);
/* Collectors first, then what they fed. done(arg, clean) at the latest at the
 * deadline; clean false: some plugin did not end (named in the log). */
void weir__sup_stop(struct weir__supervisor *s, uint64_t timeout_ns,
                    void (*done)(void *arg, bool clean), void *arg);

/* done once the plugin has got there or failed to: err 0 or -errno, a sentence. */
typedef void (*weir__sup_done)(void *arg, int err, const char *state, const char *message);
enum weir__sup_verb { WEIR__ENABLE, WEIR__DISABLE, WEIR__RESTART };
void weir__sup_change(struct weir__supervisor *s, enum weir__sup_verb verb, const char *plugin,
                      weir__sup_done done, void *arg);

/* ---- a new configuration (sup_apply.c) ---- */

/* Between these nothing starts or stops, so that many changes are one. */
void weir__sup_hold(struct weir__supervisor *s);
void weir__sup_release(struct weir__supervisor *s);
/* The daemon's options from now on; the old config may be freed. */
void weir__sup_set_config(struct weir__supervisor *s, struct weir__config *config);
/* What a plugin is configured with (its host may still run with older ones); NULL: unknown. */
const struct weir__settings *weir__sup_settings(struct weir__supervisor *s, const char *name);
/* Why its library was refused. */
const char *weir__sup_refused(struct weir__supervisor *s, const char *name);
/* Every configured plugin; fn may remove it. */
void weir__sup_each(struct weir__supervisor *s,
                    void (*fn)(void *arg, const struct weir__settings *settings), void *arg);
/* All take the settings. The plugin is known; take: it is not (then -ENOMEM: not taken).
 * Update: only live options differ. Replace: restarted, switched on or off. */
void weir__sup_update(struct weir__supervisor *s, const char *name, struct weir__settings *settings);
void weir__sup_replace(struct weir__supervisor *s, const char *name,
                       struct weir__settings *settings, const char *refused);
int weir__sup_take(struct weir__supervisor *s, struct weir__settings *settings, const char *refused);
void weir__sup_remove(struct weir__supervisor *s, const char *name);
/* done once it has settled, at once if it has. -ENOMEM: never. */
int weir__sup_wait(struct weir__supervisor *s, const char *name, weir__sup_done done, void *arg);
/* "gone": no such plugin (any more). */
const char *weir__sup_state(struct weir__supervisor *s, const char *name);
/* Let go of what is over; every refresh does so, too. */
void weir__sup_sweep(struct weir__supervisor *s);
/* What it is now ends then (uv_hrtime); 0: it does not. For status and answers. */
void weir__sup_note_until(struct weir__supervisor *s, const char *name, uint64_t until_ns);

/* Another build, or the same, takes over from the running plugin; settings are the
 * supervisor's from here, and dropped if it does not come to that (refused: why there is
 * no library). Who waits for the plugin is told. */
void weir__sup_upgrade(struct weir__supervisor *s, const char *name, struct weir__settings *settings,
                       const char *refused);

/* Bring snapshots (and with `collect` the plugins' metrics) up to date, then cb. A
 * host that does not answer in 300 ms keeps its old one. */
void weir__sup_refresh(struct weir__supervisor *s, bool collect, void (*cb)(void *arg), void *arg);

/* Called after every refresh with `collect`: what else a scrape shows. */
void weir__sup_on_fresh(struct weir__supervisor *s, void (*fresh)(void *arg), void *arg);

/* err 0: the answer; else text says why. Valid during the call. */
typedef void (*weir__sup_answer)(void *arg, int err, const char *content_type,
                                 const char *text, size_t len);
/* plugin.query with words name=value; 2 s at most. */
void weir__sup_query(struct weir__supervisor *s, const char *plugin, const char *query,
                     const char *const *words, size_t count, weir__sup_answer cb, void *arg);
/* The query mounted at an HTTP path; false: nothing there. */
bool weir__sup_query_path(struct weir__supervisor *s, const char *path, weir__sup_answer cb, void *arg);

/* After a refresh: the "plugins" and "routes" of protocol.h. New references. */
json_t *weir__sup_json_plugins(struct weir__supervisor *s);
json_t *weir__sup_json_routes(struct weir__supervisor *s);
/* What the daemon's object has of budgets: "budget" or "psi". New reference. */
json_t *weir__sup_budget_json_total(const struct weir__supervisor *s, const char *key);
/* The final account: one log line per route and one per failure. */
void weir__sup_log_ledger(struct weir__supervisor *s);
/* Is any route unbalanced? After a refresh or at the end. */
bool weir__sup_balanced(struct weir__supervisor *s);
/* Fill Weir's own metrics. After a refresh. */
void weir__sup_update_metrics(struct weir__supervisor *s, struct weir__metrics_set *self);
size_t weir__sup_unready(struct weir__supervisor *s, char *names, size_t size);

/* An output that lives as long as a client: its descriptor and state values are
 * given, its queue is bounded; gone when it asks for it (failed). For `weir tail`. */
int weir__sup_add_transient(struct weir__supervisor *s, const struct weir_plugin_desc *desc,
                            struct weir__settings *settings);

#endif
