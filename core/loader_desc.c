/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a descriptor right? Every field by value, so that no other part of the
 * daemon has to ask again: it may index, divide by and print what stands there.
 *
 * Happy path: silence. Failure: -EINVAL with one sentence that names the row, the
 * value and what is allowed; the first one found. -ENOMEM while a default is
 * tried out. The tables must have rows of this daemon's size or more (see
 * loader_copy.c); what the pointers point at is trusted, since by then the file's
 * owner and mode are. Options and query arguments are in loader_option.c.
 *
 * Threads: any; no state.
 */
#include "loader.h"
#include "config.h"
#include "loader_check.h"
#include "options.h"

#include <ctype.h>
#include <linux/capability.h>
#include <math.h>
#include <string.h>

/* A state this large is a mistake, not a plan; memory has its own budget. */
#define MAX_STATE (16u << 20)
#define MAX_TOPICS 16      /* no more than kinds of events */
#define MAX_VARIANTS 16    /* hook points tried for one program */
#define MAX_LABELS 10      /* beyond that the series explode */
#define MAX_BUCKETS 128    /* powers of two over 64 bits, and as many again */
#define MAX_OBJECT (64u << 20) /* a BPF object is some 10 KiB; debug info included */

static int check_head(struct weir__check *c, const struct weir_plugin_desc *d)
{
	if (!weir__is_plugin_name(d->name))
		return weir__bad(c, "name \"%s\" must be 1 to 31 of a-z, 0-9 and -, a letter first",
		                 weir__shown(d->name));
	if (!weir__is_semver(d->version))
		return weir__bad(c, "version \"%s\" must be MAJOR.MINOR.PATCH", weir__shown(d->version));
	if (!weir__is_text(d->doc))
		return weir__bad(c, "doc must be one sentence of printable text");
	if (d->kind < WEIR_COLLECTOR || d->kind > WEIR_OUTPUT)
		return weir__bad(c, "kind is %u, expected %d (collector) to %d (output)", d->kind,
		                 WEIR_COLLECTOR, WEIR_OUTPUT);
	if ((d->flags & ~(uint32_t)WEIR_PLUGIN_FORKS) || d->reserved)
		return weir__bad(c, "flags are %#x and reserved %#x, known are %#x and 0",
		                 d->flags, d->reserved, WEIR_PLUGIN_FORKS);
	if (d->state_size > MAX_STATE)
		return weir__bad(c, "state_size is %u, at most %u is allowed", d->state_size, MAX_STATE);
	if (d->needs >> (CAP_LAST_CAP + 1))
		return weir__bad(c, "needs capability %d, the last known is %d",
		                 63 - __builtin_clzll(d->needs), CAP_LAST_CAP);
	return 0;
}

static int check_topics(struct weir__check *c, const struct weir_plugin_desc *d)
{
	const char *at;
	size_t len;

	if (d->kind == WEIR_OUTPUT) {
		if (d->fallback_for)
			return weir__bad(c, "fallback_for \"%s\": only a collector stands in for another",
			                 weir__shown(d->fallback_for));
		if (!d->topics || strcmp(d->topics, "*") == 0 || !*d->topics)
			return 0;
	}
	if (!weir__is_words(d->topics, weir__is_topic, MAX_TOPICS))
		return weir__bad(c, "topics \"%s\" must be 1 to %d different words of a-z, 0-9 and _, "
		                 "one space between them", weir__shown(d->topics), MAX_TOPICS);
	if (!d->fallback_for)
		return 0;
	if (!weir__is_words(d->fallback_for, weir__is_topic, MAX_TOPICS))
		return weir__bad(c, "fallback_for \"%s\" must be words like topics",
		                 weir__shown(d->fallback_for));
	for (at = d->fallback_for; *at; at += len + (at[len] == ' ')) {
		len = strcspn(at, " ");
		if (!weir__has_word(d->topics, at, len))
			return weir__bad(c, "fallback_for \"%.*s\" is not among its topics \"%s\"",
			                 (int)len, at, d->topics);
	}
	return 0;
}

/* ---- schemas -------------------------------------------------------------- */

/* 0: any size. */
static const unsigned char type_sizes[] = {
	[WEIR_U8] = 1, [WEIR_U16] = 2, [WEIR_U32] = 4, [WEIR_U64] = 8,
	[WEIR_S8] = 1, [WEIR_S16] = 2, [WEIR_S32] = 4, [WEIR_S64] = 8,
	[WEIR_F64] = 8, [WEIR_BOOL] = 1, [WEIR_CHARS] = 0,
	[WEIR_ENUM8] = 1, [WEIR_ENUM16] = 2, [WEIR_ENUM32] = 4, [WEIR_TIME_NS] = 8,
	[WEIR_IPV4] = 4, [WEIR_IPV6] = 16, [WEIR_MAC] = 6, [WEIR_HEX] = 0, [WEIR_IP] = 16,
	[WEIR_TEXT] = sizeof(struct weir_text),
};
/* Keys that every record has in JSON, beside its fields. */
static const char record_keys[] = "time collector topic event source quality weight truncated";

static int is_enum(uint32_t type)
{
	return type >= WEIR_ENUM8 && type <= WEIR_ENUM32;
}

static int check_field(struct weir__check *c, const struct weir_schema *s, uint32_t row)
{
	const struct weir_field *f = weir_table_row(&s->fields, row);
	uint32_t want;

	weir__at(c, "schema \"%s\" field %u (%s)", s->name, row, weir__shown(f->name));
	if (!weir__is_snake(f->name))
		return weir__bad(c, "name must be of a-z, 0-9 and _");
	if (weir__has_word(record_keys, f->name, strlen(f->name)))
		return weir__bad(c, "every record has that name already (%s)", record_keys);
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_field *o = weir_table_row(&s->fields, i);

		if (strcmp(o->name, f->name) == 0)
			return weir__bad(c, "field %u has the same name", i);
	}
	if (f->type >= sizeof(type_sizes))
		return weir__bad(c, "type is %u, the last known is %d", f->type, (int)sizeof(type_sizes) - 1);
	want = type_sizes[f->type];
	if (f->size == 0 || (want && f->size != want))
		return weir__bad(c, "size is %u, its type has %u", f->size, want ? want : 1);
	if (f->offset > s->size || f->size > s->size - f->offset)
		return weir__bad(c, "bytes %u to %llu lie outside the payload of %u", f->offset,
		                 (unsigned long long)f->offset + f->size, s->size);
	if (f->flags)
		return weir__bad(c, "flags are %#x, this ABI knows none", f->flags);
	if (!f->unit || !weir__is_unit(f->unit))
		return weir__bad(c, "unit must be a word, or \"\"");
	if (!weir__is_text(f->doc))
		return weir__bad(c, "doc must be printable text");
	if (is_enum(f->type) ? !weir__is_words(f->names, weir__is_choice, WEIR__MAX_CHOICES) : f->names != NULL)
		return weir__bad(c, "names \"%s\": an enum needs different words, others none",
		                 weir__shown(f->names));
	return 0;
}

static int check_schema(struct weir__check *c, const struct weir_plugin_desc *d, uint32_t row)
{
	const struct weir_schema *s = weir_table_row(&d->schemas, row);
	const uint32_t max = WEIR_RECORD_MAX - sizeof(struct weir_record);
	int r = 0;

	weir__at(c, "schema %u (%s)", row, weir__shown(s->name));
	if (!weir__is_snake(s->name))
		return weir__bad(c, "name must be of a-z, 0-9 and _");
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_schema *o = weir_table_row(&d->schemas, i);

		if (strcmp(o->name, s->name) == 0)
			return weir__bad(c, "schema %u has the same name", i);
	}
	if (!s->topic || !d->topics || !weir__has_word(d->topics, s->topic, strlen(s->topic)))
		return weir__bad(c, "topic \"%s\" is not among the plugin's \"%s\"",
		                 weir__shown(s->topic), weir__shown(d->topics));
	if (!weir__is_text(s->doc))
		return weir__bad(c, "doc must be printable text");
	if (s->version == 0 || s->reserved)
		return weir__bad(c, "version is %u and reserved %u, expected 1 or more and 0",
		                 s->version, s->reserved);
	if (s->size == 0 || s->size > max)
		return weir__bad(c, "payload of %u bytes, expected 1 to %u", s->size, max);
	if (s->fields.count == 0)
		return weir__bad(c, "no fields");
	r = weir__check_table(c, &s->fields, WEIR__TABLE_FIELDS);
	for (uint32_t i = 0; r == 0 && i < s->fields.count; i++)
		r = check_field(c, s, i);
	return r;
}

/* ---- metrics -------------------------------------------------------------- */

static int ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcmp(s + n - m, suffix) == 0;
}

/* Prometheus: a counter ends in _total, nothing else does, and the suffixes that
 * the exposition itself appends are nobody's. */
static int check_metric_name(struct weir__check *c, const struct weir_metric *m)
{
	static const char *const taken[] = { "_bucket", "_sum", "_count", "_created", "_info" };

	if (!weir__is_snake(m->name))
		return weir__bad(c, "name must be of a-z, 0-9 and _");
	if (m->type == WEIR_COUNTER ? !ends_with(m->name, "_total") : ends_with(m->name, "_total"))
		return weir__bad(c, "a counter ends in _total, and nothing else does");
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (ends_with(m->name, taken[i]) && !(i == 4 && m->type == WEIR_GAUGE))
			return weir__bad(c, "the suffix %s is the exposition's own", taken[i]);
	return 0;
}

static int check_buckets(struct weir__check *c, const struct weir_metric *m)
{
	if (m->type != WEIR_HISTOGRAM) {
		if (m->bucket_count || m->buckets)
			return weir__bad(c, "%u buckets, only a histogram has some", m->bucket_count);
		return 0;
	}
	if (m->bucket_count == 0 || m->bucket_count > MAX_BUCKETS || !m->buckets)
		return weir__bad(c, "%u buckets, a histogram has 1 to %d", m->bucket_count, MAX_BUCKETS);
	for (uint32_t i = 0; i < m->bucket_count; i++)
		if (!isfinite(m->buckets[i]) || (i && m->buckets[i] <= m->buckets[i - 1]))
			return weir__bad(c, "bucket %u is %g, bounds must be finite and grow (+Inf is implied)",
			                 i, m->buckets[i]);
	return 0;
}

static int check_metric(struct weir__check *c, const struct weir_plugin_desc *d, uint32_t row)
{
	const struct weir_metric *m = weir_table_row(&d->metrics, row);
	int r;

	weir__at(c, "metric %u (%s)", row, weir__shown(m->name));
	if (m->type > WEIR_HISTOGRAM)
		return weir__bad(c, "type is %u, the last known is %d", m->type, WEIR_HISTOGRAM);
	if ((r = check_metric_name(c, m)) < 0)
		return r;
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_metric *o = weir_table_row(&d->metrics, i);

		if (strcmp(o->name, m->name) == 0)
			return weir__bad(c, "metric %u has the same name", i);
	}
	if (!weir__is_text(m->help))
		return weir__bad(c, "help must be printable text");
	if (!m->unit || !weir__is_unit(m->unit))
		return weir__bad(c, "unit must be a word, or \"\"");
	if (!m->labels || (*m->labels && !weir__is_words(m->labels, weir__is_label, MAX_LABELS)))
		return weir__bad(c, "labels \"%s\" must be at most %d different names (a-z, 0-9, _; "
		                 "not le), one space between them, or \"\"",
		                 weir__shown(m->labels), MAX_LABELS);
	return check_buckets(c, m);
}

/* ---- queries and sources ---------------------------------------------------- */

static int check_query(struct weir__check *c, const struct weir_plugin_desc *d, uint32_t row)
{
	const struct weir_query *q = weir_table_row(&d->queries, row);

	weir__at(c, "query %u (%s)", row, weir__shown(q->name));
	if (!weir__is_plugin_name(q->name) && !weir__is_snake(q->name))
		return weir__bad(c, "name must be of a-z, 0-9 and - or _");
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_query *o = weir_table_row(&d->queries, i);

		if (strcmp(o->name, q->name) == 0)
			return weir__bad(c, "query %u has the same name", i);
		if (o->mount && q->mount && strcmp(o->mount, q->mount) == 0)
			return weir__bad(c, "query %u is mounted at %s too", i, q->mount);
	}
	if (!weir__is_text(q->doc))
		return weir__bad(c, "doc must be printable text");
	if (!weir__is_text(q->content_type) || !strchr(q->content_type, '/'))
		return weir__bad(c, "content_type \"%s\" must be like text/plain",
		                 weir__shown(q->content_type));
	if (q->mount && !weir__is_mount(q->mount))
		return weir__bad(c, "mount \"%s\" must be a path like /metrics, and not /health or /ready",
		                 weir__shown(q->mount));
	if (q->flags & ~(uint32_t)WEIR_QUERY_FRESH)
		return weir__bad(c, "flags are %#x, known are %#x", q->flags, WEIR_QUERY_FRESH);
	if (q->args_size > MAX_STATE)
		return weir__bad(c, "args_size is %u, at most %u is allowed", q->args_size, MAX_STATE);
	if (!q->answer)
		return weir__bad(c, "no answer(): a query needs one");
	return weir__check_options(c, &q->args, q->args_size);
}

static int check_program(struct weir__check *c, const struct weir_plugin_desc *d,
                         const struct weir_source *s, uint32_t row)
{
	const struct weir_program *g = weir_table_row(&s->programs, row);
	const uint32_t known = WEIR_PROGRAM_REQUIRED | WEIR_PROGRAM_MANUAL;

	weir__at(c, "source \"%s\" program %u (%s)", s->name, row, weir__shown(g->name));
	if (!weir__is_identifier(g->name, g->name ? strlen(g->name) : 0))
		return weir__bad(c, "name must be a C identifier");
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_program *o = weir_table_row(&s->programs, i);

		if (strcmp(o->name, g->name) == 0)
			return weir__bad(c, "program %u has the same name", i);
	}
	if (g->variants && !weir__is_words(g->variants, weir__is_identifier, MAX_VARIANTS))
		return weir__bad(c, "variants \"%s\" must be different function names, one space "
		                 "between them", weir__shown(g->variants));
	if (!weir__is_text(g->doc))
		return weir__bad(c, "doc must be printable text: what is missing without it");
	if ((g->flags & ~known) || g->reserved)
		return weir__bad(c, "flags are %#x, known are %#x", g->flags, known);
	if (g->kinds >> d->schemas.count)
		return weir__bad(c, "kinds are %#x, but there are %u schemas", g->kinds, d->schemas.count);
	return 0;
}

static int check_object(struct weir__check *c, const struct weir_source *s)
{
	size_t len = (uintptr_t)s->object_end - (uintptr_t)s->object;

	if (!s->object != !s->object_end)
		return weir__bad(c, "object and object_end: one is missing, use WEIR_BPF_OBJECT()");
	if (!s->object)
		return s->programs.count ? weir__bad(c, "%u programs, but no object", s->programs.count) : 0;
	if ((uintptr_t)s->object_end <= (uintptr_t)s->object || len > MAX_OBJECT || len < 64)
		return weir__bad(c, "object of %zd bytes, expected 64 to %u", (ssize_t)len, MAX_OBJECT);
	if (memcmp(s->object, "\177ELF", 4) != 0)
		return weir__bad(c, "object is no ELF file");
	if (s->programs.count == 0)
		return weir__bad(c, "an object, but no programs");
	return 0;
}

static int check_source(struct weir__check *c, const struct weir_plugin_desc *d, uint32_t row)
{
	const struct weir_source *s = weir_table_row(&d->sources, row);
	int r;

	weir__at(c, "source %u (%s)", row, weir__shown(s->name));
	if (!weir__is_plugin_name(s->name))
		return weir__bad(c, "name must be of a-z, 0-9 and -");
	for (uint32_t i = 0; i < row; i++) {
		const struct weir_source *o = weir_table_row(&d->sources, i);

		if (strcmp(o->name, s->name) == 0)
			return weir__bad(c, "source %u has the same name", i);
	}
	if (!weir__is_text(s->doc))
		return weir__bad(c, "doc must be printable text");
	if (!s->quality || (*s->quality && strcmp(s->quality, "approx") != 0))
		return weir__bad(c, "quality \"%s\" must be \"\" (exact) or \"approx\"",
		                 weir__shown(s->quality));
	if (s->reserved)
		return weir__bad(c, "reserved is %u, expected 0", s->reserved);
	if (!s->object && !s->start && !s->tick)
		return weir__bad(c, "neither an object nor start() nor tick(): it could do nothing");
	if (s->tick && (d->state_size < sizeof(uint64_t) || s->interval_offset % sizeof(uint64_t) ||
	                s->interval_offset > d->state_size - sizeof(uint64_t)))
		return weir__bad(c, "interval_offset is %u: no uint64_t in a state of %u bytes",
		                 s->interval_offset, d->state_size);
	if ((r = check_object(c, s)) < 0)
		return r;
	r = weir__check_table(c, &s->programs, WEIR__TABLE_PROGRAMS);
	for (uint32_t i = 0; r == 0 && i < s->programs.count; i++)
		r = check_program(c, d, s, i);
	return r;
}

/* Names that every plugin's section has, whatever its kind: they are the host's. */
static int check_common(struct weir__check *c, const struct weir_plugin_desc *d)
{
	const struct weir_option *o, *common;

	for (uint32_t i = 0; (o = weir_table_row(&d->options, i)); i++) {
		common = weir__option_find(&weir__common_options, o->name);
		weir__at(c, "option %u (%s)", i, o->name);
		if (common)
			return weir__bad(c, "every plugin has that name already (%s)", common->doc);
	}
	return 0;
}

/* What a kind of plugin must have, and what it cannot. */
static int check_callbacks(struct weir__check *c, const struct weir_plugin_desc *d)
{
	weir__at(c, NULL);
	if (d->kind == WEIR_COLLECTOR && d->sources.count == 0)
		return weir__bad(c, "a collector needs a source, it has 0");
	if (d->kind != WEIR_COLLECTOR && d->sources.count)
		return weir__bad(c, "%u sources, only a collector has some", d->sources.count);
	if (d->kind == WEIR_OUTPUT && !d->deliver && d->queries.count == 0)
		return weir__bad(c, "an output needs deliver() or a query, it has neither");
	if (d->kind == WEIR_OUTPUT && d->schemas.count)
		return weir__bad(c, "%u schemas, but an output makes no events", d->schemas.count);
	if (d->kind == WEIR_COLLECTOR && d->deliver)
		return weir__bad(c, "deliver(): a collector is handed no batches");
	if (d->flush && !d->deliver)
		return weir__bad(c, "flush() without deliver()");
	return 0;
}

int weir__desc_check(const struct weir_plugin_desc *d, char *reason, size_t size)
{
	static const struct {
		size_t offset;
		enum weir__table_id id;
		int (*check)(struct weir__check *, const struct weir_plugin_desc *, uint32_t row);
	} tables[] = {
		{ offsetof(struct weir_plugin_desc, schemas), WEIR__TABLE_SCHEMAS, check_schema },
		{ offsetof(struct weir_plugin_desc, metrics), WEIR__TABLE_METRICS, check_metric },
		{ offsetof(struct weir_plugin_desc, queries), WEIR__TABLE_QUERIES, check_query },
		{ offsetof(struct weir_plugin_desc, sources), WEIR__TABLE_SOURCES, check_source },
	};
	struct weir__check c = { .reason = reason, .size = size };
	int r;

	if ((r = check_head(&c, d)) < 0 || (r = check_topics(&c, d)) < 0 ||
	    (r = check_callbacks(&c, d)) < 0 ||
	    (r = weir__check_options(&c, &d->options, d->state_size)) < 0 ||
	    (r = check_common(&c, d)) < 0)
		return r;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct weir_table *t = (const void *)((const char *)d + tables[i].offset);

		weir__at(&c, NULL);
		r = weir__check_table(&c, t, tables[i].id);
		for (uint32_t row = 0; r == 0 && row < t->count; row++)
			r = tables[i].check(&c, d, row);
		if (r < 0)
			return r;
	}
	return 0;
}
