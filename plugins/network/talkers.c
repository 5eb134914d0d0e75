/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query talkers: the live flows summed up by process, peer or port.
 *
 * Bound: 4096 different ones; the flows of further ones are in one row without a name. What may
 * fail: memory for that table.
 */
#include "query.h"

#include "flow_names.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define TALKERS 4096
#define SLOTS (2 * TALKERS)

struct talker {
	uint8_t key[24];            /* address; or port and transport; or pid and comm */
	uint64_t flows, packets[2], bytes[2], retransmits; /* forward, reverse */
	bool used;
};
struct table {
	struct weir_plugin *p;
	const struct talkers_args *args;
	struct talker slots[SLOTS], other;
	uint32_t count;
};

void net_print_address(const uint8_t a[16], char ret[46])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	bool v4 = !memcmp(a, mapped, 12);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a + 12 : a, ret, 46))
		ret[0] = 0;
}

static void key_of(uint32_t by, const struct weir_flow *r, uint8_t key[24])
{
	memset(key, 0, 24);
	if (by == BY_PROCESS) {
		memcpy(key, &r->pid, sizeof r->pid);
		memcpy(key + 8, r->comm, sizeof r->comm);
	} else if (by == BY_PEER) {
		/* The other end of this node's; where that is not known, the responder. */
		memcpy(key,
		       r->direction == WEIR_DIR_SERVER ? r->source_address : r->destination_address,
		       16);
	} else {
		memcpy(key, &r->destination_port, sizeof r->destination_port);
		key[2] = r->transport;
	}
}

static struct talker *find(struct table *t, const uint8_t key[24])
{
	uint32_t h = 2166136261u;

	for (int i = 0; i < 24; i++)
		h = (h ^ key[i]) * 16777619u;
	for (;; h++) {
		struct talker *k = &t->slots[h % SLOTS];

		if (k->used && !memcmp(k->key, key, 24))
			return k;
		if (k->used)
			continue;
		if (t->count == TALKERS)
			return &t->other;
		t->count++;
		k->used = true;
		memcpy(k->key, key, 24);
		return k;
	}
}

static bool add(void *arg, const struct weir_flow *r)
{
	struct table *t = arg;
	struct talker *k;
	uint8_t key[24];

	key_of(t->args->by, r, key);
	k = find(t, key);
	k->flows++;
	k->packets[0] += r->packets_total;
	k->packets[1] += r->reverse_packets_total;
	k->bytes[0] += r->bytes_total;
	k->bytes[1] += r->reverse_bytes_total;
	k->retransmits += r->retransmits;
	return true;
}

static uint64_t value(const struct talker *k, uint32_t sort)
{
	const uint64_t v[] = { k->bytes[0] + k->bytes[1], k->packets[0] + k->packets[1], k->flows,
		k->retransmits };

	return v[sort];
}

static int by_value(const void *a, const void *b, void *arg)
{
	const struct talkers_args *args = arg;
	const struct talker *x = a, *y = b;

	if (x->used != y->used)
		return x->used ? -1 : 1;
	uint64_t vx = value(x, args->sort), vy = value(y, args->sort);
	return vx != vy ? (vx < vy ? 1 : -1) : memcmp(x->key, y->key, sizeof x->key);
}

static void print_key(struct weir_plugin *p, struct weir_out *out, uint32_t by,
		      const struct talker *k)
{
	char text[46];
	uint32_t pid;
	uint16_t port;
	const char *transport;

	if (!k->used) {
		weir_printf(p, out, "\"other\"");
	} else if (by == BY_PROCESS) {
		memcpy(&pid, k->key, sizeof pid);
		snprintf(text, sizeof text, "%u %.16s", pid, (const char *)k->key + 8);
		p->host->out_json_string(out, pid ? text : "", sizeof text);
		weir_printf(p, out, ",\"pid\":%u,\"comm\":", pid);
		p->host->out_json_string(out, (const char *)k->key + 8, 16);
	} else if (by == BY_PEER) {
		net_print_address(k->key, text);
		weir_printf(p, out, "\"%s\"", text);
	} else {
		memcpy(&port, k->key, sizeof port);
		transport = flow_transport_name(k->key[2]);
		snprintf(text, sizeof text, "%u", k->key[2]);
		weir_printf(p, out, "\"%u/%s\",\"port\":%u", port, transport ? transport : text,
			    port);
	}
}

static void print(struct weir_plugin *p, struct weir_out *out, uint32_t by, const struct talker *k)
{
	weir_printf(p, out, "{\"key\":");
	print_key(p, out, by, k);
	weir_printf(p, out,
		    ",\"flows\":%llu,\"packets\":%llu,\"reverse_packets\":%llu,\"bytes\":%llu,"
		    "\"reverse_bytes\":%llu,\"retransmits\":%llu}",
		    (unsigned long long)k->flows, (unsigned long long)k->packets[0],
		    (unsigned long long)k->packets[1], (unsigned long long)k->bytes[0],
		    (unsigned long long)k->bytes[1], (unsigned long long)k->retransmits);
}

int net_answer_talkers(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct network *n = weir_state(p);
	const struct talkers_args *a = args;
	struct table *t = weir_alloc(p, sizeof *t);
	const char *comma = "";

	if (!t)
		return weir_fail(p, -ENOMEM, "no memory for the answer");
	memset(t, 0, sizeof *t);
	t->p = p;
	t->args = a;
	flow_walk(n->flows, add, t);
	qsort_r(t->slots, SLOTS, sizeof t->slots[0], by_value, (void *)(uintptr_t)a);
	weir_printf(p, out, "[");
	for (uint32_t i = 0; i < t->count && i < a->limit; i++, comma = ",") {
		weir_printf(p, out, "%s", comma);
		print(p, out, a->by, &t->slots[i]);
	}
	if (t->other.flows) {
		weir_printf(p, out, "%s", comma);
		print(p, out, a->by, &t->other);
	}
	weir_printf(p, out, "]\n");
	weir_free(p, t);
	return 0;
}
