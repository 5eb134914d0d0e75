/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bpf.c (object, maps, accounts), bpf_load.c (variants, load, attach) and
 * bpf_kernel.c (what the kernel has) share. Nobody else includes this.
 */
#ifndef WEIR_CORE_BPF_PRIV_H
#define WEIR_CORE_BPF_PRIV_H

#include "bpf.h"
#include "bpf_tc.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* Settings one source may make: 64 constants, map sizes and switches are far
 * more than the 10-20 that collectors have. Values up to 512 bytes: a filter
 * list of 32 names. */
#define MAX_SETTINGS   64
#define MAX_CONST_SIZE 512
#define MAX_MMAPS      8

enum setting_type { SET_CONST, SET_ENTRIES };

struct setting {
	enum setting_type type;
	char name[64];
	uint32_t entries;
	uint32_t size;
	unsigned char value[MAX_CONST_SIZE];
};

struct program_state {
	struct weir__bpf_program pub;
	int variant;                  /* index into row->variants; -1: none left */
	struct bpf_program *prog;
	struct bpf_link *link;
	int perf_fd;                  /* until the link has it, else -1 */
	int link_perf_fd;             /* the same once it is the link's: not ours to close, but once */
	int adopted_fd, link_fd;      /* of another host's, else -1: bpf_adopt.c */
	bool back;                    /* shed: attach it again when it is over */
	struct weir__bpf_target *targets; /* tc: interfaces; bpf_place.c */
	size_t target_count;
};

struct weir__bpf {
	const struct weir_source *source;
	uint64_t ring_bytes;
	struct bpf_object *obj;
	bool loaded;
	char error[WEIR__ERROR_TEXT];

	struct setting *settings[MAX_SETTINGS];
	size_t setting_count;

	struct program_state programs[WEIR_MAX_PROGRAMS];
	struct weir__bpf_program rows[WEIR_MAX_PROGRAMS]; /* handed out */
	size_t program_count;

	struct weir__tc_owner tc;       /* of what is attached without tcx */
	uint32_t cpus;
	uint32_t shed_below;            /* priority; 0: nothing is shed */
	struct weir_knobs *knobs;       /* mapped */
	const struct weir_cpu *account; /* mapped, cpus entries */
	uint32_t ring_count, ring_size;
	int ring_fds[WEIR_MAX_PROGRAMS * 8];
	struct weir__ring *rings[WEIR_MAX_PROGRAMS * 8];

	struct { void *at; size_t len; } mmaps[MAX_MMAPS];
	size_t mmap_count;
};

/* bpf_load.c */
int weir__bpf_attach_state(struct weir__bpf *b, struct program_state *s);
void weir__bpf_detach_state(struct weir__bpf *b, struct program_state *s);
struct program_state *weir__bpf_find(struct weir__bpf *b, const char *name);

/* A classic tracepoint's perf event, or -errno. */
int weir__bpf_perf_tracepoint(struct program_state *s, const char *category_name);

/* bpf_place.c: cgroups and interfaces */
/* linux/bpf.h since 6.6; this may be built with older headers. */
#define WEIR__TCX_INGRESS 46
#define WEIR__TCX_EGRESS  47
/* An open directory, or -errno. Whole: of all cgroups, not only those of a container. */
int weir__cgroup_root(bool *ret_whole);
bool weir__bpf_is_cgroup(const char *section);
bool weir__bpf_is_tc(const char *section);
int weir__bpf_attach_cgroup(struct program_state *s);
int weir__bpf_targets_attach(struct weir__bpf *b, struct program_state *s);
void weir__bpf_targets_detach(struct weir__bpf *b, struct program_state *s);
void weir__bpf_targets_free(struct program_state *s);

/* bpf_adopt.c */
int weir__bpf_program_fd(const struct program_state *s);
int weir__bpf_link_fd(const struct program_state *s);
int weir__bpf_attach_adopted(struct program_state *s);

/* bpf.c */
int weir__bpf_map_accounts(struct weir__bpf *b);
int weir__bpf_open_object(struct weir__bpf *b);
void weir__bpf_close_object(struct weir__bpf *b);
int weir__bpf_setup_maps(struct weir__bpf *b);

/* bpf_kernel.c: an open directory of tracefs's events, or -errno. */
int weir__tracefs_events(void);
const struct btf *weir__kernel_btf(void);

/* What libbpf last complained about on this thread. */
struct weir__bpf_said {
	char program[64];
	char text[WEIR__ERROR_TEXT];
};
struct weir__bpf_said *weir__bpf_said(void);
/* printf into an error text of WEIR__ERROR_TEXT bytes. */
__attribute__((format(printf, 2, 3))) void weir__bpf_say(char *error, const char *fmt, ...);

#endif
