/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces and veth pairs of a test's own, by netlink and ioctl alone.
 *
 * Namespaces have no names: they live as long as a descriptor or a process of the test, so that
 * a test that crashes leaves nothing. Links carry nothing but what the test sends: no ARP or
 * neighbour discovery (IFF_NOARP, and both ends have one MAC address, which is then what each
 * takes the other's to be), no link-local addresses, no multicast reports. So what an interface
 * has counted is the traffic of the test, packet by packet.
 *
 * Failure: a rig that cannot be built ends the program with the reason. Thread: one; a call that
 * takes a namespace enters it and comes back.
 */
#ifndef WEIR_TESTS_NET_H
#define WEIR_TESTS_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct ns {
	int fd;
	uint32_t inode;  /* as in the records' field netns, if that is known */
	uint64_t cookie; /* as in netns_cookie */
};

struct link_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};

/* Can this machine do it? Else a reason, for a skip. */
const char *no_net(void);
/* The namespace the program was started in. */
const struct ns *ns_root(void);
void ns_new(struct ns *ret);
void ns_free(struct ns *ns);
/* Returns what was entered before. NULL is the root. */
const struct ns *ns_enter(const struct ns *ns);
/* ns_sysctl(ns, "ipv4/tcp_syn_retries", "1"): below /proc/sys/net. */
void ns_sysctl(const struct ns *ns, const char *name, const char *value);

void link_pair(const struct ns *a, const char *name_a, const struct ns *b, const char *name_b);
void link_delete(const struct ns *ns, const char *name);
void link_up(const struct ns *ns, const char *name, bool up);
void link_mtu(const struct ns *ns, const char *name, int mtu);
/* "10.1.2.3/24" or "fd00::1/64" */
void link_address(const struct ns *ns, const char *name, const char *address);
/* A route to "10.1.2.0/24" by a gateway. */
void link_route(const struct ns *ns, const char *to, const char *gateway);
/* Whether the sender leaves segmentation of TCP and UDP to the device, and whether the receiver
 * merges packets. */
void link_offload(const struct ns *ns, const char *name, bool segmentation, bool merging);
void link_counters(const struct ns *ns, const char *name, struct link_counters *ret);
struct link_counters link_since(const struct ns *ns, const char *name, const struct link_counters *before);
unsigned link_index(const struct ns *ns, const char *name);

/* Two namespaces and what joins them: c0 (10.77.N.1, fd77:N::1) to s0 (.2). N: 1 to 250. */
struct net_pair {
	struct ns client, server;
	unsigned n, server_n; /* the networks of the two */
	const struct ns *router; /* NULL: none */
	bool merging;
};
void pair_new(struct net_pair *p, unsigned n);
/* The same with a router between: c0 - r0, r1 - s0. The server is in network N + 1. */
void pair_new_routed(struct net_pair *p, unsigned n, const struct ns *router);
/* The link of a pair_new() again, after link_delete(). */
void pair_link(const struct net_pair *p);
void pair_free(struct net_pair *p);
enum offload {
	OFFLOAD_OFF,    /* every packet is one */
	OFFLOAD_ON,     /* super-packets, from socket to socket */
	OFFLOAD_MERGE,  /* single packets on the way, which the receiver merges */
};
void pair_offload(struct net_pair *p, enum offload how);
/* Bytes from the IP header on, of so many bytes and packets that an interface counted. A veth that
 * merges counts without the Ethernet header, else with it (veth_xdp_rcv_skb(), veth_xmit()). */
uint64_t pair_l3(const struct net_pair *p, uint64_t bytes, uint64_t packets);
/* The address of an end, with a port. end: 1 client, 2 server, others nobody's. */
socklen_t pair_address(const struct net_pair *p, int family, unsigned end, uint16_t port,
                       struct sockaddr_storage *ret);

/* Print and exit(1). */
void net_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
