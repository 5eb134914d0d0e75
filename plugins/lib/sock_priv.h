/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sock.h inside: sock.c and sock_owner.c. */
#ifndef WEIR_LIB_SOCK_PRIV_H
#define WEIR_LIB_SOCK_PRIV_H

#include "sock.h"
#include <dirent.h>

#define SOCK_NONE UINT32_MAX
#define SOCK_LISTENERS 1024u   /* with a name for those they accept; more are only less named */
#define SOCK_TRIES 3           /* looks for an owner: some sockets are the kernel's own */

enum sock_flags {
	SOCK_USED = 1, SOCK_COUNTS = 2, SOCK_LISTENING = 4,
	SOCK_CLOSING = 8,      /* closed; `final` waits for the sink */
	SOCK_GONE = 16,        /* its flow has ended, its last word has not come */
	SOCK_OWNER_WEAK = 32,  /* the listener's */
	SOCK_QUIET = 64,       /* flow not given yet */
	SOCK_OWNER_NEW = 128,  /* owner not given yet, and only a delta can */
};

/* What each reading of an idle socket touches comes first: one cache line. */
struct sock_entry {
	uint64_t id;
	struct sock_counts last;       /* up to here the sink has it */
	uint32_t next;                 /* of the same slot, or of the free ones */
	uint32_t round;                /* when it was seen last */
	uint8_t flags, state, header, tries : 4, accepted : 1;

	uint32_t inode, uid, pid, srtt_us, ifindex, netns;
	uint64_t cookie, cgroup, given_ns;
	struct weir_flow_key key;
	struct sock_counts final;
	char comm[16];
};

struct sock_scan {                     /* of /proc/PID/fd */
	DIR *proc, *fds;
	uint32_t pid;
	bool named;                    /* comm is this pid's */
	char comm[16];
	uint32_t *slot, slots;         /* by inode: entries that want an owner */
	uint32_t left;                 /* of those */
};

struct sock_table {
	struct pkt_memory m;
	struct sock_sink sink;
	const char *source;
	struct sock_entry *entry;
	uint32_t *slot;                /* as many as there is room, a power of two */
	uint32_t room, used, free, capacity;
	uint32_t listener[SOCK_LISTENERS], listeners;
	uint32_t round, owed, ownerless;
	uint64_t round_ns, last_round_ns;
	bool baseline;                 /* first readings are of sockets older than this table */
	bool overflowed;               /* ... for ever, since some may not have got in */
	struct sock_scan scan;
	struct sock_stats stats;
};

static inline bool sock_wants_owner(const struct sock_entry *e)
{
	return (e->flags & SOCK_USED) && e->inode && (!e->pid || (e->flags & SOCK_OWNER_WEAK)) &&
	       e->tries < SOCK_TRIES;
}
/* The owner of e is now known. */
void sock_owned(struct sock_table *t, struct sock_entry *e, uint32_t pid, const char comm[16]);
void sock_scan_end(struct sock_table *t);

#endif
