/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * getpriority() with an argument that no caller gives by mistake: its second one is the
 * number of the call, so that a reader of the records sees each that is lost or comes
 * twice, whichever program has made it.
 */
#include "weir_bpf.h"
#include "weir_drift.h"
#include "numbered_events.h"

const volatile __u32 numbered_tgid = 0;
const volatile __u32 numbered_nr = 0;

SEC("tp_btf/sys_enter")
int WEIR_PROG(on_call, struct pt_regs *regs, long nr)
{
	struct weir_numbered_call *e;

	if ((__u32)nr != numbered_nr || (bpf_get_current_pid_tgid() >> 32) != numbered_tgid)
		return 0;
	e = weir_reserve(NUMBERED_CALL, sizeof *e);
	if (!e)
		return 0;
	e->seq = BPF_CORE_READ(regs, WEIR_REGS_A1);
	e->pid = numbered_tgid;
	e->build = NUMBERED_BUILD;
	weir_submit(e);
	return 0;
}
