/* SPDX-License-Identifier: Apache-2.0 */
/* Which programs are not loaded on which kernels. Releases are made up by the test. */
#include "kernel_guard.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

static bool has_all(const char *type)
{
	(void)type;
	return true;
}

static bool has_none(const char *type)
{
	(void)type;
	return false;
}

static bool guarded(const char *release, const char *section)
{
	char why[320];
	bool bad = weir__guarded_on(release, has_none, section, why, sizeof why);

	if (bad) /* it says which kernel and where that comes from */
		assert_true(strstr(why, release) && strstr(why, "kernel_guard"));
	assert_int_equal(weir__guarded_on(release, has_none, section, NULL, 0), bad);
	return bad;
}

static void use(size_t count, const char *const *items)
{
	struct weir_strings entries = { count, items };
	char err[400];

	assert_int_equal(weir__guard_check(&entries, err, sizeof err), 0);
	assert_int_equal(weir__guard_setup(&entries), 0);
}

/* The built-in rows: the kernels they name, and none beside them. */
static void built_in(void **state)
{
	char why[320];

	(void)state;
	use(0, NULL);
	assert_true(guarded("7.0.0-22-generic", "uprobe/libssl.so:SSL_read"));
	assert_true(guarded("7.0.0-22-generic", "uretprobe.multi/x"));
	assert_false(guarded("7.0.0-22-generic", "tp_btf/sys_enter"));
	assert_false(guarded("7.0.0-22-generic", "kprobe/vfs_read"));
	assert_false(guarded("7.0.1-22-generic", "uprobe/x"));
	assert_false(guarded("7.0.0", "uprobe/x"));
	weir__guarded_on("7.0.0-22-generic", has_none, "uprobe", why, sizeof why);
	assert_non_null(strstr(why, "https://github.com/open-telemetry/"));

	assert_true(guarded("4.18.0-25-generic", "raw_tp/sys_enter"));
	assert_true(guarded("4.18.0-25-generic", "what/ever"));
	assert_false(guarded("4.18.0-553.el8_10.x86_64", "raw_tp/sys_enter"));

	assert_true(guarded("6.6.58-talos", "perf_event"));
	assert_false(guarded("6.6.60-talos", "perf_event"));
	assert_false(guarded("6.1.0-9-amd64", "fentry/x"));
	assert_false(guarded("", "uprobe/x"));
	assert_false(guarded("linux", "uprobe/x"));
}

/* A fix that can be seen counts for more than the version. */
static void fix_that_shows(void **state)
{
	(void)state;
	use(0, NULL);
	assert_true(guarded("5.10.0-6-amd64", "fentry/do_unlinkat"));
	assert_true(guarded("5.10.0-6-amd64", "fexit.s/do_unlinkat"));
	assert_false(weir__guarded_on("5.10.0-28-amd64", has_all, "fentry/do_unlinkat", NULL, 0));
	assert_false(guarded("5.12.0", "fentry/x"));
	assert_false(guarded("5.4.0-200-generic", "fentry/x"));
}

/* Entries of the configuration: beginnings of a release, one type or all; off leaves
 * only them. */
static void configured(void **state)
{
	static const char *const entries[] = { "6.1.0-9:kprobe", "6.5.:all", "off" };
	struct weir_strings wrong[] = {
		{ 1, (const char *const[]){ "6.1" } }, { 1, (const char *const[]){ ":kprobe" } },
		{ 1, (const char *const[]){ "6.1:krpobe" } }, { 1, (const char *const[]){ "6.1:" } },
		{ 65, entries },
	};
	char err[400];

	(void)state;
	use(2, entries);
	assert_true(guarded("6.1.0-9-amd64", "kretprobe/x"));
	assert_false(guarded("6.1.0-9-amd64", "fentry/x"));
	assert_false(guarded("6.1.0-10-amd64", "kprobe/x"));
	assert_true(guarded("6.5.3", "iter/task"));
	assert_true(guarded("7.0.0-22-generic", "uprobe/x"));
	use(3, entries);
	assert_true(guarded("6.5.3", "iter/task"));
	assert_false(guarded("7.0.0-22-generic", "uprobe/x"));
	assert_int_equal(weir__guard_count(), 2);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(weir__guard_check(&wrong[i], err, sizeof err), -EINVAL);
		assert_non_null(strstr(err, "kernel_guard"));
		assert_int_equal(weir__guard_setup(&wrong[i]), -EINVAL);
	}
	assert_true(guarded("6.5.3", "iter/task")); /* as before */
	use(0, NULL);
	assert_false(guarded("6.5.3", "iter/task"));
}

/* The running kernel, by way of an entry for it. */
static void running(void **state)
{
	char entry[100], why[320];
	const char *items[] = { entry };
	struct utsname u;
	size_t at = 0;

	(void)state;
	uname(&u);
	snprintf(entry, sizeof entry, "%.60s:tp_btf", u.release);
	use(1, items);
	assert_true(weir__guarded("tp_btf/x", why, sizeof why));
	assert_false(weir__guarded("cgroup_skb/egress", NULL, 0));
	while (strcmp(weir__guard_next(&at, why, sizeof why), "tp_btf"))
		;
	use(0, NULL);
}

/* The n-th allocation fails: -ENOMEM, what was in force still is, nothing is left. */
static void faults(void **state)
{
	static const char *const entries[] = { "6.5.:all", "6.4.:lsm" };
	struct weir_strings both = { 2, entries };
	long live;
	int rc = -ENOMEM;

	(void)state;
	use(1, entries);
	live = weir__mem_live();
	for (long n = 0; rc; n++) {
		weir__mem_fail_at(n);
		rc = weir__guard_setup(&both);
		weir__mem_fail_at(-1);
		assert_true(rc == 0 || rc == -ENOMEM);
		assert_int_equal(weir__mem_live(), live);
		assert_true(guarded("6.5.3", "iter/task"));
		assert_int_equal(guarded("6.4.3", "lsm/x"), rc == 0);
	}
	use(0, NULL);
	assert_int_equal(weir__mem_live(), live - 1);
}

/* What is in force reaches a plugin's process whole, "off" too. */
static void passed_on(void **state)
{
	const char *items[] = { "off", "6.5.:all", "6.4.:lsm" };
	json_t *j;

	(void)state;
	use(3, items);
	j = weir__guard_encode();
	assert_int_equal(json_array_size(j), 3);
	use(0, NULL);
	assert_false(guarded("6.5.3", "iter/task"));
	assert_int_equal(weir__guard_decode(j), 0);
	assert_true(guarded("6.5.3", "iter/task"));
	assert_true(guarded("6.4.3", "lsm/x"));
	assert_int_equal(weir__guard_count(), 2); /* the built-in list is off */
	json_array_append_new(j, json_integer(1));
	assert_int_equal(weir__guard_decode(j), -EINVAL);
	assert_true(guarded("6.5.3", "iter/task"));
	json_decref(j);
	assert_int_equal(weir__guard_decode(NULL), 0); /* none */
	assert_false(guarded("6.5.3", "iter/task"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in), cmocka_unit_test(fix_that_shows), cmocka_unit_test(configured),
		cmocka_unit_test(running), cmocka_unit_test(faults), cmocka_unit_test(passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
