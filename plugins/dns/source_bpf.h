/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callbacks of source bpf, and its programs.
 */
#ifndef DNS_SOURCE_BPF_H
#define DNS_SOURCE_BPF_H

#include "dns.h"

#define DNS_BPF_PROGRAMS 10
extern const struct weir_program dns_bpf_programs[DNS_BPF_PROGRAMS];

int dns_bpf_prepare(struct weir_plugin *p);
int dns_bpf_start(struct weir_plugin *p);
void dns_bpf_stop(struct weir_plugin *p);
int dns_bpf_tick(struct weir_plugin *p);
int dns_bpf_record(struct weir_plugin *p, struct weir_record *r);

#endif
