/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What records must say, noted down while traffic runs and held against them in the end, when
 * the daemon has stopped: then nothing can come after, and what was counted twice shows too.
 * Thread: one. The macros are a file's own, for the sake of its tests.
 */
#ifndef WEIR_TESTS_EXPECT_H
#define WEIR_TESTS_EXPECT_H

#include "flows.h"

struct expectation {
	char what[64];
	enum flow_scope scope;
	uint64_t netns;        /* cookie; 0: any */
	int transport;
	struct sockaddr_storage a, b;
	struct counts from_a, from_b;
	uint32_t pid;          /* of the socket's owner; 0: not asked for */
	const char *end;       /* end reason, or NULL */
};

struct expectations {
	struct expectation *row;
	size_t count, room;
};

void expect_init(struct expectations *e, size_t room);
void expect_fini(struct expectations *e);
void expect(struct expectations *e, const struct expectation *row);
/* Reads records until each has its end; false: not after so many seconds. */
bool expect_ends(struct expectations *e, struct watch *w, unsigned seconds);
/* Every row exactly; prints those that differ, and says how many. */
size_t expect_differences(const struct expectations *e, const struct watch *w);

#endif
