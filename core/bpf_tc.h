/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs as filters of tc: for kernels without tcx links. Who attaches is an owner, which can
 * be told from a dead one. One thread at a time.
 */
#ifndef WEIR_CORE_BPF_TC_H
#define WEIR_CORE_BPF_TC_H

#include <stdbool.h>
#include <stdint.h>

struct weir__tc_owner {
	int fd;          /* -1: has nothing attached yet */
	uint32_t number;
};

struct weir__tc_place {
	int ifindex;
	bool egress;
	uint32_t priority; /* 1 to 65535 */
	uint32_t row;      /* of the program: two of one owner do not share a handle */
};

/* 0 or -errno. Makes clsact if there is none; -EBUSY: an ingress qdisc is in its place. The
 * first time it also sweeps. */
int weir__tc_attach(struct weir__tc_owner *o, const struct weir__tc_place *at, int prog_fd, uint32_t *ret_handle);
/* And clsact, if it was made for a filter like this and is empty. */
void weir__tc_detach(const struct weir__tc_place *at, uint32_t handle);
/* Remove what dead owners left, at all interfaces of this network namespace. */
void weir__tc_sweep(void);
/* Nothing is attached any more. */
void weir__tc_disown(struct weir__tc_owner *o);

#endif
