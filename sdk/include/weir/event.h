/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: schemas that describe a record's payload, and the batch an output is
 * handed. The record header itself is in kernel.h.
 */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include "kernel.h"
#include "table.h"

enum weir_field_type {
	WEIR_U8, WEIR_U16, WEIR_U32, WEIR_U64,
	WEIR_S8, WEIR_S16, WEIR_S32, WEIR_S64,
	WEIR_F64,
	WEIR_BOOL,     /* u8 */
	WEIR_CHARS,    /* char[size], ends at the first NUL; bytes from outside */
	WEIR_ENUM8, WEIR_ENUM16, WEIR_ENUM32, /* index into `names` */
	WEIR_TIME_NS,  /* u64 CLOCK_MONOTONIC; printed as UTC */
	WEIR_IPV4,     /* 4 bytes, network order */
	WEIR_IPV6,     /* 16 bytes */
	WEIR_MAC,      /* 6 bytes */
	WEIR_HEX,      /* bytes, printed in hex */
	WEIR_IP,       /* 1.2: 16 bytes, network order; v4-mapped is printed as IPv4 */
	WEIR_TEXT,     /* 1.3: struct weir_text: a string behind the struct; bytes from outside */
};

/* Where a string of a record lies: behind the struct, so that a record is as long as what it
 * says. Strings may have a NUL behind them, for readers in C; `size` does not count it. A NUL
 * inside ends one, as in WEIR_CHARS.
 * size 0: empty, wherever offset points. */
struct weir_text {
	uint16_t offset; /* from the start of the payload */
	uint16_t size;   /* bytes */
};

struct weir_field {
	const char *name;   /* snake_case */
	uint32_t type;      /* enum weir_field_type */
	uint32_t offset;    /* from the start of the payload */
	uint32_t size;      /* bytes */
	uint32_t flags;     /* 0 */
	const char *unit;   /* "ns", "bytes", "pages", ""; UCUM-like */
	const char *doc;
	const char *names;  /* ENUM: names separated by one space */
};
#define WEIR_FIELD(s, m, t, u, d, ...)                                         \
	{ .name = #m, .type = (t), .offset = offsetof(s, m),                   \
	  .size = sizeof(((s *)0)->m), .unit = (u), .doc = (d), __VA_ARGS__ }

/* One kind of event. Its row number in the table is the record's `kind`. */
struct weir_schema {
	const char *name;         /* "io_process": unique within the plugin */
	const char *topic;        /* one of the plugin's topics */
	const char *doc;
	uint32_t version;         /* grows with the fields; they are only appended */
	uint32_t size;            /* of the payload struct, bytes */
	uint32_t priority;        /* 0 lowest: first to go under pressure */
	uint32_t reserved;
	struct weir_table fields; /* struct weir_field */
};

/* ---- batches ------------------------------------------------------------- */

/* Batch header: the same bytes in memory, between processes and on disk;
 * little-endian, 8-byte aligned, the records follow. */
struct weir_batch_header {
	uint32_t magic;        /* WEIR_BATCH_MAGIC */
	uint16_t version;      /* WEIR_BATCH_VERSION */
	uint16_t header_len;   /* bytes; records start here */
	uint32_t len;          /* bytes, header included */
	uint32_t count;        /* records */
	uint32_t collector;    /* id of the collector in this daemon */
	uint16_t topic;        /* index in the collector's topics */
	uint16_t source;       /* index in the collector's sources */
	uint32_t schema_hash;  /* FNV-1a over the collector's schemas */
	uint32_t flags;        /* 0 */
	uint64_t seq;          /* of this topic at this collector, from 1, no gaps */
	uint64_t first_ns;     /* time_ns of the first record */
	/* the collector's account of this topic when the batch was closed */
	uint64_t seen;
	uint64_t lost;         /* of seen: dropped, for whatever reason */
};
_Static_assert(sizeof(struct weir_batch_header) == 64, "batch header is ABI");
#define WEIR_BATCH_MAGIC   0x52494557u /* "WEIR" */
#define WEIR_BATCH_VERSION 1

/* What an output is handed. Valid until it has been acknowledged. */
struct weir_batch {
	const struct weir_batch_header *header;
	const char *collector;              /* plugin name */
	const char *topic;
	const char *source;                 /* "bpf", "procfs", ... */
	const char *quality;                /* "" exact, or "approx" */
	const struct weir_table *schemas;   /* struct weir_schema, by kind */
	uint64_t route_seq;                 /* on this route, from 1, no gaps */
};

/* The record after `prev` (NULL: the first), or NULL at the end. Checks every
 * length, so a batch from anywhere may be walked; a bad one just ends early. */
static inline const struct weir_record *
weir_batch_next(const struct weir_batch *b, const struct weir_record *prev)
{
	const char *base = (const char *)b->header, *at;
	size_t off, end = b->header->len;

	if (prev)
		at = (const char *)prev + prev->len;
	else
		at = base + b->header->header_len;
	off = (size_t)(at - base);
	if (off > end || end - off < sizeof(struct weir_record))
		return NULL;
	const struct weir_record *r = (const struct weir_record *)(const void *)at;
	if (r->len < sizeof *r || (r->len & 7) || r->len > end - off)
		return NULL;
	return r;
}

static inline const void *weir_payload(const struct weir_record *r)
{
	return r + 1;
}

/* The bytes of a string field of type WEIR_TEXT; NULL: it lies outside of the record. */
static inline const char *weir_text_at(const struct weir_record *r, struct weir_text t)
{
	size_t len = r->len - sizeof *r;

	return t.offset > len || t.size > len - t.offset ? NULL : (const char *)(r + 1) + t.offset;
}

/* The schema of a record, or NULL if its kind is unknown or it is too short. */
static inline const struct weir_schema *
weir_batch_schema(const struct weir_batch *b, const struct weir_record *r)
{
	const struct weir_schema *s = weir_table_row(b->schemas, r->kind);

	return s && r->len - sizeof *r >= s->size ? s : NULL;
}

#endif
