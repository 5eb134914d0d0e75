/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor: the one symbol a plugin exports, and the ELF note that lets the
 * loader judge it before any of the plugin's code runs.
 *
 * Lifecycle: init allocates, start begins, stop ends and waits, fini frees. If
 * init fails there is nothing to undo; stop is idempotent and legal in any state;
 * start may follow stop again. All callbacks run on the host's loop thread.
 */
#ifndef WEIR_PLUGIN_H
#define WEIR_PLUGIN_H

#include "version.h"
#include "host.h"
#include "option.h"
#include "source.h"

enum weir_kind { WEIR_COLLECTOR = 1, WEIR_PROCESSOR = 2, WEIR_OUTPUT = 3 };

enum weir_plugin_flags {
	WEIR_PLUGIN_FLAG_NONE = 0,
	/* 1.1: it forks processes of its own. One in a process of its own may not else; it
	 * still runs no other program, and signals nobody: what it forks must end by itself. */
	WEIR_PLUGIN_FORKS = 1,
};

/* What deliver() may return besides a negative errno. */
enum weir_deliver_result { WEIR_DELIVERED = 0, WEIR_PENDING = 1 };

/* Capabilities: 1 << CAP_x, linux/capability.h. */
#define WEIR_CAP_NET_ADMIN   (1ull << 12)
#define WEIR_CAP_NET_RAW     (1ull << 13)
#define WEIR_CAP_SYS_PTRACE  (1ull << 19)
#define WEIR_CAP_SYS_ADMIN   (1ull << 21)
#define WEIR_CAP_DAC_READ_SEARCH (1ull << 2)
#define WEIR_CAP_PERFMON     (1ull << 38)
#define WEIR_CAP_BPF         (1ull << 39)

struct weir_plugin_desc {
	uint32_t desc_size;      /* sizeof, in the plugin */
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t kind;           /* enum weir_kind */
	uint32_t flags;          /* enum weir_plugin_flags */
	uint32_t state_size;     /* bytes the host allocates for state, zeroed */
	uint32_t reserved;
	uint64_t needs;          /* capabilities of the best source */

	const char *name;        /* [a-z][a-z0-9-]*, at most 31 characters */
	const char *version;     /* the plugin's own, semver */
	const char *doc;         /* one sentence */
	const char *topics;      /* collectors: provided; outputs: default wants, "*" all */
	const char *fallback_for;/* topics this collector stands in for, or NULL */

	struct weir_table options; /* struct weir_option, bound to state */
	struct weir_table schemas; /* struct weir_schema; row number = kind */
	struct weir_table metrics; /* struct weir_metric */
	struct weir_table queries; /* struct weir_query */
	struct weir_table sources; /* struct weir_source, best first */

	/* Allocate what lives as long as the plugin; options are filled in.
	 * Required: no.  Blocks: briefly.  Errors: the plugin is not started;
	 * say why with weir_fail(). */
	int (*init)(struct weir_plugin *p);

	/* Free everything. Required: no.  Takes a half-built state. */
	void (*fini)(struct weir_plugin *p);

	/* Begin. Required: no.  For a collector it comes before its source's
	 * probe.  Errors: as init; stop() is not called. */
	int (*start)(struct weir_plugin *p);

	/* End and wait for what runs. Required: no.  Idempotent. An output has
	 * been handed all its batches before. */
	void (*stop)(struct weir_plugin *p);

	/* Bring metrics up to date: a scrape is about to read them. Required: no.
	 * Blocks: 10 ms at most.  Called at most ten times a second. */
	int (*collect)(struct weir_plugin *p);

	/* Outputs only: take a batch.  Required: for outputs.  Blocks: no.
	 * Owns: the batch stays the host's; it is valid until this returns, or
	 * after WEIR_PENDING until batch_done().  Returns WEIR_DELIVERED,
	 * WEIR_PENDING, or <0: rejected for good, all of it. */
	int (*deliver)(struct weir_plugin *p, const struct weir_batch *b);

	/* Outputs only: write out what is buffered. Required: no.  Called once
	 * after the last deliver() of a loop round. */
	void (*flush)(struct weir_plugin *p);

	/* Self-check for `weir check` and the supervisor: 0 healthy, <0 with
	 * weir_fail(). Required: no.  Blocks: briefly. */
	int (*check)(struct weir_plugin *p);
};

/* Released offsets (1.0); they never move. */
#define WEIR__PIN(m, o) _Static_assert(offsetof(struct weir_plugin_desc, m) == (o), "ABI: " #m " moved")
#if __SIZEOF_POINTER__ == 8
WEIR__PIN(desc_size, 0);
WEIR__PIN(abi_major, 4);
WEIR__PIN(abi_minor, 6);
WEIR__PIN(kind, 8);
WEIR__PIN(flags, 12);
WEIR__PIN(state_size, 16);
WEIR__PIN(needs, 24);
WEIR__PIN(name, 32);
WEIR__PIN(version, 40);
WEIR__PIN(doc, 48);
WEIR__PIN(topics, 56);
WEIR__PIN(fallback_for, 64);
WEIR__PIN(options, 72);
WEIR__PIN(schemas, 88);
WEIR__PIN(metrics, 104);
WEIR__PIN(queries, 120);
WEIR__PIN(sources, 136);
WEIR__PIN(init, 152);
WEIR__PIN(fini, 160);
WEIR__PIN(start, 168);
WEIR__PIN(stop, 176);
WEIR__PIN(collect, 184);
WEIR__PIN(deliver, 192);
WEIR__PIN(flush, 200);
WEIR__PIN(check, 208);
_Static_assert(sizeof(struct weir_plugin_desc) == 216, "ABI: descriptor grew; add pins and a changelog entry");
#endif

/* The ELF note: vendor "Weir", type 1, section .note.weir. */
struct weir_note {
	uint32_t namesz, descsz, type;
	char vendor[8];
	uint16_t abi_major, abi_minor;
	uint32_t desc_size;
};
#define WEIR_NOTE_TYPE 1

#define WEIR_PLUGIN(...)                                                       \
	__attribute__((section(".note.weir"), used, aligned(4)))               \
	static const struct weir_note weir__note = {                           \
		5, 8, WEIR_NOTE_TYPE, "Weir",                                  \
		WEIR_ABI_MAJOR, WEIR_ABI_MINOR, sizeof(struct weir_plugin_desc) }; \
	__attribute__((visibility("default"), used))                           \
	const struct weir_plugin_desc weir_plugin = {                          \
		.desc_size = sizeof(struct weir_plugin_desc),                  \
		.abi_major = WEIR_ABI_MAJOR, .abi_minor = WEIR_ABI_MINOR,      \
		__VA_ARGS__ }

#endif
