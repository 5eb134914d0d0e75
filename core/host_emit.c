/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From records to routes: one open batch per topic, handed to every route that
 * wants the topic when it is full or at the end of a loop round; and the source
 * side of the ledger. Host thread only.
 *
 * Invariant, whenever no record is under way:
 *     kernel seen + missed + emitted = kernel drops + missed + filtered +
 *     aggregated + malformed + no_memory + rate_limited + passed (= appended to a batch)
 */
#include "host_priv.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define NO_TOPIC 0xff

static const struct weir_schema *schema_of(struct weir__host *h, uint32_t kind)
{
	return weir_table_row(&h->desc->schemas, kind);
}

static uint32_t fnv1a(uint32_t hash, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 16777619u;
	return hash;
}

static uint32_t hash_schema(uint32_t hash, const struct weir_schema *s)
{
	const struct weir_field *f;

	hash = fnv1a(hash, s->name, strlen(s->name) + 1);
	hash = fnv1a(hash, &s->version, sizeof s->version);
	for (uint32_t i = 0; (f = weir_table_row(&s->fields, i)); i++) {
		hash = fnv1a(hash, f->name, strlen(f->name) + 1);
		hash = fnv1a(hash, &f->type, 3 * sizeof(uint32_t)); /* type, offset, size */
	}
	return hash;
}

/* Topics in the order of the descriptor's list. */
static void list_topics(struct weir__host *h)
{
	const char *at = h->desc->topics ? h->desc->topics : "";

	while (*at && h->topic_count < WEIR__MAX_TOPICS) {
		size_t n = strcspn(at, " ");

		if (n && n < sizeof h->topic_names[0]) {
			memcpy(h->topic_names[h->topic_count], at, n);
			h->topic_names[h->topic_count++][n] = 0;
		}
		at += n + (at[n] == ' ');
	}
}

void weir__emit_setup(struct weir__host *h)
{
	const struct weir_schema *s;

	memset(h->kind_topic, NO_TOPIC, sizeof h->kind_topic);
	h->schema_hash = 2166136261u;
	list_topics(h);
	for (uint32_t k = 0; k < WEIR_MAX_KINDS && (s = schema_of(h, k)); k++) {
		h->schema_hash = hash_schema(h->schema_hash, s);
		for (size_t t = 0; t < h->topic_count; t++)
			if (!strcmp(h->topic_names[t], s->topic)) {
				h->kind_topic[k] = (uint8_t)t;
				h->topic_static[t] = s->topic;
			}
	}
}

/* ---- batches ------------------------------------------------------------------- */

static void fill_header(struct weir__host *h, size_t t, struct weir__batch *b)
{
	int source = h->source < 0 ? h->spoke : h->source;
	const struct weir_source *src = source < 0 ? NULL : weir_table_row(&h->desc->sources, (uint32_t)source);
	struct weir_batch_header *head = weir__batch_header(b);
	struct weir__ledger account;

	h->spoke = source;
	weir__emit_account(h, 1u << t, &account);
	head->topic = (uint16_t)t;
	head->source = (uint16_t)(source < 0 ? 0 : source);
	head->schema_hash = h->schema_hash;
	head->seq = ++h->seq[t];
	head->first_ns = ((const struct weir_record *)(const void *)(b->data + head->header_len))->time_ns;
	head->seen = account.seen;
	head->lost = weir__ledger_dropped(&account);
	b->view.collector = h->plugin.name;
	b->view.topic = h->topic_static[t]; /* batches outlive their host */
	b->view.source = src ? src->name : "";
	b->view.quality = h->approx ? "approx" : src && src->quality ? src->quality : "";
	b->view.schemas = &h->desc->schemas;
}

static void flush_topic(struct weir__host *h, size_t t)
{
	struct weir__batch *b = h->open[t], *out;
	bool copied;

	if (!b || !weir__batch_header(b)->count)
		return;
	fill_header(h, t, b);
	out = weir__batch_shrink(b, &copied);
	if (!copied)
		h->open[t] = NULL;
	for (size_t i = 0; i < h->route_count && !weir__host_is_lost(h); i++)
		if (h->routes[i].account->topics & (1u << t)) {
			h->routes[i].account->sent += weir__batch_header(out)->count;
			weir__route_send(h->routes[i].route, out);
		}
	weir__batch_unref(out);
	h->batches++;
}

void weir__emit_flush(struct weir__host *h)
{
	if (!h->dirty)
		return;
	for (size_t t = 0; t < h->topic_count; t++)
		flush_topic(h, t);
	h->dirty = false;
}

bool weir__emit_may_block(struct weir__host *h)
{
	for (size_t i = 0; i < h->route_count; i++)
		if (weir__route_may_block(h->routes[i].route))
			return true;
	return false;
}

bool weir__emit_blocked(struct weir__host *h)
{
	for (size_t i = 0; i < h->route_count; i++)
		if (weir__route_blocked(h->routes[i].route))
			return true;
	return false;
}

/* Room in the open batch of the topic, or NULL: no memory. */
static struct weir_record *reserve(struct weir__host *h, size_t t, uint32_t len)
{
	void *at = h->open[t] ? weir__batch_append(h->open[t], len) : NULL;

	if (!at) {
		flush_topic(h, t);
		if (!h->open[t])
			h->open[t] = weir__batch_new(WEIR__BATCH_BYTES);
		at = h->open[t] ? weir__batch_append(h->open[t], len) : NULL;
	}
	if (at)
		h->dirty = true;
	return at;
}

static void unreserve(struct weir__host *h, size_t t, uint32_t len)
{
	struct weir_batch_header *head = weir__batch_header(h->open[t]);

	head->len -= len;
	head->count--;
}

int weir__emit(struct weir__host *h, uint16_t kind, const void *payload, uint32_t len,
               uint64_t time_ns, uint32_t weight)
{
	const struct weir_schema *s = schema_of(h, kind);
	uint32_t size = (uint32_t)(sizeof(struct weir_record) + len + 7) & ~7u;
	struct weir_record *r;
	uint8_t t;

	if (!s || kind >= WEIR_MAX_KINDS || len < s->size || len > WEIR_RECORD_MAX - sizeof *r)
		return -EINVAL;
	t = h->kind_topic[kind];
	h->account->kinds[kind].emitted++;
	if (t == NO_TOPIC || !(h->topics_routed & (1u << t)))
		return 0;
	if (h->tune.kinds_off & (1u << kind)) {
		h->account->kinds[kind].filtered++;
		return 0;
	}
	h->limit.made += weight ? weight : 1;
	if (!limit_take(h)) {
		h->account->kinds[kind].rate_limited++;
		return 0; /* the plugin goes on: the loss is counted */
	}
	r = reserve(h, t, size);
	if (!r) {
		h->account->kinds[kind].no_memory++;
		return -ENOBUFS;
	}
	*r = (struct weir_record){ .len = size, .kind = kind, .weight = weight ? weight : 1,
		.time_ns = time_ns ? time_ns : uv_hrtime() };
	memcpy(r + 1, payload, len);
	if (size > sizeof *r + len)
		memset((char *)(r + 1) + len, 0, size - sizeof *r - len);
	return 0;
}

/* What the plugin makes of a record of its own: verdict of its callback. */
static int judge(struct weir__host *h, struct weir_record *r)
{
	const struct weir_source *src = weir_table_row(&h->desc->sources, (uint32_t)h->source);

	return src->record ? src->record(&h->plugin, r) : WEIR_RECORD_PASS;
}

int weir__emit_record(struct weir__host *h, const struct weir_record *r, size_t len)
{
	static _Thread_local union { struct weir_record r; char bytes[WEIR_RECORD_MAX]; } scratch;
	const struct weir_schema *s;
	struct weir_record *copy = &scratch.r;
	uint16_t kind = len >= sizeof *r ? r->kind & (WEIR_MAX_KINDS - 1) : 0;
	struct weir__kind_account *account = &h->account->kinds[kind];
	bool routed;
	uint8_t t;
	int verdict;

	account->drained++;
	s = schema_of(h, kind);
	t = h->kind_topic[kind];
	if (len < sizeof *r || r->len != len || r->kind != kind || !s || t == NO_TOPIC ||
	    len > WEIR_RECORD_MAX || len % 8 || len - sizeof *r < s->size) {
		account->malformed++;
		return 0;
	}
	routed = h->topics_routed & (1u << t);
	if (routed && !(copy = reserve(h, t, r->len))) {
		account->no_memory++;
		return 0;
	}
	memcpy(copy, r, r->len);
	verdict = judge(h, copy);
	if (verdict == WEIR_RECORD_PASS) {
		h->limit.events += r->weight;
		if (!routed || limit_take(h))
			return 0;
		unreserve(h, t, r->len);
		account->rate_limited++;
		return 0;
	}
	if (routed)
		unreserve(h, t, r->len);
	if (verdict == WEIR_RECORD_AGGREGATED)
		account->aggregated++;
	else
		account->filtered++;
	h->drain.own++;
	h->limit.taken += r->weight;
	return 0;
}

/* ---- the account ------------------------------------------------------------------- */

/* The kernel's counts of a kind: objects gone and the one that is loaded. */
static void kernel_counts(struct weir__host *h, uint32_t kind, struct weir_kind_counts *ret)
{
	const struct weir_kind_counts *c = &h->account->kernel_closed[kind];

	memset(ret, 0, sizeof *ret);
	if (h->bpf)
		weir__bpf_kind_counts(h->bpf, kind, ret);
	else if (h->far_cpus)
		weir__cpus_kind_counts(h->far_cpus, h->far_cpu_count, kind, ret);
	ret->seen += c->seen;
	ret->filtered += c->filtered;
	ret->sampled += c->sampled;
	ret->rate_limited += c->rate_limited;
	ret->ring_full += c->ring_full;
	ret->too_big += c->too_big;
	ret->map_full += c->map_full;
}

void weir__emit_account(struct weir__host *h, uint32_t topics, struct weir__ledger *ret)
{
	memset(ret, 0, sizeof *ret);
	for (uint32_t k = 0; k < WEIR_MAX_KINDS && k < h->desc->schemas.count; k++) {
		const struct weir__kind_account *a = &h->account->kinds[k];
		struct weir_kind_counts c;

		if (h->kind_topic[k] == NO_TOPIC || !(topics & (1u << h->kind_topic[k])))
			continue;
		kernel_counts(h, k, &c);
		ret->aggregated += a->aggregated;
		ret->dropped[WEIR__FILTERED] += a->filtered + c.filtered;
		ret->dropped[WEIR__SAMPLED] += c.sampled;
		ret->dropped[WEIR__RATE_LIMITED] += a->rate_limited + c.rate_limited;
		ret->dropped[WEIR__RING_FULL] += c.ring_full;
		ret->dropped[WEIR__TOO_BIG] += a->malformed + c.too_big;
		ret->dropped[WEIR__MAP_FULL] += c.map_full;
		ret->dropped[WEIR__MISSED] += h->account->missed[k];
		ret->dropped[WEIR__QUEUE_FULL] += a->no_memory;
		/* what went into batches */
		ret->delivered += a->drained + a->emitted - a->aggregated - a->filtered -
			a->malformed - a->no_memory - a->rate_limited;
	}
	ret->seen = ret->delivered + ret->aggregated + weir__ledger_dropped(ret);
}

uint64_t weir__emit_seen(struct weir__host *h, uint32_t topics)
{
	uint64_t seen = 0;

	for (uint32_t k = 0; k < WEIR_MAX_KINDS && k < h->desc->schemas.count; k++) {
		struct weir_kind_counts c;

		if (h->kind_topic[k] == NO_TOPIC || !(topics & (1u << h->kind_topic[k])))
			continue;
		kernel_counts(h, k, &c);
		seen += c.seen + h->account->kinds[k].emitted + h->account->missed[k];
	}
	return seen;
}

void weir__emit_update_missed(struct weir__host *h)
{
	struct weir__bpf_program *rows;
	size_t n;

	if (!h->bpf)
		return;
	memcpy(h->account->missed, h->account->missed_closed, sizeof h->account->missed);
	n = weir__bpf_programs(h->bpf, &rows);
	for (size_t i = 0; i < n; i++)
		if (rows[i].row->kinds)
			h->account->missed[__builtin_ctz(rows[i].row->kinds) % WEIR_MAX_KINDS] += rows[i].missed;
}

/* The object is about to go: keep its counts. */
void weir__emit_close_kernel(struct weir__host *h)
{
	weir__emit_update_missed(h);
	memcpy(h->account->missed_closed, h->account->missed, sizeof h->account->missed);
	for (uint32_t k = 0; k < WEIR_MAX_KINDS; k++) {
		struct weir_kind_counts all;

		kernel_counts(h, k, &all);
		h->account->kernel_closed[k] = all;
	}
}

/* ---- routes ---------------------------------------------------------------------------- */

static void recompute_routed(struct weir__host *h)
{
	h->topics_routed = 0;
	for (size_t i = 0; i < h->route_count; i++)
		h->topics_routed |= h->routes[i].account->topics;
}

struct weir__route *weir__host_route(struct weir__host *h, uint32_t id)
{
	for (size_t i = 0; i < h->route_count; i++)
		if (h->routes[i].account->id == id)
			return h->routes[i].route;
	return NULL;
}

static struct weir__route_account *free_account(struct weir__host *h)
{
	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++)
		if (!h->account->routes[i].id)
			return &h->account->routes[i];
	return NULL;
}

int weir__host_attach(struct weir__host *h, struct weir__route *r, uint32_t topics)
{
	struct weir__route_account *account = free_account(h);
	struct route_slot *slot;

	if (!account || h->route_count == WEIR__MAX_ROUTES)
		return -ENOSPC;
	/* What is open belongs to those who were there before. What is in the ring
	 * is not accounted for yet, so it is seen by the new route. */
	weir__emit_flush(h);
	slot = &h->routes[h->route_count++];
	slot->route = r;
	slot->account = account;
	account->topics = topics;
	account->sent = 0;
	weir__emit_account(h, topics, &account->base);
	account->id = weir__route_id(r);
	recompute_routed(h);
	return 0;
}

void weir__host_detach(struct weir__host *h, struct weir__route *r, struct weir__ledger *ret)
{
	uint64_t accounted;

	memset(ret, 0, sizeof *ret);
	weir__emit_flush(h);
	for (size_t i = 0; i < h->route_count; i++) {
		if (h->routes[i].route != r)
			continue;
		weir__emit_account(h, h->routes[i].account->topics, ret);
		accounted = ret->seen;
		weir__ledger_sub(ret, &h->routes[i].account->base);
		/* After the source's end the kernel's count must be met: what is not
		 * is unexplained, and shall show in the route's balance. */
		if (h->source < 0)
			ret->seen += weir__emit_seen(h, h->routes[i].account->topics) - accounted;
		h->routes[i].account->id = 0;
		h->routes[i] = h->routes[--h->route_count];
		break;
	}
	recompute_routed(h);
}

void weir__emit_add_counts(struct weir_kind_counts *to, const struct weir_kind_counts *c)
{
	to->seen += c->seen;
	to->filtered += c->filtered;
	to->sampled += c->sampled;
	to->rate_limited += c->rate_limited;
	to->ring_full += c->ring_full;
	to->too_big += c->too_big;
	to->map_full += c->map_full;
}

/* May wrap: a beginning that is taken from what is added later. */
void weir__emit_sub_counts(struct weir_kind_counts *from, const struct weir_kind_counts *c)
{
	from->seen -= c->seen;
	from->filtered -= c->filtered;
	from->sampled -= c->sampled;
	from->rate_limited -= c->rate_limited;
	from->ring_full -= c->ring_full;
	from->too_big -= c->too_big;
	from->map_full -= c->map_full;
}

void weir__emit_rebase(struct weir__host *h)
{
	weir__emit_update_missed(h);
	for (size_t i = 0; i < h->route_count; i++)
		weir__emit_account(h, h->routes[i].account->topics, &h->routes[i].account->base);
}

size_t weir__host_detach_all(struct weir__host *h, struct weir__detached *items)
{
	size_t n = 0;

	while (h->route_count && n < WEIR__MAX_ROUTES) {
		struct weir__detached *d = &items[n++];

		d->id = h->routes[0].account->id;
		d->sent = h->routes[0].account->sent;
		weir__host_detach(h, h->routes[0].route, &d->ledger);
	}
	return n;
}

/* ---- a host that is lost or dead ------------------------------------------------------- */

bool weir__host_is_lost(struct weir__host *h)
{
	return atomic_load_explicit(&h->lost, memory_order_relaxed);
}

void weir__host_lose(struct weir__host *h)
{
	pthread_mutex_lock(&h->lock);
	atomic_store(&h->lost, true);
	if (h->bpf)
		weir__bpf_enable(h->bpf, false);
	pthread_mutex_unlock(&h->lock);
}

int weir__host_bury(struct weir__host *h, uint32_t route, struct weir__detached *ret)
{
	struct weir__route_account *a = NULL;
	struct weir__ledger *l = &ret->ledger;
	uint64_t accounted;

	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++)
		if (h->account->routes[i].id == route)
			a = &h->account->routes[i];
	if (!a)
		return -ENOENT;
	pthread_mutex_lock(&h->lock); /* its BPF object stays until we have read it */
	weir__emit_account(h, a->topics, l);
	accounted = l->seen;
	weir__ledger_sub(l, &a->base);
	l->seen += weir__emit_seen(h, a->topics) - accounted;
	pthread_mutex_unlock(&h->lock);
	/* In the ring, or in a batch that was still open. */
	l->dropped[WEIR__CRASHED] += l->seen - l->aggregated - weir__ledger_dropped(l) - a->sent;
	ret->id = route;
	ret->sent = a->sent;
	return 0;
}
