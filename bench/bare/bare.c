/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-bare: the limit. The flood's events, consumed by libbpf's ring_buffer and
 * a callback that only checks their numbers, in one process with one thread.
 *
 *     bench-bare [--seconds 3] [--rate 0] [--ring 8388608] [--mode wake|poll]
 *                [--producer-cpu 0] [--consumer-cpu 1]
 *
 * wake: one wake per MiB, epoll. poll: no wakes, a look every 200 us. Prints one
 * line of JSON. Exit 1 with the reason on stderr if it cannot run here.
 */
#include "../count/histogram.h"
#include "flood_events.h"
#include "helper.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <weir/source.h>

WEIR_BPF_DECLARE(bare);

#define RECORD 88 /* ring bytes: header, 80 bytes */

struct bench {
	double seconds;
	uint64_t rate;
	uint32_t ring_bytes;
	bool wake;
	int producer_cpu, consumer_cpu;
	struct flood_helper helper;
	struct bpf_object *obj;
	struct ring_buffer *ring;
	uint64_t records, gaps, last_seq, now;
	struct histogram latency;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int on_record(void *ctx, void *data, size_t len)
{
	struct bench *b = ctx;
	const struct weir_record *r = data;
	const struct weir_flood_call *c = (const void *)(r + 1);

	(void)len;
	if (b->last_seq)
		b->gaps += c->seq - b->last_seq - 1;
	b->last_seq = c->seq;
	b->records++;
	/* One clock reading a drain, about: what an output does per batch. */
	if (r->time_ns > b->now)
		b->now = now_ns();
	histogram_add(&b->latency, b->now - r->time_ns, 1);
	return 0;
}

static int set_const(struct bench *b, size_t place, const void *v, size_t size)
{
	struct bpf_map *m;
	size_t have;

	bpf_object__for_each_map(m, b->obj) {
		char *at;

		if (!strstr(bpf_map__name(m), ".rodata"))
			continue;
		at = (char *)(uintptr_t)bpf_map__initial_value(m, &have);
		if (!at || place + size > have)
			return -EINVAL;
		memcpy(at + place, v, size);
		return 0;
	}
	return -ENOENT;
}

static int load(struct bench *b)
{
	struct { uint32_t tgid, nr; uint64_t wake_every; } consts = {
		(uint32_t)b->helper.pid, FLOOD_NR, b->wake ? (1u << 20) / RECORD : 0
	};
	struct bpf_program *p;
	struct bpf_map *ring;

	b->obj = bpf_object__open_mem(weir_bpf_bare, (size_t)(weir_bpf_bare_end - weir_bpf_bare), NULL);
	if (!b->obj)
		return -errno;
	ring = bpf_object__find_map_by_name(b->obj, "ring");
	p = bpf_object__find_program_by_name(b->obj, "on_call");
	if (!ring || !p || set_const(b, 0, &consts, sizeof consts))
		return -EINVAL;
	bpf_map__set_max_entries(ring, b->ring_bytes);
	if (bpf_object__load(b->obj) || !bpf_program__attach(p))
		return -errno;
	b->ring = ring_buffer__new(bpf_map__fd(ring), on_record, b, NULL);
	return b->ring ? 0 : -errno;
}

/* Consume until the helper is done and the ring is empty. */
static void consume(struct bench *b)
{
	struct timespec tick = { 0, 200000 };
	struct flood_state s;

	do {
		flood_helper_state(&b->helper, &s);
		if (b->wake) {
			ring_buffer__poll(b->ring, 5);
		} else {
			nanosleep(&tick, NULL);
			ring_buffer__consume(b->ring);
		}
	} while (s.running);
	ring_buffer__consume(b->ring);
}

static double timeval_ns(struct timeval t)
{
	return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

static int run(struct bench *b)
{
	struct flood_run r = { .rate = b->rate, .duration_ns = (uint64_t)(b->seconds * 1e9) };
	struct flood_state s;
	struct rusage u0, u1;
	uint64_t start;
	double ns, user, sys;

	getrusage(RUSAGE_SELF, &u0);
	start = now_ns();
	flood_helper_run(&b->helper, &r);
	consume(b);
	ns = (double)(now_ns() - start);
	getrusage(RUSAGE_SELF, &u1);
	flood_helper_state(&b->helper, &s);
	user = timeval_ns(u1.ru_utime) - timeval_ns(u0.ru_utime);
	sys = timeval_ns(u1.ru_stime) - timeval_ns(u0.ru_stime);
	printf("{\"mode\": \"%s\", \"made\": %" PRIu64 ", \"records\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"seconds\": %.3f, \"per_second\": %.0f, \"per_cpu_second\": %.0f, \"user_ns\": %.1f, \"sys_ns\": %.1f"
	       ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n",
	       b->wake ? "wake" : "poll", s.run_made, b->records, s.run_made - b->records, ns / 1e9,
	       (double)b->records * 1e9 / (double)s.run_ns,
	       (double)b->records * 1e9 / (double)s.cpu_ns, user / (double)b->records,
	       sys / (double)b->records, histogram_quantile(&b->latency, 0.5),
	       histogram_quantile(&b->latency, 0.99));
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static int parse(struct bench *b, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (!v)
			return -EINVAL;
		if (!strcmp(argv[i], "--seconds"))
			b->seconds = strtod(v, NULL);
		else if (!strcmp(argv[i], "--rate"))
			b->rate = strtoull(v, NULL, 10);
		else if (!strcmp(argv[i], "--ring"))
			b->ring_bytes = (uint32_t)strtoul(v, NULL, 10);
		else if (!strcmp(argv[i], "--mode"))
			b->wake = !strcmp(v, "wake");
		else if (!strcmp(argv[i], "--producer-cpu"))
			b->producer_cpu = atoi(v);
		else if (!strcmp(argv[i], "--consumer-cpu"))
			b->consumer_cpu = atoi(v);
		else
			return -EINVAL;
	}
	return b->seconds > 0 && b->seconds <= 600 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	static struct bench b = { .seconds = 3, .ring_bytes = 8 << 20, .wake = true,
	                          .producer_cpu = 0, .consumer_cpu = 1 };
	cpu_set_t one;
	int err = parse(&b, argc, argv);

	if (err) {
		fprintf(stderr, "usage: bench-bare [--seconds N] [--rate N] [--ring BYTES] [--mode wake|poll]"
		        " [--producer-cpu N] [--consumer-cpu N]\n");
		return 2;
	}
	libbpf_set_print(quiet);
	CPU_ZERO(&one);
	CPU_SET(b.consumer_cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
	err = flood_helper_open(&b.helper, b.producer_cpu, (uint64_t)((b.seconds + 30) * 1e9));
	if (!err)
		err = load(&b);
	if (!err)
		err = run(&b);
	if (err)
		fprintf(stderr, "bench-bare: %s: needs root and a BPF ring buffer\n", strerror(-err));
	flood_helper_close(&b.helper);
	return err ? 1 : 0;
}
