/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor from inside: shared by the sup_*.c files only. */
#ifndef WEIR_CORE_SUP_PRIV_H
#define WEIR_CORE_SUP_PRIV_H

#include "breaker.h"
#include "host_request.h"
#include "sup_budget.h"
#include "supervisor.h"

struct sup_plugin;

/* Outputs' ends that have frames of a collector's process that is no more: more than a
 * few only if it fails faster than the output acknowledges; then the oldest is cut off. */
#define SUP_OLD_ENDS 8
struct sup_old_end {
	uint32_t id;
	uint64_t room;  /* what that process had offered and found room for */
	bool closed;    /* nothing more is received */
};

/* One collector to one output. Lives as long as both are known; closed and opened
 * as they stop and start, its counters go on. */
struct sup_route {
	struct sup_route *next;
	uint32_t id;                /* not 0; between two processes a new one each time */
	struct sup_plugin *from, *to;
	struct weir__route *route;
	uint32_t topics;
	bool open, attached;
	bool shut;                  /* attached to an output that failed: nothing goes, all counts */
	/* Of a collector in a process, which has an end of its own: what its ends that are
	 * over have counted, and the output's end when this one's began, and when the
	 * collector was last asked. An end that is not here either adds up in rx_closed. */
	bool far_from, far_to, opening, rx_final;
	struct weir__route_stats tx_closed, rx_closed, rx_began, rx_then, rx_last;
	struct sup_old_end old[SUP_OLD_ENDS];
	size_t old_count;
	struct weir__ledger closed; /* source side of the periods that are over */
	struct weir__ledger live;   /* source side since attach, last snapshot */
	struct weir__route_stats live_stats; /* of the same moment; while attached */
	bool live_valid;
};

/* What a rate is taken from. */
struct sup_sample {
	uint64_t at_ns, records, cpu_ns, bpf_ns;
	uint64_t deliveries[WEIR__DELIVERY_BUCKETS + 1];
};

enum stop_phase { STOP_NONE, STOP_DETACH, STOP_DRAIN, STOP_END };

struct sup_plugin {
	struct sup_plugin *next;
	struct weir__supervisor *sup;
	struct weir__settings *settings;      /* in force; see sup_apply.c for all three */
	struct weir__settings *running;       /* the host was started with these, if not those */
	struct weir__settings *next_settings; /* from when its host has ended */
	char next_refused[512];
	const struct weir_plugin_desc *desc;  /* NULL: refused */
	const char *name;
	enum weir__state state;
	bool enabled, restart, transient, gone;
	bool removed;              /* from the configuration; gone when it has stopped */
	char reason[512];
	struct weir__host *host;
	struct weir__metrics_set *metrics;
	uint64_t since_ns, starts, restarts, source_changes;
	int source, last_source;
	char source_reasons[8][WEIR__ERROR_TEXT];
	int start_rc;
	struct weir__breaker breaker;
	bool failing;              /* it failed while running: after its stop it has `failed` */
	enum weir__cause cause;    /* of that */
	unsigned crashes;          /* daemons in a row that ended in its code */
	uint64_t delivered, refused; /* an output's, at the last look */
	unsigned refusing;         /* looks in a row at which it had refused everything */
	unsigned silent;           /* looks in a row at which its process owed the same answer */
	uint64_t silent_since;     /* when that was asked for */
	unsigned lost;             /* hosts given up whose threads have not come back */
	struct sup_upgrade *upgrade; /* under way; nothing else is done to it meanwhile */
	unsigned switching;        /* requests under way that change its source */
	bool upgrade_swapped;      /* host is the new build's already */
	char *upgrade_error;       /* why one was not even begun, for those who wait */
	uint64_t upgrades, upgrades_refused;

	uv_timer_t timer;          /* retry, or the drain's poll */
	uint64_t for_until_ns;     /* --for: the daemon's live part ends it */
	enum stop_phase phase;
	unsigned pending;          /* detach calls under way */
	unsigned asked, queries;   /* snapshots and queries the host has not answered */
	uint64_t drain_until_ns;
	uint32_t wanted;           /* fallback: topics, by its own list */
	uint32_t start_wanted;     /* of `wanted`, when it began to start; the host reads it */
	uint64_t wanted_since_ns[WEIR__MAX_TOPICS]; /* when that began or ceased; 0: always so */
	unsigned announcing;       /* stand-ins that have not answered that it is about to start */
	bool start_asked;          /* of its host */
	uint64_t served_from_ns, served_until_ns; /* collector: when it began to count, and ceased */

	struct weir__snapshot snap;
	bool snapped;
	struct sup_sample samples[2]; /* older, newer */
	double events_per_s, cpu_percent, bpf_percent;
	double latency_p50_s, latency_p99_s; /* outputs; NAN: nothing delivered of late */
	uint64_t queries_ok, queries_failed;
	uint64_t cpu_before_ns;    /* of hosts that are gone */

	struct sup_budget budget;

	struct waiter *waiters;
};

struct waiter {
	struct waiter *next;
	weir__sup_done done;
	void *arg;
};

struct weir__supervisor {
	uv_loop_t *loop;
	struct weir__config *config;
	struct sup_plugin *plugins, **plugins_tail;
	struct sup_route *routes, **routes_tail;
	uint32_t last_route;
	struct one_detach *detaching;
	struct lost_host *lost;
	uint64_t lost_before_ns;   /* of those that have come back */
	bool started, stopping;
	bool forgot_unbalanced;    /* a route that is gone did not balance */
	unsigned held;             /* see weir__sup_hold */
	uv_timer_t sample_timer, stop_timer, watch_timer;
	struct sup_budget_total budget;
	void (*stopped)(void *, bool);
	void *stopped_arg;
	bool outputs_stopping;
	void (*fresh)(void *);
	void *fresh_arg;
	struct weir__host_events events;
	/* asks from hosts, posted to the main loop */
	uv_async_t ask_async;
	pthread_mutex_t ask_lock;
	struct posted *posted, **posted_tail;
	unsigned handles;
};

struct sup_plugin *weir__sup_find(struct weir__supervisor *s, const char *name);
struct sup_plugin *weir__sup_of_host(struct weir__supervisor *s, const struct weir__host *h);
bool weir__sup_is_fallback(const struct sup_plugin *p);
bool weir__sup_provides(const struct sup_plugin *p, const char *topic);

/* sup_plugin.c */
void weir__sup_reconcile(struct weir__supervisor *s);

/* sup_change.c */
/* Answer those who wait for it, if it is on its way nowhere. */
void weir__sup_settle(struct sup_plugin *p);
/* The stop of the whole is done when collectors have gone, then all others. */
void weir__sup_check_stopped(struct weir__supervisor *s);

/* sup_apply.c */
/* Take over next_settings, if there are any and no host is there. */
void weir__sup_adopt(struct sup_plugin *p);
void weir__sup_host_gone(struct sup_plugin *p);
void weir__sup_free_settings(struct sup_plugin *p);

/* sup_breaker.c */
/* A plugin has failed, p->reason (may be "") says how. If it still runs it is stopped
 * first. Its breaker says when it is tried again. The caller reconciles, except when
 * the plugin runs. */
void weir__sup_failure(struct sup_plugin *p, enum weir__cause cause, int rc);
/* It has started: once it has held for its probation, that is a success. */
void weir__sup_started(struct sup_plugin *p);
void weir__sup_success(struct sup_plugin *p);
/* Is it down for less than a second or so, or about to come back at once? */
bool weir__sup_back_soon(const struct sup_plugin *p);
/* The process before this one ended in its code: it begins with an open breaker. */
void weir__sup_recall_crashes(struct weir__supervisor *s);
bool weir__sup_crashed_before(struct sup_plugin *p);
void weir__sup_breaker_setup(struct sup_plugin *p);
/* Its settings have changed: the new limits count from now on. */
void weir__sup_breaker_configure(struct sup_plugin *p);
/* A person wants it to run: whatever was, it is tried at once. */
void weir__sup_forgive(struct sup_plugin *p);
/* Look for callbacks that do not come back and outputs that refuse everything. Once a
 * second, by a timer of its own. */
void weir__sup_watch(struct weir__supervisor *s);
void weir__sup_watch_setup(struct weir__supervisor *s);

/* sup_routes.c */
/* This output has failed: its routes stay with their collectors and count. */
void weir__sup_shut_routes(struct sup_plugin *p);
void weir__sup_open_routes(struct sup_plugin *p);
/* Tell every collector to stop sending to this output; `then` when all have. */
void weir__sup_detach_output(struct sup_plugin *p, void (*then)(struct sup_plugin *));
/* The output of this route is no more: its collector is to send nothing more. */
void weir__sup_stop_sending(struct sup_route *r);
/* A collector has let go of a route: its ledger since attach is closed. */
void weir__sup_detached(struct sup_plugin *p, const struct weir__detached *d);
uint64_t weir__sup_queued(struct sup_plugin *p);
void weir__sup_halt_routes(struct sup_plugin *p);
void weir__sup_close_routes(struct sup_plugin *p);
/* Those of a client that is gone; false: a collector still uses one. */
bool weir__sup_forget_routes(struct sup_plugin *p);
/* The whole account of a route now: source side and route side. */
void weir__sup_route_ledger(struct sup_route *r, struct weir__ledger *ret);

/* Those who wait for this collector to let go of a route wait no longer. */
void weir__sup_forget_detaches(struct sup_plugin *p);
/* An output has gone: it does not wait any more. */
void weir__sup_cancel_detaches(struct sup_plugin *p);

/* sup_far.c: routes with an end in a process. Open one; end one, and its account. `sent`:
 * what its collector, which is dead, has handed to it; else NULL. */
void weir__sup_far_open(struct sup_route *r);
void weir__sup_far_over(struct sup_route *r, const uint64_t *sent);
/* The output's process is no more: what its ends have counted is final. Before its host
 * is freed. */
void weir__sup_far_fold(struct sup_route *r);
/* The collector's end, and the output's, if the collector is in a process. */
void weir__sup_far_stats(struct sup_route *r, struct weir__route_stats *tx, struct weir__route_stats *rx);
/* Ends of outputs that are over and have acknowledged everything are booked as that. */
void weir__sup_far_settle(struct weir__supervisor *s);
/* What the output's end has counted. Taken before a snapshot is asked for: what has come
 * by then is surely offered in it. */
void weir__sup_far_output(struct sup_route *r, struct weir__route_stats *ret);

/* sup_bury.c: the process of p's host has died. */
void weir__sup_died(void *arg, struct weir__host *h, const char *why);
/* sup_plugin.c: it failed by itself; p->reason says how, its host is gone. */
void weir__sup_crashed(struct sup_plugin *p);
/* sup_bury.c: give up a host whose thread does not come back. The caller moves the
 * state; while p->lost no other host may be started for it. */
void weir__sup_abandon(struct sup_plugin *p);

/* sup_budget.c, sup_suspend.c: between themselves; the rest is in sup_budget.h */
void weir__sup_budget_send(struct sup_plugin *p); /* its tune, to the host */
void weir__sup_budget_probe(struct sup_plugin *p); /* it has started: look soon */
void weir__sup_budget_try(struct sup_plugin *p, uint32_t below); /* programs are back: look soon */
void weir__sup_budget_settled(struct sup_plugin *p, uint64_t now_ns); /* after a tick */

/* CPU time of all threads that were given up, since then. They spin, perhaps, but nobody
 * else is to be blamed for it. */
uint64_t weir__sup_lost_cpu_ns(const struct weir__supervisor *s);

/* sup_upgrade.c: give it up at the next step, if it is not too late. */
void weir__sup_upgrade_cancel(struct sup_plugin *p);
/* The process of a new build has ended; false: it is none. */
bool weir__sup_upgrade_died(struct weir__supervisor *s, const struct weir__host *h, const char *why);
/* What it needs of the others. */
void weir__sup_answer_waiters(struct sup_plugin *p, int err, const char *message);
void weir__sup_release_start_memory(struct weir__supervisor *s); /* unless one loads still */
/* sup_switch.c: the sources of its settings, from now on. */
void weir__sup_switch(struct sup_plugin *p);
void weir__sup_copy_reasons(struct sup_plugin *p);
struct weir__settings *weir__sup_exchange(struct sup_plugin *p, struct weir__settings *settings);
/* An output's routes hold back, or go on; those of collectors in processes cannot. */
void weir__sup_pause_routes(struct sup_plugin *p, bool on);
/* A collector's host is another one: its open routes are its, the others are opened. */
void weir__sup_attach_routes(struct sup_plugin *p);
/* Its collector is to send nothing more to this route; what is under way goes on. */
void weir__sup_let_go(struct sup_route *r);
/* An idle route's output is in another process from now on. */
void weir__sup_far_redial(struct sup_route *r, struct weir__host *to);

/* sup_query.c */
void weir__sup_ask_setup(struct weir__supervisor *s);
void weir__sup_ask_close(struct weir__supervisor *s);

/* sup_summary.c: text for the live view */
char *weir__sup_summary(struct weir__supervisor *s);
void weir__sup_sample(struct weir__supervisor *s);
void weir__sup_rates(struct sup_plugin *p);

/* sup_standin.c: fallback. */
void weir__sup_update_wanted(struct sup_plugin *p);      /* which topics it should serve now; tells it */
void weir__sup_set_wanted(struct sup_plugin *p, uint32_t mask);
struct weir__wanted weir__sup_wanted_by(const struct sup_plugin *p, uint32_t mask);
/* To stand-ins for it: it is about to start. Where p->announcing is not 0 then, ask_start follows. */
void weir__sup_announce(struct sup_plugin *p);
void weir__sup_ask_start(struct sup_plugin *p);          /* sup_plugin.c */

#endif
