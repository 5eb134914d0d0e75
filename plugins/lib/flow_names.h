/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the numbers in a flow's record: transports, DSCP, ECN, ICMP, TCP flags. As IANA has
 * them, in small letters. NULL: the number has no name. Thread: any.
 */
#ifndef WEIR_LIB_FLOW_NAMES_H
#define WEIR_LIB_FLOW_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

const char *flow_transport_name(uint8_t proto);
const char *flow_dscp_name(uint8_t dscp);
const char *flow_ecn_name(uint8_t ecn);
const char *flow_icmp_type_name(bool v6, uint8_t type);
const char *flow_icmp_code_name(bool v6, uint8_t type, uint8_t code);
const char *flow_tcp_tag(unsigned bit);   /* of bit 0 to 7 */
/* The i-th of words separated by one space (the ..._NAMES of flow_events.h), copied. */
const char *flow_word(const char *words, unsigned i, char *buf, size_t size);

#endif
