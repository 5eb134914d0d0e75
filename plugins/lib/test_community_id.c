/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every published vector of the Community ID comes out, with each seed, from both directions; a
 * one-way ICMP message and its reverse stay apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "community_id.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void parse_address(const char *text, uint8_t ret[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, ret), 1);
		return;
	}
	memcpy(ret, mapped, 12);
	assert_int_equal(inet_pton(AF_INET, text, ret + 12), 1);
}

static void check(uint16_t seed, const char *src, const char *dst, unsigned proto, unsigned sport,
                  unsigned dport, const char *want)
{
	uint8_t a[16], b[16];
	char id[COMMUNITY_ID_SIZE];

	parse_address(src, a);
	parse_address(dst, b);
	community_id(seed, a, b, (uint8_t)proto, (uint16_t)sport, (uint16_t)dport, id);
	if (strcmp(id, want))
		fail_msg("seed %u %s:%u > %s:%u %u: %s, not %s", seed, src, sport, dst, dport, proto, id,
		         want);
}

/* Objects of exactly these members, in this order. */
static unsigned baseline(const char *path, uint16_t seed)
{
	char text[16384], src[64], dst[64], id[64];
	unsigned proto, sport, dport, n = 0;
	int got;
	FILE *f = fopen(path, "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[len] = '\0';
	for (const char *p = text; (p = strchr(p, '{')); p++, n++) {
		got = sscanf(p, "{\"proto\": %u, \"saddr\": \"%63[^\"]\", \"daddr\": \"%63[^\"]\", "
		             "\"sport\": %u, \"dport\": %u, \"communityid\": \"%63[^\"]\"}",
		             &proto, src, dst, &sport, &dport, id);
		if (got == 3) { /* a protocol without ports: null */
			sport = dport = 0;
			got += 2 + sscanf(strstr(p, "\"communityid\""), "\"communityid\": \"%63[^\"]\"}", id);
		}
		assert_int_equal(got, 6);
		check(seed, src, dst, proto, sport, dport, id);
	}
	return n;
}

static void published_baselines(void **state)
{
	(void)state;
	assert_int_equal(baseline(TESTDATA "/community-id/baseline_deflt.json", 0), 23);
	assert_int_equal(baseline(TESTDATA "/community-id/baseline_seed1.json", 1), 23);
}

#define V6A "fe80:1:203:405:607:809:a0b:c0d"
#define V6B "fe80:1011:1213:1415:1617:1819:1a1b:1c1d"
#define NDA "3ffe:507:0:1:260:97ff:fe07:69ea"
#define NDB "3ffe:507:0:1:200:86ff:fe05:80da"
static const struct {
	const char *src, *dst;
	unsigned proto, sport, dport;
	const char *id0, *id1; /* by seed; NULL: not published */
} vectors[] = {
	{ "1.2.3.4", "5.6.7.8", 6, 1122, 3344, "1:wCb3OG7yAFWelaUydu0D+125CLM=", "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=" },
	{ "5.6.7.8", "1.2.3.4", 6, 3344, 1122, "1:wCb3OG7yAFWelaUydu0D+125CLM=", "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=" },
	{ "1.2.3.4", "5.6.7.8", 17, 1122, 3344, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=", "1:OShq+iKDAMVouh/4bMxB9Sz4amw=" },
	{ "5.6.7.8", "1.2.3.4", 17, 3344, 1122, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=", "1:OShq+iKDAMVouh/4bMxB9Sz4amw=" },
	{ "1.2.3.4", "5.6.7.8", 132, 1122, 3344, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=", "1:uitchpn5MMGAQKBJh7bIr/bAr7s=" },
	{ "5.6.7.8", "1.2.3.4", 132, 3344, 1122, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=", "1:uitchpn5MMGAQKBJh7bIr/bAr7s=" },
	{ "192.168.170.8", "192.168.170.56", 132, 7, 80, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=", "1:Y1/0jQg6e+I3ZwZZ9LP65DNbTXU=" },
	{ "192.168.170.56", "192.168.170.8", 132, 80, 7, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=", "1:Y1/0jQg6e+I3ZwZZ9LP65DNbTXU=" },
	{ "192.168.170.8", "192.168.170.56", 132, 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg=" },
	{ "192.168.170.56", "192.168.170.8", 132, 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg=" },
	{ "1.2.3.4", "5.6.7.8", 1, 8, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=", "1:9pr4ZGTICiuZoIh90RRYE2RyXpU=" },
	{ "5.6.7.8", "1.2.3.4", 1, 0, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=", "1:9pr4ZGTICiuZoIh90RRYE2RyXpU=" },
	{ "1.2.3.4", "5.6.7.8", 1, 11, 0, "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=", "1:1DD7cWGC/Yg91YGsQeni8du3pIA=" },
	{ "192.168.0.89", "192.168.0.1", 1, 20, 0, "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=", NULL },
	{ "192.168.0.89", "192.168.0.1", 1, 20, 1, "1:tz/fHIDUHs19NkixVVoOZywde+I=", NULL },
	{ V6A, V6B, 58, 128, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=", "1:IO27GQzPuCtNnwFvjWALMHu5tJE=" },
	{ V6B, V6A, 58, 129, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=", "1:IO27GQzPuCtNnwFvjWALMHu5tJE=" },
	{ V6A, V6B, 58, 146, 0, "1:fYC8+pz24E+EhANP1EZhpX0Dw10=", "1:Cv4IKJe56BNkF0MBW2YxQ3Nwc3s=" },
	{ NDA, NDB, 58, 3, 0, "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=", NULL },
	{ NDB, NDA, 58, 3, 0, "1:/OGBt9BN1ofenrmSPWYicpij2Vc=", NULL },
	{ "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 6, 63943, 25,
	  "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw=" },
	{ "2607:f8b0:400c:c03::1a", "2001:470:e5bf:dead:4957:2174:e82c:4887", 6, 25, 63943,
	  "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "1:eJYTW6AOzFLlSUoESovMjnu7rMw=" },
	{ "1.2.3.4", "5.6.7.8", 46, 0, 0, "1:ikv3kmf89luf73WPz1jOs49S768=", "1:/buhqeOmaRCopOZFy9HnoJd5XW8=" },
	{ "5.6.7.8", "1.2.3.4", 46, 5, 6, "1:ikv3kmf89luf73WPz1jOs49S768=", "1:/buhqeOmaRCopOZFy9HnoJd5XW8=" },
	{ V6A, V6B, 46, 0, 0, "1:wQ/2mwrnXP4lmJcHdGL5ePjR+e0=", "1:j6EyyfBzL4vWKHFXgUqb5Az3OxM=" },
	{ "192.168.0.254", "192.168.0.254", 6, 56162, 3306, NULL, "1:IJQHtzXv/tXud3FtXIufkDsfEd4=" },
	{ "192.168.0.254", "192.168.0.254", 6, 3306, 56162, NULL, "1:IJQHtzXv/tXud3FtXIufkDsfEd4=" },
	{ "128.232.110.120", "66.35.250.204", 6, 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", NULL },
	{ "192.168.1.52", "8.8.8.8", 17, 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", NULL },
	{ "192.168.0.89", "192.168.0.1", 1, 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=", NULL },
	{ "10.0.0.1", "10.0.0.2", 1, 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM=", NULL },
	{ "fe80::200:86ff:fe05:80da", "ff02::2", 58, 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=", NULL },
	{ "3ffe:501:410:0:2c0:dfff:fe47:33e", NDB, 58, 1, 4, "1:hLZd0XGWojozrvxqE0dWB1iM6R0=", NULL },
	{ "10.1.12.1", "10.1.12.2", 46, 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw=", NULL },
};

static void published_tuples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		if (vectors[i].id0)
			check(0, vectors[i].src, vectors[i].dst, vectors[i].proto, vectors[i].sport,
			      vectors[i].dport, vectors[i].id0);
		if (vectors[i].id1)
			check(1, vectors[i].src, vectors[i].dst, vectors[i].proto, vectors[i].sport,
			      vectors[i].dport, vectors[i].id1);
	}
}

static void another_seed(void **state)
{
	const char *us = "2600:1f13:f8:d400:3a6:303c:e011:18eb";

	(void)state;
	check(7, "172.26.0.39", "172.217.14.206", 6, 35958, 443, "1:IwiTNfuO7aCaamMijl+7/X9uLx0=");
	check(7, us, "2607:f8b0:400a:800::200e", 6, 60202, 443, "1:ptJhMvufAbB5nLDNW77cB800wFM=");
	check(7, us, "2001:4860:4860::8888", 6, 33892, 443, "1:PGf+a0eBbs1OhuPtJmsF0Sm51v4=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_baselines),
		cmocka_unit_test(published_tuples),
		cmocka_unit_test(another_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
