/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one exception to "features are found by trying": kernels on which a type of
 * BPF program is known to bring the machine down, although the verifier accepts it.
 * There Weir loads no such program and says so.
 *
 * Any thread.
 */
#ifndef WEIR_CORE_KERNEL_GUARD_H
#define WEIR_CORE_KERNEL_GUARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <weir/option.h>

/* One word per type of program, from the section names of libbpf that begin so. */
#define WEIR__GUARD_TYPES(X)                                                                   \
	X("uprobe",     "uprobe uretprobe usdt")                                               \
	X("kprobe",     "kprobe kretprobe ksyscall kretsyscall")                               \
	X("tracepoint", "tracepoint tp")                                                       \
	X("raw_tp",     "raw_tp raw_tracepoint")                                               \
	X("tp_btf",     "tp_btf")                                                              \
	X("fentry",     "fentry fexit fmod_ret")                                               \
	X("lsm",        "lsm")                                                                 \
	X("perf_event", "perf_event")                                                          \
	X("iter",       "iter")                                                                \
	X("tc",         "tc tcx classifier action")                                            \
	X("xdp",        "xdp")                                                                 \
	X("cgroup",     "cgroup cgroup_skb sockops")                                           \
	X("socket",     "socket sk_skb sk_msg sk_lookup")

/* Entries of the configuration: "off" (the built-in list does not count), or
 * "release-prefix:type", as 6.1.0-9:kprobe, type as above or all. 0, or -EINVAL: err
 * says which entry is wrong and what it should be. */
int weir__guard_check(const struct weir_strings *entries, char *err, size_t size);
/* They are in force from now on, in place of those before. -EINVAL, -ENOMEM: nothing
 * has changed. */
int weir__guard_setup(const struct weir_strings *entries);
/* Those in force, for a plugin's process, where the second puts them in force. NULL:
 * no memory. The second: as weir__guard_setup. */
json_t *weir__guard_encode(void);
int weir__guard_decode(const json_t *entries);

/* May a program of this section ("tp_btf/sys_enter") be loaded on the running kernel?
 * true: no, why (may be NULL) names the entry and where it comes from. */
bool weir__guarded(const char *section, char *why, size_t size);

/* The same for any release. has_type: does the kernel's BTF have this struct? For
 * tests, and for the above. */
bool weir__guarded_on(const char *release, bool (*has_type)(const char *), const char *section,
                      char *why, size_t size);
/* The n-th type of the list above that is guarded on the running kernel, or NULL. */
const char *weir__guard_next(size_t *at, char *why, size_t size);
size_t weir__guard_count(void); /* entries, built in and configured */

#endif
