/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as text: every field type, hostile strings, unknown kinds, buffers that
 * are too small, and the clock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "format.h"
#include "format_text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct all {
	uint8_t u8; int8_t s8; uint16_t u16; int16_t s16;
	uint32_t u32; int32_t s32;
	uint64_t u64; int64_t s64;
	double f64;
	uint8_t flag, e8; uint16_t e16; uint32_t e32;
	uint64_t at;
	unsigned char v4[4], v6[16], ip[2][16], mac[6], hex[3];
	char comm[16];
	uint8_t weight;
	struct weir_text text[3];
};
static const struct weir_field all_fields[] = {
	WEIR_FIELD(struct all, u8, WEIR_U8, "", "d"),
	WEIR_FIELD(struct all, s8, WEIR_S8, "", "d"),
	WEIR_FIELD(struct all, u16, WEIR_U16, "", "d"),
	WEIR_FIELD(struct all, s16, WEIR_S16, "", "d"),
	WEIR_FIELD(struct all, u32, WEIR_U32, "", "d"),
	WEIR_FIELD(struct all, s32, WEIR_S32, "", "d"),
	WEIR_FIELD(struct all, u64, WEIR_U64, "", "d"),
	WEIR_FIELD(struct all, s64, WEIR_S64, "", "d"),
	WEIR_FIELD(struct all, f64, WEIR_F64, "", "d"),
	WEIR_FIELD(struct all, flag, WEIR_BOOL, "", "d"),
	WEIR_FIELD(struct all, e8, WEIR_ENUM8, "", "d", .names = "read write"),
	WEIR_FIELD(struct all, e16, WEIR_ENUM16, "", "d", .names = "read write"),
	WEIR_FIELD(struct all, e32, WEIR_ENUM32, "", "d", .names = "read write"),
	WEIR_FIELD(struct all, at, WEIR_TIME_NS, "", "d"),
	WEIR_FIELD(struct all, v4, WEIR_IPV4, "", "d"),
	WEIR_FIELD(struct all, v6, WEIR_IPV6, "", "d"),
	{ .name = "ip4", .type = WEIR_IP, .offset = offsetof(struct all, ip[0]), .size = 16 },
	{ .name = "ip6", .type = WEIR_IP, .offset = offsetof(struct all, ip[1]), .size = 16 },
	WEIR_FIELD(struct all, mac, WEIR_MAC, "", "d"),
	WEIR_FIELD(struct all, hex, WEIR_HEX, "", "d"),
	WEIR_FIELD(struct all, comm, WEIR_CHARS, "", "d"),
	WEIR_FIELD(struct all, weight, WEIR_U8, "", "d"),
	{ .name = "text", .type = WEIR_TEXT, .offset = offsetof(struct all, text[0]), .size = 4 },
	{ .name = "longer", .type = WEIR_TEXT, .offset = offsetof(struct all, text[1]), .size = 4 },
	{ .name = "beyond", .type = WEIR_TEXT, .offset = offsetof(struct all, text[2]), .size = 4 },
	{ .name = "outside", .type = WEIR_U64, .offset = 4096, .size = 8 },
	{ .name = "unheard_of", .type = 99, .offset = 0, .size = 1 },
};
static const struct weir_schema schemas[] = {
	{ .name = "everything", .topic = "t", .size = sizeof(struct all), .fields = WEIR_TABLE(all_fields) },
	{ .name = "nothing", .topic = "t", .size = 0 },
};
static const struct weir_table table = WEIR_TABLE(schemas);
static const struct weir_batch batch = {
	.collector = "test", .topic = "t", .source = "bpf", .quality = "", .schemas = &table,
};

struct full {
	struct weir_record r;
	struct all p;
	char tail[16]; /* strings behind the struct, eight bytes of it in the record */
};

static struct full record(void)
{
	struct full f = {
		.r = { .len = (offsetof(struct full, tail) + 8 + 7) & ~7u, .time_ns = 1, .weight = 1 },
		.p = { 255, -128, 65535, -32768, 4294967295u, -2147483647 - 1, UINT64_MAX, INT64_MIN, 0.1,
		       1, 1, 2, 0, 1, { 192, 168, 0, 1 }, { 0x20, 1, 0xd, 0xb8, [15] = 1 },
		       { { [10] = 0xff, 0xff, 10, 0, 0, 7 }, { 0xfe, 0x80, [15] = 9 } },
		       { 0, 0x1b, 0x21, 0xff, 0xfe, 9 }, { 0, 0xab, 0xcd }, "bash", 77,
		       { { sizeof(struct all), 4 }, { sizeof(struct all), 60000 }, { 60000, 1 } } },
		.tail = "tail\na\0b",
	};

	return f;
}

/* Formats, checks that small buffers give the same beginning, returns a static. */
static const char *format(const struct weir_batch *b, const struct weir_record *r, int fmt)
{
	static char text[4096];
	char small[4096];
	size_t n = weir__format(b, r, fmt, text, sizeof text), size;

	assert_int_equal(n, strlen(text));
	for (size = 0; size <= n + 1; size += 1 + n / 37) {
		memset(small, '#', sizeof small);
		assert_int_equal(weir__format(b, r, fmt, small, size), n);
		if (size)
			assert_int_equal(strlen(small), size - 1 < n ? size - 1 : n);
		assert_memory_equal(small, text, size ? strlen(small) : 0);
		assert_int_equal(small[size], '#');
	}
	return text;
}

static json_t *parse(const char *text)
{
	json_error_t err;
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &err);

	if (!j)
		fail_msg("%s in %s", err.text, text);
	return j;
}

static bool starts_with(const char *s, const char *start)
{
	return !strncmp(s, start, strlen(start));
}

/* Every type prints its extreme value, in order. */
static void test_all_types(void **state)
{
	struct full f = record();
	const char *text = format(&batch, &f.r, WEIR_FORMAT_JSON), *rest;

	(void)state;
	json_decref(parse(text));
	assert_memory_equal(text, "{\"time\":\"20", 11);
	rest = strstr(text, ",\"collector\"");
	assert_non_null(rest);
	assert_non_null(strstr(rest, "\"e32\":\"read\",\"at\":\"20"));
	assert_true(starts_with(rest, ",\"collector\":\"test\",\"topic\":\"t\",\"event\":\"everything\",\"source\":\"bpf\""
	                    ",\"u8\":255,\"s8\":-128,\"u16\":65535,\"s16\":-32768,\"u32\":4294967295,\"s32\":-2147483648"
	                    ",\"u64\":18446744073709551615,\"s64\":-9223372036854775808,\"f64\":0.1,\"flag\":true"
	                    ",\"e8\":\"write\",\"e16\":2,\"e32\":\"read\",\"at\":\"20"));
	rest = strstr(text, ",\"v4\"");
	assert_string_equal(rest, ",\"v4\":\"192.168.0.1\",\"v6\":\"2001:db8::1\",\"ip4\":\"10.0.0.7\",\"ip6\":\"fe80::9\",\"mac\":\"00:1b:21:ff:fe:09\""
	                    ",\"hex\":\"00abcd\",\"comm\":\"bash\",\"field_weight\":77,\"text\":\"tail\""
	                    ",\"longer\":\"tail\\na\",\"beyond\":\"\"}");
	text = format(&batch, &f.r, WEIR_FORMAT_TEXT);
	rest = strchr(text, ' ');
	assert_memory_equal(rest, " test/everything u8=255 s8=-128 ", 32);
	assert_non_null(strstr(rest, " e8=write e16=2 e32=read at=20"));
	assert_non_null(strstr(rest, " comm=bash field_weight=77 text=tail longer="));
}

/* Weight, quality and truncation are said only when they say something. */
static void test_tail(void **state)
{
	struct weir_batch approx = batch;
	struct full f = record();
	const char *text;

	(void)state;
	f.r.weight = 64;
	f.r.flags = WEIR_RECORD_APPROX | WEIR_RECORD_TRUNCATED;
	text = format(&batch, &f.r, WEIR_FORMAT_JSON);
	assert_non_null(strstr(text, ",\"weight\":64,\"quality\":\"approx\",\"truncated\":true}"));
	approx.quality = "guess";
	f.r.flags = 0;
	f.r.weight = 1;
	text = format(&approx, &f.r, WEIR_FORMAT_TEXT);
	assert_non_null(strstr(text, " quality=guess"));
	assert_null(strstr(text, "truncated"));
}

/* A kind without schema, or a payload too short for it, is shown in hex. */
static void test_unknown(void **state)
{
	struct weir_batch none = batch;
	struct full f = record();

	(void)state;
	f.r.kind = 9;
	f.r.len = 32;
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_JSON),
	                       "\"event\":\"unknown\",\"source\":\"bpf\",\"kind\":9,\"payload\":\"ff80ffff00800000\"}"));
	f.r.kind = 0;
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_TEXT), " test/unknown kind=0 payload=ff80ffff00800000"));
	f.r.kind = 1;
	f.r.len = sizeof f.r;
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_JSON), "\"event\":\"nothing\",\"source\":\"bpf\"}"));
	f.r.len = 3;
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_JSON), "\"payload\":\"\"}"));
	none.schemas = NULL;
	none.source = none.topic = NULL;
	json_decref(parse(format(&none, &f.r, WEIR_FORMAT_JSON)));
}

static void same_json(const char *s, size_t max, const char *expected)
{
	char buf[256];
	size_t n = weir__json_string(s, max, buf, sizeof buf);

	assert_int_equal(n, strlen(buf));
	assert_string_equal(buf, expected);
	json_decref(parse(buf));
}

static void same_text(const char *s, const char *expected)
{
	char buf[256];
	size_t n = weir__escape(s, SIZE_MAX, buf, sizeof buf);

	assert_int_equal(n, strlen(buf));
	assert_string_equal(buf, expected);
}

/* No control byte, broken UTF-8 or reordering code point gets through. */
static void test_hostile_strings(void **state)
{
	(void)state;
	same_json("plain", 99, "\"plain\"");
	same_json("cut here", 3, "\"cut\"");
	same_json(NULL, 9, "\"\"");
	same_json("a\"b\\c/d", 99, "\"a\\\"b\\\\c/d\"");
	same_json("\n\t\r\x1b[31m\x7f", 99, "\"\\n\\t\\u000d\\u001b[31m\\u007f\"");
	same_json("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d", 99, "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d\"");
	same_json("\xc2\x9b" "31m", 99, "\"\\u009b31m\"");          /* C1 CSI */
	same_json("\xff\xfe\x80", 99, "\"\\u00ff\\u00fe\\u0080\"");
	same_json("\xc0\xaf", 99, "\"\\u00c0\\u00af\"");            /* overlong */
	same_json("\xed\xa0\x80", 99, "\"\\u00ed\\u00a0\\u0080\""); /* surrogate */
	same_json("\xf4\x90\x80\x80", 99, "\"\\u00f4\\u0090\\u0080\\u0080\"");
	same_json("\xe2\x82", 99, "\"\\u00e2\\u0082\"");            /* cut short */
	same_json("\xe2\x82\xac", 2, "\"\\u00e2\\u0082\"");
	same_json("\xe2\x80\xae" "gpj.exe", 99, "\"\\u202egpj.exe\"");
	same_json("\xf3\xa0\x81\x81", 99, "\"\\udb40\\udc41\"");    /* tag characters */
	same_text("plain text", "plain text");
	same_text("a\x1b]0;title\x07" "b", "a\\x1b]0;title\\x07b");
	same_text("back\\slash \"q\"", "back\\\\slash \"q\"");
	same_text("\xc2\x85\xe2\x80\xae\xff", "\\xc2\\x85\\xe2\\x80\\xae\\xff");
	same_text("\xc3\xbc", "\xc3\xbc");
}

/* In a text line a value is one word, or in quotes. */
static void test_words(void **state)
{
	struct full f = record();

	(void)state;
	strcpy(f.p.comm, "a b=\"\\\n");
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_TEXT), " comm=\"a b=\\\"\\\\\\x0a\" "));
	strcpy(f.p.comm, "");
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_TEXT), " comm=\"\" "));
	memset(f.p.comm, 'x', sizeof f.p.comm); /* no NUL */
	assert_non_null(strstr(format(&batch, &f.r, WEIR_FORMAT_TEXT), " comm=xxxxxxxxxxxxxxxx "));
}

#define PUT(call) (weir__writer_init(&w, buf, sizeof buf), call, weir__writer_end(&w, sizeof buf), buf)

/* Numbers read back as they were; what is no number is null. */
static void test_numbers(void **state)
{
	static const double doubles[] = { 0, 1, -1.5, 0.1, 1.0 / 3, 1e300, 5e-324, 123456789.123456789, 1e15, 1e22,
	                                  -1e-7, 9007199254740993.0 };
	struct weir__writer w;
	uint64_t v = 1;
	char buf[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
		assert_true(strtod(PUT(weir__put_double(&w, doubles[i])), NULL) == doubles[i]);
		assert_true(strlen(buf) < 24);
	}
	assert_string_equal(PUT(weir__put_double(&w, 0.1)), "0.1");
	assert_string_equal(PUT(weir__put_double(&w, 3)), "3");
	assert_string_equal(PUT(weir__put_double(&w, NAN)), "null");
	assert_string_equal(PUT(weir__put_double(&w, -INFINITY)), "null");
	for (i = 0; i < 64; i++, v = v * 3 + 1) {
		assert_true(strtoull(PUT(weir__put_u64(&w, v)), NULL, 10) == v);
		assert_true(strtoll(PUT(weir__put_s64(&w, (int64_t)v)), NULL, 10) == (int64_t)v);
	}
}

/* IPv6 addresses are written as RFC 5952 wants it. */
static void test_ipv6(void **state)
{
	static const struct {
		unsigned char a[16];
		const char *text;
	} cases[] = {
		{ { 0 }, "::" },
		{ { [15] = 1 }, "::1" },
		{ { [0] = 0xfe, 0x80 }, "fe80::" },
		{ { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 }, "2001:db8::1:0:0:1" },
		{ { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 }, "2001:db8:0:1:1:1:1:1" },
		{ { 0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1 }, "2001:0:0:1::1" },
		{ { [10] = 0xff, 0xff, 10, 0, 0, 255 }, "::ffff:10.0.0.255" },
		{ { 0xab, 0xcd, 0, 0x12, 1, 0x23, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7 }, "abcd:12:123:3:4:5:6:7" },
	};
	struct weir__writer w;
	char buf[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(PUT(weir__put_ipv6(&w, cases[i].a)), cases[i].text);
}

/* Dates equal those of the C library, leap years and all. */
static void test_utc(void **state)
{
	struct weir__writer w;
	char buf[64], expected[64];
	uint64_t s;

	(void)state;
	for (s = 0; s < 18446744073ull; s += 86399 * 97) {
		time_t t = (time_t)s;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.012345678Z", &tm);
		assert_string_equal(PUT(weir__put_utc(&w, s * 1000000000ull + 12345678)), expected);
	}
	assert_string_equal(PUT(weir__put_utc(&w, 951782400ull * 1000000000)), "2000-02-29T00:00:00.000000000Z");
	assert_string_equal(PUT(weir__put_utc(&w, UINT64_MAX)), "2554-07-21T23:34:33.709551615Z");
}

/* A monotonic time becomes the time of day; an absurd one does not wrap. */
static void test_clock(void **state)
{
	struct timespec mono, real;
	int64_t apart;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	apart = (int64_t)(weir__realtime_of((uint64_t)mono.tv_sec * 1000000000ull + (uint64_t)mono.tv_nsec) -
	                  ((uint64_t)real.tv_sec * 1000000000ull + (uint64_t)real.tv_nsec));
	assert_true(apart > -2000000000 && apart < 2000000000);
	assert_true(weir__realtime_of(UINT64_MAX) == UINT64_MAX);
	assert_true(weir__realtime_of(0) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_types),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_hostile_strings),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
