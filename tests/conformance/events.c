/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events, both ways: those a collector makes are text that harms no terminal and
 * no JSON parser; those an output is given are of every type, hostile and broken.
 */
#include "conformance.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- what an output is given ------------------------------------------------------- */

struct every {
	uint8_t u8;
	int8_t s8;
	uint16_t u16;
	int16_t s16;
	uint32_t u32;
	int32_t s32;
	uint64_t u64;
	int64_t s64;
	double f64;
	uint64_t time_ns;
	uint8_t flag, enum8, ipv4[4], ipv6[16], mac[6];
	char text[24];
	uint8_t bytes[8], ip[16];
	struct weir_text behind; /* nothing is: a claim that is not true */
};

#define F(m, t, ...) WEIR_FIELD(struct every, m, t, "", "A value of this type", __VA_ARGS__)
static const struct weir_field fields[] = {
	F(u8, WEIR_U8), F(s8, WEIR_S8), F(u16, WEIR_U16), F(s16, WEIR_S16), F(u32, WEIR_U32),
	F(s32, WEIR_S32), F(u64, WEIR_U64), F(s64, WEIR_S64), F(f64, WEIR_F64),
	F(time_ns, WEIR_TIME_NS), F(flag, WEIR_BOOL), F(enum8, WEIR_ENUM8, .names = "none some"),
	F(ipv4, WEIR_IPV4), F(ipv6, WEIR_IPV6), F(mac, WEIR_MAC), F(text, WEIR_CHARS),
	F(bytes, WEIR_HEX), F(ip, WEIR_IP), F(behind, WEIR_TEXT),
};
#undef F
static const struct weir_schema schemas[] = {
	{ .name = "every_type", .topic = "process", .doc = "Every type", .version = 1,
	  .size = sizeof(struct every), .fields = WEIR_TABLE(fields) },
};
static const struct weir_source sources[] = {
	{ .name = "replay", .doc = "Made up", .quality = "approx" },
};
static const struct weir_plugin_desc sender = {
	.desc_size = sizeof(sender), .abi_major = WEIR_ABI_MAJOR, .abi_minor = WEIR_ABI_MINOR,
	.kind = WEIR_COLLECTOR, .name = "sender", .version = "1.0.0", .doc = "Sends anything",
	.topics = "process", .schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources),
};

static struct weir_test_batch *make_batch(uint32_t records)
{
	struct weir_test_batch *b = weir_test_batch_new(&sender, "process", "replay");

	for (uint32_t i = 0; i < records; i++) {
		struct every e;

		memset(&e, (int)(i * 37), sizeof(e)); /* 0x00, 0x25, ... 0xff: not UTF-8, no NUL */
		if (i % 3 == 1)
			memcpy(e.text, "a\033[2J\"\\\n\xff\xc3", 10);
		weir_test_batch_add(b, 0, &e, sizeof(e), WEIR_TEST_NOW + i);
	}
	return b;
}

/* The last record of the batch becomes one that no schema describes. */
static void spoil(struct weir_test_batch *b)
{
	const struct weir_batch *view = weir_test_batch(b);
	const struct weir_record *r = NULL, *last = NULL;

	while ((r = weir_batch_next(view, r)))
		last = r;
	((struct weir_record *)(uintptr_t)last)->kind = 15;
}

static int deliver_one(struct subject *s, struct weir_test *t, struct weir_test_batch *b)
{
	int r = weir_test_deliver(t, b);

	weir_test_poll(t, 0);
	weir_test_advance(t, WEIR_TEST_SECOND);
	if (r > WEIR_PENDING)
		return problem("%s: deliver() returned %d", s->desc->name, r);
	return 0;
}

int exercise_output(struct subject *s, struct weir_test *t)
{
	static const uint32_t sizes[] = { 0, 1, 7, 500 };
	struct weir_test_batch *batches[5];
	int r = 0;

	if (!s->desc->deliver)
		return 0;
	for (size_t i = 0; i < 5; i++)
		batches[i] = make_batch(i < 4 ? sizes[i] : 3);
	spoil(batches[4]);
	for (size_t i = 0; r == 0 && i < 5; i++)
		r = deliver_one(s, t, batches[i]);
	/* A batch is valid until it is acknowledged, so the output must be done with
	 * them by its stop(). */
	weir_test_stop(t);
	for (size_t i = 0; i < 5; i++)
		weir_test_batch_free(batches[i]);
	return r;
}

/* ---- what a collector makes ----------------------------------------------------------- */

static int check_text(struct weir_test *t, size_t i)
{
	const char *text = weir_test_event_text(t, i, WEIR_FORMAT_TEXT);
	json_error_t error;
	json_t *json;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return problem("event %zu: control byte in its text", i);
	text = weir_test_event_text(t, i, WEIR_FORMAT_JSON);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return problem("event %zu: not JSON: %s: %s", i, error.text, text);
	json_decref(json);
	return 0;
}

int events_are_well_formed(struct subject *s)
{
	const struct weir_source *source;
	int r = 0;

	for (uint32_t k = 0; r == 0 && (source = weir_table_row(&s->desc->sources, k)); k++) {
		struct weir_test *t = subject_new(s);

		s->running = source;
		if (weir_test_init(t) >= 0 && weir_test_start(t, source->name) >= 0) {
			r = exercise(s, t);
			for (size_t i = 0; r == 0 && i < weir_test_event_count(t) && i < 5000; i++)
				r = check_text(t, i);
		}
		weir_test_free(t);
	}
	return r;
}
