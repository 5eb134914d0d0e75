/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups: memory, I/O and pressure of up to max_cgroups of them, v1, v2 or both
 * at once (hybrid: memory and blkio in v1, pressure only in v2; a cgroup has the
 * same path in each, which is how systemd and container runtimes set it up).
 *
 * Happy path: once a minute a tick walks the directories, breadth first, so that
 * what is near the root is known before what is deep; every other tick reads the
 * next few cgroups, round and round. Figures include the cgroups below.
 * Failure modes: a file that is not there (controller off, root of v2, old kernel)
 * leaves its figures without a value. A cgroup that has gone loses its series when
 * it is next read, and its place at the next walk. No room: counted, not tracked.
 */
#include "procfs.h"
#include <stdlib.h>
#include <string.h>

/* A walk costs a directory listing per cgroup, 30 us; new cgroups may wait. */
#define WALK_NS 60000000000ull
/* Read in one tick: up to 8 files each, about 0.1 ms. */
#define CGROUPS_PER_TICK 16
/* Some hosts have thousands of mounts; the cgroup mounts come early. */
#define MOUNTINFO_BYTES 262144

enum cg_value {
	CG_USAGE, CG_LIMIT, CG_ANON, CG_FILE, CG_SHMEM, CG_DIRTY, CG_WRITEBACK,
	CG_MAJOR, CG_REFAULT, CG_SCANNED, CG_RECLAIMED,
	CG_IO, /* the four of enum procfs_cgio_key */
	CG_VALUES = CG_IO + CGIO_KEYS,
};
#define CG_GAUGES CG_MAJOR /* those before it */
#define CG_SERIES (CG_VALUES + PSI_RESOURCES * STALL_KINDS)
#define CG_BIT(i) (1u << (i))

static const char *const v1_keys[CG_VALUES] = {
	[CG_ANON] = "total_rss", [CG_FILE] = "total_cache", [CG_SHMEM] = "total_shmem",
	[CG_DIRTY] = "total_dirty", [CG_WRITEBACK] = "total_writeback",
	[CG_MAJOR] = "total_pgmajfault", [CG_REFAULT] = "total_workingset_refault_file",
};
static const char *const v2_keys[CG_VALUES] = {
	[CG_ANON] = "anon", [CG_FILE] = "file", [CG_SHMEM] = "shmem",
	[CG_DIRTY] = "file_dirty", [CG_WRITEBACK] = "file_writeback",
	[CG_MAJOR] = "pgmajfault", [CG_REFAULT] = "workingset_refault_file",
	[CG_SCANNED] = "pgscan", [CG_RECLAIMED] = "pgsteal",
};
static const struct {
	enum procfs_metric metric;
	const char *label;
} cg_series[CG_VALUES] = {
	[CG_USAGE] = { M_CG_MEMORY, "usage" }, [CG_LIMIT] = { M_CG_MEMORY, "limit" },
	[CG_ANON] = { M_CG_MEMORY, "anon" },   [CG_FILE] = { M_CG_MEMORY, "file" },
	[CG_SHMEM] = { M_CG_MEMORY, "shmem" }, [CG_DIRTY] = { M_CG_MEMORY, "dirty" },
	[CG_WRITEBACK] = { M_CG_MEMORY, "writeback" },
	[CG_MAJOR] = { M_CG_MAJOR, NULL },     [CG_REFAULT] = { M_CG_REFAULT, NULL },
	[CG_SCANNED] = { M_CG_SCANNED, NULL }, [CG_RECLAIMED] = { M_CG_RECLAIMED, NULL },
	[CG_IO + CGIO_READ_BYTES] = { M_CG_IO_BYTES, "read" },
	[CG_IO + CGIO_WRITE_BYTES] = { M_CG_IO_BYTES, "write" },
	[CG_IO + CGIO_READS] = { M_CG_IO_OPS, "read" },
	[CG_IO + CGIO_WRITES] = { M_CG_IO_OPS, "write" },
};

struct reading {
	uint64_t at_ns;                  /* 0: none yet */
	uint32_t known;                  /* bit per value */
	uint64_t value[CG_VALUES];
	struct procfs_pressure psi[PSI_RESOURCES];
};

struct cgroup {
	char path[PROCFS_CGROUP_LEN];    /* below the mount: "" or "/a/b" */
	uint32_t depth;
	bool seen;
	struct reading last;
	struct weir_series *series[CG_SERIES];
};

struct procfs_cgroups {
	struct procfs_mounts mounts;
	uint64_t walk_ns;                /* when the next walk is due */
	uint32_t count, next, untracked;
	struct cgroup rows[];            /* max_cgroups */
};

/* ---- the walk ---------------------------------------------------------------- */

static int find_mounts(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	char path[PROCFS_PATH], *text = weir_alloc(p, MOUNTINFO_BYTES);
	ssize_t len;

	if (!text)
		return weir_fail(p, -ENOMEM, "no memory to look for cgroup mounts");
	snprintf(path, sizeof path, "%s/self/mountinfo", s->proc);
	len = p->host->read_file(p, path, text, MOUNTINFO_BYTES);
	procfs_parse_mounts(text, len > 0 ? (size_t)len : 0, &s->cg->mounts);
	weir_free(p, text);
	return 0;
}

/* The hierarchy whose directories are walked. */
static const char *walk_root(const struct procfs_mounts *m)
{
	return m->memory[0] ? m->memory : m->blkio[0] ? m->blkio : m->unified;
}

/* The row of this path, a new one if need be; marked seen. NULL: no room. */
static struct cgroup *row_of(struct procfs *s, const char *path, uint32_t depth)
{
	struct procfs_cgroups *cg = s->cg;
	struct cgroup *c = NULL;

	for (uint32_t i = 0; i < cg->count && !c; i++)
		if (!strcmp(cg->rows[i].path, path))
			c = &cg->rows[i];
	if (!c) {
		if (cg->count == s->max_cgroups)
			return NULL;
		c = &cg->rows[cg->count++];
		memset(c, 0, sizeof *c);
		strcpy(c->path, path); /* it fits: the caller made it of this size */
		c->depth = depth;
	}
	c->seen = true;
	return c;
}

static void walk_children(struct procfs *s, const struct cgroup *parent, uint16_t *queue, uint32_t *tail)
{
	char dir[PROCFS_PATH], path[PROCFS_CGROUP_LEN];
	struct procfs_cgroups *cg = s->cg;
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s%s", walk_root(&cg->mounts), parent->path);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		struct cgroup *child = NULL;
		int n;

		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		n = snprintf(path, sizeof path, "%s/%s", parent->path, e->d_name);
		if (n > 0 && (size_t)n < sizeof path)
			child = row_of(s, path, parent->depth + 1);
		if (child)
			queue[(*tail)++] = (uint16_t)(child - cg->rows);
		else
			cg->untracked++;
	}
	if (d)
		closedir(d);
}

static void sweep(struct weir_plugin *p)
{
	struct procfs_cgroups *cg = ((struct procfs *)weir_state(p))->cg;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cg->count; i++) {
		if (!cg->rows[i].seen) {
			procfs_free_series(p, cg->rows[i].series, CG_SERIES);
			continue;
		}
		if (kept != i)
			cg->rows[kept] = cg->rows[i];
		kept++;
	}
	cg->count = kept;
}

static int walk(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	struct procfs_cgroups *cg = s->cg;
	uint16_t queue[PROCFS_MAX_CGROUPS]; /* each row once */
	uint32_t head = 0, tail = 0;
	int err = walk_root(&cg->mounts)[0] ? 0 : find_mounts(p);

	if (err)
		return err;
	cg->untracked = 0;
	for (uint32_t i = 0; i < cg->count; i++)
		cg->rows[i].seen = false;
	if (walk_root(&cg->mounts)[0] && row_of(s, "", 0))
		queue[tail++] = (uint16_t)(row_of(s, "", 0) - cg->rows);
	while (head < tail) {
		const struct cgroup *parent = &cg->rows[queue[head++]];

		if (parent->depth < s->cgroup_depth)
			walk_children(s, parent, queue, &tail);
	}
	sweep(p);
	cg->walk_ns = weir_now(p) + WALK_NS;
	procfs_put(p, M_CGROUPS, true, cg->count, "tracked", NULL, NULL);
	procfs_put(p, M_CGROUPS, true, cg->untracked, "untracked", NULL, NULL);
	return 0;
}

/* ---- reading one ------------------------------------------------------------- */

/* A file of the cgroup, into s->text. */
static ssize_t read_of(struct weir_plugin *p, const char *mount, const struct cgroup *c, const char *file)
{
	struct procfs *s = weir_state(p);
	char path[PROCFS_PATH];

	if (!mount[0])
		return -ENOENT;
	snprintf(path, sizeof path, "%s%s/%s", mount, c->path, file);
	return p->host->read_file(p, path, s->text, PROCFS_TEXT);
}

static void read_value(struct weir_plugin *p, const char *mount, const struct cgroup *c,
                       const char *file, struct reading *r, enum cg_value value)
{
	struct procfs *s = weir_state(p);
	ssize_t len = read_of(p, mount, c, file);

	if (len > 0 && !procfs_parse_value(s->text, (size_t)len, &r->value[value]))
		r->known |= CG_BIT(value);
}

static void read_memory(struct weir_plugin *p, const struct cgroup *c, struct reading *r)
{
	struct procfs *s = weir_state(p);
	bool v1 = s->cg->mounts.memory[0];
	const char *mount = v1 ? s->cg->mounts.memory : s->cg->mounts.unified;
	ssize_t len;

	read_value(p, mount, c, v1 ? "memory.usage_in_bytes" : "memory.current", r, CG_USAGE);
	read_value(p, mount, c, v1 ? "memory.limit_in_bytes" : "memory.max", r, CG_LIMIT);
	/* v1 writes "no limit" as the largest multiple of a page */
	if (r->value[CG_LIMIT] > INT64_MAX / 2)
		r->known &= ~CG_BIT(CG_LIMIT);
	len = read_of(p, mount, c, "memory.stat");
	if (len > 0)
		r->known |= (uint32_t)procfs_parse_keys(s->text, (size_t)len, v1 ? v1_keys : v2_keys,
		                                        CG_VALUES, r->value);
}

static void read_blkio(struct weir_plugin *p, const struct cgroup *c, struct reading *r)
{
	static const struct {
		const char *file;
		enum procfs_cgio_key read, write;
	} files[] = {
		{ "blkio.throttle.io_service_bytes_recursive", CGIO_READ_BYTES, CGIO_WRITE_BYTES },
		{ "blkio.throttle.io_serviced_recursive", CGIO_READS, CGIO_WRITES },
	};
	struct procfs *s = weir_state(p);

	for (int i = 0; i < 2; i++) {
		ssize_t len = read_of(p, s->cg->mounts.blkio, c, files[i].file);

		if (len > 0 && procfs_parse_blkio(s->text, (size_t)len, &r->value[CG_IO + files[i].read],
		                                  &r->value[CG_IO + files[i].write]))
			r->known |= CG_BIT(CG_IO + files[i].read) | CG_BIT(CG_IO + files[i].write);
	}
}

static void read_io(struct weir_plugin *p, const struct cgroup *c, struct reading *r)
{
	struct procfs *s = weir_state(p);
	ssize_t len;

	if (s->cg->mounts.blkio[0]) {
		read_blkio(p, c, r);
		return;
	}
	len = read_of(p, s->cg->mounts.unified, c, "io.stat");
	if (len >= 0)
		r->known |= procfs_parse_io_stat(s->text, (size_t)len, &r->value[CG_IO]) << CG_IO;
}

static void read_psi(struct weir_plugin *p, const struct cgroup *c, struct reading *r)
{
	struct procfs *s = weir_state(p);
	char file[32];

	for (int i = 0; i < PSI_RESOURCES; i++) {
		ssize_t len;

		snprintf(file, sizeof file, "%s.pressure", procfs_resources[i]);
		len = read_of(p, s->cg->mounts.unified, c, file);
		if (len > 0)
			procfs_parse_pressure(s->text, (size_t)len, &r->psi[i]);
	}
}

/* ---- what becomes of it ------------------------------------------------------ */

static void show(struct weir_plugin *p, struct weir_series **at, bool known, enum procfs_metric m,
                 double value, const char *a, const char *b, const char *c)
{
	if (known)
		procfs_put_at(p, at, m, value, a, b, c);
	else if (*at)
		p->host->series_absent(*at);
}

static void publish(struct weir_plugin *p, struct cgroup *c)
{
	const struct reading *r = &c->last;
	const char *name = c->path[0] ? c->path : "/";

	for (int i = 0; i < CG_VALUES; i++)
		show(p, &c->series[i], r->known & CG_BIT(i), cg_series[i].metric, (double)r->value[i],
		     name, cg_series[i].label, NULL);
	for (int i = 0; i < PSI_RESOURCES * STALL_KINDS; i++) {
		const struct procfs_pressure *psi = &r->psi[i / STALL_KINDS];
		int kind = i % STALL_KINDS;

		show(p, &c->series[CG_VALUES + i], psi->known & 1u << kind, M_CG_PSI,
		     (double)psi->kind[kind].total_us / 1e6, name, procfs_resources[i / STALL_KINDS],
		     procfs_stall_kinds[kind]);
	}
}

static void emit_cgroup(struct weir_plugin *p, const struct cgroup *c, const struct reading *r)
{
	struct procfs *s = weir_state(p);
	const struct reading *last = &c->last;
	uint64_t v[CG_VALUES], changed = 0;

	for (int i = 0; i < CG_VALUES; i++) {
		bool both = r->known & last->known & CG_BIT(i);

		v[i] = r->known & CG_BIT(i) ? r->value[i] : 0;
		changed |= both && r->value[i] != last->value[i];
		if (i >= CG_GAUGES)
			v[i] = both ? procfs_delta(r->value[i], last->value[i]) : 0;
	}
	if (!changed)
		return;
	struct weir_procfs_cgroup e = {
		.interval_ns = r->at_ns - last->at_ns,
		.usage = v[CG_USAGE], .limit = v[CG_LIMIT], .anon = v[CG_ANON], .file = v[CG_FILE],
		.shmem = v[CG_SHMEM], .dirty = v[CG_DIRTY], .writeback = v[CG_WRITEBACK],
		.major_faults = v[CG_MAJOR], .refaulted_pages = v[CG_REFAULT],
		.scanned_pages = v[CG_SCANNED], .reclaimed_pages = v[CG_RECLAIMED],
		.read_bytes = v[CG_IO + CGIO_READ_BYTES], .write_bytes = v[CG_IO + CGIO_WRITE_BYTES],
		.reads = v[CG_IO + CGIO_READS], .writes = v[CG_IO + CGIO_WRITES],
		.unknown = CG_VALUES - (uint32_t)__builtin_popcount(r->known),
		.memory_version = s->cg->mounts.memory[0] ? 1 : 2,
	};
	snprintf(e.cgroup, sizeof e.cgroup, "%s", c->path[0] ? c->path : "/");
	weir_emit(p, PROCFS_MEMORY_CGROUP, &e, sizeof e);
}

/* Only cgroups that stalled: the others have nothing to say. */
static void emit_stall(struct weir_plugin *p, const struct cgroup *c, const struct reading *r, int res)
{
	const struct procfs_pressure *now = &r->psi[res], *last = &c->last.psi[res];
	struct weir_procfs_stall e = { .resource = (uint8_t)res };

	if (!(now->known & last->known & 1u << STALL_SOME))
		return;
	e.some_ns = 1000 * procfs_delta(now->kind[STALL_SOME].total_us, last->kind[STALL_SOME].total_us);
	if (now->known & last->known & 1u << STALL_FULL)
		e.full_ns = 1000 * procfs_delta(now->kind[STALL_FULL].total_us,
		                                last->kind[STALL_FULL].total_us);
	if (!e.some_ns)
		return;
	e.interval_ns = r->at_ns - c->last.at_ns;
	e.some_avg10 = now->kind[STALL_SOME].avg10;
	e.some_avg60 = now->kind[STALL_SOME].avg60;
	e.full_avg10 = now->kind[STALL_FULL].avg10;
	e.full_avg60 = now->kind[STALL_FULL].avg60;
	snprintf(e.cgroup, sizeof e.cgroup, "%s", c->path[0] ? c->path : "/");
	weir_emit(p, PROCFS_MEMORY_PRESSURE, &e, sizeof e);
}

static void read_one(struct weir_plugin *p, struct cgroup *c, bool memory, bool io)
{
	struct reading r = { .at_ns = weir_now(p) };
	uint32_t psi = 0;

	if (memory)
		read_memory(p, c, &r);
	if (io)
		read_io(p, c, &r);
	if (memory)
		read_psi(p, c, &r);
	for (int i = 0; i < PSI_RESOURCES; i++)
		psi |= r.psi[i].known;
	if (!r.known && !psi) { /* gone, or empty */
		procfs_free_series(p, c->series, CG_SERIES);
		memset(&c->last, 0, sizeof c->last);
		return;
	}
	if (memory && c->last.at_ns) {
		emit_cgroup(p, c, &r);
		for (int i = 0; i < PSI_RESOURCES; i++)
			emit_stall(p, c, &r, i);
	}
	c->last = r;
	publish(p, c);
}

int procfs_cgroups(struct weir_plugin *p, bool memory, bool io)
{
	struct procfs *s = weir_state(p);
	uint64_t deadline = weir_now(p) + PROCFS_CGROUP_NS;

	if (!s->max_cgroups)
		return 0;
	if (!s->cg) {
		size_t size = sizeof *s->cg + s->max_cgroups * sizeof s->cg->rows[0];

		s->cg = weir_alloc(p, size);
		if (!s->cg)
			return weir_fail(p, -ENOMEM, "no memory for the table of cgroups");
		memset(s->cg, 0, size);
	}
	if (weir_now(p) >= s->cg->walk_ns)
		return walk(p);
	for (uint32_t n = 0; n < CGROUPS_PER_TICK && n < s->cg->count; n++) {
		if (n && weir_now(p) >= deadline)
			break;
		if (s->cg->next >= s->cg->count)
			s->cg->next = 0;
		read_one(p, &s->cg->rows[s->cg->next++], memory, io);
	}
	return 0;
}

void procfs_cgroups_off(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	if (!s->cg)
		return;
	for (uint32_t i = 0; i < s->cg->count; i++)
		procfs_free_series(p, s->cg->rows[i].series, CG_SERIES);
	weir_free(p, s->cg);
	s->cg = NULL;
	procfs_put(p, M_CGROUPS, false, 0, "tracked", NULL, NULL);
	procfs_put(p, M_CGROUPS, false, 0, "untracked", NULL, NULL);
}
