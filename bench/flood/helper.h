/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that makes the events: a forked child that calls getppid() at a
 * chosen rate, run by run, and knows exactly how often it has.
 *
 *     open (forks; pid is known) -> run -> (done) -> run ... -> close
 *
 * It shares one page with its parent and nothing else. It ends by itself when the
 * thread that opened it is gone, and when its lifetime is over, come what may.
 * One thread of the parent. Errors are negative errno.
 */
#ifndef WEIR_FLOOD_HELPER_H
#define WEIR_FLOOD_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define FLOOD_NR SYS_getppid

/* One run; it ends at the first bound that is met. */
struct flood_run {
	uint64_t rate;        /* calls per second; 0: as fast as possible */
	uint64_t events;      /* calls; 0: no bound */
	uint64_t duration_ns; /* 0: no bound but the helper's lifetime */
	uint64_t burst;       /* calls made at once when paced; 0 is 1 */
};

struct flood_state {
	bool ready, running;
	uint64_t made;        /* calls since open, exact once no run is on */
	uint64_t run_made;    /* of the last run */
	uint64_t run_ns;      /* how long the last run took (so far) */
	uint64_t cpu_ns;      /* CPU time of the helper in its last run */
};

struct flood_shared;
struct flood_helper {
	pid_t pid;
	struct flood_shared *shared;
};

/* Forks. cpu -1: not pinned. Waits until the child is there, 5 s at most. */
int flood_helper_open(struct flood_helper *h, int cpu, uint64_t lifetime_ns);
/* -EBUSY while a run is on, -ESRCH once the helper is gone. */
int flood_helper_run(struct flood_helper *h, const struct flood_run *run);
/* End the run and wait for it, 1 s at most. */
void flood_helper_stop(struct flood_helper *h);
void flood_helper_state(const struct flood_helper *h, struct flood_state *ret);
/* Ends and reaps the child. Idempotent; a zeroed helper is fine. */
void flood_helper_close(struct flood_helper *h);

#endif
