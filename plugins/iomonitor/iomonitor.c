/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iomonitor: page cache and I/O, exact, by process and cgroup, with BPF.
 *
 * Here: the tables the host reads (options, programs, source) and the lifecycle.
 * prepare() turns the options into constants and switches of the object, start()
 * maps the counters, tick() takes an interval. What may fail: a filter that does
 * not resolve, a kernel that refuses the needed programs, memory; each says so.
 */
#include "iomonitor.h"

#include <string.h>
#include <unistd.h>

WEIR_BPF_DECLARE(iomonitor);

/* io_get_pages in one window of this length per interval: 1 in 50. */
#define WINDOW_NS 20000000ull

#define O struct iomonitor
static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(O, interval_ns, "interval", "1s",
		"How often rates, tables and records are made", .min = 1e8, .max = 3.6e12),
	WEIR_OPTION_BOOL(O, latency, "latency", "true",
		"Follow every read and write call: latency, operations, exact lookups"),
	WEIR_OPTION_ENUM(O, fadvise, "fadvise", "auto on off", "auto",
		"Count fadvise64 calls; auto: as long as the calls are followed for latency"),
	WEIR_OPTION_ENUM(O, lookups, "lookups", "auto every sampled off", "auto",
		"Where lookups come from with latency off: every hooks each read, auto samples"),
	WEIR_OPTION_DURATION(O, slow_ns, "slow", "10ms",
		"Report each read or write that takes longer as an event; 0 reports none"),
	WEIR_OPTION_BOOL(O, fadvise_events, "fadvise_events", "false",
		"Report each fadvise64 call as an event"),
	WEIR_OPTION_LIST(O, comms, "comm", "",
		"Only processes or threads with these names; a name may end in *",
		.max = WEIR_IO_MAX_FILTER),
	WEIR_OPTION_LIST(O, pids, "pid", "", "Only these processes", .max = WEIR_IO_MAX_FILTER),
	WEIR_OPTION_LIST(O, cgroups_wanted, "cgroup", "",
		"Only processes in or below these cgroups (paths, cgroup v2)",
		.max = WEIR_IO_MAX_FILTER),
	WEIR_OPTION_LIST(O, devices_wanted, "device", "",
		"Only files and requests on these block devices, partitions included",
		.max = WEIR_IO_MAX_FILTER),
	WEIR_OPTION_UINT(O, max_tasks, "max_tasks", "4096",
		"Tasks followed at a time; 192 bytes of kernel memory each", .unit = "tasks",
		.min = 64, .max = 1048576, .flags = WEIR_OPTION_POWER_OF_TWO),
	WEIR_OPTION_UINT(O, max_processes, "max_processes", "1024",
		"Processes in the table; others are counted in the totals only",
		.unit = "processes", .min = 16, .max = 65536),
};
#undef O

#define PROGRAM(n, f, pr, k, d) { .name = n, .flags = f, .priority = pr, .kinds = k, .doc = d }
#define KIND(k) (1u << (k))
static const struct weir_program programs[] = {
	PROGRAM("io_add", WEIR_PROGRAM_REQUIRED, 9, 0, "Pages entering the cache: fills and misses"),
	PROGRAM("io_enter", 0, 5, 0, "Start of a read or write: latency, operations, lookups"),
	PROGRAM("io_exit", 0, 5, KIND(WEIR_IO_SLOW) | KIND(WEIR_IO_FADVISE),
	        "End of a read or write: latency, operations, lookups"),
	PROGRAM("io_exit_task", 0, 9, 0, "End of a task: without it, ended processes are not counted"),
	PROGRAM("io_rename", 0, 9, KIND(WEIR_IO_TARGET), "Renames: without it, tables show the name at first sight"),
	PROGRAM("io_delete", 0, 4, 0, "Pages leaving the cache: evictions"),
	PROGRAM("io_fault", 0, 4, 0, "Faults on mapped files (6.12)"),
	PROGRAM("io_map_pages", 0, 3, 0, "Faults on mapped files served from the cache (6.12)"),
	PROGRAM("io_sync_ra", 0, 6, 0, "What io_uring asks for (6.18): its misses"),
	PROGRAM("io_async_ra", 0, 6, 0, "What io_uring asks for (6.18): its misses"),
	{ .name = "io_uring_done", .variants = "io_uring_done io_uring_done_old", .priority = 6,
	  .doc = "Reads through io_uring" },
	PROGRAM("io_get_pages", WEIR_PROGRAM_MANUAL, 1, 0, "Lookups while latency is off (6.12)"),
	PROGRAM("io_rq_insert", 0, 2, 0, "Queue time of block devices"),
	PROGRAM("io_rq_issue", 0, 4, 0, "Latency of block devices"),
	PROGRAM("io_rq_complete", 0, 4, 0, "Latency of block devices"),
	PROGRAM("io_shrink", 0, 4, 0, "Pages scanned and reclaimed"),
	PROGRAM("io_direct_begin", 0, 4, 0, "Direct reclaim: stalls"),
	PROGRAM("io_direct_end", 0, 4, KIND(WEIR_IO_RECLAIM_STALL), "Direct reclaim: stalls"),
	PROGRAM("io_memcg_begin", 0, 4, 0, "Reclaim at a cgroup's limit: stalls"),
	PROGRAM("io_memcg_end", 0, 4, KIND(WEIR_IO_RECLAIM_STALL), "Reclaim at a cgroup's limit: stalls"),
};

/* ---- source bpf -------------------------------------------------------------------- */

static int set_consts(struct weir_plugin *p, struct iomonitor *m)
{
	const struct weir_host *h = p->host;
	bool cast = h->kernel_has(p, "bpf_rdonly_cast", NULL), calls = m->calls;
	bool advice = m->fadvise_events;
	uint32_t mask = (uint32_t)m->max_tasks - 1;
	uint32_t shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	int rc = h->bpf_set_const(p, "weir_has_cast", &cast, sizeof cast);

	rc = rc ? rc : h->bpf_set_const(p, "io_calls", &calls, sizeof calls);
	rc = rc ? rc : h->bpf_set_const(p, "io_fadvise_records", &advice, sizeof advice);
	rc = rc ? rc : h->bpf_set_const(p, "io_slot_mask", &mask, sizeof mask);
	rc = rc ? rc : h->bpf_set_const(p, "io_page_shift", &shift, sizeof shift);
	rc = rc ? rc : h->bpf_set_const(p, "io_slow_ns", &m->slow_ns, sizeof m->slow_ns);
	rc = rc ? rc : h->bpf_set_entries(p, "io_cpu", h->cpus(p));
	rc = rc ? rc : h->bpf_set_entries(p, "io_tasks", (uint32_t)m->max_tasks);
	return rc ? rc : h->bpf_set_entries(p, "io_used", ((uint32_t)m->max_tasks + 63) / 64);
}

static int prepare(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	int rc;

	m->calls = m->latency || m->fadvise == IO_ON;
	m->lookup_way = m->lookups == IO_LOOKUPS_AUTO ? IO_LOOKUPS_SAMPLED : m->lookups;
	rc = set_consts(p, m);
	if (rc)
		return weir_fail(p, rc, "the BPF object does not take its settings: %s; reinstall Weir",
		                 strerror(-rc));
	p->host->bpf_enable(p, "io_enter", m->calls);
	p->host->bpf_enable(p, "io_exit", m->calls);
	p->host->bpf_enable(p, "io_get_pages", !m->calls && m->lookup_way != IO_LOOKUPS_OFF);
	return io_filters(p);
}

static void window_end(struct weir_plugin *p, void *arg)
{
	struct iomonitor *m = arg;
	uint64_t took = weir_now(p) - m->window_start_ns, pages;

	p->host->timer_stop(m->window);
	m->window = NULL;
	p->host->bpf_attach(p, "io_get_pages", false);
	io_sum(m);
	pages = m->total.got_lookup_pages - m->window_lookups;
	m->window_lookups = m->total.got_lookup_pages;
	/* The window stands for the whole interval. */
	if (took)
		m->sampled_pages += (uint64_t)((double)pages * (double)m->interval_ns / (double)took);
}

static void window_begin(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	if (!m->sampling || m->window || p->host->bpf_attach(p, "io_get_pages", true))
		return;
	m->window_start_ns = weir_now(p);
	m->window = p->host->timer_start(p, WINDOW_NS, 0, window_end, m);
	if (!m->window)
		p->host->bpf_attach(p, "io_get_pages", false);
}

/* How lookups are known, and what to call that. Before 6.12 nothing tells which
 * page a fault on a mapped file asked for: all rates are approximate. */
static void choose_lookups(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	bool faults = p->host->bpf_attached(p, "io_fault");

	m->quality = faults ? "" : "approx";
	p->host->source_approx(p, !faults || !m->calls);
	m->sampling = false;
	m->window = NULL;
	if (m->calls)
		return;
	m->quality = "approx";
	if (m->lookup_way == IO_LOOKUPS_OFF)
		return;
	if (!p->host->kernel_has(p, "btf_trace_mm_filemap_get_pages", NULL)) {
		weir_log(p, WEIR_WARN, "this kernel has no mm_filemap_get_pages: with latency off "
		         "there is no lookup count and no miss rate; set latency: true for both");
		m->lookup_way = IO_LOOKUPS_OFF;
		return;
	}
	if (m->lookup_way == IO_LOOKUPS_EVERY && !p->host->bpf_attach(p, "io_get_pages", true))
		return; /* a read that waits for a page on its way may be left out */
	m->sampling = true;
	m->quality = "sampled";
}

static int map_counters(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	const struct weir_host *h = p->host;
	size_t size;

	m->cpu = h->bpf_mmap(p, "io_cpu", &m->cpu_size, &m->cpus);
	m->tasks = h->bpf_mmap(p, "io_tasks", &size, &m->task_count);
	m->used = h->bpf_mmap(p, "io_used", &size, &m->used_words);
	if (!m->cpu || !m->tasks || !m->used || m->cpu_size < sizeof *m->cpu)
		return weir_fail(p, -ENOMEM, "cannot map the counters: more memory, or a smaller max_tasks");
	m->processes_fd = h->bpf_map(p, "io_processes");
	m->devices_fd = h->bpf_map(p, "io_disk_stats");
	m->hints_fd = h->bpf_map(p, "io_hints");
	m->reclaimers_fd = h->bpf_map(p, "io_reclaimers");
	return 0;
}

static int start(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	int rc = map_counters(p);

	if (rc)
		return rc;
	memset(&m->last, 0, sizeof m->last);
	memset(&m->delta, 0, sizeof m->delta);
	m->sampled_pages = m->sampled_last = m->window_lookups = 0;
	m->interval_taken_ns = 0;
	m->taken_ns = weir_now(p);
	rc = io_processes_init(p);
	if (!rc)
		rc = io_disks_init(p);
	if (rc) {
		io_processes_fini(p);
		return rc;
	}
	choose_lookups(p);
	if (m->calls && (!p->host->bpf_attached(p, "io_enter") || !p->host->bpf_attached(p, "io_exit")))
		weir_log(p, WEIR_WARN, "system calls cannot be followed here: no latency, operations "
		         "and lookups; misses and fills are exact");
	io_targets_begin(p);
	window_begin(p);
	return 0;
}

static void stop(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	if (m->window)
		p->host->timer_stop(m->window);
	m->window = NULL;
	m->cpu = NULL;
	m->tasks = NULL;
	m->used = NULL;
	io_processes_fini(p);
	io_disks_fini(p);
}

static int record(struct weir_plugin *p, struct weir_record *r)
{
	if (r->kind == WEIR_IO_TARGET)
		io_targets_appeared(p);
	return WEIR_RECORD_PASS;
}

static int tick(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	uint64_t now = weir_now(p), since = m->taken_ns;

	if (!m->cpu)
		return 0;
	m->interval_taken_ns = now - since;
	m->taken_ns = now;
	io_sum(m);
	io_difference(m);
	io_processes_take(p);
	io_disks_read(p);
	io_disks_difference(m);
	io_reclaimers_take(p, since);
	io_hints_prune(p);
	io_targets_check(p);
	io_publish_rates(p);
	io_records(p);
	window_begin(p);
	return 0;
}

static int collect(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	if (!m->cpu)
		return 0;
	io_sum(m);
	io_disks_read(p);
	io_publish(p);
	return 0;
}

static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "Tracepoints of the page cache, system calls, block layer and reclaim",
	  .quality = "", WEIR_BPF_OBJECT(iomonitor), .programs = WEIR_TABLE(programs),
	  .prepare = prepare, .start = start, .stop = stop, .record = record, .tick = tick,
	  .interval_offset = offsetof(struct iomonitor, interval_ns) },
};

WEIR_PLUGIN(.name = "iomonitor", .version = "1.0.0", .kind = WEIR_COLLECTOR,
	.topics = "io memory", .doc = "Page cache hits and misses, I/O latency and reclaim, by process",
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON, .state_size = sizeof(struct iomonitor),
	.options = WEIR_TABLE(options), .schemas = WEIR_TABLE(io_schemas),
	.metrics = WEIR_TABLE(io_metrics),
	.queries = { io_queries, 4, sizeof(struct weir_query) },
	.sources = WEIR_TABLE(sources), .collect = collect)
;
