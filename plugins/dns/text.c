/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of names, numbers and types, see text.h. The data of records is in rdata.c.
 */
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dns_text_init(struct dns_text *t, char *buf, size_t size)
{
	*t = (struct dns_text){ .at = buf, .size = size };
	buf[0] = 0;
}

static void put(struct dns_text *t, const char *s, size_t n)
{
	if (t->cut || n > t->size - 1 - t->len) {
		t->cut = true;
		return;
	}
	memcpy(t->at + t->len, s, n);
	t->len += n;
	t->at[t->len] = 0;
}

void dns_text_char(struct dns_text *t, char c)
{
	put(t, &c, 1);
}

void dns_text_string(struct dns_text *t, const char *s)
{
	put(t, s, strlen(s));
}

void dns_text_number(struct dns_text *t, uint32_t v)
{
	char s[10];
	unsigned n = sizeof s;

	do
		s[--n] = (char)('0' + v % 10);
	while (v /= 10);
	put(t, s + n, sizeof s - n);
}

void dns_text_hex(struct dns_text *t, const uint8_t *p, uint32_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (uint32_t i = 0; i < n && !t->cut; i++)
		put(t, (char[]){ digits[p[i] >> 4], digits[p[i] & 15] }, 2);
}

/* What needs no escape: printable, but . ; \ " ( ) @ $ */
static bool is_plain(uint8_t c)
{
	static const uint64_t plain[2] = { 0xf7ffbcea00000000, 0x7fffffffeffffffe };

	return c < 128 && plain[c >> 6] >> (c & 63) & 1;
}

/* RFC 1035 5.1 and 4343 2.1. */
static void put_label(struct dns_text *t, const uint8_t *p, unsigned n)
{
	for (unsigned i = 0, run; i < n; i += run) {
		uint8_t c = p[i];

		for (run = 0; i + run < n && is_plain(p[i + run]); run++)
			;
		if (run && run <= t->size - 1 - t->len) {
			put(t, (const char *)p + i, run);
			continue;
		}
		run = 1;
		if (is_plain(c))
			put(t, (const char *)&p[i], 1); /* as far as there is room */
		else if (c <= ' ' || c >= 127)
			put(t, (char[]){ '\\', (char)('0' + c / 100), (char)('0' + c / 10 % 10),
			                 (char)('0' + c % 10) }, 4);
		else
			put(t, (char[]){ '\\', (char)c }, 2);
	}
}

void dns_text_name(struct dns_text *t, const struct dns_name *n)
{
	if (n->len <= 1) {
		dns_text_char(t, '.');
		return;
	}
	for (unsigned at = 0; at < n->len && n->wire[at]; at += 1u + n->wire[at]) {
		if (at)
			dns_text_char(t, '.');
		put_label(t, n->wire + at + 1, n->wire[at]);
	}
}

/* The longest run of zero groups, at least two of them (RFC 5952 4.2): where, and how many. */
static unsigned zero_groups(const uint8_t addr[16], unsigned *ret_at)
{
	unsigned best = 1, run = 0;

	*ret_at = 8;
	for (unsigned i = 0; i < 8; i++) {
		run = addr[2 * i] || addr[2 * i + 1] ? 0 : run + 1;
		if (run > best) {
			best = run;
			*ret_at = i + 1 - run;
		}
	}
	return best;
}

static void ipv4(struct dns_text *t, const uint8_t addr[4])
{
	for (unsigned i = 0; i < 4; i++) {
		if (i)
			dns_text_char(t, '.');
		dns_text_number(t, addr[i]);
	}
}

/* As inet_ntop(3): RFC 5952, and what holds an IPv4 address with that in dots. */
void dns_text_ipv6(struct dns_text *t, const uint8_t addr[16])
{
	static const char digits[] = "0123456789abcdef";
	unsigned at, zeros = zero_groups(addr, &at), n = 0, end = 8;
	char s[40];

	if (at == 0 && (zeros == 6 || (zeros == 5 && addr[10] == 0xff && addr[11] == 0xff)))
		end = 6;
	for (unsigned i = 0; i < end; i++) {
		unsigned v = (unsigned)addr[2 * i] << 8 | addr[2 * i + 1], shift = 12;

		if (i == at) {
			s[n++] = ':';
			i += zeros - 1;
			if (i + 1 == end)
				s[n++] = ':';
			continue;
		}
		if (i)
			s[n++] = ':';
		while (shift && !(v >> shift))
			shift -= 4;
		for (;; shift -= 4) {
			s[n++] = digits[v >> shift & 15];
			if (!shift)
				break;
		}
	}
	if (end == 6 && zeros == 5)
		s[n++] = ':';
	put(t, s, n);
	if (end == 6)
		ipv4(t, addr + 12);
}

void dns_text_address(struct dns_text *t, const uint8_t addr[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(addr, mapped, sizeof mapped)) {
		dns_text_ipv6(t, addr);
		return;
	}
	ipv4(t, addr + 12);
}

/* ---- names of numbers --------------------------------------------------------- */

struct number_name {
	uint16_t number;
	char name[14];
};

/* IANA's registry of types; sorted. */
static const struct number_name types[] = {
	{ 1, "A" }, { 2, "NS" }, { 3, "MD" }, { 4, "MF" }, { 5, "CNAME" }, { 6, "SOA" }, { 7, "MB" },
	{ 8, "MG" }, { 9, "MR" }, { 10, "NULL" }, { 11, "WKS" }, { 12, "PTR" }, { 13, "HINFO" },
	{ 14, "MINFO" }, { 15, "MX" }, { 16, "TXT" }, { 17, "RP" }, { 18, "AFSDB" }, { 19, "X25" },
	{ 20, "ISDN" }, { 21, "RT" }, { 22, "NSAP" }, { 23, "NSAP-PTR" }, { 24, "SIG" },
	{ 25, "KEY" }, { 26, "PX" }, { 27, "GPOS" }, { 28, "AAAA" }, { 29, "LOC" }, { 30, "NXT" },
	{ 31, "EID" }, { 32, "NIMLOC" }, { 33, "SRV" }, { 34, "ATMA" }, { 35, "NAPTR" },
	{ 36, "KX" }, { 37, "CERT" }, { 38, "A6" }, { 39, "DNAME" }, { 40, "SINK" }, { 41, "OPT" },
	{ 42, "APL" }, { 43, "DS" }, { 44, "SSHFP" }, { 45, "IPSECKEY" }, { 46, "RRSIG" },
	{ 47, "NSEC" }, { 48, "DNSKEY" }, { 49, "DHCID" }, { 50, "NSEC3" }, { 51, "NSEC3PARAM" },
	{ 52, "TLSA" }, { 53, "SMIMEA" }, { 55, "HIP" }, { 56, "NINFO" }, { 57, "RKEY" },
	{ 58, "TALINK" }, { 59, "CDS" }, { 60, "CDNSKEY" }, { 61, "OPENPGPKEY" }, { 62, "CSYNC" },
	{ 63, "ZONEMD" }, { 64, "SVCB" }, { 65, "HTTPS" }, { 99, "SPF" }, { 104, "NID" },
	{ 105, "L32" }, { 106, "L64" }, { 107, "LP" }, { 108, "EUI48" }, { 109, "EUI64" },
	{ 249, "TKEY" }, { 250, "TSIG" }, { 251, "IXFR" }, { 252, "AXFR" }, { 253, "MAILB" },
	{ 254, "MAILA" }, { 255, "ANY" }, { 256, "URI" }, { 257, "CAA" }, { 258, "AVC" },
	{ 259, "DOA" }, { 260, "AMTRELAY" }, { 32768, "TA" }, { 32769, "DLV" },
};

/* RFC 6895 2.3. 16 is BADVERS in a message and BADSIG in TSIG only. */
static const struct number_name rcodes[] = {
	{ 0, "NOERROR" }, { 1, "FORMERR" }, { 2, "SERVFAIL" }, { 3, "NXDOMAIN" }, { 4, "NOTIMP" },
	{ 5, "REFUSED" }, { 6, "YXDOMAIN" }, { 7, "YXRRSET" }, { 8, "NXRRSET" }, { 9, "NOTAUTH" },
	{ 10, "NOTZONE" }, { 11, "DSOTYPENI" }, { 16, "BADVERS" }, { 17, "BADKEY" },
	{ 18, "BADTIME" }, { 19, "BADMODE" }, { 20, "BADNAME" }, { 21, "BADALG" },
	{ 22, "BADTRUNC" }, { 23, "BADCOOKIE" },
};

static const char *find(const struct number_name *list, size_t n, uint16_t number)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (list[mid].number == number)
			return list[mid].name;
		if (list[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const char *dns_type_name(uint16_t type, char buf[16])
{
	const char *s = find(types, sizeof types / sizeof types[0], type);

	if (s)
		return s;
	snprintf(buf, 16, "TYPE%u", type);
	return buf;
}

const char *dns_rcode_name(uint16_t rcode, char buf[16])
{
	const char *s = find(rcodes, sizeof rcodes / sizeof rcodes[0], rcode);

	if (s)
		return s;
	snprintf(buf, 16, "RCODE%u", rcode);
	return buf;
}

int dns_type_number(const char *name)
{
	char *end;
	unsigned long v;

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (!strcmp(types[i].name, name))
			return types[i].number;
	if (strncmp(name, "TYPE", 4) || name[4] < '0' || name[4] > '9')
		return -1;
	v = strtoul(name + 4, &end, 10);
	return *end || v > 65535 ? -1 : (int)v;
}
