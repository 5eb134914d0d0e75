/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back the parsed kernel BTF; see bpf_kernel.c. */
#ifndef WEIR_CORE_BPF_KERNEL_H
#define WEIR_CORE_BPF_KERNEL_H

/* Nobody is loading a BPF object any more. Any thread; loaded anew on demand. */
void weir__kernel_btf_release(void);
/* Catch libbpf's messages as text instead of stderr. */
void weir__bpf_catch(void);

#endif
