/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining the rings: interrupt when idle, poll when busy.
 *
 *   idle ----two wakes within WAKE_GAP----> polling (knobs.polling = 1)
 *     ^                                        | timer, rate-dependent
 *     +---- rate below POLL_RATE, ring empty --+
 *
 * Idle: a program's submit wakes the loop through epoll. Polling: programs submit
 * without a wake, a timerfd drains; past a quarter of the ring a program forces
 * one wake. Leaving, one more drain a tick later catches the record of a program
 * that had read the old knob. Host thread only.
 *
 * The rings hang in an epoll of their own, edge-triggered: a ring that is never
 * empty would otherwise be ready in every round of the loop, and be drained a few
 * records at a time (measured: 120 000 drains/s). So whoever leaves something in a
 * ring while idle must begin to poll: no second wake comes for it.
 */
#include "host_priv.h"
#include "mem.h"
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* A wake costs the observed workload 5 us: more than 200 a second, poll. */
#define WAKE_GAP_NS   5000000ull
#define POLL_RATE     100.0
/* About two hundred records a drain: the cost of a drain, a message and its wakes
 * is then some 0.1-0.3 us a record. Above 100 000/s sixty, so that a record waits
 * 0.12 ms at 500 000/s and the hop leaves room below half a millisecond. */
#define RECORDS_PER_DRAIN 200.0
#define BUSY_RECORDS      60.0
#define BUSY_RATE         100000.0
/* Where the plugin keeps nearly all records for itself, taken up or filtered, no output waits
 * for one: then fewer, larger drains, up to the mark at which the ring asks for one. */
#define OWN_SHARE         0.9
#define OWN_NS            5000000.0
/* Bound of one drain: 1 MiB is about 1 ms; then the loop gets its turn. */
#define DRAIN_BYTES   (1u << 20)
/* The last drain looks so often, 100 us apart. A route that holds the collector back
 * has half of that to make room; then it counts what finds none. */
#define LAST_LOOKS 1000

static const struct { uint64_t min_ns, max_ns; } classes[] = {
	[WEIR__LATENCY_LOW] = { 100000, 1000000 },
	[WEIR__LATENCY_BALANCED] = { 120000, 20000000 },
	[WEIR__LATENCY_ECONOMY] = { 5000000, 100000000 },
};

static int on_record(void *arg, void *rec, size_t len)
{
	return weir__emit_record(arg, rec, len);
}

static size_t rings_of(struct weir__host *h, struct weir__ring *const **rings)
{
	return h->bpf ? weir__bpf_rings(h->bpf, rings) : 0;
}

/* One bounded pass over all rings; returns records taken. With a route that holds
 * the collector back, a batch at a time: so much room it has kept. `force`: it does
 * not hold back. */
static long drain_once(struct weir__host *h, bool force)
{
	size_t step = weir__emit_may_block(h) ? WEIR__BATCH_BYTES : DRAIN_BYTES, done = 0;
	struct weir__ring *const *rings;
	size_t n = rings_of(h, &rings);
	long total = 0, got = 1;

	/* Blocked: the ring fills, and the kernel counts what finds no room. */
	for (; done < DRAIN_BYTES && got > 0 && (force || !weir__emit_blocked(h)); done += step) {
		got = 0;
		for (size_t i = 0; i < n; i++) {
			long taken = weir__ring_drain(rings[i], step, on_record, h);

			got += taken > 0 ? taken : 0;
		}
		total += got;
		weir__emit_flush(h);
	}
	h->drain.drains++;
	return total;
}

static void arm(struct weir__host *h, uint64_t ns)
{
	struct itimerspec its = { { 0, 0 }, { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };

	h->drain.interval_ns = ns;
	timerfd_settime(h->drain.timer_fd, 0, &its, NULL);
}

static uint64_t pick_interval(struct weir__host *h)
{
	uint32_t class = h->tune.widen ? WEIR__LATENCY_ECONOMY : h->latency;
	double records = h->drain.rate > BUSY_RATE ? BUSY_RECORDS : RECORDS_PER_DRAIN;
	double ns = h->drain.rate > 0 ? 1e9 * records / h->drain.rate : 1e9;

	assert(class < sizeof classes / sizeof classes[0]);
	if (class == WEIR__LATENCY_BALANCED && h->drain.alone && ns < OWN_NS)
		ns = OWN_NS;
	if (ns < (double)classes[class].min_ns)
		return classes[class].min_ns;
	if (ns > (double)classes[class].max_ns)
		return classes[class].max_ns;
	return (uint64_t)ns;
}

static void set_mode(struct weir__host *h, enum drain_mode mode)
{
	volatile struct weir_knobs *knobs = weir__bpf_knobs(h->bpf);

	h->drain.mode = mode;
	__atomic_store_n(&knobs->polling, mode == DRAIN_POLLING, __ATOMIC_SEQ_CST);
}

/* Smoothed records/s; the newest interval counts a quarter. */
static void update_rate(struct weir__host *h, long records)
{
	uint64_t now = uv_hrtime(), dt = now - h->drain.last_ns;
	double rate = dt ? (double)records * 1e9 / (double)dt : 0;

	h->drain.last_ns = now;
	if (records)
		h->drain.alone = (double)h->drain.own >= OWN_SHARE * (double)records;
	h->drain.own = 0;
	h->drain.rate = rate > 4 * h->drain.rate ? rate : h->drain.rate * 0.75 + rate * 0.25;
	weir__limit_drained(h, now);
}

static bool rings_left(struct weir__host *h)
{
	struct weir__ring *const *rings;
	size_t n = rings_of(h, &rings);

	for (size_t i = 0; i < n; i++)
		if (weir__ring_avail(rings[i]))
			return true;
	return false;
}

static void start_polling(struct weir__host *h)
{
	set_mode(h, DRAIN_POLLING);
	if (h->drain.rate < 2 * POLL_RATE)
		h->drain.rate = 2 * POLL_RATE;
	arm(h, pick_interval(h));
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
	struct weir__host *h = poll->data;
	uint64_t entered = host_enter(h, WEIR__IN_RECORD), n;
	ssize_t got = read(h->drain.timer_fd, &n, sizeof n);

	(void)status, (void)events, (void)got;
	update_rate(h, drain_once(h, false));
	if (h->drain.mode == DRAIN_POLLING) {
		if (h->drain.rate < POLL_RATE)
			set_mode(h, DRAIN_IDLE);
		arm(h, pick_interval(h)); /* once more after leaving: see above */
	} else if (rings_left(h)) {
		start_polling(h);
	}
	weir__host_left(h, entered);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
	struct weir__host *h = poll->data;
	uint64_t now = host_enter(h, WEIR__IN_RECORD), since = now - h->drain.last_wake_ns;
	struct epoll_event woken[16]; /* which rings does not matter: all are drained */

	(void)status, (void)events;
	while (epoll_wait(h->drain.wake_fd, woken, 16, 0) == 16)
		;
	h->drain.wake_count++;
	h->drain.last_wake_ns = now;
	update_rate(h, drain_once(h, false));
	if (h->drain.mode == DRAIN_IDLE && (since < WAKE_GAP_NS || rings_left(h)))
		start_polling(h);
	weir__host_left(h, now);
}

/* The epoll over all rings, or -errno. */
static int open_wakes(struct weir__host *h)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), err = fd < 0 ? -errno : 0;

	for (size_t i = 0; !err && i < h->drain.ring_count; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

		if (epoll_ctl(fd, EPOLL_CTL_ADD, weir__bpf_ring_fd(h->bpf, i), &ev))
			err = -errno;
	}
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

static void watch(struct weir__host *h, uv_poll_t *poll, int fd, uv_poll_cb cb)
{
	uv_poll_init(&h->loop, poll, fd);
	poll->data = h;
	uv_poll_start(poll, UV_READABLE, cb);
}

int weir__drain_start(struct weir__host *h)
{
	struct drain *d = &h->drain;
	struct weir__ring *const *rings;

	memset(d, 0, sizeof *d);
	d->timer_fd = d->wake_fd = -1;
	d->ring_count = rings_of(h, &rings);
	if (!d->ring_count)
		return 0;
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->timer_fd < 0)
		return -errno;
	d->wake_fd = open_wakes(h);
	if (d->wake_fd < 0) {
		close(d->timer_fd);
		return d->wake_fd;
	}
	d->last_ns = d->last_wake_ns = h->limit.window_ns = uv_hrtime();
	watch(h, &d->timer, d->timer_fd, on_timer);
	watch(h, &d->wake, d->wake_fd, on_wake);
	set_mode(h, DRAIN_IDLE);
	return 0;
}

void weir__drain_stop(struct weir__host *h)
{
	struct drain *d = &h->drain;

	if (d->mode == DRAIN_OFF)
		return;
	uv_close((uv_handle_t *)&d->wake, NULL);
	uv_close((uv_handle_t *)&d->timer, NULL);
	/* uv_close has taken the descriptors out of epoll already. */
	close(d->timer_fd);
	close(d->wake_fd);
	d->mode = DRAIN_OFF;
}

void weir__drain_now(struct weir__host *h)
{
	uint64_t entered = host_enter(h, WEIR__IN_RECORD);

	drain_once(h, false);
	weir__host_left(h, entered);
}

/* Take what is left, once the programs are detached. A program may still be under
 * way on another CPU, so look until the kernel's count is met; 100 ms at most. */
void weir__drain_all(struct weir__host *h)
{
	struct weir__ledger account;
	uint32_t topics = (1u << h->topic_count) - 1;

	for (int i = 0; i < LAST_LOOKS; i++) {
		uint64_t entered = host_enter(h, WEIR__IN_RECORD);

		while (drain_once(h, i >= LAST_LOOKS / 2) > 0)
			;
		weir__host_left(h, entered);
		weir__emit_account(h, topics, &account);
		if (weir__emit_seen(h, topics) == account.seen)
			return;
		usleep(100);
	}
}
