/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sockets share: a sink that adds up, on a heap that can fail. One program
 * includes it once. */
#ifndef TEST_SOCK_H
#define TEST_SOCK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "procnet.h"

#define SECOND 1000000000ull

struct heap {
	long blocks, fail_at;
};

static void *heap_realloc(void *arg, void *ptr, size_t size)
{
	struct heap *h = arg;

	if (!size) {
		h->blocks -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (!h->fail_at--)
		return NULL;
	h->blocks += ptr == NULL;
	return realloc(ptr, size);
}

/* What the sink got, by direction; and of the last delta. */
static struct {
	struct heap heap;
	uint64_t packets[2], bytes[2], retransmits, calls;
	unsigned closed, opens, shuts, owners;
	struct weir_flow_delta last;
	struct weir_flow_key key;
	uint16_t port;                 /* count only what has this port at its peer; 0: all */
	bool refuse;
} got;

static int flow(void *arg, const struct weir_flow_key *k, const struct weir_flow_delta *d,
                const struct flow_extra *x)
{
	(void)arg;
	assert_true(x->approx);
	assert_int_equal(k->scope, WEIR_FLOW_HOST);
	if (got.refuse)
		return -EAGAIN;
	if (got.port && k->port[1] != got.port)
		return 0;
	for (int i = 0; i < 2; i++) {
		got.packets[i] += d->packets[i];
		got.bytes[i] += d->bytes[i];
	}
	got.retransmits += d->retransmits;
	got.closed += !!(d->bits & WEIR_FLOW_CLOSED);
	got.calls++;
	got.last = *d;
	got.key = *k;
	return 0;
}

static void owner(void *arg, uint64_t cookie, const struct weir_flow_delta *d)
{
	(void)arg;
	assert_true(cookie && d->pid);
	got.owners++;
}

static void on_listen(void *arg, const struct weir_flow_listen *l)
{
	(void)arg;
	if (l->open)
		got.opens++;
	else
		got.shuts++;
}

static const struct sock_sink sink = { .flow = flow, .owner = owner, .listen = on_listen };

static int setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof got);
	got.heap.fail_at = -1;
	return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

#endif
