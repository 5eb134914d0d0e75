/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procfs-fallback inside: the plugin's state and what its files offer each other.
 *
 *   procfs-fallback.c  descriptor, tick: which parts are wanted, and when
 *   scan.c             one pass over all processes, in bounded steps
 *   task.c             the table of processes
 *   top.c              what is kept of a pass: the busiest, and "other"
 *   device.c memory.c cgroup.c   one kind of figures each
 *   flow.c flow_source.c   flows, from plugins/lib
 *   query.c schema.c   answers; how the records look
 *   parse.c            text to numbers
 *
 * A part is on while a topic that it serves is wanted of this plugin. Off, it
 * keeps no memory and publishes nothing; on again, it starts afresh.
 * Threads: all of it runs on the host's loop.
 */
#ifndef PROCFS_H
#define PROCFS_H

#include "metrics.h"
#include "parse.h"
#include "procfs_events.h"
#include <dirent.h>
#include <weir/weir.h>

/* Paths are <option proc>/<pid>/<file> or <mount>/<cgroup>/<file>: a mount point
 * and a cgroup of up to 255 bytes each, and a file name. */
#define PROCFS_PATH 640
/* Longest text read at once: 16 KiB of vmstat would be four times today's, and
 * it is some 160 devices; what is cut off counts as missing. */
#define PROCFS_TEXT 16384
/* Processes known at once: half the default pid_max, 3 MiB at worst. */
#define PROCFS_MAX_TASKS 16384
/* Devices with series: 9 each, so 576 of the 4096 a plugin may have. */
#define PROCFS_MAX_DEVICES 64
/* Bound of the option `top`: 5 series each. */
#define PROCFS_MAX_TOP 64
/* Bound of the option `max_cgroups`: 21 series each leave room for the rest. */
#define PROCFS_MAX_CGROUPS 128
/* A tick may block 10 ms: 4 for processes, 3 for cgroups, the rest is short. */
#define PROCFS_SCAN_NS   4000000ull
#define PROCFS_CGROUP_NS 3000000ull

/* ---- processes ---------------------------------------------------------- */

enum procfs_value {
	V_RCHAR, V_WCHAR, V_SYSCR, V_SYSCW, V_READ, V_WRITE, V_CANCELLED, /* /proc/PID/io */
	V_IO_VALUES,
	V_MAJFLT = V_IO_VALUES,                                           /* /proc/PID/stat */
	V_VALUES,
};

struct procfs_task {
	uint32_t pid, ppid;
	uint64_t start;          /* boot ticks; with pid, who it is */
	uint64_t read_ns;        /* when `now` was read */
	uint64_t interval_ns;    /* what `delta` spans */
	uint64_t now[V_VALUES];
	uint64_t delta[V_VALUES];
	uint32_t pass;           /* in which it was seen last */
	uint8_t slot;            /* 1 + its slot, 0: none */
	bool active;             /* `delta` is of the last reading, and not all 0 */
	bool known;              /* `now` holds; false: never readable so far */
	char comm[16];
};

struct procfs_tasks {
	struct procfs_task *rows; /* dense */
	uint32_t count, room;
	uint32_t *index;          /* open addressing: 1 + row, 0: free; 2 * room */
};

/* task.c. A row's address holds until the next add or sweep. */
struct procfs_task *procfs_task_find(struct procfs_tasks *t, uint32_t pid);
/* NULL with 0: the table is full; with -ENOMEM: no memory. */
struct procfs_task *procfs_task_add(struct weir_plugin *p, uint32_t pid, int *ret_err);
/* Forget all that `pass` has not seen; calls gone() for each before. */
void procfs_task_sweep(struct weir_plugin *p, uint32_t pass,
                       void (*gone)(struct weir_plugin *p, struct procfs_task *t));
void procfs_task_clear(struct weir_plugin *p);

/* A process with series of its own. */
#define PROCFS_SLOT_SERIES 5
struct procfs_slot {
	uint32_t pid;            /* 0: free */
	bool won;                /* among the busiest of this pass */
	char comm[16];
	uint64_t total[V_VALUES];
	struct weir_series *series[PROCFS_SLOT_SERIES];
};

struct procfs_pass {
	uint64_t began_ns;
	uint64_t read, denied, vanished, untracked, failed;
};

/* scan.c: one bounded step; top.c is called at the end of a pass. */
int procfs_scan(struct weir_plugin *p);
void procfs_scan_off(struct weir_plugin *p);
/* top.c */
void procfs_top_end_pass(struct weir_plugin *p);
void procfs_top_release(struct weir_plugin *p, struct procfs_task *t);
void procfs_top_off(struct weir_plugin *p);
/* Up to `n` active processes, those that grew most in `value` first, equals by
 * pid; returns how many. V_BUSIEST: by bytes from and to disk, then by bytes that
 * calls moved, then by faults. */
#define V_BUSIEST V_VALUES
uint32_t procfs_top_select(struct procfs_tasks *t, int value, struct procfs_task **ret, uint32_t n);

/* ---- devices, memory, cgroups: each reads, publishes and emits in one go ---- */

struct procfs_device;
int procfs_devices(struct weir_plugin *p);
void procfs_devices_off(struct weir_plugin *p);

enum procfs_vm {
	VM_IN, VM_OUT, VM_SWAP_IN, VM_SWAP_OUT, VM_FAULTS, VM_MAJOR,
	VM_REFAULT_FILE, VM_REFAULT_ANON,
	VM_SCAN_KSWAPD, VM_SCAN_DIRECT, VM_SCAN_KHUGEPAGED, VM_SCAN_PROACTIVE,
	VM_STEAL_KSWAPD, VM_STEAL_DIRECT, VM_STEAL_KHUGEPAGED, VM_STEAL_PROACTIVE,
	VM_STEAL_FILE, VM_STALLS, VM_OOM, VM_FILE_PAGES, VM_DIRTY, VM_WRITEBACK,
	VM_VALUES,
};
enum procfs_mem {
	MEM_TOTAL, MEM_FREE, MEM_AVAILABLE, MEM_BUFFERS, MEM_CACHED, MEM_ACTIVE_FILE,
	MEM_INACTIVE_FILE, MEM_DIRTY, MEM_WRITEBACK, MEM_ANON, MEM_SHMEM,
	MEM_SLAB_RECLAIMABLE, MEM_SLAB_UNRECLAIMABLE, MEM_SWAP_TOTAL, MEM_SWAP_FREE,
	MEM_VALUES,
};
enum procfs_resource { PSI_CPU, PSI_IO, PSI_MEMORY, PSI_RESOURCES };
extern const char *const procfs_resources[PSI_RESOURCES];
extern const char *const procfs_stall_kinds[STALL_KINDS];

struct procfs_memory {
	uint64_t read_ns, interval_ns;
	uint64_t vm_known, mem_known; /* bit per value */
	uint64_t vm[VM_VALUES], vm_delta[VM_VALUES], mem[MEM_VALUES];
	struct {
		struct procfs_pressure now;
		uint64_t stalled_us[STALL_KINDS]; /* grown by in the last interval */
		uint64_t read_ns;
	} psi[PSI_RESOURCES];
};
int procfs_memory(struct weir_plugin *p);
void procfs_memory_off(struct weir_plugin *p);

struct procfs_cgroups;
int procfs_cgroups(struct weir_plugin *p, bool memory, bool io);
void procfs_cgroups_off(struct weir_plugin *p);

/* flow.c: on, if it is not; on() opens a source. */
struct procfs_flow;
int procfs_flow_on(struct weir_plugin *p, bool soon);
void procfs_flow_off(struct weir_plugin *p);

/* ---- the plugin ------------------------------------------------------------ */

struct procfs {
	/* options */
	uint64_t interval_ns;
	const char *proc;
	uint64_t max_processes, top, max_cgroups, cgroup_depth;
	bool partitions, cgroups;

	uint64_t flow_interval_ns, flow_max;
	uint32_t flow_from;      /* enum procfs_flow_from */

	struct procfs_flow *flow; /* while that topic is wanted */
	uint64_t ticked_ns;
	uint64_t handed_packets, handed_bytes; /* of last looks, since init */
	uint64_t unserved_ns;      /* before it stood in, since init */
	struct weir_timer *look; /* whether it is */
	bool io_on, memory_on;   /* which topics were wanted in the last tick */
	uint32_t own_pid;        /* never reported; 0: unknown */
	char *text;              /* PROCFS_TEXT bytes while anything is on */

	DIR *dir;                /* of the pass under way, or NULL */
	struct procfs_tasks tasks;
	struct procfs_pass pass, last; /* under way; finished */
	uint32_t pass_no;        /* of the pass under way, from 1 */
	bool complete;           /* the pass before saw everything: a new pid is new */
	bool told_missing;
	uint64_t sum[V_VALUES];  /* of the last finished pass */
	uint64_t total[V_VALUES];
	struct procfs_slot slot[PROCFS_MAX_TOP];
	struct procfs_slot other;

	struct procfs_device *devices; /* PROCFS_MAX_DEVICES */
	uint32_t device_count;
	struct procfs_memory memory;
	struct procfs_cgroups *cg;
};

/* procfs-fallback.c */
extern const struct weir_schema procfs_schemas[PROCFS_KINDS];
#define PROCFS_QUERIES 2
extern const struct weir_query procfs_queries[PROCFS_QUERIES];
/* Set, or make absent, the series with these label values; unused ones NULL. */
void procfs_put(struct weir_plugin *p, enum procfs_metric m, bool present, double value,
                const char *a, const char *b, const char *c);
/* The same, for a series that is freed one day: *at keeps it. */
void procfs_put_at(struct weir_plugin *p, struct weir_series **at, enum procfs_metric m,
                   double value, const char *a, const char *b, const char *c);
void procfs_free_series(struct weir_plugin *p, struct weir_series **series, size_t n);
/* Read a file below `proc` into s->text; its length or <0. */
ssize_t procfs_read(struct weir_plugin *p, const char *name);

#endif
