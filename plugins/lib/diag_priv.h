/* SPDX-License-Identifier: Apache-2.0 */
/* Inside diag.h: diag.c and diag_netns.c. */
#ifndef WEIR_LIB_DIAG_PRIV_H
#define WEIR_LIB_DIAG_PRIV_H

#include "diag.h"

#define DIAG_NAMESPACES 64     /* a node has 110 pods at most by default, and 3 descriptors each */
#define DIAG_KINDS 6           /* dumps in one namespace: diag.c */

struct diag_ns {
	int dump, events;      /* netlink sockets; events -1: no groups */
	uint64_t cookie;
	uint32_t inum;
	bool listed;           /* met in this look for namespaces */
	bool unsupported[DIAG_KINDS];
};
struct diag {
	struct pkt_memory m;
	struct diag_options o;
	struct sock_table *table;
	struct diag_ns ns[DIAG_NAMESPACES];  /* [0]: our own */
	unsigned namespaces;
	uint32_t seq;
	unsigned at_ns, at_kind;   /* of the round */
	bool running, asked, whole, finding, again;
	uint64_t looked_ns;        /* for namespaces */
	struct diag_stats stats;
	uint8_t *buffer;
};

/* Sockets in this thread's namespace. 0, or negative errno with nothing open. */
int diag_ns_open(struct diag_ns *ns);
void diag_ns_close(struct diag_ns *ns);
/* Look for namespaces of other processes; drop those that no process has any more. */
void diag_ns_find(struct diag *d);

#endif
