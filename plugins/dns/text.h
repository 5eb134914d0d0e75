/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS data as text, in the presentation format of zone files (RFC 1035 5.1, 3597, 9460):
 * bytes outside of printable ASCII become \DDD, so that no control byte is left, and ';' is
 * escaped too, since "; " separates answers. Bounded: what does not fit is cut and marked.
 * Thread: any; no state.
 */
#ifndef DNS_TEXT_H
#define DNS_TEXT_H

#include "wire.h"

/* Where text goes: always ends in NUL; `cut` once something did not fit. Escapes and
 * numbers go in whole or not at all. */
struct dns_text {
	char *at;
	size_t size, len;
	bool cut;
};
void dns_text_init(struct dns_text *t, char *buf, size_t size); /* size > 0 */
void dns_text_char(struct dns_text *t, char c);
void dns_text_string(struct dns_text *t, const char *s); /* as it is */
void dns_text_number(struct dns_text *t, uint32_t v);
void dns_text_hex(struct dns_text *t, const uint8_t *p, uint32_t n);

/* "example.com": without the last dot; the root is ".". */
void dns_text_name(struct dns_text *t, const struct dns_name *n);
/* The data of a record by its type; what cannot be read as that: \# LEN HEX. false: then it
 * was not what its type says. hash: names are written by this instead; NULL: as they are. */
typedef void (*dns_text_name_fn)(struct dns_text *t, const struct dns_name *n, void *arg);
bool dns_text_data(struct dns_text *t, const struct dns_msg *m, const struct dns_rr *rr,
                   dns_text_name_fn name, void *arg);

/* "A"; "TYPE65280" if it has no name. buf: at least 16 bytes. Returns it, or a constant. */
const char *dns_type_name(uint16_t type, char buf[16]);
const char *dns_rcode_name(uint16_t rcode, char buf[16]);
/* -1: no such name. "TYPE123" is one. */
int dns_type_number(const char *name);

/* "192.0.2.1", "2001:db8::1"; v4-mapped as IPv4. */
void dns_text_address(struct dns_text *t, const uint8_t addr[16]);
void dns_text_ipv6(struct dns_text *t, const uint8_t addr[16]);

#endif
