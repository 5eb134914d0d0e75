/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID v1 (github.com/corelight/community-id-spec): a hash of the 5-tuple that other
 * tools compute as well. Thread: any. The ICMP "ports" are type and counterpart type, or type
 * and code for one-way messages, which are never reordered.
 */
#ifndef WEIR_LIB_COMMUNITY_ID_H
#define WEIR_LIB_COMMUNITY_ID_H

#include <stddef.h>
#include <stdint.h>

/* "1:" + 28 characters of base64 + NUL */
#define COMMUNITY_ID_SIZE 31

/* Addresses as 16 bytes, IPv4 v4-mapped; src and dst as in a packet of the flow. For ICMP and
 * ICMPv6: sport = type, dport = code of that packet. For protocols without ports they are
 * ignored. */
void community_id(uint16_t seed, const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                  uint16_t sport, uint16_t dport, char ret[COMMUNITY_ID_SIZE]);
/* The 20 bytes before base64. */
void community_id_raw(uint16_t seed, const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                      uint16_t sport, uint16_t dport, uint8_t ret[20]);

#endif
