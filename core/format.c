/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as text: the envelope (time, where from, what), then each field of
 * the schema. Happy path: one pass over the fields into the caller's buffer.
 *
 * Nothing of the record is trusted: a kind without schema, or a record too short
 * for it, becomes event "unknown" with its payload in hex; a field that would lie
 * outside the payload is left out. Cannot fail. Any thread.
 */
#include "format.h"
#include "format_text.h"

struct line {
	struct weir__writer w;
	bool json;
};

/* Keys of the envelope; a field of that name gets "field_" before it, so that no
 * object has a key twice. */
static bool is_envelope_key(const char *name)
{
	static const char *const keys[] = { "time", "collector", "topic", "event", "source", "weight",
	                                    "quality", "truncated", "kind", "payload" };
	size_t i;

	for (i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (keys[i][0] == name[0] && !strcmp(keys[i], name))
			return true;
	return false;
}

static void put_key(struct line *l, const char *name, size_t n)
{
	if (l->json) {
		weir__put_lit(&l->w, ",\"");
		weir__put_escaped(&l->w, name, n, WEIR__ESCAPE_JSON);
		weir__put_lit(&l->w, "\":");
	} else {
		weir__put_char(&l->w, ' ');
		weir__put_escaped(&l->w, name, n, WEIR__ESCAPE_TEXT);
		weir__put_char(&l->w, '=');
	}
}

static void put_field_key(struct line *l, const char *name)
{
	char longer[64] = "field_"; /* the envelope's keys have nine characters at most */

	if (is_envelope_key(name)) {
		strcpy(longer + 6, name);
		name = longer;
	}
	put_key(l, name, strlen(name));
}

static void put_string(struct line *l, const char *s, size_t n)
{
	if (!l->json) {
		weir__put_escaped(&l->w, s, n, WEIR__ESCAPE_WORD);
		return;
	}
	weir__put_char(&l->w, '"');
	weir__put_escaped(&l->w, s, n, WEIR__ESCAPE_JSON);
	weir__put_char(&l->w, '"');
}

/* `names` are separated by one space each. */
static void put_enum(struct line *l, const char *names, uint32_t v)
{
	uint32_t left = v;
	const char *end;

	while (names && *names) {
		end = strchrnul(names, ' ');
		if (!left--) {
			put_string(l, names, (size_t)(end - names));
			return;
		}
		names = *end ? end + 1 : end;
	}
	weir__put_u64(&l->w, v);
}

static void quote(struct line *l)
{
	if (l->json)
		weir__put_char(&l->w, '"');
}

/* How many bytes of the payload a field takes; 0: not a type we know. */
static uint32_t width_of(const struct weir_field *f)
{
	static const unsigned char widths[] = {
		[WEIR_U8] = 1, [WEIR_U16] = 2, [WEIR_U32] = 4, [WEIR_U64] = 8,
		[WEIR_S8] = 1, [WEIR_S16] = 2, [WEIR_S32] = 4, [WEIR_S64] = 8,
		[WEIR_F64] = 8, [WEIR_BOOL] = 1, [WEIR_ENUM8] = 1, [WEIR_ENUM16] = 2,
		[WEIR_ENUM32] = 4, [WEIR_TIME_NS] = 8, [WEIR_IPV4] = 4, [WEIR_IPV6] = 16,
		[WEIR_MAC] = 6, [WEIR_CHARS] = 0, [WEIR_HEX] = 0, [WEIR_IP] = 16,
		[WEIR_TEXT] = sizeof(struct weir_text),
	};

	if (f->type == WEIR_CHARS || f->type == WEIR_HEX)
		return f->size;
	return f->type < sizeof widths ? widths[f->type] : 0;
}

/* Fields may lie unaligned. */
static uint64_t load(const unsigned char *at, uint32_t width)
{
	uint64_t v = 0;

	switch (width) {
	case 1: return *at;
	case 2: { uint16_t x; memcpy(&x, at, 2); return x; }
	case 4: { uint32_t x; memcpy(&x, at, 4); return x; }
	case 8: memcpy(&v, at, 8); return v;
	default: return 0;
	}
}

static void put_quoted(struct line *l, const struct weir_field *f, const unsigned char *at)
{
	if (f->type == WEIR_TIME_NS && !load(at, 8)) { /* did not happen, or not known */
		weir__put_lit(&l->w, "null");
		return;
	}
	quote(l);
	switch (f->type) {
	case WEIR_IPV4: weir__put_ipv4(&l->w, at); break;
	case WEIR_IPV6: weir__put_ipv6(&l->w, at); break;
	case WEIR_IP:   weir__put_ip(&l->w, at); break;
	case WEIR_MAC:  weir__put_mac(&l->w, at); break;
	case WEIR_HEX:  weir__put_hex(&l->w, at, f->size); break;
	default:        weir__put_time(&l->w, load(at, 8)); break;
	}
	quote(l);
}

static void put_value(struct line *l, const struct weir_field *f, const unsigned char *at, uint32_t width)
{
	double d;

	switch (f->type) {
	case WEIR_U8: case WEIR_U16: case WEIR_U32: case WEIR_U64:
		weir__put_u64(&l->w, load(at, width));
		break;
	case WEIR_S8:  weir__put_s64(&l->w, (int8_t)load(at, 1)); break;
	case WEIR_S16: weir__put_s64(&l->w, (int16_t)load(at, 2)); break;
	case WEIR_S32: weir__put_s64(&l->w, (int32_t)load(at, 4)); break;
	case WEIR_S64: weir__put_s64(&l->w, (int64_t)load(at, 8)); break;
	case WEIR_F64:
		memcpy(&d, at, sizeof d);
		weir__put_double(&l->w, d);
		break;
	case WEIR_BOOL:
		if (*at)
			weir__put_lit(&l->w, "true");
		else
			weir__put_lit(&l->w, "false");
		break;
	case WEIR_CHARS:
		put_string(l, (const char *)at, strnlen((const char *)at, f->size));
		break;
	case WEIR_ENUM8: case WEIR_ENUM16: case WEIR_ENUM32:
		put_enum(l, f->names, (uint32_t)load(at, width));
		break;
	default:
		put_quoted(l, f, at);
	}
}

/* A string behind the struct: of what it claims, as much as lies inside the payload and
 * before a NUL. */
static void put_behind(struct line *l, const unsigned char *payload, size_t len, const unsigned char *at)
{
	struct weir_text t;

	memcpy(&t, at, sizeof t);
	if (t.offset > len)
		t.offset = t.size = 0;
	len = t.size < len - t.offset ? t.size : len - t.offset;
	put_string(l, (const char *)payload + t.offset, strnlen((const char *)payload + t.offset, len));
}

static void put_fields(struct line *l, const struct weir_schema *s, const unsigned char *payload, size_t len)
{
	uint32_t i;

	if (s->fields.row_size < sizeof(struct weir_field))
		return;
	for (i = 0; i < s->fields.count; i++) {
		const struct weir_field *f = weir_table_row(&s->fields, i);
		uint32_t width = width_of(f);

		if (!width || f->offset > len || width > len - f->offset)
			continue;
		put_field_key(l, f->name);
		if (f->type == WEIR_TEXT)
			put_behind(l, payload, len, payload + f->offset);
		else
			put_value(l, f, payload + f->offset, width);
	}
}

static void put_text_key(struct line *l, const char *key, const char *value)
{
	put_key(l, key, strlen(key));
	put_string(l, value ? value : "", value ? strlen(value) : 0);
}

static void put_head(struct line *l, const struct weir_batch *b, const struct weir_record *r, const char *event)
{
	if (l->json) {
		weir__put_lit(&l->w, "{\"time\":\"");
		weir__put_time(&l->w, r->time_ns);
		weir__put_char(&l->w, '"');
		put_text_key(l, "collector", b->collector);
		put_text_key(l, "topic", b->topic);
		put_text_key(l, "event", event);
		put_text_key(l, "source", b->source);
		return;
	}
	weir__put_time(&l->w, r->time_ns);
	weir__put_char(&l->w, ' ');
	if (b->collector)
		weir__put_escaped(&l->w, b->collector, strlen(b->collector), WEIR__ESCAPE_TEXT);
	weir__put_char(&l->w, '/');
	weir__put_escaped(&l->w, event, strlen(event), WEIR__ESCAPE_TEXT);
}

static void put_unknown(struct line *l, const struct weir_record *r, const unsigned char *payload, size_t len)
{
	put_key(l, "kind", 4);
	weir__put_u64(&l->w, r->kind);
	put_key(l, "payload", 7);
	quote(l);
	weir__put_hex(&l->w, payload, len);
	quote(l);
}

static void put_tail(struct line *l, const struct weir_batch *b, const struct weir_record *r)
{
	if (r->weight != 1) {
		put_key(l, "weight", 6);
		weir__put_u64(&l->w, r->weight);
	}
	if (b->quality && b->quality[0])
		put_text_key(l, "quality", b->quality);
	else if (r->flags & WEIR_RECORD_APPROX)
		put_text_key(l, "quality", "approx");
	if (r->flags & WEIR_RECORD_TRUNCATED) {
		put_key(l, "truncated", 9);
		weir__put_lit(&l->w, "true");
	}
	if (l->json)
		weir__put_char(&l->w, '}');
}

static const struct weir_schema *schema_of(const struct weir_batch *b, const struct weir_record *r)
{
	if (!b->schemas || b->schemas->row_size < sizeof(struct weir_schema) || r->len < sizeof *r)
		return NULL;
	return weir_batch_schema(b, r);
}

size_t weir__format(const struct weir_batch *b, const struct weir_record *r, int fmt, char *buf, size_t size)
{
	size_t len = r->len > sizeof *r ? r->len - sizeof *r : 0;
	const struct weir_schema *s = schema_of(b, r);
	const unsigned char *payload = weir_payload(r);
	struct line l = { .json = fmt == WEIR_FORMAT_JSON };

	weir__writer_init(&l.w, buf, size);
	put_head(&l, b, r, s ? s->name : "unknown");
	if (s)
		put_fields(&l, s, payload, len);
	else
		put_unknown(&l, r, payload, len);
	put_tail(&l, b, r);
	return weir__writer_end(&l.w, size);
}
