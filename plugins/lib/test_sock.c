/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sockets, with made-up readings, and lines of /proc/net. */
#include "test_sock.h"

static struct sock_table *table(uint32_t capacity)
{
	struct pkt_memory m = { heap_realloc, &got.heap };
	struct sock_table *t;

	assert_int_equal(sock_table_new(&m, capacity, "test", &sink, &t), 0);
	return t;
}

static struct sock_reading reading(uint64_t id, uint32_t segs, uint64_t payload)
{
	return (struct sock_reading){
		.id = id, .cookie = id, .state = 1, .header = 40, .counts = true, .inode = (uint32_t)id,
		.key = { .proto = 6, .port = { (uint16_t)id, 80 } },
		.now = { .segs = { segs, segs }, .payload = { payload, 2 * payload } } };
}

static void see(struct sock_table *t, struct sock_reading r, uint64_t now)
{
	sock_seen(t, &r, now);
}

/* An old socket counts from its first reading on, a new one from its birth. */
static void old_and_new(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 100, 5000), SECOND);
	sock_swept(t, true, SECOND);
	assert_int_equal(got.calls, 0);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 103, 5100), 2 * SECOND);
	assert_int_equal(got.packets[0], 3);
	assert_int_equal(got.bytes[0], 3 * 40 + 100);
	assert_int_equal(got.bytes[1], 3 * 40 + 200);
	see(t, reading(2, 10, 10), 2 * SECOND);
	assert_int_equal(got.packets[1], 13);
	assert_int_equal(got.last.first_ns, SECOND);
	see(t, reading(2, 10, 10), 2 * SECOND); /* nothing new: nothing said */
	assert_int_equal(got.calls, 2);
	r = reading(1, 104, 5100);
	r.now.segs[1] = 2; /* wrapped, after some 4 billion */
	sock_swept(t, true, 2 * SECOND);
	r = reading(1, 105, 5100);
	r.state = 7;
	sock_closed(t, &r, 3 * SECOND);
	assert_int_equal(got.packets[0], 15);
	assert_int_equal(got.closed, 1);
	r = reading(3, 7, 70); /* born and dead between two rounds */
	sock_closed(t, &r, 3 * SECOND);
	assert_int_equal(got.packets[0], 22);
	assert_int_equal(got.bytes[1], 22 * 40 + 200 + 20 + 2 * 70 - 1); /* one for the FIN */
	assert_int_equal(got.closed, 2);
	sock_table_free(t);
	assert_int_equal(got.heap.blocks, 0);
}

/* Counts are u32 in the kernel, and wrap. */
static void wrapped(void **state)
{
	struct sock_table *t = table(1024);

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, UINT32_MAX - 1, 5000), SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 3, 5000), 2 * SECOND);
	assert_int_equal(got.packets[0], 5);
	sock_table_free(t);
}

/* A sink without room loses nothing: neither of a socket that lives nor of one that is gone. */
static void refused(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 1, 0), SECOND);
	sock_swept(t, true, SECOND);
	got.refuse = true;
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 5, 0), 2 * SECOND);
	see(t, reading(2, 5, 0), 2 * SECOND);
	r = reading(2, 7, 0);
	sock_closed(t, &r, 2 * SECOND);
	sock_closed(t, &r, 2 * SECOND);
	sock_swept(t, true, 2 * SECOND);
	assert_int_equal(got.calls, 0);
	assert_int_equal(sock_owed(t), 1);
	got.refuse = false;
	sock_round(t, 3 * SECOND);
	see(t, reading(1, 6, 0), 3 * SECOND);
	sock_swept(t, true, 3 * SECOND);
	assert_int_equal(got.packets[0], 5 + 7);
	assert_int_equal(sock_owed(t), 0);
	sock_table_free(t);
}

/* A socket that is listed no more ends after two rounds, and its late last word adds only the
 * rest; when a round was not whole, nothing is concluded. */
static void vanished(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	see(t, reading(1, 10, 0), 2 * SECOND);
	sock_swept(t, true, 2 * SECOND);
	for (uint64_t i = 3; i < 6; i++) {
		sock_round(t, i * SECOND);
		sock_swept(t, i == 5, i * SECOND);
		assert_int_equal(got.closed, i == 5);
	}
	r = reading(1, 11, 0);
	sock_closed(t, &r, 6 * SECOND);
	assert_int_equal(got.packets[0], 11);
	sock_table_free(t);
}

/* connect() again after a disconnect: the same cookie, and counts from zero. */
static void used_again(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;

	(void)state;
	sock_round(t, SECOND);
	see(t, reading(1, 100, 1000), SECOND);
	sock_swept(t, true, SECOND);
	sock_round(t, 2 * SECOND);
	r = reading(1, 4, 10);
	r.key.port[1] = 81;
	see(t, r, 2 * SECOND);
	assert_int_equal(got.packets[0], 4);
	assert_int_equal(got.key.port[1], 81);
	see(t, reading(1, 2, 10), 2 * SECOND);
	assert_int_equal(got.packets[0], 6);
	assert_int_equal(got.closed, 1);
	sock_table_free(t);
}

/* Beyond the capacity sockets are counted, not followed; a closed one's counts as lost. Sockets
 * left out of the first round are never taken for new. */
static void full(void **state)
{
	struct sock_table *t = table(1024);
	struct sock_reading r;
	struct sock_stats s;

	(void)state;
	sock_round(t, SECOND);
	for (uint64_t i = 1; i <= 1100; i++)
		see(t, reading(i, 5, 0), SECOND);
	sock_swept(t, true, SECOND);
	sock_stats(t, &s);
	assert_int_equal(s.sockets, 1024);
	assert_int_equal(s.untracked, 76);
	r = reading(2000, 5, 100);
	sock_closed(t, &r, SECOND);
	sock_stats(t, &s);
	assert_int_equal(s.lost_packets, 10);
	assert_int_equal(s.lost_bytes, 10 * 40 + 300);
	r = reading(1, 5, 0);
	sock_closed(t, &r, SECOND);
	see(t, reading(1100, 5, 0), SECOND);
	assert_int_equal(got.packets[0], 0);
	sock_table_free(t);
	assert_int_equal(got.heap.blocks, 0);
}

/* The n-th allocation fails: a socket is not followed, and nothing else happens. */
static void no_memory(void **state)
{
	struct pkt_memory m = { heap_realloc, &got.heap };

	(void)state;
	for (long n = 0; n < 8; n++) {
		struct sock_table *t;

		got.heap.fail_at = n;
		if (sock_table_new(&m, 8192, "test", &sink, &t)) {
			assert_int_equal(n, 0);
			continue;
		}
		sock_round(t, SECOND);
		for (uint64_t i = 1; i <= 5000; i++)
			see(t, reading(i, 5, 0), SECOND);
		sock_find_owners(t, "/proc", 1000);
		sock_swept(t, true, SECOND);
		sock_table_free(t);
		assert_int_equal(got.heap.blocks, 0);
	}
}

/* Lines as kernels write them, and those that are none. */
static void lines(void **state)
{
	static const char v4[] = "   0: 0100007F:1F90 0200000A:C001 01 00000000:00000000 00:00000000 00000000"
	                         "  1000        0 12345 1 ffff8880 20 4 30 10 -1";
	static const char v6[] = "  12: B80D01200000000000000000 is short";
	static const char *const bad[] = { "", ":", "  sl  local_address rem_address", "1:", "x: 0",
		"   0: 0100007F:1F90 0200000A:C001 01 00000000:00000000 00:00000000 00000000  1000        0 99999999999 1" };
	struct sock_reading r;

	(void)state;
	assert_true(procnet_parse(v4, strlen(v4), false, 6, 9, &r));
	assert_memory_equal(r.key.addr[0] + 12, "\x7f\0\0\1", 4);
	assert_memory_equal(r.key.addr[1] + 12, "\x0a\0\0\2", 4);
	assert_int_equal(r.key.port[0], 8080);
	assert_int_equal(r.key.port[1], 0xc001);
	assert_int_equal(r.uid, 1000);
	assert_int_equal(r.inode, 12345);
	assert_false(procnet_parse(v6, strlen(v6), true, 6, 9, &r));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(procnet_parse(bad[i], strlen(bad[i]), false, 6, 9, &r));
	for (size_t len = 0; len < (size_t)(strstr(v4, " 12345") + 2 - v4); len++)
		assert_false(procnet_parse(v4, len, false, 6, 9, &r));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(old_and_new), TEST(wrapped), TEST(refused), TEST(vanished),
		TEST(used_again), TEST(full), TEST(no_memory), TEST(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
