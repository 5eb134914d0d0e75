/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of interfaces, and this node's addresses. Names come from the interface's number and are
 * remembered for 10 s, since interfaces come and go and are renamed; only of Weir's own network
 * namespace: elsewhere the number is another's.
 * What may fail: the interface is gone, or the namespace's cookie cannot be asked for (before
 * 5.14, then all numbers are taken to be of this namespace); the record then has no name.
 */
#include "network.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH_NS 10000000000ull
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static bool address_of(const struct sockaddr *a, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (a && a->sa_family == AF_INET6) {
		memcpy(ret, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
		return true;
	}
	if (!a || a->sa_family != AF_INET)
		return false;
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
	return true;
}

/* In a capture from elsewhere the addresses of this node mean nothing. */
void net_addresses_read(struct network *n)
{
	uint8_t addrs[NET_ADDRESSES][16];
	struct ifaddrs *all, *i;
	size_t count = 0;

	if (n->replay_file[0] || n->scope == NET_SCOPE_HOST || getifaddrs(&all))
		return;
	for (i = all; i && count < NET_ADDRESSES; i = i->ifa_next)
		if (!(i->ifa_flags & IFF_LOOPBACK) && address_of(i->ifa_addr, addrs[count]))
			count++;
	freeifaddrs(all);
	flow_local(n->flows, (const uint8_t (*)[16])addrs, count);
}

void net_interface_init(struct network *n)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof n->own_netns;
	struct stat st;

	if (!stat("/proc/self/ns/net", &st))
		n->own_netns_inode = (uint32_t)st.st_ino;
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &n->own_netns, &len))
		n->own_netns = 0;
	close(fd);
}

static void look_up(struct weir_plugin *p, struct net_link *l)
{
	char path[64], mac[32];
	ssize_t len;

	if (!if_indextoname(l->index, l->name)) {
		l->name[0] = 0;
		return;
	}
	snprintf(path, sizeof path, "/sys/class/net/%s/address", l->name);
	len = p->host->read_file(p, path, mac, sizeof mac - 1);
	if (len < 17 || mac[2] != ':')
		return;
	memcpy(l->mac, mac, 17);
	l->mac[17] = 0;
}

void net_interface_fill(struct weir_plugin *p, struct weir_flow *r)
{
	struct network *n = weir_state(p);
	struct net_link *l = &n->links[r->interface_index % NET_LINKS];
	uint64_t now = weir_now(p);

	if (!r->netns && r->netns_cookie && r->netns_cookie == n->own_netns)
		r->netns = n->own_netns_inode;
	if (!r->interface_index || r->interface_name[0] ||
	    (r->netns_cookie && n->own_netns && r->netns_cookie != n->own_netns))
		return;
	if (l->index != r->interface_index || now - l->at_ns > FRESH_NS) {
		*l = (struct net_link){ .index = r->interface_index, .at_ns = now };
		look_up(p, l);
	}
	memcpy(r->interface_name, l->name, sizeof r->interface_name);
	memcpy(r->interface_mac, l->mac, sizeof r->interface_mac);
}
