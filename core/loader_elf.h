/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader reads from a plugin's file before it is mapped: that it is a
 * library of this machine, its ABI note, and the first bytes of its descriptor.
 */
#ifndef WEIR_CORE_LOADER_ELF_H
#define WEIR_CORE_LOADER_ELF_H

#include <stddef.h>
#include <stdint.h>

/* Where bytes come from: a descriptor, or memory when fd is negative. */
struct weir__elf_file {
	int fd;
	const void *mem;
	uint64_t size;
};

struct weir__elf_info {
	uint16_t abi_major, abi_minor; /* from the note */
	uint32_t desc_size;            /* from the note; equal to the descriptor's */
	uint64_t symbol_size;          /* of weir_plugin */
	uint64_t reads;                /* how often the file was read; bounded */
};

/* All checks that the file alone allows. Returns 0, or -errno with *refusal
 * (enum weir__refusal) and a reason that names both values. Never reads outside
 * [0, size), whatever the file says. Any thread. */
int weir__elf_check(const struct weir__elf_file *f, struct weir__elf_info *ret,
                    int *refusal, char *reason, size_t size);

#endif
