/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a batch, formatted by a schema with every field type. JSON must
 * parse (so: valid UTF-8, no key twice), no control byte may get through, and a
 * short buffer must hold the beginning of the full text.
 */
#include "format.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct all {
	uint64_t u64;
	double f64;
	uint64_t at;
	uint32_t e32;
	int16_t s16;
	uint8_t flag, e8;
	unsigned char v4[4], v6[16], mac[6], hex[6];
	char name[24];
	unsigned char ip[16];
	struct weir_text text;
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct all, u64, WEIR_U64, "", ""),
	WEIR_FIELD(struct all, f64, WEIR_F64, "", ""),
	WEIR_FIELD(struct all, at, WEIR_TIME_NS, "", ""),
	WEIR_FIELD(struct all, e32, WEIR_ENUM32, "", "", .names = "a b"),
	WEIR_FIELD(struct all, s16, WEIR_S16, "", ""),
	WEIR_FIELD(struct all, flag, WEIR_BOOL, "", ""),
	WEIR_FIELD(struct all, e8, WEIR_ENUM8, "", "", .names = "a b c d"),
	WEIR_FIELD(struct all, v4, WEIR_IPV4, "", ""),
	WEIR_FIELD(struct all, v6, WEIR_IPV6, "", ""),
	WEIR_FIELD(struct all, mac, WEIR_MAC, "", ""),
	WEIR_FIELD(struct all, hex, WEIR_HEX, "", ""),
	WEIR_FIELD(struct all, name, WEIR_CHARS, "", ""),
	WEIR_FIELD(struct all, ip, WEIR_IP, "", ""),
	WEIR_FIELD(struct all, text, WEIR_TEXT, "", ""),
};
static const struct weir_schema schemas[] = {
	{ .name = "all", .topic = "t", .size = sizeof(struct all), .fields = WEIR_TABLE(fields) },
	{ .name = "string", .topic = "t", .size = 8, .fields = { &fields[11], 1, sizeof fields[0] } },
};
static const struct weir_table table = WEIR_TABLE(schemas);

static void check(int ok, const char *what, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, text);
	abort();
}

static void format(const struct weir_batch *b, const struct weir_record *r, int fmt)
{
	static char text[65536], small[65536];
	size_t n, i, room, tries = 2;
	json_t *j;

again:
	n = weir__format(b, r, fmt, text, sizeof text);

	check(n < sizeof text && strlen(text) == n, "length", text);
	for (i = 0; i < n; i++)
		check((unsigned char)text[i] >= 0x20 && text[i] != 0x7f, "control byte", text);
	room = n ? r->time_ns % (n + 1) : 0;
	check(weir__format(b, r, fmt, small, room + 1) == n, "length when short", text);
	check(strlen(small) == room, "length of the beginning", text);
	if (memcmp(text, small, room) && --tries)
		goto again; /* the clock was measured anew in between */
	check(tries != 0, "beginning", text);
	if (fmt != WEIR_FORMAT_JSON)
		return;
	j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	check(j != NULL, "not JSON", text);
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_batch b = { .collector = "fuzz", .topic = "t", .source = "s", .quality = "", .schemas = &table };
	struct weir_batch_header *h;
	const struct weir_record *r = NULL;
	char *name;

	/* The decoder has checked the header; records are what comes after. */
	h = calloc(1, sizeof *h + size);
	name = malloc(size + 1);
	if (!h || !name)
		abort();
	memcpy(h + 1, data, size);
	memcpy(name, data, size);
	name[size] = 0;
	h->header_len = sizeof *h;
	h->len = (uint32_t)(sizeof *h + size);
	b.header = h;
	if (size & 1)
		b.source = b.quality = name; /* a foreign collector's words */
	while ((r = weir_batch_next(&b, r))) {
		if (r->len > WEIR_RECORD_MAX)
			break;
		format(&b, r, WEIR_FORMAT_JSON);
		format(&b, r, WEIR_FORMAT_TEXT);
	}
	free(name);
	free(h);
	return 0;
}
