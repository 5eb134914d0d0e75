/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of match.h: entries in one array, found by a hash over what both directions
 * share (addresses, ports, transport, id), in chains; open ones in a list by newest query,
 * answered ones in a list by answer, so that what expires first stands at the head.
 *
 * The namespace is compared, not hashed: a source that does not know it says 0, which fits
 * any, so that a transaction survives a change of source.
 */
#include "match.h"

#include <errno.h>
#include <string.h>

#define NONE UINT32_MAX
/* Answered entries are kept for duplicates, which follow within milliseconds. Few, so that
 * their memory stays in the cache. */
#define ANSWERED_MAX 1024
#define TRUNCATED_MAX 256
#define EARLY_MAX 64
/* What is kept of a response that came before its query: header, question, and what fits. */
#define EARLY_BYTES 1232

enum state { FREE, OPEN, ANSWERED };

struct entry {
	uint32_t chain, prev, next;
	uint8_t state;
	uint32_t bucket;
	uint64_t name_hash, done_ns;
	uint32_t answered_on;   /* interface of the response */
	uint8_t answered_via;
	struct dns_query q;
};

struct list {
	uint32_t head, tail, count;
};

struct truncated {
	uint64_t name_hash, first_ns, done_ns, netns;
	uint8_t client[16], server[16];
	uint16_t type;
	bool used;
};

struct early {
	struct dns_seen seen;
	uint32_t have, len;
	bool used;
	uint8_t data[EARLY_BYTES];
};

struct dns_match {
	struct pkt_memory mem;
	struct dns_match_options o;
	dns_finish_cb finish;
	void *arg;
	struct entry *entries;
	uint32_t *buckets, mask, free;
	struct list open, answered;
	uint64_t epoch;
	struct dns_match_stats stats;
	struct truncated truncated[TRUNCATED_MAX];
	uint32_t truncated_next, truncated_count;
	struct early *early;
	uint32_t early_count;
};

/* ---- table -------------------------------------------------------------------- */

static void unlink_from(struct dns_match *m, struct list *l, uint32_t i)
{
	struct entry *e = &m->entries[i];

	if (e->prev == NONE)
		l->head = e->next;
	else
		m->entries[e->prev].next = e->next;
	if (e->next == NONE)
		l->tail = e->prev;
	else
		m->entries[e->next].prev = e->prev;
	l->count--;
}

static void append(struct dns_match *m, struct list *l, uint32_t i)
{
	struct entry *e = &m->entries[i];

	e->next = NONE;
	e->prev = l->tail;
	if (l->tail == NONE)
		l->head = i;
	else
		m->entries[l->tail].next = i;
	l->tail = i;
	l->count++;
}

static void release(struct dns_match *m, uint32_t i)
{
	struct entry *e = &m->entries[i];
	uint32_t *at = &m->buckets[e->bucket];

	unlink_from(m, e->state == OPEN ? &m->open : &m->answered, i);
	while (*at != i)
		at = &m->entries[*at].chain;
	*at = e->chain;
	e->state = FREE;
	e->next = m->free;
	m->free = i;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint32_t bucket_of(const struct dns_match *m, const uint8_t *client, const uint8_t *server,
                          uint16_t cport, uint16_t sport, uint8_t transport, uint16_t id)
{
	uint64_t h = mix(load64(client), load64(client + 8));

	h = mix(h, load64(server));
	h = mix(h, load64(server + 8));
	h = mix(h, (uint64_t)cport << 40 | (uint64_t)sport << 24 | (uint64_t)transport << 16 | id);
	return (uint32_t)(h >> 32) & m->mask;
}

struct key {
	const uint8_t *client, *server;
	uint16_t cport, sport, id, type;
	uint8_t transport;
	bool any;               /* name and type are not known */
	uint64_t netns, name_hash;
	const struct dns_name *name;
	uint32_t bucket;
};

static struct key key_of(const struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	bool query = !(msg->flags & DNS_QR);
	struct key k = { .client = query ? s->src : s->dst, .server = query ? s->dst : s->src,
		.cport = query ? s->sport : s->dport, .sport = query ? s->dport : s->sport,
		.id = msg->id, .type = msg->qtype, .transport = s->transport,
		.any = !query && !msg->count[DNS_QUESTION], .netns = s->netns, .name = &msg->qname };

	k.name_hash = dns_name_hash(&msg->qname);
	k.bucket = bucket_of(m, k.client, k.server, k.cport, k.sport, k.transport, k.id);
	return k;
}

static bool fits(const struct entry *e, const struct key *k)
{
	const struct dns_seen *s = &e->q.seen;

	return e->q.id == k->id && s->sport == k->cport && s->dport == k->sport &&
	       s->transport == k->transport && !memcmp(s->src, k->client, 16) &&
	       !memcmp(s->dst, k->server, 16) && (s->netns == k->netns || !s->netns || !k->netns) &&
	       (k->any || (e->name_hash == k->name_hash && e->q.type == k->type &&
	                   dns_name_equal(&e->q.name, k->name)));
}

/* The open entry of this key, else an answered one, else NONE. */
static uint32_t find(const struct dns_match *m, const struct key *k)
{
	uint32_t answered = NONE;

	for (uint32_t i = m->buckets[k->bucket]; i != NONE; i = m->entries[i].chain) {
		if (!fits(&m->entries[i], k))
			continue;
		if (m->entries[i].state == OPEN)
			return i;
		answered = i;
	}
	return answered;
}

static void finish(struct dns_match *m, enum weir_dns_outcome outcome, struct dns_query *q,
                   const struct dns_seen *seen, const struct dns_msg *response)
{
	if (outcome == WEIR_DNS_TIMEOUT || outcome == WEIR_DNS_UNSOLICITED || outcome == WEIR_DNS_OPEN)
		q->approx = q->approx || q->epoch != m->epoch;
	m->stats.outcomes[outcome]++;
	m->finish(m->arg, outcome, q, seen, response);
}

static uint32_t take(struct dns_match *m)
{
	uint32_t i;

	if (m->free == NONE) {
		i = m->answered.head;
		if (i == NONE) {
			i = m->open.head; /* full of open ones: the longest open goes */
			finish(m, WEIR_DNS_EVICTED, &m->entries[i].q, NULL, NULL);
		}
		release(m, i);
	}
	i = m->free;
	m->free = m->entries[i].next;
	return i;
}

/* ---- truncated over UDP, then asked over TCP ------------------------------------- */

static void truncated_add(struct dns_match *m, const struct entry *e)
{
	struct truncated *t = &m->truncated[m->truncated_next++ % TRUNCATED_MAX];

	m->truncated_count += !t->used;
	*t = (struct truncated){ .name_hash = e->name_hash, .first_ns = e->q.wait_from_ns,
		.done_ns = e->done_ns, .netns = e->q.seen.netns, .type = e->q.type, .used = true };
	memcpy(t->client, e->q.seen.src, 16);
	memcpy(t->server, e->q.seen.dst, 16);
}

static void truncated_take(struct dns_match *m, struct entry *e)
{
	if (!m->truncated_count)
		return;
	for (uint32_t i = 0; i < TRUNCATED_MAX; i++) {
		struct truncated *t = &m->truncated[i];

		if (!t->used)
			continue;
		if ((int64_t)(e->q.first_ns - t->done_ns) > (int64_t)m->o.timeout_ns) {
			t->used = false;
			m->truncated_count--;
			continue;
		}
		if (t->name_hash != e->name_hash || t->type != e->q.type ||
		    (t->netns && e->q.seen.netns && t->netns != e->q.seen.netns) ||
		    memcmp(t->client, e->q.seen.src, 16) || memcmp(t->server, e->q.seen.dst, 16))
			continue;
		t->used = false;
		m->truncated_count--;
		m->stats.tcp_retries++;
		e->q.tcp_retry = true;
		e->q.wait_from_ns = t->first_ns;
		return;
	}
}

/* ---- messages ------------------------------------------------------------------- */

static void query_of(struct dns_query *q, const struct dns_seen *s, const struct dns_msg *msg,
                     uint64_t epoch)
{
	memset(q, 0, offsetof(struct dns_query, name));
	q->seen = *s;
	q->first_ns = q->wait_from_ns = s->time_ns;
	q->epoch = epoch;
	q->id = msg->id;
	q->flags = msg->flags;
	q->type = msg->qtype;
	q->class_ = msg->qclass;
	memcpy(q->count, msg->count, sizeof q->count);
	q->bytes = msg->len;
	q->edns = msg->edns;
	q->name.len = msg->qname.len;
	memcpy(q->name.wire, msg->qname.wire, msg->qname.len);
}

/* A response that belongs to no query, as if it had one: the client is its receiver. */
static void orphan(struct dns_match *m, enum weir_dns_outcome outcome, const struct dns_seen *s,
                   const struct dns_msg *msg)
{
	struct dns_query q;

	query_of(&q, s, msg, m->epoch);
	q.none = true;
	memcpy(q.seen.src, s->dst, 16);
	memcpy(q.seen.dst, s->src, 16);
	q.seen.sport = s->dport;
	q.seen.dport = s->sport;
	q.edns = (struct dns_edns){ 0 };
	q.bytes = 0;
	finish(m, outcome, &q, s, msg);
}

static void answer(struct dns_match *m, uint32_t i, const struct dns_seen *s, const struct dns_msg *msg)
{
	struct entry *e = &m->entries[i];

	finish(m, WEIR_DNS_ANSWERED, &e->q, s, msg);
	unlink_from(m, &m->open, i);
	e->state = ANSWERED;
	e->done_ns = s->time_ns;
	e->answered_on = s->ifindex;
	e->answered_via = s->via;
	append(m, &m->answered, i);
	if (m->answered.count > ANSWERED_MAX)
		release(m, m->answered.head);
	if (msg->flags & DNS_TC && s->transport == WEIR_DNS_UDP)
		truncated_add(m, e);
}

/* A response before its query can only be one from another ring, or another capture file. */
static void early_keep(struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	for (uint32_t i = 0; m->early && msg->have <= EARLY_BYTES && i < EARLY_MAX; i++) {
		struct early *y = &m->early[i];

		if (y->used)
			continue;
		y->used = true;
		y->seen = *s;
		y->have = msg->have;
		y->len = msg->len;
		memcpy(y->data, msg->data, msg->have);
		m->early_count++;
		return;
	}
	orphan(m, WEIR_DNS_UNSOLICITED, s, msg);
}

static void early_expire(struct dns_match *m, uint64_t now, bool all)
{
	for (uint32_t i = 0; m->early_count && i < EARLY_MAX; i++) {
		struct early *y = &m->early[i];
		struct dns_msg msg;

		if (!y->used || (!all && (int64_t)(now - y->seen.time_ns) < (int64_t)m->o.early_ns))
			continue;
		y->used = false;
		m->early_count--;
		dns_parse(y->data, y->have, y->len, &msg);
		orphan(m, WEIR_DNS_UNSOLICITED, &y->seen, &msg);
	}
}

/* Has the answer to this new query been here already? */
static void early_answer(struct dns_match *m, uint32_t at)
{
	for (uint32_t i = 0; i < EARLY_MAX; i++) {
		struct early *y = &m->early[i];
		struct dns_msg msg;
		struct key k;

		if (!y->used || (int64_t)(y->seen.time_ns - m->entries[at].q.seen.time_ns) < 0)
			continue;
		dns_parse(y->data, y->have, y->len, &msg);
		k = key_of(m, &y->seen, &msg);
		if (!fits(&m->entries[at], &k))
			continue;
		y->used = false;
		m->early_count--;
		m->stats.early++;
		answer(m, at, &y->seen, &msg);
		return;
	}
}

/* Has the other of two sources that hand over met the same message? */
static bool met_by_both(uint8_t via, uint64_t then_ns, const struct dns_seen *s)
{
	int64_t apart = (int64_t)(s->time_ns - then_ns);

	return via != s->via && apart < 2 * (int64_t)DNS_OVERLAP_NS && apart > -2 * (int64_t)DNS_OVERLAP_NS;
}

static void on_query(struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	struct key k = key_of(m, s, msg);
	uint32_t i = find(m, &k);
	struct entry *e;

	if (i != NONE) {
		e = &m->entries[i];
		/* The same packet on its way through another interface is no second question. */
		if ((e->q.seen.ifindex != s->ifindex && e->q.seen.netns == s->netns &&
		     (int64_t)(s->time_ns - e->q.seen.time_ns) < (int64_t)m->o.timeout_ns / 50) ||
		    met_by_both(e->q.seen.via, e->q.seen.time_ns, s)) {
			m->stats.copies++;
			return;
		}
		if (e->state == OPEN) {
			m->stats.retries++;
			e->q.retries += e->q.retries < UINT16_MAX;
			e->q.seen.time_ns = s->time_ns;
			unlink_from(m, &m->open, i);
			append(m, &m->open, i);
			return;
		}
		release(m, i); /* the id is used anew */
	}
	i = take(m);
	e = &m->entries[i];
	query_of(&e->q, s, msg, m->epoch);
	e->name_hash = k.name_hash;
	e->state = OPEN;
	e->bucket = k.bucket;
	e->chain = m->buckets[k.bucket];
	m->buckets[k.bucket] = i;
	append(m, &m->open, i);
	if (s->transport == WEIR_DNS_TCP)
		truncated_take(m, e);
	if (m->early_count)
		early_answer(m, i);
}

static void on_response(struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	struct key k = key_of(m, s, msg);
	uint32_t i = find(m, &k);
	struct entry *e;

	if (i == NONE) {
		if (m->o.early_ns)
			early_keep(m, s, msg);
		else
			orphan(m, WEIR_DNS_UNSOLICITED, s, msg);
		return;
	}
	e = &m->entries[i];
	if (e->state == OPEN) {
		answer(m, i, s, msg);
		return;
	}
	if ((e->answered_on != s->ifindex && e->q.seen.netns == s->netns) ||
	    met_by_both(e->answered_via, e->done_ns, s)) {
		m->stats.response_copies++;
		return;
	}
	orphan(m, WEIR_DNS_DUPLICATE, s, msg);
}

bool dns_is_multicast(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(a, mapped, sizeof mapped))
		return a[0] == 0xff;
	return a[12] >> 4 == 14 || (a[12] & a[13] & a[14] & a[15]) == 0xff;
}

/* mDNS, LLMNR and NetBIOS: to a group or to all, or the unicast reply to such a message. */
static bool unpaired(const struct dns_seen *s)
{
	return s->transport == WEIR_DNS_UDP &&
	       (dns_is_multicast(s->dst) || s->dport == 137 || s->sport == 137);
}

static bool of_group_port(const struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	struct key k;

	if (s->transport != WEIR_DNS_UDP || (s->sport != 5353 && s->sport != 5355))
		return false;
	k = key_of(m, s, msg);
	return find(m, &k) == NONE; /* else a plain server on that port */
}

void dns_match_message(struct dns_match *m, const struct dns_seen *s, const struct dns_msg *msg)
{
	bool response = msg->flags & DNS_QR;

	if (response)
		m->stats.responses++;
	else
		m->stats.queries++;
	if (unpaired(s) || (response && of_group_port(m, s, msg))) {
		struct dns_query q;

		if (s->theirs) { /* never paired, so nothing else tells that it is in both */
			m->stats.copies += !response;
			m->stats.response_copies += response;
			return;
		}
		if (response) {
			orphan(m, WEIR_DNS_MULTICAST, s, msg);
			return;
		}
		m->stats.multicast_queries++;
		query_of(&q, s, msg, m->epoch);
		finish(m, WEIR_DNS_MULTICAST, &q, NULL, NULL);
	} else if (response) {
		on_response(m, s, msg);
	} else {
		on_query(m, s, msg);
	}
}

bool dns_match_expire(struct dns_match *m, uint64_t now, unsigned max)
{
	if (m->early_count)
		early_expire(m, now, false);
	for (; max; max--) {
		uint32_t i = m->answered.head;

		if (i == NONE || (int64_t)(now - m->entries[i].done_ns) < (int64_t)m->o.timeout_ns)
			break;
		release(m, i);
	}
	for (; max; max--) {
		uint32_t i = m->open.head;

		if (i == NONE || (int64_t)(now - m->entries[i].q.seen.time_ns) < (int64_t)m->o.timeout_ns)
			return false;
		finish(m, WEIR_DNS_TIMEOUT, &m->entries[i].q, NULL, NULL);
		release(m, i);
	}
	return true;
}

void dns_match_flush(struct dns_match *m, enum weir_dns_outcome why)
{
	early_expire(m, 0, true);
	while (m->open.head != NONE) {
		finish(m, why, &m->entries[m->open.head].q, NULL, NULL);
		release(m, m->open.head);
	}
	while (m->answered.head != NONE)
		release(m, m->answered.head);
}

uint64_t dns_match_next(const struct dns_match *m)
{
	return m->open.head == NONE ? UINT64_MAX
	                            : m->entries[m->open.head].q.seen.time_ns + m->o.timeout_ns;
}

void dns_match_lost(struct dns_match *m)
{
	m->epoch++;
}

void dns_match_stats(const struct dns_match *m, struct dns_match_stats *ret)
{
	*ret = m->stats;
	ret->open = m->open.count;
}

/* ---- life ------------------------------------------------------------------------ */

static void *allocate(struct dns_match *m, size_t size)
{
	return m->mem.realloc(m->mem.arg, NULL, size);
}

int dns_match_new(const struct pkt_memory *mem, const struct dns_match_options *o,
                  dns_finish_cb cb, void *arg, struct dns_match **ret)
{
	struct dns_match *m = mem->realloc(mem->arg, NULL, sizeof *m);
	uint32_t size = 1;

	if (!m)
		return -ENOMEM;
	*m = (struct dns_match){ .mem = *mem, .o = *o, .finish = cb, .arg = arg,
		.open = { NONE, NONE, 0 }, .answered = { NONE, NONE, 0 } };
	while (size < o->capacity)
		size *= 2;
	m->mask = size - 1;
	m->entries = allocate(m, sizeof *m->entries * o->capacity);
	m->buckets = allocate(m, sizeof *m->buckets * size);
	if (o->early_ns)
		m->early = allocate(m, sizeof *m->early * EARLY_MAX);
	if (!m->entries || !m->buckets || (o->early_ns && !m->early)) {
		dns_match_free(m);
		return -ENOMEM;
	}
	memset(m->buckets, 0xff, sizeof *m->buckets * size);
	for (uint32_t i = 0; i < o->capacity; i++) {
		m->entries[i].state = FREE;
		m->entries[i].next = i + 1 < o->capacity ? i + 1 : NONE;
	}
	m->free = 0;
	for (uint32_t i = 0; m->early && i < EARLY_MAX; i++)
		m->early[i].used = false;
	*ret = m;
	return 0;
}

static void release_memory(struct dns_match *m, void *p)
{
	if (p)
		m->mem.realloc(m->mem.arg, p, 0);
}

void dns_match_free(struct dns_match *m)
{
	if (!m)
		return;
	release_memory(m, m->early);
	release_memory(m, m->buckets);
	release_memory(m, m->entries);
	release_memory(m, m);
}
