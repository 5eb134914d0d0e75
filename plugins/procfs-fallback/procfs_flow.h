/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows, while no better collector serves them: the engine and its source, inside.
 *
 *   flow.c          the engine; when it is there; what has been said
 *   flow_source.c   diag, packet or proc, each with the same few calls
 */
#ifndef PROCFS_FLOW_H
#define PROCFS_FLOW_H

#include "../lib/flow.h"
#include "procfs.h"

/* Looks that are remembered: 10 s of FLOW_TIMER_NS, more than it takes to be told that another serves. */
#define FLOW_LOOKS 100

enum procfs_flow_from { FLOW_AUTO, FLOW_PACKET, FLOW_DIAG, FLOW_PROC };

struct diag;
struct procnet;
struct capture;
struct procfs_flow {
	struct pkt_memory memory;
	struct flow_table *table;
	struct owner_cache *owners;
	struct weir_timer *timer;      /* FLOW_TIMER_NS */
	uint64_t round_ns;             /* when the last round began; 0: none yet */
	uint64_t emitted;              /* in this step */
	bool working;                  /* a round is not over */
	const char *from;              /* "diag", ...: which of them it is */

	struct diag *diag;
	struct procnet *proc;
	struct capture *capture;
	struct weir_fd *watch;
	uint64_t netns;
	uint64_t lost;                 /* packets */
	uint64_t soon_ns;              /* until then another may take over */
	bool ending;                   /* the last look: another counts already, */
	uint64_t served_ns;            /* since then; 0: unknown */
	bool told_gap;                 /* how long nobody counted before it has been said */
	struct flow_look { uint64_t end_ns, packets, bytes; } look[FLOW_LOOKS]; /* each step's, in a ring */
	uint64_t looks;                /* so far; the one that is under way */
};

#define FLOW_TIMER_NS 100000000ull     /* closings, and whether it is still wanted */
#define FLOW_STEP_NS    3000000ull     /* a callback may take 10 ms: a step of the source, */
#define FLOW_ENGINE_NS  3000000ull     /* one of the engine */

/* flow.c: to the engine. -EAGAIN: no room now. */
int procfs_flow_add(void *p, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                    const struct flow_extra *x);
void procfs_flow_owner(void *p, uint64_t cookie, const struct weir_flow_delta *d);
void procfs_flow_listen(void *p, const struct weir_flow_listen *l);

/* flow_source.c. open: 0, or <0 with weir_fail(). */
int procfs_flow_open(struct weir_plugin *p, struct procfs_flow *f);
void procfs_flow_begin(struct weir_plugin *p, struct procfs_flow *f);
bool procfs_flow_reads(const struct procfs_flow *f); /* a round is not over, owners aside */
bool procfs_flow_step(struct weir_plugin *p, struct procfs_flow *f); /* true: there is more */
void procfs_flow_finish(struct weir_plugin *p, struct procfs_flow *f); /* all up to now */
void procfs_flow_close(struct weir_plugin *p, struct procfs_flow *f);

#endif
