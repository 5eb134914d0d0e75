/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads DNS messages (RFC 1035, 6891): header, first question, EDNS, and the records one by
 * one. Any bytes at all are legal input; nothing is allocated, nothing beyond `have` is read.
 *
 *     struct dns_msg m;
 *     if (dns_parse(data, have, len, &m) <= DNS_LAST_USABLE)
 *             for (dns_rr_first(&m, &it); dns_rr_next(&m, &it, &rr) == DNS_OK;)
 *
 * `have` may be less than `len`: the rest was not captured. What lies beyond is then DNS_CUT,
 * and no fault of the message.
 * Bounds: a name has at most 255 bytes and 128 pointers (it cannot have more than 127
 * labels); pointers may lead forward, as some servers' do, but each name ends by those two.
 * A section's count is believed only as far as there are bytes. Thread: any; no state.
 */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER 12
#define DNS_NAME_MAX 255
#define DNS_POINTERS_MAX 128
/* Of one message; a message of 64 KiB cannot hold more (11 bytes each). */
#define DNS_RECORDS_MAX 5958

enum dns_error {
	DNS_OK,
	DNS_CUT,          /* beyond what was captured */
	DNS_BAD_RECORD,   /* header and question hold; a record does not */
	DNS_BAD_COUNT,    /* likewise: more records announced than there are */
	DNS_LAST_USABLE = DNS_BAD_COUNT,
	DNS_SHORT,        /* less than a header */
	DNS_BAD_QUESTION,
	DNS_BAD_NAME,     /* of the question: label type, length or end */
	DNS_LOOP,         /* too many pointers */
	DNS_END,          /* dns_rr_next(): no more */
	DNS_ERRORS,
};
const char *dns_error_name(enum dns_error e);

enum dns_section { DNS_QUESTION, DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

enum dns_flag { /* of the second 16 bits of the header */
	DNS_QR = 0x8000, DNS_AA = 0x0400, DNS_TC = 0x0200, DNS_RD = 0x0100, DNS_RA = 0x0080,
	DNS_Z = 0x0040, DNS_AD = 0x0020, DNS_CD = 0x0010,
};
#define DNS_OPCODE(flags) ((flags) >> 11 & 15)

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_MD = 3, DNS_MF = 4, DNS_CNAME = 5, DNS_SOA = 6, DNS_MB = 7,
	DNS_MG = 8, DNS_MR = 9, DNS_NULL = 10, DNS_WKS = 11, DNS_PTR = 12, DNS_HINFO = 13,
	DNS_MINFO = 14, DNS_MX = 15, DNS_TXT = 16, DNS_RP = 17, DNS_AFSDB = 18, DNS_SIG = 24,
	DNS_KEY = 25, DNS_AAAA = 28, DNS_LOC = 29, DNS_NXT = 30, DNS_SRV = 33, DNS_NAPTR = 35,
	DNS_KX = 36, DNS_CERT = 37, DNS_DNAME = 39, DNS_OPT = 41, DNS_APL = 42, DNS_DS = 43,
	DNS_SSHFP = 44, DNS_RRSIG = 46, DNS_NSEC = 47, DNS_DNSKEY = 48, DNS_DHCID = 49,
	DNS_NSEC3 = 50, DNS_NSEC3PARAM = 51, DNS_TLSA = 52, DNS_SMIMEA = 53, DNS_CDS = 59,
	DNS_CDNSKEY = 60, DNS_OPENPGPKEY = 61, DNS_CSYNC = 62, DNS_ZONEMD = 63, DNS_SVCB = 64,
	DNS_HTTPS = 65, DNS_SPF = 99, DNS_EUI48 = 108, DNS_EUI64 = 109, DNS_TKEY = 249,
	DNS_TSIG = 250, DNS_IXFR = 251, DNS_AXFR = 252, DNS_ANY = 255, DNS_URI = 256,
	DNS_CAA = 257,
};

/* A name as on the wire without compression: labels with their lengths, the root's 0 last. */
struct dns_name {
	uint8_t len;      /* 1 to 255 */
	uint8_t wire[DNS_NAME_MAX];
};

struct dns_edns {
	bool present;
	bool dnssec_ok;
	uint8_t version, rcode_high;
	uint16_t size;            /* of UDP messages it takes */
	bool bad;                 /* an option is not what its length says */
	uint8_t options;          /* how many, up to 255 */
	uint8_t subnet_family;    /* 0: none; 1 IPv4, 2 IPv6 */
	uint8_t subnet_source, subnet_scope;
	uint8_t subnet[16];
	uint8_t cookie_len, cookie[40];
	bool has_keepalive, has_error;
	bool has_timeout;         /* keepalive with a value */
	uint16_t keepalive, error;
};

struct dns_msg {
	const uint8_t *data;
	uint32_t have, len;
	uint16_t id, flags;
	uint16_t count[4];        /* as the header says, by enum dns_section */
	uint16_t rcode;           /* with the EDNS bits */
	uint16_t qtype, qclass;   /* of the first question; count[0] == 0: there is none */
	struct dns_name qname;
	uint32_t records_off;     /* where the answers start; 0: unknown */
	struct dns_edns edns;
	enum dns_error error;     /* DNS_OK, or how far it can be read */
};

struct dns_rr {
	enum dns_section section;
	uint16_t type, class_;
	uint32_t ttl;
	uint32_t name_off;        /* in the message */
	uint32_t data_off;
	uint16_t data_len;
	bool cut;                 /* not all of the data was captured */
};

struct dns_walk {
	uint32_t off, left[4], seen;
	unsigned section;
};

/* Header and questions. Returns m->error. Beyond DNS_LAST_USABLE only what the header says is
 * valid, with DNS_SHORT nothing. */
enum dns_error dns_parse_head(const void *data, uint32_t have, uint32_t len, struct dns_msg *ret);
/* Then the records: EDNS, and whether all can be read. Returns m->error. */
enum dns_error dns_parse_records(struct dns_msg *m);
/* Both. */
enum dns_error dns_parse(const void *data, uint32_t have, uint32_t len, struct dns_msg *ret);
/* Could these bytes be a DNS message at all? Cheap: header only. */
bool dns_plausible(const void *data, uint32_t have, uint32_t len);

void dns_walk_start(const struct dns_msg *m, struct dns_walk *w);
/* DNS_OK and *ret; DNS_END; else why the rest cannot be read. */
enum dns_error dns_walk_next(const struct dns_msg *m, struct dns_walk *w, struct dns_rr *ret);

/* The name at `off`, uncompressed; *ret_next: behind it. ret may be NULL: only skip. */
enum dns_error dns_name_at(const struct dns_msg *m, uint32_t off, struct dns_name *ret,
                           uint32_t *ret_next);
/* FNV-1a over the name in lower case: queries and answers may differ in case. */
uint64_t dns_name_hash(const struct dns_name *n);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b); /* ASCII case aside */
/* Is `suffix` the name itself or a domain above it? */
bool dns_name_below(const struct dns_name *n, const struct dns_name *suffix);
/* From text ("example.com", with \DDD and \.); -EINVAL if it is no name. */
int dns_name_parse(const char *text, struct dns_name *ret);

#endif
