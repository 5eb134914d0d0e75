/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of the bpf source's user side, run by test_network.c. Returns how many failed. */
#ifndef NETWORK_TEST_BPF_H
#define NETWORK_TEST_BPF_H

int net_test_bpf(void);

#endif
