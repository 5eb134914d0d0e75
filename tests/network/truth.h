/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what an actor or an interface has counted to what records must say: packets on the wire
 * and their bytes from the IP header on.
 *
 * TCP between two Linux stacks: every segment has a header of 20 bytes and 12 of time stamps;
 * SYN and SYN-ACK have 8 more (MSS, SACK permitted, window scale). So a connection without loss, and so
 * without SACK blocks, is arithmetic.
 */
#ifndef WEIR_TESTS_TRUTH_H
#define WEIR_TESTS_TRUTH_H

#include "traffic.h"

struct counts {
	uint64_t packets, bytes;
};

static inline uint64_t truth_headers(int family)
{
	return (family == AF_INET ? 20 : 40) + 20 + 12;
}

#define TRUTH_SYN_EXTRA 8

/* What the client's end of a connection without loss sent and received. */
static inline void truth_tcp(const struct tcp_end *client, int family, struct counts *ret_out,
                             struct counts *ret_in)
{
	*ret_out = (struct counts){ client->segs_out,
		client->segs_out * truth_headers(family) + client->bytes_sent + TRUTH_SYN_EXTRA };
	*ret_in = (struct counts){ client->segs_in,
		client->segs_in * truth_headers(family) + client->bytes_received + TRUTH_SYN_EXTRA };
}

#endif
