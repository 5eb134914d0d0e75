/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS over TCP: however a stream is cut, reordered and repeated, its messages come out once
 * and whole; what is missing costs only the messages it was part of.
 */
#include "test_dns.h"

#include <stdlib.h>

#define MESSAGES 40
static void *heap(void *arg, void *p, size_t n)
{
	(void)arg;
	if (n)
		return realloc(p, n);
	free(p);
	return NULL;
}
static const struct pkt_memory memory = { heap, NULL };

static uint8_t stream[8192];
static uint32_t stream_len, got[MESSAGES], cuts;

static void on_message(void *arg, const struct dns_seen *seen, const uint8_t *msg, uint32_t have,
                       uint32_t len)
{
	unsigned id = (unsigned)msg[0] << 8 | msg[1];

	(void)arg, (void)seen;
	assert_true(have >= 2 && have <= len);
	assert_in_range(id, 0, MESSAGES - 1);
	assert_int_equal(len, 20 + id * 3);
	for (uint32_t i = 12; i < have; i++)
		assert_int_equal(msg[i], (uint8_t)(id + i));
	got[id]++;
	cuts += have < len;
}

static struct dns_streams *begin(void)
{
	struct dns_streams *s;

	stream_len = cuts = 0;
	memset(got, 0, sizeof got);
	for (unsigned id = 0; id < MESSAGES; id++) {
		uint32_t len = 20 + id * 3;
		uint8_t *p = stream + stream_len;

		memset(p, 0, 2 + len);
		p[0] = (uint8_t)(len >> 8);
		p[1] = (uint8_t)len;
		p[2] = (uint8_t)(id >> 8);
		p[3] = (uint8_t)id;
		for (uint32_t i = 12; i < len; i++)
			p[2 + i] = (uint8_t)(id + i);
		stream_len += 2 + len;
	}
	assert_int_equal(dns_streams_new(&memory, 4, 1 << 20, on_message, NULL, &s), 0);
	return s;
}

static void add(struct dns_streams *s, uint32_t from, uint32_t len, uint32_t have, uint8_t flags)
{
	struct dns_seen seen = { .sport = 40000, .dport = 53, .transport = WEIR_DNS_TCP };
	struct dns_segment g = { .seq = 0xfffff000u + from, .flags = flags, .data = stream + from,
		.have = have, .len = len };

	assert_int_equal(dns_streams_add(s, &seen, &g), 0);
}

static void all_came_once(void)
{
	for (unsigned i = 0; i < MESSAGES; i++)
		assert_int_equal(got[i], 1);
}

static void end(struct dns_streams *s)
{
	struct dns_stream_stats st;

	dns_streams_flush(s);
	dns_streams_stats(s, &st);
	assert_int_equal(st.connections, 0);
	assert_int_equal(st.bytes, 0);
	dns_streams_free(s);
}

/* Segments of every size from one byte on, and all in one; the numbers wrap on the way. */
static void any_size_of_segment(void **state)
{
	(void)state;
	for (uint32_t size = 1; size < 200; size++) {
		struct dns_streams *s = begin();

		for (uint32_t at = 0; at < stream_len; at += size)
			add(s, at, at + size < stream_len ? size : stream_len - at,
			    at + size < stream_len ? size : stream_len - at, 16);
		/* One byte alone is no beginning that can be known without the SYN. */
		if (size >= 2 && size != 3 && (size < 3 || size >= 14))
			all_came_once();
		end(s);
	}
}

static void with_its_syn(struct dns_streams *s)
{
	struct dns_seen seen = { .sport = 40000, .dport = 53, .transport = WEIR_DNS_TCP };
	struct dns_segment g = { .seq = 0xffffefffu, .flags = 2 };

	assert_int_equal(dns_streams_add(s, &seen, &g), 0);
}

static void out_of_order_and_twice(void **state)
{
	uint32_t x = 99;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct dns_streams *s = begin();
		uint32_t size = 50 + (uint32_t)round, n = (stream_len + size - 1) / size, order[256];

		with_its_syn(s);
		for (uint32_t i = 0; i < n; i++)
			order[i] = i;
		for (uint32_t i = 0; i + 1 < n; i++) { /* neighbours change places */
			x = x * 1664525 + 1013904223;
			if (x >> 30 == 0) {
				uint32_t t = order[i];

				order[i] = order[i + 1];
				order[i + 1] = t;
			}
		}
		for (uint32_t i = 0; i < n; i++) {
			uint32_t from = order[i] * size, len = from + size < stream_len ? size : stream_len - from;

			add(s, from, len, len, 16);
			x = x * 1664525 + 1013904223;
			if (x >> 30 == 1)
				add(s, from, len, len, 16);
		}
		all_came_once();
		end(s);
	}
}

/* Segments begin with messages here; the third never comes. */
static void a_gap_costs_its_message(void **state)
{
	struct dns_streams *s = begin();
	struct dns_stream_stats st;
	uint32_t at = 0;

	(void)state;
	with_its_syn(s);
	for (unsigned id = 0; id < MESSAGES; id++) {
		uint32_t len = 22 + id * 3;

		if (id != 2)
			add(s, at, len, len, 16);
		at += len;
	}
	dns_streams_stats(s, &st);
	assert_int_equal(st.gaps, 1);
	for (unsigned i = 0; i < MESSAGES; i++)
		assert_int_equal(got[i], i != 2);
	end(s);
}

/* Only the first 30 bytes of each segment were captured: long messages are cut, none is lost. */
static void cut_by_the_capture(void **state)
{
	struct dns_streams *s = begin();
	uint32_t at = 0;

	(void)state;
	with_its_syn(s);
	for (unsigned id = 0; id < MESSAGES; id++) {
		uint32_t len = 22 + id * 3;

		add(s, at, len, len < 30 ? len : 30, 16);
		at += len;
	}
	all_came_once();
	assert_int_equal(cuts, MESSAGES - 3);
	end(s);
}

/* More connections than there is room for: the longest idle goes. */
static void bounded(void **state)
{
	struct dns_streams *s = begin();
	struct dns_stream_stats st;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct dns_seen seen = { .sport = (uint16_t)(40000 + i), .dport = 53 };
		struct dns_segment g = { .flags = 16, .data = stream, .have = 15, .len = 15 };

		dns_streams_add(s, &seen, &g);
	}
	dns_streams_stats(s, &st);
	assert_int_equal(st.connections, 4);
	assert_int_equal(st.evicted, 96);
	assert_true(st.bytes <= 4 * 2048);
	end(s);
}

int test_stream(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_of_segment), cmocka_unit_test(out_of_order_and_twice),
		cmocka_unit_test(a_gap_costs_its_message), cmocka_unit_test(cut_by_the_capture),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
