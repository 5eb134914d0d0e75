/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as lines of /proc/net/{tcp,udp}{,6}, and as paths and files of cgroups. The parsers
 * must stay inside their text (sanitizers see it) and end every string they give.
 */
#if __has_include("../../plugins/lib/procnet_parse.c")
#include "../../plugins/lib/owner_path.c"
#include "../../plugins/lib/procnet_parse.c"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void owners(char *text, size_t len)
{
	struct owner_cgroup g;
	char mount[32];
	bool v2;

	owner_parse_lines(text, len, &g, &v2);
	if (owner_parse_mounts(text, len, mount, sizeof mount) && !memchr(mount, 0, sizeof mount))
		abort();
	text[len] = '\0';
	owner_parse_path(text, &g);
	if (!memchr(g.path, 0, sizeof g.path) || !memchr(g.unit, 0, sizeof g.unit) ||
	    (g.container[0] && strlen(g.container) != 64) || (g.pod[0] && strlen(g.pod) != 36 && strlen(g.pod) != 32))
		abort();
	for (const char *c = g.unit; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *line;
	struct sock_reading r;

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	owners(copy, size);
	for (size_t at = 0; at < size;) {
		const uint8_t *nl = memchr(data + at, '\n', size - at);
		size_t len = nl ? (size_t)(nl - data) - at : size - at;

		/* exactly as long as it is, so that a byte too many is seen */
		line = malloc(len ? len : 1);
		if (!line)
			break;
		memcpy(line, data + at, len);
		for (int v6 = 0; v6 < 2; v6++)
			if (procnet_parse(line, len, v6, 6, 7, &r) && (r.key.netns != 7 || r.counts))
				abort();
		free(line);
		at += len + 1;
	}
	free(copy);
	return 0;
}
#endif
