/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* forkwatch in the kernel: one record per process that ends. */
#include <weir_bpf.h>
#include "forkwatch_events.h"

SEC("tp_btf/sched_process_exit")
int WEIR_PROG(on_exit, struct task_struct *task)
{
	struct weir_forkwatch_exit *e;
	int code;

	if (BPF_CORE_READ(task, signal, live.counter)) /* other threads go on */
		return 0;
	e = weir_reserve(FORKWATCH_EXIT, sizeof *e);
	if (!e)
		return 0; /* sampled out, off, or full: already counted */
	code = BPF_CORE_READ(task, exit_code);
	e->pid = BPF_CORE_READ(task, tgid);
	e->ppid = BPF_CORE_READ(task, real_parent, tgid);
	e->runtime_ns = bpf_ktime_get_ns() - BPF_CORE_READ(task, group_leader, start_time);
	e->how = code & 0x7f ? FORKWATCH_KILLED : FORKWATCH_EXITED;
	e->exit_code = code & 0x7f ? code & 0x7f : code >> 8 & 0xff;
	BPF_CORE_READ_STR_INTO(&e->comm, task, group_leader, comm);
	weir_submit(e);
	return 0;
}
