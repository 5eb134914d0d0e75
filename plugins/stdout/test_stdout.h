/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two test files share. cmocka.h goes first.
 */
#ifndef WEIR_TEST_STDOUT_H
#define WEIR_TEST_STDOUT_H

#include "stdout.h"
#include <weir/testhost.h>

/* The plugin, started on a file with an option "format=...". */
struct weir_test *start_on(const char *file, const char *format);
/* Stop twice, and nothing is left. */
void end(struct weir_test *t);
/* Events first .. first + count - 1. */
struct weir_test_batch *batch(uint32_t first, uint32_t count);

void test_table(void **state);
void test_table_hostile(void **state);
void test_table_resize(void **state);
void test_table_stuck(void **state);

#endif
