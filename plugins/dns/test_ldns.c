/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser against an independent one, ldns: the messages of the captures, and each of them
 * changed in some bytes in thousands of ways that are the same in every run. What ldns reads,
 * Weir must read, and alike: header, question, EDNS, and of every record owner, type, class,
 * TTL and data. What Weir refuses, ldns must refuse.
 *
 * Differences that are meant to be:
 *  - ldns refuses a whole message for one record whose data does not fit its type, and Weir
 *    shows that record's bytes as RFC 3597 has it. So where only ldns refuses, Weir must have
 *    met such a record, or one of a kind that ldns looks into more closely (listed below).
 *  - Where data is longer than its type's fields, ldns goes on behind the fields and not
 *    behind the length, and so reads something else from there on. Such messages, and those
 *    with types that only one of the two takes apart, are compared to the question only, and
 *    counted.
 *  - Times of RRSIG after 2038: Weir prints the number as it is, ldns as the nearest to now
 *    (RFC 4034 3.1.5), which makes the text depend on the day.
 *  - ldns follows any number of pointers, Weir 128.
 *  - TSIG and OPT are not among ldns's additional records; not compared.
 *  - Of several OPT records Weir takes the first, ldns the last; such messages are left out.
 *  - An OPT record that is not in the additional section is EDNS to neither; ldns still takes
 *    it. Left out likewise.
 * Text is compared without case, dots at the end of names, and the escapes, of which each has
 * a choice of its own.
 */
#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS "../../tests/fuzz/corpus/dns"
#define ROUNDS 2000 /* changed copies of each seed */

static unsigned both, odd, refused, ours_only, records;

/* Types whose data ldns 1.8 prints as Weir does, but for what normal() takes away. */
static bool comparable(uint16_t type)
{
	static const uint16_t list[] = { DNS_A, DNS_NS, DNS_CNAME, DNS_SOA, DNS_PTR, DNS_MX, DNS_TXT,
		DNS_AAAA, DNS_SRV, DNS_DS, DNS_RRSIG, DNS_NSEC, DNS_DNSKEY, DNS_NSEC3, DNS_DNAME,
		DNS_HINFO, DNS_MINFO, DNS_RP, DNS_AFSDB, DNS_KX, DNS_SSHFP, DNS_TLSA, DNS_NSEC3PARAM };

	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
		if (list[i] == type)
			return true;
	return false;
}

/* Escapes become bytes, letters small; of each word the last dot goes, and blanks at ends. */
static void normal(const char *s, char *to, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\\' && isdigit((unsigned char)s[1]) && isdigit((unsigned char)s[2]) &&
		    isdigit((unsigned char)s[3])) {
			c = (unsigned char)((s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'));
			s += 3;
			c = c == ' ' || c == '.' || !c ? '_' : c;
		} else if (c == '\\' && s[1]) {
			c = (unsigned char)*++s;
			c = c == '.' || c == ' ' ? '_' : c;
		} else if (c == '.' && (!s[1] || s[1] == ' ')) {
			continue;
		}
		to[n++] = (char)tolower(c);
	}
	while (n && to[n - 1] == ' ')
		n--;
	to[n] = 0;
}

/* "type255" becomes "any": the two do not know the same names. */
static void type_words(char *s)
{
	static char out[200100];
	size_t at = 0;

	out[0] = 0;
	for (char *word = strtok(s, " "); word; word = strtok(NULL, " ")) {
		char buf[16], *end;
		unsigned long v = strncmp(word, "type", 4) ? 65536 : strtoul(word + 4, &end, 10);

		at += (size_t)snprintf(out + at, sizeof out - at, "%s ", v > 65535 || !word[4] || *end ? word :
		                       dns_type_name((uint16_t)v, buf));
	}
	for (char *c = out; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	strcpy(s, out);
}

static void same_text(const char *ours, const char *theirs, const char *what)
{
	static char a[200100], b[200100];

	normal(ours, a, sizeof a);
	normal(theirs, b, sizeof b);
	type_words(a);
	type_words(b);
	if (strcmp(a, b))
		fail_msg("%s: \"%s\", ldns has \"%s\"", what, a, b);
}

static void same_name(const struct dns_name *n, ldns_rdf *rdf)
{
	const uint8_t *p = ldns_rdf_data(rdf);

	assert_int_equal(ldns_rdf_size(rdf), n->len);
	for (unsigned i = 0; i < n->len; i++)
		assert_int_equal(tolower(p[i]), tolower(n->wire[i]));
}

static void same_record(const struct dns_msg *m, const struct dns_rr *rr, ldns_rr *theirs)
{
	static char ours[150000];
	struct dns_text t;
	struct dns_name n;
	char *text;

	records++;
	assert_int_equal(dns_name_at(m, rr->name_off, &n, NULL), DNS_OK);
	same_name(&n, ldns_rr_owner(theirs));
	assert_int_equal(rr->type, ldns_rr_get_type(theirs));
	assert_int_equal(rr->class_, ldns_rr_get_class(theirs));
	assert_int_equal(rr->ttl, ldns_rr_ttl(theirs));
	if (!comparable(rr->type))
		return;
	if (rr->type == DNS_RRSIG && rr->data_len > 16 &&
	    (m->data[rr->data_off + 8] | m->data[rr->data_off + 12]) & 0x80)
		return; /* a time after 2038 */
	dns_text_init(&t, ours, sizeof ours);
	if (!dns_text_data(&t, m, rr, NULL, NULL))
		return; /* not as its type says: ldns was more lenient, and the bytes are all there */
	static char all[150000];
	size_t at = 0;

	all[0] = 0;
	for (size_t i = 0; i < ldns_rr_rd_count(theirs); i++) {
		text = ldns_rdf2str(ldns_rr_rdf(theirs, i));
		assert_non_null(text);
		at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? " " : "", text);
		free(text);
	}
	same_text(ours, all, dns_type_name(rr->type, (char[16]){ 0 }));
}

/* Is there data that is not as its type says? strict: or that ldns may look into closer. */
static bool odd_data(const struct dns_msg *m, bool strict)
{
	static char text[150000];
	struct dns_walk w;
	struct dns_text t;
	struct dns_rr rr;

	dns_walk_start(m, &w);
	while (dns_walk_next(m, &w, &rr) == DNS_OK) {
		dns_text_init(&t, text, sizeof text);
		if (!dns_text_data(&t, m, &rr, NULL, NULL) || (!comparable(rr.type) && rr.type != DNS_OPT))
			return true;
		/* Options that ldns looks into, and no data where it wants some. */
		if (strict && (!comparable(rr.type) || !rr.data_len))
			return true;
	}
	return false;
}

static bool odd_opt(const struct dns_msg *m)
{
	unsigned opts = 0;
	struct dns_walk w;
	struct dns_rr rr;

	dns_walk_start(m, &w);
	while (dns_walk_next(m, &w, &rr) == DNS_OK) {
		if (rr.type == DNS_OPT && rr.section != DNS_ADDITIONAL)
			return true;
		opts += rr.type == DNS_OPT;
	}
	return opts > 1;
}

/* What failed, for whoever looks into it. */
static void dump(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		print_error("%02x", data[i]);
	print_error("\n");
}

static void same_sections(const struct dns_msg *m, ldns_pkt *pkt)
{
	ldns_rr_list *lists[4] = { NULL, ldns_pkt_answer(pkt), ldns_pkt_authority(pkt), ldns_pkt_additional(pkt) };
	size_t at[4] = { 0 };
	struct dns_walk w;
	struct dns_rr rr;

	dns_walk_start(m, &w);
	while (dns_walk_next(m, &w, &rr) == DNS_OK) {
		if (rr.type == DNS_OPT || (rr.type == DNS_TSIG && rr.section == DNS_ADDITIONAL))
			continue; /* ldns has taken it out */
		if (at[rr.section] >= ldns_rr_list_rr_count(lists[rr.section])) {
			dump(m->data, m->len);
			fail_msg("ldns has no record %zu of section %u, type %u", at[rr.section],
			         rr.section, rr.type);
		}
		assert_true(at[rr.section] < ldns_rr_list_rr_count(lists[rr.section]));
		same_record(m, &rr, ldns_rr_list_rr(lists[rr.section], at[rr.section]++));
	}
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(at[i], ldns_rr_list_rr_count(lists[i]));
}

static void same_message(const struct dns_msg *m, ldns_pkt *pkt)
{
	assert_int_equal(m->id, ldns_pkt_id(pkt));
	assert_int_equal(!!(m->flags & DNS_QR), ldns_pkt_qr(pkt));
	assert_int_equal(!!(m->flags & DNS_AA), ldns_pkt_aa(pkt));
	assert_int_equal(!!(m->flags & DNS_TC), ldns_pkt_tc(pkt));
	assert_int_equal(!!(m->flags & DNS_RD), ldns_pkt_rd(pkt));
	assert_int_equal(!!(m->flags & DNS_RA), ldns_pkt_ra(pkt));
	assert_int_equal(!!(m->flags & DNS_AD), ldns_pkt_ad(pkt));
	assert_int_equal(!!(m->flags & DNS_CD), ldns_pkt_cd(pkt));
	assert_int_equal(DNS_OPCODE(m->flags), ldns_pkt_get_opcode(pkt));
	assert_int_equal(m->flags & 15, ldns_pkt_get_rcode(pkt));
	if (m->count[DNS_QUESTION]) {
		ldns_rr *q = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);

		same_name(&m->qname, ldns_rr_owner(q));
		assert_int_equal(m->qtype, ldns_rr_get_type(q));
		assert_int_equal(m->qclass, ldns_rr_get_class(q));
	}
	if (odd_opt(m) || odd_data(m, false)) {
		odd++;
		return;
	}
	assert_int_equal(m->edns.present, ldns_pkt_edns(pkt));
	if (m->edns.present) {
		assert_int_equal(m->edns.size, ldns_pkt_edns_udp_size(pkt));
		assert_int_equal(m->edns.version, ldns_pkt_edns_version(pkt));
		assert_int_equal(m->edns.rcode_high, ldns_pkt_edns_extended_rcode(pkt));
		assert_int_equal(m->edns.dnssec_ok, ldns_pkt_edns_do(pkt));
	}
	same_sections(m, pkt);
}

static void compare(const uint8_t *data, size_t len)
{
	ldns_pkt *pkt = NULL;
	bool theirs = ldns_wire2pkt(&pkt, data, len) == LDNS_STATUS_OK;
	struct dns_msg m;
	enum dns_error e = dns_parse(data, (uint32_t)len, (uint32_t)len, &m);

	if (theirs && (e == DNS_LOOP || (e && e <= DNS_LAST_USABLE && odd_data(&m, false)))) {
		odd++;
		ldns_pkt_free(pkt);
		return;
	}
	if (theirs && e) {
		dump(data, len);
		fail_msg("ldns reads what Weir calls %s (%zu bytes)", dns_error_name(e), len);
	}
	if (theirs) {
		both++;
		same_message(&m, pkt);
		ldns_pkt_free(pkt);
	} else if (e) {
		refused++;
	} else {
		ours_only++;
		if (!odd_data(&m, true)) {
			dump(data, len);
			fail_msg("ldns refuses %zu bytes in which all data is as its type says", len);
		}
	}
}

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void seed(const char *path, uint32_t state)
{
	static uint8_t data[65536], copy[65536];
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, sizeof data, f);
	fclose(f);
	compare(data, n);
	for (int i = 0; i < ROUNDS && n > 12; i++) {
		size_t len = i % 8 == 7 ? next(&state) % n : n;

		memcpy(copy, data, n);
		for (unsigned k = next(&state) % 4 + (len == n); k; k--) {
			size_t at = next(&state) % n;
			uint32_t v = next(&state);

			copy[at] = (uint8_t)(v >> 8 & 1 ? v : v % 64);
		}
		compare(copy, len);
	}
}

static void agrees_with_ldns(void **state)
{
	struct dirent **list;
	int n = scandir(SEEDS, &list, NULL, alphasort);
	char path[600];

	(void)state;
	assert_true(n > 20);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, SEEDS "/%s", list[i]->d_name);
		if (list[i]->d_name[0] != '.')
			seed(path, 2463534242u + (uint32_t)i);
		free(list[i]);
	}
	free(list);
	print_message("%u messages read by both (%u records; %u only to the question, for odd data), "
	              "%u refused by both, %u by ldns alone\n", both, records, odd, refused, ours_only);
	assert_true(both > 1000 && records > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_ldns) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
