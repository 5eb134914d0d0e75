/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring reader, against the kernel's own ring buffer (needs BPF rights, else
 * skipped with the reason) and against rings no kernel would write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mem.h"
#include "ring.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING 65536

/* ---- a ring of the kernel's --------------------------------------------- */

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, (f))
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, (d), 0, 0, (i))
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, (d), (s), 0, 0)
#define LD_MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, (d), BPF_PSEUDO_MAP_FD, 0, (fd)), INSN(0, 0, 0, 0, 0)

/* A program that reserves `size` bytes, writes `mark` at the start, and submits
 * or discards; its return value is 1 if there was room. */
static int writer(int ring, int size, int mark, int discard)
{
	struct bpf_insn p[] = {
		LD_MAP(BPF_REG_1, ring),
		MOV_IMM(BPF_REG_2, size),
		MOV_IMM(BPF_REG_3, 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0),
		MOV_IMM(BPF_REG_0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_0, 0, 0, mark),
		MOV_REG(BPF_REG_1, BPF_REG_0),
		MOV_IMM(BPF_REG_2, BPF_RB_NO_WAKEUP),
		CALL(discard ? BPF_FUNC_ringbuf_discard : BPF_FUNC_ringbuf_submit),
		MOV_IMM(BPF_REG_0, 1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "ring_writer", "GPL", p,
	                     sizeof p / sizeof *p, NULL);
}

/* Runs it n times; the number of records that found room. */
static int run(int prog, int n)
{
	int fit = 0;

	for (int i = 0; i < n; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts);

		assert_int_equal(bpf_prog_test_run_opts(prog, &opts), 0);
		fit += (int)opts.retval;
	}
	return fit;
}

static int kernel_ring(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring_test", 0, 0, RING, NULL);

	if (fd < 0) {
		print_message("skipped: no ring buffer here (%s): needs root or CAP_BPF\n",
		              strerror(errno));
		skip();
	}
	return fd;
}

struct seen {
	long records, bytes, stop_at;
	int stop_with, last_mark, unaligned, marks_ok;
};

static int count(void *arg, void *rec, size_t len)
{
	struct seen *s = arg;
	int mark;

	if (s->records == s->stop_at && s->stop_with < 0)
		return s->stop_with;
	memcpy(&mark, rec, sizeof mark);
	s->marks_ok += mark == (int)len;
	s->unaligned |= (uintptr_t)rec & 7;
	s->last_mark = mark;
	s->records++;
	s->bytes += (long)len;
	return s->records == s->stop_at && s->stop_with > 0;
}

/* Every record the kernel committed is seen once, across many turns of the ring,
 * with its length, and discarded ones are not. */
static void test_kernel_wrap(void **state)
{
	int fd = kernel_ring(), keep = writer(fd, 120, 120, 0), drop = writer(fd, 40, 40, 1);
	struct weir__ring *r;
	struct seen s = { .stop_at = -1 };
	long n = 0, made = 0;

	(void)state;
	assert_true(keep >= 0 && drop >= 0);
	assert_int_equal(weir__ring_open(fd, &r), 0);
	assert_int_equal(weir__ring_size(r), RING);
	for (int turn = 0; turn < 60; turn++) {
		made += run(keep, 37);
		assert_int_equal(run(drop, 3), 3);
		assert_int_equal(weir__ring_avail(r), 37 * 128 + 3 * 48);
		n += weir__ring_drain(r, 0, count, &s);
		assert_int_equal(weir__ring_avail(r), 0);
	}
	assert_true(weir__ring_consumer(r) > 4 * RING);
	assert_int_equal(weir__ring_consumer(r), weir__ring_producer(r));
	assert_int_equal(made, 60 * 37);
	assert_int_equal(n, made);
	assert_int_equal(s.records, made);
	assert_int_equal(s.marks_ok, made);
	assert_int_equal(s.bytes, made * 120);
	assert_false(s.unaligned);
	assert_int_equal(weir__ring_drain(r, 0, count, &s), 0);
	weir__ring_close(r);
	close(keep), close(drop), close(fd);
}

/* A full ring takes no more, and takes again what the drain has made room for. */
static void test_kernel_full(void **state)
{
	int fd = kernel_ring(), w = writer(fd, 1016, 1016, 0);
	struct weir__ring *r;
	struct seen s = { .stop_at = -1 };
	int fit;

	(void)state;
	assert_true(w >= 0);
	assert_int_equal(weir__ring_open(fd, &r), 0);
	fit = run(w, 100);
	assert_in_range(fit, 62, 64);
	assert_int_equal(weir__ring_drain(r, 10 * 1024, count, &s), 10);
	assert_int_equal(run(w, 100), 10);
	assert_int_equal(weir__ring_drain(r, 0, count, &s), fit);
	assert_int_equal(s.records, fit + 10);
	weir__ring_close(r);
	close(w), close(fd);
}

/* A callback that refuses a record gets the same one again; one that stops does
 * not; the drain passes max_bytes by one record at most. */
static void test_kernel_stop(void **state)
{
	int fd = kernel_ring(), w = writer(fd, 8, 8, 0);
	struct weir__ring *r;
	struct seen s = { .stop_at = 5, .stop_with = -EAGAIN };

	(void)state;
	assert_true(w >= 0);
	assert_int_equal(weir__ring_open(fd, &r), 0);
	assert_int_equal(run(w, 20), 20);
	assert_int_equal(weir__ring_drain(r, 0, count, &s), 5);
	assert_int_equal(weir__ring_drain(r, 0, count, &s), -EAGAIN);
	assert_int_equal(weir__ring_avail(r), 15 * 16);
	s.stop_at = 8, s.stop_with = 1;
	assert_int_equal(weir__ring_drain(r, 0, count, &s), 3);
	assert_int_equal(weir__ring_avail(r), 12 * 16);
	assert_int_equal(weir__ring_drain(r, 17, count, &s), 2);
	assert_int_equal(weir__ring_avail(r), 10 * 16);
	assert_int_equal(weir__ring_drain(r, 0, count, &s), 10);
	weir__ring_close(r);
	close(w), close(fd);
}

/* Only a ring buffer is opened. */
static void test_wrong_fd(void **state)
{
	struct weir__ring *r = NULL;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring_wrong", 4, 4, 1, NULL);

	(void)state;
	assert_true(weir__ring_open(-1, &r) < 0);
	if (fd >= 0) {
		assert_int_equal(weir__ring_open(fd, &r), -EINVAL);
		close(fd);
	}
	assert_null(r);
	weir__ring_close(NULL);
}

/* ---- rings no kernel would write ---------------------------------------- */

struct fake {
	int fd;
	size_t page, len;
	char *at;
	unsigned long *consumer, *producer;
	char *data;
	struct weir__ring *ring;
};

static void fake_open(struct fake *f)
{
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	f->len = 2 * f->page + 2 * RING;
	f->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, (off_t)f->len), 0);
	f->at = mmap(NULL, f->len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->at, MAP_FAILED);
	f->consumer = (void *)f->at;
	f->producer = (void *)(f->at + f->page);
	f->data = f->at + 2 * f->page;
	assert_int_equal(weir__ring_map(f->fd, RING, &f->ring), 0);
}

static void fake_close(struct fake *f)
{
	weir__ring_close(f->ring);
	munmap(f->at, f->len);
	close(f->fd);
}

static void put(struct fake *f, size_t at, uint32_t hdr)
{
	memcpy(f->data + at, &hdr, sizeof hdr);
}

/* The drain ends before a record that is still being written, and goes on once it
 * has been committed. */
static void test_busy(void **state)
{
	struct fake f;
	struct seen s = { .stop_at = -1 };

	(void)state;
	fake_open(&f);
	put(&f, 0, 8);
	put(&f, 16, 8 | BPF_RINGBUF_BUSY_BIT);
	put(&f, 32, 8);
	*f.producer = 48;
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), 1);
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), 0);
	assert_int_equal(*f.consumer, 16);
	put(&f, 16, 8);
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), 2);
	fake_close(&f);
}

/* A length that leads beyond what was produced is an error at that record, always
 * the same one, and the callback never sees it. */
static void test_bad_length(void **state)
{
	static const uint32_t bad[] = { 9, 4096, RING, 0x3fffffff, 0x3ffffff8 };
	struct seen s = { .stop_at = -1 };
	struct fake f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		fake_open(&f);
		put(&f, 0, 8);
		put(&f, 16, bad[i]);
		*f.producer = 32;
		assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), 1);
		assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), -EBADMSG);
		assert_int_equal(*f.consumer, 16);
		fake_close(&f);
	}
	assert_int_equal(s.records, sizeof bad / sizeof *bad);
}

/* Positions that cannot be are an error before anything is read. */
static void test_bad_positions(void **state)
{
	struct fake f;
	struct seen s = { .stop_at = -1 };

	(void)state;
	fake_open(&f);
	*f.producer = RING + 8;
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), -EBADMSG);
	*f.producer = 8, *f.consumer = 16;
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), -EBADMSG);
	*f.producer = 16, *f.consumer = 4;
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), -EBADMSG);
	*f.consumer = 16;
	assert_int_equal(weir__ring_drain(f.ring, 0, count, &s), 0);
	assert_int_equal(s.records, 0);
	fake_close(&f);
}

/* Sizes that are no power of two, and no memory, leave nothing behind. */
static void test_open_fails(void **state)
{
	struct fake f;
	struct weir__ring *r = NULL;
	long live;

	(void)state;
	fake_open(&f);
	live = weir__mem_live();
	assert_int_equal(weir__ring_map(f.fd, 0, &r), -EINVAL);
	assert_int_equal(weir__ring_map(f.fd, 3 * 4096, &r), -EINVAL);
	weir__mem_fail_at(0);
	assert_int_equal(weir__ring_map(f.fd, RING, &r), -ENOMEM);
	weir__mem_fail_at(-1);
	assert_int_equal(weir__ring_map(-1, RING, &r), -EBADF);
	assert_int_equal(weir__mem_live(), live);
	assert_null(r);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_wrap),
		cmocka_unit_test(test_kernel_full),
		cmocka_unit_test(test_kernel_stop),
		cmocka_unit_test(test_wrong_fd),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_bad_length),
		cmocka_unit_test(test_bad_positions),
		cmocka_unit_test(test_open_fails),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
