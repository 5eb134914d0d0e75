/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports that listen and the addresses that are ours, for directions. The ports: a small table
 * with open addressing, made when the first one comes. A listener on the wildcard address is one
 * for every address, on :: for IPv4 too (net.ipv6.bindv6only is 0 by default; where it is not, a
 * port that only IPv6 listens on and that IPv4 is a client of would be taken the wrong way round).
 *
 * Bound: 16 384 ports, of which three quarters are used; beyond it, or without memory, a port is
 * not known, and directions come from flags and port numbers as before.
 */
#include "flow_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t place_of(uint64_t netns, const uint8_t addr[16], uint16_t port, uint8_t proto)
{
	uint64_t a[2], h;

	memcpy(a, addr, 16);
	h = (netns ^ a[0] * 0x9e3779b97f4a7c15ull ^ a[1]) + ((uint64_t)proto << 16 | port);
	return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 40) % FLOW_LISTENERS;
}

/* Its entry, or the first free place (unused), or NULL when all is full. */
static struct flow_listener *find(const struct flow_table *t, uint64_t netns, const uint8_t addr[16],
                                  uint16_t port, uint8_t proto)
{
	uint32_t at = place_of(netns, addr, port, proto);

	for (uint32_t i = 0; i < FLOW_LISTENERS; i++, at = (at + 1) % FLOW_LISTENERS) {
		struct flow_listener *l = &t->listeners[at];

		if (!l->used || (l->netns == netns && l->port == port && l->proto == proto &&
		                 !memcmp(l->addr, addr, 16)))
			return l;
	}
	return NULL;
}

static void closed(struct flow_table *t, struct flow_listener *l)
{
	uint32_t hole = (uint32_t)(l - t->listeners), at = hole;

	if (--l->count)
		return;
	for (;;) {
		at = (at + 1) % FLOW_LISTENERS;
		l = &t->listeners[at];
		if (!l->used)
			break;
		uint32_t home = place_of(l->netns, l->addr, l->port, l->proto);
		if (hole <= at ? (hole < home && home <= at) : (hole < home || home <= at))
			continue;
		t->listeners[hole] = *l;
		hole = at;
	}
	memset(&t->listeners[hole], 0, sizeof t->listeners[hole]);
	t->listener_count--;
}

void flow_listening(struct flow_table *t, uint64_t netns, const uint8_t addr[16], uint16_t port,
                    uint8_t proto, bool open)
{
	struct flow_listener *l;

	if (!t->listeners) {
		if (!open)
			return;
		t->listeners = flow_alloc(t, NULL, FLOW_LISTENERS * sizeof *l);
		if (!t->listeners) {
			t->stats.lost_details++;
			return;
		}
		memset(t->listeners, 0, FLOW_LISTENERS * sizeof *l);
		t->stats.memory_bytes += FLOW_LISTENERS * sizeof *l;
	}
	l = find(t, netns, addr, port, proto);
	if (l && l->used && !open) {
		closed(t, l);
	} else if (l && l->used) {
		l->count++;
	} else if (open && l && t->listener_count < FLOW_LISTENERS / 4 * 3) {
		*l = (struct flow_listener){ .netns = netns, .port = port, .proto = proto, .used = 1,
		                             .count = 1 };
		memcpy(l->addr, addr, 16);
		t->listener_count++;
	} else if (open) {
		t->stats.lost_details++;
	}
}

bool flow_listens(const struct flow_table *t, uint64_t netns, const uint8_t addr[16], uint16_t port,
                  uint8_t proto)
{
	static const uint8_t any6[16], any4[16] = { [10] = 0xff, 0xff };
	const uint8_t *const tries[] = { addr, any6, memcmp(addr, any4, 12) ? NULL : any4 };
	const struct flow_listener *l;

	for (unsigned i = 0; i < 3; i++) {
		l = tries[i] ? find(t, netns, tries[i], port, proto) : NULL;
		if (l && l->used)
			return true;
	}
	return false;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

int flow_local(struct flow_table *t, const uint8_t (*addrs)[16], size_t count)
{
	uint32_t n = count > FLOW_LOCAL ? FLOW_LOCAL : (uint32_t)count;

	if (!t->local) {
		t->local = flow_alloc(t, NULL, FLOW_LOCAL * sizeof *t->local);
		if (!t->local)
			return -ENOMEM;
		t->stats.memory_bytes += FLOW_LOCAL * sizeof *t->local;
	}
	memcpy(t->local, addrs, n * sizeof *t->local);
	qsort(t->local, n, sizeof *t->local, compare);
	t->local_count = n;
	return 0;
}

bool flow_is_local(const struct flow_table *t, const uint8_t addr[16])
{
	return t->local_count && bsearch(addr, t->local, t->local_count, sizeof *t->local, compare);
}

void flow_listen_fini(struct flow_table *t)
{
	flow_free(t, t->local);
	t->local = NULL;
	flow_free(t, t->listeners);
	t->listeners = NULL;
}
