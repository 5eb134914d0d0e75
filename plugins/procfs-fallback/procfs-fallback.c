/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procfs-fallback: page cache, I/O, memory and flows where BPF is not to be had. It stands
 * in for the topics "io" and "memory", from /proc and the cgroup file systems alone, and
 * for "flow" (flow.c).
 *
 * Happy path: every interval, for each topic wanted: some processes, the devices;
 * vmstat, meminfo and PSI; some cgroups. All of it bounded in time (procfs.h).
 * Failure modes: what cannot be read has no value, and the rest goes on; only no
 * memory, or no /proc at all, fails the tick.
 * Threads: the host's loop.
 */
#include "procfs.h"
#include <string.h>

#define LOOK_NS 1000000000ull

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct procfs, interval_ns, "interval", "10s",
	                     "How often /proc is read", .min = 1e9, .max = 3600e9),
	WEIR_OPTION_STRING(struct procfs, proc, "proc", "/proc",
	                   "Where procfs is mounted: a host's own, seen from a container, say",
	                   .flags = WEIR_OPTION_PATH),
	/* 512 processes take some 3 ms, and a tick may take 10 */
	WEIR_OPTION_UINT(struct procfs, max_processes, "max_processes", "512",
	                 "Processes read in one interval; with more, a pass over all takes several",
	                 .unit = "processes", .min = 1, .max = PROCFS_MAX_TASKS),
	WEIR_OPTION_UINT(struct procfs, top, "top", "20",
	                 "Busiest processes that get series and records of their own",
	                 .unit = "processes", .min = 0, .max = PROCFS_MAX_TOP),
	WEIR_OPTION_BOOL(struct procfs, partitions, "partitions", "false",
	                 "Report partitions beside whole disks"),
	WEIR_OPTION_BOOL(struct procfs, cgroups, "cgroups", "true", "Report cgroups"),
	/* 21 series each: a third of what a plugin may have */
	WEIR_OPTION_UINT(struct procfs, max_cgroups, "max_cgroups", "64",
	                 "Cgroups that are followed; those near the root come first",
	                 .unit = "cgroups", .min = 1, .max = PROCFS_MAX_CGROUPS),
	/* a container in Kubernetes is at depth 4 */
	WEIR_OPTION_ENUM(struct procfs, flow_from, "flow.from", "auto packet diag proc", "auto",
	                 "Where flows come from; auto: the first that works of diag, packet, proc"),
	WEIR_OPTION_DURATION(struct procfs, flow_interval_ns, "flow.interval", "5s",
	                     "How often the counts of sockets are read", .min = 1e8, .max = 3600e9),
	/* 30 000 sockets and their flows are some 15 MiB of the 100 that a plugin may have */
	WEIR_OPTION_UINT(struct procfs, flow_max, "flow.max_flows", "32768",
	                 "Flows followed at a time, and sockets", .unit = "flows", .min = 64,
	                 .max = 1048576),
	WEIR_OPTION_UINT(struct procfs, cgroup_depth, "cgroup_depth", "4",
	                 "How deep below the root cgroups are followed", .unit = "levels",
	                 .min = 0, .max = 16),
};

#define METRIC_ROW(id, n, t, u, l, h) [id] = { .name = (n), .type = (t), .unit = (u), .labels = (l), .help = (h) },
static const struct weir_metric metrics[] = { PROCFS_METRICS(METRIC_ROW) };

/* ---- what the other files use ------------------------------------------------- */

void procfs_put(struct weir_plugin *p, enum procfs_metric m, bool present, double value,
                const char *a, const char *b, const char *c)
{
	const char *const labels[] = { a, b, c, NULL };
	struct weir_series *series = p->host->series(p, m, labels);

	if (present)
		p->host->series_set(series, value);
	else
		p->host->series_absent(series);
}

void procfs_put_at(struct weir_plugin *p, struct weir_series **at, enum procfs_metric m,
                   double value, const char *a, const char *b, const char *c)
{
	const char *const labels[] = { a, b, c, NULL };

	if (!*at)
		*at = p->host->series(p, m, labels);
	p->host->series_set(*at, value);
}

void procfs_free_series(struct weir_plugin *p, struct weir_series **series, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (series[i])
			p->host->series_free(series[i]);
		series[i] = NULL;
	}
}

ssize_t procfs_read(struct weir_plugin *p, const char *name)
{
	struct procfs *s = weir_state(p);
	char path[PROCFS_PATH];
	int n = snprintf(path, sizeof path, "%s/%s", s->proc, name);

	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	return p->host->read_file(p, path, s->text, PROCFS_TEXT);
}

/* ---- the source ----------------------------------------------------------------- */

static int probe(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	char path[PROCFS_PATH], byte[16];
	int n = snprintf(path, sizeof path, "%s/vmstat", s->proc);
	ssize_t len;

	if (n < 0 || (size_t)n > sizeof path / 2)
		return weir_fail(p, -ENAMETOOLONG, "option proc is longer than %zu bytes: give a shorter path",
		                 sizeof path / 2);
	len = p->host->read_file(p, path, byte, sizeof byte);
	if (len < 0)
		return weir_fail(p, (int)len, "cannot read %s (%s): mount procfs there, or set the option proc",
		                 path, strerror((int)-len));
	return 0;
}

static void switch_off(struct weir_plugin *p, bool io, bool memory)
{
	struct procfs *s = weir_state(p);

	if (io && s->io_on) {
		s->io_on = false;
		procfs_scan_off(p);
		procfs_devices_off(p);
	}
	if (memory && s->memory_on) {
		s->memory_on = false;
		procfs_memory_off(p);
	}
	if (!s->io_on && !s->memory_on) {
		procfs_cgroups_off(p);
		weir_free(p, s->text);
		s->text = NULL;
	}
}

static void stop(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	p->host->timer_stop(s->look);
	s->look = NULL;
	procfs_flow_off(p);
	switch_off(p, true, true);
}

static int tick(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	uint64_t now = weir_now(p);
	/* Sooner than its time: what is wanted has changed, or another is about to start. */
	bool early = s->ticked_ns && now - s->ticked_ns < s->interval_ns - s->interval_ns / 50;

	bool io = p->host->topic_wanted(p, "io"), memory = p->host->topic_wanted(p, "memory");
	int err = 0, e;

	s->ticked_ns = now;
	switch_off(p, !io, !memory);
	if (p->host->topic_wanted(p, "flow"))
		err = procfs_flow_on(p, early);
	else
		procfs_flow_off(p);
	if (!io && !memory)
		return err;
	if (!s->text)
		s->text = weir_alloc(p, PROCFS_TEXT);
	if (!s->text)
		return weir_fail(p, -ENOMEM, "no memory to read %s into", s->proc);
	s->io_on = io;
	s->memory_on = memory;
	if (io && (e = procfs_scan(p)))
		err = e;
	if (io && (e = procfs_devices(p)))
		err = e;
	if (memory && (e = procfs_memory(p)))
		err = e;
	if (s->cgroups && (e = procfs_cgroups(p, memory, io)))
		err = e;
	return err;
}

/* Sooner than the next tick: connections are short. */
static void look(struct weir_plugin *p, void *arg)
{
	struct procfs *s = arg;

	if (!s->flow && p->host->topic_wanted(p, "flow"))
		procfs_flow_on(p, false); /* what fails is said by the tick */
}

/* The first reading: what the first tick compares with. */
static int start(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	int rc = tick(p);

	if (!rc)
		s->look = p->host->timer_start(p, LOOK_NS, LOOK_NS, look, s);
	else
		stop(p);
	return rc;
}

static const struct weir_source sources[] = {
	{ .name = "procfs", .quality = "approx", .probe = probe, .start = start, .stop = stop,
	  .tick = tick,
	  .doc = "/proc and the cgroup file systems: byte counts of system calls and disks, not of pages",
	  .interval_offset = offsetof(struct procfs, interval_ns) },
};

WEIR_PLUGIN(
	.name = "procfs-fallback", .version = "1.0.0", .kind = WEIR_COLLECTOR,
	.doc = "I/O, page cache, memory and flows from /proc, cgroups and netlink, where BPF is not to be had",
	.topics = "io memory flow", .fallback_for = "io memory flow",
	.needs = WEIR_CAP_NET_ADMIN | WEIR_CAP_NET_RAW | WEIR_CAP_SYS_PTRACE | WEIR_CAP_DAC_READ_SEARCH,
	.state_size = sizeof(struct procfs),
	.options = WEIR_TABLE(options), .metrics = WEIR_TABLE(metrics), .sources = WEIR_TABLE(sources),
	.schemas = WEIR_TABLE(procfs_schemas), .queries = WEIR_TABLE(procfs_queries),
	.fini = stop);
