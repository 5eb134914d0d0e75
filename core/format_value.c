/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, addresses and times as text. Cannot fail; any thread: the distance
 * between the clocks is two atomics, and both of a race's values are right.
 */
#include "format_text.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NS 1000000000ull

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

/* Writes v so that it ends before `end`; returns where it begins. */
static char *digits_before(char *end, uint64_t v)
{
	while (v >= 100) {
		end -= 2;
		memcpy(end, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (v >= 10) {
		end -= 2;
		memcpy(end, pairs + v * 2, 2);
	} else {
		*--end = (char)('0' + v);
	}
	return end;
}

void weir__put_u64(struct weir__writer *w, uint64_t v)
{
	char buf[20], *at = digits_before(buf + sizeof buf, v);

	weir__put(w, at, (size_t)(buf + sizeof buf - at));
}

void weir__put_s64(struct weir__writer *w, int64_t v)
{
	if (v < 0)
		weir__put_char(w, '-');
	weir__put_u64(w, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void weir__put_double(struct weir__writer *w, double v)
{
	char buf[32];
	int digits, n = 0;

	if (!isfinite(v)) {
		weir__put_lit(w, "null");
		return;
	}
	if (fabs(v) < 1e15 && v == (double)(int64_t)v) {
		weir__put_s64(w, (int64_t)v);
		return;
	}
	for (digits = 15; digits <= 17; digits++) {
		n = snprintf(buf, sizeof buf, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			break;
	}
	for (char *p = buf; *p; p++)
		if (*p == ',') /* a plugin may have called setlocale() */
			*p = '.';
	weir__put(w, buf, (size_t)n);
}

static const char hex[] = "0123456789abcdef";

void weir__put_hex(struct weir__writer *w, const unsigned char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char two[2] = { hex[s[i] >> 4], hex[s[i] & 15] };

		weir__put(w, two, 2);
	}
}

void weir__put_ipv4(struct weir__writer *w, const unsigned char *a)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (i)
			weir__put_char(w, '.');
		weir__put_u64(w, a[i]);
	}
}

static void put_group(struct weir__writer *w, const unsigned char *a)
{
	char s[4] = { hex[a[0] >> 4], hex[a[0] & 15], hex[a[1] >> 4], hex[a[1] & 15] };
	int skip = 0;

	while (skip < 3 && s[skip] == '0')
		skip++;
	weir__put(w, s + skip, (size_t)(4 - skip));
}

/* The longest run of at least two zero groups, the first of equals. */
static int longest_zeros(const unsigned char *a, int *ret_len)
{
	int best = -1, len = 1, i, n;

	for (i = 0; i < 8; i += n ? n : 1) {
		for (n = 0; i + n < 8 && !a[2 * (i + n)] && !a[2 * (i + n) + 1]; n++)
			;
		if (n > len) {
			best = i;
			len = n;
		}
	}
	*ret_len = len;
	return best;
}

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

void weir__put_ip(struct weir__writer *w, const unsigned char *a)
{
	if (!memcmp(a, mapped, sizeof mapped))
		weir__put_ipv4(w, a + 12);
	else
		weir__put_ipv6(w, a);
}

void weir__put_ipv6(struct weir__writer *w, const unsigned char *a)
{
	int len, zeros = longest_zeros(a, &len), i;

	if (!memcmp(a, mapped, sizeof mapped)) {
		weir__put_lit(w, "::ffff:");
		weir__put_ipv4(w, a + 12);
		return;
	}
	for (i = 0; i < 8; i++) {
		if (i == zeros) {
			weir__put_lit(w, "::");
			i += len - 1;
			continue;
		}
		if (i && i != zeros + len)
			weir__put_char(w, ':');
		put_group(w, a + 2 * i);
	}
}

void weir__put_mac(struct weir__writer *w, const unsigned char *a)
{
	int i;

	for (i = 0; i < 6; i++) {
		if (i)
			weir__put_char(w, ':');
		weir__put_hex(w, a + i, 1);
	}
}

/* ---- time ------------------------------------------------------------------- */

static _Atomic int64_t clock_distance; /* CLOCK_REALTIME - CLOCK_MONOTONIC, ns */
static _Atomic uint64_t measured_ns;   /* when, CLOCK_MONOTONIC; 0: never */

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* Best of three: a switch away between two reads would shift the result. */
static void measure_distance(uint64_t now)
{
	uint64_t best = UINT64_MAX, before, real, after;
	int64_t distance = 0;
	int i;

	for (i = 0; i < 3; i++) {
		before = read_clock(CLOCK_MONOTONIC);
		real = read_clock(CLOCK_REALTIME);
		after = read_clock(CLOCK_MONOTONIC);
		if (after - before < best) {
			best = after - before;
			distance = (int64_t)(real - (before + best / 2));
		}
	}
	atomic_store_explicit(&clock_distance, distance, memory_order_relaxed);
	atomic_store_explicit(&measured_ns, now, memory_order_release);
}

uint64_t weir__realtime_of(uint64_t mono_ns)
{
	uint64_t measured = atomic_load_explicit(&measured_ns, memory_order_acquire), now;
	int64_t distance;

	/* Only a record from after the measurement can call for a new one. */
	if (!measured || mono_ns > measured + NS) {
		now = read_clock(CLOCK_MONOTONIC);
		if (!measured || now - measured >= NS)
			measure_distance(now);
	}
	distance = atomic_load_explicit(&clock_distance, memory_order_relaxed);
	/* Before the clock's start, as in a capture from before this boot: a negative number. */
	if ((int64_t)mono_ns < 0 && distance > 0 && mono_ns != UINT64_MAX &&
	    mono_ns > UINT64_MAX - (uint64_t)distance)
		return mono_ns + (uint64_t)distance;
	if (distance >= 0)
		return mono_ns > UINT64_MAX - (uint64_t)distance ? UINT64_MAX : mono_ns + (uint64_t)distance;
	return mono_ns < -(uint64_t)distance ? 0 : mono_ns - -(uint64_t)distance;
}

static void put_pair(char *at, unsigned v)
{
	memcpy(at, pairs + v * 2, 2);
}

/* Days since 1970 to a date, for all of uint64_t ns (to 2554): years are counted
 * from March, so that the leap day comes last (H. Hinnant, chrono algorithms). */
static void put_date(char *at, uint32_t days)
{
	uint32_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint32_t month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);

	put_pair(at, year / 100);
	put_pair(at + 2, year % 100);
	put_pair(at + 5, month);
	put_pair(at + 8, doy - (153 * mp + 2) / 5 + 1);
}

void weir__put_utc(struct weir__writer *w, uint64_t real_ns)
{
	char s[30] = "0000-00-00T00:00:00.000000000Z";
	uint64_t seconds = real_ns / NS;
	uint32_t ns = (uint32_t)(real_ns % NS), of_day = (uint32_t)(seconds % 86400);
	int i;

	put_date(s, (uint32_t)(seconds / 86400));
	put_pair(s + 11, of_day / 3600);
	put_pair(s + 14, of_day / 60 % 60);
	put_pair(s + 17, of_day % 60);
	s[28] = (char)('0' + ns % 10);
	ns /= 10;
	for (i = 26; i >= 20; i -= 2) {
		put_pair(s + i, ns % 100);
		ns /= 100;
	}
	weir__put(w, s, sizeof s);
}

void weir__put_time(struct weir__writer *w, uint64_t mono_ns)
{
	weir__put_utc(w, weir__realtime_of(mono_ns));
}
