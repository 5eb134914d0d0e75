/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor to JSON, table by table. A loaded descriptor has been checked field by
 * field, so every name is there; what may be NULL becomes null. jansson's functions
 * take NULL and return NULL, so one failed allocation makes the whole NULL.
 */
#include "describe.h"
#include "mem.h"
#include "options.h"
#include "protocol.h"

#include <string.h>

#define CAPS(X)                                                                \
	X(0, CHOWN) X(1, DAC_OVERRIDE) X(2, DAC_READ_SEARCH) X(3, FOWNER) X(4, FSETID) \
	X(5, KILL) X(6, SETGID) X(7, SETUID) X(8, SETPCAP) X(9, LINUX_IMMUTABLE) \
	X(10, NET_BIND_SERVICE) X(11, NET_BROADCAST) X(12, NET_ADMIN) X(13, NET_RAW) \
	X(14, IPC_LOCK) X(15, IPC_OWNER) X(16, SYS_MODULE) X(17, SYS_RAWIO)    \
	X(18, SYS_CHROOT) X(19, SYS_PTRACE) X(20, SYS_PACCT) X(21, SYS_ADMIN)  \
	X(22, SYS_BOOT) X(23, SYS_NICE) X(24, SYS_RESOURCE) X(25, SYS_TIME)    \
	X(26, SYS_TTY_CONFIG) X(27, MKNOD) X(28, LEASE) X(29, AUDIT_WRITE)     \
	X(30, AUDIT_CONTROL) X(31, SETFCAP) X(32, MAC_OVERRIDE) X(33, MAC_ADMIN) \
	X(34, SYSLOG) X(35, WAKE_ALARM) X(36, BLOCK_SUSPEND) X(37, AUDIT_READ) \
	X(38, PERFMON) X(39, BPF) X(40, CHECKPOINT_RESTORE)

const char *weir__capability_name(unsigned number)
{
	static const char *const names[] = {
#define X(n, name) [n] = "CAP_" #name,
		CAPS(X)
#undef X
	};

	return number < sizeof names / sizeof names[0] ? names[number] : NULL;
}

/* "a b c" as ["a","b","c"] */
static json_t *words(const char *s)
{
	json_t *list = json_array();

	while (s && *s) {
		size_t n = strcspn(s, " ");

		if (n && json_array_append_new(list, json_stringn(s, n)) != 0) {
			json_decref(list);
			return NULL;
		}
		s += n + strspn(s + n, " ");
	}
	return list;
}

static json_t *text(const char *s)
{
	return weir__json_text(s ? s : "");
}

/* Every row through one function. */
static json_t *rows(const struct weir_table *t, json_t *(*row)(const void *))
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < t->count; i++)
		if (json_array_append_new(list, row(weir_table_row(t, i))) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* ---- tables ------------------------------------------------------------------------ */

static json_t *bound(const struct weir_option *o, double value)
{
	char buf[64];

	if (o->min == 0 && o->max == 0)
		return json_null();
	weir__option_number(o, value, buf, sizeof buf);
	return text(buf);
}

static json_t *option(const void *row)
{
	const struct weir_option *o = row;
	char type[512];

	weir__option_type_text(o, type, sizeof type);
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:o}",
	                 "name", text(o->name), "type", text(type),
	                 "default", o->def ? text(o->def) : json_null(), "required", o->def == NULL,
	                 "unit", text(o->unit), "choices", words(o->choices),
	                 "min", bound(o, o->min), "max", bound(o, o->max),
	                 "secret", (o->flags & WEIR_OPTION_SECRET) != 0, "doc", text(o->doc));
}

static json_t *metric(const void *row)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const struct weir_metric *m = row;
	json_t *buckets = json_array();

	for (uint32_t i = 0; m->type == WEIR_HISTOGRAM && i < m->bucket_count; i++)
		json_array_append_new(buckets, json_real(m->buckets[i]));
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "name", text(m->name),
	                 "type", types[m->type], "unit", text(m->unit), "labels", words(m->labels),
	                 "buckets", buckets, "help", text(m->help));
}

static json_t *field(const void *row)
{
	static const char *const types[] = {
		[WEIR_U8] = "u8", [WEIR_U16] = "u16", [WEIR_U32] = "u32", [WEIR_U64] = "u64",
		[WEIR_S8] = "s8", [WEIR_S16] = "s16", [WEIR_S32] = "s32", [WEIR_S64] = "s64",
		[WEIR_F64] = "f64", [WEIR_BOOL] = "bool", [WEIR_CHARS] = "string",
		[WEIR_ENUM8] = "enum", [WEIR_ENUM16] = "enum", [WEIR_ENUM32] = "enum",
		[WEIR_TIME_NS] = "time", [WEIR_IPV4] = "ipv4", [WEIR_IPV6] = "ipv6",
		[WEIR_MAC] = "mac", [WEIR_HEX] = "hex", [WEIR_IP] = "ip",
		[WEIR_TEXT] = "text",
	};
	const struct weir_field *f = row;

	return json_pack("{s:o, s:s, s:i, s:i, s:o, s:o, s:o}", "name", text(f->name),
	                 "type", f->type < sizeof types / sizeof types[0] ? types[f->type] : "?",
	                 "offset", (int)f->offset, "size", (int)f->size, "unit", text(f->unit),
	                 "values", words(f->names), "doc", text(f->doc));
}

static json_t *event(const void *row)
{
	const struct weir_schema *s = row;

	return json_pack("{s:o, s:o, s:i, s:i, s:i, s:o, s:o}", "name", text(s->name),
	                 "topic", text(s->topic), "version", (int)s->version, "size", (int)s->size,
	                 "priority", (int)s->priority, "doc", text(s->doc),
	                 "fields", rows(&s->fields, field));
}

static json_t *query(const void *row)
{
	const struct weir_query *q = row;

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", text(q->name),
	                 "content_type", text(q->content_type),
	                 "mount", q->mount ? text(q->mount) : json_null(), "doc", text(q->doc),
	                 "args", rows(&q->args, option));
}

static json_t *program(const void *row)
{
	const struct weir_program *g = row;

	return json_pack("{s:o, s:o, s:b, s:b, s:i, s:o}", "name", text(g->name),
	                 "variants", words(g->variants ? g->variants : g->name),
	                 "required", (g->flags & WEIR_PROGRAM_REQUIRED) != 0,
	                 "manual", (g->flags & WEIR_PROGRAM_MANUAL) != 0,
	                 "priority", (int)g->priority, "doc", text(g->doc));
}

static json_t *source(const void *row)
{
	const struct weir_source *s = row;

	return json_pack("{s:o, s:s, s:b, s:o, s:o}", "name", text(s->name),
	                 "quality", s->quality && *s->quality ? s->quality : "exact",
	                 "bpf", s->object != NULL, "doc", text(s->doc),
	                 "programs", rows(&s->programs, program));
}

/* ---- whole --------------------------------------------------------------------------- */

static json_t *capabilities(uint64_t needs)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < 64; i++)
		if (needs >> i & 1)
			json_array_append_new(list, text(weir__capability_name(i) ? weir__capability_name(i)
			                                                          : "unknown"));
	return list;
}

json_t *weir__describe_options(const struct weir_table *options)
{
	return rows(options, option);
}

json_t *weir__describe_metrics(const struct weir_table *metrics)
{
	return rows(metrics, metric);
}

json_t *weir__describe(const struct weir_plugin_desc *d)
{
	static const char *const kinds[] = { "?", "collector", "processor", "output" };
	char abi[32];

	snprintf(abi, sizeof abi, "%u.%u", d->abi_major, d->abi_minor);
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	                 "name", text(d->name), "version", text(d->version),
	                 "kind", d->kind < 4 ? kinds[d->kind] : "?", "abi", abi,
	                 "doc", text(d->doc), "topics", words(d->topics),
	                 "fallback_for", words(d->fallback_for), "needs", capabilities(d->needs),
	                 "options", rows(&d->options, option), "events", rows(&d->schemas, event),
	                 "metrics", rows(&d->metrics, metric), "queries", rows(&d->queries, query),
	                 "sources", rows(&d->sources, source));
}
