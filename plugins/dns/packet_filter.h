/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A classic BPF program that keeps `keep` bytes of each UDP or TCP packet of these ports, and
 * of what may turn out to be one. At most 16 ports: jumps reach 255 instructions.
 */
#ifndef DNS_PACKET_FILTER_H
#define DNS_PACKET_FILTER_H

#include <linux/filter.h>
#include <stdint.h>

#define DNS_FILTER_MAX 96
struct dns_packet_filter {
	struct sock_filter code[DNS_FILTER_MAX];
	uint16_t len;
};
void dns_packet_filter(struct dns_packet_filter *f, const uint16_t *ports, uint32_t count, uint32_t keep);

#endif
