/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files of queries share.
 */
#ifndef NETWORK_QUERY_H
#define NETWORK_QUERY_H

#include "network.h"

struct talkers_args {
	uint32_t by, sort;
	uint64_t limit;
};
enum talkers_by { BY_PROCESS, BY_PEER, BY_PORT };
int net_answer_talkers(struct weir_plugin *p, const void *args, struct weir_out *out);

/* An address as text; v4-mapped as IPv4. */
void net_print_address(const uint8_t a[16], char ret[46]);

#endif
