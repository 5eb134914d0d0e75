/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network interfaces of this namespace, kept up to date by rtnetlink, and which of them
 * scope wire looks at.
 *
 * Which: those whose name a pattern fits, unless that would count a packet twice: not a device
 * on top of a chosen one (bridge, bond, team over their ports; VLAN, macvlan and the like over
 * their parent), and of a veth pair with both ends here only one.
 * Failure: a socket that cannot be opened; lost messages (ENOBUFS) mean a new dump.
 */
#ifndef NETWORK_IFACE_H
#define NETWORK_IFACE_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/weir.h>

/* As many as the host attaches programs to. */
#define NET_IFACES_MAX 4096

enum net_iface_class { NET_IFACE_OTHER, NET_IFACE_ETHERNET, NET_IFACE_RAW, NET_IFACE_LOOPBACK };

struct net_iface {
	int ifindex, lower, master;  /* 0: none here */
	enum net_iface_class class;
	char name[16], kind[16];     /* "veth", "vlan", ...; "" */
	bool seen;                   /* in this dump */
	bool late;                   /* appeared after the start */
	bool fits;                   /* a pattern */
	bool chosen;                 /* by the rules above */
	bool attached, failed;       /* wire.c's */
};

struct net_ifaces {
	struct net_iface *all;       /* sorted by nothing; bounded by NET_IFACES_MAX */
	uint32_t count, room;
	int fd;
	bool dumping, lost;
	uint32_t beyond;             /* interfaces there was no room for */
};

/* One link as a message has it; split from the rest for the test. False: not a link. */
bool net_iface_parse(const void *nlmsg, size_t len, struct net_iface *ret, bool *ret_gone);
/* Pure: fits -> chosen. */
void net_ifaces_choose(struct net_ifaces *s);

int net_ifaces_open(struct weir_plugin *p, struct net_ifaces *s);
void net_ifaces_close(struct weir_plugin *p, struct net_ifaces *s);
struct net_iface *net_ifaces_find(struct net_ifaces *s, int ifindex);
/* Read what is there. gone: called for each that is no more, before it is forgotten.
 * Returns whether anything changed; *ret_settled: a dump is complete. */
bool net_ifaces_read(struct weir_plugin *p, struct net_ifaces *s,
                     void (*gone)(struct weir_plugin *, struct net_iface *), bool *ret_settled);

#endif
