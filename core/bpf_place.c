/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are attached at a place: at a cgroup, or at network interfaces.
 *
 * Cgroup programs go to the root of the cgroup v2 hierarchy that is visible here, as links.
 * Programs of tc go to each interface that the plugin names: as tcx links (Linux 6.6,
 * e420bed02507), else as filters (bpf_tc.c). Links end with the process, whatever ends it.
 * The list of interfaces stays while a program is shed, and is gone when it is detached.
 * Failure modes: no cgroup v2, no right, no such interface; each says so in the row's error.
 * Thread: the host's, like all of struct weir__bpf.
 */
#include "bpf_priv.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/host.h>

/* linux/bpf.h since 6.6; this may be built with older headers. */
#define TCX_BEFORE  (1u << 3)
#define TCX_AFTER   (1u << 4)

/* Interfaces of one program: a node with 1000 pods has as many veths; four times that. */
#define TARGETS_MAX 4096

struct weir__bpf_target {
	int ifindex;
	uint32_t flags;      /* enum weir_attach_flags and the priority */
	int link_fd;         /* tcx, or -1 */
	uint32_t handle;     /* of the filter, or 0 */
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

/* The mount that begins at the top of the hierarchy as far as it is visible here, else any. */
static int find_root(FILE *mountinfo, char path[512])
{
	char line[1024], root[512], point[512];
	int rc = -ENOENT;

	while (fgets(line, sizeof line, mountinfo)) {
		/* 36 35 98:0 /root /mount/point options... - cgroup2 ... */
		if (!strstr(line, " - cgroup2 ") || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2)
			continue;
		if (rc || !strcmp(root, "/"))
			snprintf(path, 512, "%s", point);
		if (!strcmp(root, "/"))
			return 0;
		rc = 0;
	}
	return rc;
}

int weir__cgroup_root(bool *ret_whole)
{
	char path[512];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct stat st;
	int fd;

	if (!f)
		return -errno;
	fd = find_root(f, path);
	fclose(f);
	if (fd)
		return fd;
	unescape(path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The inode is the id: of the root, 1 (kernfs_create_root). */
	*ret_whole = !fstat(fd, &st) && st.st_ino == 1;
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
	bool whole;
	int root = weir__cgroup_root(&whole), rc = 0;

	if (root == -ENOENT)
		weir__bpf_say(s->pub.error, "%.60s needs cgroup v2, which is not mounted: "
		              "mount -t cgroup2 none /sys/fs/cgroup/unified", s->pub.variant);
	else if (root < 0)
		weir__bpf_say(s->pub.error, "%.60s: the root of cgroup v2 does not open: %s",
		              s->pub.variant, strerror(-root));
	if (root < 0)
		return root;
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
		.type = t->flags & WEIR_ATTACH_EGRESS ? WEIR__TCX_EGRESS : WEIR__TCX_INGRESS,
		.flags = t->flags & WEIR_ATTACH_LAST ? TCX_AFTER : TCX_BEFORE,
	};
	int fd;

	if (weir__bpf_no_tcx)
		return -EINVAL;
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof attr);
	return fd < 0 ? -errno : fd;
}

static struct weir__tc_place place_of(struct weir__bpf *b, const struct program_state *s,
                                      const struct weir__bpf_target *t)
{
	uint32_t priority = t->flags >> WEIR_ATTACH_PRIORITY_SHIFT;

	return (struct weir__tc_place){ .ifindex = t->ifindex, .egress = t->flags & WEIR_ATTACH_EGRESS,
		.priority = priority ? priority : 1, .row = (uint32_t)(s - b->programs) };
}

static bool is_attached(const struct weir__bpf_target *t)
{
	return t->link_fd >= 0 || t->handle;
}

static int target_attach(struct weir__bpf *b, struct program_state *s, struct weir__bpf_target *t)
{
	struct weir__tc_place at = place_of(b, s, t);
	int rc = tcx_link(weir__bpf_program_fd(s), t);

	if (rc >= 0) {
		t->link_fd = rc;
		return 0;
	}
	/* EINVAL: a kernel that does not know the type. */
	if (rc == -EINVAL)
		rc = weir__tc_attach(&b->tc, &at, weir__bpf_program_fd(s), &t->handle);
	if (rc)
		weir__bpf_say(s->pub.error, "%.60s does not attach at interface %d: %s%s", s->pub.variant,
		              t->ifindex, strerror(-rc), rc == -EPERM ? " (needs CAP_NET_ADMIN: run as root)"
		              : rc == -EBUSY ? " (an ingress qdisc is in the place of clsact)" : "");
	return rc;
}

static void target_detach(struct weir__bpf *b, struct program_state *s, struct weir__bpf_target *t)
{
	struct weir__tc_place at = place_of(b, s, t);

	if (t->link_fd >= 0)
		close(t->link_fd);
	t->link_fd = -1;
	if (t->handle)
		weir__tc_detach(&at, t->handle);
	t->handle = 0;
}

/* Attached: at one interface at least. */
static void note_attached(struct program_state *s)
{
	s->pub.attached = false;
	for (size_t i = 0; i < s->target_count; i++)
		s->pub.attached = s->pub.attached || is_attached(&s->targets[i]);
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
	int rc;

	if (s->target_count == TARGETS_MAX)
		return -ENOSPC;
	tmp = weir__realloc(s->targets, (s->target_count + 1) * sizeof t);
	if (!tmp)
		return -ENOMEM;
	s->targets = tmp;
	if (s->pub.shed) {
		s->back = true;
	} else {
		rc = target_attach(b, s, &t);
		if (rc)
			return rc;
		s->pub.error[0] = 0;
	}
	s->targets[s->target_count++] = t;
	note_attached(s);
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
	note_attached(s);
	return 0;
}

int weir__bpf_targets_attach(struct weir__bpf *b, struct program_state *s)
{
	int err = 0, rc;

	for (size_t i = 0; i < s->target_count; i++) {
		struct weir__bpf_target *t = &s->targets[i];

		rc = is_attached(t) ? 0 : target_attach(b, s, t);
		/* An interface that is gone is the plugin's to notice. */
		if (rc && rc != -ENODEV && !err)
			err = rc;
	}
	note_attached(s);
	return err;
}

void weir__bpf_targets_detach(struct weir__bpf *b, struct program_state *s)
{
	for (size_t i = 0; i < s->target_count; i++)
		target_detach(b, s, &s->targets[i]);
	if (s->pub.shed)
		return; /* they come back */
	weir__bpf_targets_free(s);
}

void weir__bpf_targets_free(struct program_state *s)
{
	weir__free(s->targets);
	s->targets = NULL;
	s->target_count = 0;
}
