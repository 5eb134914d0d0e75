/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running daemon with the network plugin, and its records summed by flow.
 *
 * The records come as a user gets them: JSON lines of the stdout plugin in a file. Sums are of
 * the deltas; the totals of the last record must be the same (flow_check()). Lines that do
 * not parse end the test. Thread: one.
 */
#ifndef WEIR_TESTS_FLOWS_H
#define WEIR_TESTS_FLOWS_H

#include "fixture.h"
#include "truth.h"

enum flow_scope { FLOW_HOST, FLOW_WIRE };

struct flow {
	struct flow *next;                /* with the same hash */
	uint8_t addr[2][16];              /* lower end first; IPv4 as v4-mapped */
	uint16_t port[2];
	uint8_t scope, transport;
	uint64_t netns;                   /* cookie */
	uint32_t netns_inode;             /* 0: the record does not say */
	struct counts from[2];            /* sent by end 0, end 1: sum of the deltas */
	struct counts total[2];           /* as in the last record */
	uint32_t records, starts, ends;
	/* of the last record */
	uint8_t source_end;               /* which end it calls the source */
	char end_reason[20], direction[10], owner_from[10], state[14], comm[17];
	char interface_name[17], source_name[15];
	uint32_t pid, error, resets, retransmits, drops;
	char drop_reason[32];
	bool sampled, approx;
};

struct flows {
	char path[320];
	long offset;
	size_t count;
	struct flow **bucket, *pool;
	size_t pool_size, pool_used;
	uint64_t records;
};

/* path: where the daemon writes. most: flows there can be. */
void flows_init(struct flows *f, const char *path, size_t most);
void flows_fini(struct flows *f);
/* Take in what was written since. Returns how many records that were. */
size_t flows_read(struct flows *f);
/* a and b in any order. netns: cookie; 0: whichever has one. NULL: no such flow. */
struct flow *flows_find(const struct flows *f, enum flow_scope scope, uint64_t netns, int transport,
                        const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/* The end of the flow that is this address. */
unsigned flow_end(const struct flow *f, const struct sockaddr_storage *a);
/* The totals of the last record are the sums of the deltas; not sampled, not approximate. */
void flow_check(const struct flow *f);
void flow_print(const struct flow *f, const char *what);

/* ---- the daemon ------------------------------------------------------------------------ */

struct watch {
	struct daemon d;
	struct flows flows;
};

/* ns: where it runs; NULL: here. options: lines for plugins.network, indented by four. Polls every
 * 200 ms, ends flows soon, has room for all. most: as for flows_init(). */
void watch_start(struct watch *w, const struct ns *ns, const char *options, size_t most);
/* The same with the whole of `plugins:` but stdout, and with flow timeouts left alone. */
void watch_start_plain(struct watch *w, const struct ns *ns, const char *plugins, size_t most);
/* Until cond(arg) holds, reading records; false after so many seconds. */
bool watch_until(struct watch *w, bool (*cond)(struct watch *, void *), void *arg, unsigned seconds);
/* Ask the status: every ledger balances, and nothing was dropped. */
void watch_nothing_lost(struct watch *w);
/* Stop it in order, read what is left; the log must say that every record is accounted for. */
void watch_stop(struct watch *w);
/* Whatever state it is in. */
void watch_clean(struct watch *w);

/* 1: the long version was asked for (WEIR_NETWORK_FULL=1). */
bool full_size(void);
/* Skips the program unless this build and machine have what it takes. */
void need_network(void);

#endif
