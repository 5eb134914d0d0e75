/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters: comm, pid, cgroup and device from the options into constants of the
 * BPF object, so that a filter that is not set costs nothing and one that is set
 * is decided once per task. A name that cannot be resolved is an error at start.
 */
#include "iomonitor.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/statfs.h>
#include <unistd.h>

#define CGROUP2_MAGIC 0x63677270

static int set(struct weir_plugin *p, const char *name, const void *value, size_t size)
{
	return p->host->bpf_set_const(p, name, value, size);
}

static int comm_filter(struct weir_plugin *p, const struct weir_strings *list)
{
	struct weir_io_comm c[WEIR_IO_MAX_FILTER] = { 0 };
	uint32_t n = (uint32_t)list->count;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		const char *s = list->items[i];
		size_t len = strlen(s);

		if (!len)
			return weir_fail(p, -EINVAL, "comm: empty name");
		c[i].len = sizeof c[i].name;
		if (s[len - 1] == '*')
			c[i].len = (uint32_t)--len;
		/* The kernel keeps 15 characters of a name: compare those. */
		if (len > sizeof c[i].name - 1)
			len = sizeof c[i].name - 1;
		if (c[i].len > len && c[i].len != sizeof c[i].name)
			c[i].len = (uint32_t)len;
		memcpy(c[i].name, s, len);
	}
	rc = set(p, "io_comms", c, sizeof c);
	return rc ? rc : set(p, "io_comm_count", &n, sizeof n);
}

static int pid_filter(struct weir_plugin *p, const struct weir_strings *list)
{
	uint32_t pids[WEIR_IO_MAX_FILTER] = { 0 }, n = (uint32_t)list->count;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		char *end;
		unsigned long v = strtoul(list->items[i], &end, 10);

		if (!isdigit((unsigned char)list->items[i][0]) || *end || !v || v > INT_MAX)
			return weir_fail(p, -EINVAL, "pid: \"%.40s\" is not a process id",
			                 list->items[i]);
		pids[i] = (uint32_t)v;
	}
	rc = set(p, "io_pids", pids, sizeof pids);
	return rc ? rc : set(p, "io_pid_count", &n, sizeof n);
}

/* The id is the inode number of the directory, the level its depth. */
static int find_cgroup(struct weir_plugin *p, const char *name, struct weir_io_cgroup *ret)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[PATH_MAX];
	struct statfs fs;
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		if (statfs(roots[i], &fs) || (unsigned long)fs.f_type != CGROUP2_MAGIC)
			continue;
		snprintf(path, sizeof path, "%s/%s", roots[i], name + (name[0] == '/'));
		if (stat(path, &st) || !S_ISDIR(st.st_mode))
			return weir_fail(p, -ENOENT, "cgroup: no %s; give a path below %s", path, roots[i]);
		ret->id = st.st_ino;
		ret->level = 0;
		for (const char *s = path + strlen(roots[i]); *s; s++)
			if (*s == '/' && s[1] && s[1] != '/')
				ret->level++;
		return 0;
	}
	return weir_fail(p, -ENOTSUP, "cgroup: this host has no cgroup v2, which alone can be "
	                 "filtered in the kernel; filter by comm or pid instead");
}

static int cgroup_filter(struct weir_plugin *p, const struct weir_strings *list)
{
	struct weir_io_cgroup c[WEIR_IO_MAX_FILTER] = { 0 };
	uint32_t n = (uint32_t)list->count;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		rc = find_cgroup(p, list->items[i], &c[i]);
		if (rc)
			return rc;
	}
	rc = set(p, "io_cgroups", c, sizeof c);
	return rc ? rc : set(p, "io_cgroup_count", &n, sizeof n);
}

/* "vda", "vda1" or "254:0" to the kernel's number; 0 if there is none. */
static uint32_t find_device(struct weir_plugin *p, const char *name)
{
	char path[PATH_MAX], text[32];
	unsigned int major_no, minor_no;
	ssize_t n;

	if (sscanf(name, "%u:%u", &major_no, &minor_no) == 2)
		return major_no << 20 | minor_no;
	if (strchr(name, '/'))
		name = strrchr(name, '/') + 1;
	snprintf(path, sizeof path, "/sys/class/block/%s/dev", name);
	n = p->host->read_file(p, path, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return sscanf(text, "%u:%u", &major_no, &minor_no) == 2 ? major_no << 20 | minor_no : 0;
}

struct dev_list {
	uint32_t dev[WEIR_IO_MAX_FILTER], count;
};

static int add_device(struct dev_list *l, uint32_t dev)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->dev[i] == dev)
			return 0;
	if (l->count == WEIR_IO_MAX_FILTER)
		return -E2BIG;
	l->dev[l->count++] = dev;
	return 0;
}

/* A disk stands for its partitions too; a partition's requests are its disk's. */
static int add_relatives(struct weir_plugin *p, const char *name, struct dev_list *fs,
                         struct dev_list *disks)
{
	char path[PATH_MAX], real[PATH_MAX], *slash;
	struct dirent *e;
	uint32_t dev;
	int rc = 0;
	DIR *d;

	dev = find_device(p, name);
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", dev >> 20, dev & 0xfffff);
	if (!realpath(path, real))
		return -ENOENT;
	d = opendir(real);
	while (d && !rc && (e = readdir(d))) {
		snprintf(path, sizeof path, "%.3000s/%s/partition", real, e->d_name);
		if (e->d_name[0] != '.' && !access(path, F_OK))
			rc = add_device(fs, find_device(p, e->d_name));
	}
	if (d)
		closedir(d);
	snprintf(path, sizeof path, "%.3000s/partition", real);
	if (!access(path, F_OK)) {
		slash = strrchr(real, '/');
		*slash = 0;
		dev = find_device(p, strrchr(real, '/') + 1);
	}
	return rc ? rc : add_device(disks, dev);
}

static int device_filter(struct weir_plugin *p, const struct weir_strings *list)
{
	struct dev_list fs = { .count = 0 }, disks = { .count = 0 };
	int rc = 0;

	for (size_t i = 0; i < list->count && !rc; i++) {
		uint32_t dev = find_device(p, list->items[i]);

		if (!dev)
			return weir_fail(p, -ENODEV, "device: no \"%.60s\"; give a name such as sda, "
			                 "or major:minor", list->items[i]);
		rc = add_device(&fs, dev);
		if (!rc)
			rc = add_relatives(p, list->items[i], &fs, &disks);
	}
	if (rc)
		return weir_fail(p, rc, "device: more than %d devices with their partitions",
		                 WEIR_IO_MAX_FILTER);
	rc = set(p, "io_devices", fs.dev, sizeof fs.dev);
	rc = rc ? rc : set(p, "io_device_count", &fs.count, sizeof fs.count);
	rc = rc ? rc : set(p, "io_disks", disks.dev, sizeof disks.dev);
	return rc ? rc : set(p, "io_disk_count", &disks.count, sizeof disks.count);
}

int io_filters(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	int rc = 0;

	if (m->comms.count)
		rc = comm_filter(p, &m->comms);
	if (!rc && m->pids.count)
		rc = pid_filter(p, &m->pids);
	if (!rc && m->cgroups_wanted.count)
		rc = cgroup_filter(p, &m->cgroups_wanted);
	if (!rc && m->devices_wanted.count)
		rc = device_filter(p, &m->devices_wanted);
	return rc;
}
