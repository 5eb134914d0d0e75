/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibration and reading of the meter. See meter.h.
 *
 * Happy path: load the three programs of meter.bpf.c, run them by
 * BPF_PROG_TEST_RUN in loops of the kernel's own, take the least of a few rounds
 * (noise only adds), unload. Failure modes: no right to load, no test runs, a
 * figure that cannot be: the constants. Needs CAP_BPF, and CAP_PERFMON for the
 * hook; socket filters need no CAP_NET_ADMIN.
 */
#include "meter.h"
#include "bpf_priv.h"
#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

WEIR_BPF_DECLARE(meter);

/* 8192 runs of 30 ns are 0.25 ms, and 128 timed ones; three rounds find a quiet one. */
#define LOOP_RUNS 8192
#define ROUNDS    3
/* A call of 1 us each; the least of 24 short rounds is good for some 10 ns. */
#define HOOK_CALLS  24
#define HOOK_ROUNDS 24

/* In a loop the clock's whole cost shows in a timed run. In real use the return from
 * its call takes mispredictions that an untimed run pays at the body's first call:
 * measured against BPF_ENABLE_STATS, between none and a third of it, by what ran on
 * the same hook before. */
#define CLOCK_SHARE 0.9
/* Of a run of an empty program in the test loop, what is the loop's own. */
#define LOOP_SHARE (1.0 / 3)

/* Two vCPUs, Linux 6.18: measured figures, rounded. */
static const struct weir__meter_cal constants = {
	.clock_ns = 25, .outside_ns = 20, .hook_ns = 25, .stats_ns = 30,
};

static struct {
	pthread_once_t once;
	struct weir__meter_cal cal;
	int none_fd; /* an empty program that is kept: tells whether statistics are on */
	pthread_mutex_t lock;
} shared = { .once = PTHREAD_ONCE_INIT, .none_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Mean ns of a run; <0: not possible. */
static double test_run(int fd, int repeat)
{
	char packet[64] = { 0 }; /* an Ethernet header at least */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof packet,
	            .repeat = repeat);

	return bpf_prog_test_run_opts(fd, &opts) ? -1 : (double)opts.duration;
}

static double least_run(int fd)
{
	double least = -1;

	for (int i = 0; i < ROUNDS; i++) {
		double ns = test_run(fd, LOOP_RUNS);

		if (ns >= 0 && (least < 0 || ns < least))
			least = ns;
	}
	return least;
}

/* What the meter says of the timed runs of the empty program. */
static double least_clock(int fd, const struct weir_cpu *account)
{
	struct weir_program_counts was, is;
	double least = -1;

	for (int i = 0; i < ROUNDS; i++) {
		double ns;

		weir__meter_sum(account, weir__possible_cpus(), 0, &was);
		test_run(fd, LOOP_RUNS);
		weir__meter_sum(account, weir__possible_cpus(), 0, &is);
		if (is.timed_runs == was.timed_runs)
			return -1;
		ns = (double)(is.timed_ns - was.timed_ns) / (double)(is.timed_runs - was.timed_runs);
		if (least < 0 || ns < least)
			least = ns;
	}
	return least;
}

/* ns of one call that ends in the tracepoint of our hook. */
static double least_call(int fd)
{
	double least = 1e12;

	for (int i = 0; i < HOOK_ROUNDS; i++) {
		double began = now_ns(), ns;

		for (int n = 0; n < HOOK_CALLS; n++)
			test_run(fd, 1);
		ns = (now_ns() - began) / HOOK_CALLS;
		least = ns < least ? ns : least;
	}
	return least;
}

static int program_fd(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	return prog ? bpf_program__fd(prog) : -ENOENT;
}

static bool sane(double ns, double max)
{
	return ns > 0 && ns < max; /* NaN is neither */
}

static void measure_hook(struct bpf_object *obj, int none, double run_ns)
{
	struct bpf_program *hook = bpf_object__find_program_by_name(obj, "meter_hook");
	double before = least_call(none), ns;
	struct bpf_link *link = hook ? bpf_program__attach(hook) : NULL;

	if (!link)
		return;
	ns = least_call(none) - before - run_ns;
	bpf_link__destroy(link);
	/* 15 to 40 ns where it was quiet; what is far outside is the machine's noise. */
	if (ns >= 5 && ns <= 60)
		shared.cal.hook_ns = ns;
}

static void measure(struct bpf_object *obj, const struct weir_cpu *account)
{
	int none = program_fd(obj, "meter_none"), empty = program_fd(obj, "meter_empty");
	double none_ns = least_run(none), empty_ns = least_run(empty), loop_ns;
	double clock_ns = least_clock(empty, account);

	/* A microsecond for an empty run or a clock is a machine that is not itself now. */
	if (!sane(none_ns, 1000) || !sane(empty_ns, 1000) || !sane(clock_ns, 1000))
		return;
	loop_ns = none_ns * LOOP_SHARE;
	shared.cal = (struct weir__meter_cal){ .measured = true, .hook_ns = constants.hook_ns,
		.clock_ns = clock_ns * CLOCK_SHARE,
		.outside_ns = empty_ns > loop_ns ? empty_ns - loop_ns : constants.outside_ns,
		/* It times the call, too, with two readings of its clock. */
		.stats_ns = clock_ns };
	shared.none_fd = dup(none);
	measure_hook(obj, none, none_ns - loop_ns);
}

static void calibrate(void)
{
	size_t size = (size_t)(weir_bpf_meter_end - weir_bpf_meter), page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = (sizeof(struct weir_cpu) * weir__possible_cpus() + page - 1) & ~(page - 1);
	struct bpf_object *obj;
	struct weir_knobs *knobs = MAP_FAILED;
	const struct weir_cpu *account = MAP_FAILED;

	shared.cal = constants;
	obj = bpf_object__open_mem(weir_bpf_meter, size, NULL);
	if (!obj)
		return;
	bpf_map__set_autocreate(bpf_object__find_map_by_name(obj, WEIR_MAP_RINGS), false);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, WEIR_MAP_CPU), weir__possible_cpus());
	if (!bpf_object__load(obj)) {
		knobs = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
		             bpf_map__fd(bpf_object__find_map_by_name(obj, WEIR_MAP_KNOBS)), 0);
		account = mmap(NULL, len, PROT_READ, MAP_SHARED,
		               bpf_map__fd(bpf_object__find_map_by_name(obj, WEIR_MAP_CPU)), 0);
	}
	if (knobs != MAP_FAILED && account != MAP_FAILED) {
		knobs->enabled = 1;
		measure(obj, account);
	}
	if (knobs != MAP_FAILED)
		munmap(knobs, page);
	if (account != MAP_FAILED)
		munmap((void *)(uintptr_t)account, len);
	bpf_object__close(obj);
}

const struct weir__meter_cal *weir__meter_cal(void)
{
	weir__bpf_said(); /* libbpf is silent from here on */
	pthread_once(&shared.once, calibrate);
	return &shared.cal;
}

bool weir__meter_stats_on(void)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof info;
	static __u64 last;
	bool on = false;

	weir__meter_cal();
	pthread_mutex_lock(&shared.lock);
	if (shared.none_fd >= 0 && test_run(shared.none_fd, 1) >= 0 &&
	    !bpf_obj_get_info_by_fd(shared.none_fd, &info, &len)) {
		on = info.run_cnt != last;
		last = info.run_cnt;
	}
	pthread_mutex_unlock(&shared.lock);
	return on;
}

/* ---- cost ------------------------------------------------------------------------ */

double weir__meter_run_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c)
{
	double ns;

	if (!c->timed_runs)
		return 0;
	ns = (double)c->timed_ns / (double)c->timed_runs - cal->clock_ns;
	return ((ns > 0 ? ns : 0) + cal->outside_ns) * (double)c->runs;
}

/* In hooks of tracepoints. Measured as the difference that an empty program makes, less its
 * own run: Linux 6.18, two vCPUs, UDP over loopback, socket() and connect(), least of 400
 * rounds. tcx 25-45 ns; cgroup_skb 75-125, which takes the socket's cgroup and restores the
 * packet's head; sock_create and connect4 90-160, which build a context. */
static const double hook_costs[WEIR__HOOKS] = {
	[WEIR__HOOK_TRACE] = 1, [WEIR__HOOK_TC] = 1.5, [WEIR__HOOK_PACKET] = 4, [WEIR__HOOK_SOCKET] = 5,
};

double weir__meter_hook_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c)
{
	uint64_t hook = c->hook < WEIR__HOOKS ? c->hook : WEIR__HOOK_TRACE;

	return c->timed_runs ? cal->hook_ns * hook_costs[hook] * (double)c->runs : 0;
}

double weir__meter_stats_ns(const struct weir__meter_cal *cal, const struct weir_program_counts *c)
{
	return weir__meter_run_ns(cal, c) + (c->timed_runs ? cal->stats_ns * (double)c->runs : 0);
}

#define READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

void weir__meter_sum(const struct weir_cpu *account, uint32_t cpus, size_t program,
                     struct weir_program_counts *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->hook = cpus ? READ(account[0].program[program].hook) : 0;
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		const struct weir_program_counts *c = &account[cpu].program[program];

		ret->runs += READ(c->runs);
		ret->timed_runs += READ(c->timed_runs);
		ret->timed_ns += READ(c->timed_ns);
	}
}

/* ---- reading ---------------------------------------------------------------------- */

struct weir__meter {
	const struct weir_cpu *account;
	struct weir_knobs *knobs;
	size_t account_len, knobs_len;
	uint32_t cpus;
};

int weir__meter_open(int cpu_fd, int knobs_fd, uint32_t cpus, struct weir__meter **ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct weir__meter *m = weir__zalloc(sizeof *m);
	void *account, *knobs;
	int rc;

	if (!m)
		return -ENOMEM;
	m->cpus = cpus;
	m->knobs_len = page;
	m->account_len = (sizeof(struct weir_cpu) * cpus + page - 1) & ~(page - 1);
	account = mmap(NULL, m->account_len, PROT_READ, MAP_SHARED, cpu_fd, 0);
	rc = account == MAP_FAILED ? -errno : 0;
	knobs = rc ? MAP_FAILED : mmap(NULL, m->knobs_len, PROT_READ | PROT_WRITE, MAP_SHARED, knobs_fd, 0);
	rc = rc || knobs != MAP_FAILED ? rc : -errno;
	m->account = account == MAP_FAILED ? NULL : account;
	m->knobs = knobs == MAP_FAILED ? NULL : knobs;
	if (rc) {
		weir__meter_close(m);
		return rc;
	}
	*ret = m;
	return 0;
}

void weir__meter_read(const struct weir__meter *m, struct weir__meter_sample *ret)
{
	const struct weir__meter_cal *cal = weir__meter_cal();
	uint64_t sampling = READ(*(const uint64_t *)(const void *)&m->knobs->sample_threshold);

	memset(ret, 0, sizeof *ret);
	ret->weight = (uint32_t)(sampling >> 32);
	ret->kinds_off = READ(m->knobs->kinds_off);
	for (uint32_t cpu = 0; cpu < m->cpus; cpu++)
		for (size_t k = 0; k < WEIR_MAX_KINDS; k++)
			ret->seen += READ(m->account[cpu].kind[k].seen);
	for (size_t i = 0; i < WEIR_MAX_PROGRAMS; i++) {
		struct weir_program_counts c;
		double run, hook;

		weir__meter_sum(m->account, m->cpus, i, &c);
		run = weir__meter_run_ns(cal, &c);
		hook = run > 0 ? weir__meter_hook_ns(cal, &c) : 0;
		ret->runs += c.runs;
		ret->run_ns += run;
		ret->hook_ns += hook;
		ret->program_ns[i] = run + hook;
	}
}

void weir__meter_enable(const struct weir__meter *m, bool on)
{
	__atomic_store_n(&m->knobs->enabled, on, __ATOMIC_SEQ_CST);
}

void weir__meter_close(struct weir__meter *m)
{
	if (!m)
		return;
	if (m->account)
		munmap((void *)(uintptr_t)m->account, m->account_len);
	if (m->knobs)
		munmap((void *)(uintptr_t)m->knobs, m->knobs_len);
	weir__free(m);
}
