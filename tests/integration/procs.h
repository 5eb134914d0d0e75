/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test sees of a daemon from outside: its process and those below it, what they
 * cost, which BPF objects they hold, which cgroups bear its name; and what the counting
 * output has counted. Whatever cannot be read fails the test, unless it says otherwise.
 */
#ifndef WEIR_TESTS_PROCS_H
#define WEIR_TESTS_PROCS_H

#include "fixture.h"

#include <stddef.h>
#include <stdint.h>

double now_s(void);
void nap_ms(unsigned ms);

/* More than any test's daemon has. */
#define PROCS_MAX 64
struct procs {
	size_t count;
	pid_t pids[PROCS_MAX];
};
/* All processes below this one, children's children too; not itself. */
void procs_below(pid_t pid, struct procs *ret);
/* Become the one who reaps what a killed daemon leaves behind. */
void procs_adopt(void);
/* Wait until none of them is alive (zombies are reaped); false: after the deadline,
 * with *ret_pid one that is. */
bool procs_gone(const struct procs *p, double seconds, pid_t *ret_pid);

/* SIGTERM ends it with 0; else its log is shown. */
void assert_ends_well(struct daemon *d);

/* CPU time in seconds and resident bytes; 0 if it has gone. */
double proc_cpu_s(pid_t pid);
double proc_rss(pid_t pid);

/* BPF programs, maps and links that processes hold descriptors of, by their ids. */
#define HELD_MAX 512
struct held {
	size_t count;
	struct {
		char kind; /* 'p', 'm', 'l' */
		uint32_t id;
	} items[HELD_MAX];
};
void held_add(struct held *h, pid_t pid);
/* Wait until the kernel knows none of them any more: it frees them a moment after
 * their last user is gone. Returns how many are left after the deadline. */
size_t held_left(const struct held *h, double seconds);

/* Directories named weir.<pid>* below the cgroup mounts. */
size_t cgroups_of(pid_t pid);
/* Entries below /sys/fs/bpf. */
size_t bpf_pins(void);

/* The counting output's account: all of it, json_decref it; one collector's, borrowed,
 * NULL if nothing of it came. */
json_t *counted(struct daemon *d);
json_t *counted_of(const json_t *counts, const char *collector);
/* Nothing of this collector is missing, none of it came twice. */
void assert_gapless(const json_t *counts, const char *collector);

#endif
