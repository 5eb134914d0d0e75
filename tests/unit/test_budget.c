/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource manager's decisions, on plants that are formulas: a collector whose
 * cost is fixed and variable per event, programs with a cost each, outputs, a machine
 * with a limit. Time is a counter of seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "budget.h"

#include <math.h>
#include <string.h>

#define S 1000000000ull
#define CPU WEIR__RESOURCE_CPU

struct plant {
	struct weir__budget b;
	double rate;          /* events/s */
	double run_ns;        /* of each event seen, whatever the weight */
	double kept_kernel_ns, kept_user_ns; /* of each event that is kept */
	double output_ns;     /* of each kept event, in an output */
	double program[WEIR_MAX_PROGRAMS]; /* percent of a core, while attached */
	uint32_t weight;
	bool suspended;
};

struct world {
	struct plant *plants[4];
	size_t count;
	double cpu_limit, memory_limit, memory, stalled;
	uint64_t now_ns;
	double cpu;           /* of the last tick */
	uint32_t downs, ups;
};

static void init(struct plant *p, const char *name)
{
	memset(p, 0, sizeof *p);
	p->b.name = name;
	p->b.collector = true;
	p->b.priority = 10;
	p->b.allowed = ~0u;
	p->weight = 1;
	weir__budget_reset(&p->b, 1);
}

static double attached_cpu(struct plant *p)
{
	double cpu = 0;

	for (uint32_t i = 0; i < p->b.program_count; i++) {
		bool off = (p->b.optional & (1u << i)) && p->b.program_priority[i] < p->b.tune.detach_below;

		p->b.use.program_cpu[i] = off ? 0 : p->program[i];
		cpu += p->b.use.program_cpu[i];
	}
	return cpu;
}

static void use(struct plant *p)
{
	struct weir__budget_use *u = &p->b.use;
	double kept = p->rate / p->weight, memory = u->used[WEIR__RESOURCE_MEMORY];

	memset(u, 0, sizeof *u);
	u->weight = p->weight;
	u->steady = true;
	u->seen = p->rate;
	u->kernel_cpu = (p->rate * p->run_ns + kept * p->kept_kernel_ns) / 1e7 + attached_cpu(p);
	u->used[CPU] = u->kernel_cpu + kept * p->kept_user_ns / 1e7;
	u->used[WEIR__RESOURCE_EVENTS] = kept;
	u->used[WEIR__RESOURCE_MEMORY] = memory;
	u->shared_cpu = kept * p->output_ns / 1e7;
}

static void tick(struct world *w)
{
	struct weir__budget_total t = { .cpu_limit = w->cpu_limit, .memory_limit = w->memory_limit,
		.memory = w->memory, .stalled = w->stalled };
	struct weir__budget *all[4];
	size_t n = 0;

	w->now_ns += S;
	for (size_t i = 0; i < w->count; i++) {
		if (w->plants[i]->suspended)
			continue;
		use(w->plants[i]);
		t.cpu += w->plants[i]->b.use.used[CPU] + w->plants[i]->b.use.shared_cpu;
		all[n++] = &w->plants[i]->b;
	}
	w->cpu = t.cpu;
	weir__budget_tick(all, n, &t, w->now_ns);
	for (size_t i = 0; i < w->count; i++) {
		struct plant *p = w->plants[i];

		if (p->suspended || !p->b.changed)
			continue;
		assert_in_range(p->b.tune.weight, 1, WEIR__WEIGHT_MAX);
		assert_true(*p->b.action.what && *p->b.action.why);
		w->downs += !p->b.action.recover;
		w->ups += p->b.action.recover;
		p->weight = p->b.tune.weight;
		p->suspended = p->b.action.level == WEIR__BUDGET_SUSPEND && !p->b.action.recover;
	}
}

static void ticks(struct world *w, int n)
{
	while (n--)
		tick(w);
}

/* About this machine's flood: a run 70 ns, a kept record 150 in the kernel, 150 beside. */
static void flood(struct plant *p, double rate)
{
	init(p, "flood");
	p->rate = rate;
	p->run_ns = 70;
	p->kept_kernel_ns = 150;
	p->kept_user_ns = 100;
	p->output_ns = 50;
}

/* Far below its limits nothing is done, and it counts as idle. */
static void test_quiet(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 25, .now_ns = 100 * S };

	(void)state;
	flood(&p, 1000);
	ticks(&w, 100);
	assert_int_equal(w.downs + w.ups, 0);
	assert_true(weir__budget_idle(&p.b));
	assert_int_equal(weir__budget_level(&p.b), WEIR__BUDGET_NONE);
}

/* Between 60 and 80 % nothing changes; at 80 % first batches are widened, and only
 * then are events left out. */
static void test_marks(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 100, .now_ns = 100 * S };

	(void)state;
	flood(&p, 0);
	p.rate = 79e7 / 370;
	ticks(&w, 30);
	assert_int_equal(w.downs, 0);
	p.rate = 81e7 / 370;
	tick(&w);
	assert_true(p.b.tune.widen);
	assert_int_equal(p.weight, 1);
	tick(&w);
	assert_in_range(p.weight, 2, 2);
	/* 55 % now: a step up would take it to 81 again, so it stays. */
	w.ups = 0;
	ticks(&w, 60);
	assert_int_equal(p.weight, 2);
}

/* A steady flood is below its limit after two ticks, and then the weight stands still. */
static void test_settles(void **state)
{
	static const double rates[] = { 2e5, 5e5, 1e6, 2e6, 2.5e6 };

	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct plant p;
		struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 25, .now_ns = 100 * S };

		flood(&p, rates[i]);
		ticks(&w, 4);
		assert_false(p.suspended);
		tick(&w);
		assert_true(w.cpu <= 25);
		ticks(&w, 20);
		w.downs = w.ups = 0;
		for (int n = 0; n < 120; n++) {
			tick(&w);
			assert_true(w.cpu <= 25);
		}
		assert_int_equal(w.downs + w.ups, 0);
	}
}

/* After a flood the weight is 1 again within a minute, at most halved in each 5 s, the
 * first time no sooner than 5 s after the last step down. */
static void test_recovers(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 25, .now_ns = 100 * S };
	uint64_t last_step, down;
	uint32_t last;

	(void)state;
	flood(&p, 3.2e6);
	ticks(&w, 4);
	p.b.tune.weight = p.weight = 1024;
	p.rate = 0;
	last = p.weight;
	down = p.b.down_ns;
	last_step = 0;
	for (int n = 0; n < 60 && p.weight > 1; n++) {
		tick(&w);
		if (p.weight == last)
			continue;
		assert_true(p.weight < last && p.weight >= last / 2);
		assert_true(w.now_ns - down >= 5 * S);
		assert_true(!last_step || w.now_ns - last_step >= 5 * S);
		last_step = w.now_ns;
		last = p.weight;
	}
	assert_int_equal(p.weight, 1);
	ticks(&w, 15);
	assert_int_equal(weir__budget_level(&p.b), WEIR__BUDGET_NONE);
}

/* A flood that costs too much even when nothing is kept is over after five ticks. */
static void test_suspends(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 5, .now_ns = 100 * S };

	(void)state;
	flood(&p, 3e6);
	for (int n = 1; n <= 5 && !p.suspended; n++) {
		tick(&w);
		assert_true(n >= 3 || !p.suspended); /* three ticks above 100 % */
	}
	assert_true(p.suspended);
}

/* What on_pressure forbids is not done. */
static void test_forbidden(void **state)
{
	(void)state;
	for (int level = WEIR__BUDGET_WIDEN; level <= WEIR__BUDGET_SUSPEND; level++) {
		struct plant p;
		struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 5, .now_ns = 100 * S };

		flood(&p, 3e6);
		p.b.allowed = ~(1u << level);
		p.b.kind_count = 2;
		p.b.kind_priority[1] = 1;
		ticks(&w, 30);
		assert_int_equal(p.b.tune.widen, level != WEIR__BUDGET_WIDEN);
		assert_int_equal(p.weight > 1, level != WEIR__BUDGET_SAMPLE);
		assert_int_equal(p.b.tune.kinds_off != 0, level != WEIR__BUDGET_DROP_KINDS);
		assert_int_equal(p.suspended, level != WEIR__BUDGET_SUSPEND);
	}
}

/* At 95 % kinds go by priority, the highest never; below 60 % they come back. */
static void test_kinds(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 5, .now_ns = 100 * S };

	(void)state;
	flood(&p, 3e6);
	p.b.allowed &= ~(1u << WEIR__BUDGET_SUSPEND);
	p.b.kind_count = 4;
	p.b.kind_priority[0] = 2;
	p.b.kind_priority[1] = 1;
	p.b.kind_priority[2] = 2;
	p.b.kind_priority[3] = 3;
	for (int n = 0; n < 10 && !p.b.tune.kinds_off; n++)
		tick(&w);
	assert_int_equal(p.b.tune.kinds_off, 1u << 1);
	ticks(&w, 10);
	assert_int_equal(p.b.tune.kinds_off, 1u << 0 | 1u << 1 | 1u << 2);
	p.rate = 10;
	ticks(&w, 70);
	assert_int_equal(p.b.tune.kinds_off, 0);
}

/* Counters cannot be sampled: after three ticks optional programs go, from the lowest
 * priority up and no more than is needed; they come back when the load is gone. */
static void test_detach(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 25, .now_ns = 100 * S };

	(void)state;
	init(&p, "iomonitor");
	p.b.program_count = 4;
	p.b.optional = 0xe;
	for (uint32_t i = 0; i < 4; i++)
		p.b.program_priority[i] = 9 - 2 * i; /* 9 7 5 3 */
	p.program[0] = 2;
	p.program[1] = 3;
	p.program[2] = 30;
	p.program[3] = 1;
	ticks(&w, 2);
	assert_int_equal(p.b.tune.detach_below, 0);
	tick(&w);
	assert_int_equal(p.b.tune.detach_below, 6);
	assert_int_equal(p.weight, 1); /* there was nothing to sample */
	tick(&w);
	assert_true(w.cpu <= 25);
	assert_false(p.suspended);
	/* It stays away while it would not fit ... */
	ticks(&w, 4);
	assert_int_equal(p.b.tune.detach_below, 6);
	/* ... and a look that finds it too dear makes it wait again. */
	for (int n = 0; n < 60 && p.b.tune.detach_below == 6; n++)
		tick(&w);
	assert_int_equal(p.b.tune.detach_below, 5);
	weir__budget_shed_again(&p.b, 6, 30, w.now_ns);
	assert_int_equal(p.b.tune.detach_below, 6);
	ticks(&w, 4);
	assert_int_equal(p.b.tune.detach_below, 6);
	p.program[2] = 1;
	ticks(&w, 60);
	assert_int_equal(p.b.tune.detach_below, 0);
	assert_int_equal(weir__budget_level(&p.b), WEIR__BUDGET_NONE);
}

/* If all optional programs together would not be enough, it is suspended at once. */
static void test_detach_vain(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 25, .now_ns = 100 * S };

	(void)state;
	init(&p, "iomonitor");
	p.b.program_count = 2;
	p.b.optional = 2;
	p.program[0] = 40;
	p.program[1] = 5;
	ticks(&w, 3);
	assert_int_equal(p.b.tune.detach_below, 0);
	assert_true(p.suspended);
}

/* The total falls on the largest; of two large ones, on the lower priority. */
static void test_blame(void **state)
{
	struct plant small, security, io;
	struct world w = { .plants = { &small, &security, &io }, .count = 3, .cpu_limit = 25,
		.now_ns = 100 * S };

	(void)state;
	flood(&small, 1000);
	small.b.name = "small";
	small.b.priority = 1;
	flood(&security, 5e5);
	security.b.priority = 40;
	flood(&io, 4e5);
	io.b.priority = 10;
	ticks(&w, 10);
	assert_int_equal(small.weight, 1);
	assert_true(io.weight > 1);
	assert_true(security.weight < io.weight);
	assert_true(w.cpu <= 25);
}

/* A plugin's own limit is its own affair, and the largest pressure counts. */
static void test_own_limits(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .now_ns = 100 * S };

	(void)state;
	flood(&p, 1e5);
	p.b.limits[WEIR__RESOURCE_EVENTS] = 25000;
	ticks(&w, 3);
	assert_in_range(p.weight, 5, 8); /* 14 000 to 20 000 a second */
	assert_int_equal(p.b.by, WEIR__RESOURCE_EVENTS);
	ticks(&w, 30);
	w.downs = w.ups = 0;
	ticks(&w, 60);
	assert_int_equal(w.downs + w.ups, 0);
	flood(&p, 1e6);
	p.b.limits[CPU] = 20;
	ticks(&w, 4);
	assert_true(p.b.use.used[CPU] < 20);
}

/* A burst passes whole; when half of what may pass at once has, it is a rate like any other. */
static void test_burst(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .now_ns = 100 * S };

	(void)state;
	flood(&p, 75000);
	p.b.limits[WEIR__RESOURCE_EVENTS] = 25000;
	p.b.burst = 250000;
	ticks(&w, 3); /* the first has nothing to count from */
	assert_int_equal(p.weight, 1);
	assert_int_equal(w.downs, 0);
	ticks(&w, 2);
	assert_in_range(p.weight, 4, 6);
	ticks(&w, 30); /* and what has passed is made up for slowly */
	assert_true(p.weight > 1);
}

/* By default 100 000 questions of DNS within a second, two packets each, are a burst: none is sampled. */
static void test_burst_by_default(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .now_ns = 100 * S };

	(void)state;
	flood(&p, 200000);
	p.b.limits[WEIR__RESOURCE_EVENTS] = 25000;
	p.b.burst = WEIR__BURST_SECONDS * 25000;
	ticks(&w, 2);
	assert_int_equal(p.weight, 1);
	ticks(&w, 1);
	assert_true(p.weight > 1);
}

/* What a host did by itself is taken over, logged, and let go slowly. */
static void test_host_acts(void **state)
{
	struct plant p;
	struct world w = { .plants = { &p }, .count = 1, .cpu_limit = 100, .now_ns = 100 * S };

	(void)state;
	flood(&p, 1e6);
	p.b.limits[WEIR__RESOURCE_EVENTS] = 25000;
	p.weight = 58; /* 17 241 a second */
	tick(&w);
	assert_int_equal(p.b.tune.weight, 58);
	assert_int_equal(p.b.tune.weight_seen, 58);
	assert_non_null(strstr(p.b.action.what, "1 in 58"));
	assert_non_null(strstr(p.b.action.why, "1000000 events/s"));
	ticks(&w, 30);
	assert_int_equal(p.b.tune.weight, 58);
}

/* An output over its own limit makes those that feed it be sampled; it goes itself only
 * if that does not help. */
static void test_output(void **state)
{
	struct plant p, out;
	struct world w = { .plants = { &p, &out }, .count = 2, .now_ns = 100 * S };

	(void)state;
	flood(&p, 1e5);
	init(&out, "stdout");
	out.b.collector = false;
	out.b.limits[CPU] = 10;
	for (int n = 0; n < 20; n++) {
		struct weir__budget_total t = { 0 };
		struct weir__budget *all[] = { &p.b, &out.b };

		w.now_ns += S;
		use(&p);
		use(&out);
		out.b.use.weight = 0;
		out.b.use.used[CPU] = p.rate / p.weight * 5000 / 1e7;
		p.b.use.downstream = out.b.use.used[CPU] / 10;
		weir__budget_tick(all, 2, &t, w.now_ns);
		p.weight = p.b.tune.weight;
		assert_false(out.b.changed);
	}
	assert_true(out.b.use.used[CPU] < 10);
	assert_true(p.weight >= 5);
}

/* Memory over its limit for three ticks ends the one that has most of it. */
static void test_memory(void **state)
{
	struct plant a, b;
	struct world w = { .plants = { &a, &b }, .count = 2, .memory_limit = 100, .now_ns = 100 * S };

	(void)state;
	init(&a, "a");
	init(&b, "b");
	a.b.use.used[WEIR__RESOURCE_MEMORY] = 10;
	b.b.use.used[WEIR__RESOURCE_MEMORY] = 80;
	w.memory = 101;
	ticks(&w, 2);
	assert_false(a.suspended || b.suspended);
	ticks(&w, 1);
	assert_true(b.suspended);
	assert_false(a.suspended);
}

/* Threshold and weight say the same: kept with exactly 1 / weight, within 2^-32. */
static void test_sampling(void **state)
{
	(void)state;
	for (uint32_t w = 1; w <= WEIR__WEIGHT_MAX; w++) {
		uint64_t both = weir__budget_sampling(w);
		double kept = ((double)(uint32_t)both + 1) / 4294967296.0;

		assert_int_equal(both >> 32, w);
		assert_true(fabs(kept * w - 1) < 1e-6);
	}
	assert_int_equal((uint32_t)weir__budget_sampling(1), ~0u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_recovers),
		cmocka_unit_test(test_suspends),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_detach_vain),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_own_limits),
		cmocka_unit_test(test_host_acts),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_sampling),
		cmocka_unit_test(test_burst), cmocka_unit_test(test_burst_by_default),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
