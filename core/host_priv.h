/* SPDX-License-Identifier: Apache-2.0 */
/* The host from inside: shared by the host_*.c files only. */
#ifndef WEIR_CORE_HOST_PRIV_H
#define WEIR_CORE_HOST_PRIV_H

#include "budget.h"
#include "fatal.h"
#include "host.h"
#include "meter.h"

#include <stdatomic.h>

#define HOST_MAGIC 0x54534857u /* "WHST" */

struct call {
	struct call *next;
	void (*fn)(struct weir__host *, void *);
	void (*done)(struct weir__host *, void *);
	void *arg;
};

struct weir__request;
struct weir__switch;

struct route_slot {
	struct weir__route *route;
	struct weir__route_account *account; /* topics, and the source side at attach */
};

struct ask_ticket {
	struct ask_ticket *next;
	uint64_t id;
	void (*cb)(struct weir_plugin *, int, const char *, size_t, void *);
	void *arg;
	bool answered;
	int err;
	char *text;
	size_t len;
};

enum drain_mode { DRAIN_OFF, DRAIN_IDLE, DRAIN_POLLING };

struct drain {
	enum drain_mode mode;
	size_t ring_count;
	int wake_fd;                   /* epoll over all rings, edge-triggered */
	uv_poll_t wake;
	int timer_fd;
	uv_poll_t timer;
	uint64_t interval_ns;
	uint64_t last_ns;
	uint64_t last_wake_ns;
	double rate;                   /* records/s, smoothed */
	uint64_t own;                  /* since update_rate(): taken up or filtered by the plugin */
	bool alone;                    /* nearly all were: no output waits for a drain */
	uint64_t drains, wake_count;
};

/* Events per second that may pass on, by a bucket of tokens; host_tune.c. */
struct limit {
	double rate, burst;            /* 0: no limit */
	double tokens;
	uint64_t filled_ms;            /* uv_now() */
	/* In the present window, events that they stand for: records of the ring that passed on; that
	 * the plugin took up; and records that it made itself. */
	uint64_t window_ns, events, taken, made;
};

struct weir__host {
	struct weir_plugin plugin;     /* first: a plugin's handle is its host */
	uint32_t magic;
	const struct weir_plugin_desc *desc;
	const struct weir__settings *settings;
	struct weir__metrics_set *metrics;
	struct weir__host_events events;
	char reason[512];
	char fail_text[256];
	char source_reasons[8][WEIR__ERROR_TEXT];

	/* thread and calls */
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t async;
	uv_prepare_t prepare;
	pthread_mutex_t lock;          /* calls, inbox, tickets' answers */
	struct call *calls, **calls_tail;
	bool exiting;
	_Atomic int tid;               /* of the thread, 0 before it runs */
	struct weir__fatal_who who;
	_Atomic bool lost;                   /* the daemon has given it up: nothing more is sent */
	uv_loop_t *main_loop;
	uv_async_t main_async;         /* on the main loop */
	struct call *finished, **finished_tail;

	/* life */
	bool inited, started;
	bool waiting, adopted;         /* it has its BPF object, the old one's if adopted, but does not drain */
	bool beside;                   /* being prepared beside the one it will replace */
	char beside_source[32];
	int source;                    /* index, -1 none */
	int spoke;                     /* the last one: what a plugin emits when it stops is of it */
	struct weir__switch *switching; /* to another source, or NULL */
	struct weir__source_list allowed; /* of the settings, or of a later switch */
	bool approx;                   /* source_approx() of the running one */
	uint64_t counts_ns;            /* when it began to count: before the answer to START */
	uv_timer_t tick;
	bool tick_on;
	_Atomic uint64_t heap_bytes;
	unsigned services;             /* timers and fds open */
	struct weir_timer *timers;
	struct weir_fd *fds;
	_Atomic uint32_t wanted;       /* bit per topic: fallback plugins */
	uint64_t wanted_since_ns[WEIR__MAX_TOPICS]; /* host thread */

	/* collector */
	struct weir__bpf *bpf;
	struct drain drain;
	char topic_names[WEIR__MAX_TOPICS][32];
	const char *topic_static[WEIR__MAX_TOPICS]; /* the plugin's own string */
	size_t topic_count;
	uint8_t kind_topic[WEIR_MAX_KINDS];
	struct weir__account *account, *own_account;
	struct weir__remote *remote;   /* it runs in a process: this is only its handle */
	struct weir__meter *far_meter;   /* its own kernel account's, until it is asked for */
	const struct weir_cpu *far_cpus; /* then: the kernel's account, if it has one */
	uint32_t far_cpu_count;
	int (*metrics_walk)(struct weir__host *h, weir_sample_cb cb, void *arg); /* NULL: here */
	struct weir__batch *open[WEIR__MAX_TOPICS];
	uint64_t seq[WEIR__MAX_TOPICS];
	uint32_t latency;              /* class, WEIR__LATENCY_... */
	bool dirty;                    /* some open batch has records */
	struct limit limit;
	struct weir__tune tune;
	struct route_slot routes[WEIR__MAX_ROUTES];
	size_t route_count;
	uint32_t topics_routed;        /* bit per topic with a route */
	uint64_t batches;
	int64_t unexplained;
	uint32_t schema_hash;

	/* output */
	struct weir__frame *inbox, **inbox_tail; /* under lock */
	uint64_t delivered_batches;
	bool delivering;

	struct ask_ticket *tickets;
	uint64_t next_ticket;

	uint64_t callbacks[WEIR__CALLBACK_BUCKETS + 1];
	uint64_t callback_ns, overruns, ticks, failures;
	uint64_t deliveries[WEIR__DELIVERY_BUCKETS + 1];
	uint64_t delivery_ns;
};

static inline struct weir__host *host_of(struct weir_plugin *p)
{
	struct weir__host *h = (struct weir__host *)p;

	if (h->magic != HOST_MAGIC)
		__builtin_trap();
	return h;
}

/* Bracket a plugin's callback: time it, and let others see that it is under way and
 * since when. Relaxed stores: who looks, looks a second later. Brackets do not nest. */
static inline uint64_t host_enter(struct weir__host *h, enum weir__callback callback)
{
	struct weir__doing *d = &h->account->doing;
	uint64_t now = uv_hrtime();

	atomic_store_explicit(&d->callback, callback, memory_order_relaxed);
	atomic_store_explicit(&d->busy_ns, now, memory_order_relaxed);
	return now;
}
void weir__host_left(struct weir__host *h, uint64_t entered);
/* One more in a histogram; n bounds in seconds, n + 1 counts. */
void weir__host_count(uint64_t *counts, const double *bounds, size_t n, uint64_t ns);
void weir__host_wake(struct weir__host *h);
void weir__host_free_handle(struct weir__host *h);
__attribute__((format(printf, 2, 3))) void weir__host_set_reason(struct weir__host *h, const char *fmt, ...);

/* host_api.c */
extern const struct weir_host weir__host_vtable;
void weir__host_close_services(struct weir__host *h);
void weir__host_run_answers(struct weir__host *h);

/* host_deliver.c */
void weir__host_deliver(struct weir__host *h, bool all);
void weir__host_lose_inbox(struct weir__host *h);

/* host_emit.c */
bool weir__host_is_lost(struct weir__host *h);
void weir__emit_setup(struct weir__host *h);
int weir__emit(struct weir__host *h, uint16_t kind, const void *payload, uint32_t len,
               uint64_t time_ns, uint32_t weight);
int weir__emit_record(struct weir__host *h, const struct weir_record *r, size_t len);
void weir__emit_flush(struct weir__host *h);
bool weir__emit_may_block(struct weir__host *h); /* some route's policy is block */
bool weir__emit_blocked(struct weir__host *h);
/* Source-side account of a set of topics, all periods; fates only, seen = their sum. */
void weir__emit_account(struct weir__host *h, uint32_t topics, struct weir__ledger *ret);
/* What the kernel has seen of these topics, all objects so far. */
uint64_t weir__emit_seen(struct weir__host *h, uint32_t topics);
void weir__emit_close_kernel(struct weir__host *h);
void weir__emit_add_counts(struct weir_kind_counts *to, const struct weir_kind_counts *c);
void weir__emit_sub_counts(struct weir_kind_counts *from, const struct weir_kind_counts *c);
/* The account's beginning has been set: routes that are attached begin there. */
void weir__emit_rebase(struct weir__host *h);
/* Every route; returns how many. */
size_t weir__host_detach_all(struct weir__host *h, struct weir__detached *items);
/* Runs the kernel skipped, booked on the lowest kind of their program. */
void weir__emit_update_missed(struct weir__host *h);

/* host_drain.c */
int weir__drain_start(struct weir__host *h);
void weir__drain_stop(struct weir__host *h);
void weir__drain_all(struct weir__host *h);
void weir__drain_now(struct weir__host *h); /* one bounded pass */

/* host_tune.c */
void weir__limit_setup(struct weir__host *h);
void weir__limit_set(struct weir__host *h, uint64_t events, uint64_t burst);
/* May one more record pass on? */
bool weir__limit_empty(struct weir__host *h);
/* After a drain: sample at once if more comes than may pass. */
void weir__limit_drained(struct weir__host *h, uint64_t now_ns);
static inline bool limit_take(struct weir__host *h)
{
	if (!h->limit.rate)
		return true;
	if (h->limit.tokens < 1 && weir__limit_empty(h))
		return false;
	h->limit.tokens--;
	return true;
}

/* host_source.c */
int weir__source_start(struct weir__host *h);
const struct weir_source *weir__source_row(struct weir__host *h, int i);
/* The source at a place of the list: its index, or -1. */
int weir__source_at(struct weir__host *h, size_t place);
/* Source i becomes h->source: probed, prepared, with an object (h->bpf) if it has one, which is
 * to be loaded next. On failure h->bpf is the caller's to free, here and below. */
int weir__source_open(struct weir__host *h, int i);
/* rc: of loading. Set and start it. */
int weir__source_loaded(struct weir__host *h, int rc);
/* Its programs on, its rings and ticks too. */
int weir__source_run(struct weir__host *h);
/* host_switch.c: another list; the first that works of it takes over. True: it is not decided
 * yet, and rq is answered later; else rq->rc says. */
bool weir__switch_begin(struct weir__host *h, struct weir__request *rq);
/* One that is under way ends with -ECANCELED, and the source stays. */
void weir__switch_abort(struct weir__host *h);
/* In steps, for one that takes over: up to prepare(); start(); its tick; stop(). */
int weir__source_prepare(struct weir__host *h, const char *name);
int weir__source_begin(struct weir__host *h);
void weir__source_tick(struct weir__host *h, bool on);
void weir__source_tick_now(struct weir__host *h); /* the next one at once */
void weir__source_end(struct weir__host *h);
void weir__source_forget(struct weir__host *h, const struct weir_source *s);
void weir__source_widen(struct weir__host *h, bool wide); /* ticks at half the rate */
void weir__source_stop(struct weir__host *h);

#endif
