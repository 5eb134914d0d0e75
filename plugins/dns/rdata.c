/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of a record as text, by a format for each type: one character for each field.
 *
 *   a IPv4    6 IPv6    1 2 4 number of that many bytes     n name
 *   T type    t time    s one string    S strings to the end    q the rest as one string
 *   c a tag   h b hex or base64 to the end    H B hex or base32 behind a length byte
 *   m bitmap of types   p parameters of SVCB   e hex with dashes
 *
 * Each field checks that it is all there; when one is not, or bytes are left over, the text
 * is taken back and the data is shown as RFC 3597 has it. Nothing is lost by a type that
 * this table gets wrong.
 */
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
	uint16_t type;
	char format[14];
} formats[] = {
	{ DNS_A, "a" }, { DNS_NS, "n" }, { DNS_MD, "n" }, { DNS_MF, "n" }, { DNS_CNAME, "n" },
	{ DNS_SOA, "nn44444" }, { DNS_MB, "n" }, { DNS_MG, "n" }, { DNS_MR, "n" },
	{ DNS_PTR, "n" }, { DNS_HINFO, "ss" }, { DNS_MINFO, "nn" }, { DNS_MX, "2n" },
	{ DNS_TXT, "S" }, { DNS_RP, "nn" }, { DNS_AFSDB, "2n" }, { DNS_SIG, "T114tt2nb" },
	{ DNS_KEY, "211b" }, { DNS_AAAA, "6" }, { DNS_SRV, "222n" }, { DNS_NAPTR, "22sssn" },
	{ DNS_KX, "2n" }, { DNS_CERT, "221b" }, { DNS_DNAME, "n" }, { DNS_DS, "211h" },
	{ DNS_SSHFP, "11h" }, { DNS_RRSIG, "T114tt2nb" }, { DNS_NSEC, "nm" },
	{ DNS_DNSKEY, "211b" }, { DNS_DHCID, "b" }, { DNS_NSEC3, "112HBm" },
	{ DNS_NSEC3PARAM, "112H" }, { DNS_TLSA, "111h" }, { DNS_SMIMEA, "111h" },
	{ DNS_CDS, "211h" }, { DNS_CDNSKEY, "211b" }, { DNS_OPENPGPKEY, "b" },
	{ DNS_CSYNC, "42m" }, { DNS_ZONEMD, "411h" }, { DNS_SVCB, "2np" }, { DNS_HTTPS, "2np" },
	{ DNS_SPF, "S" }, { DNS_EUI48, "e" }, { DNS_EUI64, "e" }, { DNS_URI, "22q" },
	{ DNS_CAA, "1cq" },
};

struct field {
	struct dns_text *t;
	const struct dns_msg *m;
	uint32_t off, end;
	dns_text_name_fn name;
	void *arg;
};

static const char *format_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (formats[i].type == type)
			return formats[i].format;
	return NULL;
}

static uint32_t left(const struct field *f)
{
	return f->end - f->off;
}

static bool number(struct field *f, unsigned bytes, uint32_t *ret)
{
	uint32_t v = 0;

	if (left(f) < bytes)
		return false;
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | f->m->data[f->off++];
	*ret = v;
	return true;
}

static void quoted(struct dns_text *t, const uint8_t *p, uint32_t n)
{
	dns_text_char(t, '"');
	for (uint32_t i = 0; i < n && !t->cut; i++) {
		char s[5] = { '\\', (char)p[i] };

		if (p[i] < ' ' || p[i] >= 127)
			snprintf(s, sizeof s, "\\%03u", p[i]);
		dns_text_string(t, strchr("\"\\;", p[i]) || s[2] ? s : s + 1);
	}
	dns_text_char(t, '"');
}

static bool string(struct field *f)
{
	uint32_t n;

	if (!number(f, 1, &n) || left(f) < n)
		return false;
	quoted(f->t, f->m->data + f->off, n);
	f->off += n;
	return true;
}

static bool strings(struct field *f)
{
	if (!left(f))
		return false;
	for (bool first = true; left(f); first = false) {
		if (!first)
			dns_text_char(f->t, ' ');
		if (!string(f))
			return false;
	}
	return true;
}

static bool name(struct field *f)
{
	struct dns_name n;
	uint32_t next;

	if (dns_name_at(f->m, f->off, &n, &next) || next > f->end)
		return false;
	f->name(f->t, &n, f->arg);
	f->off = next;
	return true;
}

static void base64(struct dns_text *t, const uint8_t *p, uint32_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (uint32_t i = 0; i < n && !t->cut; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
		char s[5] = { digits[v >> 18], digits[v >> 12 & 63],
			i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '=', 0 };

		dns_text_string(t, s);
	}
}

/* Base 32 with extended hex alphabet, without padding (RFC 5155 3.3). */
static void base32(struct dns_text *t, const uint8_t *p, uint32_t n)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint32_t bits = 0, have = 0;

	for (uint32_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 5; have -= 5)
			dns_text_char(t, digits[bits >> (have - 5) & 31]);
	}
	if (have)
		dns_text_char(t, digits[bits << (5 - have) & 31]);
}

static bool counted(struct field *f, char as)
{
	uint32_t n;

	if (!number(f, 1, &n) || left(f) < n)
		return false;
	if (as == 'c')
		for (uint32_t i = 0; i < n; i++) {
			uint8_t c = f->m->data[f->off + i];

			/* RFC 8659 4.1: letters and digits. */
			if ((c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z'))
				return false;
			dns_text_char(f->t, (char)c);
		}
	else if (!n && as == 'H')
		dns_text_char(f->t, '-');
	else if (as == 'H')
		dns_text_hex(f->t, f->m->data + f->off, n);
	else
		base32(f->t, f->m->data + f->off, n);
	f->off += n;
	return n || as == 'H';
}

/* RFC 4034 4.1.2: windows of 256 types, each 1 to 32 bytes. */
static bool bitmap(struct field *f)
{
	char buf[16];
	int last = -1;
	bool first = true;

	while (left(f)) {
		uint32_t window, n;

		if (!number(f, 1, &window) || !number(f, 1, &n) || !n || n > 32 || left(f) < n ||
		    (int)window <= last)
			return false;
		last = (int)window;
		for (uint32_t i = 0; i < n * 8; i++) {
			if (!(f->m->data[f->off + i / 8] & 0x80 >> i % 8))
				continue;
			if (!first)
				dns_text_char(f->t, ' ');
			first = false;
			dns_text_string(f->t, dns_type_name((uint16_t)(window << 8 | i), buf));
		}
		f->off += n;
	}
	return true;
}

static bool timestamp(struct field *f)
{
	char s[24];
	struct tm tm;
	uint32_t v;
	time_t when;

	if (!number(f, 4, &v))
		return false;
	/* RFC 4034 3.1.5: serial arithmetic; until 2106 the plain number is right. */
	when = (time_t)v;
	if (!gmtime_r(&when, &tm) || !strftime(s, sizeof s, "%Y%m%d%H%M%S", &tm))
		return false;
	dns_text_string(f->t, s);
	return true;
}

/* ---- SVCB (RFC 9460) ------------------------------------------------------------ */

static bool svc_alpn(struct dns_text *t, const uint8_t *p, uint32_t n)
{
	dns_text_char(t, '"');
	for (uint32_t i = 0; i < n;) {
		uint32_t len = p[i++];

		if (!len || len > n - i)
			return false;
		if (i > 1)
			dns_text_char(t, ',');
		for (uint32_t k = 0; k < len; k++, i++) {
			char s[6];

			if (p[i] < '!' || p[i] >= 127 || strchr("\",;\\", p[i]))
				snprintf(s, sizeof s, "\\%03u", p[i]);
			else
				snprintf(s, sizeof s, "%c", p[i]);
			dns_text_string(t, s);
		}
	}
	dns_text_char(t, '"');
	return n;
}

static bool svc_addresses(struct dns_text *t, const uint8_t *p, uint32_t n, unsigned width)
{
	for (uint32_t i = 0; i < n; i += width) {
		uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };

		if (n - i < width)
			return false;
		if (i)
			dns_text_char(t, ',');
		memcpy(addr + 16 - width, p + i, width);
		if (width == 4)
			dns_text_address(t, addr);
		else
			dns_text_ipv6(t, addr);
	}
	return n;
}

static bool svc_mandatory(struct dns_text *t, const uint8_t *p, uint32_t n, const char *const *names)
{
	for (uint32_t i = 0; i + 1 < n; i += 2) {
		unsigned key = (unsigned)p[i] << 8 | p[i + 1];

		if (i)
			dns_text_char(t, ',');
		if (key < 8 && names[key])
			dns_text_string(t, names[key]);
		else {
			dns_text_string(t, "key");
			dns_text_number(t, key);
		}
	}
	return n && n % 2 == 0;
}

static bool svc_value(struct dns_text *t, unsigned key, const uint8_t *p, uint32_t n,
                      const char *const *names)
{
	switch (key) {
	case 0: return svc_mandatory(t, p, n, names);
	case 1: return svc_alpn(t, p, n);
	case 3:
		if (n != 2)
			return false;
		dns_text_number(t, (uint32_t)p[0] << 8 | p[1]);
		return true;
	case 4: return svc_addresses(t, p, n, 4);
	case 5: base64(t, p, n); return n;
	case 6: return svc_addresses(t, p, n, 16);
	default: quoted(t, p, n); return true;
	}
}

static bool parameters(struct field *f)
{
	static const char *const names[8] = { "mandatory", "alpn", "no-default-alpn", "port",
		"ipv4hint", "ech", "ipv6hint", "dohpath" };
	int last = -1;

	while (left(f)) {
		uint32_t key, n;

		if (!number(f, 2, &key) || !number(f, 2, &n) || left(f) < n || (int)key <= last)
			return false;
		if (last >= 0)
			dns_text_char(f->t, ' ');
		last = (int)key;
		if (key < 8)
			dns_text_string(f->t, names[key]);
		else {
			dns_text_string(f->t, "key");
			dns_text_number(f->t, key);
		}
		if (key == 2 && n)
			return false;
		if (n || key < 7) {
			if (key != 2)
				dns_text_char(f->t, '=');
			if (key != 2 && !svc_value(f->t, key, f->m->data + f->off, n, names))
				return false;
		}
		f->off += n;
	}
	return true;
}

/* ---- a record ------------------------------------------------------------------- */

static bool address(struct field *f, bool v6)
{
	uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };
	uint32_t n = v6 ? 16 : 4;

	if (left(f) < n)
		return false;
	memcpy(addr + 16 - n, f->m->data + f->off, n);
	f->off += n;
	if (v6)
		dns_text_ipv6(f->t, addr);
	else
		dns_text_address(f->t, addr);
	return true;
}

static void rest(struct field *f, char as)
{
	const uint8_t *p = f->m->data + f->off;
	uint32_t n = left(f);

	if (as == 'q')
		quoted(f->t, p, n);
	else if (as == 'b')
		base64(f->t, p, n);
	else if (as == 'h')
		dns_text_hex(f->t, p, n);
	else
		for (uint32_t i = 0; i < n; i++) {
			if (i)
				dns_text_char(f->t, '-');
			dns_text_hex(f->t, p + i, 1);
		}
	f->off = f->end;
}

static bool field(struct field *f, char as)
{
	char buf[16];
	uint32_t v;

	switch (as) {
	case 'a': case '6':
		return address(f, as == '6');
	case '1': case '2': case '4':
		if (!number(f, (unsigned)(as - '0'), &v))
			return false;
		dns_text_number(f->t, v);
		return true;
	case 'T':
		if (!number(f, 2, &v))
			return false;
		dns_text_string(f->t, dns_type_name((uint16_t)v, buf));
		return true;
	case 't': return timestamp(f);
	case 'n': return name(f);
	case 's': return string(f);
	case 'S': return strings(f);
	case 'm': return bitmap(f);
	case 'p': return parameters(f);
	case 'c': case 'H': case 'B': return counted(f, as);
	case 'e':
		if (left(f) != 6 && left(f) != 8)
			return false;
		break;
	}
	rest(f, as);
	return true;
}

static bool by_format(struct field *f, const char *format)
{
	for (const char *c = format; *c; c++) {
		/* What may be empty at the end takes no blank before it. */
		bool empty = !left(f) && strchr("mphb", *c);

		if (c != format && !empty)
			dns_text_char(f->t, ' ');
		if (!field(f, *c))
			return false;
	}
	return !left(f);
}

static void plain_name(struct dns_text *t, const struct dns_name *n, void *arg)
{
	(void)arg;
	dns_text_name(t, n);
}

bool dns_text_data(struct dns_text *t, const struct dns_msg *m, const struct dns_rr *rr,
                   dns_text_name_fn fn, void *arg)
{
	const char *format = format_of(rr->type);
	struct field f = { .t = t, .m = m, .off = rr->data_off, .end = rr->data_off + rr->data_len,
		.name = fn ? fn : plain_name, .arg = arg };
	struct dns_text before = *t;

	if (f.end > m->have) {
		f.end = m->have > f.off ? m->have : f.off; /* cut: show what is there as hex */
		format = NULL;
	}
	if (format && by_format(&f, format))
		return true;
	*t = before;
	if (!t->cut)
		t->at[t->len] = 0;
	f.off = rr->data_off < m->have ? rr->data_off : m->have;
	f.end = f.end > f.off ? f.end : f.off;
	dns_text_string(t, "\\# ");
	dns_text_number(t, rr->data_len);
	if (left(&f))
		dns_text_char(t, ' ');
	dns_text_hex(t, m->data + f.off, left(&f));
	return !format;
}
