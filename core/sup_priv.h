/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor from inside: shared by the sup_*.c files only. */
#ifndef WEIR_CORE_SUP_PRIV_H
#define WEIR_CORE_SUP_PRIV_H

#include "host_request.h"
#include "sup_budget.h"
#include "supervisor.h"

struct sup_plugin;

/* One collector to one output. Lives as long as both are known; closed and opened
 * as they stop and start, its counters go on. */
struct sup_route {
	struct sup_route *next;
	uint32_t id;                /* not 0 */
	struct sup_plugin *from, *to;
	struct weir__route *route;
	uint32_t topics;
	bool open, attached;
	/* Of a collector in a process, which has an end of its own: what its ends that are
	 * over have counted, and the output's end when this one's began, and when the
	 * collector was last asked. An end that is not here either adds up in rx_closed. */
	bool far_from, far_to, opening;
	struct weir__route_stats tx_closed, rx_closed, rx_began, rx_before, rx_then;
	struct weir__ledger closed; /* source side of the periods that are over */
	struct weir__ledger live;   /* source side since attach, last snapshot */
	struct weir__route_stats live_stats; /* of the same moment; while attached */
	bool live_valid;
};

/* What a rate is taken from. */
struct sup_sample {
	uint64_t at_ns, records, cpu_ns, bpf_ns;
};

enum stop_phase { STOP_NONE, STOP_DETACH, STOP_DRAIN, STOP_END };

struct sup_plugin {
	struct sup_plugin *next;
	struct weir__supervisor *sup;
	struct weir__settings *settings;
	const struct weir_plugin_desc *desc;  /* NULL: refused */
	const char *name;
	enum weir__state state;
	bool enabled, restart, transient, gone;
	char reason[512];
	struct weir__host *host;
	struct weir__metrics_set *metrics;
	uint64_t since_ns, starts, restarts, failures, source_changes;
	int source, last_source;
	char source_reasons[8][WEIR__ERROR_TEXT];
	int start_rc;
	unsigned lost;             /* hosts given up whose threads have not come back */

	uv_timer_t timer;          /* retry, or the drain's poll */
	unsigned handles;          /* closing */
	uv_timer_t for_timer;      /* --for */
	uint64_t for_until_ns;
	enum stop_phase phase;
	unsigned pending;          /* detach calls under way */
	unsigned asked, queries;   /* snapshots and queries the host has not answered */
	uint64_t drain_until_ns;
	uint32_t wanted;           /* fallback: topics, by its own list */
	uint32_t start_wanted;     /* of `wanted`, when it began to start; the host reads it */

	struct weir__snapshot snap;
	bool snapped;
	struct sup_sample samples[2]; /* older, newer */
	double events_per_s, cpu_percent, bpf_percent;
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
	bool started, stopping;
	uv_timer_t sample_timer, stop_timer;
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

/* sup_routes.c */
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
/* The output's process is about to be forgotten: keep what its end has counted. */
void weir__sup_far_fold(struct sup_route *r);
/* The collector's end, and the output's, if the collector is in a process. */
void weir__sup_far_stats(struct sup_route *r, struct weir__route_stats *tx, struct weir__route_stats *rx);
/* Before snapshots are asked for: what has come by now is surely offered by then. */
void weir__sup_far_remember(struct weir__supervisor *s);

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

/* sup_query.c */
void weir__sup_ask_setup(struct weir__supervisor *s);
void weir__sup_ask_close(struct weir__supervisor *s);

/* sup_summary.c: text for the live view */
char *weir__sup_summary(struct weir__supervisor *s);
void weir__sup_sample(struct weir__supervisor *s);
void weir__sup_rates(struct sup_plugin *p);

#endif
