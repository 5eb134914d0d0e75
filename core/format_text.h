/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What format.c is made of: a bounded writer, and values as text. No printf
 * here, but for fractions: this is the hot path of every output.
 */
#ifndef WEIR_CORE_FORMAT_TEXT_H
#define WEIR_CORE_FORMAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Counts on when there is no more room, like snprintf. */
struct weir__writer {
	char *at, *end; /* end: where the final NUL goes at the latest */
	size_t over;    /* what did not fit */
	char *start;
};

void weir__writer_init(struct weir__writer *w, char *buf, size_t size);
/* Terminates; returns the full length. */
size_t weir__writer_end(struct weir__writer *w, size_t size);
void weir__put_slow(struct weir__writer *w, const char *s, size_t n);

static inline void weir__put(struct weir__writer *w, const char *s, size_t n)
{
	if (n <= (size_t)(w->end - w->at)) {
		memcpy(w->at, s, n);
		w->at += n;
	} else {
		weir__put_slow(w, s, n);
	}
}
static inline void weir__put_char(struct weir__writer *w, char c)
{
	weir__put(w, &c, 1);
}
#define weir__put_lit(w, lit) weir__put((w), (lit), sizeof(lit) - 1)

/* How a string from outside is made harmless. Besides control bytes, the code
 * points that reorder or hide text (bidirectional controls, line separators, byte
 * order mark) are escaped: a log line must read as it is. */
enum weir__escaping {
	WEIR__ESCAPE_JSON, /* \" \\ \n \u00XX; for inside quotes */
	WEIR__ESCAPE_TEXT, /* \\ \xNN */
	WEIR__ESCAPE_WORD, /* as TEXT, and in quotes if it is not one plain word */
};
void weir__put_escaped(struct weir__writer *w, const char *s, size_t n, enum weir__escaping how);
/* Length of the UTF-8 sequence at s and its code point; 0 if it is broken. */
size_t weir__utf8(const unsigned char *s, size_t n, uint32_t *ret_code);

void weir__put_u64(struct weir__writer *w, uint64_t v);
void weir__put_s64(struct weir__writer *w, int64_t v);
/* Shortest text that reads back as the same number; not finite: null. */
void weir__put_double(struct weir__writer *w, double v);
void weir__put_hex(struct weir__writer *w, const unsigned char *s, size_t n);
void weir__put_ipv4(struct weir__writer *w, const unsigned char *a);
void weir__put_ip(struct weir__writer *w, const unsigned char *a); /* v4-mapped as IPv4 */
void weir__put_ipv6(struct weir__writer *w, const unsigned char *a); /* RFC 5952 */
void weir__put_mac(struct weir__writer *w, const unsigned char *a);
/* CLOCK_MONOTONIC ns as 2025-01-31T23:59:59.123456789Z. The distance to UTC is
 * measured anew at most once a second. */
void weir__put_time(struct weir__writer *w, uint64_t mono_ns);
uint64_t weir__realtime_of(uint64_t mono_ns);
/* ns since 1970, the same form. */
void weir__put_utc(struct weir__writer *w, uint64_t real_ns);

#endif
