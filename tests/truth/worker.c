/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static char path[256], scratch_path[256];
static char *buf;

/* ---- truth --------------------------------------------------------------------- */

struct cachestat_range {
	uint64_t off, len;
};
struct cachestat {
	uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/* Pages of [off, off + len) within the file that are not in the cache. */
static uint64_t missing(int fd, uint64_t off, uint64_t len)
{
	uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END), first, end, most = 0;
	struct cachestat_range r;
	struct cachestat cs;

	if (off >= size)
		return 0;
	if (len > size - off)
		len = size - off;
	first = off / WORKER_PAGE;
	end = (off + len + WORKER_PAGE - 1) / WORKER_PAGE;
	r = (struct cachestat_range){ first * WORKER_PAGE, (end - first) * WORKER_PAGE };
	/* A folio that the kernel is just moving to other memory is not seen: nobody
	 * else reads the file, so what is there at any of three looks is there. */
	for (int i = 0; i < 3 && most < end - first; i++) {
		if (syscall(SYS_cachestat, fd, &r, &cs, 0))
			return 0;
		most = cs.cache > most ? cs.cache : most;
	}
	return end - first - most;
}

static void about_to_read(struct worker_truth *t, int fd, uint64_t off, uint64_t len)
{
	uint64_t n = missing(fd, off, len);

	t->misses += n;
	t->ops_missed += n > 0;
}

static void have_read(struct worker_truth *t, uint64_t off, ssize_t n)
{
	if (n < 0) {
		t->error = -errno;
		return;
	}
	t->ops++;
	t->bytes += (uint64_t)n;
	if (n)
		t->lookups += (off + (uint64_t)n - 1) / WORKER_PAGE - off / WORKER_PAGE + 1;
}

/* One pass of DONTNEED may leave pages that are being written back. */
static void make_cold(int fd)
{
	for (int i = 0; i < 20 && missing(fd, 0, WORKER_FILE_SIZE) < WORKER_FILE_SIZE / WORKER_PAGE; i++) {
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
}

/* ---- loads ---------------------------------------------------------------------- */

static uint64_t random_page(uint64_t limit)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % (limit / WORKER_PAGE) * WORKER_PAGE;
}

static ssize_t read_once(const struct worker_order *o, int fd, uint64_t off)
{
	struct iovec v[2] = { { buf, o->size / 2 }, { buf + o->size / 2, o->size - o->size / 2 } };
	off_t at = (off_t)off;

	switch (o->load) {
	case LOAD_SEQ_READ:
		lseek(fd, at, SEEK_SET);
		return read(fd, buf, o->size);
	case LOAD_SEQ_READV:
		return preadv(fd, v, 2, at);
	case LOAD_SENDFILE: {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		ssize_t n = sendfile(null, fd, &at, o->size);

		close(null);
		return n;
	}
	case LOAD_URING:
	case LOAD_URING_RANDOM:
		return uring_read(fd, buf, (uint32_t)o->size, off);
	default:
		return pread(fd, buf, o->size, at);
	}
}

static void reads(const struct worker_order *o, int fd, struct worker_truth *t)
{
	bool random = o->load == LOAD_RANDOM || o->load == LOAD_URING_RANDOM;
	uint64_t n = random ? o->count : WORKER_FILE_SIZE / o->size;

	for (uint64_t i = 0; i < n && !t->error; i++) {
		uint64_t off = random ? random_page(WORKER_FILE_SIZE) : i * o->size;

		about_to_read(t, fd, off, o->size);
		have_read(t, off, read_once(o, fd, off));
	}
}

static void writes(const struct worker_order *o, struct worker_truth *t)
{
	int fd = open(scratch_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (uint64_t i = 0; i < o->count && !t->error; i++) {
		uint64_t off = i * o->size;

		if (pwrite(fd, buf, o->size, (off_t)off) != (ssize_t)o->size)
			t->error = -EIO;
		t->writes++;
		t->write_bytes += o->size;
		if (o->load != LOAD_WRITE_READ)
			continue;
		about_to_read(t, fd, off, o->size);
		have_read(t, off, pread(fd, buf, o->size, (off_t)off));
	}
	close(fd);
	unlink(scratch_path);
}

static void partial(const struct worker_order *o, int fd, struct worker_truth *t)
{
	for (uint64_t i = 0; i < o->count && !t->error; i++) {
		uint64_t page = i * 16 * WORKER_PAGE % WORKER_FILE_SIZE;

		if (pwrite(fd, buf, 100, (off_t)page + 77) != 100)
			t->error = -EIO;
		t->writes++;
		t->write_bytes += 100;
		about_to_read(t, fd, page, WORKER_PAGE);
		have_read(t, page, pread(fd, buf, WORKER_PAGE, (off_t)page));
	}
}

static void touches(const struct worker_order *o, int fd, struct worker_truth *t)
{
	bool random = o->load == LOAD_MMAP_RANDOM;
	uint64_t n = random ? o->count : WORKER_FILE_SIZE / WORKER_PAGE;
	volatile char *map = mmap(NULL, WORKER_FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0), sum = 0;

	if (map == MAP_FAILED) {
		t->error = -errno;
		return;
	}
	if (random)
		madvise((void *)map, WORKER_FILE_SIZE, MADV_RANDOM);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t off = random ? random_page(WORKER_FILE_SIZE) : i * WORKER_PAGE;

		about_to_read(t, fd, off, WORKER_PAGE);
		sum = (char)(sum + map[off]);
		t->ops++;
	}
	munmap((void *)map, WORKER_FILE_SIZE);
}

static void direct(const struct worker_order *o, struct worker_truth *t)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	for (uint64_t i = 0; i < o->count && !t->error; i++)
		have_read(t, 0, pread(fd, buf, WORKER_PAGE, (off_t)random_page(WORKER_FILE_SIZE)));
	t->lookups = 0; /* asks nothing of the page cache */
	close(fd);
}

static void advise(const struct worker_order *o, int fd, struct worker_truth *t)
{
	uint64_t all = WORKER_FILE_SIZE / WORKER_PAGE, before = missing(fd, 0, WORKER_FILE_SIZE);

	t->resident = all - before; /* the kernel may have taken some of them since they were read */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	t->lookups = missing(fd, 0, WORKER_FILE_SIZE) - before; /* dropped */
	before = missing(fd, 0, WORKER_FILE_SIZE);
	posix_fadvise(fd, 0, (off_t)o->size, POSIX_FADV_WILLNEED);
	t->bytes = before - missing(fd, 0, WORKER_FILE_SIZE);   /* pages loaded */
	t->ops = all - before;
	posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL);             /* refused */
}

static void procfs(struct worker_truth *t)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < 100; i++)
		if (pread(fd, buf, 512, 0) != 512)
			t->error = -EIO;
	close(fd);
}

static int threads_fd;

static void *thread(void *arg)
{
	char page[WORKER_PAGE];
	uintptr_t failed = 0;

	(void)arg;
	for (int i = 0; i < 200; i++)
		failed += pread(threads_fd, page, sizeof page, i * (off_t)WORKER_PAGE) != sizeof page;
	return (void *)failed;
}

/* Many at a time, so that their kernel stacks, which find their slots, are many. */
static void threads(const struct worker_order *o, int fd, struct worker_truth *t)
{
	pthread_t id[512];
	uint64_t n = 0;
	void *failed;

	threads_fd = fd;
	t->misses = missing(fd, 0, 200 * WORKER_PAGE);
	while (n < o->count && n < 512 && !pthread_create(&id[n], NULL, thread, NULL))
		n++;
	for (uint64_t i = 0; i < n; i++) {
		pthread_join(id[i], &failed);
		t->ops += 200 - (uintptr_t)failed;
	}
	t->lookups = t->ops;
	t->bytes = t->ops * WORKER_PAGE;
	t->misses += missing(fd, 0, 200 * WORKER_PAGE);
}

/* The kernel reads the program for exec within the child; it must not be taken
 * for a read of ours, and ours go on. */
static void exec(const struct worker_order *o, int fd, struct worker_truth *t)
{
	for (uint64_t i = 0; i < o->count; i++) {
		pid_t pid = fork();

		if (!pid) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
		about_to_read(t, fd, i * o->size, o->size);
		have_read(t, i * o->size, pread(fd, buf, o->size, (off_t)(i * o->size)));
	}
}

static void run(const struct worker_order *o, struct worker_truth *t)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		t->error = -errno;
		return;
	}
	if (o->cold)
		make_cold(fd);
	if (o->load == LOAD_URING || o->load == LOAD_URING_RANDOM)
		t->error = uring_open();
	if (t->error) {
		close(fd);
		return;
	}
	switch (o->load) {
	case LOAD_WRITE:
	case LOAD_WRITE_READ: writes(o, t); break;
	case LOAD_PARTIAL: partial(o, fd, t); break;
	case LOAD_MMAP_SEQ:
	case LOAD_MMAP_RANDOM: touches(o, fd, t); break;
	case LOAD_DIRECT: direct(o, t); break;
	case LOAD_FADVISE: advise(o, fd, t); break;
	case LOAD_PROCFS: procfs(t); break;
	case LOAD_EXEC: exec(o, fd, t); break;
	case LOAD_THREADS: threads(o, fd, t); break;
	case LOAD_WARM:
		for (uint64_t off = 0; off < WORKER_FILE_SIZE; off += 1 << 20)
			if (pread(fd, buf, 1 << 20, (off_t)off) < 0)
				t->error = -errno;
		break;
	default: reads(o, fd, t);
	}
	close(fd);
}

/* ---- the two ends ------------------------------------------------------------------ */

static int make_file(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	memset(buf, 'x', 1 << 20);
	for (uint64_t off = 0; off < WORKER_FILE_SIZE; off += 1 << 20)
		if (pwrite(fd, buf, 1 << 20, (off_t)off) != 1 << 20) {
			close(fd);
			return -ENOSPC;
		}
	fsync(fd);
	close(fd);
	return 0;
}

static void serve(int fd)
{
	struct worker_order o;
	struct worker_truth t = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "weir-truth");
	buf = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t.error = buf == MAP_FAILED ? -ENOMEM : make_file();
	while (write(fd, &t, sizeof t) == sizeof t && read(fd, &o, sizeof o) == sizeof o) {
		memset(&t, 0, sizeof t);
		run(&o, &t);
	}
	unlink(path);
	_exit(0);
}

int worker_start(struct worker *w, const char *dir)
{
	struct worker_truth t;
	int fds[2];

	snprintf(path, sizeof path, "%s/truth.%d", dir, (int)getpid());
	snprintf(scratch_path, sizeof scratch_path, "%s/truth.%d.new", dir, (int)getpid());
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	w->pid = fork();
	if (w->pid < 0)
		return -errno;
	if (!w->pid) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	w->fd = fds[0];
	return read(w->fd, &t, sizeof t) == sizeof t ? t.error : -EPIPE;
}

int worker_do(struct worker *w, const struct worker_order *o, struct worker_truth *ret)
{
	if (write(w->fd, o, sizeof *o) != sizeof *o || read(w->fd, ret, sizeof *ret) != sizeof *ret)
		return -EPIPE;
	return ret->error;
}

void worker_stop(struct worker *w)
{
	if (w->pid <= 0)
		return;
	close(w->fd);
	waitpid(w->pid, NULL, 0);
	w->pid = 0;
}
