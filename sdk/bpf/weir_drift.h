/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Kernel drift: everything whose shape differs between kernels, in one place,
 * each entry with the kernel change. The right branch is chosen at load time by
 * BTF; the verifier removes the others, so drift costs nothing at run time.
 *
 * Structs with a suffix after three underscores are flavours: libbpf matches
 * them with the kernel's struct of the name before it.
 */
#ifndef WEIR_DRIFT_H
#define WEIR_DRIFT_H

#include "weir_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* 5.16 (7b230db3b8d3): struct folio. 6.18 (53fbef56e07d): flags became
 * memdesc_flags_t. */
struct folio___flags {
	unsigned long flags;
};
struct weir_memdesc {
	unsigned long f;
};
typedef struct {
	unsigned long f;
} memdesc_flags_t;
struct folio___memdesc {
	memdesc_flags_t flags;
};

/* Order of a large folio: 5.18 .. 6.5 `_folio_order`; from 6.6 (ebc1baf5c9b4)
 * the low byte of `_flags_1`. */
struct folio___order {
	unsigned char _folio_order;
};
struct folio___flags_1 {
	unsigned long _flags_1;
};

enum pageflags___head {
	PG_head = 6,
};

/* 5.15 (d152c682f03c): request_queue got `disk`. 5.17 (f3fa33acca9f):
 * request lost `rq_disk`. */
struct request___rq_disk {
	struct gendisk *rq_disk;
};

#pragma clang attribute pop

static __always_inline u64 weir_folio_pages(struct folio *folio)
{
	struct folio___flags *flat = (void *)folio;
	struct folio___memdesc *desc = (void *)folio;
	struct folio___order *order = (void *)folio;
	struct folio___flags_1 *first = (void *)folio;
	u64 flags, head = 6;

	if (bpf_core_enum_value_exists(enum pageflags___head, PG_head))
		head = bpf_core_enum_value(enum pageflags___head, PG_head);
	if (bpf_core_field_exists(flat->flags) && bpf_core_field_size(flat->flags) == 8 &&
	    !bpf_core_type_exists(memdesc_flags_t))
		flags = flat->flags;
	else
		flags = desc->flags.f;
	if (!(flags >> head & 1))
		return 1;
	if (bpf_core_field_exists(order->_folio_order))
		return 1ull << (order->_folio_order & 31);
	return 1ull << (first->_flags_1 & 31);
}

static __always_inline struct gendisk *weir_rq_disk(struct request *rq)
{
	struct request___rq_disk *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return old->rq_disk;
	return rq->q->disk;
}

/* ---- the arguments of the system call a task is in ------------------------- */

#if defined(__TARGET_ARCH_x86)
#define WEIR_REGS_NR(r) ((r)->orig_ax)
#define WEIR_REGS_A0 di
#define WEIR_REGS_A1 si
#define WEIR_REGS_A2 dx
#define WEIR_REGS_A3 r10
#define WEIR_REGS_A4 r8
#elif defined(__TARGET_ARCH_arm64)
/* orig_x0: regs[0] already holds the result at sys_exit. */
#define WEIR_REGS_NR(r) ((r)->syscallno)
#define WEIR_REGS_A0 orig_x0
#define WEIR_REGS_A1 regs[1]
#define WEIR_REGS_A2 regs[2]
#define WEIR_REGS_A3 regs[3]
#define WEIR_REGS_A4 regs[4]
#endif

/* ---- reading through a pointer the verifier does not know ------------------ */

/* 6.2 (a35b9af4ec2c): bpf_rdonly_cast() turns a number into a typed pointer whose
 * loads need no helper call (20 ns less each). The host says whether the kernel
 * has it; without it the same loads go through bpf_probe_read_kernel(). */
extern void *bpf_rdonly_cast(void *obj, u32 btf_id) __ksym __weak;
const volatile bool weir_has_cast = false;

#define weir_load(type, addr, member)                                          \
	({                                                                     \
		typeof(((type *)0)->member) v_;                                \
		if (weir_has_cast)                                             \
			v_ = ((type *)bpf_rdonly_cast((void *)(addr),          \
			      bpf_core_type_id_kernel(type)))->member;         \
		else                                                           \
			bpf_core_read(&v_, sizeof v_,                          \
			              &((type *)(addr))->member);              \
		v_;                                                            \
	})

#endif
