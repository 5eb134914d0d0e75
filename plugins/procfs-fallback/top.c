/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a pass: the busiest `top` processes get series and a record of
 * their own, and all others are summed into "other" (pid 0), so that every byte is
 * counted exactly once and the number of series is bounded.
 *
 * A process keeps its slot until it ends or a busier one needs it; a slot that is
 * taken away takes its series along, and its totals end there.
 * Invariant: a slot with a pid belongs to exactly one process, whose `slot` says so.
 */
#include "procfs.h"
#include <string.h>

#define SOURCE "procfs"
#define QUALITY "approx"

static const struct {
	enum procfs_metric metric;
	enum procfs_value value;
} slot_series[PROCFS_SLOT_SERIES] = {
	{ M_PROC_READ, V_READ },   { M_PROC_WRITE, V_WRITE }, { M_PROC_RCHAR, V_RCHAR },
	{ M_PROC_WCHAR, V_WCHAR }, { M_PROC_FAULTS, V_MAJFLT },
};

/* ---- the busiest ------------------------------------------------------------ */

static int compare(uint64_t a, uint64_t b)
{
	return a > b ? 1 : a < b ? -1 : 0;
}

/* >0: a before b */
static int rank(const struct procfs_task *a, const struct procfs_task *b, int value)
{
	int c;

	if (value < V_VALUES) {
		c = compare(a->delta[value], b->delta[value]);
	} else {
		c = compare(a->delta[V_READ] + a->delta[V_WRITE], b->delta[V_READ] + b->delta[V_WRITE]);
		if (!c)
			c = compare(a->delta[V_RCHAR] + a->delta[V_WCHAR],
			            b->delta[V_RCHAR] + b->delta[V_WCHAR]);
		if (!c)
			c = compare(a->delta[V_MAJFLT], b->delta[V_MAJFLT]);
	}
	return c ? c : compare(b->pid, a->pid);
}

uint32_t procfs_top_select(struct procfs_tasks *t, int value, struct procfs_task **ret, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		struct procfs_task *task = &t->rows[i];
		uint32_t at;

		if (!task->active || (value < V_VALUES && !task->delta[value]))
			continue;
		if (count == n && (!n || rank(task, ret[n - 1], value) < 0))
			continue;
		at = count < n ? count++ : n - 1;
		for (; at && rank(task, ret[at - 1], value) > 0; at--)
			ret[at] = ret[at - 1];
		ret[at] = task;
	}
	return count;
}

/* ---- slots ------------------------------------------------------------------ */

static void free_slot(struct weir_plugin *p, struct procfs_slot *slot)
{
	procfs_free_series(p, slot->series, PROCFS_SLOT_SERIES);
	memset(slot, 0, sizeof *slot);
}

void procfs_top_release(struct weir_plugin *p, struct procfs_task *t)
{
	struct procfs *s = weir_state(p);

	if (t->slot)
		free_slot(p, &s->slot[t->slot - 1]);
	t->slot = 0;
}

/* A slot for one of the busiest: a free one, or that of a process that is not. */
static void give_slot(struct weir_plugin *p, struct procfs_task *t)
{
	struct procfs *s = weir_state(p);
	uint32_t at = 0;

	while (at < s->top && s->slot[at].pid)
		at++;
	if (at == s->top) {
		struct procfs_task *loser;

		for (at = 0; at < s->top && s->slot[at].won; at++)
			;
		if (at == s->top)
			return; /* cannot be: no more winners than slots */
		loser = procfs_task_find(&s->tasks, s->slot[at].pid);
		if (loser)
			loser->slot = 0;
		free_slot(p, &s->slot[at]);
	}
	s->slot[at].pid = t->pid;
	s->slot[at].won = true;
	memcpy(s->slot[at].comm, t->comm, sizeof t->comm);
	t->slot = (uint8_t)(at + 1);
}

/* A label may hold any byte: who writes it out escapes it. */
static void publish_slot(struct weir_plugin *p, struct procfs_slot *slot, const char *comm)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%u", slot->pid);
	for (int i = 0; i < PROCFS_SLOT_SERIES; i++)
		procfs_put_at(p, &slot->series[i], slot_series[i].metric,
		              (double)slot->total[slot_series[i].value], pid, comm, NULL);
}

/* ---- records ---------------------------------------------------------------- */

static void fill(struct weir_procfs_process *r, const uint64_t delta[V_VALUES])
{
	r->read_chars = delta[V_RCHAR];
	r->write_chars = delta[V_WCHAR];
	r->reads = delta[V_SYSCR];
	r->writes = delta[V_SYSCW];
	r->read_bytes = delta[V_READ];
	r->write_bytes = delta[V_WRITE];
	r->cancelled_write_bytes = delta[V_CANCELLED];
	r->major_faults = delta[V_MAJFLT];
}

static void emit_task(struct weir_plugin *p, const struct procfs_task *t)
{
	struct weir_procfs_process r = {
		.pid = t->pid, .ppid = t->ppid, .interval_ns = t->interval_ns, .processes = 1,
	};

	fill(&r, t->delta);
	memcpy(r.comm, t->comm, sizeof r.comm);
	weir_emit(p, PROCFS_IO_PROCESS, &r, sizeof r);
}

static void emit_other(struct weir_plugin *p, const uint64_t delta[V_VALUES], uint32_t processes)
{
	struct procfs *s = weir_state(p);
	struct weir_procfs_process r = {
		.interval_ns = s->pass.began_ns - s->last.began_ns,
		.processes = processes, .comm = "other",
	};

	if (!processes)
		return;
	fill(&r, delta);
	weir_emit(p, PROCFS_IO_PROCESS, &r, sizeof r);
	p->host->count(p, PROCFS_IO_PROCESS, WEIR_RECORD_AGGREGATED, processes);
}

/* ---- the end of a pass ------------------------------------------------------- */

static void publish_rates(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	bool asked = s->sum[V_RCHAR] != 0;
	double share = asked ? (double)s->sum[V_READ] / (double)s->sum[V_RCHAR] : 0;

	procfs_put(p, M_MISS_RATE, asked, 100 * share, SOURCE, QUALITY, NULL);
	procfs_put(p, M_HIT_RATE, asked, 100 - 100 * share, SOURCE, QUALITY, NULL);
	procfs_put(p, M_EFFICIENCY, asked, 1 - share, SOURCE, QUALITY, NULL);
}

static void publish_pass(struct weir_plugin *p, bool on)
{
	struct procfs *s = weir_state(p);
	uint64_t took = on ? weir_now(p) - s->pass.began_ns : 0;
	/* nothing could be read: the sums are not known */
	bool known = on && s->pass.read;

	procfs_put(p, M_READ_OPS, known, (double)s->total[V_SYSCR], "all", SOURCE, NULL);
	procfs_put(p, M_READ_BYTES, known, (double)s->total[V_RCHAR], "all", SOURCE, NULL);
	procfs_put(p, M_PROCESSES, on, (double)s->pass.read, "read", NULL, NULL);
	procfs_put(p, M_PROCESSES, on, (double)s->pass.denied, "denied", NULL, NULL);
	procfs_put(p, M_PROCESSES, on, (double)s->pass.failed, "failed", NULL, NULL);
	procfs_put(p, M_PROCESSES, on, (double)s->pass.untracked, "untracked", NULL, NULL);
	procfs_put(p, M_PROCESSES, on, (double)s->pass.vanished, "vanished", NULL, NULL);
	procfs_put(p, M_PASSES, on, (double)s->pass_no, NULL, NULL, NULL);
	procfs_put(p, M_PASS_SECONDS, on, (double)took / 1e9, NULL, NULL, NULL);
}

/* Books every active process on its slot, or on "other". */
static void book(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	uint64_t rest[V_VALUES] = { 0 };
	uint32_t rest_count = 0;

	for (uint32_t i = 0; i < s->tasks.count; i++) {
		struct procfs_task *t = &s->tasks.rows[i];
		struct procfs_slot *slot = t->slot ? &s->slot[t->slot - 1] : &s->other;
		bool won = t->slot && slot->won;

		if (!t->active)
			continue;
		for (int v = 0; v < V_VALUES; v++) {
			slot->total[v] += t->delta[v];
			s->sum[v] += t->delta[v];
			s->total[v] += t->delta[v];
			rest[v] += won ? 0 : t->delta[v];
		}
		rest_count += !won;
	}
	emit_other(p, rest, rest_count);
}

void procfs_top_end_pass(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	struct procfs_task *winner[PROCFS_MAX_TOP];
	uint32_t n = procfs_top_select(&s->tasks, V_BUSIEST, winner, (uint32_t)s->top);

	for (uint32_t i = 0; i < s->top; i++)
		s->slot[i].won = false;
	for (uint32_t i = 0; i < n; i++)
		if (winner[i]->slot)
			s->slot[winner[i]->slot - 1].won = true;
	for (uint32_t i = 0; i < n; i++) {
		if (!winner[i]->slot)
			give_slot(p, winner[i]);
		emit_task(p, winner[i]);
	}
	memset(s->sum, 0, sizeof s->sum);
	book(p);
	for (uint32_t i = 0; i < s->top; i++)
		if (s->slot[i].pid)
			publish_slot(p, &s->slot[i], s->slot[i].comm);
	publish_slot(p, &s->other, "other");
	publish_pass(p, true);
	publish_rates(p);
}

void procfs_top_off(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	for (uint32_t i = 0; i < PROCFS_MAX_TOP; i++)
		free_slot(p, &s->slot[i]);
	procfs_free_series(p, s->other.series, PROCFS_SLOT_SERIES);
	for (uint32_t i = 0; i < s->tasks.count; i++)
		s->tasks.rows[i].slot = 0;
	memset(s->sum, 0, sizeof s->sum);
	publish_pass(p, false);
	publish_rates(p);
}
