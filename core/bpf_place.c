/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are attached at a place: at a cgroup, or at network interfaces.
 *
 * Cgroup programs go to the root of the cgroup v2 hierarchy that is visible here, as links.
 * Programs of tc go to each interface that the plugin names: as tcx links (Linux 6.6,
 * e420bed02507), which end with the daemon; before, as filters of the clsact qdisc under a
 * handle that is ours, so that what a killed daemon left behind is replaced by the next. A
 * qdisc is removed by who made it once nobody else has filters there.
 * Thread: the host's, like all of struct weir__bpf.
 */
#include "bpf_priv.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/host.h>

/* linux/bpf.h since 6.6; this may be built with older headers. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47
#define TCX_BEFORE  (1u << 3)
#define TCX_AFTER   (1u << 4)

/* Handle of our filters: "We" and the program's row. */
#define TC_HANDLE 0x5765u

/* Interfaces of one program: a node with 1000 pods has as many veths; four times that. */
#define TARGETS_MAX 4096

struct weir__bpf_target {
	int ifindex;
	uint32_t flags;      /* enum weir_attach_flags and the priority */
	int link_fd;         /* tcx, or -1 */
	bool filter;         /* attached as a filter */
	bool qdisc;          /* clsact was made for it */
};

bool weir__bpf_no_tcx;

/* ---- cgroups --------------------------------------------------------------------------- */

/* mountinfo writes blanks, tabs, newlines and backslashes in octal. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	*to = 0;
}

int weir__cgroup_root(void)
{
	char line[1024], path[512];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int fd = -ENOENT;

	if (!f)
		return -errno;
	while (fd == -ENOENT && fgets(line, sizeof line, f)) {
		const char *type = strstr(line, " - cgroup2 ");

		/* 36 35 98:0 /root /mount/point options... */
		if (!type || sscanf(line, "%*s %*s %*s %*s %511s", path) != 1)
			continue;
		unescape(path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	fclose(f);
	return fd;
}

bool weir__bpf_is_cgroup(const char *section)
{
	return !strncmp(section, "cgroup", 6) || !strcmp(section, "sockops");
}

bool weir__bpf_is_tc(const char *section)
{
	return !strcmp(section, "tc") || !strcmp(section, "classifier");
}

int weir__bpf_attach_cgroup(struct program_state *s)
{
	int root = weir__cgroup_root(), rc = 0;

	if (root < 0) {
		weir__bpf_say(s->pub.error, root == -ENOENT
		              ? "%.60s needs cgroup v2: mount it (mount -t cgroup2 none /sys/fs/cgroup/unified)"
		              : "%.60s: cannot open the root of cgroup v2", s->pub.variant);
		return root;
	}
	if (s->adopted_fd >= 0) {
		s->link_fd = bpf_link_create(s->adopted_fd, root,
		                             bpf_program__expected_attach_type(s->prog), NULL);
		rc = s->link_fd < 0 ? -errno : 0;
	} else {
		s->link = bpf_program__attach_cgroup(s->prog, root);
		rc = s->link ? 0 : -errno;
	}
	close(root);
	return rc;
}

/* ---- tc: is a clsact in use? -------------------------------------------------------------- */

/* Does clsact have filters in this direction? Errors count as yes: then it stays. */
static bool has_filters(int ifindex, uint32_t parent)
{
	struct { struct nlmsghdr h; struct tcmsg t; } rq = {
		.h = { .nlmsg_len = sizeof rq, .nlmsg_type = RTM_GETTFILTER,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent },
	};
	_Alignas(struct nlmsghdr) char buf[8192];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct nlmsghdr *h;
	bool found = true;
	ssize_t n;

	if (fd < 0)
		return true;
	if (send(fd, &rq, sizeof rq, 0) == sizeof rq && (n = recv(fd, buf, sizeof buf, 0)) > 0) {
		h = (const struct nlmsghdr *)buf;
		found = !(NLMSG_OK(h, (size_t)n) && h->nlmsg_type == NLMSG_DONE);
	}
	close(fd);
	return found;
}

/* ---- tc: one interface ---------------------------------------------------------------------- */

static int tcx_link(int prog_fd, const struct weir__bpf_target *t)
{
	struct {
		uint32_t prog_fd, ifindex, type, flags;
		uint32_t relative, pad;
		uint64_t revision;
		char rest[64];
	} attr = {
		.prog_fd = (uint32_t)prog_fd, .ifindex = (uint32_t)t->ifindex,
		.type = t->flags & WEIR_ATTACH_EGRESS ? TCX_EGRESS : TCX_INGRESS,
		.flags = t->flags & WEIR_ATTACH_LAST ? TCX_AFTER : TCX_BEFORE,
	};
	int fd = weir__bpf_no_tcx ? -1 : (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof attr);

	return fd >= 0 ? fd : weir__bpf_no_tcx ? -EINVAL : -errno;
}

static uint32_t direction(const struct weir__bpf_target *t)
{
	return t->flags & WEIR_ATTACH_EGRESS ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

static int filter_attach(const struct program_state *s, struct weir__bpf_target *t, uint32_t row)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = t->ifindex,
	            .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = weir__bpf_program_fd(s), .flags = BPF_TC_F_REPLACE,
	            .handle = TC_HANDLE + row, .priority = t->flags >> WEIR_ATTACH_PRIORITY_SHIFT);
	int rc = bpf_tc_hook_create(&hook);

	if (rc && rc != -EEXIST)
		return rc;
	t->qdisc = !rc;
	if (!opts.priority)
		opts.priority = 1;
	hook.attach_point = direction(t);
	rc = bpf_tc_attach(&hook, &opts);
	t->filter = !rc;
	return rc;
}

/* Another filter of ours at the interface: the last one takes the qdisc away. */
static struct weir__bpf_target *heir(struct weir__bpf *b, const struct weir__bpf_target *t)
{
	for (size_t i = 0; i < b->program_count; i++)
		for (size_t j = 0; j < b->programs[i].target_count; j++) {
			struct weir__bpf_target *other = &b->programs[i].targets[j];

			if (other != t && other->ifindex == t->ifindex && other->filter)
				return other;
		}
	return NULL;
}

static void filter_detach(struct weir__bpf *b, struct weir__bpf_target *t, uint32_t row)
{
	struct weir__bpf_target *next = t->qdisc ? heir(b, t) : NULL;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = t->ifindex, .attach_point = direction(t));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE + row,
	            .priority = t->flags >> WEIR_ATTACH_PRIORITY_SHIFT);

	if (!opts.priority)
		opts.priority = 1;
	if (t->filter)
		bpf_tc_detach(&hook, &opts); /* gone with its interface: no matter */
	t->filter = false;
	if (next) {
		next->qdisc = true;
		t->qdisc = false;
	}
	if (!t->qdisc || has_filters(t->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) ||
	    has_filters(t->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
	t->qdisc = false;
}

static int target_attach(struct weir__bpf *b, struct program_state *s, struct weir__bpf_target *t)
{
	int fd = tcx_link(weir__bpf_program_fd(s), t);

	if (fd >= 0) {
		t->link_fd = fd;
		return 0;
	}
	/* EINVAL: a kernel that does not know the type. */
	return fd == -EINVAL ? filter_attach(s, t, (uint32_t)(s - b->programs)) : fd;
}

static void target_detach(struct weir__bpf *b, struct program_state *s, struct weir__bpf_target *t)
{
	if (t->link_fd >= 0)
		close(t->link_fd);
	t->link_fd = -1;
	filter_detach(b, t, (uint32_t)(s - b->programs));
}

/* ---- tc: all interfaces of a program --------------------------------------------------------- */

static struct weir__bpf_target *find_target(struct program_state *s, int ifindex, uint32_t flags)
{
	for (size_t i = 0; i < s->target_count; i++)
		if (s->targets[i].ifindex == ifindex &&
		    !((s->targets[i].flags ^ flags) & WEIR_ATTACH_EGRESS))
			return &s->targets[i];
	return NULL;
}

static int add_target(struct weir__bpf *b, struct program_state *s, int ifindex, uint32_t flags)
{
	struct weir__bpf_target t = { .ifindex = ifindex, .flags = flags, .link_fd = -1 }, *tmp;
	int rc = 0;

	if (s->target_count == TARGETS_MAX)
		return -ENOSPC;
	tmp = weir__realloc(s->targets, (s->target_count + 1) * sizeof t);
	if (!tmp)
		return -ENOMEM;
	s->targets = tmp;
	if (!s->pub.shed)
		rc = target_attach(b, s, &t);
	if (rc) {
		weir__bpf_say(s->pub.error, "%.60s does not attach at interface %d: %s", s->pub.variant,
		              ifindex, strerror(-rc));
		filter_detach(b, &t, (uint32_t)(s - b->programs));
		return rc;
	}
	s->targets[s->target_count++] = t;
	s->pub.attached = !s->pub.shed;
	return 0;
}

int weir__bpf_attach_at(struct weir__bpf *b, const char *program, int ifindex, uint32_t flags, bool on)
{
	struct program_state *s = weir__bpf_find(b, program);
	struct weir__bpf_target *t;

	if (!s || !s->prog || !weir__bpf_is_tc(bpf_program__section_name(s->prog)))
		return -ENOENT;
	if (ifindex <= 0)
		return -EINVAL;
	t = find_target(s, ifindex, flags);
	if (on)
		return t ? 0 : add_target(b, s, ifindex, flags);
	if (!t)
		return 0;
	target_detach(b, s, t);
	*t = s->targets[--s->target_count];
	s->pub.attached = s->target_count > 0 && !s->pub.shed;
	return 0;
}

int weir__bpf_targets_attach(struct weir__bpf *b, struct program_state *s)
{
	int err = 0, rc;

	for (size_t i = 0; i < s->target_count; i++) {
		struct weir__bpf_target *t = &s->targets[i];

		if (t->link_fd >= 0 || t->filter)
			continue;
		rc = target_attach(b, s, t);
		err = err ? err : rc;
	}
	return err;
}

void weir__bpf_targets_detach(struct weir__bpf *b, struct program_state *s)
{
	for (size_t i = 0; i < s->target_count; i++)
		target_detach(b, s, &s->targets[i]);
	if (s->pub.shed)
		return; /* they come back */
	weir__free(s->targets);
	s->targets = NULL;
	s->target_count = 0;
}
