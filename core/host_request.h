/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor may ask of a host, wherever that runs. A request belongs to
 * who asks until its `done`; a thread answers it on its own loop, a process over
 * its control channel. The answer comes on the main loop, always, once.
 */
#ifndef WEIR_CORE_HOST_REQUEST_H
#define WEIR_CORE_HOST_REQUEST_H

#include "budget.h"
#include "host.h"

/* id, what the host does */
#define WEIR__HOST_REQUESTS(X)                                                     \
	X(START,    "init, start, and for a collector the first source that works") \
	X(STOP,     "end the source, drain, detach every route")                   \
	X(FINI,     "free all that is the plugin's")                               \
	X(ATTACH,   "a collector sends to this route from now on")                 \
	X(DETACH,   "a collector sends nothing more to this route")                \
	X(RECEIVE,  "an output takes from this route: for processes")              \
	X(CLOSE,    "this end of a route is over: for processes")                  \
	X(SNAPSHOT, "say what is to be said of it")                                \
	X(WANTED,   "a stand-in serves these topics")                              \
	X(LATENCY,  "drain as this latency class, under this limit of events")     \
	X(LIMIT,    "a collector's route has another limit and policy")            \
	X(SWITCH,   "use the first that works of other sources")                   \
	X(TUNE,     "sample, widen, leave out, detach: as the budget wants it")     \
	X(QUERY,    "answer a declared query")                                     \
	X(PREPARE,  "start beside the host it will replace")                       \
	X(EXPORT,   "say what its successor may take over in the kernel")          \
	X(ADOPT,    "take that over, or load its own; be ready")                   \
	X(YIELD,    "end for its successor, hand over its counts")                 \
	X(TAKE,     "go on where the one before has ended")

enum weir__request_type {
#define X(id, doc) WEIR__HOST_##id,
	WEIR__HOST_REQUESTS(X)
#undef X
	WEIR__HOST_REQUEST_COUNT
};

struct weir__request {
	enum weir__request_type type;
	void (*done)(struct weir__host *h, struct weir__request *rq);
	void *arg;                       /* the asker's */
	bool later;                      /* it is answered when it is decided, not when it has run */
	int rc;                          /* out: 0 or -errno; -EPIPE: the host has died */
	union {
		struct {
			struct weir__wanted wanted;
			struct weir__tune tune;
			char beside[32];            /* PREPARE: the source of the one before */
		} start;                            /* and PREPARE */
		struct weir__wanted wanted;
		struct {
			uint32_t class;          /* WEIR__LATENCY_... */
			uint64_t events, burst;  /* budget.events, budget.burst */
		} latency;
		struct {
			uint32_t id;
			int32_t policy;
			uint64_t limit;
		} limit;
		struct weir__source_list sources; /* SWITCH */
		struct weir__tune tune;
		struct {
			size_t count;
			struct weir__detached items[WEIR__MAX_ROUTES];
		} stop;
		struct {
			struct weir__route *route; /* NULL: it begins in a process, at `url` */
			uint32_t topics;
			char url[128];
			struct weir__route_config config;
		} attach;
		struct {
			uint32_t id;
			struct weir__detached item;
		} detach;
		struct {
			const struct weir_plugin_desc *from; /* whose events they will be */
			char url[128];
			struct weir__route_config config;
		} receive;
		struct {
			uint32_t id;
			struct weir__route_stats stats; /* out */
		} close;
		struct {
			bool collect;               /* let the plugin bring its metrics up to date */
			struct weir__snapshot *snap; /* the asker's, filled in */
		} snapshot;
		struct { struct weir__bpf_handles *handles; } export; /* the asker's, filled in */
		struct {
			struct weir__bpf_handles *handles;
			bool adopted;               /* out: else it has loaded its own, switched off */
		} adopt;
		struct {
			bool adopted;
			struct weir__yielded *yielded; /* the asker's, filled in */
		} yield;
		struct { const struct weir__yielded *yielded; } take;
		struct {
			const struct weir_query *row;
			const void *args;           /* parsed; valid until done */
			const char *const *words;   /* the same as given */
			size_t count;
			struct weir__answer answer; /* out */
		} query;
	};
};

/* 0: done will come. -ENOMEM: nothing was asked, and it will not. Main thread. */
int weir__host_request(struct weir__host *h, struct weir__request *rq);
/* Do it, here and now: on the loop of the thread that runs the plugin. */
void weir__host_execute(struct weir__host *h, struct weir__request *rq);
const char *weir__request_name(enum weir__request_type type);

#endif
