/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of processes: dense rows, and an index by pid beside them.
 *
 * Happy path: find, else add; once per pass sweep out what has ended, which keeps
 * the rows dense and builds the index anew, so that nothing is ever deleted from it.
 * Failure modes: full (PROCFS_MAX_TASKS) and out of memory leave it as it was.
 * Invariant: every row is reachable from the index; 2 * room index entries, so
 * at most half of them are used and a probe ends.
 */
#include "procfs.h"
#include <string.h>

static struct procfs_tasks *tasks(struct weir_plugin *p)
{
	return &((struct procfs *)weir_state(p))->tasks;
}

/* Fibonacci hashing: pids are dense, so their low bits alone would do too. */
static uint32_t index_at(const struct procfs_tasks *t, uint32_t pid)
{
	return (pid * 2654435769u >> 7) & (2 * t->room - 1);
}

static void index_row(struct procfs_tasks *t, uint32_t row)
{
	uint32_t at = index_at(t, t->rows[row].pid);

	while (t->index[at])
		at = (at + 1) & (2 * t->room - 1);
	t->index[at] = row + 1;
}

static void index_all(struct procfs_tasks *t)
{
	memset(t->index, 0, 2 * t->room * sizeof *t->index);
	for (uint32_t i = 0; i < t->count; i++)
		index_row(t, i);
}

struct procfs_task *procfs_task_find(struct procfs_tasks *t, uint32_t pid)
{
	if (!t->room)
		return NULL;
	for (uint32_t at = index_at(t, pid); t->index[at]; at = (at + 1) & (2 * t->room - 1))
		if (t->rows[t->index[at] - 1].pid == pid)
			return &t->rows[t->index[at] - 1];
	return NULL;
}

/* Room for one more; doubles from 256, which is a small machine. */
static int grow(struct weir_plugin *p)
{
	struct procfs_tasks *t = tasks(p);
	uint32_t room = t->room ? 2 * t->room : 256;
	struct procfs_task *rows;
	uint32_t *index = weir_alloc(p, 2 * room * sizeof *index);

	if (!index)
		return -ENOMEM;
	rows = p->host->realloc(p, t->rows, room * sizeof *rows);
	if (!rows) {
		weir_free(p, index);
		return -ENOMEM;
	}
	weir_free(p, t->index);
	t->rows = rows;
	t->index = index;
	t->room = room;
	index_all(t);
	return 0;
}

struct procfs_task *procfs_task_add(struct weir_plugin *p, uint32_t pid, int *ret_err)
{
	struct procfs_tasks *t = tasks(p);

	*ret_err = 0;
	if (t->count == PROCFS_MAX_TASKS)
		return NULL;
	if (t->count == t->room) {
		*ret_err = grow(p);
		if (*ret_err)
			return NULL;
	}
	memset(&t->rows[t->count], 0, sizeof t->rows[0]);
	t->rows[t->count].pid = pid;
	index_row(t, t->count);
	return &t->rows[t->count++];
}

void procfs_task_sweep(struct weir_plugin *p, uint32_t pass,
                       void (*gone)(struct weir_plugin *p, struct procfs_task *t))
{
	struct procfs_tasks *t = tasks(p);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		if (t->rows[i].pass != pass) {
			gone(p, &t->rows[i]);
			continue;
		}
		if (kept != i)
			t->rows[kept] = t->rows[i];
		kept++;
	}
	if (kept == t->count)
		return;
	t->count = kept;
	index_all(t);
}

void procfs_task_clear(struct weir_plugin *p)
{
	struct procfs_tasks *t = tasks(p);

	weir_free(p, t->rows);
	weir_free(p, t->index);
	*t = (struct procfs_tasks){ 0 };
}
