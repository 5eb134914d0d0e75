/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ABI version, and its changelog. The top entry must equal the macros;
 * tests/abi holds it against them.
 *
 * 1.4  Host: topic_since, kernel_enum.
 * 1.3  Field type WEIR_TEXT: records as long as their strings. Sources: turn.
 * 1.2  Field type WEIR_IP; host: bpf_attach_at, map_drain.
 * 1.1  Descriptor flag WEIR_PLUGIN_FORKS.
 * 1.0  First release.
 *
 * Rules: a major change refuses older plugins; a minor one only appends. No
 * released offset moves: each is pinned by a _Static_assert in plugin.h.
 */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

#define WEIR_ABI_MAJOR 1
#define WEIR_ABI_MINOR 4

#endif
