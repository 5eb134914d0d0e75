/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two kinds of capture share: their common head, and what each can do.
 * Private to plugins/lib/capture*.c.
 */
#ifndef WEIR_LIB_CAPTURE_OPEN_H
#define WEIR_LIB_CAPTURE_OPEN_H

#include "capture.h"
#include <stdio.h>

struct capture {
	void (*close)(struct capture *c); /* frees it */
	int (*read)(struct capture *c, unsigned max, capture_cb cb, void *arg, bool *ret_end,
	            char *why, size_t size);
	uint64_t (*drops)(struct capture *c);
	int fd;
	bool blind_to_gso;
	struct pkt_memory m;
};

#endif
