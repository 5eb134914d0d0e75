/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the test host: one struct, and lists that the parts share.
 */
#ifndef WEIR_TESTHOST_PRIV_H
#define WEIR_TESTHOST_PRIV_H

#include "weir/testhost.h"
#include "metrics.h"

#include <stdatomic.h>

#define TEST_MAGIC 0x57545354u /* "WTST" */

/* Name to bytes: files, constants, answers, what iterators read ... */
struct named {
	struct named *next;
	char *name;
	void *data;
	size_t len;
	int err; /* files: this instead of data */
};

struct weir_timer {
	struct weir_timer *next;
	struct weir_test *test;
	uint64_t due_ns, repeat_ns;
	uint64_t order; /* equal due times fire in the order they were started */
	void (*cb)(struct weir_plugin *, void *);
	void *arg;
};

struct weir_fd {
	struct weir_fd *next;
	struct weir_test *test;
	int fd, events;
	void (*cb)(struct weir_plugin *, int fd, int events, void *);
	void *arg;
};

/* Work to do, or an answer to give, in the next round. */
struct pending {
	struct pending *next;
	void (*work)(void *arg);
	void (*done)(struct weir_plugin *, void *arg);
	void (*answered)(struct weir_plugin *, int err, const char *text, size_t len, void *arg);
	char *query;
	void *arg;
};

struct fake_map {
	struct fake_map *next;
	char *name;
	int fd;
	size_t key_size, value_size, count, room;
	uint32_t entries; /* of an array; 0: a hash */
	unsigned char *keys, *values;
};

struct weir_test {
	struct weir_plugin plugin; /* first: that is what the vtable gets */
	uint32_t magic;
	const struct weir_plugin_desc *desc;
	bool initialised, started, source_started, approx;
	const struct weir_source *source; /* being tried, or started */
	const struct weir_source *stopped; /* the one that ran before */

	uint64_t now_ns, random, order;
	struct weir_timer *timers, *tick;
	struct weir_fd *fds;
	struct pending *pending, **pending_end;
	unsigned int tick_errors;
	int tick_error;

	struct weir_test_event *events;
	size_t event_count, event_room;
	char *event_text;
	uint64_t counted[WEIR_MAX_KINDS][3];
	char **logs;
	size_t log_count;
	char reason[512];

	struct named *files, *wants, *answers, *consts, *entries, *enabled, *kernel, *attached,
		*variants, *iters;
	bool real_files;
	uint32_t cpus;
	struct fake_map *maps;
	struct weir__metrics_set *metrics;
	uint64_t *histogram;
	size_t done;
	uint64_t rejected;

	long fail_at[WEIR_TEST_SERVICES];
	_Atomic long calls[WEIR_TEST_SERVICES], blocks;
	_Atomic size_t bytes;
};

/* The checked cast from what the vtable is given. */
struct weir_test *weir__test_of(struct weir_plugin *p);
/* "weir_test: ..." and abort: a mistake in the test. */
__attribute__((noreturn, format(printf, 1, 2))) void weir__test_die(const char *fmt, ...);
/* Never NULL: a test without memory ends. */
void *weir__test_alloc(size_t size);
char *weir__test_strdup(const char *s);
/* Is it this call's turn to fail? */
bool weir__test_must_fail(struct weir_test *t, enum weir_test_service service);

struct named *weir__named_find(struct named *list, const char *name);
struct named *weir__named_set(struct named **list, const char *name, const void *data, size_t len);
void weir__named_free(struct named **list);

const struct weir_source *weir__test_source(struct weir_test *t, const char *name);
void weir__test_add_event(struct weir_test *t, const struct weir_record *r, const void *payload, uint32_t len);
void weir__test_tick_start(struct weir_test *t);
void weir__test_tick_stop(struct weir_test *t);
unsigned int weir__test_run_pending(struct weir_test *t);
void weir__test_loop_free(struct weir_test *t);
void weir__test_events_free(struct weir_test *t);
void weir__test_bpf_free(struct weir_test *t);

/* The vtable, assembled in testhost.c from the parts' slots. */
void weir__test_loop_slots(struct weir_host *h);
void weir__test_event_slots(struct weir_host *h);
void weir__test_ask_slots(struct weir_host *h);
void weir__test_bpf_slots(struct weir_host *h);

#endif
