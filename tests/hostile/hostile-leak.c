/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-leak: takes memory, uses it and gives none back, through the host (which
 * counts it) or past it, with malloc (which only the process's size shows).
 */
#include "hostile.h"

#include <stdlib.h>
#include <string.h>

struct state {
	struct hostile hostile;
	uint64_t bytes, most;
	bool hidden;
	uint64_t taken;
	void *last; /* each block begins with the address of the one before */
};

static const struct weir_option options[] = {
	HOSTILE_OPTIONS(struct state),
	WEIR_OPTION_BYTES(struct state, bytes, "bytes", "1MiB", "Bytes at a time", .min = 64, .max = 1e9),
	WEIR_OPTION_BYTES(struct state, most, "most", "1GiB",
	                  "Take no more than this: the machine of the test is to live on", .max = 1e10),
	WEIR_OPTION_BOOL(struct state, hidden, "hidden", "false", "Past the host, with malloc"),
};

static int leak(struct weir_plugin *p)
{
	struct state *s = weir_state(p);
	void *block;

	if (s->taken + s->bytes > s->most)
		return 0;
	block = s->hidden ? malloc(s->bytes) : weir_alloc(p, s->bytes);
	if (!block)
		return weir_fail(p, -ENOMEM, "no memory left to leak: %llu bytes are taken",
		                 (unsigned long long)s->taken);
	memset(block, 0x5a, s->bytes);
	*(void **)block = s->last;
	s->last = block;
	s->taken += s->bytes;
	return 0;
}

HOSTILE_PLUGIN(struct state, "hostile-leak", "Takes memory and gives none back", leak);
