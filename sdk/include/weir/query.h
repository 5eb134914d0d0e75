/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: what a running plugin answers on request, on its own loop. One table
 * serves `weir query`, the live tables of the command line, and HTTP.
 */
#ifndef WEIR_QUERY_H
#define WEIR_QUERY_H

#include "option.h"

struct weir_plugin;
/* Where an answer is written. Bounded: 4 MiB, then writes are cut and the query
 * fails with -EFBIG. Valid during the callback only. */
struct weir_out;

struct weir_query {
	const char *name;         /* "top"; asked for as plugin.top */
	const char *doc;
	const char *content_type; /* "application/json", "text/plain; version=0.0.4" */
	const char *mount;        /* HTTP path ("/metrics") or NULL */
	struct weir_table args;   /* struct weir_option, bound to args_size bytes */
	uint32_t args_size;
	uint32_t flags;           /* enum weir_query_flags */
	/* Answer.  Required.  Thread: host loop.  Blocks: no (10 ms at most).
	 * args: the parsed struct, valid during the call.  Errors: <0 fails the
	 * query with what was written so far as the message. */
	int (*answer)(struct weir_plugin *p, const void *args, struct weir_out *out);
};

enum weir_query_flags {
	/* Before the query every plugin's collect() is called, so that what the
	 * answer shows is fresh: a scrape. */
	WEIR_QUERY_FRESH = 1,
};

/* A query named "summary" with text/plain and no required argument is shown in
 * the live view of `weir run`. */
#define WEIR_QUERY_SUMMARY "summary"

#endif
