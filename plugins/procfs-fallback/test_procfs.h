/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of procfs-fallback share: a made-up /proc, and one group a file. */
#ifndef TEST_PROCFS_H
#define TEST_PROCFS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <weir/testhost.h>

#include "procfs.h"

/* A directory with one empty directory per process; what is in the files is
 * scripted in the test host. */
struct fake {
	char root[64];
	struct weir_test *t;
};

/* options: up to 4, besides proc; NULL ends them. Starts the plugin. */
void fake_start(struct fake *f, const char *const *options);
#define FAKE_START(f, ...) fake_start((f), (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })
/* Stops; nothing may be left on the plugin's account. */
void fake_end(struct fake *f);
/* Script <root>/<name>. */
void fake_file(struct fake *f, const char *name, const char *text);
void fake_error(struct fake *f, const char *name, int err);
/* Make, or remove, <root>/<name>/ and what is on the way to it. */
void fake_mkdir(struct fake *f, const char *name);
void fake_rmdir(struct fake *f, const char *name);
/* One interval passes. */
void fake_tick(struct fake *f);

int parse_tests(void);
int scan_tests(void);
int figure_tests(void);
int flow_tests(void);

#endif
