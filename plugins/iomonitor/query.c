/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: top, cgroups and devices as JSON, summary as the lines of the live
 * view. All show the last interval; top can show totals.
 */
#include "iomonitor.h"

#include <stdlib.h>
#include <string.h>

struct top_args {
	uint64_t n;
	uint32_t by;
	bool total;
};
enum top_by { BY_MISSES, BY_LOOKUPS, BY_READS, BY_READ_BYTES, BY_WRITES, BY_WRITE_BYTES,
	BY_FILLS, BY_READ_TIME };

static const struct weir_option top_options[] = {
	WEIR_OPTION_UINT(struct top_args, n, "n", "10", "How many processes", .unit = "processes",
	                 .min = 1, .max = 1000),
	WEIR_OPTION_ENUM(struct top_args, by, "by",
	                 "misses lookups reads read_bytes writes write_bytes fills read_time",
	                 "misses", "What to sort by"),
	WEIR_OPTION_BOOL(struct top_args, total, "total", "false",
	                 "Since iomonitor first saw the process, not in the last interval"),
};

static uint64_t value(const struct io_work *w, uint32_t by)
{
	const uint64_t v[] = { w->miss_pages, w->lookup_pages, w->reads, w->read_bytes, w->writes,
		w->write_bytes, w->fill_pages, w->read_ns };

	return v[by];
}

static const struct io_work *work_of(const struct io_process *e, bool total)
{
	return total ? &e->last : &e->delta;
}

/* The n largest, by insertion: n is small. Ties go to more reads, then writes. */
static size_t top(const struct iomonitor *m, const struct top_args *a,
                  const struct io_process **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < m->process_count; i++) {
		const struct io_process *e = &m->processes[i];
		const struct io_work *w = work_of(e, a->total);
		size_t j;

		if (!io_work_any(w))
			continue;
		for (j = n; j > 0; j--) {
			const struct io_work *x = work_of(ret[j - 1], a->total);

			if (value(x, a->by) > value(w, a->by) ||
			    (value(x, a->by) == value(w, a->by) && x->reads >= w->reads))
				break;
			if (j < a->n)
				ret[j] = ret[j - 1];
		}
		if (j < a->n)
			ret[j] = e;
		if (n < a->n)
			n++;
	}
	return n;
}

static void print_work(struct weir_plugin *p, struct weir_out *out, const struct io_work *w)
{
	weir_printf(p, out, "\"reads\":%llu,\"read_bytes\":%llu,\"lookup_pages\":%llu,"
	            "\"miss_pages\":%llu,\"fill_pages\":%llu,\"writes\":%llu,\"write_bytes\":%llu",
	            (unsigned long long)w->reads, (unsigned long long)w->read_bytes,
	            (unsigned long long)w->lookup_pages, (unsigned long long)w->miss_pages,
	            (unsigned long long)w->fill_pages, (unsigned long long)w->writes,
	            (unsigned long long)w->write_bytes);
}

static int answer_top(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct top_args *a = args;
	struct iomonitor *m = weir_state(p);
	const struct io_process **list = weir_alloc(p, a->n * sizeof *list);
	size_t n;

	if (!list)
		return weir_fail(p, -ENOMEM, "no memory for %llu rows", (unsigned long long)a->n);
	n = top(m, a, list);
	weir_printf(p, out, "{\"interval_ns\":%llu,\"processes\":[",
	            (unsigned long long)m->interval_taken_ns);
	for (size_t i = 0; i < n; i++) {
		const struct io_work *w = work_of(list[i], a->total);

		weir_printf(p, out, "%s{\"pid\":%u,\"comm\":", i ? "," : "", list[i]->pid);
		p->host->out_json_string(out, list[i]->comm, sizeof list[i]->comm);
		weir_printf(p, out, ",\"cgroup\":");
		p->host->out_json_string(out, m->cgroups[list[i]->cgroup].path,
		                         sizeof m->cgroups[0].path);
		weir_printf(p, out, ",");
		print_work(p, out, w);
		weir_printf(p, out, ",\"read_ns\":%llu,\"write_ns\":%llu}",
		            (unsigned long long)w->read_ns, (unsigned long long)w->write_ns);
	}
	weir_printf(p, out, "]}\n");
	weir_free(p, list);
	return 0;
}

static int answer_cgroups(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct iomonitor *m = weir_state(p);
	const char *comma = "";

	(void)args;
	weir_printf(p, out, "{\"interval_ns\":%llu,\"cgroups\":[",
	            (unsigned long long)m->interval_taken_ns);
	for (size_t i = 0; i < m->cgroup_count; i++) {
		if (!m->cgroups[i].processes)
			continue;
		weir_printf(p, out, "%s{\"path\":", comma);
		comma = ",";
		p->host->out_json_string(out, m->cgroups[i].path, sizeof m->cgroups[i].path);
		weir_printf(p, out, ",\"processes\":%llu,",
		            (unsigned long long)m->cgroups[i].processes);
		print_work(p, out, &m->cgroups[i].delta);
		weir_printf(p, out, "}");
	}
	weir_printf(p, out, "]}\n");
	return 0;
}

static int answer_devices(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct iomonitor *m = weir_state(p);

	(void)args;
	weir_printf(p, out, "{\"devices\":[");
	for (size_t i = 0; i < m->disk_count; i++) {
		weir_printf(p, out, "%s{\"name\":", i ? "," : "");
		p->host->out_json_string(out, m->disks[i].name, sizeof m->disks[i].name);
		for (int op = 0; op < WEIR_IO_BLOCK_OPS; op++) {
			const struct weir_io_block_counts *b = &m->disks[i].now.op[op];
			uint64_t n = io_bucket_sum(b->device_bucket);

			if (!n)
				continue;
			weir_printf(p, out, ",\"%s\":{\"count\":%llu,\"bytes\":%llu,\"p50_us\":%llu,"
			            "\"p99_us\":%llu,\"buckets\":[", io_block_op_names[op],
			            (unsigned long long)n, (unsigned long long)b->bytes,
			            (unsigned long long)io_quantile_us(b->device_bucket, 0.5),
			            (unsigned long long)io_quantile_us(b->device_bucket, 0.99));
			for (int k = 0; k < WEIR_IO_BUCKETS; k++)
				weir_printf(p, out, "%s%llu", k ? "," : "",
				            (unsigned long long)b->device_bucket[k]);
			weir_printf(p, out, "]}");
		}
		weir_printf(p, out, "}");
	}
	weir_printf(p, out, "]}\n");
	return 0;
}

/* ---- the live view --------------------------------------------------------------- */

static void print_comm(struct weir_plugin *p, struct weir_out *out, const char *comm)
{
	char s[17];
	size_t i;

	/* A process names itself: nothing of that may move a terminal's cursor. */
	for (i = 0; i < 16 && comm[i]; i++)
		s[i] = comm[i] >= ' ' && comm[i] < 127 ? comm[i] : '?';
	s[i] = 0;
	weir_printf(p, out, "%-16s", s);
}

static void summary_top(struct weir_plugin *p, struct weir_out *out)
{
	const struct top_args a = { .n = 5, .by = BY_MISSES };
	struct iomonitor *m = weir_state(p);
	const struct io_process *list[5];
	size_t n = top(m, &a, list);

	if (n)
		weir_printf(p, out, "  %-8s%-16s%12s%12s%12s%12s\n", "pid", "process", "misses",
		            "lookups", "reads", "writes");
	for (size_t i = 0; i < n; i++) {
		const struct io_work *w = &list[i]->delta;

		weir_printf(p, out, "  %-8u", list[i]->pid);
		print_comm(p, out, list[i]->comm);
		weir_printf(p, out, "%12llu%12llu%12llu%12llu\n",
		            (unsigned long long)w->miss_pages, (unsigned long long)w->lookup_pages,
		            (unsigned long long)w->reads, (unsigned long long)w->writes);
	}
}

static int answer_summary(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct iomonitor *m = weir_state(p);
	__u64 reads[WEIR_IO_BUCKETS];
	struct io_sums s;

	(void)args;
	if (!m->interval_taken_ns) {
		weir_printf(p, out, "page cache   (first interval not over yet)\n");
		return 0;
	}
	io_sums(m, &m->delta, m->sampled_delta, &s);
	io_latency(&m->delta, false, reads);
	weir_printf(p, out, "page cache   lookups %llu pages  misses %llu  ",
	            (unsigned long long)s.lookups, (unsigned long long)s.misses);
	if (s.lookups)
		weir_printf(p, out, "miss ratio %.2f %%%s%s\n", 100.0 * (double)s.misses / (double)s.lookups,
		            m->quality[0] ? " " : "", m->quality);
	else
		weir_printf(p, out, "miss ratio -\n");
	weir_printf(p, out, "reads        %llu  %llu KiB  ", (unsigned long long)s.reads,
	            (unsigned long long)(s.read_bytes >> 10));
	if (io_bucket_sum(reads))
		weir_printf(p, out, "latency p50 <= %llu us  p99 <= %llu us\n",
		            (unsigned long long)io_quantile_us(reads, 0.5),
		            (unsigned long long)io_quantile_us(reads, 0.99));
	else
		weir_printf(p, out, "latency -\n");
	weir_printf(p, out, "writes       %llu  %llu KiB   evicted %llu pages   readahead %llu pages\n",
	            (unsigned long long)s.writes, (unsigned long long)(s.write_bytes >> 10),
	            (unsigned long long)(m->delta.evict_pages[WEIR_IO_EVICT_RECLAIM] +
	                                 m->delta.evict_pages[WEIR_IO_EVICT_DONTNEED]),
	            (unsigned long long)m->delta.fill_pages[WEIR_IO_FILL_READAHEAD]);
	summary_top(p, out);
	return 0;
}

const struct weir_query io_queries[] = {
	{ .name = "top", .doc = "Processes that missed, read or wrote most, as JSON",
	  .content_type = "application/json", .args = WEIR_TABLE(top_options),
	  .args_size = sizeof(struct top_args), .answer = answer_top },
	{ .name = WEIR_QUERY_SUMMARY, .doc = "Page cache in the last interval, as text",
	  .content_type = "text/plain", .answer = answer_summary },
	{ .name = "cgroups", .doc = "What each cgroup did in the last interval, as JSON",
	  .content_type = "application/json", .answer = answer_cgroups },
	{ .name = "devices", .doc = "Latency of each block device since start, as JSON; bucket i "
	  "holds up to 2^i us", .content_type = "application/json", .answer = answer_devices },
};
const uint32_t io_query_count = sizeof io_queries / sizeof io_queries[0];
