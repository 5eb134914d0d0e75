/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forkwatch: how long processes live and how they end. With BPF every end, from
 * the kernel; without, what two looks at /proc in a row can tell.
 */
#include <weir/weir.h>
#include "forkwatch_events.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TASKS 16384 /* half of the default pid_max; the rest goes unseen */
enum { M_EXITS, M_RUNTIME };

struct task { /* of one look at /proc, which lists them by pid */
	uint32_t pid, ppid;
	uint64_t start_ns;
	char comm[16];
};
struct forkwatch {
	uint64_t min_runtime_ns, interval_ns; /* options */
	uint64_t ends[3], runtime_ns;         /* by how; of all */
	struct task *tasks;
	size_t count;
};

static const char *const hows[] = { "exited", "killed", "unknown" };

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct forkwatch, min_runtime_ns, "min_runtime", "0s",
	                     "Report only processes that lived at least this long"),
	WEIR_OPTION_DURATION(struct forkwatch, interval_ns, "interval", "1s",
	                     "How often to look at /proc where BPF is not allowed", .min = 1e7, .max = 3.6e12),
};
static const struct weir_field exit_fields[] = {
	WEIR_FIELD(struct weir_forkwatch_exit, pid, WEIR_U32, "", "Process that ended"),
	WEIR_FIELD(struct weir_forkwatch_exit, ppid, WEIR_U32, "", "Its parent"),
	WEIR_FIELD(struct weir_forkwatch_exit, runtime_ns, WEIR_U64, "ns", "Time from fork to exit"),
	WEIR_FIELD(struct weir_forkwatch_exit, exit_code, WEIR_S32, "", "Exit status, or the signal that killed it"),
	WEIR_FIELD(struct weir_forkwatch_exit, how, WEIR_ENUM32, "", "How it ended", .names = "exited killed unknown"),
	WEIR_FIELD(struct weir_forkwatch_exit, comm, WEIR_CHARS, "", "Its name"),
};
static const struct weir_schema schemas[] = {
	[FORKWATCH_EXIT] = { .name = "forkwatch_exit", .topic = "process", .doc = "A process has ended",
	                     .version = 1, .size = sizeof(struct weir_forkwatch_exit), .priority = 1,
	                     .fields = WEIR_TABLE(exit_fields) },
};
static const struct weir_metric metrics[] = {
	[M_EXITS] = { .name = "forkwatch_exits_total", .type = WEIR_COUNTER, .unit = "",
	              .help = "Processes that have ended", .labels = "how" },
	[M_RUNTIME] = { .name = "forkwatch_runtime_seconds_total", .type = WEIR_COUNTER, .unit = "seconds",
	                .help = "Time from fork to exit, of all that have ended", .labels = "" },
};
static const struct weir_program programs[] = {
	{ .name = "on_exit", .doc = "Ends of processes", .flags = WEIR_PROGRAM_REQUIRED,
	  .kinds = 1u << FORKWATCH_EXIT },
};

/* Count an end; is it worth an event? */
static int ended(struct weir_plugin *p, const struct weir_forkwatch_exit *e)
{
	struct forkwatch *w = weir_state(p);

	w->runtime_ns += e->runtime_ns;
	w->ends[e->how <= FORKWATCH_UNKNOWN ? e->how : FORKWATCH_UNKNOWN]++;
	return e->runtime_ns < w->min_runtime_ns ? WEIR_RECORD_FILTERED : WEIR_RECORD_PASS;
}

static int on_record(struct weir_plugin *p, struct weir_record *r)
{
	return ended(p, weir_payload(r));
}

static int collect(struct weir_plugin *p)
{
	struct forkwatch *w = weir_state(p);

	for (int how = 0; how < 3; how++)
		weir_set(p, M_EXITS, (double)w->ends[how], hows[how]);
	weir_set(p, M_RUNTIME, (double)w->runtime_ns / 1e9);
	return 0;
}

static int summary(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct forkwatch *w = weir_state(p);

	(void)args;
	for (int how = 0; how < 3; how++)
		weir_printf(p, out, "%s %llu\n", hows[how], (unsigned long long)w->ends[how]);
	return 0;
}

/* Without BPF: who was in /proc a moment ago, and is no more. */
static int read_task(struct weir_plugin *p, const char *pid, struct task *t)
{
	char path[64], buf[512], *open, *close;
	unsigned long long ticks;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	n = p->host->read_file(p, path, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0; /* empty: gone meanwhile */
	open = strchr(buf, '(');
	close = strrchr(buf, ')'); /* the name may hold brackets itself */
	if (!open || !close || sscanf(close + 1, " %*c %u" "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s %llu",
	                              &t->ppid, &ticks) != 2)
		return -ESRCH;
	*close = 0;
	t->pid = (uint32_t)atoi(pid);
	t->start_ns = ticks * 10000000; /* USER_HZ is 100 */
	strncpy(t->comm, open + 1, sizeof(t->comm));
	return 0;
}

static void task_ended(struct weir_plugin *p, const struct task *t)
{
	uint64_t now = weir_now(p);
	struct weir_forkwatch_exit e = { .pid = t->pid, .ppid = t->ppid, .how = FORKWATCH_UNKNOWN,
		.runtime_ns = now > t->start_ns ? now - t->start_ns : 0 };

	memcpy(e.comm, t->comm, sizeof(e.comm));
	if (ended(p, &e) == WEIR_RECORD_PASS)
		weir_emit(p, FORKWATCH_EXIT, &e, sizeof(e));
	else
		p->host->count(p, FORKWATCH_EXIT, WEIR_RECORD_FILTERED, 1);
}

static int scan(struct weir_plugin *p)
{
	struct forkwatch *w = weir_state(p);
	struct task *now = weir_alloc(p, MAX_TASKS * sizeof(*now));
	DIR *proc = now ? opendir("/proc") : NULL;
	size_t n = 0, at = 0;
	struct dirent *entry;

	if (!proc) {
		int err = now ? -errno : -ENOMEM;

		weir_free(p, now);
		return weir_fail(p, err, "cannot look at /proc: %s", strerror(-err));
	}
	while (n < MAX_TASKS && (entry = readdir(proc)))
		if (*entry->d_name >= '1' && *entry->d_name <= '9' && read_task(p, entry->d_name, &now[n]) == 0)
			n++;
	closedir(proc);
	for (size_t i = 0; i < w->count; i++) {
		while (at < n && now[at].pid < w->tasks[i].pid)
			at++;
		if (at == n || now[at].pid != w->tasks[i].pid || now[at].start_ns != w->tasks[i].start_ns)
			task_ended(p, &w->tasks[i]);
	}
	weir_free(p, w->tasks);
	w->tasks = now;
	w->count = n;
	return 0;
}

static void scan_stop(struct weir_plugin *p)
{
	struct forkwatch *w = weir_state(p);

	weir_free(p, w->tasks);
	w->tasks = NULL;
	w->count = 0;
}

WEIR_BPF_DECLARE(forkwatch);
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "Every end, from the kernel", .quality = "", WEIR_BPF_OBJECT(forkwatch),
	  .programs = WEIR_TABLE(programs), .record = on_record },
	{ .name = "procfs", .doc = "Who has gone between two looks at /proc", .quality = "approx",
	  .start = scan, .tick = scan, .stop = scan_stop,
	  .interval_offset = offsetof(struct forkwatch, interval_ns) },
};
static const struct weir_query queries[] = {
	{ .name = WEIR_QUERY_SUMMARY, .doc = "Ends by kind", .content_type = "text/plain", .answer = summary },
};
WEIR_PLUGIN(
	.name = "forkwatch", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "process",
	.doc = "How long processes live and how they end", .state_size = sizeof(struct forkwatch),
	.options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas), .metrics = WEIR_TABLE(metrics),
	.queries = WEIR_TABLE(queries), .sources = WEIR_TABLE(sources),
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON, .collect = collect);
