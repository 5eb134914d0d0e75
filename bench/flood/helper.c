/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flood's helper process. The child is forked from a process with threads, so
 * it calls nothing that could need a lock: system calls and the clock only.
 *
 * Protocol, in one shared page: the parent writes `run` and then counts `want` up;
 * the child works until a bound or `stop`, then sets `done` to that number.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Calls between two looks at the clock and the flags, at full speed: 0.3 ms. */
#define CHUNK 1024
/* Above this rate waiting between calls is spinning: a sleep takes 50 us. */
#define SPIN_RATE 20000

struct flood_shared {
	_Atomic uint32_t ready, quit, stop, want, done;
	struct flood_run run;
	_Atomic uint64_t made, run_made, run_start_ns, run_end_ns, cpu_ns;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* ---- the child ----------------------------------------------------------- */

static void call(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		syscall(FLOOD_NR);
}

/* How many calls are due now: a chunk, or what the pace asks for by `now`. */
static uint64_t due(const struct flood_run *r, uint64_t made, uint64_t start, uint64_t now)
{
	uint64_t n = CHUNK, burst = r->burst ? r->burst : 1;

	if (r->rate) {
		double should = (double)(now - start) * (double)r->rate / 1e9 + 1;

		if (should < (double)(made + burst))
			return 0;
		n = (uint64_t)should - made;
		n = n > CHUNK ? CHUNK : n / burst * burst;
		n = n ? n : burst;
	}
	return r->events && n > r->events - made ? r->events - made : n;
}

static void do_run(struct flood_shared *s, uint64_t end_of_life)
{
	struct flood_run r = s->run;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t before = atomic_load(&s->made), made = 0, now = start, n;
	uint64_t end = r.duration_ns ? start + r.duration_ns : end_of_life;

	atomic_store(&s->run_start_ns, start);
	atomic_store(&s->run_end_ns, 0);
	atomic_store(&s->run_made, 0);
	while (now < end && now < end_of_life && !(r.events && made >= r.events) &&
	       !atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		n = due(&r, made, start, now);
		call(n);
		made += n;
		atomic_store_explicit(&s->run_made, made, memory_order_relaxed);
		atomic_store_explicit(&s->made, before + made, memory_order_relaxed);
		if (!n && r.rate < SPIN_RATE) {
			double next = (double)(made + (r.burst ? r.burst : 1) - 1) * 1e9 / (double)r.rate;
			uint64_t until = start + (uint64_t)next, soon = now + 10000000;

			/* 10 ms: how soon `stop` is seen at a very low rate */
			sleep_until(until < soon ? until : soon);
		}
		now = clock_ns(CLOCK_MONOTONIC);
	}
	atomic_store(&s->run_end_ns, now);
	atomic_store(&s->cpu_ns, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void child_setup(int cpu)
{
	sigset_t none;

	/* The parent's handlers would write to descriptors that are shared. */
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A listening socket must not live on in here. */
	syscall(SYS_close_range, 3, ~0u, 0);
	prctl(PR_SET_NAME, "weir-flood");
	prctl(PR_SET_TIMERSLACK, 1);
	if (cpu >= 0 && cpu < CPU_SETSIZE) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof one, &one);
	}
}

static void child(struct flood_shared *s, pid_t parent, int cpu, uint64_t lifetime_ns)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + lifetime_ns;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it was gone before the line above */
	child_setup(cpu);
	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->quit) && clock_ns(CLOCK_MONOTONIC) < end) {
		uint32_t want = atomic_load(&s->want);

		if (want == atomic_load(&s->done)) {
			sleep_until(clock_ns(CLOCK_MONOTONIC) + 1000000);
			continue;
		}
		do_run(s, end);
		atomic_store(&s->done, want);
	}
	_exit(0);
}

/* ---- the parent ---------------------------------------------------------- */

static bool gone(struct flood_helper *h)
{
	if (h->pid > 0 && waitpid(h->pid, NULL, WNOHANG) == h->pid)
		h->pid = 0;
	return h->pid <= 0;
}

int flood_helper_open(struct flood_helper *h, int cpu, uint64_t lifetime_ns)
{
	pid_t self = getpid();
	struct flood_shared *s;

	memset(h, 0, sizeof *h);
	s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return -errno;
	h->shared = s;
	h->pid = fork();
	if (h->pid < 0) {
		int err = -errno;

		flood_helper_close(h);
		return err;
	}
	if (!h->pid)
		child(s, self, cpu, lifetime_ns);
	for (int i = 0; i < 5000 && !atomic_load(&s->ready) && !gone(h); i++)
		usleep(1000);
	if (!atomic_load(&s->ready)) {
		flood_helper_close(h);
		return -ESRCH;
	}
	return 0;
}

int flood_helper_run(struct flood_helper *h, const struct flood_run *run)
{
	struct flood_shared *s = h->shared;

	if (!s || gone(h))
		return -ESRCH;
	if (atomic_load(&s->want) != atomic_load(&s->done))
		return -EBUSY;
	s->run = *run;
	atomic_store(&s->run_start_ns, clock_ns(CLOCK_MONOTONIC));
	atomic_store(&s->run_end_ns, 0);
	atomic_store(&s->run_made, 0);
	atomic_store(&s->stop, 0);
	atomic_fetch_add(&s->want, 1);
	return 0;
}

void flood_helper_stop(struct flood_helper *h)
{
	struct flood_shared *s = h->shared;

	if (!s)
		return;
	atomic_store(&s->stop, 1);
	for (int i = 0; i < 5000 && atomic_load(&s->want) != atomic_load(&s->done) && !gone(h); i++)
		usleep(200);
}

void flood_helper_state(const struct flood_helper *h, struct flood_state *ret)
{
	struct flood_shared *s = h->shared;
	uint64_t start, end;

	memset(ret, 0, sizeof *ret);
	if (!s)
		return;
	ret->ready = h->pid > 0;
	ret->running = atomic_load(&s->want) != atomic_load(&s->done);
	ret->made = atomic_load(&s->made);
	ret->run_made = atomic_load(&s->run_made);
	start = atomic_load(&s->run_start_ns);
	end = atomic_load(&s->run_end_ns);
	if (start)
		ret->run_ns = (end ? end : clock_ns(CLOCK_MONOTONIC)) - start;
	ret->cpu_ns = atomic_load(&s->cpu_ns);
}

void flood_helper_close(struct flood_helper *h)
{
	if (h->shared) {
		flood_helper_stop(h);
		atomic_store(&h->shared->quit, 1);
	}
	for (int i = 0; i < 100 && !gone(h); i++)
		usleep(1000);
	/* In a process of the plugin's own nobody may be signalled: it ends with that. */
	if (!gone(h) && !kill(h->pid, SIGKILL))
		waitpid(h->pid, NULL, 0);
	if (h->shared)
		munmap(h->shared, sizeof *h->shared);
	memset(h, 0, sizeof *h);
}
