/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Kernel types for BPF programs: only the members Weir reads, each relocated
 * against the running kernel (CO-RE). No dump of the build machine's kernel, so
 * nothing here depends on where Weir was built.
 *
 * Add a member when a program needs it; a member that some kernels lack goes to
 * weir_drift.h, with the kernel commit that changed it.
 */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	char comm[16];
	struct task_struct *real_parent;
	struct task_struct *group_leader;
};

#pragma clang attribute pop

#endif
