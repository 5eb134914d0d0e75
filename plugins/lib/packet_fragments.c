/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of fragmented datagrams: the first fragment has them, the others only an id.
 *
 * Happy path: the first fragment is kept, later ones find it. Failure: a later one that comes
 * before the first, or after 30 s, or whose first was pushed out, has no ports.
 * Bounds: what the caller asked for, in sets of eight; in a full set the oldest goes, so a lookup
 * is eight comparisons, whatever ids an attacker sends. Threads: as its owner.
 */
#include "packet_walk.h"

#include <errno.h>
#include <string.h>

#define WAYS 8
#define ENTRIES_MAX (1u << 20)
#define AGE_NS 30000000000ull /* net.ipv4.ipfrag_time: after that nobody puts it together */

struct key {
	uint8_t src[16], dst[16];
	uint32_t id;
	uint8_t version, proto, zero[2];
};
struct entry {
	struct key key;
	uint64_t time_ns;   /* 0: free */
	uint16_t sport, dport;
	uint32_t spi;
	uint8_t proto, icmp_type, icmp_code;
	bool has_ports;
};
struct pkt_fragments {
	struct pkt_memory m;
	uint32_t mask;      /* sets - 1 */
	struct entry sets[][WAYS];
};

int pkt_fragments_new(const struct pkt_memory *m, uint32_t entries, struct pkt_fragments **ret)
{
	struct pkt_fragments *f;
	size_t sets = 1, size;

	if (!entries || entries > ENTRIES_MAX)
		return -EINVAL;
	while (sets * WAYS < entries)
		sets *= 2;
	size = sizeof *f + sets * sizeof f->sets[0];
	f = m->realloc(m->arg, NULL, size);
	if (!f)
		return -ENOMEM;
	memset(f, 0, size);
	f->m = *m;
	f->mask = (uint32_t)sets - 1;
	*ret = f;
	return 0;
}

void pkt_fragments_free(struct pkt_fragments *f)
{
	struct pkt_memory m;

	if (!f)
		return;
	m = f->m;
	m.realloc(m.arg, f, 0);
}

static void make_key(const struct pkt_walk *w, const struct pkt_layer *l, struct key *ret)
{
	memset(ret, 0, sizeof *ret);
	memcpy(ret->src, l->src, 16);
	memcpy(ret->dst, l->dst, 16);
	ret->id = l->frag_id;
	ret->version = l->version;
	ret->proto = w->raw_proto;
}

static struct entry *set_of(struct pkt_fragments *f, const struct key *k)
{
	const uint8_t *d = (const uint8_t *)k;
	uint32_t h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof *k; i++)
		h = (h ^ d[i]) * 16777619u;
	return f->sets[(h ^ h >> 16) & f->mask];
}

void pkt__fragment_keep(struct pkt_walk *w, const struct pkt_layer *l)
{
	struct entry *set, *e;
	struct key k;

	if (!w->f)
		return;
	make_key(w, l, &k);
	e = set = set_of(w->f, &k);
	for (int i = 0; i < WAYS; i++) {
		if (set[i].time_ns && !memcmp(&set[i].key, &k, sizeof k)) {
			e = &set[i];
			break;
		}
		if (set[i].time_ns < e->time_ns)
			e = &set[i];
	}
	*e = (struct entry){ .key = k, .time_ns = w->now_ns ? w->now_ns : 1,
	                     .sport = l->sport, .dport = l->dport, .spi = l->spi, .proto = l->proto,
	                     .icmp_type = l->icmp_type, .icmp_code = l->icmp_code,
	                     .has_ports = l->has_ports };
}

void pkt__fragment_find(struct pkt_walk *w, struct pkt_layer *l)
{
	const struct entry *set;
	struct key k;

	if (!w->f)
		return;
	make_key(w, l, &k);
	set = set_of(w->f, &k);
	for (int i = 0; i < WAYS; i++) {
		const struct entry *e = &set[i];

		if (!e->time_ns || memcmp(&e->key, &k, sizeof k))
			continue;
		if (w->now_ns > e->time_ns && w->now_ns - e->time_ns > AGE_NS)
			return;
		l->sport = e->sport;
		l->dport = e->dport;
		l->spi = e->spi;
		l->proto = e->proto;
		l->icmp_type = e->icmp_type;
		l->icmp_code = e->icmp_code;
		l->has_ports = e->has_ports;
		return;
	}
}
