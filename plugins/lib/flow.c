/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow engine, first form: a list of flows, looked through for each update.
 */
#include "flow.h"

#include <errno.h>
#include <string.h>

struct flow {
	struct weir_flow_key key;
	struct weir_flow_delta sum;
};
struct flow_table {
	struct pkt_memory m;
	struct flow_options o;
	flow_emit_cb emit;
	void *arg;
	struct flow_stats stats;
	uint64_t count;
	struct flow *flows;
};

int flow_table_new(const struct pkt_memory *m, const struct flow_options *o, flow_emit_cb emit,
                   flow_keep_cb keep, void *arg, struct flow_table **ret)
{
	struct flow_table *t = m->realloc(m->arg, NULL, sizeof *t);

	(void)keep;
	if (!t)
		return -ENOMEM;
	*t = (struct flow_table){ .m = *m, .o = *o, .emit = emit, .arg = arg };
	*ret = t;
	return 0;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	struct pkt_memory m = t->m;
	if (t->flows)
		m.realloc(m.arg, t->flows, 0);
	m.realloc(m.arg, t, 0);
}

int flow_add(struct flow_table *t, const struct weir_flow_key *k, const struct weir_flow_delta *d,
             const struct flow_extra *x)
{
	struct flow *f;

	(void)x;
	for (uint64_t i = 0; i < t->count; i++) {
		f = &t->flows[i];
		if (memcmp(&f->key, k, sizeof *k))
			continue;
		for (int e = 0; e < 2; e++) {
			f->sum.packets[e] += d->packets[e];
			f->sum.bytes[e] += d->bytes[e];
		}
		return 0;
	}
	if (t->count == t->o.capacity)
		return -EAGAIN;
	f = t->m.realloc(t->m.arg, t->flows, (t->count + 1) * sizeof *f);
	if (!f)
		return -EAGAIN;
	t->flows = f;
	f[t->count++] = (struct flow){ *k, *d };
	return 0;
}

bool flow_work(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns)
{
	(void)t;
	(void)now_ns;
	(void)budget_ns;
	return false;
}

bool flow_flush(struct flow_table *t, uint64_t now_ns, uint64_t budget_ns, enum weir_flow_end_reason why)
{
	(void)now_ns;
	(void)budget_ns;
	while (t->count) {
		const struct flow *f = &t->flows[t->count - 1];
		struct weir_flow_record r = {
			.packets_total = f->sum.packets[0], .bytes_total = f->sum.bytes[0],
			.reverse_packets_total = f->sum.packets[1], .reverse_bytes_total = f->sum.bytes[1],
			.transport = f->key.proto, .event = WEIR_FLOW_END, .end_reason = (__u8)why };

		if (t->emit(t->arg, &r))
			return true;
		t->count--;
	}
	return false;
}

void flow_stats(const struct flow_table *t, struct flow_stats *ret)
{
	*ret = t->stats;
}

void flow_owner(struct flow_table *t, uint64_t cookie, const struct weir_flow_delta *owner)
{
	(void)t;
	(void)cookie;
	(void)owner;
}

void flow_listening(struct flow_table *t, uint64_t netns, const uint8_t addr[16], uint16_t port,
                    uint8_t proto, bool open)
{
	(void)t;
	(void)netns;
	(void)addr;
	(void)port;
	(void)proto;
	(void)open;
}

void flow_walk(struct flow_table *t, flow_walk_cb cb, void *arg)
{
	(void)t;
	(void)cb;
	(void)arg;
}
