/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * One record per cheap system call of one process. `seq` grows for every call,
 * also for those that find no room, so that a reader sees each loss as a gap.
 */
#include "weir_bpf.h"
#include "flood_events.h"

const volatile __u32 flood_tgid = 0; /* the helper; set before load */
const volatile __u32 flood_nr = 0;   /* its system call */

/* One writer: the helper has one thread. */
__u64 flood_seq = 0;

SEC("raw_tp/sys_enter")
int WEIR_PROG(on_call, void *regs, long nr)
{
	struct weir_flood_call *e;
	__u64 seq;

	if ((__u32)nr != flood_nr || (bpf_get_current_pid_tgid() >> 32) != flood_tgid)
		return 0;
	seq = ++flood_seq;
	e = weir_reserve(FLOOD_CALL, sizeof *e);
	if (!e)
		return 0;
	e->seq = seq;
	e->pid = flood_tgid;
	e->nr = flood_nr;
	for (int i = 0; i < 5; i++)
		e->fill[i] = seq;
	weir_submit(e);
	return 0;
}
