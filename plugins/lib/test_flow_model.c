/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine against a model that only adds up: whatever comes, in whatever order, with an
 * emitter that refuses and memory that fails, what was added is in the records.
 */
#include "test_flow.h"

#define FLOWS 300
struct model { uint64_t packets[2], bytes[2], emitted[2], emitted_bytes[2]; };
static struct model model[FLOWS];
static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static struct weir_flow_key random_key(uint32_t i)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 1, 50, 132 };

	return key(protos[i % 7], (uint16_t)(40000 + i), (uint16_t)(i % 5 ? 80 : 60000));
}

static struct weir_flow_delta random_delta(void)
{
	struct weir_flow_delta d = { .first_ns = now - rnd(1000000),
				     .span = rnd(500),
				     .ifindex = rnd(4) };

	for (int e = 0; e < 2; e++) {
		d.packets[e] = rnd(4) ? rnd(1000) : 0;
		d.bytes[e] = d.packets[e] * (20 + rnd(1480));
		d.flags[e] = (uint8_t)(rnd(8) ? ACK : rnd(64));
		d.ttl[e] = (uint8_t)rnd(255);
	}
	d.bits = (uint8_t)(rnd(10) ? WEIR_FLOW_OWNER : rnd(256));
	d.pid = rnd(50);
	d.cookie = rnd(100);
	d.turn_ns = rnd(2) ? now : 0;
	d.waits = rnd(3);
	d.wait_sum_ns = d.waits * (uint64_t)rnd(1000000);
	d.drops = rnd(20) ? 0 : rnd(100);
	d.state = (uint8_t)rnd(14);
	if (!rnd(20)) /* a mark alone */
		d = (struct weir_flow_delta){ .bits = WEIR_FLOW_CLOSED, .resets = 1, .state = 8 };
	return d;
}

static void model_add(uint32_t i, const struct weir_flow_delta *d)
{
	for (int e = 0; e < 2; e++) {
		model[i].packets[e] += d->packets[e];
		model[i].bytes[e] += d->bytes[e];
	}
}

/* Take the records so far to the model's account of what was emitted. */
static void model_take(void)
{
	for (size_t n = 0; n < count; n++) {
		const struct weir_flow *r = &records[n];
		bool swapped = r->source_address[15] != 1; /* ICMP has no ports: by address */
		uint32_t i = 0;

		if (r->transport == 1)
			continue; /* its ports are not shown: only in the sum */
		i = (swapped ? r->destination_port : r->source_port) - 40000u;
		assert_true(i < FLOWS);
		model[i].emitted[swapped] += r->packets_delta;
		model[i].emitted[!swapped] += r->reverse_packets_delta;
		model[i].emitted_bytes[swapped] += r->bytes_delta;
		model[i].emitted_bytes[!swapped] += r->reverse_bytes_delta;
		assert_true(r->end_ns >= r->start_ns);
		assert_true(r->packets_total >= r->packets_delta);
		if (r->phase == WEIR_FLOW_UPDATE)
			assert_true(r->packets_delta + r->reverse_packets_delta > 0);
	}
	count = 0;
}

static uint64_t walked;
static bool walk(void *arg, const struct weir_flow *r)
{
	(void)arg;
	walked += r->packets_delta + r->reverse_packets_delta;
	return true;
}

/* Between two rounds: added = emitted + in the store, with the queues empty. */
static void check_store(void)
{
	struct flow_stats s;

	flow_stats(t, &s);
	if (s.queued)
		return;
	walked = 0;
	flow_walk(t, walk, NULL);
	assert_int_equal(s.added_packets, s.emitted_packets + walked);
}

static void random_life(uint64_t from, int steps)
{
	seed = from;
	memset(model, 0, sizeof model);
	for (int i = 0; i < steps; i++) {
		uint32_t f = rnd(FLOWS);
		struct weir_flow_key k = random_key(f);
		struct weir_flow_delta d = random_delta();

		if (flow_add(t, &k, &d, NULL) == 0)
			model_add(f, &d);
		if (rnd(8) == 0) {
			room = rnd(3) ? -1 : (long)rnd(4);
			now += rnd(2) ? rnd(1000000000) : rnd(4) ? 0 : (uint64_t)rnd(90) * S;
			flow_work(t, now, rnd(2) ? ALL : 1);
			check_store();
			room = -1;
		}
		if (rnd(2000) == 0)
			flow_flush(t, now, rnd(2) ? ALL : 1, WEIR_END_FORCED);
		if (!rnd(20))
			flow_listening(t, 0, k.addr[rnd(2)], k.port[rnd(2)], k.proto, rnd(2));
		if (!rnd(50))
			flow_owner(t, rnd(100), &d);
		model_take();
	}
	fail_at = -1;
	while (flow_flush(t, now, ALL, WEIR_END_FORCED))
		;
	model_take();
	for (uint32_t i = 0; i < FLOWS; i++) {
		if (random_key(i).proto == 1)
			continue;
		for (int e = 0; e < 2; e++) {
			assert_int_equal(model[i].emitted[e], model[i].packets[e]);
			assert_int_equal(model[i].emitted_bytes[e], model[i].bytes[e]);
		}
	}
	balanced_with(0, 0);
}

static void test_whatever_comes_nothing_is_lost(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 20; s++) {
		o.capacity = s % 3 ? 1000 : 64;
		o.start_records = s % 2;
		begin();
		random_life(s, 20000);
		flow_table_free(t);
		t = NULL;
		assert_int_equal(blocks, 0);
	}
}

static void test_memory_may_fail_at_any_call(void **state)
{
	int rc = -ENOMEM;

	(void)state;
	o.capacity = 2000; /* several slabs */
	for (long n = 0; rc; n++) {
		fail_at = n;
		allocs = 0;
		rc = flow_table_new(&memory, &o, emit, NULL, NULL, &t);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(blocks, 0);
		}
	}
	for (long n = 0; n < 12; n++) {
		fail_at = n;
		allocs = 0;
		random_life((uint64_t)n + 100, 3000);
		flow_table_free(t);
		assert_int_equal(blocks, 0);
		begin();
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_whatever_comes_nothing_is_lost),
		T(test_memory_may_fail_at_any_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
