/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Part of network.bpf.c: owners of sockets older than Weir. */
#ifndef NET_FILL_BPF_H
#define NET_FILL_BPF_H

#include "net_owner.bpf.h"
#include "owner_fill.bpf.h"

SEC("iter/task_file")
int net_fill(struct bpf_iter__task_file *ctx)
{
	return weir_owner_by_file(ctx);
}

#endif
