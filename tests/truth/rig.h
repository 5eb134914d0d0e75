/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig: iomonitor in a real host, as in the daemon, with the metrics at hand.
 */
#ifndef WEIR_TRUTH_RIG_H
#define WEIR_TRUTH_RIG_H

#include <stdint.h>

struct rig;

/* Options as name, value pairs, ended by NULL. NULL: rig_why() says why. */
struct rig *rig_start(const char *const *options);
void rig_stop(struct rig *r);
const char *rig_why(void);

/* Bring the counters up to date. */
void rig_collect(struct rig *r);
/* Sum over all series of a metric whose labels contain all of the words in
 * `match` ("read bpf"); "" takes all. A histogram gives its count. -1: none. */
double rig_metric(struct rig *r, const char *name, const char *match);
/* One bucket of a histogram, not cumulated. */
double rig_bucket(struct rig *r, const char *name, const char *match, unsigned int bucket);

#endif
