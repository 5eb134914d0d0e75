/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of the kernel's files on want, from files of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pressure.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static void write_file(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof full, "%s%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(full, 0700);
		*at = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/weir-pressure-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Nothing there: nothing is known, and there is no pressure. */
static void test_absent(void **state)
{
	struct weir__pressure_reader r = { .root = root };
	struct weir__pressure p;

	(void)state;
	weir__pressure_read(&r, 1, &p);
	assert_true(p.cpu_some < 0 && p.memory_full < 0 && p.throttled < 0);
	assert_true(p.stalled == 0 && p.cgroup_limit == 0);
}

/* A busy machine is no pressure; want of memory is. */
static void test_psi(void **state)
{
	struct weir__pressure_reader r = { .root = root };
	struct weir__pressure p;

	(void)state;
	write_file("/proc/pressure/cpu", "some avg10=97.50 avg60=1.00 avg300=0.00 total=1\n"
	           "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	write_file("/proc/pressure/memory", "some avg10=4.00 avg60=0.00 avg300=0.00 total=1\n"
	           "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	weir__pressure_read(&r, 1, &p);
	assert_true(p.cpu_some > 97 && p.memory_some > 3.9 && p.stalled == 0);
	write_file("/proc/pressure/memory", "some avg10=40.00 avg60=0.00 avg300=0.00 total=1\n"
	           "full avg10=18.00 avg60=0.00 avg300=0.00 total=0\n");
	weir__pressure_read(&r, 1, &p);
	assert_true(p.stalled > 0.89 && p.stalled < 0.91);
	write_file("/proc/pressure/memory", "rubbish\n");
	weir__pressure_read(&r, 1, &p);
	assert_true(p.memory_full < 0);
}

/* cgroup v2: its memory counts from nine tenths on, and throttling by its share. */
static void test_v2(void **state)
{
	struct weir__pressure_reader r = { .root = root };
	struct weir__pressure p;

	(void)state;
	write_file("/proc/self/cgroup", "0::/weir\n");
	write_file("/sys/fs/cgroup/weir/memory.current", "800\n");
	write_file("/sys/fs/cgroup/weir/memory.max", "1000\n");
	write_file("/sys/fs/cgroup/weir/cpu.stat", "usage_usec 5\nthrottled_usec 1000\n");
	weir__pressure_read(&r, 1000000000, &p);
	assert_int_equal(p.cgroup_memory, 800);
	assert_int_equal(p.cgroup_limit, 1000);
	assert_true(p.stalled == 0 && p.throttled < 0);
	write_file("/sys/fs/cgroup/weir/memory.current", "970\n");
	write_file("/sys/fs/cgroup/weir/cpu.stat", "usage_usec 5\nthrottled_usec 101000\n");
	weir__pressure_read(&r, 2000000000, &p);
	assert_true(p.throttled > 9.9 && p.throttled < 10.1);
	assert_true(p.stalled > 0.96 && p.stalled < 0.98);
	write_file("/sys/fs/cgroup/weir/memory.max", "max\n");
	weir__pressure_read(&r, 3000000000, &p);
	assert_int_equal(p.cgroup_limit, 0);
	assert_true(p.stalled < 0.5);
}

/* cgroup v1: its memory; its word for "no limit" is none. */
static void test_v1(void **state)
{
	struct weir__pressure_reader r = { .root = root };
	struct weir__pressure p;

	(void)state;
	write_file("/proc/self/cgroup", "9:cpu,cpuacct:/\n8:memory:/box\n0::/\n");
	write_file("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "95\n");
	write_file("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
	weir__pressure_read(&r, 1, &p);
	assert_int_equal(p.cgroup_memory, 95);
	assert_int_equal(p.cgroup_limit, 0);
	write_file("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "100\n");
	weir__pressure_read(&r, 2, &p);
	assert_true(p.stalled > 0.94 && p.stalled < 0.96);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_psi, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v1, setup, teardown),
	};

	return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
