/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the conformance test.
 */
#ifndef WEIR_CONFORMANCE_H
#define WEIR_CONFORMANCE_H

#include "loader.h"
#include <weir/testhost.h>

struct subject {
	const char *path;
	const char *layout;          /* BTF of the events header, or NULL */
	const char *options[64];     /* name=value, for options without a default */
	size_t option_count;
	struct weir__loaded *loaded;
	const struct weir_plugin_desc *desc;
	const struct weir_source *running; /* started in this life, or NULL */
};

/* One step: 0, or -1 after problem(). */
typedef int (*step_fn)(struct subject *s);

/* Say what is wrong; returns -1. */
__attribute__((format(printf, 1, 2))) int problem(const char *fmt, ...);
/* Remark that is no failure. */
__attribute__((format(printf, 1, 2))) void remark(const char *fmt, ...);

/* A test host with the subject's options and the real files. */
struct weir_test *subject_new(struct subject *s);
/* Everything a running plugin is asked for: ticks, fds, collect, check, queries. */
int exercise(struct subject *s, struct weir_test *t);
/* An output's share: batches of every shape; then it is stopped. */
int exercise_output(struct subject *s, struct weir_test *t);

/* The steps in other files. */
int events_are_well_formed(struct subject *s);
int layouts_agree(struct subject *s);
int kernel_structs_agree(struct subject *s);

#endif
