/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the whole machine: /proc/vmstat, /proc/meminfo and /proc/pressure.
 *
 * Happy path: read, take deltas, publish, one record of each kind. A figure that
 * this kernel does not have has no series, and 0 in the record, counted there as
 * unknown. Kernel counters are published as they are, so they count since boot.
 * Failure modes: a file that is not there (no PSI before 4.20, or off) is skipped.
 * vmstat sums over CPUs, so a counter may seem to go back for a moment: the highest
 * value seen counts.
 */
#include "procfs.h"
#include <string.h>
#include <unistd.h>

#define SOURCE "procfs"
#define BIT(i) (1ull << (i))

const char *const procfs_resources[PSI_RESOURCES] = { "cpu", "io", "memory" };
const char *const procfs_stall_kinds[STALL_KINDS] = { "some", "full" };

/* ---- vmstat ------------------------------------------------------------------ */

static const char *const vm_keys[VM_VALUES] = {
	[VM_IN] = "pgpgin", [VM_OUT] = "pgpgout",
	[VM_SWAP_IN] = "pswpin", [VM_SWAP_OUT] = "pswpout",
	[VM_FAULTS] = "pgfault", [VM_MAJOR] = "pgmajfault",
	[VM_REFAULT_FILE] = "workingset_refault_file",
	[VM_REFAULT_ANON] = "workingset_refault_anon",
	[VM_SCAN_KSWAPD] = "pgscan_kswapd", [VM_SCAN_DIRECT] = "pgscan_direct",
	[VM_SCAN_KHUGEPAGED] = "pgscan_khugepaged", [VM_SCAN_PROACTIVE] = "pgscan_proactive",
	[VM_STEAL_KSWAPD] = "pgsteal_kswapd", [VM_STEAL_DIRECT] = "pgsteal_direct",
	[VM_STEAL_KHUGEPAGED] = "pgsteal_khugepaged", [VM_STEAL_PROACTIVE] = "pgsteal_proactive",
	[VM_STEAL_FILE] = "pgsteal_file",
	[VM_STALLS] = "allocstall*", /* one per zone */
	[VM_OOM] = "oom_kill",
	[VM_FILE_PAGES] = "nr_file_pages", [VM_DIRTY] = "nr_dirty", [VM_WRITEBACK] = "nr_writeback",
};
#define VM_GAUGES (BIT(VM_FILE_PAGES) | BIT(VM_DIRTY) | BIT(VM_WRITEBACK))

static const struct {
	enum procfs_vm value;
	enum procfs_metric metric;
	double scale;
	const char *label;
} vm_series[] = {
	{ VM_IN, M_VM_IN, 1024, NULL },          { VM_OUT, M_VM_OUT, 1024, NULL },
	{ VM_SWAP_IN, M_VM_SWAP, 1, "in" },      { VM_SWAP_OUT, M_VM_SWAP, 1, "out" },
	{ VM_FAULTS, M_VM_FAULTS, 1, NULL },     { VM_MAJOR, M_VM_MAJOR, 1, NULL },
	{ VM_REFAULT_FILE, M_VM_REFAULT, 1, "file" },
	{ VM_REFAULT_ANON, M_VM_REFAULT, 1, "anon" },
	{ VM_SCAN_KSWAPD, M_VM_SCANNED, 1, "kswapd" },
	{ VM_SCAN_DIRECT, M_VM_SCANNED, 1, "direct" },
	{ VM_SCAN_KHUGEPAGED, M_VM_SCANNED, 1, "khugepaged" },
	{ VM_SCAN_PROACTIVE, M_VM_SCANNED, 1, "proactive" },
	{ VM_STEAL_KSWAPD, M_VM_RECLAIMED, 1, "kswapd" },
	{ VM_STEAL_DIRECT, M_VM_RECLAIMED, 1, "direct" },
	{ VM_STEAL_KHUGEPAGED, M_VM_RECLAIMED, 1, "khugepaged" },
	{ VM_STEAL_PROACTIVE, M_VM_RECLAIMED, 1, "proactive" },
	{ VM_STALLS, M_VM_STALLS, 1, NULL },     { VM_OOM, M_VM_OOM, 1, NULL },
	{ VM_FILE_PAGES, M_VM_PAGES, 1, "file" }, { VM_DIRTY, M_VM_PAGES, 1, "dirty" },
	{ VM_WRITEBACK, M_VM_PAGES, 1, "writeback" },
};

static void read_vm(struct weir_plugin *p, struct procfs_memory *m)
{
	struct procfs *s = weir_state(p);
	uint64_t now[VM_VALUES], known = 0;
	ssize_t len = procfs_read(p, "vmstat");

	if (len > 0)
		known = procfs_parse_keys(s->text, (size_t)len, vm_keys, VM_VALUES, now);
	for (int i = 0; i < VM_VALUES; i++) {
		bool before = m->read_ns && m->vm_known & BIT(i);

		m->vm_delta[i] = 0;
		if (!(known & BIT(i)))
			continue;
		if (before && !(VM_GAUGES & BIT(i))) {
			m->vm_delta[i] = procfs_delta(now[i], m->vm[i]);
			now[i] = now[i] > m->vm[i] ? now[i] : m->vm[i];
		}
		m->vm[i] = now[i];
	}
	m->vm_known = known;
}

static bool vm_has(const struct procfs_memory *m, uint64_t bits)
{
	return (m->vm_known & bits) == bits;
}

/* Reclaim as iomonitor names it: kswapd, direct (khugepaged reclaims directly). A
 * cgroup's own limit is not in vmstat, so by="memcg" is not known here. */
static void publish_reclaim(struct weir_plugin *p, const struct procfs_memory *m)
{
	static const struct {
		const char *by;
		enum procfs_vm scan, scan2, steal, steal2;
	} rows[] = {
		{ "kswapd", VM_SCAN_KSWAPD, VM_SCAN_KSWAPD, VM_STEAL_KSWAPD, VM_STEAL_KSWAPD },
		{ "direct", VM_SCAN_DIRECT, VM_SCAN_KHUGEPAGED, VM_STEAL_DIRECT, VM_STEAL_KHUGEPAGED },
	};

	for (unsigned int i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		/* the second of a pair is younger than the first: it may be missing */
		bool two = rows[i].scan2 != rows[i].scan && vm_has(m, BIT(rows[i].scan2));
		bool two_steal = rows[i].steal2 != rows[i].steal && vm_has(m, BIT(rows[i].steal2));
		uint64_t scanned = m->vm[rows[i].scan] + (two ? m->vm[rows[i].scan2] : 0);
		uint64_t scan = m->vm_delta[rows[i].scan] + (two ? m->vm_delta[rows[i].scan2] : 0);
		uint64_t steal = m->vm_delta[rows[i].steal] + (two_steal ? m->vm_delta[rows[i].steal2] : 0);
		bool known = vm_has(m, BIT(rows[i].scan) | BIT(rows[i].steal));

		procfs_put(p, M_LRU_SCANNED, known, (double)scanned, rows[i].by, SOURCE, NULL);
		procfs_put(p, M_RECLAIM_EFFICIENCY, known && scan,
		           scan ? 100.0 * (double)steal / (double)scan : 0, rows[i].by, SOURCE, NULL);
	}
	procfs_put(p, M_EVICTED, vm_has(m, BIT(VM_STEAL_FILE)), (double)m->vm[VM_STEAL_FILE],
	           "reclaim", SOURCE, NULL);
}

static void publish_vm(struct weir_plugin *p, const struct procfs_memory *m)
{
	for (unsigned int i = 0; i < sizeof vm_series / sizeof vm_series[0]; i++)
		procfs_put(p, vm_series[i].metric, vm_has(m, BIT(vm_series[i].value)),
		           (double)m->vm[vm_series[i].value] * vm_series[i].scale,
		           vm_series[i].label, NULL, NULL);
	publish_reclaim(p, m);
}

/* ---- meminfo ----------------------------------------------------------------- */

static const struct {
	const char *key, *label;
} mem_names[MEM_VALUES] = {
	[MEM_TOTAL] = { "MemTotal", "total" },
	[MEM_FREE] = { "MemFree", "free" },
	[MEM_AVAILABLE] = { "MemAvailable", "available" },
	[MEM_BUFFERS] = { "Buffers", "buffers" },
	[MEM_CACHED] = { "Cached", "cached" },
	[MEM_ACTIVE_FILE] = { "Active(file)", "active_file" },
	[MEM_INACTIVE_FILE] = { "Inactive(file)", "inactive_file" },
	[MEM_DIRTY] = { "Dirty", "dirty" },
	[MEM_WRITEBACK] = { "Writeback", "writeback" },
	[MEM_ANON] = { "AnonPages", "anon" },
	[MEM_SHMEM] = { "Shmem", "shmem" },
	[MEM_SLAB_RECLAIMABLE] = { "SReclaimable", "slab_reclaimable" },
	[MEM_SLAB_UNRECLAIMABLE] = { "SUnreclaim", "slab_unreclaimable" },
	[MEM_SWAP_TOTAL] = { "SwapTotal", "swap_total" },
	[MEM_SWAP_FREE] = { "SwapFree", "swap_free" },
};

static void read_mem(struct weir_plugin *p, struct procfs_memory *m)
{
	struct procfs *s = weir_state(p);
	const char *keys[MEM_VALUES];
	ssize_t len = procfs_read(p, "meminfo");

	for (int i = 0; i < MEM_VALUES; i++)
		keys[i] = mem_names[i].key;
	memset(m->mem, 0, sizeof m->mem);
	m->mem_known = len > 0 ? procfs_parse_keys(s->text, (size_t)len, keys, MEM_VALUES, m->mem) : 0;
}

static void publish_mem(struct weir_plugin *p, const struct procfs_memory *m)
{
	for (int i = 0; i < MEM_VALUES; i++)
		procfs_put(p, M_MEMORY, m->mem_known & BIT(i), (double)m->mem[i], mem_names[i].label,
		           NULL, NULL);
}

static void emit_summary(struct weir_plugin *p, const struct procfs_memory *m)
{
	const uint64_t *mem = m->mem, *vm = m->vm_delta;
	struct weir_procfs_memory r = {
		.interval_ns = m->interval_ns,
		.total = mem[MEM_TOTAL], .free = mem[MEM_FREE], .available = mem[MEM_AVAILABLE],
		.buffers = mem[MEM_BUFFERS], .cached = mem[MEM_CACHED],
		.active_file = mem[MEM_ACTIVE_FILE], .inactive_file = mem[MEM_INACTIVE_FILE],
		.dirty = mem[MEM_DIRTY], .writeback = mem[MEM_WRITEBACK],
		.anon = mem[MEM_ANON], .shmem = mem[MEM_SHMEM],
		.slab_reclaimable = mem[MEM_SLAB_RECLAIMABLE],
		.slab_unreclaimable = mem[MEM_SLAB_UNRECLAIMABLE],
		.swap_total = mem[MEM_SWAP_TOTAL], .swap_free = mem[MEM_SWAP_FREE],
		.paged_in_bytes = vm[VM_IN] * 1024, .paged_out_bytes = vm[VM_OUT] * 1024,
		.swapped_in_pages = vm[VM_SWAP_IN], .swapped_out_pages = vm[VM_SWAP_OUT],
		.faults = vm[VM_FAULTS], .major_faults = vm[VM_MAJOR],
		.refaulted_file_pages = vm[VM_REFAULT_FILE],
		.refaulted_anon_pages = vm[VM_REFAULT_ANON],
		.scanned_kswapd_pages = vm[VM_SCAN_KSWAPD],
		.scanned_direct_pages = vm[VM_SCAN_DIRECT] + vm[VM_SCAN_KHUGEPAGED],
		.reclaimed_kswapd_pages = vm[VM_STEAL_KSWAPD],
		.reclaimed_direct_pages = vm[VM_STEAL_DIRECT] + vm[VM_STEAL_KHUGEPAGED],
		.reclaimed_file_pages = vm[VM_STEAL_FILE],
		.direct_reclaims = vm[VM_STALLS], .oom_kills = vm[VM_OOM],
	};

	r.unknown = (uint32_t)(MEM_VALUES - __builtin_popcountll(m->mem_known) + VM_VALUES -
	                       __builtin_popcountll(m->vm_known));
	weir_emit(p, PROCFS_MEMORY_SUMMARY, &r, sizeof r);
}

/* ---- PSI --------------------------------------------------------------------- */

static void publish_psi(struct weir_plugin *p, const struct procfs_memory *m)
{
	static const char *const windows[] = { "10s", "60s", "300s" };

	for (int i = 0; i < PSI_RESOURCES * STALL_KINDS; i++) {
		int res = i / STALL_KINDS, kind = i % STALL_KINDS;
		const struct procfs_pressure *now = &m->psi[res].now;
		double avg[] = { now->kind[kind].avg10, now->kind[kind].avg60, now->kind[kind].avg300 };
		bool known = now->known & 1u << kind;

		procfs_put(p, M_PSI_SECONDS, known, (double)now->kind[kind].total_us / 1e6,
		           procfs_resources[res], procfs_stall_kinds[kind], NULL);
		for (int w = 0; w < 3; w++)
			procfs_put(p, M_PSI_RATIO, known, avg[w] / 100, procfs_resources[res],
			           procfs_stall_kinds[kind], windows[w]);
	}
}

static void read_psi(struct weir_plugin *p, struct procfs_memory *m, int res)
{
	struct procfs *s = weir_state(p);
	struct procfs_pressure now = { 0 }, *before = &m->psi[res].now;
	uint64_t now_ns = weir_now(p);
	struct weir_procfs_stall r = { .resource = (uint8_t)res };
	char name[32];
	ssize_t len;

	snprintf(name, sizeof name, "pressure/%s", procfs_resources[res]);
	len = procfs_read(p, name);
	if (len > 0)
		procfs_parse_pressure(s->text, (size_t)len, &now);
	for (int kind = 0; kind < STALL_KINDS; kind++) {
		bool both = now.known & before->known & 1u << kind;

		m->psi[res].stalled_us[kind] =
			both ? procfs_delta(now.kind[kind].total_us, before->kind[kind].total_us) : 0;
	}
	if (now.known && before->known) {
		r.interval_ns = now_ns - m->psi[res].read_ns;
		r.some_ns = m->psi[res].stalled_us[STALL_SOME] * 1000;
		r.full_ns = m->psi[res].stalled_us[STALL_FULL] * 1000;
		r.some_avg10 = now.kind[STALL_SOME].avg10;
		r.some_avg60 = now.kind[STALL_SOME].avg60;
		r.full_avg10 = now.kind[STALL_FULL].avg10;
		r.full_avg60 = now.kind[STALL_FULL].avg60;
		weir_emit(p, PROCFS_MEMORY_PRESSURE, &r, sizeof r);
	}
	*before = now;
	m->psi[res].read_ns = now_ns;
}

int procfs_memory(struct weir_plugin *p)
{
	struct procfs_memory *m = &((struct procfs *)weir_state(p))->memory;
	uint64_t now_ns = weir_now(p), before_ns = m->read_ns;

	read_vm(p, m);
	read_mem(p, m);
	m->interval_ns = before_ns ? now_ns - before_ns : 0;
	m->read_ns = now_ns;
	publish_vm(p, m);
	publish_mem(p, m);
	if (before_ns && (m->vm_known || m->mem_known))
		emit_summary(p, m);
	for (int i = 0; i < PSI_RESOURCES; i++)
		read_psi(p, m, i);
	publish_psi(p, m);
	return 0;
}

void procfs_memory_off(struct weir_plugin *p)
{
	struct procfs_memory *m = &((struct procfs *)weir_state(p))->memory;

	memset(m, 0, sizeof *m);
	publish_vm(p, m);
	publish_mem(p, m);
	publish_psi(p, m);
}
