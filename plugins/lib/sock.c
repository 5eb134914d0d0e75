/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sockets and their last counts. See sock.h for what is counted and how exactly.
 *
 * A socket that the kernel lists no more is not yet dead: one that was reset stays until its
 * process closes it, and says its last word then. So its flow ends after two rounds without it,
 * and its counts are kept until that word comes or the room is needed; else that word
 * would be taken for all of a new socket's.
 * Failure modes, threads: sock.h.
 */
#include "sock_priv.h"

#include <errno.h>
#include <string.h>

#define ROOM_FIRST 1024u
#define KEEPALIVE_NS 10000000000ull  /* sockets without counts: half of TCP's default timeout */
#define TCP_LISTEN_ 10
#define TCP_SYN_SENT_ 2
#define TCP_SYN_RECV_ 3

/* ---- the table ---------------------------------------------------------------- */

static uint32_t *slot_of(struct sock_table *t, uint64_t id)
{
	return &t->slot[(id * 0x9e3779b97f4a7c15ull >> 32) & (t->room - 1)];
}

static struct sock_entry *find(struct sock_table *t, uint64_t id)
{
	for (uint32_t i = t->room ? *slot_of(t, id) : SOCK_NONE; i != SOCK_NONE; i = t->entry[i].next)
		if (t->entry[i].id == id)
			return &t->entry[i];
	return NULL;
}

static void link_in(struct sock_table *t, uint32_t i)
{
	uint32_t *slot = slot_of(t, t->entry[i].id);

	t->entry[i].next = *slot;
	*slot = i;
}

static int grow(struct sock_table *t)
{
	uint32_t room = t->room ? t->room * 2 : ROOM_FIRST;
	struct sock_entry *entry;
	uint32_t *slot;

	if (room > t->capacity)
		return -ENOSPC;
	sock_scan_end(t); /* it holds places of entries */
	slot = t->m.realloc(t->m.arg, t->slot, room * sizeof *slot);
	if (!slot)
		return -ENOMEM;
	t->slot = slot;
	entry = t->m.realloc(t->m.arg, t->entry, room * sizeof *entry);
	if (entry) {
		t->entry = entry;
		memset(entry + t->room, 0, (room - t->room) * sizeof *entry);
		t->room = room;
	}
	memset(slot, 0xff, t->room * sizeof *slot);
	for (uint32_t i = 0; i < t->used; i++)
		if (t->entry[i].flags & SOCK_USED)
			link_in(t, i);
	return entry ? 0 : -ENOMEM;
}

static void drop(struct sock_table *t, struct sock_entry *e)
{
	uint32_t i = (uint32_t)(e - t->entry), *at;

	for (at = slot_of(t, e->id); *at != i;)
		at = &t->entry[*at].next;
	*at = e->next;
	if (sock_wants_owner(e))
		t->ownerless--;
	if (e->flags & SOCK_CLOSING)
		t->owed--;
	if (e->flags & SOCK_LISTENING)
		for (uint32_t l = 0; l < t->listeners; l++)
			if (t->listener[l] == i) {
				t->listener[l] = t->listener[--t->listeners];
				break;
			}
	memset(e, 0, sizeof *e);
	e->next = t->free;
	t->free = i;
	t->stats.sockets--;
}

/* Room for one more: a free place, a new one, or one whose flow has ended. */
static struct sock_entry *take(struct sock_table *t)
{
	uint32_t i = t->free;

	if (i == SOCK_NONE && t->used == t->room && grow(t)) {
		for (uint32_t n = 0; n < t->used && t->free == SOCK_NONE; n++)
			if (t->entry[n].flags & SOCK_GONE && !(t->entry[n].flags & SOCK_CLOSING))
				drop(t, &t->entry[n]);
		if (t->free == SOCK_NONE)
			return NULL;
	}
	i = t->free;
	if (i == SOCK_NONE)
		return &t->entry[t->used++];
	t->free = t->entry[i].next;
	return &t->entry[i];
}

int sock_table_new(const struct pkt_memory *m, uint32_t capacity, const char *source,
                   const struct sock_sink *sink, struct sock_table **ret)
{
	struct sock_table *t = m->realloc(m->arg, NULL, sizeof *t);

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof *t);
	t->m = *m;
	t->sink = *sink;
	t->source = source;
	t->free = SOCK_NONE;
	t->baseline = true;
	t->capacity = capacity < ROOM_FIRST ? ROOM_FIRST : capacity;
	*ret = t;
	return 0;
}

void sock_table_free(struct sock_table *t)
{
	struct pkt_memory m;

	if (!t)
		return;
	m = t->m;
	sock_scan_end(t);
	if (t->entry)
		m.realloc(m.arg, t->entry, 0);
	if (t->slot)
		m.realloc(m.arg, t->slot, 0);
	m.realloc(m.arg, t, 0);
}

/* ---- what is given to the sink -------------------------------------------------- */

static void set_owner(const struct sock_entry *e, struct weir_flow_delta *d)
{
	d->cookie = e->cookie;
	d->cgroup = e->cgroup;
	d->pid = e->pid;
	d->uid = e->uid;
	memcpy(d->comm, e->comm, sizeof d->comm);
	if (e->pid)
		d->bits |= WEIR_FLOW_OWNER | (e->flags & SOCK_OWNER_WEAK ? WEIR_FLOW_OWNER_WEAK : 0);
}

/* From the last counts up to `now`. On -EAGAIN nothing has changed. */
static int give(struct sock_table *t, struct sock_entry *e, const struct sock_counts *now,
                uint64_t now_ns, uint32_t idle_ms, uint8_t bits)
{
	struct flow_extra x = { .netns = e->netns, .source = t->source, .approx = true };
	struct weir_flow_delta d = { .first_ns = e->given_ns, .ifindex = e->ifindex, .bits = bits };
	uint64_t idle_ns = idle_ms * 1000000ull, end = now_ns > idle_ns ? now_ns - idle_ns : 0;
	int rc;

	set_owner(e, &d);
	for (int i = 0; i < 2; i++) {
		d.packets[i] = now->segs[i] - e->last.segs[i];
		d.bytes[i] = now->payload[i] - e->last.payload[i] + d.packets[i] * e->header;
	}
	if (!(e->flags & SOCK_COUNTS) || end < d.first_ns)
		end = d.first_ns;
	if (!(e->flags & SOCK_COUNTS))
		d.first_ns = end = now_ns;
	d.span = end - d.first_ns >= 1ull << 42 ? UINT32_MAX : (uint32_t)((end - d.first_ns) / 1024);
	if (e->key.proto == 6) {
		d.srtt_us = e->srtt_us;
		d.retransmits = now->retransmits - e->last.retransmits;
		d.state = (uint8_t)(e->state + 1);
	}
	d.drops = now->drops - e->last.drops;
	if (e->state == TCP_SYN_SENT_ && e->key.proto == 6)
		d.bits |= WEIR_FLOW_ACTIVE;
	if (e->accepted || (e->state == TCP_SYN_RECV_ && e->key.proto == 6))
		d.bits |= WEIR_FLOW_PASSIVE;
	rc = t->sink.flow(t->sink.arg, &e->key, &d, &x);
	if (rc) {
		t->stats.refused++;
		return rc;
	}
	t->stats.deltas++;
	e->last = *now;
	e->given_ns = now_ns;
	e->flags &= (uint8_t)~(SOCK_QUIET | SOCK_OWNER_NEW);
	return 0;
}

static void give_listen(struct sock_table *t, const struct sock_entry *e, bool open)
{
	struct weir_flow_listen l = {
		.netns_cookie = e->key.netns, .socket_cookie = e->cookie, .cgroup_id = e->cgroup,
		.netns = e->netns, .pid = e->pid, .uid = e->uid, .port = e->key.port[0],
		.transport = e->key.proto, .open = open };

	memcpy(l.address, e->key.addr[0], sizeof l.address);
	memcpy(l.comm, e->comm, sizeof l.comm);
	if (t->sink.listen)
		t->sink.listen(t->sink.arg, &l);
}

void sock_owned(struct sock_table *t, struct sock_entry *e, uint32_t pid, const char comm[16])
{
	struct weir_flow_delta d = { 0 };

	if (sock_wants_owner(e))
		t->ownerless--;
	e->pid = pid;
	e->flags &= (uint8_t)~SOCK_OWNER_WEAK;
	memcpy(e->comm, comm, sizeof e->comm);
	if (!e->cookie) /* it is given with the next reading */
		e->flags |= SOCK_OWNER_NEW;
	if (e->flags & (SOCK_LISTENING | SOCK_QUIET) || !e->cookie || !t->sink.owner)
		return;
	set_owner(e, &d);
	t->sink.owner(t->sink.arg, e->cookie, &d);
}

/* ---- readings ------------------------------------------------------------------- */

/* Is there a listener that accepted it? Then it is that one's until more is known. */
static bool inherit(struct sock_table *t, struct sock_entry *e)
{
	static const uint8_t any[16], any4[16] = { [10] = 0xff, [11] = 0xff };

	for (uint32_t l = 0; l < t->listeners; l++) {
		const struct sock_entry *of = &t->entry[t->listener[l]];

		if (of->key.port[0] != e->key.port[0] || of->key.proto != e->key.proto ||
		    of->key.netns != e->key.netns)
			continue;
		if (memcmp(of->key.addr[0], any, 16) && memcmp(of->key.addr[0], any4, 16) &&
		    memcmp(of->key.addr[0], e->key.addr[0], 16))
			continue;
		e->pid = of->pid;
		memcpy(e->comm, of->comm, sizeof e->comm);
		if (!e->cgroup)
			e->cgroup = of->cgroup;
		e->flags |= of->pid ? SOCK_OWNER_WEAK : 0;
		return true;
	}
	return false;
}

static struct sock_entry *add(struct sock_table *t, const struct sock_reading *r, uint64_t now_ns)
{
	struct sock_entry *e = take(t);

	if (!e) {
		t->stats.untracked++;
		t->overflowed |= t->baseline;
		return NULL;
	}
	*e = (struct sock_entry){
		.id = r->id, .round = t->round, .cookie = r->cookie, .key = r->key, .cgroup = r->cgroup,
		.state = r->state, .header = r->header, .inode = r->inode, .uid = r->uid,
		.ifindex = r->ifindex, .netns = r->netns,
		.given_ns = t->last_round_ns ? t->last_round_ns : now_ns,
		.flags = (uint8_t)(SOCK_USED | SOCK_QUIET | (r->counts ? SOCK_COUNTS : 0) |
		                   (r->listening ? SOCK_LISTENING : 0)) };
	link_in(t, (uint32_t)(e - t->entry));
	t->stats.sockets++;
	if (sock_wants_owner(e))
		t->ownerless++;
	if (r->listening && t->listeners < SOCK_LISTENERS)
		t->listener[t->listeners++] = (uint32_t)(e - t->entry);
	if (r->listening)
		give_listen(t, e, true);
	else
		e->accepted = inherit(t, e);
	if (r->counts && (t->baseline || t->overflowed))
		e->last = r->now; /* older than the table: it starts from there */
	else if (r->counts && e->accepted && e->key.proto == 6)
		e->last.segs[0]--; /* its SYN-ACK was sent before there was a socket to count it */
	return e;
}

/* The same socket, used again: connect() after a disconnect starts its counts anew. */
static bool began_anew(const struct sock_entry *e, const struct sock_reading *r)
{
	for (int i = 0; i < 2; i++)
		if (r->counts && (r->now.payload[i] < e->last.payload[i] ||
		                  r->now.segs[i] - e->last.segs[i] > INT32_MAX))
			return true;
	return false;
}

static bool has_news(const struct sock_entry *e, const struct sock_reading *r, uint64_t now_ns)
{
	if (e->flags & SOCK_LISTENING)
		return false;
	if (e->flags & SOCK_COUNTS)
		return memcmp(&e->last, &r->now, sizeof e->last);
	return e->flags & (SOCK_QUIET | SOCK_OWNER_NEW) || e->state != r->state ||
	       now_ns - e->given_ns >= KEEPALIVE_NS;
}

static struct sock_entry *entry_of(struct sock_table *t, const struct sock_reading *r,
                                   uint64_t now_ns)
{
	struct sock_entry *e = find(t, r->id);

	if (e && !(e->flags & SOCK_CLOSING) &&
	    (began_anew(e, r) || memcmp(&e->key, &r->key, sizeof e->key))) {
		bool baseline = t->baseline;

		if (!(e->flags & (SOCK_LISTENING | SOCK_QUIET)))
			give(t, e, &e->last, now_ns, 0, WEIR_FLOW_CLOSED);
		drop(t, e);
		t->baseline = false; /* its counts began when it was connected, whatever the round */
		e = add(t, r, now_ns);
		t->baseline = baseline;
		return e;
	}
	return e ? e : add(t, r, now_ns);
}

void sock_round(struct sock_table *t, uint64_t now_ns)
{
	t->round++;
	t->last_round_ns = t->round_ns;
	t->round_ns = now_ns;
	t->stats.rounds++;
}

void sock_seen(struct sock_table *t, const struct sock_reading *r, uint64_t now_ns)
{
	struct sock_entry *e;

	t->stats.readings++;
	e = r->id ? entry_of(t, r, now_ns) : NULL;
	if (!e || e->flags & SOCK_CLOSING)
		return;
	e->round = t->round;
	e->flags &= (uint8_t)~SOCK_GONE;
	if (!has_news(e, r, now_ns)) {
		e->state = r->state;
		return;
	}
	e->state = r->state;
	e->srtt_us = r->srtt_us;
	e->header = r->header;
	if (!e->inode && r->inode) {
		e->inode = r->inode;
		t->ownerless += sock_wants_owner(e);
	}
	give(t, e, &r->now, now_ns, r->idle_ms, 0);
}

static void finish(struct sock_table *t, struct sock_entry *e, uint64_t now_ns, uint32_t idle_ms)
{
	bool news = memcmp(&e->final, &e->last, sizeof e->last);

	if (e->flags & SOCK_LISTENING)
		give_listen(t, e, false);
	else if ((news || !(e->flags & (SOCK_GONE | SOCK_QUIET))) &&
	         give(t, e, &e->final, now_ns, idle_ms, WEIR_FLOW_CLOSED))
		return;
	drop(t, e);
}

void sock_closed(struct sock_table *t, const struct sock_reading *r, uint64_t now_ns)
{
	struct sock_entry *e = r->id ? find(t, r->id) : NULL;

	if (e && e->flags & SOCK_CLOSING)
		return;
	/* Closed during the first round and not met in it: how old it was is not known. */
	if (!e && (t->baseline || r->listening || !r->id))
		return;
	if (!e && !r->counts)
		return;
	/* The addresses of a closed socket may be gone already: those it had hold. */
	if (!e || (!(e->flags & SOCK_LISTENING) && !r->listening && began_anew(e, r))) {
		t->stats.born_dead += !e;
		e = entry_of(t, r, now_ns);
	}
	if (!e) {
		for (int i = 0; i < 2; i++) {
			t->stats.lost_packets += r->now.segs[i];
			t->stats.lost_bytes += r->now.payload[i] + (uint64_t)r->now.segs[i] * r->header;
		}
		return;
	}
	e->state = r->state;
	e->srtt_us = r->srtt_us ? r->srtt_us : e->srtt_us;
	e->final = r->counts && !r->listening && e->flags & SOCK_COUNTS ? r->now : e->last;
	/* The peer's FIN is counted as a byte. Whether there was one is not said. */
	if (e->key.proto == 6 && e->final.payload[1] > e->last.payload[1])
		e->final.payload[1]--;
	e->flags |= SOCK_CLOSING;
	t->owed++;
	finish(t, e, now_ns, r->idle_ms);
}

/* Not seen in this round nor the one before, and no last word came. */
static void vanish(struct sock_table *t, struct sock_entry *e, uint64_t now_ns)
{
	if (!(e->flags & (SOCK_LISTENING | SOCK_QUIET)) &&
	    give(t, e, &e->last, now_ns, 0, WEIR_FLOW_CLOSED))
		return;
	t->stats.vanished++;
	if (e->flags & SOCK_LISTENING)
		give_listen(t, e, false);
	if (e->flags & SOCK_COUNTS && !(e->flags & SOCK_LISTENING))
		e->flags |= SOCK_GONE;
	else
		drop(t, e);
}

void sock_swept(struct sock_table *t, bool whole, uint64_t now_ns)
{
	for (uint32_t i = 0; i < t->used; i++) {
		struct sock_entry *e = &t->entry[i];

		if (!(e->flags & SOCK_USED))
			continue;
		if (e->flags & SOCK_CLOSING)
			finish(t, e, now_ns, 0);
		else if (whole && !(e->flags & SOCK_GONE) && t->round - e->round >= 2)
			vanish(t, e, now_ns);
	}
	if (whole)
		t->baseline = false;
}

uint32_t sock_owed(const struct sock_table *t)
{
	return t->owed;
}

uint32_t sock_ownerless(const struct sock_table *t)
{
	return t->ownerless;
}

void sock_stats(const struct sock_table *t, struct sock_stats *ret)
{
	*ret = t->stats;
	ret->listeners = t->listeners;
	ret->memory_bytes = sizeof *t + (uint64_t)t->room * (sizeof *t->entry + sizeof *t->slot);
}
