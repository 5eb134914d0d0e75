/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SDK's BPF header, through the flood's program and the daemon's loader: what
 * a program does with the knobs, the rings and its account. This process is the
 * helper that makes the system calls. Needs BPF rights; else skipped with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bpf.h"
#include "flood_events.h"
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/plugin.h>

WEIR_BPF_DECLARE(flood);

static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 << FLOOD_CALL },
};
static const struct weir_source source = {
	.name = "bpf", WEIR_BPF_OBJECT(flood), .programs = WEIR_TABLE(programs),
};

static struct weir__bpf *bpf;
static volatile struct weir_knobs *knobs;

struct seen {
	long records;
	uint64_t last_seq, gaps, weight, last_ns;
	long bad;
};

static int look(void *arg, void *rec, size_t len)
{
	struct seen *s = arg;
	const struct weir_record *r = rec;
	const struct weir_flood_call *c = (const void *)(r + 1);

	s->bad += len != sizeof *r + sizeof *c || r->len != len || r->kind != FLOOD_CALL ||
	          r->flags || r->time_ns < s->last_ns || c->pid != (uint32_t)getpid() ||
	          c->nr != SYS_getppid || c->fill[4] != c->seq;
	s->gaps += s->last_seq ? c->seq - s->last_seq - 1 : 0;
	s->last_seq = c->seq;
	s->last_ns = r->time_ns;
	s->weight += r->weight;
	s->records++;
	return 0;
}

static void drain(struct seen *s)
{
	struct weir__ring *const *rings;
	size_t n = weir__bpf_rings(bpf, &rings);

	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < n; i++)
		assert_true(weir__ring_drain(rings[i], 0, look, s) >= 0);
	assert_int_equal(s->bad, 0);
}

static void call(int n)
{
	for (int i = 0; i < n; i++)
		syscall(SYS_getppid);
}

static struct weir_kind_counts counts(void)
{
	struct weir_kind_counts c;

	weir__bpf_kind_counts(bpf, FLOOD_CALL, &c);
	return c;
}

static int setup(void **state)
{
	uint32_t pid = (uint32_t)getpid(), nr = SYS_getppid;
	cpu_set_t one;
	int err;

	(void)state;
	/* One CPU, so that one ring has it all, in order. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
	if (weir__bpf_new(&source, 65536, &bpf))
		return -1;
	weir__bpf_set_const(bpf, "flood_tgid", &pid, sizeof pid);
	weir__bpf_set_const(bpf, "flood_nr", &nr, sizeof nr);
	err = weir__bpf_load(bpf);
	if (err) {
		print_message("skipped: the program does not load here: %s\n", weir__bpf_error(bpf));
		weir__bpf_free(bpf);
		bpf = NULL;
		return 0;
	}
	knobs = weir__bpf_knobs(bpf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	weir__bpf_free(bpf);
	return 0;
}

/* Each test begins with an empty ring, everything on and nothing sampled. */
static int fresh(void **state)
{
	struct seen s;

	(void)state;
	if (!bpf)
		return 0;
	knobs->sample_threshold = ~0u;
	knobs->weight = 1;
	knobs->kinds_off = 0;
	knobs->polling = 1;
	knobs->wake_bytes = 1u << 30;
	weir__bpf_enable(bpf, true);
	drain(&s);
	return 0;
}

#define NEEDS_BPF()                                                            \
	do {                                                                   \
		(void)state;                                                   \
		if (!bpf)                                                      \
			skip();                                                \
	} while (0)

/* Every call gives one record, with its header filled in, counted once as seen. */
static void test_all(void **state)
{
	struct weir_kind_counts before, after;
	struct seen s;

	NEEDS_BPF();
	before = counts();
	call(500);
	after = counts();
	drain(&s);
	assert_int_equal(s.records, 500);
	assert_int_equal(s.weight, 500);
	assert_int_equal(s.gaps, 0);
	assert_int_equal(after.seen - before.seen, 500);
	assert_int_equal(after.ring_full - before.ring_full, 0);
}

/* With enabled = 0 the program does nothing and counts nothing, not even a run. */
static void test_off(void **state)
{
	struct weir__bpf_program *rows;
	struct weir_kind_counts before;
	uint64_t runs;
	struct seen s;

	NEEDS_BPF();
	weir__bpf_enable(bpf, false);
	before = counts();
	assert_int_equal(weir__bpf_programs(bpf, &rows), 1);
	runs = rows[0].runs;
	call(500);
	weir__bpf_programs(bpf, &rows);
	assert_int_equal(rows[0].runs, runs);
	assert_int_equal(counts().seen, before.seen);
	drain(&s);
	assert_int_equal(s.records, 0);
}

/* What finds no room is counted as ring_full, and seen = read + ring_full. */
static void test_full(void **state)
{
	struct weir_kind_counts before, after;
	struct seen s;

	NEEDS_BPF();
	before = counts();
	call(5000);
	after = counts();
	drain(&s);
	assert_int_equal(after.seen - before.seen, 5000);
	assert_int_equal(s.records + (long)(after.ring_full - before.ring_full), 5000);
	assert_in_range(s.records, 65536 / 88 - 1, 65536 / 88 + 1);
	call(1);
	drain(&s);
	assert_int_equal(s.records, 1);
}

/* A kind that is switched off is seen and filtered. */
static void test_kind_off(void **state)
{
	struct weir_kind_counts before, after;
	struct seen s;

	NEEDS_BPF();
	before = counts();
	knobs->kinds_off = 1 << FLOOD_CALL;
	call(300);
	after = counts();
	drain(&s);
	assert_int_equal(s.records, 0);
	assert_int_equal(after.seen - before.seen, 300);
	assert_int_equal(after.filtered - before.filtered, 300);
}

/* Sampling keeps about its share, counts the rest, and the weights make up for it. */
static void test_sampled(void **state)
{
	struct weir_kind_counts before, after;
	long kept = 0;
	uint64_t weight = 0;

	NEEDS_BPF();
	before = counts();
	knobs->sample_threshold = (1u << 30) - 1;
	knobs->weight = 4;
	for (int i = 0; i < 20; i++) {
		struct seen s;

		call(2000);
		drain(&s);
		kept += s.records;
		weight += s.weight;
	}
	after = counts();
	assert_int_equal(after.seen - before.seen, 40000);
	assert_int_equal(after.seen - before.seen, (uint64_t)kept + after.sampled - before.sampled);
	/* p = 1/4: standard deviation 87, six of them */
	assert_in_range(kept, 10000 - 520, 10000 + 520);
	assert_int_equal(weight, 4 * (uint64_t)kept);
}

/* Runs are counted exactly, and the timed ones give a believable cost. */
static void test_meter(void **state)
{
	struct weir__bpf_program *rows;
	uint64_t runs;

	NEEDS_BPF();
	weir__bpf_programs(bpf, &rows);
	runs = rows[0].runs;
	call(640);
	weir__bpf_programs(bpf, &rows);
	assert_true(rows[0].runs - runs >= 640);
	assert_true(rows[0].ns_per_run > 5 && rows[0].ns_per_run < 20000);
}

static bool readable(int timeout_ms)
{
	struct weir__ring *const *rings;
	size_t n = weir__bpf_rings(bpf, &rings);

	for (size_t i = 0; i < n; i++) {
		struct pollfd p = { .fd = weir__bpf_ring_fd(bpf, i), .events = POLLIN };

		if (poll(&p, 1, timeout_ms) == 1)
			return true;
	}
	return false;
}

/* Idle: the first record makes the ring's descriptor readable. */
static void test_wake(void **state)
{
	struct seen s;

	NEEDS_BPF();
	knobs->polling = 0;
	assert_false(readable(0));
	call(1);
	assert_true(readable(1000));
	drain(&s);
	assert_int_equal(s.records, 1);
	assert_false(readable(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all, fresh),
		cmocka_unit_test_setup(test_off, fresh),
		cmocka_unit_test_setup(test_full, fresh),
		cmocka_unit_test_setup(test_kind_off, fresh),
		cmocka_unit_test_setup(test_sampled, fresh),
		cmocka_unit_test_setup(test_meter, fresh),
		cmocka_unit_test_setup(test_wake, fresh),
	};

	return cmocka_run_group_tests_name("sdk-bpf", tests, setup, teardown);
}
