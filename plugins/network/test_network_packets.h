/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second half of the plugin's test: how many of its cases failed.
 */
#ifndef TEST_NETWORK_PACKETS_H
#define TEST_NETWORK_PACKETS_H

int test_network_packets(void);

#endif
