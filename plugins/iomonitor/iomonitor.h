/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iomonitor's user side: the state and what its files offer one another. All of
 * it runs on the host's loop; nothing here locks.
 *
 * The programs count; once per interval take() reads what they have counted, the
 * difference to the last time makes rates, tables and records. A scrape only
 * brings the counters up to date.
 */
#ifndef IOMONITOR_H
#define IOMONITOR_H

#include <weir/weir.h>

#include "iomonitor_events.h"
#include "iomonitor_maps.h"
#include "metrics.h"

enum io_choice { IO_AUTO, IO_ON, IO_OFF };
enum io_lookups { IO_LOOKUPS_AUTO, IO_LOOKUPS_EVERY, IO_LOOKUPS_SAMPLED, IO_LOOKUPS_OFF };

/* What the user table of processes sums up per process and interval. */
struct io_work {
	uint64_t reads, read_bytes, read_ns;
	uint64_t lookup_pages, miss_pages, fill_pages;
	uint64_t writes, write_bytes, write_ns;
};
#define IO_WORK_FIELDS (sizeof(struct io_work) / sizeof(uint64_t))

struct io_process {
	uint32_t pid;
	uint32_t cgroup;     /* index in cgroups, 0 unknown */
	struct io_work now;  /* being summed up in this round */
	struct io_work last; /* highest ever seen: never moves back */
	struct io_work delta;/* of the last interval */
	char comm[16];
	bool dead, seen;
};

/* Bound: 512 cgroups is more than the pods of a node; the rest is "other". */
#define IO_MAX_CGROUPS 512
struct io_cgroup {
	char path[128];
	uint64_t id;         /* as the kernel says it: the directory's inode */
	struct io_work delta;
	uint64_t processes;
};

/* Bound: matching processes whose end is watched for; one is enough to go on. */
#define IO_MAX_TARGETS 64

struct io_disk {
	uint32_t dev;
	char name[32];
	struct weir_io_device now, last, delta;
};

struct iomonitor {
	/* options */
	uint64_t interval_ns, slow_ns;
	bool latency, fadvise_events;
	uint32_t fadvise, lookups;
	uint64_t max_tasks, max_processes;
	struct weir_strings comms, pids, cgroups_wanted, devices_wanted;

	/* what is attached */
	bool calls;               /* the system calls are hooked */
	uint32_t lookup_way;      /* enum io_lookups, decided */
	bool sampling;            /* lookups come from short windows */
	const char *quality;      /* of rates: "", "sampled", "approx" */

	/* mapped, written by the kernel */
	const volatile struct weir_io_cpu *cpu;
	const volatile struct weir_io_task *tasks;
	const volatile uint64_t *used;
	size_t cpu_size;
	uint32_t cpus, task_count, used_words;
	int processes_fd, devices_fd, hints_fd, reclaimers_fd;

	/* taken */
	uint64_t taken_ns, interval_taken_ns;
	struct weir_io_cpu total, last, delta; /* delta is of the last interval */
	uint64_t reclaim_processes;

	/* lookups in sampled windows, scaled up */
	struct weir_timer *window;
	uint64_t window_start_ns, window_lookups;
	uint64_t sampled_pages, sampled_last, sampled_delta;

	struct io_process *processes;  /* process_count of max_processes */
	uint32_t *index;               /* by pid, open addressing */
	size_t index_size, process_count;
	uint64_t folds_seen, ended_left; /* is there anything in io_processes? */
	uint64_t process_dropped;
	struct io_cgroup *cgroups;
	size_t cgroup_count;
	uint64_t live_tasks;

	bool following;                /* io_enter and io_exit are attached */
	uint32_t targets[IO_MAX_TARGETS];
	size_t target_count;
	uint64_t renames_seen;

	struct io_disk *disks;
	size_t disk_count;
};

/* filter.c: options into constants of the object. 0, or <0 with weir_fail(). */
int io_filters(struct weir_plugin *p);

/* count.c */
void io_sum(struct iomonitor *m);                 /* all CPUs into total */
void io_difference(struct iomonitor *m);          /* total - last into delta */
uint64_t io_bucket_sum(const __u64 *buckets);
/* Upper bound in us of the bucket with quantile q in (0, 1]; 0 if all are empty. */
uint64_t io_quantile_us(const __u64 *buckets, double q);
void io_latency(const struct weir_io_cpu *c, bool writes, __u64 *ret_buckets);
struct io_sums {
	uint64_t reads, read_bytes, writes, write_bytes, lookups, misses, fills;
};
void io_sums(const struct iomonitor *m, const struct weir_io_cpu *c, uint64_t sampled,
             struct io_sums *ret);

/* process.c */
int io_processes_init(struct weir_plugin *p);
void io_processes_fini(struct weir_plugin *p);
void io_processes_take(struct weir_plugin *p);
bool io_work_any(const struct io_work *w);

/* target.c: are there processes that the filters want? */
void io_targets_begin(struct weir_plugin *p);
void io_targets_check(struct weir_plugin *p);
void io_targets_appeared(struct weir_plugin *p); /* a record says that one has come */

/* device.c */
int io_disks_init(struct weir_plugin *p);
void io_disks_fini(struct weir_plugin *p);
void io_disks_read(struct weir_plugin *p);
void io_disks_difference(struct iomonitor *m);
void io_reclaimers_take(struct weir_plugin *p, uint64_t since_ns);
void io_hints_prune(struct weir_plugin *p);

/* publish.c, record.c, query.c: the tables of the descriptor and what fills them */
extern const struct weir_metric io_metrics[M_COUNT];
extern const struct weir_schema io_schemas[WEIR_IO_KINDS];
extern const struct weir_query io_queries[];
extern const uint32_t io_query_count;
extern const char *const io_op_names[WEIR_IO_OP_COUNT];
extern const char *const io_block_op_names[WEIR_IO_BLOCK_OPS];
void io_publish(struct weir_plugin *p);        /* counters */
void io_publish_rates(struct weir_plugin *p);  /* gauges of the last interval */
void io_records(struct weir_plugin *p);

#endif
