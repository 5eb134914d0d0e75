/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: what a process did is the sum of its tasks' slots and of what its
 * ended tasks left in io_processes. Both are read once per interval, the ended
 * ones first: a task that ends in between is missed for one round, never counted
 * twice, and `last` never moves back.
 *
 * Bounded by max_processes; work of processes beyond it is in the totals only,
 * and counted in process_dropped.
 */
#include "iomonitor.h"

#include <string.h>
#include <sys/stat.h>

bool io_work_any(const struct io_work *w)
{
	return w->reads | w->writes | w->lookup_pages | w->fill_pages;
}

static void work_add(struct io_work *a, const struct io_work *b)
{
	uint64_t *x = (uint64_t *)a;
	const uint64_t *y = (const uint64_t *)b;

	for (size_t i = 0; i < IO_WORK_FIELDS; i++)
		x[i] += y[i];
}

/* delta = now - last where it grew; last = the larger. */
static void work_delta(struct io_process *e)
{
	uint64_t *now = (uint64_t *)&e->now, *last = (uint64_t *)&e->last;
	uint64_t *delta = (uint64_t *)&e->delta;

	for (size_t i = 0; i < IO_WORK_FIELDS; i++) {
		delta[i] = now[i] > last[i] ? now[i] - last[i] : 0;
		last[i] += delta[i];
	}
}

/* ---- the table ------------------------------------------------------------------ */

int io_processes_init(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	/* Twice the entries: probes stay short at full load. */
	m->index_size = 1;
	while (m->index_size < m->max_processes * 2)
		m->index_size *= 2;
	m->processes = weir_alloc(p, m->max_processes * sizeof *m->processes);
	m->index = weir_alloc(p, m->index_size * sizeof *m->index);
	m->cgroups = weir_alloc(p, IO_MAX_CGROUPS * sizeof *m->cgroups);
	if (!m->processes || !m->index || !m->cgroups)
		return weir_fail(p, -ENOMEM, "no memory for %llu processes; set a smaller max_processes",
		                 (unsigned long long)m->max_processes);
	memset(m->index, 0, m->index_size * sizeof *m->index);
	memset(m->cgroups, 0, sizeof *m->cgroups);
	strcpy(m->cgroups[0].path, "unknown");
	m->cgroup_count = 1;
	m->process_count = 0;
	m->folds_seen = 0;
	return 0;
}

void io_processes_fini(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	weir_free(p, m->processes);
	weir_free(p, m->index);
	weir_free(p, m->cgroups);
	m->processes = NULL;
	m->index = NULL;
	m->cgroups = NULL;
	m->process_count = 0;
	m->cgroup_count = 0;
}

/* Where the index has, or would have, this process: entry number + 1, 0 free. */
static uint32_t *place(struct iomonitor *m, uint32_t pid)
{
	size_t i = (pid * 2654435761u) & (m->index_size - 1);

	while (m->index[i] && m->processes[m->index[i] - 1].pid != pid)
		i = (i + 1) & (m->index_size - 1);
	return &m->index[i];
}

/* The process's entry; made anew if there is room. */
static struct io_process *entry(struct iomonitor *m, uint32_t pid)
{
	uint32_t *at = place(m, pid);
	struct io_process *e;

	if (*at)
		return &m->processes[*at - 1];
	if (m->process_count >= m->max_processes)
		return NULL;
	e = &m->processes[m->process_count++];
	memset(e, 0, sizeof *e);
	e->pid = pid;
	*at = (uint32_t)m->process_count;
	return e;
}

/* Forget those that have ended or were not seen in the last round. */
static void forget(struct iomonitor *m)
{
	size_t kept = 0, n = m->process_count;

	for (size_t i = 0; i < n; i++)
		if (!m->processes[i].dead && m->processes[i].seen)
			m->processes[kept++] = m->processes[i];
	m->process_count = kept;
	if (kept == n)
		return;
	memset(m->index, 0, m->index_size * sizeof *m->index);
	for (size_t i = 0; i < kept; i++)
		*place(m, m->processes[i].pid) = (uint32_t)i + 1;
}

/* ---- cgroups ---------------------------------------------------------------------- */

static uint32_t cgroup_index(struct iomonitor *m, const char *path, bool v1)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
		                             "/sys/fs/cgroup/memory" };
	char full[4200];
	struct stat st;

	for (size_t i = 1; i < m->cgroup_count; i++)
		if (!strncmp(m->cgroups[i].path, path, sizeof m->cgroups[i].path - 1))
			return (uint32_t)i;
	if (m->cgroup_count == IO_MAX_CGROUPS)
		return 0;
	snprintf(m->cgroups[m->cgroup_count].path, sizeof m->cgroups[0].path, "%s", path);
	m->cgroups[m->cgroup_count].id = 0;
	for (size_t i = v1 ? 2 : 0; i < (v1 ? 3 : 2); i++) {
		snprintf(full, sizeof full, "%s%s", roots[i], path);
		if (!stat(full, &st))
			m->cgroups[m->cgroup_count].id = st.st_ino;
	}
	return (uint32_t)m->cgroup_count++;
}

/* Of a process that has ended: known if another of its cgroup was seen alive. */
static uint32_t cgroup_by_id(const struct iomonitor *m, uint64_t id)
{
	for (size_t i = 1; id && i < m->cgroup_count; i++)
		if (m->cgroups[i].id == id)
			return (uint32_t)i;
	return 0;
}

/* Path in the hierarchy that says most: v2's ("0::"), unless it is the root and
 * the memory controller of v1 has its own. */
static uint32_t cgroup_of(struct weir_plugin *p, uint32_t pid)
{
	struct iomonitor *m = weir_state(p);
	char file[64], text[4096], *line, *save = NULL, *v2 = NULL, *v1 = NULL, *at;
	ssize_t n;

	snprintf(file, sizeof file, "/proc/%u/cgroup", pid);
	n = p->host->read_file(p, file, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		at = strchr(line, ':');
		if (!at)
			continue;
		if (!strncmp(line, "0::", 3))
			v2 = line + 3;
		else if (!strncmp(at, ":memory:", 8))
			v1 = at + 8;
	}
	if (v1 && (!v2 || !strcmp(v2, "/")))
		return cgroup_index(m, v1, true);
	return v2 ? cgroup_index(m, v2, false) : 0;
}

static void cgroups_take(struct iomonitor *m)
{
	for (size_t i = 0; i < m->cgroup_count; i++) {
		memset(&m->cgroups[i].delta, 0, sizeof m->cgroups[i].delta);
		m->cgroups[i].processes = 0;
	}
	for (size_t i = 0; i < m->process_count; i++) {
		struct io_process *e = &m->processes[i];

		if (!io_work_any(&e->delta))
			continue;
		work_add(&m->cgroups[e->cgroup].delta, &e->delta);
		m->cgroups[e->cgroup].processes++;
	}
}

/* ---- one round ----------------------------------------------------------------------- */

static struct io_process *enter(struct weir_plugin *p, uint32_t pid, const char *comm)
{
	struct iomonitor *m = weir_state(p);
	size_t before = m->process_count;
	struct io_process *e = entry(m, pid);

	if (!e) {
		m->process_dropped++;
		return NULL;
	}
	if (m->process_count > before)
		e->cgroup = cgroup_of(p, pid);
	e->seen = true;
	memcpy(e->comm, comm, sizeof e->comm);
	return e;
}

static void take_ended_one(struct weir_plugin *p, uint32_t pid, const struct weir_io_process *v)
{
	struct iomonitor *m = weir_state(p);
	struct io_process *e = enter(p, pid, v->comm);
	const struct io_work w = { v->reads, v->read_bytes, v->read_ns, v->lookup_pages,
		v->miss_pages, v->fill_pages, v->writes, v->write_bytes, v->write_ns };

	m->ended_left += !v->dead;
	if (e) {
		work_add(&e->now, &w);
		e->dead = v->dead;
		if (!e->cgroup)
			e->cgroup = cgroup_by_id(m, v->cgroup);
	}
	/* Nobody adds to a dead process any more, so nothing is lost. */
	if (v->dead)
		p->host->map_delete(m->processes_fd, &pid);
}

static void take_ended(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	uint32_t keys[64], count;
	struct weir_io_process values[64];
	uint64_t token = 0;
	int rc = 0;

	m->ended_left = 0;
	/* Bound: the map's 4096 entries, and as many again for new ones. */
	for (int round = 0; round < 128 && !rc; round++) {
		count = 64;
		rc = p->host->map_batch(m->processes_fd, &token, !round, keys, values, &count);
		if (rc && rc != -ENOENT)
			return;
		for (uint32_t i = 0; i < count; i++)
			take_ended_one(p, keys[i], &values[i]);
	}
}

static void take_task(struct weir_plugin *p, const volatile struct weir_io_task *t)
{
	struct iomonitor *m = weir_state(p);
	struct io_work w;
	struct io_process *e;
	char comm[16];
	uint64_t owner = __atomic_load_n(&t->owner, __ATOMIC_ACQUIRE);
	uint32_t pid = t->tgid;

	if (!owner || (t->flags & WEIR_IO_TASK_SKIP))
		return;
	m->live_tasks++;
	w = (struct io_work){ t->reads, t->read_bytes, t->read_ns, t->lookup_pages,
		t->miss_pages, t->fill_pages, t->writes, t->write_bytes, t->write_ns };
	memcpy(comm, (const void *)t->comm, sizeof comm);
	/* The task ended and the slot went to another one while it was read. */
	if (__atomic_load_n(&t->owner, __ATOMIC_ACQUIRE) != owner || t->tgid != pid)
		return;
	if (!io_work_any(&w))
		return;
	e = enter(p, pid, comm);
	if (e)
		work_add(&e->now, &w);
}

static void take_live(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	m->live_tasks = 0;
	for (uint32_t word = 0; word < m->used_words; word++) {
		uint64_t bits = m->used[word];

		while (bits) {
			uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			if (i < m->task_count)
				take_task(p, &m->tasks[i]);
		}
	}
}

void io_processes_take(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	forget(m);
	for (size_t i = 0; i < m->process_count; i++) {
		memset(&m->processes[i].now, 0, sizeof m->processes[i].now);
		m->processes[i].seen = false;
	}
	/* Nothing was ever put there, or all of it has been taken out. */
	if (m->total.folds != m->folds_seen || m->ended_left)
		take_ended(p);
	m->folds_seen = m->total.folds;
	take_live(p);
	for (size_t i = 0; i < m->process_count; i++)
		work_delta(&m->processes[i]);
	cgroups_take(m);
}
