/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-hook: what the SDK's BPF side costs the process it observes, in ns per
 * getppid() call, in slices, each state attached for one slice in turn:
 *
 *     none      nothing attached           empty     an empty raw tracepoint
 *     off       WEIR_PROG, knobs off       other     another process is observed
 *     kind off  counted, then filtered     record    80 bytes by reserve and submit
 *     bare      the same record without the SDK
 *
 * Prints one line of JSON: the minimum of each, less the empty program's. Exit 1
 * with the reason if there are no BPF rights. One thread, no consumer: the rings are
 * drained between slices.
 */
#include "bpf.h"
#include "ring.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

WEIR_BPF_DECLARE(flood);
WEIR_BPF_DECLARE(bare);

#define CALLS  4000  /* of 88 ring bytes each: fit the ring */
#define RING   (1 << 20)

enum state { NONE, EMPTY, OFF, OTHER, KIND_OFF, RECORD, BARE, STATES };
static const char *const names[] = { "none", "empty", "off", "other", "kind_off", "record", "bare" };

static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 },
};
static const struct weir_source source = {
	.name = "bpf", WEIR_BPF_OBJECT(flood), .programs = WEIR_TABLE(programs),
};

struct hook {
	struct weir__bpf *mine, *others; /* observing this process, observing init */
	struct bpf_object *bare;
	struct weir__ring *bare_ring;
	struct bpf_link *bare_link;
	int empty, empty_link;
	double min[STATES];
};

static int load_weir(struct weir__bpf **ret, uint32_t tgid)
{
	uint32_t nr = SYS_getppid;
	volatile struct weir_knobs *knobs;
	int err = weir__bpf_new(&source, RING, ret);

	if (err)
		return err;
	weir__bpf_set_const(*ret, "flood_tgid", &tgid, sizeof tgid);
	weir__bpf_set_const(*ret, "flood_nr", &nr, sizeof nr);
	err = weir__bpf_load(*ret);
	if (err) {
		fprintf(stderr, "bench-hook: %s\n", weir__bpf_error(*ret));
		return err;
	}
	knobs = weir__bpf_knobs(*ret);
	knobs->polling = 1;
	knobs->wake_bytes = 1u << 30;
	weir__bpf_enable(*ret, true);
	return weir__bpf_attach(*ret, "on_call", false);
}

static int load_bare(struct hook *h)
{
	struct { uint32_t tgid, nr; uint64_t wake_every; } consts = { (uint32_t)getpid(), SYS_getppid, 0 };
	struct bpf_map *m, *ring;
	size_t size;

	h->bare = bpf_object__open_mem(weir_bpf_bare, (size_t)(weir_bpf_bare_end - weir_bpf_bare), NULL);
	if (!h->bare)
		return -errno;
	bpf_object__for_each_map(m, h->bare) {
		void *at = strstr(bpf_map__name(m), ".rodata")
			? (void *)(uintptr_t)bpf_map__initial_value(m, &size) : NULL;

		if (at && size >= sizeof consts)
			memcpy(at, &consts, sizeof consts);
	}
	ring = bpf_object__find_map_by_name(h->bare, "ring");
	if (bpf_object__load(h->bare))
		return -errno;
	return weir__ring_open(bpf_map__fd(ring), &h->bare_ring);
}

static int load(struct hook *h)
{
	struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int err = load_weir(&h->mine, (uint32_t)getpid());

	if (!err)
		err = load_weir(&h->others, 1);
	if (!err)
		err = load_bare(h);
	if (err)
		return err;
	h->empty = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "bench_empty", "GPL", nothing, 2, NULL);
	return h->empty < 0 ? h->empty : 0;
}

static int enter(struct hook *h, enum state s)
{
	switch (s) {
	case EMPTY:
		h->empty_link = bpf_raw_tracepoint_open("sys_enter", h->empty);
		return h->empty_link < 0 ? h->empty_link : 0;
	case OTHER:
		return weir__bpf_attach(h->others, "on_call", true);
	case BARE:
		h->bare_link = bpf_program__attach(bpf_object__find_program_by_name(h->bare, "on_call"));
		return h->bare_link ? 0 : -errno;
	case OFF: case KIND_OFF: case RECORD:
		weir__bpf_enable(h->mine, s != OFF);
		weir__bpf_knobs(h->mine)->kinds_off = s == KIND_OFF;
		return weir__bpf_attach(h->mine, "on_call", true);
	default:
		return 0;
	}
}

static int count(void *arg, void *rec, size_t len)
{
	(void)arg, (void)rec, (void)len;
	return 0;
}

static void empty_rings(struct hook *h)
{
	struct weir__ring *const *rings;
	size_t n = weir__bpf_rings(h->mine, &rings);

	for (size_t i = 0; i < n; i++)
		weir__ring_drain(rings[i], 0, count, NULL);
	weir__ring_drain(h->bare_ring, 0, count, NULL);
}

static void leave(struct hook *h, enum state s)
{
	if (s == EMPTY)
		close(h->empty_link);
	else if (s == OTHER)
		weir__bpf_attach(h->others, "on_call", false);
	else if (s == BARE)
		bpf_link__destroy(h->bare_link);
	else if (s != NONE)
		weir__bpf_attach(h->mine, "on_call", false);
}

static double slice(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / CALLS;
}

static int measure(struct hook *h, int rounds)
{
	for (int round = 0; round < rounds; round++) {
		for (int s = 0; s < STATES; s++) {
			int err = enter(h, (enum state)s);

			if (err)
				return err;
			for (int k = 0; k < 3; k++) {
				double ns = slice();

				empty_rings(h);
				if (!h->min[s] || ns < h->min[s])
					h->min[s] = ns;
			}
			leave(h, (enum state)s);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 40, err;
	struct hook h = { .empty_link = -1 };
	cpu_set_t one;

	if (rounds < 1 || rounds > 10000) {
		fprintf(stderr, "usage: bench-hook [ROUNDS]\n");
		return 2;
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	err = load(&h);
	if (!err)
		err = measure(&h, rounds);
	if (err) {
		fprintf(stderr, "bench-hook: %s: needs root and BPF\n", strerror(-err));
	} else {
		printf("{\"none\": %.1f, \"empty\": %.1f", h.min[NONE], h.min[EMPTY] - h.min[NONE]);
		for (int s = OFF; s < STATES; s++)
			printf(", \"%s\": %.1f", names[s], h.min[s] - h.min[EMPTY]);
		printf("}\n");
	}
	weir__bpf_free(h.mine);
	weir__bpf_free(h.others);
	weir__ring_close(h.bare_ring);
	bpf_object__close(h.bare);
	return err ? 1 : 0;
}
