/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser on messages made to hurt: each is refused or read in part, by its name.
 */
#include "test_dns.h"

#include <arpa/inet.h>
#define HEADER(qd, an) 0x12, 0x34, 0x01, 0, 0, (qd), 0, (an), 0, 0, 0, 0
#define PARSE(m, ...)                                                          \
	({                                                                     \
		static const uint8_t bytes_[] = { __VA_ARGS__ };               \
		dns_parse(bytes_, sizeof bytes_, sizeof bytes_, &(m));         \
	})

static void hostile_messages_have_a_name(void **state)
{
	struct dns_msg m;

	(void)state;
	assert_int_equal(PARSE(m, 0), DNS_SHORT);
	assert_int_equal(PARSE(m, HEADER(0, 0)), DNS_OK);
	/* a question that is not there; that ends in its name, in its type */
	assert_int_equal(PARSE(m, HEADER(1, 0)), DNS_BAD_QUESTION);
	assert_int_equal(PARSE(m, HEADER(1, 0), 1, 'a'), DNS_BAD_NAME);
	assert_int_equal(PARSE(m, HEADER(1, 0), 1, 'a', 0, 0), DNS_BAD_QUESTION);
	/* a label type that is none; a pointer to itself; two to one another; beyond the end */
	assert_int_equal(PARSE(m, HEADER(1, 0), 0x40, 'a', 0, 0, 1, 0, 1), DNS_BAD_NAME);
	assert_int_equal(PARSE(m, HEADER(1, 0), 0xc0, 12, 0, 1, 0, 1), DNS_LOOP);
	assert_int_equal(PARSE(m, HEADER(1, 0), 0xc0, 14, 0xc0, 12, 0, 1, 0, 1), DNS_LOOP);
	assert_int_equal(PARSE(m, HEADER(1, 0), 0xff, 0xff, 0, 1, 0, 1), DNS_BAD_NAME);
	/* a pointer forward is legal */
	assert_int_equal(PARSE(m, HEADER(1, 0), 0xc0, 18, 0, 1, 0, 1, 1, 'a', 0), DNS_OK);
	assert_int_equal(m.qname.len, 3);
	/* counts that lie: the question holds */
	assert_int_equal(PARSE(m, HEADER(1, 9), 1, 'a', 0, 0, 1, 0, 1), DNS_BAD_COUNT);
	assert_int_equal(m.qname.len, 3);
	assert_int_equal(PARSE(m, HEADER(2, 0), 1, 'a', 0, 0, 1, 0, 1), DNS_BAD_COUNT);
	/* an answer whose data ends beyond the message; one with none */
	assert_int_equal(PARSE(m, HEADER(0, 1), 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1), DNS_BAD_RECORD);
	assert_int_equal(PARSE(m, HEADER(0, 1), 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0), DNS_OK);
}

static void what_was_not_captured_is_no_fault(void **state)
{
	static const uint8_t bytes[] = { HEADER(1, 1), 1, 'a', 0, 0, 1, 0, 1,
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4 };
	struct dns_msg m;

	(void)state;
	assert_int_equal(dns_parse(bytes, sizeof bytes, sizeof bytes, &m), DNS_OK);
	for (uint32_t have = 19; have < sizeof bytes; have++)
		assert_int_equal(dns_parse(bytes, have, sizeof bytes, &m), DNS_CUT);
	assert_int_equal(dns_parse(bytes, 18, sizeof bytes, &m), DNS_BAD_QUESTION);
}

static void names_and_text_go_both_ways(void **state)
{
	static const char *const same[] = { ".", "example.com", "a\\.b.c", "\\000\\255.x", "a\\;\\\"b" };
	static const char *const wrong[] = { "a..b", ".a", "\\25", "\\999",
		"0123456789012345678901234567890123456789012345678901234567890123.x" };
	char buf[1100];
	struct dns_text t;
	struct dns_name n, other;

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		assert_int_equal(dns_name_parse(same[i], &n), 0);
		dns_text_init(&t, buf, sizeof buf);
		dns_text_name(&t, &n);
		assert_string_equal(buf, same[i]);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(dns_name_parse(wrong[i], &n), -EINVAL);
	dns_name_parse("www.Example.COM", &n);
	dns_name_parse("eXample.com", &other);
	assert_true(dns_name_below(&n, &other));
	assert_false(dns_name_below(&other, &n));
	dns_name_parse("ample.com", &other);
	assert_false(dns_name_below(&n, &other)); /* labels, not letters */
	dns_name_parse(".", &other);
	assert_true(dns_name_below(&n, &other));
}

static void text_is_cut_whole(void **state)
{
	char buf[8];
	struct dns_text t;
	struct dns_name n;

	(void)state;
	dns_name_parse("abcde\\200f", &n);
	dns_text_init(&t, buf, sizeof buf);
	dns_text_name(&t, &n);
	assert_true(t.cut);
	assert_string_equal(buf, "abcde"); /* not half an escape, and nothing behind it */
}

/* Any pattern of zero groups, and IPv4 inside: as libc writes it. */
static void addresses_are_as_libc_writes_them(void **state)
{
	(void)state;
	for (unsigned mask = 0; mask < 256; mask++) {
		for (unsigned low = 0; low < 3; low++) {
			char ours[64], theirs[INET6_ADDRSTRLEN];
			uint8_t a[16] = { 0 };
			struct dns_text t;

			for (unsigned i = 0; i < 8; i++)
				if (mask >> i & 1) {
					a[2 * i] = low == 0 ? 0 : low == 1 ? 0xff : 0x10;
					a[2 * i + 1] = low == 1 ? 0xff : (uint8_t)(i + 1);
				}
			dns_text_init(&t, ours, sizeof ours);
			dns_text_ipv6(&t, a);
			inet_ntop(AF_INET6, a, theirs, sizeof theirs);
			assert_string_equal(ours, theirs);
		}
	}
}

int test_wire(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_messages_have_a_name),
		cmocka_unit_test(what_was_not_captured_is_no_fault),
		cmocka_unit_test(names_and_text_go_both_ways), cmocka_unit_test(text_is_cut_whole),
		cmocka_unit_test(addresses_are_as_libc_writes_them),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
