/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of dns share: a capture replayed in the test host.
 */
#ifndef TEST_DNS_H
#define TEST_DNS_H

#include "dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <weir/testhost.h>

#include <cmocka.h>

/* Replays tests/data/dns/FILE with these options; all of it is read. */
struct weir_test *replay(const char *file, const char *const *options);
const struct weir_dns_transaction *record_at(struct weir_test *t, size_t i);
/* A number of the query `stats`. */
unsigned long long stat_of(struct weir_test *t, const char *key);
void assert_balanced(struct weir_test *t);

int test_zeek(void), test_wire(void), test_match(void), test_stream(void), test_plugin(void);

#endif
