/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: a child process that does the reads and says, from cachestat(2)
 * right before each of them, what was in the page cache. A child, since iomonitor
 * does not look at the process it runs in.
 */
#ifndef WEIR_TRUTH_WORKER_H
#define WEIR_TRUTH_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKER_FILE_SIZE (64ull << 20)
#define WORKER_PAGE      4096ull

enum worker_load {
	LOAD_SEQ,          /* pread of `size` bytes through the file */
	LOAD_SEQ_READ,     /* the same with read() */
	LOAD_SEQ_READV,
	LOAD_RANDOM,       /* `count` preads of `size` bytes at random pages */
	LOAD_SENDFILE,
	LOAD_WRITE,        /* `count` new writes of `size` bytes */
	LOAD_WRITE_READ,   /* ... each read back at once */
	LOAD_PARTIAL,      /* `count` times: 100 bytes into a cold page, then read it */
	LOAD_MMAP_SEQ,     /* touch each page */
	LOAD_MMAP_RANDOM,
	LOAD_URING,        /* io_uring reads of `size` bytes through the file */
	LOAD_URING_RANDOM,
	LOAD_DIRECT,       /* `count` O_DIRECT reads of 4 KiB */
	LOAD_FADVISE,      /* DONTNEED of the whole, warm file; WILLNEED of `size` */
	LOAD_WARM,         /* make all of it resident */
	LOAD_PROCFS,       /* read a regular file without page cache */
	LOAD_THREADS,      /* `count` threads, each 200 preads of a warm page, then ends; misses:
	                    * pages that were gone before or after */
	LOAD_EXEC,         /* a child that loads a program between two reads */
};

struct worker_order {
	uint32_t load;
	uint32_t cold;     /* drop the file from the cache first */
	uint64_t size, count;
};

/* What truly happened. */
struct worker_truth {
	int32_t error;     /* negative errno: 0 is done */
	uint32_t reserved;
	uint64_t misses, ops_missed, lookups, ops, bytes;
	uint64_t writes, write_bytes;
	uint64_t resident; /* LOAD_FADVISE: pages right before DONTNEED */
};

struct worker {
	pid_t pid;
	int fd;
};

/* Fork it; before any thread exists. dir: where its files go. */
int worker_start(struct worker *w, const char *dir);
int worker_do(struct worker *w, const struct worker_order *o, struct worker_truth *ret);
void worker_stop(struct worker *w);

/* uring.c, in the child: one ring, one read at a time. */
int uring_open(void);
ssize_t uring_read(int fd, void *buf, uint32_t size, uint64_t offset);

#endif
