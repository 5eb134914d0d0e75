/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what NETLINK_SOCK_DIAG says: as a dump's answer, and as closings. The parser must
 * stay inside its buffer (sanitizers see it), come to an end, and move on with each message.
 */
#if __has_include("../../plugins/lib/diag_parse.c")
#include "../../plugins/lib/diag_parse.c"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *data, size_t size, const struct diag_from *from)
{
	struct sock_reading r;
	size_t at = 0, last = 0;
	enum diag_message m;
	int err = 0;

	while ((m = diag_parse(data, size, &at, from, &r, &err)) != DIAG_END) {
		if (at <= last || at > size)
			abort();
		if (m == DIAG_SOCKET && (!r.key.proto || r.key.scope != WEIR_FLOW_HOST ||
		                         r.key.netns != from->netns || (r.header != 40 && r.header != 60 &&
		                         r.header != 52 && r.header != 72 && r.header < 40)))
			abort();
		if (m == DIAG_ERROR && err >= 0)
			abort();
		last = at;
	}
	if (at != size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* exactly as large as it is, so that a byte too many is seen */
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	walk(copy, size, &(struct diag_from){ .seq = 1, .proto = IPPROTO_TCP, .netns = 7 });
	walk(copy, size, &(struct diag_from){ .netns = 7 });
	free(copy);
	return 0;
}
#endif
