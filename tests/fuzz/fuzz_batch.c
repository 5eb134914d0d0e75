/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer: bytes from outside as a batch. What the decoder accepts can be walked to
 * its count, and every record in it can be formatted by any schema.
 */
#include "batch.h"
#include "format.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct payload { uint64_t n; char name[16]; };
static const struct weir_field fields[] = {
	WEIR_FIELD(struct payload, n, WEIR_U64, "", ""),
	WEIR_FIELD(struct payload, name, WEIR_CHARS, "", ""),
};
static const struct weir_schema schemas[] = {
	{ .name = "a", .topic = "t", .size = sizeof(struct payload), .fields = WEIR_TABLE(fields) },
	{ .name = "b", .topic = "t" },
};
static const struct weir_table table = WEIR_TABLE(schemas);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	const struct weir_record *r = NULL;
	uint32_t n = 0;
	char text[512];
	/* The decoder is handed messages, which are aligned and of exact size. */
	uint8_t *bytes = aligned_alloc(16, (size + 16) & ~(size_t)15);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (!weir__batch_decode(bytes, size, &why)) {
		struct weir_batch b = { .header = (const void *)bytes, .collector = "c", .topic = "t",
			.source = "s", .quality = "", .schemas = &table };

		for (; (r = weir_batch_next(&b, r)); n++) {
			weir__format(&b, r, WEIR_FORMAT_JSON, text, sizeof text);
			weir__format(&b, r, WEIR_FORMAT_TEXT, text, sizeof text);
		}
		if (n != b.header->count)
			abort();
	} else if (!why) {
		abort();
	}
	free(bytes);
	return 0;
}
