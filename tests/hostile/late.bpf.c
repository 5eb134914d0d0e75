/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What can happen to any program, on order: it has counted what it saw, and is held up
 * before it has a place for the record. Then half of the calls become one, the others
 * say why not; with late_lose neither.
 */
#include "weir_bpf.h"
#include "late_events.h"

#define HOLD_NS 3000000 /* thousands of times what a program takes; a status takes less */
#define STEPS   (1 << 20) /* more than fit into that: the clock takes 10 ns and more */

const volatile __u32 late_tgid = 0;
const volatile __u32 late_nr = 0;
const volatile __u32 late_lose = 0;

static long hold(__u32 i, void *until)
{
	return bpf_ktime_get_ns() > *(__u64 *)until;
}

SEC("raw_tp/sys_enter")
int WEIR_PROG(on_call, void *regs, long nr)
{
	struct weir_cpu *c = weir_this_cpu();
	struct weir_late_call *e;
	__u64 begin, until, number;

	if (!c || (__u32)nr != late_nr || (bpf_get_current_pid_tgid() >> 32) != late_tgid)
		return 0;
	number = __sync_fetch_and_add(&c->kind[LATE_CALL].seen, 1);
	if (late_lose)
		return 0;
	begin = bpf_ktime_get_ns();
	until = begin + HOLD_NS;
	bpf_loop(STEPS, hold, &until, 0);
	e = number & 1 ? weir_reserve(LATE_CALL, sizeof *e) : 0;
	if (!e) {
		if (!(number & 1))
			__sync_fetch_and_add(&c->kind[LATE_CALL].filtered, 1);
		return 0;
	}
	__sync_fetch_and_add(&c->kind[LATE_CALL].seen, -1); /* weir_reserve() has counted it again */
	e->waited_ns = bpf_ktime_get_ns() - begin;
	weir_submit(e);
	return 0;
}
