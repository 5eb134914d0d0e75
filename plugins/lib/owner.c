/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups by id and by process, with a cache.
 *
 * Happy path: the id is cached. Else open_by_handle_at(2) opens the cgroup of that id below
 * the cgroup2 mount, and the link in /proc/self/fd says its path.
 * Failure modes: no CAP_DAC_READ_SEARCH, a filter of system calls, or a kernel before 5.5: the
 * process's own cgroup, if its inode is the id; else a walk over the mount, at most once a
 * second, which caches all it meets. A cgroup that is gone is remembered as unknown. No memory:
 * not cached, and not found.
 * Invariants: a cached id never changes its path: kernfs ids are not used again, and cgroup v2
 * has no rename.
 * Threads: one at a time.
 */
#include "owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define CACHE_MAX 1024u     /* some 460 KiB; more cgroups than that on a node are rare */
#define CACHE_FIRST 64u
#define SLOTS 2048u
#define NONE UINT16_MAX
#define WALK_DIRS 1024      /* some 5 ms: a callback may take 10 */
#define WALK_DEPTH 16       /* a container in Kubernetes is at depth 4 */
#define TEXT 16384          /* /proc/PID/cgroup: 14 hierarchies at most, paths of 1 KiB */
#define FILEID_KERNFS_ 0xfe /* linux/exportfs.h, not for user space */

struct entry {
	uint64_t id;
	uint16_t next;          /* of the same slot */
	uint16_t newer, older;  /* by use */
	bool known;
	struct owner_cgroup g;
};

struct owner_cache {
	struct pkt_memory m;
	struct entry *entry;
	uint16_t slot[SLOTS];
	uint16_t newest, oldest;
	unsigned count, room;
	char proc[PATH_MAX / 8], mount[PATH_MAX / 8];
	int mount_fd;           /* -1: no cgroup v2 */
	bool handles;           /* open_by_handle_at() may work */
	uint64_t walked_s;      /* when the last walk was */
	struct owner_cgroup by_pid;
	char text[TEXT];
};

/* ---- the cache ---------------------------------------------------------------- */

static uint16_t *slot_of(struct owner_cache *c, uint64_t id)
{
	return &c->slot[(id * 0x9e3779b97f4a7c15ull) >> 53];
}
_Static_assert(SLOTS == 1u << (64 - 53), "slot_of() takes the upper bits");

static void unlink_use(struct owner_cache *c, uint16_t i)
{
	struct entry *e = &c->entry[i];

	*(e->newer == NONE ? &c->newest : &c->entry[e->newer].older) = e->older;
	*(e->older == NONE ? &c->oldest : &c->entry[e->older].newer) = e->newer;
}

static void link_use(struct owner_cache *c, uint16_t i)
{
	struct entry *e = &c->entry[i];

	e->newer = NONE;
	e->older = c->newest;
	*(c->newest == NONE ? &c->oldest : &c->entry[c->newest].newer) = i;
	c->newest = i;
}

static struct entry *find(struct owner_cache *c, uint64_t id)
{
	for (uint16_t i = *slot_of(c, id); i != NONE; i = c->entry[i].next)
		if (c->entry[i].id == id) {
			unlink_use(c, i);
			link_use(c, i);
			return &c->entry[i];
		}
	return NULL;
}

/* A free place; NONE: no memory. */
static uint16_t make_room(struct owner_cache *c)
{
	uint16_t i, *at;

	if (c->count == c->room && c->room < CACHE_MAX) {
		unsigned room = c->room ? c->room * 2 : CACHE_FIRST;
		struct entry *e = c->m.realloc(c->m.arg, c->entry, room * sizeof *e);

		if (e) {
			c->entry = e;
			c->room = room;
		}
	}
	if (c->count < c->room)
		return (uint16_t)c->count++;
	if (c->oldest == NONE)
		return NONE;
	i = c->oldest;
	unlink_use(c, i);
	for (at = slot_of(c, c->entry[i].id); *at != i;)
		at = &c->entry[*at].next;
	*at = c->entry[i].next;
	return i;
}

static struct entry *remember(struct owner_cache *c, uint64_t id, const struct owner_cgroup *g)
{
	uint16_t i = make_room(c), *slot;
	struct entry *e;

	if (i == NONE)
		return NULL;
	e = &c->entry[i];
	e->id = id;
	e->known = g != NULL;
	if (g)
		e->g = *g;
	slot = slot_of(c, id);
	e->next = *slot;
	*slot = i;
	link_use(c, i);
	return e;
}

static void forget_all(struct owner_cache *c)
{
	memset(c->slot, 0xff, sizeof c->slot);
	c->newest = c->oldest = NONE;
	c->count = 0;
}

/* ---- where things are --------------------------------------------------------- */

static ssize_t read_text(struct owner_cache *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (len < sizeof c->text && (n = read(fd, c->text + len, sizeof c->text - len)) > 0)
		len += (size_t)n;
	close(fd);
	return n < 0 ? -EIO : (ssize_t)len;
}

static int open_mount(struct owner_cache *c, const char *mount)
{
	size_t len = strlen(mount);
	struct statfs fs;

	if (len >= sizeof c->mount)
		return -ENAMETOOLONG;
	if (c->mount_fd >= 0)
		close(c->mount_fd);
	memcpy(c->mount, mount, len + 1);
	c->mount_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Other file systems have handles of other kinds, and refuse these as stale. */
	/* In a process of its own the filter of system calls kills for handles, which go past
	 * directories: there the slower ways must do. */
	c->handles = c->mount_fd >= 0 && !fstatfs(c->mount_fd, &fs) &&
	             fs.f_type == CGROUP2_SUPER_MAGIC && prctl(PR_GET_SECCOMP) <= 0;
	return 0;
}

int owner_cache_new(const struct pkt_memory *m, struct owner_cache **ret)
{
	struct owner_cache *c = m->realloc(m->arg, NULL, sizeof *c);
	char mount[sizeof c->mount];
	ssize_t len;

	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof *c);
	c->m = *m;
	c->mount_fd = -1;
	strcpy(c->proc, "/proc");
	forget_all(c);
	len = read_text(c, "/proc/self/mountinfo");
	if (len > 0 && owner_parse_mounts(c->text, (size_t)len, mount, sizeof mount))
		open_mount(c, mount);
	*ret = c;
	return 0;
}

void owner_cache_free(struct owner_cache *c)
{
	struct pkt_memory m;

	if (!c)
		return;
	m = c->m;
	if (c->mount_fd >= 0)
		close(c->mount_fd);
	if (c->entry)
		m.realloc(m.arg, c->entry, 0);
	m.realloc(m.arg, c, 0);
}

int owner_cache_paths(struct owner_cache *c, const char *proc, const char *mount)
{
	if (proc && strlen(proc) >= sizeof c->proc)
		return -ENAMETOOLONG;
	if (proc)
		memcpy(c->proc, proc, strlen(proc) + 1);
	forget_all(c);
	c->walked_s = 0;
	return mount ? open_mount(c, mount) : 0;
}

/* ---- from an id, or a process, to a path -------------------------------------- */

static bool by_handle(struct owner_cache *c, uint64_t id, struct owner_cgroup *ret)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof id];
	} u = { .h = { .handle_bytes = sizeof id, .handle_type = FILEID_KERNFS_ } };
	char link[64], path[PATH_MAX];
	size_t skip = strlen(c->mount);
	ssize_t len;
	int fd;

	if (!c->handles)
		return false;
	memcpy(u.h.f_handle, &id, sizeof id);
	fd = open_by_handle_at(c->mount_fd, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		c->handles = errno == ESTALE || errno == ENOENT || errno == EMFILE || errno == ENFILE;
		return false;
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof path - 1);
	close(fd);
	if (len < 0)
		return false;
	path[len] = '\0';
	if (strncmp(path, c->mount, skip))
		return false; /* above what is mounted here */
	owner_parse_path(path[skip] ? path + skip : "/", ret);
	return true;
}

static bool by_pid(struct owner_cache *c, uint32_t pid, struct owner_cgroup *ret, bool *ret_v2)
{
	char path[sizeof c->proc + 32];
	ssize_t len;

	if (!pid)
		return false;
	snprintf(path, sizeof path, "%s/%u/cgroup", c->proc, pid);
	len = read_text(c, path);
	return len > 0 && owner_parse_lines(c->text, (size_t)len, ret, ret_v2);
}

static bool has_id(struct owner_cache *c, const struct owner_cgroup *g, uint64_t id)
{
	struct stat st;

	return c->mount_fd >= 0 && g->path[0] == '/' &&
	       !fstatat(c->mount_fd, g->path[1] ? g->path + 1 : ".", &st, 0) && st.st_ino == id;
}

struct walk {
	struct owner_cache *c;
	int left;
	char path[sizeof((struct owner_cgroup *)0)->path];
};

/* Takes the descriptor. */
static void walk_dir(struct walk *w, int fd, size_t len, int depth)
{
	DIR *d = fdopendir(fd);
	struct owner_cgroup g;
	struct dirent *e;

	if (!d) {
		close(fd);
		return;
	}
	while (w->left > 0 && (e = readdir(d))) {
		int n, sub;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		w->left--;
		n = snprintf(w->path + len, sizeof w->path - len, "/%s", e->d_name);
		if (n < 0 || (size_t)n >= sizeof w->path - len)
			continue;
		owner_parse_path(w->path, &g);
		if (!find(w->c, e->d_ino))
			remember(w->c, e->d_ino, &g);
		if (depth < WALK_DEPTH && (sub = openat(dirfd(d), e->d_name,
		                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
			walk_dir(w, sub, len + (size_t)n, depth + 1);
	}
	closedir(d);
}

/* False: it is too soon for another one. */
static bool walk(struct owner_cache *c)
{
	struct walk w = { .c = c, .left = WALK_DIRS };
	struct timespec now;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (c->mount_fd < 0 || c->walked_s == (uint64_t)now.tv_sec + 1)
		return false;
	c->walked_s = (uint64_t)now.tv_sec + 1;
	fd = openat(c->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		walk_dir(&w, fd, 0, 0);
	return fd >= 0;
}

/* The cgroup of this id, cached; NULL: unknown. */
static struct entry *look_up(struct owner_cache *c, uint64_t id, uint32_t pid)
{
	struct owner_cgroup g;
	struct entry *e;
	bool v2;

	if (by_handle(c, id, &g) || (by_pid(c, pid, &g, &v2) && v2 && has_id(c, &g, id)))
		return remember(c, id, &g);
	if (c->handles)
		return remember(c, id, NULL); /* the kernel said that there is none */
	if (!walk(c))
		return NULL;
	e = find(c, id);
	return e ? e : remember(c, id, NULL);
}

const struct owner_cgroup *owner_cgroup(struct owner_cache *c, uint64_t id, uint32_t pid)
{
	struct entry *e = id ? find(c, id) : NULL;
	bool v2;

	if (id && !e)
		e = look_up(c, id, pid);
	if (e && e->known && (e->g.container[0] || e->g.pod[0] || e->g.unit[0] || !pid))
		return &e->g;
	/* Where ids can be held against paths, a path of cgroup v2 was, and is another's. */
	if (by_pid(c, pid, &c->by_pid, &v2) && (!v2 || !id || c->mount_fd < 0))
		return &c->by_pid;
	return e && e->known ? &e->g : NULL;
}
