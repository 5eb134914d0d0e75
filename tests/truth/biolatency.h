/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf-tools' biolatency as a second opinion on block-device latency.
 */
#ifndef WEIR_TRUTH_BIOLATENCY_H
#define WEIR_TRUTH_BIOLATENCY_H

#include <stdint.h>
#include <sys/types.h>

#define BIOLATENCY_SLOTS 27

struct biolatency {
	pid_t pid;
	int fd;
	uint64_t slot[BIOLATENCY_SLOTS]; /* [2^i, 2^(i+1)) us; slot 0 from 0 */
};

/* Start it, and wait until it traces. -ENOENT: not installed. */
int biolatency_start(struct biolatency *b);
/* End it and read what it has counted. */
int biolatency_stop(struct biolatency *b);

#endif
