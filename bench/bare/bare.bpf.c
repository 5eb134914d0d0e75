/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The limit Weir is measured against: the same 80 bytes from the same system call
 * of the same helper, with nothing around them: no knobs, no account, no metering,
 * no sampling; the fewest wakes. A failed reserve is counted, in one plain word.
 */
#include "weir_types.h"
#include <bpf/bpf_helpers.h>
#include <weir/kernel.h>
#include "../flood/flood_events.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* In this order, as bare.c writes them. */
const volatile struct {
	__u32 tgid, nr;
	__u64 wake_every; /* records per wake; 0: never */
} conf = {};

struct bare_event {
	struct weir_record head;
	struct weir_flood_call call;
};

__u64 flood_seq = 0;
__u64 bare_lost = 0;
__u64 bare_unwoken = 0;

SEC("raw_tp/sys_enter")
int on_call(unsigned long long *ctx)
{
	struct bare_event *e;
	__u64 seq, flags = BPF_RB_NO_WAKEUP;

	if ((__u32)ctx[1] != conf.nr || (bpf_get_current_pid_tgid() >> 32) != conf.tgid)
		return 0;
	seq = ++flood_seq;
	e = bpf_ringbuf_reserve(&ring, sizeof *e, 0);
	if (!e) {
		bare_lost++;
		return 0;
	}
	e->head.len = sizeof *e;
	e->head.kind = FLOOD_CALL;
	e->head.flags = 0;
	e->head.time_ns = bpf_ktime_get_ns();
	e->head.weight = 1;
	e->head.cpu = 0;
	e->call.seq = seq;
	e->call.pid = conf.tgid;
	e->call.nr = conf.nr;
	for (int i = 0; i < 5; i++)
		e->call.fill[i] = seq;
	if (conf.wake_every && ++bare_unwoken >= conf.wake_every) {
		bare_unwoken = 0;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(e, flags);
	return 0;
}
