/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * iomonitor's programs: what goes through the page cache, by whom, and what it
 * costs. In parts: io_task (maps, slots, filters), io_call (system calls),
 * io_cache (fills, misses, evictions), io_uring, io_block, io_reclaim; here only
 * the end of a task. All hooks are tracepoints, attached through BTF or raw.
 */
#include "io_task.bpf.h"
#include "io_call.bpf.h"
#include "io_cache.bpf.h"
#include "io_uring.bpf.h"
#include "io_block.bpf.h"
#include "io_reclaim.bpf.h"

/* ---- the end of a task --------------------------------------------------------- */

static __always_inline void io_fold_lost(struct weir_io_cpu *c, const struct weir_io_task *t)
{
	c->process_overflow++;
	c->lost.reads += t->reads;
	c->lost.read_bytes += t->read_bytes;
	c->lost.lookup_pages += t->lookup_pages;
	c->lost.miss_pages += t->miss_pages;
	c->lost.fill_pages += t->fill_pages;
	c->lost.writes += t->writes;
	c->lost.write_bytes += t->write_bytes;
}

/* The cgroup that says most: v2's, unless the task is in its root because the
 * host uses v1 for memory. */
static __always_inline u64 io_cgroup_id(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 id = bpf_get_current_cgroup_id(), css;

	if (id != 1 || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return id;
	bpf_core_read(&css, sizeof css,
	              &task->cgroups->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)]);
	return BPF_CORE_READ((struct cgroup_subsys_state *)css, cgroup, kn, id);
}

/* Add what the task did to its process. Tasks of one process may end at the same
 * time on several CPUs: atomic. */
static __always_inline void io_fold(struct weir_io_cpu *c, const struct weir_io_task *t)
{
	struct weir_io_process none = {}, *p;
	u32 tgid = t->tgid;

	c->folds++;
	p = bpf_map_lookup_elem(&io_processes, &tgid);
	if (!p) {
		none.cgroup = io_cgroup_id();
		__builtin_memcpy(none.comm, t->comm, sizeof none.comm);
		bpf_map_update_elem(&io_processes, &tgid, &none, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&io_processes, &tgid);
	}
	if (!p) {
		io_fold_lost(c, t);
		return;
	}
	__sync_fetch_and_add(&p->reads, t->reads);
	__sync_fetch_and_add(&p->read_bytes, t->read_bytes);
	__sync_fetch_and_add(&p->lookup_pages, t->lookup_pages);
	__sync_fetch_and_add(&p->read_ns, t->read_ns);
	__sync_fetch_and_add(&p->miss_pages, t->miss_pages);
	__sync_fetch_and_add(&p->fill_pages, t->fill_pages);
	__sync_fetch_and_add(&p->writes, t->writes);
	__sync_fetch_and_add(&p->write_bytes, t->write_bytes);
	__sync_fetch_and_add(&p->write_ns, t->write_ns);
}

static __always_inline void io_release(struct weir_io_task *t, u64 regs)
{
	u32 key = io_slot_key(regs), other = key ^ 1;

	if (bpf_map_lookup_elem(&io_tasks, &other) == t)
		key = other;
	io_mark_used(key, false);
	t->reads = t->read_bytes = t->lookup_pages = t->read_ns = 0;
	t->miss_pages = t->fill_pages = 0;
	t->writes = t->write_bytes = t->write_ns = 0;
	t->fault_inode = t->map_inode = t->ra_inode = t->op_key = t->mapping = 0;
	t->op = WEIR_IO_NONE;
	__sync_fetch_and_and(&t->owner, 0);
}

SEC("tp_btf/sched_process_exit")
int WEIR_PROG(io_exit_task, struct task_struct *task)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_process *p;
	struct weir_io_task *t;
	u32 tgid = task->tgid;
	u64 regs;

	if (!c || task->flags & PF_KTHREAD)
		return 0;
	regs = io_regs_number((struct pt_regs *)bpf_task_pt_regs(task), &c->exit_scratch);
	t = io_find(regs);
	if (t) {
		if (t->reads | t->writes | t->lookup_pages | t->fill_pages)
			io_fold(c, t);
		io_release(t, regs);
	}
	/* The last one out: nobody adds to the process any more. */
	if (!task->signal->live.counter) {
		p = bpf_map_lookup_elem(&io_processes, &tgid);
		if (p) {
			p->dead = 1;
			c->folds++;
		}
	}
	return 0;
}

/* So that user space hooks the calls at once, not at the next tick. */
static __always_inline void io_report_target(struct task_struct *task, const char *name)
{
	struct weir_io_target *r = weir_reserve(WEIR_IO_TARGET, sizeof *r);

	if (!r)
		return;
	r->pid = task->tgid;
	r->tid = task->pid;
	__builtin_memcpy(r->comm, name, sizeof r->comm);
	weir_submit(r);
}

/* A new name may change the verdict of a filter, and what tables show. */
SEC("tp_btf/task_rename")
int WEIR_PROG(io_rename, struct task_struct *task, const char *comm)
{
	struct weir_io_cpu *c = io_this_cpu();
	struct weir_io_task *t;
	char name[16] = {};

	if (!c || task->flags & PF_KTHREAD)
		return 0;
	if (io_comm_count) {
		bpf_probe_read_kernel_str(name, sizeof name, comm);
		if (io_comm_wanted(name, name)) {
			c->wanted_renames++;
			io_report_target(task, name);
		}
	}
	t = io_find(io_regs_number((struct pt_regs *)bpf_task_pt_regs(task), &c->rename_scratch));
	if (t)
		t->flags |= WEIR_IO_TASK_CHECK;
	return 0;
}
