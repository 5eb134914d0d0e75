/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a BPF ring buffer by mapping it, instead of through libbpf's ring_buffer:
 * a drain can be bounded, the consumer position moves once per drain and not per
 * record (+38 %), and the fill level is a subtraction.
 *
 * One consumer per ring, one thread at a time. Errors are negative errno.
 *
 * Going back to sleep. A program that submits without BPF_RB_NO_WAKEUP wakes the
 * consumer only if it stands exactly at that record. So to leave polling: set
 * knobs.polling = 0, drain, and drain once more a tick later, since a program that
 * had already read the old knob may submit one record without a wake; after that
 * the ring must be empty (weir__ring_avail() == 0) before one may rely on epoll.
 * A drain ends with a full fence between moving the position and looking for more,
 * so a record that came in between is either seen or wakes.
 */
#ifndef WEIR_CORE_RING_H
#define WEIR_CORE_RING_H

#include <stddef.h>
#include <stdint.h>

struct weir__ring;

/* Map the ring of this fd, which stays the caller's and may be closed. 0;
 * -EINVAL (not a ring buffer), -ENOMEM, -EPERM ... as bpf(2) and mmap(2) say. */
int weir__ring_open(int map_fd, struct weir__ring **ret);
/* The same for any fd with that layout: consumer page, producer page, twice `size`
 * bytes (a power of two). For tests of what a kernel would never write. */
int weir__ring_map(int fd, size_t size, struct weir__ring **ret);
void weir__ring_close(struct weir__ring *r); /* NULL is fine */

/* cb gets each committed record, 8-byte aligned, valid during the call. The kernel
 * maps records read-only: copy first, then change. It returns 0: taken, go on; >0:
 * taken, stop; <0: not taken, stop, and the record stays in the ring. */
typedef int (*weir__ring_cb)(void *arg, void *rec, size_t len);

/* Hand over the records that are there until about max_bytes of the ring (0: all
 * that was there at the start) are passed. Discarded records are skipped; a busy
 * one ends the drain. Returns the records taken; with none taken, cb's error; or
 * -EBADMSG if the ring's contents cannot be (a bug, or somebody else wrote it):
 * then the position is at the bad record and every later drain says so again. */
long weir__ring_drain(struct weir__ring *r, size_t max_bytes, weir__ring_cb cb, void *arg);

/* Bytes between the two positions, headers included: 0 is an empty ring. */
size_t weir__ring_avail(const struct weir__ring *r);
size_t weir__ring_size(const struct weir__ring *r);     /* bytes of data */
uint64_t weir__ring_producer(const struct weir__ring *r); /* positions, ever growing */
uint64_t weir__ring_consumer(const struct weir__ring *r);

#endif
