/* SPDX-License-Identifier: Apache-2.0 */
/* A host that takes over from another, step by step: see host_upgrade.c. Host thread. */
#ifndef WEIR_CORE_HOST_UPGRADE_H
#define WEIR_CORE_HOST_UPGRADE_H

#include "host.h"

/* What the old one hands over, besides its BPF object. */
struct weir__yielded {
	bool adopted;                   /* the object goes on: counts continue from these */
	struct weir_kind_counts kernel[WEIR_MAX_KINDS];
	uint64_t missed[WEIR_MAX_KINDS];
	uint64_t seq[WEIR__MAX_TOPICS]; /* last batch of each topic */
	size_t count;
	struct weir__detached items[WEIR__MAX_ROUTES];
};

/* init, start, and the source of this name as far as prepare(). */
int weir__host_prepare(struct weir__host *h, const char *source);
int weir__host_export(struct weir__host *h, struct weir__bpf_handles *ret);
/* Takes descriptors out of handles. *ret_adopted false: it has loaded its own. */
int weir__host_adopt(struct weir__host *h, struct weir__bpf_handles *handles, bool *ret_adopted);
void weir__host_yield(struct weir__host *h, bool adopted, struct weir__yielded *ret);
/* Also gives a host that has yielded its source back, if y is all zero. */
int weir__host_take(struct weir__host *h, const struct weir__yielded *y);

#endif
