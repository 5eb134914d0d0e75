/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pressure.h. What counts as pressure on Weir:
 *
 *   the cgroup's memory      use / limit: above it the kernel kills
 *   throttling by cpu.max    half the time throttled is 100 %: batches come late
 *   memory PSI, "full"       20 % of the time with nobody able to work is 100 %
 *
 * CPU and I/O PSI are shown only: a busy machine is what a collector is for, and
 * what Weir takes of it has a budget of its own.
 */
#include "pressure.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FULL_AT      20.0
#define THROTTLED_AT 50.0
/* v1 says "none" with a number near the end of s64, in pages. */
#define NO_LIMIT     (1ull << 60)

/* Text of root + dir + name; false: not there. The files are short. */
static bool slurp(const struct weir__pressure_reader *r, const char *dir, const char *name,
                  char *text, size_t size)
{
	char path[1100];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s%s%s", r->root ? r->root : "", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* "some avg10=0.12 ...": that number, or -1. */
static double psi(const struct weir__pressure_reader *r, const char *name, const char *word)
{
	char text[512], *at;
	double avg;

	if (!slurp(r, "/proc/pressure/", name, text, sizeof text) || !(at = strstr(text, word)))
		return -1;
	return sscanf(at + strlen(word), " avg10=%lf", &avg) == 1 && avg >= 0 ? avg : -1;
}

static uint64_t number(const struct weir__pressure_reader *r, const char *dir, const char *name)
{
	char text[64];

	/* "max" is no number and none */
	return slurp(r, dir, name, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* /proc/self/cgroup: "0::/path" is v2's, "9:memory:/path" v1's. */
static void find_cgroups(struct weir__pressure_reader *r)
{
	char text[4096], *line, *rest = text, *colon;

	r->looked = true;
	if (!slurp(r, "/proc/self/cgroup", "", text, sizeof text))
		return;
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "0::", 3)) {
			snprintf(r->v2, sizeof r->v2, "/sys/fs/cgroup%s/", strcmp(line + 3, "/") ? line + 3 : "");
			continue;
		}
		colon = strchr(line, ':');
		if (colon && !strncmp(colon, ":memory:", 8))
			snprintf(r->v1, sizeof r->v1, "/sys/fs/cgroup/memory%s/",
			         strcmp(colon + 8, "/") ? colon + 8 : "");
	}
}

static void read_memory(struct weir__pressure_reader *r, struct weir__pressure *ret)
{
	if (*r->v2) {
		ret->cgroup_memory = number(r, r->v2, "memory.current");
		ret->cgroup_limit = number(r, r->v2, "memory.max");
	}
	if (!ret->cgroup_memory && *r->v1) {
		ret->cgroup_memory = number(r, r->v1, "memory.usage_in_bytes");
		ret->cgroup_limit = number(r, r->v1, "memory.limit_in_bytes");
	}
	if (ret->cgroup_limit >= NO_LIMIT)
		ret->cgroup_limit = 0;
}

static void read_throttled(struct weir__pressure_reader *r, uint64_t now_ns, struct weir__pressure *ret)
{
	char text[1024], *at;
	uint64_t us, dt = now_ns - r->at_ns;

	if (!*r->v2 || !slurp(r, r->v2, "cpu.stat", text, sizeof text) ||
	    !(at = strstr(text, "throttled_usec ")) || sscanf(at + 15, "%" SCNu64, &us) != 1)
		return;
	if (r->at_ns && dt && us >= r->throttled_us)
		ret->throttled = (double)(us - r->throttled_us) * 1e5 / (double)dt;
	r->throttled_us = us;
	r->at_ns = now_ns;
}

void weir__pressure_read(struct weir__pressure_reader *r, uint64_t now_ns, struct weir__pressure *ret)
{
	double p = 0;

	memset(ret, 0, sizeof *ret);
	ret->throttled = -1;
	if (!r->looked)
		find_cgroups(r);
	ret->cpu_some = psi(r, "cpu", "some");
	ret->memory_some = psi(r, "memory", "some");
	ret->memory_full = psi(r, "memory", "full");
	ret->io_full = psi(r, "io", "full");
	read_memory(r, ret);
	read_throttled(r, now_ns, ret);
	if (ret->memory_full > 0)
		p = ret->memory_full / FULL_AT;
	if (ret->throttled > 0 && ret->throttled / THROTTLED_AT > p)
		p = ret->throttled / THROTTLED_AT;
	/* Page cache is in it, and goes when it must: only the last tenth counts. */
	if (ret->cgroup_limit && (double)ret->cgroup_memory > 0.9 * (double)ret->cgroup_limit &&
	    (double)ret->cgroup_memory / (double)ret->cgroup_limit > p)
		p = (double)ret->cgroup_memory / (double)ret->cgroup_limit;
	ret->stalled = p;
}
