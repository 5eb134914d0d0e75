/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common face of captures: capture_live.c and capture_file.c fill in the table.
 * Happy path, failure and threads: see the header.
 */
#include "capture_open.h"

void capture_close(struct capture *c)
{
	if (c)
		c->close(c);
}

int capture_fd(const struct capture *c)
{
	return c->fd;
}

bool capture_blind_to_gso(const struct capture *c)
{
	return c->blind_to_gso;
}

int capture_read(struct capture *c, unsigned max, capture_cb cb, void *arg, bool *ret_end, char *why,
                 size_t size)
{
	*ret_end = false;
	return c->read(c, max, cb, arg, ret_end, why, size);
}

uint64_t capture_drops(struct capture *c)
{
	return c->drops ? c->drops(c) : 0;
}
