/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test host itself: what plugin tests rely on. The plugin is made here; it
 * does whatever the test at hand tells it to.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/testhost.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
	uint64_t interval_ns, limit;
	const char *path;
	struct weir_strings names;
	int ticks, tick_result, timer_calls, init_result, start_result, source_result;
	struct weir_timer *timer;
	char calls[64]; /* one letter per callback */
	char answer[64];
};
struct hit {
	uint32_t pid, pad;
	uint64_t ns;
};
enum { HIT };
enum { M_HITS, M_LIFE };

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct state, interval_ns, "interval", "1s", "How often"),
	WEIR_OPTION_UINT(struct state, limit, "limit", "10", "How many"),
	WEIR_OPTION_STRING(struct state, path, "path", "/proc/stat", "Which file"),
	WEIR_OPTION_LIST(struct state, names, "names", "a,b", "Names"),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct hit, pid, WEIR_U32, "", "Process"),
	WEIR_FIELD(struct hit, ns, WEIR_U64, "ns", "How long"),
};
static const struct weir_schema schemas[] = {
	[HIT] = { .name = "toy_hit", .topic = "process", .doc = "A hit", .version = 1,
	          .size = sizeof(struct hit), .fields = WEIR_TABLE(fields) },
};
static const double bounds[] = { 1, 10 };
static const struct weir_metric metrics[] = {
	[M_HITS] = { .name = "toy_hits_total", .type = WEIR_COUNTER, .unit = "", .help = "Hits", .labels = "op" },
	[M_LIFE] = { .name = "toy_life_seconds", .type = WEIR_HISTOGRAM, .unit = "seconds", .help = "Life",
	             .labels = "", .buckets = bounds, .bucket_count = 2 },
};
static const struct weir_option args[] = {
	WEIR_OPTION_UINT(struct state, limit, "limit", "3", "How many", .min = 1, .max = 9),
};
static const struct weir_program programs[] = {
	{ .name = "on_hit", .variants = "on_hit_tp on_hit_raw", .doc = "Hits", .kinds = 1 },
	{ .name = "dump", .doc = "Iterator", .flags = WEIR_PROGRAM_MANUAL },
};
static const char object[64] = "\177ELF";

static struct state *st(struct weir_plugin *p)
{
	return p->state;
}
static void called(struct weir_plugin *p, char letter)
{
	char *at = st(p)->calls;

	at[strlen(at)] = letter;
}
static int init(struct weir_plugin *p)
{
	called(p, 'i');
	return st(p)->init_result;
}
static void fini(struct weir_plugin *p)
{
	called(p, 'f');
}
static int start(struct weir_plugin *p)
{
	called(p, 's');
	return st(p)->start_result;
}
static void stop(struct weir_plugin *p)
{
	called(p, 'x');
}
static int probe(struct weir_plugin *p)
{
	called(p, 'p');
	return 0;
}
static int prepare(struct weir_plugin *p)
{
	called(p, 'r');
	return 0;
}
static int source_start(struct weir_plugin *p)
{
	called(p, 'S');
	return st(p)->source_result < 0 ? weir_fail(p, st(p)->source_result, "no luck with %s", "it") : 0;
}
static void source_stop(struct weir_plugin *p)
{
	called(p, 'X');
}
static int tick(struct weir_plugin *p)
{
	st(p)->ticks++;
	return st(p)->tick_result;
}
static int record(struct weir_plugin *p, struct weir_record *r)
{
	const struct hit *h = weir_payload(r);

	return h->ns < 5 ? WEIR_RECORD_FILTERED : h->ns < st(p)->limit ? WEIR_RECORD_AGGREGATED : WEIR_RECORD_PASS;
}
static int answer(struct weir_plugin *p, const void *a, struct weir_out *out)
{
	weir_printf(p, out, "limit %llu ", (unsigned long long)((const struct state *)a)->limit);
	p->host->out_json_string(out, "a\033b", 8);
	return 0;
}
static const struct weir_query queries[] = {
	{ .name = "top", .doc = "Top", .content_type = "text/plain", .args = WEIR_TABLE(args),
	  .args_size = sizeof(struct state), .answer = answer },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "Kernel", .quality = "", .object = object, .object_end = object + sizeof(object),
	  .programs = WEIR_TABLE(programs), .probe = probe, .prepare = prepare, .start = source_start,
	  .stop = source_stop, .record = record },
	{ .name = "procfs", .doc = "Files", .quality = "approx", .tick = tick,
	  .interval_offset = offsetof(struct state, interval_ns) },
};
static const struct weir_plugin_desc toy = {
	.desc_size = sizeof(toy), .abi_major = WEIR_ABI_MAJOR, .abi_minor = WEIR_ABI_MINOR,
	.name = "toy", .version = "1.0.0", .kind = WEIR_COLLECTOR, .doc = "A toy", .topics = "io process",
	.state_size = sizeof(struct state), .options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas),
	.metrics = WEIR_TABLE(metrics), .queries = WEIR_TABLE(queries), .sources = WEIR_TABLE(sources),
	.init = init, .fini = fini, .start = start, .stop = stop,
};

static struct state *state_of(struct weir_test *t)
{
	return st(weir_test_plugin(t));
}
static struct weir_test *begun(const char *source)
{
	struct weir_test *t = weir_test_new(&toy);

	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, source), 0);
	return t;
}

/* Options are parsed by the plugin's table; a wrong one is said, not swallowed. */
static void options_are_parsed(void **state)
{
	struct weir_test *t = weir_test_new(&toy, "interval=250ms", "names=x,y,z");
	const char *const bad[] = { "limit=many", NULL };
	const char *const unknown[] = { "nothing=1", NULL };
	struct weir_test *none = NULL;
	char err[256];

	(void)state;
	assert_int_equal(state_of(t)->interval_ns, 250 * WEIR_TEST_MS);
	assert_int_equal(state_of(t)->limit, 10);
	assert_int_equal(state_of(t)->names.count, 3);
	assert_string_equal(state_of(t)->path, "/proc/stat");
	assert_int_equal(weir_test_free(t), 0);
	assert_int_equal(weir_test_try_new(&toy, bad, &none, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "limit"));
	assert_int_equal(weir_test_try_new(&toy, unknown, &none, err, sizeof(err)), -EINVAL);
	assert_null(none);
}

/* Callbacks come in the order a host calls them, and a failed start is undone. */
static void life_has_an_order(void **state)
{
	struct weir_test *t = begun("bpf");

	(void)state;
	weir_test_stop(t);
	weir_test_stop(t);
	assert_int_equal(weir_test_start(t, "bpf"), 0);
	assert_string_equal(state_of(t)->calls, "isprSXxXxsprS");
	weir_test_stop(t);
	memset(state_of(t)->calls, 0, 64);
	state_of(t)->source_result = -EPERM;
	assert_int_equal(weir_test_start(t, "bpf"), -EPERM);
	assert_string_equal(state_of(t)->calls, "sprSx");
	assert_string_equal(weir_test_reason(t), "no luck with it");
	memset(state_of(t)->calls, 0, 64);
	state_of(t)->start_result = -EIO;
	assert_int_equal(weir_test_start(t, "bpf"), -EIO);
	assert_string_equal(state_of(t)->calls, "s");
	assert_int_equal(weir_test_free(t), 0);
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	(void)arg;
	if (++st(p)->timer_calls == 3) {
		p->host->timer_stop(st(p)->timer);
		st(p)->timer = NULL;
	}
}

/* Time passes only by hand; ticks and timers fire at their times, in order. */
static void time_is_moved_by_hand(void **state)
{
	struct weir_test *t = begun("procfs");
	struct weir_plugin *p = weir_test_plugin(t);

	(void)state;
	assert_int_equal(weir_now(p), WEIR_TEST_NOW);
	weir_test_advance(t, 999 * WEIR_TEST_MS);
	assert_int_equal(state_of(t)->ticks, 0);
	weir_test_advance(t, WEIR_TEST_MS);
	assert_int_equal(state_of(t)->ticks, 1);
	state_of(t)->tick_result = -EIO;
	weir_test_advance(t, 60 * WEIR_TEST_SECOND);
	assert_int_equal(state_of(t)->ticks, 61);
	assert_int_equal(weir_test_tick_errors(t, NULL), 60);
	state_of(t)->timer = p->host->timer_start(p, 5 * WEIR_TEST_MS, WEIR_TEST_MS, on_timer, NULL);
	assert_int_equal(weir_test_timers(t), 1);
	assert_int_equal(weir_test_advance(t, 100 * WEIR_TEST_MS), 3);
	assert_int_equal(weir_test_timers(t), 0);
	assert_int_equal(p->host->realtime(p) - WEIR_TEST_REALTIME, weir_now(p) - WEIR_TEST_NOW);
	weir_test_stop(t);
	assert_int_equal(weir_test_advance(t, 10 * WEIR_TEST_SECOND), 0);
	assert_int_equal(weir_test_free(t), 0);
}

/* Emitted events are kept and checked as the real host checks them. */
static void events_are_kept(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	struct hit h = { .pid = 7, .ns = 12 };

	(void)state;
	assert_int_equal(weir_emit(p, HIT, &h, sizeof(h)), 0);
	assert_int_equal(weir_emit(p, 1, &h, sizeof(h)), -EINVAL);
	assert_int_equal(weir_emit(p, HIT, &h, 4), -EINVAL);
	weir_test_fail(t, WEIR_TEST_EMIT, 0);
	assert_int_equal(weir_emit(p, HIT, &h, sizeof(h)), -ENOBUFS);
	assert_int_equal(weir_test_event_count(t), 1);
	assert_int_equal(((const struct hit *)weir_test_event(t, 0)->payload)->pid, 7);
	assert_non_null(strstr(weir_test_event_text(t, 0, WEIR_FORMAT_JSON), "\"pid\":7"));
	assert_null(weir_test_event_of(t, HIT, 1));
	assert_int_equal(weir_test_free(t), 0);
}

/* A record's verdict decides: an event, or a count. */
static void records_are_judged(void **state)
{
	struct weir_test *t = begun("bpf");
	struct hit h = { .pid = 7, .ns = 12 };

	(void)state;
	assert_int_equal(weir_test_record(t, HIT, &h, sizeof(h)), WEIR_RECORD_PASS);
	h.ns = 6;
	assert_int_equal(weir_test_record(t, HIT, &h, sizeof(h)), WEIR_RECORD_AGGREGATED);
	h.ns = 1;
	assert_int_equal(weir_test_record(t, HIT, &h, sizeof(h)), WEIR_RECORD_FILTERED);
	assert_int_equal(weir_test_event_count(t), 1);
	assert_int_equal(weir_test_counted(t, HIT, WEIR_RECORD_AGGREGATED), 1);
	assert_int_equal(weir_test_counted(t, HIT, WEIR_RECORD_FILTERED), 1);
	assert_int_equal(weir_test_free(t), 0);
}

/* Memory is on the plugin's account, fails when told to, and a leak is seen. */
static void memory_is_accounted(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	char *a = weir_alloc(p, 100), *b;

	(void)state;
	assert_int_equal(weir_test_bytes(t), 100);
	memset(a, 'a', 100);
	weir_test_fail(t, WEIR_TEST_REALLOC, 1);
	b = p->host->realloc(p, a, 200);
	assert_int_equal(b[99], 'a');
	assert_null(p->host->realloc(p, b, 300));
	assert_int_equal(weir_test_fail(t, WEIR_TEST_REALLOC, -1), 2);
	assert_int_equal(weir_test_bytes(t), 200);
	weir_free(p, b);
	assert_int_equal(weir_test_blocks(t), 0);
	weir_free(p, NULL);
	a = weir_alloc(p, 1); /* forgotten by the plugin */
	assert_int_equal(weir_test_blocks(t), 1);
	assert_int_equal(weir_test_free(t), 1);
	free(a - 16); /* the test host leaves it to ASan to say where it came from */
}

/* Metrics are read by name and labels; what was never set is absent. */
static void metrics_are_read(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	const uint64_t counts[] = { 1, 2, 3 };

	(void)state;
	weir_set(p, M_HITS, 4, "read");
	p->host->series_histogram(p->host->series(p, M_LIFE, NULL), counts, 7.5);
	assert_true(weir_test_metric(t, "toy_hits_total", "read") == 4);
	assert_true(isnan(weir_test_metric(t, "toy_hits_total", "write")));
	assert_true(weir_test_metric(t, "toy_life_seconds") == 7.5);
	assert_int_equal(weir_test_histogram(t, "toy_life_seconds")[2], 3);
	weir_absent(p, M_HITS, "read");
	assert_true(isnan(weir_test_metric(t, "toy_hits_total", "read")));
	weir_test_fail(t, WEIR_TEST_SERIES, 0);
	weir_set(p, M_HITS, 5, "read");
	assert_true(isnan(weir_test_metric(t, "toy_hits_total", "read")));
	assert_int_equal(weir_test_free(t), 0);
}

/* Files say what the test wants. */
static void files_are_scripted(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	char buf[8];

	(void)state;
	weir_test_file(t, "/proc/x", "hello, world");
	weir_test_file_error(t, "/proc/y", -EACCES);
	assert_int_equal(p->host->read_file(p, "/proc/x", buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "hello, w", 8);
	assert_int_equal(p->host->read_file(p, "/proc/y", buf, sizeof(buf)), -EACCES);
	assert_int_equal(p->host->read_file(p, "/proc/self/stat", buf, sizeof(buf)), -ENOENT);
	weir_test_real_files(t, true);
	assert_int_equal(p->host->read_file(p, "/proc/self/stat", buf, sizeof(buf)), 8);
	weir_test_fail(t, WEIR_TEST_READ_FILE, 0);
	assert_int_equal(p->host->read_file(p, "/proc/x", buf, sizeof(buf)), -EIO);
	assert_int_equal(weir_test_free(t), 0);
}

/* Queries parse their arguments and escape what they print. */
static void queries_are_answered(void **state)
{
	struct weir_test *t = begun("bpf");
	char buf[128];

	(void)state;
	assert_int_equal(weir_test_query(t, "top", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "limit 3 \"a\\u001bb\"");
	assert_int_equal(weir_test_query(t, "top", buf, sizeof(buf), "limit=5"), 0);
	assert_string_equal(buf, "limit 5 \"a\\u001bb\"");
	assert_int_equal(weir_test_query(t, "top", buf, sizeof(buf), "limit=50"), -ERANGE);
	assert_int_equal(weir_test_query(t, "none", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(weir_test_free(t), 0);
}

static void on_work(void *arg)
{
	((struct state *)arg)->answer[0] = 'w';
}
static void on_done(struct weir_plugin *p, void *arg)
{
	assert_ptr_equal(p->state, arg);
	((struct state *)arg)->answer[1] = 'd';
}
static void on_answer(struct weir_plugin *p, int err, const char *text, size_t len, void *arg)
{
	(void)arg;
	snprintf(st(p)->answer, sizeof(st(p)->answer), "%d %.*s", err, (int)len, text);
}
static void on_fd(struct weir_plugin *p, int fd, int events, void *arg)
{
	(void)arg;
	st(p)->answer[0] = events == WEIR_READABLE ? 'r' : '?';
	assert_int_equal(read(fd, st(p)->answer + 1, 8), 3);
}

/* Work, answers and readable descriptors come in the next round, not before. */
static void loop_serves(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	struct weir_fd *w;
	int fds[2];

	(void)state;
	assert_int_equal(p->host->work(p, on_work, on_done, p->state), 0);
	assert_string_equal(state_of(t)->answer, "");
	assert_int_equal(weir_test_poll(t, 0), 1);
	assert_string_equal(state_of(t)->answer, "wd");
	weir_test_answer(t, "io.summary", "fine");
	assert_int_equal(p->host->ask(p, "io.summary", on_answer, NULL), 0);
	assert_int_equal(weir_test_advance(t, 0), 1);
	assert_string_equal(state_of(t)->answer, "0 fine");
	assert_int_equal(pipe(fds), 0);
	memset(state_of(t)->answer, 0, 64);
	w = p->host->fd_start(p, fds[0], WEIR_READABLE, on_fd, NULL);
	assert_int_equal(weir_test_poll(t, 0), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	assert_int_equal(weir_test_poll(t, 10000), 1);
	assert_string_equal(state_of(t)->answer, "rabc");
	p->host->fd_stop(w);
	assert_int_equal(weir_test_watchers(t), 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(weir_test_free(t), 0);
}

/* BPF is played: settings are kept, maps are memory, programs are on or off. */
static void bpf_is_played(void **state)
{
	struct weir_test *t = begun("bpf");
	struct weir_plugin *p = weir_test_plugin(t);
	uint32_t key = 1, value = 10, keys[4], values[4], n = 4, token;
	uint64_t *array = weir_test_array(t, "per_cpu", sizeof(uint64_t), 2);
	size_t size;
	int fd;

	(void)state;
	assert_int_equal(p->host->bpf_set_const(p, "limit", &value, sizeof(value)), 0);
	assert_int_equal(*(const uint32_t *)weir_test_const(t, "limit", &size), 10);
	assert_int_equal(p->host->bpf_enable(p, "nothing", false), -ENOENT);
	assert_string_equal(p->host->bpf_attached(p, "on_hit"), "on_hit_tp");
	assert_null(p->host->bpf_attached(p, "dump"));
	assert_int_equal(p->host->bpf_attach(p, "dump", true), 0);
	assert_string_equal(p->host->bpf_attached(p, "dump"), "dump");
	weir_test_map(t, "seen", sizeof(key), sizeof(value));
	fd = p->host->bpf_map(p, "seen");
	assert_int_equal(p->host->map_lookup(fd, &key, &value), -ENOENT);
	weir_test_map_put(t, "seen", &key, &value);
	key = 2;
	assert_int_equal(p->host->map_update(fd, &key, &value, 0), 0);
	assert_int_equal(p->host->map_batch(fd, &token, true, keys, values, &n), -ENOENT);
	assert_int_equal(n, 2);
	n = 1; /* what is drained is gone */
	assert_int_equal(p->host->map_drain(fd, &token, true, keys, values, &n), 0);
	assert_int_equal(n, 1);
	assert_null(weir_test_map_get(t, "seen", &keys[0]));
	n = 4;
	assert_int_equal(p->host->map_drain(fd, &token, false, keys, values, &n), -ENOENT);
	assert_int_equal(n, 1);
	n = 4;
	assert_int_equal(p->host->map_drain(fd, &token, true, keys, values, &n), -ENOENT);
	assert_int_equal(n, 0);
	key = 1;
	weir_test_map_put(t, "seen", &key, &value);
	assert_int_equal(p->host->map_delete(fd, &key), 0);
	assert_null(weir_test_map_get(t, "seen", &key));
	array[1] = 42;
	assert_int_equal(((const uint64_t *)p->host->bpf_mmap(p, "per_cpu", &size, &n))[1], 42);
	weir_test_kernel(t, "btf_trace_x", NULL, false);
	assert_false(p->host->kernel_has(p, "btf_trace_x", "y"));
	assert_true(p->host->kernel_has(p, "btf_trace_z", NULL));
	weir_test_fail(t, WEIR_TEST_MAP, 0);
	assert_int_equal(p->host->map_lookup(fd, &key, &value), -EIO);
	assert_int_equal(weir_test_free(t), 0);
}

static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	const struct weir_record *r = NULL;

	while ((r = weir_batch_next(b, r)))
		st(p)->ticks += weir_batch_schema(b, r) != NULL;
	if (st(p)->ticks == 2)
		return WEIR_PENDING;
	return 0;
}

/* An output walks a batch as it will be on the bus, and may answer later. */
static void batches_are_delivered(void **state)
{
	struct weir_plugin_desc out = toy;
	struct weir_test_batch *b = weir_test_batch_new(&toy, "process", "bpf");
	struct hit h = { .pid = 1 };
	struct weir_test *t;
	uint64_t rejected;

	(void)state;
	out.kind = WEIR_OUTPUT;
	out.deliver = deliver;
	t = weir_test_new(&out);
	assert_int_equal(weir_test_init(t), 0);
	weir_test_batch_add(b, HIT, &h, sizeof(h), 5);
	weir_test_batch_add(b, HIT, &h, sizeof(h), 6);
	assert_int_equal(weir_test_batch(b)->header->topic, 1);
	assert_int_equal(weir_test_deliver(t, b), WEIR_PENDING);
	weir_test_plugin(t)->host->batch_done(weir_test_plugin(t), weir_test_batch(b), 1);
	assert_int_equal(weir_test_done(t, &rejected), 1);
	assert_int_equal(rejected, 1);
	weir_test_batch_free(b);
	assert_int_equal(weir_test_free(t), 0);
}

/* Log lines are kept with their level. */
static void log_is_kept(void **state)
{
	struct weir_test *t = begun("bpf");

	(void)state;
	weir_log(weir_test_plugin(t), WEIR_WARN, "%d of %d", 1, 2);
	assert_string_equal(weir_test_log(t, 0), "warn: 1 of 2");
	assert_null(weir_test_log(t, 1));
	assert_true(weir_test_logged(t, "of 2"));
	assert_int_equal(weir_test_free(t), 0);
}

/* A service of the vtable that the test host forgot would be a call of NULL. */
static void every_service_is_there(void **state)
{
	struct weir_test *t = weir_test_new(&toy);
	const char *h = (const char *)weir_test_plugin(t)->host;

	(void)state;
	for (size_t at = offsetof(struct weir_host, log); at < sizeof(struct weir_host); at += sizeof(void *)) {
		void *slot;

		memcpy(&slot, h + at, sizeof(slot));
		if (!slot)
			fail_msg("the slot at byte %zu of struct weir_host is NULL", at);
	}
	assert_int_equal(weir_test_free(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_parsed),
		cmocka_unit_test(life_has_an_order),
		cmocka_unit_test(time_is_moved_by_hand),
		cmocka_unit_test(events_are_kept),
		cmocka_unit_test(records_are_judged),
		cmocka_unit_test(memory_is_accounted),
		cmocka_unit_test(metrics_are_read),
		cmocka_unit_test(files_are_scripted),
		cmocka_unit_test(queries_are_answered),
		cmocka_unit_test(loop_serves),
		cmocka_unit_test(bpf_is_played),
		cmocka_unit_test(batches_are_delivered),
		cmocka_unit_test(log_is_kept),
		cmocka_unit_test(every_service_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
