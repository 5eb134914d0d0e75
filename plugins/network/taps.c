/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices and addresses this network namespace has, for source packet.
 *
 * Happy path: rtnetlink says that something changed, before a packet can show it; the lists are
 * made anew. A device that is not known yet is counted: twice is the smaller error. Failure: no
 * memory or no netlink: at the start an error, later the lists stay as they were, and it is said.
 * Threads: the host's loop.
 */
#include "source_packet.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IFINDEX_MAX (1u << 20) /* 128 KiB of bits; numbers grow with each device that was made */

static uint32_t tunnel_of(const char *kind)
{
	static const struct {
		const char *kind;
		enum weir_flow_tunnel tunnel;
	} all[] = {
		{ "vxlan", WEIR_TUNNEL_VXLAN }, { "geneve", WEIR_TUNNEL_GENEVE },
		{ "ipip", WEIR_TUNNEL_IPIP }, { "sit", WEIR_TUNNEL_IPIP }, { "ip6tnl", WEIR_TUNNEL_IPIP },
		{ "gre", WEIR_TUNNEL_GRE }, { "gretap", WEIR_TUNNEL_GRE }, { "ip6gre", WEIR_TUNNEL_GRE },
		{ "ip6gretap", WEIR_TUNNEL_GRE }, { "erspan", WEIR_TUNNEL_GRE },
		{ "ip6erspan", WEIR_TUNNEL_GRE },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (!strcmp(all[i].kind, kind))
			return 1u << all[i].tunnel;
	return 0;
}

static int choose(struct weir_plugin *p, struct net_taps *t)
{
	uint32_t max = 64, size;
	uint8_t *bits;

	for (uint32_t i = 0; i < t->ifaces.count; i++)
		if ((uint32_t)t->ifaces.all[i].ifindex >= max)
			max = (uint32_t)t->ifaces.all[i].ifindex + 1;
	max = max < IFINDEX_MAX ? max : IFINDEX_MAX;
	size = max / 8 + 1;
	bits = p->host->realloc(p, t->chosen, size);
	if (!bits)
		return -ENOMEM;
	t->chosen = bits;
	t->chosen_max = max;
	memset(bits, 0xff, size); /* not known: counted */
	for (uint32_t i = 0; i < t->ifaces.count; i++)
		t->ifaces.all[i].fits = true;
	net_ifaces_choose(&t->ifaces);
	t->tunnels = 0;
	for (uint32_t i = 0; i < t->ifaces.count; i++) {
		const struct net_iface *f = &t->ifaces.all[i];

		if (!f->chosen && (uint32_t)f->ifindex < max)
			bits[f->ifindex / 8] &= (uint8_t)~(1u << f->ifindex % 8);
		t->tunnels |= tunnel_of(f->kind);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static bool mapped(const struct sockaddr *a, uint8_t ret[16])
{
	if (a && a->sa_family == AF_INET6) {
		memcpy(ret, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
		return true;
	}
	if (!a || a->sa_family != AF_INET)
		return false;
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
	return true;
}

static int read_addresses(struct weir_plugin *p, struct net_taps *t)
{
	struct ifaddrs *all;
	uint8_t (*local)[16];
	uint32_t n = 0;

	if (getifaddrs(&all))
		return -errno;
	for (struct ifaddrs *a = all; a && n < NET_ADDRESSES_MAX; a = a->ifa_next)
		n++;
	local = p->host->realloc(p, t->local, (n + 1) * sizeof *local);
	if (local) {
		t->local = local;
		t->locals = 0;
		for (struct ifaddrs *a = all; a && t->locals < n; a = a->ifa_next)
			t->locals += mapped(a->ifa_addr, local[t->locals]);
		qsort(local, t->locals, sizeof *local, compare);
	}
	freeifaddrs(all);
	return local ? 0 : -ENOMEM;
}

static void gone(struct weir_plugin *p, struct net_iface *f)
{
	(void)p, (void)f;
}

/* Whatever it says: something changed. */
static bool addresses_changed(const struct net_taps *t)
{
	char buf[8192];
	bool any = false;
	ssize_t n;

	/* 64 messages; were there more, the next round sees them. */
	for (int i = 0; i < 64; i++) {
		n = recv(t->addresses, buf, sizeof buf, 0);
		if (n < 0 && errno != ENOBUFS)
			break;
		any = true;
	}
	return any;
}

void net_taps_refresh(struct weir_plugin *p, struct net_taps *t)
{
	bool settled;
	int rc = 0;

	if (net_ifaces_read(p, &t->ifaces, gone, &settled))
		rc = choose(p, t);
	if (addresses_changed(t) && !rc)
		rc = read_addresses(p, t);
	if (rc)
		weir_log(p, WEIR_WARN, "packet: devices or addresses have changed, and cannot be read: %s; "
		         "packets may be counted twice or not at all", strerror(-rc));
}

int net_taps_open(struct weir_plugin *p, struct net_taps *t)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	bool settled = false;
	int rc = net_ifaces_open(p, &t->ifaces);

	if (rc)
		return rc;
	t->addresses = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	rc = t->addresses < 0 || bind(t->addresses, (struct sockaddr *)&at, sizeof at) ? -errno : 0;
	rc = rc ? rc : read_addresses(p, t);
	/* The kernel answers a dump as it is read; 16 rounds are more links than there is room for. */
	for (int i = 0; i < 16 && !rc && !settled; i++)
		net_ifaces_read(p, &t->ifaces, gone, &settled);
	rc = rc ? rc : choose(p, t);
	return rc ? weir_fail(p, rc, "devices and addresses cannot be read: %s", strerror(-rc)) : 0;
}

void net_taps_close(struct weir_plugin *p, struct net_taps *t)
{
	net_ifaces_close(p, &t->ifaces);
	if (t->addresses >= 0)
		close(t->addresses);
	t->addresses = -1;
	weir_free(p, t->chosen);
	weir_free(p, t->local);
	t->chosen = NULL;
	t->local = NULL;
	t->locals = t->chosen_max = 0;
}

bool net_taps_chosen(const struct net_taps *t, uint32_t ifindex)
{
	return ifindex >= t->chosen_max || t->chosen[ifindex / 8] >> ifindex % 8 & 1;
}

bool net_taps_local(const struct net_taps *t, const uint8_t address[16])
{
	static const uint8_t none6[16], none4[16] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, none6, 16) || !memcmp(address, none4, 16) ||
	       bsearch(address, t->local, t->locals, 16, compare);
}

bool net_taps_unwraps(const struct net_taps *t, const struct pkt_layer *outer, bool outgoing)
{
	return t->tunnels >> outer->tunnel & 1 && net_taps_local(t, outgoing ? outer->src : outer->dst);
}
