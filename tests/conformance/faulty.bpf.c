/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The kernel side of the faulty plugin: right in every variant. */
#include <weir_bpf.h>
#include "faulty_events.h"

SEC("tp_btf/sched_process_exit")
int WEIR_PROG(on_exit, struct task_struct *task)
{
	struct weir_faulty_event *e = weir_reserve(0, sizeof *e);

	if (!e)
		return 0;
	e->pid = BPF_CORE_READ(task, tgid);
	e->time_in_state = 0;
	weir_submit(e);
	return 0;
}
