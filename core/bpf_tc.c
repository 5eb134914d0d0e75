/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of tc, where the kernel has no tcx links (before 6.6): bpf programs at the clsact
 * qdisc of an interface. Unlike a link a filter outlives its process, so each carries in its
 * handle whose it is:
 *
 *     31-24 'W'  |  23 clsact was made for it  |  22-5 the owner's number  |  4-0 program's row
 *
 * The owner holds a socket of that number: an abstract name, which is of the network namespace
 * that the interfaces are of, and which the kernel takes back whatever ends the process. Before
 * an owner attaches its first filter it removes those whose number nobody holds, at all
 * interfaces, and a clsact that was made for them once it is empty.
 *
 * Failure modes: errors of netlink; another user of the machine may hold a number, and then
 * leftovers stay. Between the look that finds a clsact empty and its removal somebody else's
 * filter may come: it is lost, as with any tool. Thread: the host's.
 */
#include "bpf_priv.h"
#include "bpf_tc.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MARK        0x57000000u
#define MARK_MASK   0xff000000u
#define MADE        0x00800000u
#define OWNER_SHIFT 5
#define OWNER_MASK  0x3ffffu
_Static_assert(WEIR_MAX_PROGRAMS == 1 << OWNER_SHIFT, "the row fits below the owner");

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define EGRESS  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

/* Filters of dead owners removed at one interface and direction in one go: a daemon has two or
 * three there, and died a few times at most before somebody looked. */
#define LEFT_MAX 32
/* A number that is taken is drawn again: of 262144 a machine uses a handful. */
#define DRAWS 16

/* ---- netlink -------------------------------------------------------------------------------- */

typedef void (*seen_fn)(void *arg, const struct tcmsg *t, const char *kind);

static void see(const struct nlmsghdr *h, seen_fn seen, void *arg)
{
	const struct tcmsg *t = NLMSG_DATA(h);
	size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof *t);
	const struct rtattr *a = (const struct rtattr *)((const char *)t + NLMSG_ALIGN(sizeof *t));
	char kind[32] = "";

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == TCA_KIND)
			snprintf(kind, sizeof kind, "%.*s", (int)RTA_PAYLOAD(a), (const char *)RTA_DATA(a));
	seen(arg, t, kind);
}

/* One answer of a dump. 1: there is more; 0: that was all; -errno. */
static int see_all(const struct nlmsghdr *h, size_t n, seen_fn seen, void *arg)
{
	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))
			       ? ((const struct nlmsgerr *)NLMSG_DATA(h))->error : -EBADMSG;
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct tcmsg)))
			see(h, seen, arg);
	}
	return 1;
}

/* type: RTM_GETTFILTER of a parent, or RTM_GETQDISC. */
static int dump(uint16_t type, int ifindex, uint32_t parent, seen_fn seen, void *arg)
{
	struct { struct nlmsghdr h; struct tcmsg t; } rq = {
		.h = { .nlmsg_len = sizeof rq, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent },
	};
	_Alignas(struct nlmsghdr) char buf[32768]; /* what the kernel makes an answer of at most */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc = 1;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, &rq, sizeof rq, 0) != sizeof rq)
		rc = -errno;
	while (rc == 1) {
		n = recv(fd, buf, sizeof buf, 0);
		rc = n > 0 ? see_all((const struct nlmsghdr *)buf, (size_t)n, seen, arg)
			: n < 0 ? -errno : -EBADMSG;
	}
	close(fd);
	return rc;
}

/* ---- owners --------------------------------------------------------------------------------- */

/* The socket of a number, or -errno: -EADDRINUSE, somebody holds it. */
static int hold(uint32_t number)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "weir.tc.%05x", number);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)n))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static bool dead(uint32_t number)
{
	int fd = hold(number);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- what is at an interface ----------------------------------------------------------------- */

struct found {
	size_t any;                       /* filters of whomever */
	bool made;                        /* clsact was made for one of Weir's */
	bool clsact;                      /* from RTM_GETQDISC */
	int ifindex;
	size_t count;                     /* of Weir's */
	struct { uint32_t handle, priority; } ours[LEFT_MAX];
};

static void see_filter(void *arg, const struct tcmsg *t, const char *kind)
{
	struct found *f = arg;

	f->any++;
	if ((t->tcm_handle & MARK_MASK) != MARK || strcmp(kind, "bpf"))
		return;
	f->made = f->made || (t->tcm_handle & MADE);
	if (f->count == LEFT_MAX)
		return;
	f->ours[f->count].handle = t->tcm_handle;
	f->ours[f->count++].priority = TC_H_MAJ(t->tcm_info) >> 16;
}

static void see_qdisc(void *arg, const struct tcmsg *t, const char *kind)
{
	struct found *f = arg;

	if (t->tcm_ifindex == f->ifindex && t->tcm_parent == TC_H_CLSACT && !strcmp(kind, "clsact"))
		f->clsact = true;
}

/* Both directions. An error counts as a filter: then nothing is taken away. */
static struct found look(int ifindex)
{
	struct found f = { .ifindex = ifindex };

	if (dump(RTM_GETTFILTER, ifindex, INGRESS, see_filter, &f) ||
	    dump(RTM_GETTFILTER, ifindex, EGRESS, see_filter, &f))
		f.any++;
	return f;
}

static void destroy_if_empty(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (!look(ifindex).any)
		bpf_tc_hook_destroy(&hook);
}

static int remove_filter(int ifindex, bool egress, uint32_t handle, uint32_t priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
	            .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);

	return bpf_tc_detach(&hook, &opts);
}

static void sweep(int ifindex)
{
	bool made = false;

	for (int egress = 0; egress < 2; egress++) {
		struct found f = { .ifindex = ifindex };

		if (dump(RTM_GETTFILTER, ifindex, egress ? EGRESS : INGRESS, see_filter, &f))
			continue; /* no clsact, most likely */
		for (size_t i = 0; i < f.count; i++) {
			if (!dead(f.ours[i].handle >> OWNER_SHIFT & OWNER_MASK))
				continue;
			remove_filter(ifindex, egress, f.ours[i].handle, f.ours[i].priority);
			made = made || (f.ours[i].handle & MADE);
		}
	}
	if (made)
		destroy_if_empty(ifindex);
}

void weir__tc_sweep(void)
{
	struct if_nameindex *all = if_nameindex();

	for (size_t i = 0; all && all[i].if_index; i++)
		sweep((int)all[i].if_index);
	if (all)
		if_freenameindex(all);
}

/* ---- attach, detach --------------------------------------------------------------------------- */

static int own(struct weir__tc_owner *o)
{
	int fd = -EADDRINUSE;

	if (o->fd >= 0)
		return 0;
	for (int i = 0; i < DRAWS && fd == -EADDRINUSE; i++) {
		if (getrandom(&o->number, sizeof o->number, 0) != sizeof o->number)
			return -errno;
		o->number &= OWNER_MASK;
		fd = hold(o->number);
	}
	if (fd < 0)
		return fd;
	weir__tc_sweep();
	o->fd = fd;
	return 0;
}

void weir__tc_disown(struct weir__tc_owner *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}

int weir__tc_attach(struct weir__tc_owner *o, const struct weir__tc_place *at, int prog_fd, uint32_t *ret_handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = at->ifindex,
	            .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .priority = at->priority);
	struct found f = { .ifindex = at->ifindex };
	bool made;
	int rc = own(o);

	if (!rc)
		rc = bpf_tc_hook_create(&hook);
	if (rc && rc != -EEXIST)
		return rc;
	made = !rc;
	/* An ingress qdisc stands in the same place, and would take a filter of egress for one
	 * of its own. */
	if (!made && at->egress && !dump(RTM_GETQDISC, at->ifindex, 0, see_qdisc, &f) && !f.clsact)
		return -EBUSY;
	opts.handle = MARK | (made || look(at->ifindex).made ? MADE : 0) | o->number << OWNER_SHIFT | at->row;
	hook.attach_point = at->egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
	rc = bpf_tc_attach(&hook, &opts);
	if (!rc)
		*ret_handle = opts.handle;
	else if (made)
		destroy_if_empty(at->ifindex);
	return rc;
}

void weir__tc_detach(const struct weir__tc_place *at, uint32_t handle)
{
	/* It may be gone with its interface, or by somebody else's hand. */
	remove_filter(at->ifindex, at->egress, handle, at->priority);
	if (handle & MADE)
		destroy_if_empty(at->ifindex);
}
