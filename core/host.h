/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host: what runs exactly one plugin, one libuv loop on one thread of the
 * daemon. The main thread never touches a plugin; it sends calls, which run on the
 * host's loop, and gets their end back on its own.
 *
 *   main                             host thread
 *   weir__host_call(fn, done) -----> fn(host, arg)
 *   done(host, arg) <---------------
 *
 * Files: host.c (thread, calls, life), host_api.c (the vtable a plugin sees),
 * host_emit.c (batches and routes), host_drain.c (rings), host_source.c (sources),
 * host_deliver.c (an output's inbox), host_tune.c (limits), host_snapshot.c, host_request.c
 * (what the supervisor asks), host_upgrade.c. In a process: host_remote.c and
 * host_remote_wire.c are the daemon's side, host_child*.c the other, host_wire.c is what
 * they say and host_link.c how; host_describe.c asks one for a descriptor.
 */
#ifndef WEIR_CORE_HOST_H
#define WEIR_CORE_HOST_H

#include "bpf.h"
#include "config.h"
#include "host_account.h"
#include "ledger.h"
#include "metrics.h"
#include "route.h"
#include "self_metrics.h"
#include <pthread.h>
#include <uv.h>
#include <weir/plugin.h>

struct weir__host;

/* Everything a host may want from the daemon; called on the host's thread, so the
 * daemon's side posts to its own loop. */
struct weir__host_events {
	void *arg;
	/* A plugin failed while running (tick, loop service). */
	void (*failed)(void *arg, struct weir__host *h, int err);
	/* Its process has ended, for whatever reason; on the main thread. `why` is a
	 * sentence. The host is still to be freed. */
	void (*died)(void *arg, struct weir__host *h, const char *why);
	/* weir_host.ask(); must answer by weir__host_answer(), any thread. */
	void (*ask)(void *arg, struct weir__host *h, const char *query, uint64_t ticket);
	/* Count there, in a process whose daemon looks at it; it outlives the host. NULL: in
	 * memory of the host's own. From before the thread begins: it looks at it first. */
	struct weir__account *account;
};

/* One route as it was let go. */
struct weir__detached {
	uint32_t id;
	uint64_t sent;                   /* records it was handed since attach */
	struct weir__ledger ledger;      /* the source side since attach */
};

/* What a collector's host says of itself; taken on its thread. */
struct weir__snapshot {
	uint64_t taken_ns;
	/* per topic: what the source side has seen and what ended there */
	struct weir__ledger topics[WEIR__MAX_TOPICS];
	uint64_t in_ring[WEIR__MAX_TOPICS]; /* counted as queued */
	size_t topic_count;
	uint64_t records;          /* drained + emitted, all topics */
	int64_t unexplained;       /* kernel's seen that nobody accounts for */

	struct weir__bpf_program programs[WEIR_MAX_PROGRAMS];
	size_t program_count;
	struct weir__bpf_map_info maps[40];
	size_t map_count;
	uint64_t map_bytes;
	uint64_t ring_bytes, ring_avail;
	double drain_interval_s;   /* 0: waiting for a wake */
	double tick_interval_s;    /* of the source; 0: it has none */
	uint64_t drains, wakes;

	uint64_t heap_bytes;
	uint64_t callbacks[WEIR__CALLBACK_BUCKETS + 1];
	uint64_t callback_ns, overruns, ticks, failures;
	uint64_t deliveries[WEIR__DELIVERY_BUCKETS + 1];
	uint64_t delivery_ns;
	uint64_t batches;
	uint64_t delivered_batches;
	char source[32];
	char quality[16];
	/* per route of a collector: the source side since the route was attached */
	struct {
		uint32_t id;
		struct weir__ledger source;
		struct weir__route_stats stats; /* of the same moment */
	} routes[WEIR__MAX_ROUTES];
	size_t route_count;
};

/* ---- life; main thread ------------------------------------------------------- */

/* desc and settings must outlive the host. Starts the thread, or the process if the
 * settings name a library for one; no code of the plugin is run yet. */
int weir__host_new(uv_loop_t *main_loop, const struct weir_plugin_desc *desc,
                   const struct weir__settings *settings, struct weir__metrics_set *metrics,
                   const struct weir__host_events *events, struct weir__host **ret);
/* Its budget has changed: so do the walls around its process, if it has one. Main thread. */
void weir__host_limit(struct weir__host *h, const struct weir__common_config *c);
/* 0: it runs on a thread. */
pid_t weir__host_pid(const struct weir__host *h);
/* What a process counts at its end of a route; all 0: none such. */
void weir__host_end_stats(struct weir__host *h, uint32_t route, struct weir__route_stats *ret);
/* Run fn on the host's loop, then done (may be NULL) on the main loop. */
int weir__host_call(struct weir__host *h, void (*fn)(struct weir__host *, void *),
                    void (*done)(struct weir__host *, void *), void *arg);
/* Run done on the main loop. Any thread. */
int weir__host_post(struct weir__host *h, void (*done)(struct weir__host *, void *), void *arg);
/* Ends the thread (its plugin must be finished), waits for it, and frees once the
 * main loop has let go of the handle. */
void weir__host_free(struct weir__host *h);
/* CPU time of the thread, ns. Any thread. */
uint64_t weir__host_cpu_ns(struct weir__host *h);

/* ---- inside a call: host thread ------------------------------------------------ */

/* init, start, and for a collector the first source that works. 0 or -errno with
 * weir__host_reason(). */
int weir__host_start(struct weir__host *h);
/* stop, detach, drain to the end, flush. Idempotent. */
void weir__host_stop(struct weir__host *h);
/* fini and everything of the plugin's. After stop. */
void weir__host_fini(struct weir__host *h);

/* -ENOSPC: it has WEIR__MAX_ROUTES already. */
int weir__host_attach(struct weir__host *h, struct weir__route *r, uint32_t topics);
/* The attached route with this id, or NULL. */
struct weir__route *weir__host_route(struct weir__host *h, uint32_t id);
/* The source side of the route's ledger since attach goes to *ret. */
void weir__host_detach(struct weir__host *h, struct weir__route *r, struct weir__ledger *ret);
/* ---- a host that does not end itself; main thread ------------------------------- */

/* Given up: its programs return at once, and it sends nothing more. */
void weir__host_lose(struct weir__host *h);
/* End its process; `died` comes, with this reason. */
void weir__host_kill(struct weir__host *h, const char *why);
/* Its thread runs only when nobody else wants the CPU. */
void weir__host_demote(struct weir__host *h);
/* As weir__host_detach, from outside, of a host that is lost or dead: what was seen
 * and has no other fate is `crashed`. -ENOENT: it was never attached. */
int weir__host_bury(struct weir__host *h, uint32_t route, struct weir__detached *ret);

void weir__host_snapshot(struct weir__host *h, struct weir__snapshot *ret);
void weir__host_collect(struct weir__host *h);
/* Frames left undelivered at an output that stops are acknowledged as rejected. */
/* WEIR__LATENCY_..., from the next drain on. */
void weir__host_set_latency(struct weir__host *h, uint32_t latency);
/* Which topics a stand-in has to serve, and since when that is so: see topic_since in the SDK. */
struct weir__wanted {
	uint32_t topics;               /* bit per topic of its own list */
	uint64_t since_ns[WEIR__MAX_TOPICS]; /* of each; CLOCK_MONOTONIC; 0: always */
};
void weir__host_set_wanted(struct weir__host *h, const struct weir__wanted *wanted);
/* CLOCK_MONOTONIC: nothing that its source counts is older. 0: it has none. Main thread. */
uint64_t weir__host_counts_ns(const struct weir__host *h);

/* Names of sources in the order in which they are tried; none: all, best first. As many as
 * a descriptor has at most. */
struct weir__source_list {
	uint32_t count;
	char names[8][32];
};
/* Can all its sources take turns, so that another list is no new start? */
bool weir__desc_switches(const struct weir_plugin_desc *d);
void weir__source_list_of(const struct weir__common_config *c, struct weir__source_list *ret);

/* What the resource manager wants of it (budget.h). host_tune.c. */
struct weir__tune;
void weir__host_tune(struct weir__host *h, const struct weir__tune *t);

/* A built-in plugin's own word that it is over (tail). Host thread. */
void weir__host_failed(struct weir_plugin *p, int err);

/* What a query answered. */
struct weir__answer {
	int err;
	char *text;       /* weir__free */
	size_t len;
};
void weir__host_query(struct weir__host *h, const struct weir_query *q, const void *args,
                      struct weir__answer *ret);

/* A callback that is under way, as the host has published it. */
struct weir__busy {
	uint64_t since_ns;    /* uv_hrtime() */
	enum weir__callback callback;
};

/* ---- any thread ------------------------------------------------------------------ */

const struct weir_plugin_desc *weir__host_desc(const struct weir__host *h);
/* Give one back that was not needed. Main thread. */
void weir__host_keep_meter(struct weir__host *h, struct weir__meter *m);
/* Is it in a callback of the plugin's? Nobody is woken. */
bool weir__host_busy(struct weir__host *h, struct weir__busy *ret);
/* Of one in a process: uv_hrtime() of the oldest request it has not answered; 0: none.
 * Main thread. */
uint64_t weir__host_unanswered_ns(const struct weir__host *h);
/* A reader for its kernel side, the caller's; NULL if it has none. Main thread, between
 * the end of a start and the begin of a stop. */
struct weir__meter *weir__host_meter(struct weir__host *h);
/* Why it failed, or what source was passed over and why. Valid after a call. */
const char *weir__host_reason(const struct weir__host *h);
/* Each source tried: "ok", or why not. Index as in the descriptor. */
const char *weir__host_source_reason(const struct weir__host *h, size_t source);
int weir__host_source(const struct weir__host *h); /* index in use, or -1 */
/* weir__route_receive of an output host. */
void weir__host_receive(void *host, struct weir__frame *f);
/* Records delivered to but not yet acknowledged by this output. */
void weir__host_answer(struct weir__host *h, uint64_t ticket, int err, const char *text, size_t len);

#endif
