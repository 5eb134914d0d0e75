/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test host: a plugin's tests run in it, without a daemon, a loop, root or a
 * kernel with BPF. It keeps the promises of host.h and gives the test what a real
 * host hides: the clock, the events, the log, files that say what the test
 * wants, and any service failing at its n-th call.
 *
 *     struct weir_test *t = weir_test_new(&weir_plugin, "min_runtime=1s");
 *
 *     weir_test_file(t, "/proc/stat", "processes 17\n");
 *     assert_int_equal(weir_test_init(t), 0);
 *     assert_int_equal(weir_test_start(t, "procfs"), 0);
 *     weir_test_advance(t, WEIR_TEST_SECOND);        // fires timers and ticks
 *     assert_int_equal(weir_test_event_count(t), 1);
 *     assert_int_equal(weir_test_free(t), 0);        // blocks the plugin leaked
 *
 * Link with the plugin's own sources and weir-testhost. One thread, except where
 * the vtable itself says "any thread". A mistake in the test (an unknown source, a
 * bad option) prints what is wrong and aborts; a mistake of the plugin is what
 * its callback returns. What a function returns by pointer belongs to the test
 * host and lives until weir_test_free(), unless it says otherwise.
 */
#ifndef WEIR_TESTHOST_H
#define WEIR_TESTHOST_H

#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_TEST_MS     1000000ull
#define WEIR_TEST_SECOND 1000000000ull
/* Where both clocks start: an uptime of 1000 s, and 2024-01-01T00:00:00Z. */
#define WEIR_TEST_NOW      (1000 * WEIR_TEST_SECOND)
#define WEIR_TEST_REALTIME (1704067200 * WEIR_TEST_SECOND)

struct weir_test;

/* The plugin's own descriptor, when its sources are linked into the test. */
extern const struct weir_plugin_desc weir_plugin;

/* ---- life ----------------------------------------------------------------- */

/* State with defaults and the given options ("name=value"; a list is "a,b").
 * Nothing of the plugin has been called yet. */
#define weir_test_new(desc, ...)                                               \
	weir_test_new_with((desc), (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })
struct weir_test *weir_test_new_with(const struct weir_plugin_desc *desc, const char *const *options);
/* The same; -EINVAL or -ERANGE, and what is wrong, instead of aborting. */
int weir_test_try_new(const struct weir_plugin_desc *desc, const char *const *options,
                      struct weir_test **ret, char *err, size_t err_size);
/* Stop and fini what is still due, then: blocks left on the plugin's account. */
long weir_test_free(struct weir_test *t);

struct weir_plugin *weir_test_plugin(struct weir_test *t);

/* The plugin's callbacks, in the order a host calls them; 0 where there is none.
 * init. */
int weir_test_init(struct weir_test *t);
/* start, then of the source: probe, prepare, start; then its tick is armed.
 * source NULL: the plugin's start alone. On error all is undone, as a host does. */
int weir_test_start(struct weir_test *t, const char *source);
/* The source's stop, then the plugin's. Legal at any time, and twice. */
void weir_test_stop(struct weir_test *t);
void weir_test_fini(struct weir_test *t);
int weir_test_collect(struct weir_test *t);
int weir_test_check(struct weir_test *t);
/* Single callbacks of a source, for a test of just that. */
int weir_test_probe(struct weir_test *t, const char *source);
int weir_test_prepare(struct weir_test *t, const char *source);
/* tick() of the started source, now. */
int weir_test_tick(struct weir_test *t);

/* ---- time and loop -------------------------------------------------------- */

uint64_t weir_test_now(struct weir_test *t);
/* Let time pass: fires timers and ticks that fall due, in order, each at its own
 * time; runs work(), answers ask(). Returns how many callbacks ran. */
unsigned int weir_test_advance(struct weir_test *t, uint64_t ns);
/* Wait up to timeout_ms (real time) for a watched fd, and call its watchers. Also
 * runs work() and answers ask(). Returns how many callbacks ran. */
unsigned int weir_test_poll(struct weir_test *t, int timeout_ms);
/* Timers, watchers and work under way now. */
size_t weir_test_timers(struct weir_test *t);
size_t weir_test_watchers(struct weir_test *t);
/* tick() calls that returned <0 so far, and the last such value. */
unsigned int weir_test_tick_errors(struct weir_test *t, int *ret_last);

/* ---- what the plugin said --------------------------------------------------- */

struct weir_test_event {
	uint16_t kind, flags;
	uint32_t weight, len; /* len: of the payload */
	uint64_t time_ns;
	const void *payload;
};
size_t weir_test_event_count(struct weir_test *t);
/* NULL beyond the end. */
const struct weir_test_event *weir_test_event(struct weir_test *t, size_t i);
/* The i-th of one kind. */
const struct weir_test_event *weir_test_event_of(struct weir_test *t, uint16_t kind, size_t i);
/* As an output would print it: enum weir_format. Valid until the next call. */
const char *weir_test_event_text(struct weir_test *t, size_t i, int format);
void weir_test_events_clear(struct weir_test *t);
/* What the plugin has booked by count(), or by a verdict of record(). */
uint64_t weir_test_counted(struct weir_test *t, uint16_t kind, int verdict);

/* Log lines, "warn: ..."; NULL beyond the end. */
const char *weir_test_log(struct weir_test *t, size_t i);
bool weir_test_logged(struct weir_test *t, const char *part);
/* The last weir_fail(), or "". */
const char *weir_test_reason(struct weir_test *t);

/* What source_approx() has said. */
bool weir_test_approx(struct weir_test *t);

/* A sample by metric name and label values; NAN if it is absent. A histogram
 * gives its sum. weir_test_metric(t, "x_total", "read") */
#define weir_test_metric(t, ...) weir_test_metric_with((t), (const char *const[]){ __VA_ARGS__, NULL })
double weir_test_metric_with(struct weir_test *t, const char *const *name_and_labels);
/* A histogram's buckets (bucket_count + 1, not cumulated) or NULL; copied. */
#define weir_test_histogram(t, ...) weir_test_histogram_with((t), (const char *const[]){ __VA_ARGS__, NULL })
const uint64_t *weir_test_histogram_with(struct weir_test *t, const char *const *name_and_labels);

/* ---- what the plugin is told ------------------------------------------------ */

/* read_file(path) gives this text, bytes, or error (-ENOENT, ...). A path that
 * was not named is -ENOENT, or the real file after weir_test_real_files(). */
void weir_test_file(struct weir_test *t, const char *path, const char *text);
void weir_test_file_bytes(struct weir_test *t, const char *path, const void *data, size_t len);
void weir_test_file_error(struct weir_test *t, const char *path, int err);
void weir_test_real_files(struct weir_test *t, bool on);
/* topic_wanted(); by default every topic is. topic_since() is when this was called. */
void weir_test_want(struct weir_test *t, const char *topic, bool wanted);
/* ask(query) gives this; by default -ENOENT. */
void weir_test_answer(struct weir_test *t, const char *query, const char *text);
void weir_test_cpus(struct weir_test *t, uint32_t cpus); /* default 2 */

/* Let the n-th call (0: the next) of a service fail; -1: none. The error is what
 * the comment says. Returns the calls of it since the last weir_test_fail(). */
enum weir_test_service {
	WEIR_TEST_REALLOC,   /* NULL */
	WEIR_TEST_READ_FILE, /* -EIO */
	WEIR_TEST_MAP,       /* every map_*() and bpf_*(): -EIO, or NULL */
	WEIR_TEST_TIMER,     /* NULL */
	WEIR_TEST_FD,        /* NULL */
	WEIR_TEST_WORK,      /* -ENOMEM */
	WEIR_TEST_SERIES,    /* NULL */
	WEIR_TEST_EMIT,      /* -ENOBUFS */
	WEIR_TEST_SERVICES
};
long weir_test_fail(struct weir_test *t, enum weir_test_service service, long n);
/* The plugin's memory account. */
long weir_test_blocks(struct weir_test *t);
size_t weir_test_bytes(struct weir_test *t);

/* ---- driving ------------------------------------------------------------------ */

/* A record from the ring, for record() of the started source. Its verdict; what
 * passes becomes an event. */
int weir_test_record(struct weir_test *t, uint16_t kind, const void *payload, uint32_t len);

/* Ask a query; args "name=value". What answer() returned; the text is cut at size
 * and ends in NUL. -ENOENT: no such query; -EINVAL, -ERANGE: a bad
 * argument, said in buf. */
#define weir_test_query(t, name, buf, size, ...)                               \
	weir_test_query_with((t), (name), (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }, \
	                     (buf), (size))
int weir_test_query_with(struct weir_test *t, const char *name, const char *const *args,
                         char *buf, size_t size);

/* A batch as a collector would send it; `from` describes the events. */
struct weir_test_batch;
struct weir_test_batch *weir_test_batch_new(const struct weir_plugin_desc *from, const char *topic,
                                            const char *source);
void weir_test_batch_add(struct weir_test_batch *b, uint16_t kind, const void *payload,
                         uint32_t len, uint64_t time_ns);
const struct weir_batch *weir_test_batch(struct weir_test_batch *b);
void weir_test_batch_free(struct weir_test_batch *b); /* NULL is fine */
/* deliver(), and flush() after it. */
int weir_test_deliver(struct weir_test *t, struct weir_test_batch *b);
/* Batches acknowledged by batch_done(), and the records rejected in them. */
size_t weir_test_done(struct weir_test *t, uint64_t *ret_rejected);

/* ---- BPF ---------------------------------------------------------------------- */

/* No object is loaded; these are what the plugin finds in its place.
 * A map: bpf_map(name) gives a number that only the vtable's map_*() know. */
void weir_test_map(struct weir_test *t, const char *name, size_t key_size, size_t value_size);
void weir_test_map_put(struct weir_test *t, const char *name, const void *key, const void *value);
/* The value of a key, NULL if there is none. */
void *weir_test_map_get(struct weir_test *t, const char *name, const void *key);
/* An array, keys 0 to entries - 1, which bpf_mmap() gives too. Its memory. */
void *weir_test_array(struct weir_test *t, const char *name, size_t value_size, uint32_t entries);
/* What prepare() has set: a constant's bytes (NULL: not set), entries (0: not
 * set), whether a program is on (default true). */
const void *weir_test_const(struct weir_test *t, const char *name, size_t *ret_size);
uint32_t weir_test_entries(struct weir_test *t, const char *map);
bool weir_test_enabled(struct weir_test *t, const char *program);
/* kernel_has(); by default the kernel has everything. member may be NULL. */
void weir_test_kernel(struct weir_test *t, const char *type, const char *member, bool has);
/* bpf_attached() says this; by default the first variant of what is on. */
void weir_test_attached(struct weir_test *t, const char *program, const char *variant);
/* What bpf_iter(program) reads; by default -ENOENT. */
void weir_test_iter(struct weir_test *t, const char *program, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
