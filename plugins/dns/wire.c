/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of wire.h. Every read goes through get16(), get32() or a compared length; an
 * offset is at most 65535 + 255 and so never wraps.
 */
#include "wire.h"

#include <errno.h>
#include <string.h>

const char *dns_error_name(enum dns_error e)
{
	static const char *const names[DNS_ERRORS] = {
		"ok", "cut", "bad_record", "bad_count", "short", "bad_question", "bad_name",
		"loop", "end",
	};

	return (unsigned)e < DNS_ERRORS ? names[e] : "?";
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* Why n bytes at off are not there; DNS_OK if they are. */
static enum dns_error missing(const struct dns_msg *m, uint32_t off, uint32_t n)
{
	if (off > m->len || n > m->len - off)
		return DNS_BAD_RECORD;
	return off > m->have || n > m->have - off ? DNS_CUT : DNS_OK;
}

/* ---- names -------------------------------------------------------------------- */

enum dns_error dns_name_at(const struct dns_msg *m, uint32_t off, struct dns_name *ret,
                           uint32_t *ret_next)
{
	uint32_t next = 0, len = 0;

	for (unsigned jumps = 0;;) {
		enum dns_error e = missing(m, off, 1);
		uint8_t c;

		if (e)
			return e == DNS_CUT ? e : DNS_BAD_NAME;
		c = m->data[off];
		if (c >= 0xc0) {
			e = missing(m, off, 2);
			if (e)
				return e == DNS_CUT ? e : DNS_BAD_NAME;
			if (!next)
				next = off + 2;
			if (++jumps > DNS_POINTERS_MAX)
				return DNS_LOOP;
			off = get16(m->data + off) & 0x3fff;
			continue;
		}
		if (c > 63 || len + 1 + c > DNS_NAME_MAX)
			return DNS_BAD_NAME;
		e = missing(m, off, 1u + c);
		if (e)
			return e == DNS_CUT ? e : DNS_BAD_NAME;
		if (ret)
			memcpy(ret->wire + len, m->data + off, 1u + c);
		len += 1u + c;
		off += 1u + c;
		if (c)
			continue;
		if (ret)
			ret->len = (uint8_t)len;
		if (ret_next)
			*ret_next = next ? next : off;
		return DNS_OK;
	}
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Length bytes are below 'A', so they may be folded along. */
uint64_t dns_name_hash(const struct dns_name *n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < n->len; i++)
		h = (h ^ lower(n->wire[i])) * 0x100000001b3ull;
	return h;
}

static bool same(const uint8_t *a, const uint8_t *b, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && same(a->wire, b->wire, a->len);
}

bool dns_name_below(const struct dns_name *n, const struct dns_name *suffix)
{
	unsigned at = 0;

	while (at < n->len && n->len - at > suffix->len)
		at += 1u + n->wire[at];
	return at < n->len && n->len - at == suffix->len && same(n->wire + at, suffix->wire, suffix->len);
}

/* One character of a label: x, \x or \DDD. Moves *s; <0 if it is none. */
static int unescape(const char **s)
{
	const char *p = *s;
	int c = (unsigned char)*p++;

	if (c == '\\') {
		c = (unsigned char)*p++;
		if (!c)
			return -EINVAL;
		if (c >= '0' && c <= '9') {
			if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
				return -EINVAL;
			c = (c - '0') * 100 + (p[0] - '0') * 10 + (p[1] - '0');
			p += 2;
		}
	}
	*s = p;
	return c > 255 ? -EINVAL : c;
}

int dns_name_parse(const char *s, struct dns_name *ret)
{
	unsigned start = 0, len = 1;

	if (!strcmp(s, "."))
		s++;
	while (*s) {
		int c;

		if (*s == '.') {
			if (len - start == 1 || len >= DNS_NAME_MAX)
				return -EINVAL; /* an empty label */
			ret->wire[start] = (uint8_t)(len - start - 1);
			start = len++;
			s++;
			continue;
		}
		c = unescape(&s);
		if (c < 0 || len - start > 63 || len >= DNS_NAME_MAX)
			return -EINVAL;
		ret->wire[len++] = (uint8_t)c;
	}
	ret->wire[start] = (uint8_t)(len - start - 1);
	if (ret->wire[start]) {
		if (len >= DNS_NAME_MAX)
			return -EINVAL;
		ret->wire[len++] = 0;
	}
	ret->len = (uint8_t)len;
	return 0;
}

/* ---- EDNS --------------------------------------------------------------------- */

/* RFC 7871 6: family, source prefix, scope prefix, as many bytes of address as the source
 * prefix needs. More or fewer are a fault, but the prefix is shown as far as it goes. */
static void edns_subnet(const uint8_t *p, unsigned n, struct dns_edns *ret)
{
	unsigned family, bits, bytes, max;

	if (n < 4) {
		ret->bad = true;
		return;
	}
	family = get16(p);
	bits = p[2];
	bytes = (bits + 7) / 8;
	max = family == 1 ? 32 : 128;
	if ((family != 1 && family != 2) || bits > max || p[3] > max || bytes != n - 4) {
		ret->bad = true;
		return;
	}
	ret->subnet_family = (uint8_t)family;
	ret->subnet_source = (uint8_t)bits;
	ret->subnet_scope = p[3];
	memset(ret->subnet, 0, sizeof ret->subnet);
	memcpy(ret->subnet, p + 4, bytes);
}

static void edns_option(unsigned code, const uint8_t *p, unsigned n, struct dns_edns *ret)
{
	switch (code) {
	case 8:
		edns_subnet(p, n, ret);
		return;
	case 10: /* RFC 7873 4: 8, or 16 to 40 */
		if (n != 8 && (n < 16 || n > sizeof ret->cookie)) {
			ret->bad = true;
			return;
		}
		ret->cookie_len = (uint8_t)n;
		memcpy(ret->cookie, p, n);
		return;
	case 11: /* RFC 7828: nothing, or 16 bits in 100 ms */
		if (n != 0 && n != 2) {
			ret->bad = true;
			return;
		}
		ret->has_keepalive = true;
		ret->has_timeout = n == 2;
		ret->keepalive = n == 2 ? get16(p) : 0;
		return;
	case 15: /* RFC 8914: a code, and perhaps text */
		if (n < 2) {
			ret->bad = true;
			return;
		}
		ret->has_error = true;
		ret->error = get16(p);
		return;
	default:
		return;
	}
}

/* The pseudo record: CLASS is the size, TTL the high bits of the rcode, version and flags. */
static void edns(const struct dns_msg *m, const struct dns_rr *rr, struct dns_edns *ret)
{
	uint32_t off = rr->data_off, end = off + rr->data_len;

	if (ret->present) {
		ret->bad = true; /* RFC 6891 6.1.1: one only; the first counts */
		return;
	}
	*ret = (struct dns_edns){ .present = true, .size = rr->class_,
		.rcode_high = (uint8_t)(rr->ttl >> 24), .version = (uint8_t)(rr->ttl >> 16),
		.dnssec_ok = rr->ttl >> 15 & 1 };
	while (off < end) {
		unsigned code, n;

		if (end - off < 4) {
			ret->bad = true;
			return;
		}
		if (missing(m, off, 4))
			return; /* cut by the capture: rr->cut says so */
		code = get16(m->data + off);
		n = get16(m->data + off + 2);
		off += 4;
		if (n > end - off) {
			ret->bad = true;
			return;
		}
		if (missing(m, off, n))
			return;
		ret->options += ret->options < 255;
		edns_option(code, m->data + off, n, ret);
		off += n;
	}
}

/* ---- records ------------------------------------------------------------------ */

void dns_walk_start(const struct dns_msg *m, struct dns_walk *w)
{
	*w = (struct dns_walk){ .off = m->records_off, .section = DNS_ANSWER };
	if (m->records_off)
		for (unsigned i = DNS_ANSWER; i <= DNS_ADDITIONAL; i++)
			w->left[i] = m->count[i];
}

enum dns_error dns_walk_next(const struct dns_msg *m, struct dns_walk *w, struct dns_rr *ret)
{
	enum dns_error e;
	uint32_t off;

	while (w->section <= DNS_ADDITIONAL && !w->left[w->section])
		w->section++;
	if (w->section > DNS_ADDITIONAL)
		return DNS_END;
	if (w->off >= m->len || w->seen >= DNS_RECORDS_MAX)
		return DNS_BAD_COUNT;
	e = dns_name_at(m, w->off, NULL, &off);
	if (e)
		return e == DNS_CUT ? e : DNS_BAD_RECORD;
	e = missing(m, off, 10);
	if (e)
		return e;
	*ret = (struct dns_rr){ .section = (enum dns_section)w->section, .name_off = w->off,
		.type = get16(m->data + off), .class_ = get16(m->data + off + 2),
		.ttl = get32(m->data + off + 4), .data_len = get16(m->data + off + 8),
		.data_off = off + 10 };
	e = missing(m, ret->data_off, ret->data_len);
	if (e == DNS_BAD_RECORD)
		return e;
	ret->cut = e == DNS_CUT;
	w->off = ret->data_off + ret->data_len;
	w->left[w->section]--;
	w->seen++;
	return DNS_OK;
}

/* ---- messages ----------------------------------------------------------------- */

bool dns_plausible(const void *data, uint32_t have, uint32_t len)
{
	const uint8_t *p = data;
	unsigned opcode, q;

	if (have < DNS_HEADER || len < DNS_HEADER)
		return false;
	opcode = DNS_OPCODE(get16(p + 2));
	q = get16(p + 4);
	/* Opcodes in use end at 6 (RFC 8490); a message asks little; a record takes 11 bytes. */
	return opcode <= 6 && q <= 64 &&
	       q * 5 + ((uint32_t)get16(p + 6) + get16(p + 8) + get16(p + 10)) * 11 <= len;
}

/* The questions; the first is kept. */
static enum dns_error questions(struct dns_msg *m)
{
	uint32_t off = DNS_HEADER, next;

	for (unsigned i = 0; i < m->count[DNS_QUESTION]; i++) {
		enum dns_error e;

		/* Each takes five bytes at least: a count that lies ends here. */
		if (off >= m->len)
			return i ? DNS_BAD_COUNT : DNS_BAD_QUESTION;
		e = dns_name_at(m, off, i ? NULL : &m->qname, &next);
		if (!e)
			e = missing(m, next, 4);
		if (e) {
			if (i)
				return e == DNS_CUT ? e : DNS_BAD_RECORD;
			/* Without its question a message cannot be told apart. */
			return e == DNS_BAD_RECORD || e == DNS_CUT ? DNS_BAD_QUESTION : e;
		}
		if (!i) {
			m->qtype = get16(m->data + next);
			m->qclass = get16(m->data + next + 2);
		}
		off = next + 4;
	}
	m->records_off = off;
	return DNS_OK;
}

enum dns_error dns_parse_head(const void *data, uint32_t have, uint32_t len, struct dns_msg *m)
{
	/* Not the name: 256 bytes for every packet. */
	memset(m, 0, offsetof(struct dns_msg, qname));
	m->qname.len = 0;
	m->records_off = 0;
	m->edns = (struct dns_edns){ 0 };
	m->data = data;
	m->len = len > 65535 ? 65535 : len;
	m->have = have < m->len ? have : m->len;
	if (m->have < DNS_HEADER)
		return m->error = DNS_SHORT;
	m->id = get16(m->data);
	m->flags = get16(m->data + 2);
	for (unsigned i = 0; i < 4; i++)
		m->count[i] = get16(m->data + 4 + 2 * i);
	m->rcode = m->flags & 15;
	return m->error = questions(m);
}

enum dns_error dns_parse_records(struct dns_msg *m)
{
	struct dns_walk w;
	struct dns_rr rr;
	enum dns_error e;

	if (m->error)
		return m->error;
	dns_walk_start(m, &w);
	while (!(e = dns_walk_next(m, &w, &rr))) {
		if (rr.type == DNS_OPT && rr.section == DNS_ADDITIONAL)
			edns(m, &rr, &m->edns);
		if (rr.cut) {
			e = DNS_CUT;
			break;
		}
	}
	if (m->edns.present)
		m->rcode |= (uint16_t)(m->edns.rcode_high << 4);
	return m->error = e == DNS_END ? DNS_OK : e;
}

enum dns_error dns_parse(const void *data, uint32_t have, uint32_t len, struct dns_msg *m)
{
	return dns_parse_head(data, have, len, m) ? m->error : dns_parse_records(m);
}
