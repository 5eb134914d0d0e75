/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to look at a flow again: a timing wheel of one turn, whose entries are never moved.
 *
 * A packet does not touch the wheel. When a row's time comes its real deadline is looked at,
 * and it is armed anew if that is later. No row is armed further ahead than the horizon, the
 * shortest of all timeouts; so a row whose flow closes, or that is given to another flow, is
 * looked at before its new deadline, wherever it stands. That costs one look at each flow per
 * horizon (5 s), and saves a back link in each row and a move for each packet.
 * Invariant: a row that is in use is in exactly one slot, or is the one being looked at.
 */
#include "flow_priv.h"

#define HORIZON_MIN 1000000000ull   /* shorter timeouts are kept to that */
#define HORIZON_MAX 60000000000ull

void flow_wheel_init(struct flow_table *t)
{
	const uint64_t all[] = { t->o.generic_timeout,    t->o.icmp_timeout,    t->o.tcp_timeout,
				 t->o.tcp_fin_timeout,    t->o.tcp_rst_timeout, t->o.udp_timeout,
				 t->o.max_record_interval };

	t->horizon_ns = HORIZON_MAX;
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] < t->horizon_ns)
			t->horizon_ns = all[i];
	if (t->horizon_ns < HORIZON_MIN)
		t->horizon_ns = HORIZON_MIN;
	t->tick_ns = t->horizon_ns / (FLOW_WHEEL / 2);
}

static uint64_t now_tick(const struct flow_table *t)
{
	return t->now / t->tick_ns;
}

void flow_wheel_arm(struct flow_table *t, uint32_t id, uint64_t at_ns)
{
	uint64_t tick, now = now_tick(t);

	if (!t->wheel_started) {
		t->wheel_started = true;
		t->wheel_tick = now;
	}
	if (at_ns > t->now + t->horizon_ns)
		at_ns = t->now + t->horizon_ns;
	tick = at_ns / t->tick_ns + 1;
	if (tick <= t->wheel_tick)
		tick = t->wheel_tick + 1;
	if (tick > t->wheel_tick + FLOW_WHEEL - 1)
		tick = t->wheel_tick + FLOW_WHEEL - 1;
	flow_row(t, id)->next = t->wheel[tick % FLOW_WHEEL];
	t->wheel[tick % FLOW_WHEEL] = id;
}

uint32_t flow_wheel_due(struct flow_table *t)
{
	uint64_t now = now_tick(t);
	uint32_t id;

	if (!t->wheel_started || now <= t->wheel_tick)
		return 0;
	/* A jump of more than a turn: every slot once is all there is. */
	if (now - t->wheel_tick > FLOW_WHEEL)
		t->wheel_tick = now - FLOW_WHEEL;
	while (t->wheel_tick < now) {
		id = t->wheel[(t->wheel_tick + 1) % FLOW_WHEEL];
		if (id) {
			t->wheel[(t->wheel_tick + 1) % FLOW_WHEEL] = flow_row(t, id)->next;
			return id;
		}
		t->wheel_tick++;
	}
	return 0;
}

void flow_wheel_again(struct flow_table *t, uint32_t id)
{
	uint32_t *slot = &t->wheel[(t->wheel_tick + 1) % FLOW_WHEEL];

	flow_row(t, id)->next = *slot;
	*slot = id;
}
