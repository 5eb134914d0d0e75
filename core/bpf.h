/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF half of a source: open the object, choose a variant of each program by
 * trying, size rings and accounts, load, attach, meter, detach.
 *
 *     new -> (settings by prepare) -> load -> attach -> enable ... disable -> free
 *
 * A program that is refused keeps its reason and never ends the rest, unless it
 * is required. One thread at a time: the host's, or the caller of weir__bpf_try.
 */
#ifndef WEIR_CORE_BPF_H
#define WEIR_CORE_BPF_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/kernel.h>
#include <weir/source.h>

struct weir__bpf;
struct weir__ring;
struct bpf_object;

#define WEIR__ERROR_TEXT 320

/* Ring buffers are at least 64 KiB: page aligned for 4, 16 and 64 KiB pages. */
#define WEIR__RING_MIN 65536

struct weir__bpf_program {
	const struct weir_program *row;
	char variant[64];           /* function in use, "" if none */
	bool attached;
	bool off;                   /* switched off by the plugin */
	bool shed;                  /* detached under pressure, or kept so */
	char error[WEIR__ERROR_TEXT]; /* why it is not attached */
	uint64_t runs, missed;
	uint64_t run_ns;            /* of all runs, by the meter (meter.h) */
	uint64_t hook_ns;           /* beside it: what the hook costs outside the program */
	double ns_per_run;
};

/* Nothing is asked of the kernel yet. ring_bytes: all rings together. */
int weir__bpf_new(const struct weir_source *source, uint64_t ring_bytes, struct weir__bpf **ret);
/* Detaches, unloads, frees. NULL is fine. */
void weir__bpf_free(struct weir__bpf *b);

/* Settings, before load. */
int weir__bpf_set_const(struct weir__bpf *b, const char *name, const void *value, size_t size);
int weir__bpf_set_entries(struct weir__bpf *b, const char *map, uint32_t entries);
int weir__bpf_set_enabled(struct weir__bpf *b, const char *program, bool on);

/* Load and attach what can be. 0, or -errno with weir__bpf_error(). */
int weir__bpf_load(struct weir__bpf *b);
const char *weir__bpf_error(const struct weir__bpf *b);
/* Let the programs run / make them return at once (still attached). */
void weir__bpf_enable(struct weir__bpf *b, bool on);
/* Detach everything; records in the rings stay readable. Idempotent. */
void weir__bpf_detach(struct weir__bpf *b);
/* Under pressure, while loaded: keep one event in `weight` and give each record that
 * weight, from one event to the next. */
void weir__bpf_sample(struct weir__bpf *b, uint32_t weight);
uint32_t weir__bpf_weight(const struct weir__bpf *b);
/* Kinds left out at the source, bit per kind. */
void weir__bpf_kinds_off(struct weir__bpf *b, uint32_t kinds);
/* Optional programs of a priority below this are detached, the others attached as they
 * were; before load: not attached. 0: all as they were. 0 or the first -errno of an
 * attach. */
int weir__bpf_shed(struct weir__bpf *b, uint32_t below);
/* A mapping for a reader on another thread; see meter.h. 0 or -errno. */
struct weir__meter;
int weir__bpf_meter(struct weir__bpf *b, struct weir__meter **ret);
/* One program, while loaded. */
int weir__bpf_attach(struct weir__bpf *b, const char *program, bool on);
/* A tc program at an interface; as weir_host.bpf_attach_at. */
int weir__bpf_attach_at(struct weir__bpf *b, const char *program, int ifindex, uint32_t flags, bool on);
extern bool weir__bpf_no_tcx; /* tests: as on a kernel before 6.6 */
int weir__bpf_iter(struct weir__bpf *b, const char *program);

struct bpf_object *weir__bpf_object(struct weir__bpf *b);
int weir__bpf_map_fd(struct weir__bpf *b, const char *name);
const void *weir__bpf_mmap(struct weir__bpf *b, const char *map, size_t *value_size, uint32_t *entries);
volatile struct weir_knobs *weir__bpf_knobs(struct weir__bpf *b);
size_t weir__bpf_rings(struct weir__bpf *b, struct weir__ring *const **ret);
int weir__bpf_ring_fd(struct weir__bpf *b, size_t ring);

/* Sum over all CPUs. Any thread, any process that has the account mapped. */
void weir__cpus_kind_counts(const struct weir_cpu *account, uint32_t cpus, uint32_t kind,
                            struct weir_kind_counts *ret);
void weir__bpf_kind_counts(struct weir__bpf *b, uint32_t kind, struct weir_kind_counts *ret);
/* Bring the rows up to date (runs, missed, ns) and hand them out. */
size_t weir__bpf_programs(struct weir__bpf *b, struct weir__bpf_program **ret);

struct weir__bpf_map_info {
	char name[16];
	uint64_t bytes; /* memlock of fdinfo: what the kernel charges */
};
size_t weir__bpf_maps(struct weir__bpf *b, struct weir__bpf_map_info *info, size_t max);

/* ---- handing over; bpf_adopt.c ---- */

/* Bounds: maps of one object (iomonitor has 20), rings that fit into one message. */
#define WEIR__HANDLES_MAPS  64
#define WEIR__HANDLES_RINGS 64
struct weir__bpf_handles {
	uint64_t identity;     /* of the object's bytes and settings */
	bool movable;          /* what follows is filled in; the descriptors are the holder's */
	uint32_t map_count, program_count, ring_count, ring_size;
	struct { char name[32]; int fd; } maps[WEIR__HANDLES_MAPS];
	struct { char variant[64]; int fd, link_fd; bool attached; } programs[WEIR_MAX_PROGRAMS];
	int ring_fds[WEIR__HANDLES_RINGS];
};
/* Same object, same settings: it could be adopted. */
uint64_t weir__bpf_identity(const struct weir__bpf *b);
/* Duplicates of all descriptors. 0 (perhaps not movable), or -errno. */
int weir__bpf_export(struct weir__bpf *b, struct weir__bpf_handles *ret);
void weir__bpf_handles_close(struct weir__bpf_handles *h);
/* Instead of load; takes the descriptors it uses. -EXDEV: another object, or not movable. */
int weir__bpf_adopt(struct weir__bpf *b, struct weir__bpf_handles *h);
/* The programs are this process's now. */
void weir__bpf_own(struct weir__bpf *b);
/* Instead of free, once another host has adopted it: its programs stay attached. */
void weir__bpf_part(struct weir__bpf *b);

/* bpf(2) on a map's descriptor; 0 or -errno. Any thread. */
int weir__map_lookup(int fd, const void *key, void *value);
int weir__map_update(int fd, const void *key, const void *value, uint64_t flags);
int weir__map_delete(int fd, const void *key);
int weir__map_next(int fd, const void *key, void *next_key);
int weir__map_batch(int fd, void *token, bool first, void *keys, void *values, uint32_t *count);
int weir__map_drain(int fd, void *token, bool first, void *keys, void *values, uint32_t *count);

/* Does the running kernel's BTF have it? member NULL: the type alone. */
bool weir__kernel_has(const char *type, const char *member);
/* The name of a value of an enum. 0 or -ENOENT. */
int weir__kernel_enum(const char *type, int64_t value, char *ret_name, size_t size);
uint32_t weir__possible_cpus(void);
/* Ring sizes for this machine: total and number, from what was asked. */
void weir__ring_plan(uint64_t asked, uint32_t cpus, uint64_t memory_bytes,
                     uint32_t *ret_rings, uint32_t *ret_ring_bytes);

#endif
