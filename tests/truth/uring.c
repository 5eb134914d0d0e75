/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One io_uring by bare system calls, so that the test needs no library.
 */
#include "worker.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring = { .fd = -1 };

int uring_open(void)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	if (ring.fd >= 0)
		return 0;
	ring.fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (ring.fd < 0)
		return -errno;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned int), PROT_READ | PROT_WRITE,
	          MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
	          PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
	                 MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring.sqes == MAP_FAILED)
		return -ENOMEM;
	ring.sq_tail = (unsigned int *)(void *)(sq + p.sq_off.tail);
	ring.sq_mask = (unsigned int *)(void *)(sq + p.sq_off.ring_mask);
	ring.sq_array = (unsigned int *)(void *)(sq + p.sq_off.array);
	ring.cq_head = (unsigned int *)(void *)(cq + p.cq_off.head);
	ring.cq_mask = (unsigned int *)(void *)(cq + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
	return 0;
}

ssize_t uring_read(int fd, void *buf, uint32_t size, uint64_t offset)
{
	unsigned int tail = *ring.sq_tail, at = tail & *ring.sq_mask;
	ssize_t res;

	ring.sqes[at] = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = fd, .off = offset,
		.addr = (uint64_t)(uintptr_t)buf, .len = size };
	ring.sq_array[at] = at;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = ring.cqes[*ring.cq_head & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
	return res;
}
