/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-cost: what Weir costs a process that reads. A loop of 1-byte read() calls
 * on a cached file, in slices, while a command switches the plugin off and on:
 *
 *     none   nothing attached          floor  empty programs at the same hooks
 *     weir   the plugin at work
 *
 * The states follow each other in every round, so that drift hits all alike; the
 * minimum and the median over all slices are printed as one line of JSON.
 *
 *     bench-cost --pid PID --on COMMAND --off COMMAND [--rounds 10] [--slices 40]
 *                [--reads 2000] [--cpu 1] [--comm NAME] [--dir /var/tmp]
 *
 * Failure: exit 1 with the reason, if a command fails or there is no BPF.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* A collector has at most 32 programs (WEIR_MAX_PROGRAMS); a daemon a few of them. */
#define MAX_HOOKS 128
#define MAX_SLICES 100000

enum state { NONE, FLOOR, WEIR, STATES };
static const char *const state_names[] = { "none", "floor", "weir" };

struct cost {
	const char *on, *off, *comm, *dir;
	int pid, cpu, rounds, slices, reads;
	int file;
	char hooks[MAX_HOOKS][64];
	int hook_count, other_links;
	int empty, links[MAX_HOOKS];
	double *ns[STATES];
	int n;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int command(const char *text)
{
	char line[4096];

	snprintf(line, sizeof line, "%s >/dev/null", text);
	if (system(line)) {
		fprintf(stderr, "bench-cost: `%s` failed\n", text);
		return -EIO;
	}
	usleep(50000); /* let what the command woke go to sleep again */
	return 0;
}

/* ---- the floor ----------------------------------------------------------- */

static void look_at(struct cost *c, const char *path)
{
	char line[256], type[64] = "", tp[64] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "link_type: %63s", type);
		sscanf(line, "tp_name: %63s", tp);
	}
	fclose(f);
	if (*tp && c->hook_count < MAX_HOOKS)
		strcpy(c->hooks[c->hook_count++], tp);
	else if (*type)
		c->other_links++;
}

/* The hooks the daemon has programs at, from its link descriptors. */
static int find_hooks(struct cost *c)
{
	char path[300];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fdinfo", c->pid);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		snprintf(path, sizeof path, "/proc/%d/fdinfo/%s", c->pid, e->d_name);
		if (*e->d_name != '.')
			look_at(c, path);
	}
	closedir(d);
	return c->hook_count || c->other_links ? 0 : -ENOENT;
}

static int floor_load(struct cost *c)
{
	struct bpf_insn empty[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	c->empty = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "bench_floor", "GPL", empty, 2, NULL);
	return c->empty < 0 ? c->empty : 0;
}

static int floor_attach(struct cost *c, int on)
{
	for (int i = 0; i < c->hook_count; i++) {
		if (on) {
			c->links[i] = bpf_raw_tracepoint_open(c->hooks[i], c->empty);
			if (c->links[i] < 0)
				return c->links[i];
		} else {
			close(c->links[i]);
		}
	}
	return 0;
}

/* ---- the loop ------------------------------------------------------------ */

static int open_file(struct cost *c)
{
	char path[512], *data = calloc(1, (size_t)c->reads);
	ssize_t n;

	snprintf(path, sizeof path, "%s/weir-bench-XXXXXX", c->dir);
	c->file = mkstemp(path);
	if (c->file < 0 || !data)
		return -errno;
	unlink(path);
	n = write(c->file, data, (size_t)c->reads);
	free(data);
	return n == c->reads && !fsync(c->file) ? 0 : -EIO;
}

static double slice(struct cost *c)
{
	uint64_t start;
	char byte;

	lseek(c->file, 0, SEEK_SET);
	start = now_ns();
	for (int i = 0; i < c->reads; i++) {
		if (read(c->file, &byte, 1) != 1)
			abort();
	}
	return (double)(now_ns() - start) / c->reads;
}

static int enter(struct cost *c, enum state s)
{
	return s == WEIR ? command(c->on) : s == FLOOR ? floor_attach(c, 1) : 0;
}

static int leave(struct cost *c, enum state s)
{
	return s == WEIR ? command(c->off) : s == FLOOR ? floor_attach(c, 0) : 0;
}

static int measure(struct cost *c)
{
	int err = command(c->off);

	for (int round = 0; !err && round < c->rounds; round++) {
		for (int i = 0; !err && i < STATES; i++) {
			enum state s = (enum state)((i + round) % STATES);

			err = enter(c, s);
			slice(c); /* warm: caches, and what is set up per task */
			for (int k = 0; !err && k < c->slices; k++)
				c->ns[s][c->n + k] = slice(c);
			if (!err)
				err = leave(c, s);
		}
		c->n += c->slices;
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(struct cost *c)
{
	double min[STATES], med[STATES];

	printf("{\"hooks\": [");
	for (int i = 0; i < c->hook_count; i++)
		printf("%s\"%s\"", i ? ", " : "", c->hooks[i]);
	printf("], \"other_links\": %d", c->other_links);
	for (int s = 0; s < STATES; s++) {
		qsort(c->ns[s], (size_t)c->n, sizeof **c->ns, compare);
		min[s] = c->ns[s][0];
		med[s] = c->ns[s][c->n / 2];
		printf(", \"%s\": {\"min_ns\": %.1f, \"median_ns\": %.1f}", state_names[s], min[s], med[s]);
	}
	printf(", \"added_min_ns\": %.1f, \"added_median_ns\": %.1f, \"floor_min_ns\": %.1f"
	       ", \"floor_median_ns\": %.1f}\n", min[WEIR] - min[NONE], med[WEIR] - med[NONE],
	       min[FLOOR] - min[NONE], med[FLOOR] - med[NONE]);
}

static int parse(struct cost *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *v = i + 1 < argc ? argv[i + 1] : NULL;
		struct { const char *name; const char **text; int *number; } known[] = {
			{ "--on", &c->on, NULL }, { "--off", &c->off, NULL },
			{ "--comm", &c->comm, NULL }, { "--dir", &c->dir, NULL },
			{ "--pid", NULL, &c->pid }, { "--cpu", NULL, &c->cpu },
			{ "--rounds", NULL, &c->rounds }, { "--slices", NULL, &c->slices },
			{ "--reads", NULL, &c->reads },
		};
		size_t k = 0, n = sizeof known / sizeof *known;

		while (k < n && strcmp(argv[i], known[k].name))
			k++;
		if (k == n || !v)
			return -EINVAL;
		if (known[k].text)
			*known[k].text = v;
		else
			*known[k].number = atoi(v);
	}
	if (!c->on || !c->off || c->pid <= 0 || c->rounds <= 0 || c->slices <= 0 || c->reads <= 0 ||
	    c->reads > 1 << 20 || (long)c->rounds * c->slices > MAX_SLICES)
		return -EINVAL;
	return 0;
}

static int prepare(struct cost *c)
{
	cpu_set_t one;
	int err;

	if (c->comm)
		prctl(PR_SET_NAME, c->comm);
	CPU_ZERO(&one);
	CPU_SET(c->cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
	for (int s = 0; s < STATES; s++) {
		c->ns[s] = calloc((size_t)c->rounds * (size_t)c->slices, sizeof **c->ns);
		if (!c->ns[s])
			return -ENOMEM;
	}
	err = open_file(c);
	if (!err)
		err = command(c->on);
	if (!err)
		err = find_hooks(c);
	if (!err)
		err = floor_load(c);
	return err;
}

int main(int argc, char **argv)
{
	static struct cost c = { .cpu = 0, .rounds = 10, .slices = 40, .reads = 2000, .dir = "/var/tmp" };
	int err = parse(&c, argc, argv);

	if (err) {
		fprintf(stderr, "usage: bench-cost --pid PID --on COMMAND --off COMMAND [--rounds N]"
		        " [--slices N] [--reads N] [--cpu N] [--comm NAME] [--dir DIR]\n");
		return 2;
	}
	err = prepare(&c);
	if (!err)
		err = measure(&c);
	if (!err)
		print(&c);
	else
		fprintf(stderr, "bench-cost: %s (no BPF link found at the daemon, or no BPF rights?)\n",
		        strerror(-err));
	for (int s = 0; s < STATES; s++)
		free(c.ns[s]);
	return err ? 1 : 0;
}
