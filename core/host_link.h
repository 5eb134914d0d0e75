/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framed messages, with descriptors, over a connected unix stream on a libuv loop:
 * what the daemon and a process host say to each other, beside the data.
 *
 * Bounds: a frame has 16 MiB at most (a query's answer 4, a set of metrics some 2)
 * and WEIR__LINK_FDS descriptors; what waits to be written has 32 MiB at most.
 * One thread: that of the loop.
 */
#ifndef WEIR_CORE_HOST_LINK_H
#define WEIR_CORE_HOST_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define WEIR__LINK_BODY_MAX (16u << 20)
/* A source has 32 programs, their links and some 40 maps at most. */
#define WEIR__LINK_FDS 200

struct weir__link_head {
	uint32_t len;   /* of the body */
	uint16_t type;
	uint16_t fds;
	uint32_t id;    /* of a request and its answer */
	int32_t rc;
};

struct weir__link;

/* A frame has come. Descriptors that are wanted are taken by setting them to -1 in
 * fds; the others are closed afterwards. */
typedef void (*weir__link_frame)(void *arg, const struct weir__link_head *head, const char *body,
                                 int *fds);
/* The other side is gone, or has sent nonsense (err < 0). Nothing comes after it; the
 * link is still to be closed. */
typedef void (*weir__link_end)(void *arg, int err);

/* fd becomes the link's, also on failure. */
int weir__link_open(uv_loop_t *loop, int fd, weir__link_frame frame, weir__link_end end, void *arg,
                    struct weir__link **ret);
/* Copies the body; the descriptors are duplicated. 0, -ENOMEM, -EMSGSIZE, -ENOBUFS: the
 * other side does not read, -EPIPE. Never blocks. */
int weir__link_send(struct weir__link *l, const struct weir__link_head *head, const void *body,
                    const int *fds);
/* Read what has come already: the other side has died, and its last words count. */
void weir__link_drain(struct weir__link *l);
/* NULL is fine. From a callback too. */
void weir__link_close(struct weir__link *l);

#endif
