/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of procfs-fallback: helpers, and all groups one after the other. */
#include "test_procfs.h"
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fake_start(struct fake *f, const char *const *options)
{
	char proc[80];
	const char *all[8] = { proc, "interval=10s" };

	snprintf(f->root, sizeof f->root, "/tmp/test-procfs-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(proc, sizeof proc, "proc=%s", f->root);
	for (int i = 0; options[i]; i++)
		all[i + 2] = options[i];
	f->t = weir_test_new_with(&weir_plugin, all);
	fake_file(f, "vmstat", "nr_file_pages 100\npgpgin 0\n");
	assert_int_equal(weir_test_init(f->t), 0);
	/* what a test makes after this is there for the first reading */
	weir_test_want(f->t, "io", false);
	weir_test_want(f->t, "memory", false);
	weir_test_want(f->t, "flow", false);
	assert_int_equal(weir_test_start(f->t, "procfs"), 0);
	weir_test_want(f->t, "io", true);
	weir_test_want(f->t, "memory", true);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *w)
{
	(void)st, (void)flag, (void)w;
	return remove(path);
}

void fake_end(struct fake *f)
{
	assert_int_equal(weir_test_free(f->t), 0);
	assert_int_equal(nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void fake_file(struct fake *f, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->root, name);
	weir_test_file(f->t, path, text);
}

void fake_error(struct fake *f, const char *name, int err)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->root, name);
	weir_test_file_error(f->t, path, err);
}

void fake_mkdir(struct fake *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->root, name);
	for (char *slash = path + strlen(f->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	assert_int_equal(mkdir(path, 0755), 0);
}

void fake_rmdir(struct fake *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->root, name);
	assert_int_equal(rmdir(path), 0);
}

void fake_tick(struct fake *f)
{
	/* a tick, and each second whether flows are wanted */
	assert_int_equal(weir_test_advance(f->t, 10 * WEIR_TEST_SECOND), 1 + 10);
	assert_int_equal(weir_test_tick_errors(f->t, NULL), 0);
}

int main(void)
{
	return parse_tests() + scan_tests() + figure_tests() + flow_tests() ? 1 : 0;
}
