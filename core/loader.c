/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader: a path to a checked descriptor.
 *
 * Happy path: resolve symlinks -> every directory from / down belongs to root or
 * to us and nobody else may write it -> the same for the file -> open it -> check
 * the open file again, its ELF header, note and descriptor's head (loader_elf.c)
 * -> dlopen /proc/self/fd/N, so that what was checked is what is mapped (a file that was
 * rewritten in its place is copied first: loader_stamp.c) ->
 * normalise (loader_copy.c) and check (loader_desc.c) the descriptor.
 *
 * Symlinks: packages install them (name.so -> name.so.1), so a path may be one.
 * It is resolved first; then both chains are checked, that of the link and that
 * of the file it leads to, and the link's owner; the file itself is opened with
 * O_NOFOLLOW. Checked from / downward, no directory can be exchanged by others
 * between its check and its use. A directory with the sticky bit that root owns
 * (/tmp) passes: others cannot replace in it what is not theirs.
 *
 * Failure: -errno, a refusal and a reason; nothing is kept but the mapping, if it
 * came to that. A library is never unloaded: its threads, timers or atexit
 * handlers may outlive every reference that we know of.
 *
 * Threads: the main thread only; the list of loaded plugins has no lock.
 */
#include "loader.h"
#include "loader_check.h"
#include "loader_elf.h"
#include "loader_stamp.h"
#include "mem.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each dlopen adds a '/' to its path (see map_library); PATH_MAX ends that. A
 * node runs some ten plugins. */
#define MAX_MAPPED 1024

struct loaded {
	struct weir__loaded pub; /* first: that is what callers hold */
	struct loaded *next;
	struct weir__stamp stamp;
	struct weir__copies copies;
};

static struct loaded *loaded_plugins;

/* ---- the file ------------------------------------------------------------- */

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

static int check_directory(const struct weir__refused *out, const char *dir)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", dir, strerror(errno));
	if (!is_ours(&st))
		return weir__refuse(out, WEIR__REFUSED_DIRECTORY, -EPERM,
		                    "%s belongs to uid %u, expected 0 or %u: chown root %s", dir,
		                    st.st_uid, geteuid(), dir);
	if ((st.st_mode & 022) && !((st.st_mode & S_ISVTX) && st.st_uid == 0))
		return weir__refuse(out, WEIR__REFUSED_DIRECTORY, -EPERM,
		                    "%s has mode %04o, others may change it: chmod go-w %s", dir,
		                    st.st_mode & 07777, dir);
	return 0;
}

/* Every directory of an absolute, resolved path, from / downward. */
static int check_directories(const struct weir__refused *out, const char *path)
{
	char dir[PATH_MAX];
	int r = check_directory(out, "/");

	for (const char *at = path; r == 0 && (at = strchr(at + 1, '/'));) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(at - path), path);
		r = check_directory(out, dir);
	}
	return r;
}

/* The directory that holds the link, and the link itself. */
static int check_link(const struct weir__refused *out, const char *path)
{
	char dir[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (lstat(path, &st) < 0)
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISLNK(st.st_mode))
		return 0;
	if (!is_ours(&st))
		return weir__refuse(out, WEIR__REFUSED_OWNER, -EPERM,
		                    "the link %s belongs to uid %u, expected 0 or %u", path,
		                    st.st_uid, geteuid());
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	else
		snprintf(dir, sizeof(dir), ".");
	if (!realpath(dir, real))
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", dir, strerror(errno));
	if (strlen(real) + 2 > sizeof(real))
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -ENAMETOOLONG, "%s: too long", dir);
	strcat(real, "/"); /* so that the last directory is looked at too */
	return check_directories(out, real);
}

static int check_stat(const struct weir__refused *out, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return weir__refuse(out, WEIR__REFUSED_NOT_REGULAR, -EINVAL,
		                    "%s has file type %06o, a regular file has %06o", path,
		                    st->st_mode & S_IFMT, S_IFREG);
	if (!is_ours(st))
		return weir__refuse(out, WEIR__REFUSED_OWNER, -EPERM,
		                    "%s belongs to uid %u, expected 0 or %u: chown root %s", path,
		                    st->st_uid, geteuid(), path);
	if (st->st_mode & 022)
		return weir__refuse(out, WEIR__REFUSED_MODE, -EPERM,
		                    "%s has mode %04o, others may write it: chmod go-w %s", path,
		                    st->st_mode & 07777, path);
	return 0;
}

/* Resolve, check, open. Returns the descriptor, with the resolved path and stat. */
static int open_checked(const struct weir__refused *out, const char *path, char *real,
                        struct stat *st)
{
	int fd, r;

	if (!realpath(path, real))
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", path, strerror(errno));
	if ((r = check_link(out, path)) < 0 || (r = check_directories(out, real)) < 0)
		return r;
	/* Look before opening: opening a device or a FIFO may do something. */
	if (lstat(real, st) < 0)
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", real, strerror(errno));
	if ((r = check_stat(out, real, st)) < 0)
		return r;
	fd = open(real, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", real, strerror(errno));
	r = fstat(fd, st) < 0 ? weir__refuse(out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", real, strerror(errno))
	                      : check_stat(out, real, st);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Everything before dlopen. Returns the descriptor. */
static int open_plugin(const struct weir__refused *out, const char *path, char *real,
                       struct stat *st, struct weir__elf_info *info)
{
	struct weir__elf_file file = { .fd = open_checked(out, path, real, st) };
	int r;

	if (file.fd < 0)
		return file.fd;
	file.size = (uint64_t)st->st_size;
	r = weir__elf_check(&file, info, out->refusal, out->reason, out->size);
	if (r < 0) {
		close(file.fd);
		return r;
	}
	return file.fd;
}

int weir__open_plugin(const char *path, int *refusal, char *reason, size_t size)
{
	struct weir__refused out = { refusal, reason, size };
	struct weir__elf_info info;
	char real[PATH_MAX];
	struct stat st;

	*refusal = WEIR__REFUSED_NONE;
	return open_plugin(&out, path, real, &st, &info);
}

int weir__load_check(const char *path, int *refusal, char *reason, size_t size)
{
	int fd = weir__open_plugin(path, refusal, reason, size);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* ---- the library ------------------------------------------------------------ */

/* The dynamic linker's words, without our /proc path and control bytes. */
static int refuse_dl(const struct weir__refused *out)
{
	const char *text = dlerror(), *at;
	int r;

	if (!text)
		text = "no reason given";
	if (strncmp(text, "/proc/self/fd", 13) == 0 && (at = strstr(text, ": ")))
		text = at + 2;
	r = weir__refuse(out, WEIR__REFUSED_DLOPEN, -ENOEXEC, "%s", text);
	for (char *c = out->reason; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return r;
}

/* glibc takes a path it has seen before for the library it loaded then, and
 * descriptor numbers come again; so each mapping's path has one more slash. */
static void *map_library(const struct weir__refused *out, int fd)
{
	static unsigned int mapped;
	char path[MAX_MAPPED + 64], slashes[MAX_MAPPED + 1];
	void *handle;

	if (mapped >= MAX_MAPPED) {
		weir__refuse(out, WEIR__REFUSED_DLOPEN, -EMFILE,
		             "%u libraries are mapped already, the most is %u: restart weir",
		             mapped, MAX_MAPPED);
		return NULL;
	}
	memset(slashes, '/', sizeof(slashes));
	snprintf(path, sizeof(path), "/proc/self/fd/%.*s%d", (int)mapped, slashes, fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		refuse_dl(out);
		return NULL;
	}
	mapped++;
	return handle;
}

/* The mapping that holds an address. */
struct range_query {
	uintptr_t address, base, end;
};

static int match_range(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range_query *q = arg;
	uintptr_t base = UINTPTR_MAX, end = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD)
			continue;
		base = from < base ? from : base;
		end = from + ph->p_memsz > end ? from + ph->p_memsz : end;
	}
	if (q->address < base || q->address >= end)
		return 0;
	q->base = base;
	q->end = end;
	return 1;
}

static int check_loaded(const struct weir__refused *out, const struct weir__elf_info *info,
                        const struct weir_plugin_desc *raw, struct loaded *l)
{
	char why[512] = "";
	int r;

	if (raw->desc_size != info->desc_size)
		return weir__refuse(out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		                    "mapped descriptor says %u bytes, the file %u", raw->desc_size,
		                    info->desc_size);
	r = weir__desc_normalise(raw, &l->pub.desc, &l->copies, why, sizeof(why));
	if (r == 0)
		r = weir__desc_check(&l->pub.desc, why, sizeof(why));
	if (r == -ENOMEM) /* nothing is wrong with the plugin */
		return weir__refuse(out, WEIR__REFUSED_NONE, r, "out of memory");
	return r < 0 ? weir__refuse(out, WEIR__REFUSED_DESCRIPTOR, r, "%s", why) : 0;
}

static int map_plugin(const struct weir__refused *out, int fd, const struct weir__elf_info *info,
                      struct loaded *l)
{
	const struct weir_plugin_desc *raw;
	struct range_query q = { 0 };
	void *handle = map_library(out, fd);

	if (!handle)
		return -ENOEXEC;
	raw = dlsym(handle, "weir_plugin");
	if (!raw)
		return weir__refuse(out, WEIR__REFUSED_NO_SYMBOL, -ENOEXEC,
		                    "the file has weir_plugin, the mapped library has not");
	q.address = (uintptr_t)raw;
	dl_iterate_phdr(match_range, &q);
	l->pub.base = q.base;
	l->pub.end = q.end;
	return check_loaded(out, info, raw, l);
}

static void free_loaded(struct loaded *l)
{
	weir__copies_free(&l->copies);
	weir__free(l);
}

/* The record of this very file, or NULL; *ret_mapped: its inode has been mapped with
 * another content. -errno: it cannot be read. */
static int find_loaded(int fd, struct weir__stamp *stamp, struct loaded **ret, bool *ret_mapped)
{
	bool hashed = false;
	int r;

	*ret = NULL;
	*ret_mapped = false;
	for (struct loaded *l = loaded_plugins; l; l = l->next) {
		if (!weir__stamp_same_inode(&l->stamp, stamp))
			continue;
		if (!weir__stamp_same(&l->stamp, stamp)) {
			r = hashed ? 0 : weir__stamp_hash(fd, stamp);
			if (r < 0)
				return r;
			hashed = true;
			if (l->stamp.hash != stamp->hash || l->stamp.size != stamp->size) {
				*ret_mapped = true;
				continue;
			}
			l->stamp = *stamp; /* touched only, or its mode changed */
		}
		*ret = l;
		return 0;
	}
	return hashed ? 0 : weir__stamp_hash(fd, stamp);
}

/* The linker knows a library by its inode: one that was rewritten in its place would be
 * taken for the old one, so a copy is mapped. */
static int map_content(const struct weir__refused *out, int fd, bool mapped, const char *path,
                       const struct weir__elf_info *info, struct loaded *l)
{
	int copy = mapped ? weir__stamp_copy(fd) : -1, r;

	if (mapped && copy < 0)
		return weir__refuse(out, WEIR__REFUSED_DLOPEN, copy, "%s was rewritten in its place and "
		                    "cannot be copied: %s", path, strerror(-copy));
	r = map_plugin(out, mapped ? copy : fd, info, l);
	if (mapped)
		close(copy);
	return r;
}

/* ret: a new record, or the one of the same file. fd stays the caller's. */
static int map_file(const struct weir__refused *out, int fd, const struct weir__elf_info *info,
                    const struct stat *st, const char *real, struct loaded **ret)
{
	struct weir__stamp stamp;
	struct loaded *l;
	bool mapped;
	int r;

	weir__stamp_of(st, &stamp);
	r = find_loaded(fd, &stamp, ret, &mapped);
	if (r < 0)
		return weir__refuse(out, WEIR__REFUSED_NOT_FOUND, r, "%s: %s", real, strerror(-r));
	if (*ret)
		return 0;
	l = weir__zalloc(sizeof(*l));
	r = l ? map_content(out, fd, mapped, real, info, l)
	      : weir__refuse(out, WEIR__REFUSED_NONE, -ENOMEM, "out of memory");
	if (r < 0) {
		if (l)
			free_loaded(l);
		return r;
	}
	snprintf(l->pub.path, sizeof(l->pub.path), "%s", real);
	l->stamp = stamp;
	l->next = loaded_plugins;
	loaded_plugins = l;
	*ret = l;
	return 0;
}

static int load_file(const struct weir__refused *out, const char *path, struct loaded **ret)
{
	struct weir__elf_info info;
	char real[PATH_MAX];
	struct stat st;
	int fd, r;

	fd = open_plugin(out, path, real, &st, &info);
	if (fd < 0)
		return fd;
	r = map_file(out, fd, &info, &st, real, ret);
	close(fd);
	return r;
}

static int check_name(const struct weir__refused *out, const struct loaded *l, const char *path,
                      const char *name)
{
	if (!name || !strcmp(name, l->pub.desc.name))
		return 0;
	return weir__refuse(out, WEIR__REFUSED_NAME, -EINVAL,
	                    "%s holds the plugin \"%s\", \"%s\" was asked for", path,
	                    l->pub.desc.name, weir__shown(name));
}

int weir__load_fd(int fd, const char *path, const char *name, struct weir__loaded **ret,
                  int *refusal, char *reason, size_t size)
{
	struct weir__refused out = { refusal, reason, size };
	struct weir__elf_file file = { .fd = fd };
	struct weir__elf_info info;
	struct loaded *l = NULL;
	struct stat st;
	int r;

	*refusal = WEIR__REFUSED_NONE;
	if (fstat(fd, &st))
		return weir__refuse(&out, WEIR__REFUSED_NOT_FOUND, -errno, "%s: %s", path, strerror(errno));
	file.size = (uint64_t)st.st_size;
	r = weir__elf_check(&file, &info, refusal, reason, size);
	if (r >= 0)
		r = map_file(&out, fd, &info, &st, path, &l);
	if (r >= 0)
		r = check_name(&out, l, path, name);
	if (r >= 0)
		*ret = &l->pub;
	return r;
}

int weir__load(const char *path, const char *name, struct weir__loaded **ret,
               int *refusal, char *reason, size_t size)
{
	struct weir__refused out = { refusal, reason, size };
	struct loaded *l = NULL;
	int r;

	*refusal = WEIR__REFUSED_NONE;
	if (size)
		reason[0] = 0;
	r = load_file(&out, path, &l);
	if (r < 0)
		return r;
	r = check_name(&out, l, path, name);
	if (r < 0)
		return r;
	*ret = &l->pub;
	return 0;
}
