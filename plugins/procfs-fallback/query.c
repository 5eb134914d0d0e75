/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: `top`, the processes with the most I/O as JSON, and `summary`, a few
 * lines of text for a person. Both show what was read last, each figure over its
 * own interval; neither reads anything.
 */
#include "procfs.h"
#include <string.h>

struct top_args {
	uint64_t n;
	uint32_t by;
};

static const struct weir_option top_args[] = {
	WEIR_OPTION_UINT(struct top_args, n, "n", "10", "How many processes", .unit = "processes",
	                 .min = 1, .max = 100),
	WEIR_OPTION_ENUM(struct top_args, by, "by",
	                 "busiest misses read_bytes write_bytes read_chars write_chars reads writes major_faults",
	                 "busiest", "What to sort by; busiest: bytes from and to disk; misses: bytes from disk"),
};
/* in the order of the choices above */
static const int top_by[] = {
	V_BUSIEST, V_READ, V_READ, V_WRITE, V_RCHAR, V_WCHAR, V_SYSCR, V_SYSCW, V_MAJFLT,
};
static const struct {
	const char *name;
	enum procfs_value value;
} top_fields[] = {
	{ "read_bytes", V_READ },   { "write_bytes", V_WRITE }, { "cancelled_write_bytes", V_CANCELLED },
	{ "read_chars", V_RCHAR },  { "write_chars", V_WCHAR }, { "reads", V_SYSCR },
	{ "writes", V_SYSCW },      { "major_faults", V_MAJFLT },
};

static int top(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct procfs *s = weir_state(p);
	const struct top_args *a = args;
	struct procfs_task *task[100];
	uint32_t n = procfs_top_select(&s->tasks, top_by[a->by], task, (uint32_t)a->n);

	weir_printf(p, out, "{\"source\":\"procfs\",\"quality\":\"approx\",\"read\":%llu,\"denied\":%llu,"
	            "\"processes\":[", (unsigned long long)s->last.read, (unsigned long long)s->last.denied);
	for (uint32_t i = 0; i < n; i++) {
		weir_printf(p, out, "%s{\"pid\":%u,\"ppid\":%u,\"comm\":", i ? "," : "", task[i]->pid,
		            task[i]->ppid);
		p->host->out_json_string(out, task[i]->comm, sizeof task[i]->comm);
		weir_printf(p, out, ",\"interval_ns\":%llu", (unsigned long long)task[i]->interval_ns);
		for (unsigned int f = 0; f < sizeof top_fields / sizeof top_fields[0]; f++)
			weir_printf(p, out, ",\"%s\":%llu", top_fields[f].name,
			            (unsigned long long)task[i]->delta[top_fields[f].value]);
		weir_printf(p, out, "}");
	}
	weir_printf(p, out, "]}\n");
	return 0;
}

/* ---- summary ----------------------------------------------------------------- */

/* "12.3 MiB" */
static const char *bytes(char buf[16], double v)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned int u = 0;

	for (; v >= 1024 && u + 1 < sizeof units / sizeof units[0]; u++)
		v /= 1024;
	snprintf(buf, 16, v < 10 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

/* "12.3 MiB/s" is this and "/s" */
static const char *rate(char buf[16], uint64_t v, uint64_t interval_ns)
{
	return bytes(buf, interval_ns ? (double)v * 1e9 / (double)interval_ns : 0);
}

static void summary_io(struct weir_plugin *p, struct weir_out *out)
{
	struct procfs *s = weir_state(p);
	struct procfs_task *task[5];
	uint32_t n = procfs_top_select(&s->tasks, V_BUSIEST, task, 5);
	uint64_t asked = s->sum[V_RCHAR];
	char a[16], b[16], c[16], d[16], comm[64];

	weir_printf(p, out, "processes  %llu read, %llu denied, %llu untracked\n",
	            (unsigned long long)s->last.read, (unsigned long long)s->last.denied,
	            (unsigned long long)s->last.untracked);
	if (!s->last.read) /* then the sums are not known */
		return;
	weir_printf(p, out, "last pass  asked for %s, %s of it from disk", bytes(a, (double)asked),
	            bytes(b, (double)s->sum[V_READ]));
	if (asked)
		weir_printf(p, out, " (miss %.1f %%)", 100.0 * (double)s->sum[V_READ] / (double)asked);
	weir_printf(p, out, ", wrote %s, %s of it to disk\n", bytes(a, (double)s->sum[V_WCHAR]),
	            bytes(b, (double)s->sum[V_WRITE]));
	if (n)
		weir_printf(p, out, "%10s  %-16s %12s %12s %12s %12s\n", "PID", "COMM", "DISK READ/S",
		            "DISK WRITE/S", "READ/S", "WRITE/S");
	for (uint32_t i = 0; i < n; i++) {
		const struct procfs_task *t = task[i];

		procfs_escape(comm, sizeof comm, t->comm, sizeof t->comm);
		weir_printf(p, out, "%10u  %-16s %12s %12s %12s %12s\n", t->pid, comm,
		            rate(a, t->delta[V_READ], t->interval_ns),
		            rate(b, t->delta[V_WRITE], t->interval_ns),
		            rate(c, t->delta[V_RCHAR], t->interval_ns),
		            rate(d, t->delta[V_WCHAR], t->interval_ns));
	}
}

static void summary_memory(struct weir_plugin *p, struct weir_out *out)
{
	struct procfs *s = weir_state(p);
	const struct procfs_memory *m = &s->memory;
	char a[16], b[16], c[16], d[16];

	if (m->mem_known)
		weir_printf(p, out, "memory     %s of %s available, %s page cache, %s dirty\n",
		            bytes(a, (double)m->mem[MEM_AVAILABLE]), bytes(b, (double)m->mem[MEM_TOTAL]),
		            bytes(c, (double)m->mem[MEM_CACHED]), bytes(d, (double)m->mem[MEM_DIRTY]));
	if (m->vm_known)
		weir_printf(p, out, "devices    %s/s in, %s/s out; %llu pages scanned, %llu refaulted, "
		            "%llu direct reclaims\n",
		            rate(a, m->vm_delta[VM_IN] * 1024, m->interval_ns),
		            rate(b, m->vm_delta[VM_OUT] * 1024, m->interval_ns),
		            (unsigned long long)(m->vm_delta[VM_SCAN_KSWAPD] + m->vm_delta[VM_SCAN_DIRECT] +
		                                 m->vm_delta[VM_SCAN_KHUGEPAGED]),
		            (unsigned long long)m->vm_delta[VM_REFAULT_FILE],
		            (unsigned long long)m->vm_delta[VM_STALLS]);
	for (int i = 0; i < PSI_RESOURCES; i++)
		if (m->psi[i].now.known)
			weir_printf(p, out, "%s%s %.1f %%", i ? ", " : "pressure   ", procfs_resources[i],
			            m->psi[i].now.kind[STALL_SOME].avg10);
	if (m->psi[PSI_CPU].now.known)
		weir_printf(p, out, " (some task waited, 10 s)\n");
}

static int summary(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct procfs *s = weir_state(p);

	(void)args;
	if (!s->io_on && !s->memory_on) {
		weir_printf(p, out, "procfs: not needed, a better source provides io and memory\n");
		return 0;
	}
	weir_printf(p, out, "source     procfs (approx: bytes of system calls and disks, not pages)\n");
	if (s->io_on)
		summary_io(p, out);
	if (s->memory_on)
		summary_memory(p, out);
	return 0;
}

const struct weir_query procfs_queries[PROCFS_QUERIES] = {
	{ .name = "top", .doc = "Processes with the most I/O since they were last read",
	  .content_type = "application/json", .args = WEIR_TABLE(top_args),
	  .args_size = sizeof(struct top_args), .answer = top },
	{ .name = WEIR_QUERY_SUMMARY, .doc = "I/O, memory and pressure at a glance",
	  .content_type = "text/plain", .answer = summary },
};
