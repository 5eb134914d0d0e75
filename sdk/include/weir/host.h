/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host does for a plugin: a vtable, so that a plugin links against
 * nothing of Weir's, and inline wrappers that make it pleasant to call.
 *
 * Everything here is called on the host's loop thread, from within a callback of
 * the plugin, unless the comment says "any thread". Errors are negative errno.
 * The vtable is append-only: `size` is its length in the running daemon.
 */
#ifndef WEIR_HOST_H
#define WEIR_HOST_H

#include "event.h"
#include "metric.h"
#include "query.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <errno.h>
#include <sys/types.h>

enum weir_log_level { WEIR_ERROR, WEIR_WARN, WEIR_INFO, WEIR_DEBUG };
enum weir_fd_events { WEIR_READABLE = 1, WEIR_WRITABLE = 2 };
enum weir_attach_flags {
	WEIR_ATTACH_INGRESS = 0,
	WEIR_ATTACH_EGRESS = 1,
	WEIR_ATTACH_LAST = 2,      /* after the programs that are there (tcx), else before */
};
/* Priority of the filter where there is no tcx: 1 to 65535, 0 is 1. */
#define WEIR_ATTACH_PRIORITY_SHIFT 16
#define WEIR_ATTACH_PRIORITY(n) ((uint32_t)(n) << WEIR_ATTACH_PRIORITY_SHIFT)
enum weir_format { WEIR_FORMAT_JSON, WEIR_FORMAT_TEXT };

struct weir_timer;
struct weir_fd;
struct bpf_object;

/* The plugin's handle. The plugin reads `host` and `state`; the rest is the host's. */
struct weir_plugin {
	const struct weir_host *host;
	void *state;       /* desc.state_size zeroed bytes, options filled in */
	const char *name;  /* instance name */
};

struct weir_host {
	uint32_t size;      /* of this struct in the daemon */
	uint16_t abi_major;
	uint16_t abi_minor;

	/* --- log: one line, rate limited per call site. Any thread. */
	void (*log)(struct weir_plugin *p, int level, const char *fmt, va_list ap);
	/* Why the callback that is about to return <0 fails: one sentence, with
	 * what to do. Shown by status, check and the log. */
	void (*fail)(struct weir_plugin *p, const char *fmt, va_list ap);

	/* --- memory, counted on the plugin's account. Any thread.
	 * realloc(NULL) allocates, size 0 frees and returns NULL. */
	void *(*realloc)(struct weir_plugin *p, void *ptr, size_t size);

	/* --- clocks, in ns. Any thread. */
	uint64_t (*now)(struct weir_plugin *p);      /* CLOCK_MONOTONIC */
	uint64_t (*realtime)(struct weir_plugin *p); /* CLOCK_REALTIME */
	uint64_t (*random)(struct weir_plugin *p);

	/* --- loop services. The handle is the host's; it is closed by *_stop, and
	 * whatever is left after fini. Timers have 1 ms resolution. */
	struct weir_timer *(*timer_start)(struct weir_plugin *p, uint64_t first_ns,
	                                  uint64_t repeat_ns,
	                                  void (*cb)(struct weir_plugin *, void *), void *arg);
	void (*timer_stop)(struct weir_timer *t); /* NULL is fine */
	struct weir_fd *(*fd_start)(struct weir_plugin *p, int fd, int events,
	                            void (*cb)(struct weir_plugin *, int fd, int events, void *),
	                            void *arg);
	void (*fd_stop)(struct weir_fd *w);       /* does not close the fd; NULL is fine */
	/* Run `work` on a pool thread, then `done` on the loop. `work` may block,
	 * and has none of the capabilities that the plugin declares. */
	int (*work)(struct weir_plugin *p, void (*work)(void *arg),
	            void (*done)(struct weir_plugin *, void *arg), void *arg);

	/* --- files. At most `size` bytes of a file (procfs, sysfs) from its start.
	 * Returns the length read, not NUL-terminated. */
	ssize_t (*read_file)(struct weir_plugin *p, const char *path, void *buf, size_t size);

	/* --- events. Copies the payload into the open batch of the kind's topic,
	 * which is handed over when it is full or when the callback has returned.
	 * time_ns 0: now. Returns 0; -EINVAL (unknown kind, wrong length),
	 * -ENOBUFS (dropped, and already counted). */
	int (*emit)(struct weir_plugin *p, uint16_t kind, const void *payload,
	            uint32_t len, uint64_t time_ns, uint32_t weight);
	/* Count `n` events of a kind that ended in this plugin without emit:
	 * verdict is enum weir_record_verdict. */
	void (*count)(struct weir_plugin *p, uint16_t kind, int verdict, uint64_t n);

	/* --- metrics. Find or make a series; label_values in declared order.
	 * NULL: no room (bound: 4096 series a plugin), counted, and safe to pass on. */
	struct weir_series *(*series)(struct weir_plugin *p, uint32_t metric,
	                              const char *const *label_values);
	void (*series_set)(struct weir_series *s, double value);
	void (*series_add)(struct weir_series *s, double value);
	void (*series_histogram)(struct weir_series *s, const uint64_t *buckets, double sum);
	void (*series_absent)(struct weir_series *s); /* no value: not exported */
	void (*series_free)(struct weir_series *s);   /* forget it, make room */
	/* All present samples of all plugins and of Weir itself. */
	int (*metrics_walk)(struct weir_plugin *p, weir_sample_cb cb, void *arg);

	/* --- outputs. For a batch for which deliver() returns WEIR_PENDING, from within
	 * it or later. Of its records `rejected` were refused for good, the others are
	 * delivered. The batch is gone afterwards. */
	void (*batch_done)(struct weir_plugin *p, const struct weir_batch *b, uint32_t rejected);
	/* Any record by its schema, escaped; a line without the newline. Returns the
	 * length it would have had, like snprintf. fmt: enum weir_format. */
	size_t (*format)(struct weir_plugin *p, const struct weir_batch *b,
	                 const struct weir_record *r, int fmt, char *buf, size_t size);

	/* --- queries. Write an answer. */
	void (*out_write)(struct weir_out *out, const void *data, size_t len);
	void (*out_printf)(struct weir_out *out, const char *fmt, va_list ap);
	void (*out_json_string)(struct weir_out *out, const char *s, size_t max); /* quoted, escaped */
	/* Ask a query of another plugin, or of all with that name ("*.summary").
	 * cb gets the concatenated answers, on this plugin's loop. */
	int (*ask)(struct weir_plugin *p, const char *query,
	           void (*cb)(struct weir_plugin *, int err, const char *text, size_t len, void *arg),
	           void *arg);

	/* --- BPF, for a source with an object. Before load (in prepare): */
	int (*bpf_set_const)(struct weir_plugin *p, const char *name, const void *value, size_t size);
	int (*bpf_set_entries)(struct weir_plugin *p, const char *map, uint32_t entries);
	int (*bpf_enable)(struct weir_plugin *p, const char *program, bool on);
	/* Does the kernel's BTF have this type, or this member of a struct?
	 * "btf_trace_x" tells whether tracepoint x can be a tp_btf. */
	bool (*kernel_has)(struct weir_plugin *p, const char *type, const char *member);
	/* After load (from start on): */
	int (*bpf_map)(struct weir_plugin *p, const char *map);     /* fd, the host's */
	int (*bpf_attach)(struct weir_plugin *p, const char *program, bool on);
	/* Attached variant ("mm_get_pages"), or NULL if it is not. */
	const char *(*bpf_attached)(struct weir_plugin *p, const char *program);
	/* Memory-map an mmapable array, read-only; the host unmaps after stop. */
	const void *(*bpf_mmap)(struct weir_plugin *p, const char *map, size_t *ret_value_size,
	                        uint32_t *ret_entries);
	/* bpf(2) map calls by fd; -ENOENT and so on as the kernel says. */
	int (*map_lookup)(int fd, const void *key, void *value);
	int (*map_update)(int fd, const void *key, const void *value, uint64_t flags);
	int (*map_delete)(int fd, const void *key);
	int (*map_next)(int fd, const void *key, void *next_key);
	int (*map_batch)(int fd, void *token, bool first, void *keys, void *values,
	                 uint32_t *count); /* BPF_MAP_LOOKUP_BATCH; -ENOENT at the end */
	int (*bpf_iter)(struct weir_plugin *p, const char *program); /* new fd: read, then close */
	uint32_t (*cpus)(struct weir_plugin *p);                    /* possible CPUs */
	struct bpf_object *(*bpf_object)(struct weir_plugin *p);    /* for what is unusual */

	/* --- fallback plugins: is this topic wanted from us now? */
	bool (*topic_wanted)(struct weir_plugin *p, const char *topic);

	/* --- sources. The running source is only approximate on this kernel, though
	 * its row says exact: from its start() on, until it stops. */
	void (*source_approx)(struct weir_plugin *p, bool approx);

	/* --- 1.2. A tc program (WEIR_PROGRAM_MANUAL, SEC("tc")) at a network interface of the
	 * host's network namespace, or no longer. flags: enum weir_attach_flags. Both are
	 * idempotent; what is attached ends with the source, and with the interface. -ENODEV: no
	 * such interface; -ENOSPC: 4096 of them. Under pressure the host detaches, and attaches
	 * again, by itself. Before Linux 6.6 it is a filter of clsact, which a killed daemon leaves
	 * behind, without effect but its cost; the next one that attaches anything removes it. */
	int (*bpf_attach_at)(struct weir_plugin *p, const char *program, int ifindex, uint32_t flags,
	                     bool on);
	/* BPF_MAP_LOOKUP_AND_DELETE_BATCH, as map_batch; only for a map that no program writes
	 * any more: else what is added between the two is lost. Any thread; but on those of
	 * work(), as for all map calls, -EPERM before Linux 5.19 (c8644cd0efe7) where
	 * kernel.unprivileged_bpf_disabled is set. */
	int (*map_drain)(int fd, void *token, bool first, void *keys, void *values, uint32_t *count);

	/* --- 1.4, fallback plugins. While topic_wanted(): when another collector was told to cease to
	 * serve the topic, or was seen to have: what passed since its end nobody has. Otherwise: when
	 * another began, at the earliest: what passed since then both may have. CLOCK_MONOTONIC, ns;
	 * 0: none has. The plugin's thread. */
	uint64_t (*topic_since)(struct weir_plugin *p, const char *topic);

	/* --- 1.4. What the running kernel calls a value of one of its enums, with the NUL, cut to
	 * size. -ENOENT: no such type or value, or no BTF. Best asked in start() of a source with
	 * programs: later the kernel's BTF has to be read again. */
	int (*kernel_enum)(struct weir_plugin *p, const char *type, int64_t value, char *ret_name, size_t size);
};

/* ---- wrappers ------------------------------------------------------------- */

#define weir_state(p) ((p)->state)

#define WEIR__VA(call)                                                         \
	do {                                                                   \
		va_list ap;                                                    \
		va_start(ap, fmt);                                             \
		call;                                                          \
		va_end(ap);                                                    \
	} while (0)

__attribute__((format(printf, 3, 4))) static inline void
weir_log(struct weir_plugin *p, int level, const char *fmt, ...)
{
	WEIR__VA(p->host->log(p, level, fmt, ap));
}

/* return weir_fail(p, -EPERM, "needs CAP_BPF: run as root"); */
__attribute__((format(printf, 3, 4))) static inline int
weir_fail(struct weir_plugin *p, int err, const char *fmt, ...)
{
	WEIR__VA((p->host->fail)(p, fmt, ap)); /* cmocka has a macro fail() */
	return err;
}

__attribute__((format(printf, 3, 4))) static inline void
weir_printf(struct weir_plugin *p, struct weir_out *out, const char *fmt, ...)
{
	WEIR__VA(p->host->out_printf(out, fmt, ap));
}

static inline void *weir_alloc(struct weir_plugin *p, size_t size)
{
	return p->host->realloc(p, NULL, size);
}
static inline void weir_free(struct weir_plugin *p, void *ptr)
{
	if (ptr)
		p->host->realloc(p, ptr, 0);
}
static inline uint64_t weir_now(struct weir_plugin *p)
{
	return p->host->now(p);
}
static inline int weir_emit(struct weir_plugin *p, uint16_t kind, const void *payload, uint32_t len)
{
	return p->host->emit(p, kind, payload, len, 0, 1);
}
/* Set one series in a line: weir_set(p, M_FILLS, 12, "demand"); */
#define weir_set(p, metric, value, ...)                                        \
	(p)->host->series_set(                                                 \
		(p)->host->series((p), (metric), (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }), \
		(value))
#define weir_absent(p, metric, ...)                                            \
	(p)->host->series_absent(                                              \
		(p)->host->series((p), (metric), (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }))

#endif
