/* SPDX-License-Identifier: Apache-2.0 */
/* hostile-descriptors: opens files and closes none. */
#include "hostile.h"

#include <fcntl.h>
#include <string.h>

struct state {
	struct hostile hostile;
	uint64_t files, opened;
};

static const struct weir_option options[] = {
	HOSTILE_OPTIONS(struct state),
	WEIR_OPTION_UINT(struct state, files, "files", "100", "Files at a time", .min = 1, .max = 1e5),
};

static int leak(struct weir_plugin *p)
{
	struct state *s = weir_state(p);

	for (uint64_t i = 0; i < s->files; i++, s->opened++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return weir_fail(p, -errno, "no descriptor left after %llu: %s",
			                 (unsigned long long)s->opened, strerror(errno));
	return 0;
}

HOSTILE_PLUGIN(struct state, "hostile-descriptors", "Opens files and closes none", leak);
