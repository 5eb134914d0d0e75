/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is promised about the headers: the changelog's top entry is the version of
 * the macros, and row and struct sizes of release 1.0 have not moved.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/weir.h>

#include <stdio.h>
#include <string.h>

/* The first line of version.h's comment that starts with " * N.M". */
static int top_entry(unsigned int *major, unsigned int *minor)
{
	FILE *f = fopen(HEADERS "/version.h", "r");
	char line[256];
	int found = 0;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, " * %u.%u  ", major, minor) == 2;
	fclose(f);
	return found;
}

/* Who changes the ABI writes down what changed: the top entry is the macros'. */
static void changelog_is_up_to_date(void **state)
{
	unsigned int major = 0, minor = 0;

	(void)state;
	assert_true(top_entry(&major, &minor));
	assert_int_equal(major, WEIR_ABI_MAJOR);
	assert_int_equal(minor, WEIR_ABI_MINOR);
}

/* Rows only grow: a field of 1.0 stands where it stood. */
static void rows_have_not_moved(void **state)
{
	(void)state;
#define AT(type, member, offset) assert_int_equal(offsetof(struct type, member), offset)
	AT(weir_table, count, 8);
	AT(weir_table, row_size, 12);
	AT(weir_option, offset, 12);
	AT(weir_option, min, 48);
	AT(weir_option, flags, 64);
	AT(weir_field, offset, 12);
	AT(weir_field, names, 40);
	AT(weir_schema, version, 24);
	AT(weir_schema, fields, 40);
	AT(weir_metric, buckets, 40);
	AT(weir_query, args, 32);
	AT(weir_query, answer, 56);
	AT(weir_program, kinds, 32);
	AT(weir_source, programs, 40);
	AT(weir_source, probe, 56);
	AT(weir_source, tick, 96);
	AT(weir_source, interval_offset, 104);
	AT(weir_source, turn, 112);
	AT(weir_batch, route_seq, 48);
	AT(weir_plugin, state, 8);
#undef AT
}

/* The vtable's slots stand where 1.0 has them. */
static void vtable_has_not_moved(void **state)
{
	(void)state;
#define SLOT(member, n) assert_int_equal(offsetof(struct weir_host, member), 8 + 8 * (n))
	SLOT(log, 0);
	SLOT(fail, 1);
	SLOT(realloc, 2);
	SLOT(now, 3);
	SLOT(random, 5);
	SLOT(timer_start, 6);
	SLOT(fd_start, 8);
	SLOT(work, 10);
	SLOT(read_file, 11);
	SLOT(emit, 12);
	SLOT(series, 14);
	SLOT(metrics_walk, 20);
	SLOT(batch_done, 21);
	SLOT(out_write, 23);
	SLOT(ask, 26);
	SLOT(bpf_set_const, 27);
	SLOT(kernel_has, 30);
	SLOT(bpf_map, 31);
	SLOT(map_lookup, 35);
	SLOT(bpf_iter, 40);
	SLOT(topic_wanted, 43);
	SLOT(source_approx, 44);
	SLOT(bpf_attach_at, 45);
	SLOT(map_drain, 46);
#undef SLOT
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changelog_is_up_to_date),
		cmocka_unit_test(rows_have_not_moved),
		cmocka_unit_test(vtable_has_not_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
