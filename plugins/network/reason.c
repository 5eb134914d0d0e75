/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the kernel dropped a packet, in its own words: enum skb_drop_reason (since Linux 5.17, kernel
 * commit c504e5c2f964) has other numbers in each version, so the names are those of the running one.
 *
 * Happy path: read once, when source bpf starts; records get the name.
 * Failure: no BTF or no memory: the number.
 * Threads: the host's loop.
 */
#include "network.h"

#include <string.h>

#define PREFIX "SKB_DROP_REASON_"
/* Linux 6.18 has some 120 of its own; those of subsystems (from 65536 on) stay numbers. */
#define REASONS 256

struct net_reasons {
	char name[REASONS][sizeof ((struct weir_flow *)0)->drop_reason];
};

void net_reasons_read(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	if (n->reasons)
		return;
	n->reasons = weir_alloc(p, sizeof *n->reasons);
	if (!n->reasons)
		return;
	memset(n->reasons, 0, sizeof *n->reasons);
	for (int64_t i = 0; i < REASONS; i++) {
		size_t size = sizeof n->reasons->name[i];
		char name[128];

		if (p->host->kernel_enum(p, "skb_drop_reason", i, name, sizeof name) ||
		    strncmp(name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		snprintf(n->reasons->name[i], size, "%.*s", (int)size - 1, name + strlen(PREFIX));
	}
}

void net_reasons_free(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	weir_free(p, n->reasons);
	n->reasons = NULL;
}

void net_reason_fill(const struct network *n, struct weir_flow *r)
{
	const char *name = n->reasons && r->drop_number < REASONS ? n->reasons->name[r->drop_number] : "";

	if (*name)
		memcpy(r->drop_reason, name, sizeof r->drop_reason);
	else if (r->drop_number)
		snprintf(r->drop_reason, sizeof r->drop_reason, "%u", r->drop_number);
}
