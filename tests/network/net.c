/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces and links. See net.h. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Both ends of every link; see net.h for why. Locally administered. */
static const uint8_t the_mac[6] = { 0x02, 0x77, 0x65, 0x69, 0x72, 0x01 };

static struct ns root = { .fd = -1 };
static const struct ns *current;

void net_die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("network rig: ", stderr);
	vfprintf(stderr, format, ap);
	fprintf(stderr, " (%s)\n", strerror(errno));
	va_end(ap);
	exit(1);
}

/* ---- namespaces ------------------------------------------------------------------------ */

static void ns_open(struct ns *ret)
{
	socklen_t len = sizeof ret->cookie;
	struct stat st;
	int fd;

	ret->fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ret->fd < 0 || fstat(ret->fd, &st))
		net_die("cannot open a namespace");
	ret->inode = (uint32_t)st.st_ino;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ret->cookie, &len))
		net_die("a namespace without a cookie"); /* before Linux 5.14 */
	close(fd);
}

const struct ns *ns_root(void)
{
	if (root.fd < 0) {
		ns_open(&root);
		current = &root;
	}
	return &root;
}

const struct ns *ns_enter(const struct ns *ns)
{
	const struct ns *before = current ? current : ns_root();

	ns = ns ? ns : ns_root();
	if (setns(ns->fd, CLONE_NEWNET))
		net_die("cannot enter a namespace");
	current = ns;
	return before;
}

void ns_new(struct ns *ret)
{
	const struct ns *before = current ? current : ns_root();

	if (unshare(CLONE_NEWNET))
		net_die("cannot make a namespace");
	ns_open(ret);
	current = ret;
	link_up(ret, "lo", true);
	ns_enter(before);
}

void ns_free(struct ns *ns)
{
	if (ns->fd > 0)
		close(ns->fd);
	ns->fd = -1;
}

void ns_sysctl(const struct ns *ns, const char *name, const char *value)
{
	const struct ns *before = ns_enter(ns);
	char path[200];
	int fd;

	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		net_die("cannot write %s to %s", value, path);
	close(fd);
	ns_enter(before);
}

const char *no_net(void)
{
	struct ns ns;

	if (geteuid())
		return "needs root";
	ns_root();
	if (unshare(CLONE_NEWNET))
		return "cannot make network namespaces";
	ns_enter(NULL);
	ns_new(&ns);
	ns_free(&ns);
	return NULL;
}

/* ---- netlink --------------------------------------------------------------------------- */

struct request {
	union {
		struct nlmsghdr h;
		char bytes[1024]; /* the longest, a veth pair, takes 200 */
	};
};

static void *put(struct request *r, const void *data, size_t size)
{
	char *at = r->bytes + NLMSG_ALIGN(r->h.nlmsg_len);

	if (at + size > r->bytes + sizeof r->bytes)
		net_die("request too long");
	if (data)
		memcpy(at, data, size);
	else
		memset(at, 0, size);
	r->h.nlmsg_len = (uint32_t)(at - r->bytes) + (uint32_t)size;
	return at;
}

static struct rtattr *attr(struct request *r, uint16_t type, const void *data, size_t size)
{
	struct rtattr a = { .rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size) };
	struct rtattr *at = put(r, &a, sizeof a);

	if (size)
		put(r, data, size);
	return at;
}

static void nest_end(struct request *r, struct rtattr *a)
{
	a->rta_len = (uint16_t)(r->bytes + NLMSG_ALIGN(r->h.nlmsg_len) - (char *)a);
}

static void begin(struct request *r, uint16_t type, uint16_t flags)
{
	memset(r, 0, sizeof *r);
	r->h.nlmsg_len = NLMSG_HDRLEN;
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->h.nlmsg_seq = 1;
}

/* Sends, and returns the length of the one answer. */
static size_t transact(const struct ns *ns, struct request *r, void *answer, size_t size)
{
	const struct ns *before = ns_enter(ns);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -1;

	if (fd >= 0 && send(fd, r, r->h.nlmsg_len, 0) == (ssize_t)r->h.nlmsg_len)
		n = recv(fd, answer, size, 0);
	if (n < (ssize_t)sizeof(struct nlmsghdr))
		net_die("netlink does not answer");
	close(fd);
	ns_enter(before);
	return (size_t)n;
}

static void ask(const struct ns *ns, struct request *r, const char *what)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[1024];
	} answer;

	r->h.nlmsg_flags |= NLM_F_ACK;
	transact(ns, r, &answer, sizeof answer);
	if (answer.h.nlmsg_type != NLMSG_ERROR || answer.e.error) {
		errno = -answer.e.error;
		net_die("%s", what);
	}
}

/* ---- links ----------------------------------------------------------------------------- */

static void ask_ioctl(const struct ns *ns, const char *name, unsigned long what, struct ifreq *ifr,
                      const char *doing)
{
	const struct ns *before = ns_enter(ns);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr->ifr_name, sizeof ifr->ifr_name, "%s", name);
	if (fd < 0 || ioctl(fd, what, ifr))
		net_die("%s %s", doing, name);
	close(fd);
	ns_enter(before);
}

unsigned link_index(const struct ns *ns, const char *name)
{
	struct ifreq ifr = { 0 };

	ask_ioctl(ns, name, SIOCGIFINDEX, &ifr, "looking for");
	return (unsigned)ifr.ifr_ifindex;
}

void link_up(const struct ns *ns, const char *name, bool up)
{
	struct ifreq ifr = { 0 };

	ask_ioctl(ns, name, SIOCGIFFLAGS, &ifr, "asking for flags of");
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	if (up && strcmp(name, "lo"))
		ifr.ifr_flags |= IFF_NOARP;
	ask_ioctl(ns, name, SIOCSIFFLAGS, &ifr, "setting flags of");
}

void link_mtu(const struct ns *ns, const char *name, int mtu)
{
	struct ifreq ifr = { 0 };

	ifr.ifr_mtu = mtu;
	ask_ioctl(ns, name, SIOCSIFMTU, &ifr, "setting the MTU of");
}

static void attrs_of_end(struct request *r, const char *name)
{
	attr(r, IFLA_IFNAME, name, strlen(name) + 1);
	attr(r, IFLA_ADDRESS, the_mac, sizeof the_mac);
}

/* What a new interface must not say by itself. addr_gen_mode 1: no link-local address. */
static void quiet(const struct ns *ns, const char *name)
{
	static const char *const rows[][2] = {
		{ "addr_gen_mode", "1" }, { "accept_dad", "0" }, { "accept_ra", "0" }, { "autoconf", "0" },
		{ "router_solicitations", "0" },
		/* A router says which groups it is in, twice: in the first milliseconds, then. */
		{ "mldv2_unsolicited_report_interval", "1" },
	};
	char path[100];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(path, sizeof path, "ipv6/conf/%s/%s", name, rows[i][0]);
		ns_sysctl(ns, path, rows[i][1]);
	}
	link_up(ns, name, true);
}

void link_pair(const struct ns *a, const char *name_a, const struct ns *b, const char *name_b)
{
	struct rtattr *info, *data, *peer;
	struct request r;

	begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	put(&r, NULL, sizeof(struct ifinfomsg));
	attrs_of_end(&r, name_a);
	info = attr(&r, IFLA_LINKINFO, NULL, 0);
	attr(&r, IFLA_INFO_KIND, "veth", 4);
	data = attr(&r, IFLA_INFO_DATA, NULL, 0);
	peer = attr(&r, VETH_INFO_PEER, NULL, 0);
	put(&r, NULL, sizeof(struct ifinfomsg));
	attrs_of_end(&r, name_b);
	attr(&r, IFLA_NET_NS_FD, &b->fd, sizeof b->fd);
	nest_end(&r, peer);
	nest_end(&r, data);
	nest_end(&r, info);
	ask(a, &r, "making a veth pair");
	quiet(a, name_a);
	quiet(b, name_b);
}

void link_delete(const struct ns *ns, const char *name)
{
	struct ifinfomsg m = { .ifi_index = (int)link_index(ns, name) };
	struct request r;

	begin(&r, RTM_DELLINK, 0);
	put(&r, &m, sizeof m);
	ask(ns, &r, "removing a link");
}

/* "ADDRESS/BITS" */
static int parse_prefix(const char *text, uint8_t ret[16], uint8_t *ret_bits)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	snprintf(address, sizeof address, "%.*s", (int)(slash ? slash - text : 40), text);
	*ret_bits = (uint8_t)(slash ? atoi(slash + 1) : family == AF_INET ? 32 : 128);
	if (inet_pton(family, address, ret) != 1)
		net_die("%s is no address", text);
	return family;
}

static size_t family_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

void link_address(const struct ns *ns, const char *name, const char *address)
{
	uint32_t flags = IFA_F_NODAD | IFA_F_PERMANENT;
	struct ifaddrmsg m = { .ifa_index = link_index(ns, name), .ifa_flags = IFA_F_NODAD };
	uint8_t bytes[16];
	struct request r;

	m.ifa_family = (uint8_t)parse_prefix(address, bytes, &m.ifa_prefixlen);
	begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	put(&r, &m, sizeof m);
	attr(&r, IFA_LOCAL, bytes, family_size(m.ifa_family));
	attr(&r, IFA_ADDRESS, bytes, family_size(m.ifa_family));
	if (m.ifa_family == AF_INET6)
		attr(&r, IFA_FLAGS, &flags, sizeof flags);
	ask(ns, &r, "adding an address");
}

void link_route(const struct ns *ns, const char *to, const char *gateway)
{
	struct rtmsg m = { .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		           .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST };
	uint8_t bytes[16], via[16], bits;
	struct request r;

	m.rtm_family = (uint8_t)parse_prefix(to, bytes, &m.rtm_dst_len);
	parse_prefix(gateway, via, &bits);
	begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	put(&r, &m, sizeof m);
	attr(&r, RTA_DST, bytes, family_size(m.rtm_family));
	attr(&r, RTA_GATEWAY, via, family_size(m.rtm_family));
	ask(ns, &r, "adding a route");
}

/* ---- offload --------------------------------------------------------------------------- */

#define FEATURE_WORDS 4 /* the kernel has two (62 features), and room to grow */

static void ethtool(const struct ns *ns, const char *name, void *request, const char *doing)
{
	struct ifreq ifr = { .ifr_data = request };

	ask_ioctl(ns, name, SIOCETHTOOL, &ifr, doing);
}

/* The number of a feature by its name; the numbers are the kernel's own. */
static int feature(const struct ns *ns, const char *link, const char *name)
{
	struct ethtool_gstrings *s = calloc(1, sizeof *s + 128 * ETH_GSTRING_LEN);
	int found = -1;

	s->cmd = ETHTOOL_GSTRINGS;
	s->string_set = ETH_SS_FEATURES;
	/* len 0 says: however many; there are 62. */
	ethtool(ns, link, s, "asking for the features of");
	for (uint32_t i = 0; i < s->len && i < 128; i++)
		if (!strncmp((const char *)s->data + i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN))
			found = (int)i;
	free(s);
	if (found < 0)
		net_die("%s has no feature %s", link, name);
	return found;
}

void link_offload(const struct ns *ns, const char *name, bool segmentation, bool merging)
{
	static const char *const names[] = {
		"rx-gro", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
		"tx-udp-segmentation", "tx-generic-segmentation",
	};
	struct ethtool_sfeatures *f = calloc(1, sizeof *f + FEATURE_WORDS * sizeof f->features[0]);

	f->cmd = ETHTOOL_SFEATURES;
	f->size = 2;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		int bit = feature(ns, name, names[i]);

		f->features[bit / 32].valid |= 1u << bit % 32;
		if (i ? segmentation : merging)
			f->features[bit / 32].requested |= 1u << bit % 32;
	}
	ethtool(ns, name, f, "setting the features of");
	free(f);
}

/* ---- counters -------------------------------------------------------------------------- */

void link_counters(const struct ns *ns, const char *name, struct link_counters *ret)
{
	static union {
		struct nlmsghdr h;
		char bytes[32768]; /* what an interface says of itself is 2 to 4 KiB */
	} answer;
	struct ifinfomsg m = { .ifi_index = (int)link_index(ns, name) };
	struct rtnl_link_stats64 s;
	struct rtattr *a;
	struct request r;
	int left;

	begin(&r, RTM_GETLINK, 0);
	put(&r, &m, sizeof m);
	left = (int)transact(ns, &r, &answer, sizeof answer);
	left -= (int)NLMSG_LENGTH(sizeof m);
	if (answer.h.nlmsg_type != RTM_NEWLINK)
		net_die("no counters of %s", name);
	for (a = IFLA_RTA(NLMSG_DATA(&answer.h)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != IFLA_STATS64)
			continue;
		memset(&s, 0, sizeof s);
		memcpy(&s, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof s ? RTA_PAYLOAD(a) : sizeof s);
		*ret = (struct link_counters){ s.rx_packets, s.rx_bytes, s.tx_packets, s.tx_bytes,
			                       s.rx_dropped, s.tx_dropped };
		return;
	}
	net_die("no counters of %s", name);
}

struct link_counters link_since(const struct ns *ns, const char *name, const struct link_counters *before)
{
	struct link_counters now;

	link_counters(ns, name, &now);
	return (struct link_counters){
		now.rx_packets - before->rx_packets, now.rx_bytes - before->rx_bytes,
		now.tx_packets - before->tx_packets, now.tx_bytes - before->tx_bytes,
		now.rx_dropped - before->rx_dropped, now.tx_dropped - before->tx_dropped,
	};
}

/* ---- a pair ---------------------------------------------------------------------------- */

/* Many connections at once: all ports, and TIME_WAIT for each. */
static void roomy(const struct ns *ns)
{
	ns_sysctl(ns, "ipv4/ip_local_port_range", "1024 65535");
	ns_sysctl(ns, "ipv4/tcp_max_tw_buckets", "400000");
	/* No retransmission for want of a metric of an earlier connection. */
	ns_sysctl(ns, "ipv4/tcp_no_metrics_save", "1");
}

static void address(const struct ns *ns, const char *name, unsigned n, unsigned end)
{
	char text[64];

	snprintf(text, sizeof text, "10.77.%u.%u/24", n, end);
	link_address(ns, name, text);
	snprintf(text, sizeof text, "fd77:%u::%u/64", n, end);
	link_address(ns, name, text);
}

static void pair_begin(struct net_pair *p, unsigned n, unsigned server_n)
{
	*p = (struct net_pair){ .n = n, .server_n = server_n };
	ns_new(&p->client);
	ns_new(&p->server);
	roomy(&p->client);
	roomy(&p->server);
}

void pair_link(const struct net_pair *p)
{
	link_pair(&p->client, "c0", &p->server, "s0");
	address(&p->client, "c0", p->n, 1);
	address(&p->server, "s0", p->n, 2);
}

void pair_new(struct net_pair *p, unsigned n)
{
	pair_begin(p, n, n);
	pair_link(p);
}

static void gateway(const struct ns *ns, unsigned n, unsigned end)
{
	char text[64];

	snprintf(text, sizeof text, "10.77.%u.%u", n, end);
	link_route(ns, "0.0.0.0/0", text);
	snprintf(text, sizeof text, "fd77:%u::%u", n, end);
	link_route(ns, "::/0", text);
}

/* Until both ends have said nothing for a second: what the kernel says of the groups it joins
 * comes late on a busy machine, and would be in the interfaces' counts. 20 s at most. */
static void settle(const struct net_pair *p)
{
	struct link_counters was[2] = { { 0 } }, is[2];

	for (int same = 0, i = 0; same < 10 && i < 200; i++) {
		link_counters(&p->client, "c0", &is[0]);
		link_counters(&p->server, "s0", &is[1]);
		same = memcmp(is, was, sizeof is) ? 0 : same + 1;
		memcpy(was, is, sizeof was);
		usleep(100000);
	}
}

void pair_new_routed(struct net_pair *p, unsigned n, const struct ns *router)
{
	pair_begin(p, n, n + 1);
	p->router = router;
	link_pair(&p->client, "c0", router, "r0");
	link_pair(router, "r1", &p->server, "s0");
	address(&p->client, "c0", n, 1);
	address(router, "r0", n, 9);
	address(router, "r1", n + 1, 9);
	address(&p->server, "s0", n + 1, 2);
	gateway(&p->client, n, 9);
	gateway(&p->server, n + 1, 9);
	ns_sysctl(router, "ipv4/ip_forward", "1");
	ns_sysctl(router, "ipv6/conf/all/forwarding", "1");
	settle(p);
}

void pair_free(struct net_pair *p)
{
	ns_free(&p->client);
	ns_free(&p->server);
}

uint64_t pair_l3(const struct net_pair *p, uint64_t bytes, uint64_t packets)
{
	return p->merging ? bytes : bytes - 14 * packets;
}

void pair_offload(struct net_pair *p, enum offload how)
{
	p->merging = how == OFFLOAD_MERGE;
	link_offload(&p->client, "c0", how == OFFLOAD_ON, how != OFFLOAD_OFF);
	link_offload(&p->server, "s0", how == OFFLOAD_ON, how != OFFLOAD_OFF);
	if (!p->router)
		return;
	link_offload(p->router, "r0", how == OFFLOAD_ON, how != OFFLOAD_OFF);
	link_offload(p->router, "r1", how == OFFLOAD_ON, how != OFFLOAD_OFF);
}

socklen_t pair_address(const struct net_pair *p, int family, unsigned end, uint16_t port,
                       struct sockaddr_storage *ret)
{
	unsigned n = end == 2 ? p->server_n : p->n;
	char text[64];

	memset(ret, 0, sizeof *ret);
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		snprintf(text, sizeof text, "10.77.%u.%u", n, end);
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, text, &in->sin_addr);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	snprintf(text, sizeof text, "fd77:%u::%u", n, end);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	inet_pton(AF_INET6, text, &in6->sin6_addr);
	return sizeof *in6;
}
