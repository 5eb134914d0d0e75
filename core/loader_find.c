/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where plugins are: NAME.so in the configured directories, else in "plugins"
 * beside the program (a build tree, an unpacked archive), then where `make
 * install` puts them.
 *
 * Failure: a directory that cannot be read counts as empty, since several are
 * looked through and the loader says why a file is refused. -ENOMEM.
 * Main thread.
 */
#include "loader.h"
#include "loader_check.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More files than any installation has; ends the listing of a wrong directory. */
#define MAX_LISTED 1024

/* The i-th directory to look in; NULL after the last. buf: PATH_MAX bytes. */
static const char *directory(const struct weir_strings *dirs, size_t i, char *buf)
{
	ssize_t n;
	char *slash;

	if (dirs && dirs->count)
		return i < dirs->count ? dirs->items[i] : NULL;
	if (i == 1)
		return WEIR_PLUGIN_DIR;
	if (i > 1)
		return NULL;
	n = readlink("/proc/self/exe", buf, PATH_MAX - sizeof("/plugins"));
	if (n <= 0)
		return "./plugins";
	buf[n] = 0;
	slash = strrchr(buf, '/');
	strcpy(slash ? slash : buf, "/plugins");
	return buf;
}

int weir__find_plugin(const struct weir_strings *dirs, const char *name, char *path, size_t size)
{
	char buf[PATH_MAX];
	const char *dir;

	if (!weir__is_plugin_name(name)) /* also: no way out of the directory */
		return -ENOENT;
	for (size_t i = 0; (dir = directory(dirs, i, buf)); i++) {
		int n = snprintf(path, size, "%s/%s.so", dir, name);

		if (n > 0 && (size_t)n < size && access(path, F_OK) == 0)
			return 0;
	}
	if (size)
		path[0] = 0;
	return -ENOENT;
}

bool weir__plugin_is_shipped(const char *path, const char *name)
{
	/* From the folders of the source tree, by the build. */
	static const char *const shipped[] = { WEIR_SHIPPED NULL };
	char buf[PATH_MAX], dir[PATH_MAX], here[PATH_MAX];
	const char *place;
	char *slash;
	size_t n = 0;

	while (shipped[n] && strcmp(shipped[n], name))
		n++;
	if (!shipped[n] || !realpath(path, here) || !(slash = strrchr(here, '/')))
		return false;
	*slash = 0;
	for (size_t i = 0; (place = directory(NULL, i, buf)); i++)
		if (realpath(place, dir) && !strcmp(dir, here))
			return true;
	return false;
}

struct list {
	char (*names)[32]; /* plugin names have at most 31 characters */
	size_t count;
};

static int add_name(struct list *l, const char *name)
{
	char (*names)[32];

	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->names[i], name) == 0)
			return 0;
	if (l->count % 16 == 0) {
		names = weir__realloc(l->names, (l->count + 16) * sizeof(*names));
		if (!names)
			return -ENOMEM;
		l->names = names;
	}
	strcpy(l->names[l->count++], name);
	return 0;
}

static int list_directory(struct list *l, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return 0;
	while (r == 0 && l->count < MAX_LISTED && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		char name[64];

		if (len < 4 || len >= sizeof(name) || strcmp(e->d_name + len - 3, ".so") != 0)
			continue;
		memcpy(name, e->d_name, len - 3);
		name[len - 3] = 0;
		if (weir__is_plugin_name(name))
			r = add_name(l, name);
	}
	closedir(d);
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int weir__list_plugins(const struct weir_strings *dirs, char ***ret_names)
{
	struct list l = { 0 };
	char buf[PATH_MAX], **names = NULL;
	const char *dir;
	int r = 0;

	for (size_t i = 0; r == 0 && (dir = directory(dirs, i, buf)); i++)
		r = list_directory(&l, dir);
	/* one block: the pointers, then what they point at */
	if (r == 0 && !(names = weir__alloc((l.count + 1) * sizeof(*names) + l.count * sizeof(*l.names))))
		r = -ENOMEM;
	if (r == 0) {
		char (*text)[32] = (void *)(names + l.count + 1);

		if (l.count)
			qsort(l.names, l.count, sizeof(*l.names), compare);
		for (size_t i = 0; i < l.count; i++)
			names[i] = strcpy(text[i], l.names[i]);
		names[l.count] = NULL;
		*ret_names = names;
	}
	weir__free(l.names);
	return r;
}
