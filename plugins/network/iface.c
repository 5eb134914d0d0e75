/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink: a dump of all links at the start, then what changes. See iface.h.
 * Every length in a message is checked, though the kernel sends them.
 * Thread: the host's loop.
 */
#include "iface.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum net_iface_class class_of(unsigned type)
{
	switch (type) {
	case ARPHRD_ETHER:
		return NET_IFACE_ETHERNET;
	case ARPHRD_LOOPBACK:
		return NET_IFACE_LOOPBACK;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return NET_IFACE_RAW;
	default:
		return NET_IFACE_OTHER;
	}
}

static void copy_name(char to[16], const struct rtattr *a)
{
	size_t n = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));

	n = n < 15 ? n : 15;
	memcpy(to, RTA_DATA(a), n);
	to[n] = 0;
}

static void parse_info(const struct rtattr *info, struct net_iface *ret)
{
	const struct rtattr *a = RTA_DATA(info);
	int len = (int)RTA_PAYLOAD(info);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_INFO_KIND)
			copy_name(ret->kind, a);
}

bool net_iface_parse(const void *nlmsg, size_t size, struct net_iface *ret, bool *ret_gone)
{
	const struct nlmsghdr *h = nlmsg;
	const struct ifinfomsg *i = NLMSG_DATA(h);
	const struct rtattr *a;
	bool elsewhere = false;
	int len;

	if (size < NLMSG_LENGTH(sizeof *i) || h->nlmsg_len > size || h->nlmsg_len < NLMSG_LENGTH(sizeof *i) ||
	    (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) || i->ifi_index <= 0 ||
	    i->ifi_family != AF_UNSPEC) /* AF_BRIDGE: about a port, not a link */
		return false;
	memset(ret, 0, sizeof *ret);
	*ret_gone = h->nlmsg_type == RTM_DELLINK;
	ret->ifindex = i->ifi_index;
	ret->class = class_of(i->ifi_type);
	a = IFLA_RTA(i);
	len = (int)IFLA_PAYLOAD(h);
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME)
			copy_name(ret->name, a);
		else if (a->rta_type == IFLA_LINKINFO)
			parse_info(a, ret);
		else if (a->rta_type == IFLA_LINK_NETNSID)
			elsewhere = true;
		else if (a->rta_type == IFLA_LINK && RTA_PAYLOAD(a) >= 4)
			memcpy(&ret->lower, RTA_DATA(a), 4);
		else if (a->rta_type == IFLA_MASTER && RTA_PAYLOAD(a) >= 4)
			memcpy(&ret->master, RTA_DATA(a), 4);
	}
	if (elsewhere)
		ret->lower = 0;
	return true;
}

struct net_iface *net_ifaces_find(struct net_ifaces *s, int ifindex)
{
	for (uint32_t i = 0; ifindex && i < s->count; i++)
		if (s->all[i].ifindex == ifindex)
			return &s->all[i];
	return NULL;
}

/* ---- the rules ------------------------------------------------------------------------- */

/* Devices whose packets are all seen at the device below as well. A tunnel's are not: there
 * they are inside others. */
static bool is_view(const struct net_iface *f)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "dsa" };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (!strcmp(f->kind, kinds[i]))
			return true;
	return false;
}

void net_ifaces_choose(struct net_ifaces *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct net_iface *f = &s->all[i], *lower = net_ifaces_find(s, f->lower);

		f->chosen = f->fits && f->class != NET_IFACE_OTHER;
		if (!f->chosen || !lower || !lower->fits || lower == f)
			continue;
		if (is_view(f) || (!strcmp(f->kind, "veth") && lower->ifindex < f->ifindex))
			f->chosen = false;
	}
	for (uint32_t i = 0; i < s->count; i++) {
		struct net_iface *over = net_ifaces_find(s, s->all[i].master);

		/* A VRF is a routing table, not a device its packets pass. */
		if (s->all[i].fits && over && strcmp(over->kind, "vrf"))
			over->chosen = false;
	}
}

/* ---- the socket ------------------------------------------------------------------------- */

static int ask_dump(struct net_ifaces *s)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} m = { .h = { sizeof m, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 } };

	for (uint32_t i = 0; i < s->count; i++)
		s->all[i].seen = false;
	s->dumping = true;
	s->lost = false;
	return send(s->fd, &m, sizeof m, 0) < 0 ? -errno : 0;
}

int net_ifaces_open(struct weir_plugin *p, struct net_ifaces *s)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int rc;

	memset(s, 0, sizeof *s);
	s->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	rc = s->fd < 0 ? -errno : bind(s->fd, (struct sockaddr *)&at, sizeof at) ? -errno : ask_dump(s);
	if (!rc)
		return 0;
	net_ifaces_close(p, s);
	return weir_fail(p, rc, "interfaces cannot be watched: rtnetlink: %s", strerror(-rc));
}

void net_ifaces_close(struct weir_plugin *p, struct net_ifaces *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	weir_free(p, s->all);
	s->all = NULL;
	s->count = s->room = 0;
}

static struct net_iface *add(struct weir_plugin *p, struct net_ifaces *s)
{
	uint32_t room = s->room ? s->room * 2 : 32;
	struct net_iface *all;

	if (s->count == s->room) {
		all = room > NET_IFACES_MAX ? NULL : p->host->realloc(p, s->all, room * sizeof *all);
		if (!all) {
			s->beyond++;
			return NULL;
		}
		s->all = all;
		s->room = room;
	}
	memset(&s->all[s->count], 0, sizeof *s->all);
	return &s->all[s->count++];
}

static void forget(struct weir_plugin *p, struct net_ifaces *s, struct net_iface *f,
                   void (*gone)(struct weir_plugin *, struct net_iface *))
{
	gone(p, f);
	*f = s->all[--s->count];
}

/* One message. Returns whether it changed anything. */
static bool take(struct weir_plugin *p, struct net_ifaces *s, const struct nlmsghdr *h, size_t len,
                 void (*gone)(struct weir_plugin *, struct net_iface *))
{
	struct net_iface new, *old;
	bool is_gone, same;

	if (!net_iface_parse(h, len, &new, &is_gone))
		return false;
	old = net_ifaces_find(s, new.ifindex);
	if (is_gone) {
		if (old)
			forget(p, s, old, gone);
		return old != NULL;
	}
	same = old && old->lower == new.lower && old->master == new.master &&
	       !strcmp(old->name, new.name) && old->class == new.class;
	if (!old) {
		old = add(p, s);
		if (!old)
			return false;
		*old = new;
		old->late = !s->dumping;
	}
	old->seen = true;
	old->lower = new.lower;
	old->master = new.master;
	old->class = new.class;
	memcpy(old->name, new.name, sizeof old->name);
	memcpy(old->kind, new.kind, sizeof old->kind);
	return !same;
}

static void dump_done(struct weir_plugin *p, struct net_ifaces *s,
                      void (*gone)(struct weir_plugin *, struct net_iface *))
{
	s->dumping = false;
	for (uint32_t i = s->count; i-- > 0;)
		if (!s->all[i].seen)
			forget(p, s, &s->all[i], gone);
}

bool net_ifaces_read(struct weir_plugin *p, struct net_ifaces *s,
                     void (*gone)(struct weir_plugin *, struct net_iface *), bool *ret_settled)
{
	_Alignas(struct nlmsghdr) char buf[32768]; /* the kernel fills up to this much of a dump */
	bool changed = false;
	ssize_t n;

	/* 64 buffers at a time: some 1500 links; the rest wakes us again. */
	for (int round = 0; round < 64; round++) {
		n = recv(s->fd, buf, sizeof buf, 0);
		if (n < 0 && errno == ENOBUFS) {
			s->lost = true;
			continue;
		}
		if (n <= 0)
			break;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE && s->dumping) {
				dump_done(p, s, gone);
				changed = true;
			} else {
				changed |= take(p, s, h, (size_t)n, gone);
			}
		}
	}
	if (s->lost && !s->dumping && ask_dump(s))
		weir_log(p, WEIR_WARN, "messages about interfaces were lost: some may be missed until the next");
	*ret_settled = !s->dumping;
	return changed;
}
