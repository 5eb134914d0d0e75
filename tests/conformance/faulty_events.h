/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTY_EVENTS_H
#define FAULTY_EVENTS_H
#include <linux/types.h>

struct weir_faulty_event {
	__u32 pid;
#if defined(FAULT_LAYOUT) && !defined(__bpf__)
	__u32 padding[2]; /* as if the kernel side had been built from an older header */
#endif
	__u64 time_in_state;
};
#endif
