/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring reader. The kernel maps a ring buffer as one page with the consumer's
 * position (writable), one with the producer's, and the data pages twice in a row,
 * so that a record across the end is contiguous (kernel/bpf/ringbuf.c).
 *
 * Happy path: load the producer position, walk records to it, store the consumer
 * position every STORE_EVERY bytes and at the end.
 * Failure: a length that leads beyond what was produced is -EBADMSG; nothing is
 * read past the mapping, whatever the ring contains.
 * Threads: one consumer; the positions may be read by any.
 */
#include "ring.h"
#include "mem.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Give room back to the producers at least this often: a long drain must not make
 * a ring look full. More often costs a shared cache line per store. */
#define STORE_EVERY (64 * 1024)

struct weir__ring {
	_Atomic unsigned long *consumer;
	const _Atomic unsigned long *producer;
	char *data;
	size_t size; /* a power of two */
	size_t page;
};

static int map_pages(struct weir__ring *r, int fd)
{
	void *p = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	r->consumer = p;
	/* The kernel lets only the consumer's page be mapped writable. */
	p = mmap(NULL, r->page + 2 * r->size, PROT_READ, MAP_SHARED, fd, (off_t)r->page);
	if (p == MAP_FAILED)
		return -errno;
	r->producer = p;
	r->data = (char *)p + r->page;
	return 0;
}

int weir__ring_open(int map_fd, struct weir__ring **ret)
{
	struct bpf_map_info info;
	__u32 len = sizeof info;

	memset(&info, 0, sizeof info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	return weir__ring_map(map_fd, info.max_entries, ret);
}

int weir__ring_map(int fd, size_t size, struct weir__ring **ret)
{
	struct weir__ring *r;
	int err;

	if (!size || (size & (size - 1)))
		return -EINVAL;
	r = weir__zalloc(sizeof *r);
	if (!r)
		return -ENOMEM;
	r->size = size;
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	err = map_pages(r, fd);
	if (err) {
		weir__ring_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

void weir__ring_close(struct weir__ring *r)
{
	if (!r)
		return;
	if (r->consumer)
		munmap((void *)(uintptr_t)r->consumer, r->page);
	if (r->producer)
		munmap((void *)(uintptr_t)r->producer, r->page + 2 * r->size);
	weir__free(r);
}

/* Move the position and, with the fence, make sure that a producer that commits
 * from now on sees it, or that we see its record. */
static void store_consumer(struct weir__ring *r, unsigned long at)
{
	atomic_store_explicit(r->consumer, at, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
}

/* The record at `at`: its header in *hdr, the ring bytes it takes in *step. 1 if
 * there is one, 0 if it is still busy, -EBADMSG if it cannot be. */
static int record_at(const struct weir__ring *r, unsigned long at, unsigned long end,
                     uint32_t *hdr, size_t *step)
{
	const _Atomic uint32_t *len = (const void *)(r->data + (at & (r->size - 1)));
	uint32_t h = atomic_load_explicit(len, memory_order_acquire);

	if (h & BPF_RINGBUF_BUSY_BIT)
		return 0;
	*hdr = h;
	*step = ((size_t)(h & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) +
	         BPF_RINGBUF_HDR_SZ + 7) & ~(size_t)7;
	return *step <= end - at ? 1 : -EBADMSG;
}

/* Some six records ahead; data is mapped twice over, so it never leaves the map by more
 * than a prefetch may. */
#define PREFETCH_BYTES 512

/* Walk [at, end). Returns the position reached. */
static unsigned long walk(struct weir__ring *r, unsigned long at, unsigned long end,
                          size_t max_bytes, weir__ring_cb cb, void *arg, long *n, int *err)
{
	unsigned long from = at, stored = at;

	while (at != end && at - from < max_bytes) {
		uint32_t hdr;
		size_t step;
		int rc = record_at(r, at, end, &hdr, &step);

		if (rc <= 0) {
			*err = rc;
			break;
		}
		if (!(hdr & BPF_RINGBUF_DISCARD_BIT)) {
			char *rec = r->data + (at & (r->size - 1)) + BPF_RINGBUF_HDR_SZ;

			/* Records lie in the cache of the CPU that made them: ask for
			 * the ones behind while this one is looked at. */
			__builtin_prefetch(rec + PREFETCH_BYTES);
			__builtin_prefetch(rec + PREFETCH_BYTES + 64);
			rc = cb(arg, rec, hdr);
			if (rc < 0) {
				*err = rc;
				break;
			}
			(*n)++;
		} else {
			rc = 0;
		}
		at += step;
		if (at - stored >= STORE_EVERY) {
			atomic_store_explicit(r->consumer, at, memory_order_release);
			stored = at;
		}
		if (rc > 0)
			break;
	}
	return at;
}

long weir__ring_drain(struct weir__ring *r, size_t max_bytes, weir__ring_cb cb, void *arg)
{
	unsigned long at, end, reached;
	long n = 0;
	int err = 0;

	/* What the caller wrote before (the polling knob) comes before the look. */
	atomic_thread_fence(memory_order_seq_cst);
	at = atomic_load_explicit(r->consumer, memory_order_relaxed);
	end = atomic_load_explicit(r->producer, memory_order_acquire);
	/* Positions are 8-byte multiples and never a ring apart. */
	if (end - at > r->size || (at & 7))
		return -EBADMSG;
	if (at == end)
		return 0;
	/* The walk is bounded by what was there at its start. */
	reached = walk(r, at, end, max_bytes ? max_bytes : r->size, cb, arg, &n, &err);
	if (reached != at)
		store_consumer(r, reached);
	return n ? n : err;
}

size_t weir__ring_avail(const struct weir__ring *r)
{
	unsigned long at = atomic_load_explicit(r->consumer, memory_order_acquire);

	return atomic_load_explicit(r->producer, memory_order_acquire) - at;
}

size_t weir__ring_size(const struct weir__ring *r)
{
	return r->size;
}

uint64_t weir__ring_producer(const struct weir__ring *r)
{
	return atomic_load_explicit(r->producer, memory_order_acquire);
}

uint64_t weir__ring_consumer(const struct weir__ring *r)
{
	return atomic_load_explicit(r->consumer, memory_order_acquire);
}
