/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin says, kept for the test: events, counts, log lines; and what an
 * output is given: batches.
 */
#include "testhost_priv.h"
#include "format.h"

#include <stdlib.h>
#include <string.h>

/* More than a test reads; a loop that emits for ever ends here with a sentence. */
#define MAX_KEPT 4000000

/* ---- events ----------------------------------------------------------------------- */

void weir__test_add_event(struct weir_test *t, const struct weir_record *r, const void *payload, uint32_t len)
{
	struct weir_test_event *e;
	void *copy = weir__test_alloc(len);

	if (t->event_count == MAX_KEPT)
		weir__test_die("%d events: the plugin does not stop, or clear them now and then", MAX_KEPT);
	if (t->event_count == t->event_room) {
		t->event_room = t->event_room ? 2 * t->event_room : 64;
		t->events = realloc(t->events, t->event_room * sizeof(*e));
		if (!t->events)
			weir__test_die("out of memory");
	}
	memcpy(copy, payload, len);
	e = &t->events[t->event_count++];
	*e = (struct weir_test_event){ .kind = r->kind, .flags = r->flags, .weight = r->weight,
		.len = len, .time_ns = r->time_ns, .payload = copy };
}

static int test_emit(struct weir_plugin *p, uint16_t kind, const void *payload, uint32_t len,
                     uint64_t time_ns, uint32_t weight)
{
	struct weir_test *t = weir__test_of(p);
	const struct weir_schema *s = weir_table_row(&t->desc->schemas, kind);
	struct weir_record r = { .kind = kind, .weight = weight ? weight : 1,
		.time_ns = time_ns ? time_ns : t->now_ns };

	if (!s || len < s->size || len > WEIR_RECORD_MAX - sizeof(r))
		return -EINVAL;
	if (weir__test_must_fail(t, WEIR_TEST_EMIT))
		return -ENOBUFS;
	weir__test_add_event(t, &r, payload, len);
	return 0;
}

static void test_count(struct weir_plugin *p, uint16_t kind, int verdict, uint64_t n)
{
	struct weir_test *t = weir__test_of(p);

	if (kind < t->desc->schemas.count && kind < WEIR_MAX_KINDS &&
	    verdict >= WEIR_RECORD_PASS && verdict <= WEIR_RECORD_FILTERED)
		t->counted[kind][verdict] += n;
}

uint64_t weir_test_counted(struct weir_test *t, uint16_t kind, int verdict)
{
	if (kind >= WEIR_MAX_KINDS || verdict < WEIR_RECORD_PASS || verdict > WEIR_RECORD_FILTERED)
		weir__test_die("counted: no kind %u or verdict %d", kind, verdict);
	return t->counted[kind][verdict];
}

int weir_test_record(struct weir_test *t, uint16_t kind, const void *payload, uint32_t len)
{
	uint32_t size = (uint32_t)(sizeof(struct weir_record) + len + 7) & ~7u;
	struct weir_record *r;
	int verdict;

	if (!t->source_started)
		weir__test_die("record: no source is started");
	if (kind >= t->desc->schemas.count || size > WEIR_RECORD_MAX)
		weir__test_die("record: kind %u of %u, %u bytes", kind, t->desc->schemas.count, len);
	r = weir__test_alloc(size);
	*r = (struct weir_record){ .len = size, .kind = kind, .time_ns = t->now_ns, .weight = 1 };
	memcpy(r + 1, payload, len);
	verdict = t->source->record ? t->source->record(&t->plugin, r) : WEIR_RECORD_PASS;
	if (r->len != size)
		weir__test_die("record() changed the record's length from %u to %u", size, r->len);
	if (verdict == WEIR_RECORD_PASS)
		weir__test_add_event(t, r, r + 1, len);
	else
		test_count(&t->plugin, kind, verdict, 1);
	free(r);
	return verdict;
}

size_t weir_test_event_count(struct weir_test *t)
{
	return t->event_count;
}

const struct weir_test_event *weir_test_event(struct weir_test *t, size_t i)
{
	return i < t->event_count ? &t->events[i] : NULL;
}

const struct weir_test_event *weir_test_event_of(struct weir_test *t, uint16_t kind, size_t i)
{
	for (size_t at = 0; at < t->event_count; at++)
		if (t->events[at].kind == kind && i-- == 0)
			return &t->events[at];
	return NULL;
}

void weir_test_events_clear(struct weir_test *t)
{
	for (size_t i = 0; i < t->event_count; i++)
		free((void *)(uintptr_t)t->events[i].payload);
	t->event_count = 0;
}

/* ---- log ------------------------------------------------------------------------- */

static void test_log(struct weir_plugin *p, int level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct weir_test *t = weir__test_of(p);
	char text[1024];
	int n;

	if (level < WEIR_ERROR || level > WEIR_DEBUG)
		weir__test_die("log level %d", level);
	n = snprintf(text, sizeof(text), "%s: ", names[level]);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	if (t->log_count == MAX_KEPT)
		weir__test_die("%d log lines: the plugin does not stop", MAX_KEPT);
	t->logs = realloc(t->logs, (t->log_count + 1) * sizeof(*t->logs));
	if (!t->logs)
		weir__test_die("out of memory");
	t->logs[t->log_count++] = weir__test_strdup(text);
}

static void test_fail(struct weir_plugin *p, const char *fmt, va_list ap)
{
	struct weir_test *t = weir__test_of(p);

	vsnprintf(t->reason, sizeof(t->reason), fmt, ap);
}

const char *weir_test_log(struct weir_test *t, size_t i)
{
	return i < t->log_count ? t->logs[i] : NULL;
}

bool weir_test_logged(struct weir_test *t, const char *part)
{
	for (size_t i = 0; i < t->log_count; i++)
		if (strstr(t->logs[i], part))
			return true;
	return false;
}

const char *weir_test_reason(struct weir_test *t)
{
	return t->reason;
}

/* ---- batches ------------------------------------------------------------------------ */

struct weir_test_batch {
	struct weir_batch view; /* first: batch_done() brings it back */
	const struct weir_plugin_desc *from;
	struct weir_batch_header *header;
};

static uint16_t topic_index(const struct weir_plugin_desc *from, const char *topic)
{
	size_t len = strlen(topic), n;
	uint16_t i = 0;

	for (const char *at = from->topics ? from->topics : ""; *at; at += n + (at[n] == ' '), i++) {
		n = strcspn(at, " ");
		if (n == len && memcmp(at, topic, n) == 0)
			return i;
	}
	weir__test_die("%s has no topic \"%s\"", from->name, topic);
}

struct weir_test_batch *weir_test_batch_new(const struct weir_plugin_desc *from, const char *topic,
                                            const char *source)
{
	static uint64_t seq;
	struct weir_test_batch *b = weir__test_alloc(sizeof(*b));
	const struct weir_source *s = NULL;
	uint32_t i;

	for (i = 0; (s = weir_table_row(&from->sources, i)); i++)
		if (strcmp(s->name, source) == 0)
			break;
	if (!s)
		weir__test_die("%s has no source \"%s\"", from->name, source);
	b->header = weir__test_alloc(sizeof(*b->header));
	*b->header = (struct weir_batch_header){ .magic = WEIR_BATCH_MAGIC,
		.version = WEIR_BATCH_VERSION, .header_len = sizeof(*b->header),
		.len = sizeof(*b->header), .collector = 1, .topic = topic_index(from, topic),
		.source = (uint16_t)i, .seq = ++seq };
	b->from = from;
	b->view = (struct weir_batch){ .header = b->header, .collector = from->name, .topic = topic,
		.source = s->name, .quality = s->quality, .schemas = &from->schemas, .route_seq = seq };
	return b;
}

static void add_record(struct weir_test_batch *b, const struct weir_test_event *e)
{
	uint32_t size = (uint32_t)(sizeof(struct weir_record) + e->len + 7) & ~7u;
	struct weir_batch_header *h = realloc(b->header, b->header->len + size);
	struct weir_record *r;

	if (!h)
		weir__test_die("out of memory");
	r = (void *)((char *)h + h->len);
	memset(r, 0, size);
	*r = (struct weir_record){ .len = size, .kind = e->kind, .flags = e->flags,
		.time_ns = e->time_ns, .weight = e->weight };
	memcpy(r + 1, e->payload, e->len);
	if (h->count++ == 0)
		h->first_ns = e->time_ns;
	h->len += size;
	h->seen++;
	b->header = h;
	b->view.header = h;
}

void weir_test_batch_add(struct weir_test_batch *b, uint16_t kind, const void *payload,
                         uint32_t len, uint64_t time_ns)
{
	struct weir_test_event e = { .kind = kind, .weight = 1, .len = len, .time_ns = time_ns,
		.payload = payload };

	if (!weir_table_row(&b->from->schemas, kind) || len > WEIR_RECORD_MAX - sizeof(struct weir_record))
		weir__test_die("batch_add: kind %u of %u, %u bytes", kind, b->from->schemas.count, len);
	add_record(b, &e);
}

const struct weir_batch *weir_test_batch(struct weir_test_batch *b)
{
	return &b->view;
}

void weir_test_batch_free(struct weir_test_batch *b)
{
	if (!b)
		return;
	free(b->header);
	free(b);
}

int weir_test_deliver(struct weir_test *t, struct weir_test_batch *b)
{
	int r;

	if (!t->desc->deliver)
		weir__test_die("%s has no deliver()", t->desc->name);
	r = t->desc->deliver(&t->plugin, &b->view);
	if (t->desc->flush)
		t->desc->flush(&t->plugin);
	return r;
}

static void test_batch_done(struct weir_plugin *p, const struct weir_batch *b, uint32_t rejected)
{
	struct weir_test *t = weir__test_of(p);

	if (rejected > b->header->count)
		weir__test_die("batch_done: %u rejected of %u", rejected, b->header->count);
	t->done++;
	t->rejected += rejected;
}

size_t weir_test_done(struct weir_test *t, uint64_t *ret_rejected)
{
	if (ret_rejected)
		*ret_rejected = t->rejected;
	return t->done;
}

static size_t test_format(struct weir_plugin *p, const struct weir_batch *b,
                          const struct weir_record *r, int fmt, char *buf, size_t size)
{
	(void)p;
	return weir__format(b, r, fmt, buf, size);
}

const char *weir_test_event_text(struct weir_test *t, size_t i, int format)
{
	const struct weir_source *s = t->source ? t->source : weir_table_row(&t->desc->sources, 0);
	const struct weir_schema *schema;
	struct weir_test_batch *b;
	size_t len;

	if (i >= t->event_count || !s)
		weir__test_die("event_text: event %zu of %zu", i, t->event_count);
	schema = weir_table_row(&t->desc->schemas, t->events[i].kind);
	b = weir_test_batch_new(t->desc, schema->topic, s->name);
	add_record(b, &t->events[i]);
	len = weir__format(&b->view, weir_batch_next(&b->view, NULL), format, NULL, 0);
	free(t->event_text);
	t->event_text = weir__test_alloc(len + 1);
	weir__format(&b->view, weir_batch_next(&b->view, NULL), format, t->event_text, len + 1);
	weir_test_batch_free(b);
	return t->event_text;
}

void weir__test_events_free(struct weir_test *t)
{
	weir_test_events_clear(t);
	free(t->events);
	free(t->event_text);
	for (size_t i = 0; i < t->log_count; i++)
		free(t->logs[i]);
	free(t->logs);
}

void weir__test_event_slots(struct weir_host *h)
{
	h->log = test_log;
	h->fail = test_fail;
	h->emit = test_emit;
	h->count = test_count;
	h->batch_done = test_batch_done;
	h->format = test_format;
}
