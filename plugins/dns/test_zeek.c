/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures, and the dns.log that Zeek derives from them: every line must be one record, and
 * every record a line, equal field by field. Where they differ, here is why:
 *
 *  - Names: Zeek writes them in lower case, Weir as sent. Compared without case.
 *  - rtt: Zeek sets it at the first answer record, so a response without answers has none;
 *    Weir has a latency for every answered question. Checked to be there.
 *  - AA, TC and RA: Zeek takes them, too, at the first answer record. Compared if there is one.
 *  - A question asked twice: Zeek gives the response to the oldest, and a line of its own to
 *    the other. Weir has one record, with retries = 1, latency from the newest, and wait_ns
 *    from the first, which is Zeek's rtt.
 *  - A response without a query: Zeek leaves out type and class, and the reply's Z; without
 *    answers the name too, which Weir has from the question section.
 *  - Multicast replies: Zeek keeps who spoke first as client; in Weir a response's sender is
 *    the server. A message without question takes its name from the first answer, as there.
 *  - RRSIG: Zeek shows the type covered and the signer; compared with those two of Weir's.
 *  - TC and Z: Zeek's Z is Z, AD and CD of the query, which Weir keeps in query_flags.
 *  - Answers beyond the 512 bytes of the field are counted in answers_more.
 */
#include "test_dns.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FIELDS 26
enum {
	TS, UID, ORIG, ORIG_P, RESP, RESP_P, PROTO, ID, RTT, QUERY, QCLASS, QCLASS_N, QTYPE, QTYPE_N,
	RCODE, RCODE_N, AA, TC, RD, RA, Z, ANSWERS, TTLS, REJECTED, OPCODE, OPCODE_N,
};

struct line {
	char *text;
	char *f[FIELDS];
	bool used;
};

static const char *where;

static size_t read_log(const char *name, struct line *lines, size_t max)
{
	char path[300], *line = NULL;
	size_t n = 0, size = 0;
	FILE *f;

	snprintf(path, sizeof path, "../../tests/data/dns/%s", name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		char *rest;

		if (line[0] == '#')
			continue;
		assert_true(n < max);
		line[strcspn(line, "\n")] = 0;
		lines[n] = (struct line){ .text = strdup(line) };
		rest = lines[n].text;
		for (int i = 0; i < FIELDS; i++)
			lines[n].f[i] = strsep(&rest, "\t");
		assert_non_null(lines[n].f[FIELDS - 1]);
		n++;
	}
	free(line);
	fclose(f);
	return n;
}

static bool unset(const char *s)
{
	return !strcmp(s, "-");
}

static void address_is(const uint8_t *addr, const char *text)
{
	char buf[64];
	struct dns_text t;

	dns_text_init(&t, buf, sizeof buf);
	dns_text_address(&t, addr);
	assert_string_equal(buf, text);
}

/* Zeek's form of the data of an answer, in Weir's words. */
static void data_is(const char *type, const char *data, const char *zeek)
{
	char covered[64], signer[256], want[1024], *at = want;
	unsigned number;

	if (sscanf(zeek, "RRSIG %u %255s", &number, signer) == 2) {
		char buf[16], have[256], *end = want + sizeof want;

		assert_string_equal(type, "RRSIG");
		/* "CNAME 7 3 86400 EXPIRY INCEPTION TAG SIGNER signature" */
		assert_int_equal(sscanf(data, "%63s %*s %*s %*s %*s %*s %*s %255s", covered, have), 2);
		assert_string_equal(covered, dns_type_name((uint16_t)number, buf));
		assert_int_equal(strcasecmp(have, signer), 0);
		(void)end;
		return;
	}
	if (!strncmp(zeek, "TXT ", 4)) {
		assert_string_equal(type, "TXT");
		/* "TXT 5 hello TXT 2 ab" is "hello" "ab" */
		while (sscanf(zeek, "TXT %u ", &number) == 1) {
			const char *text = strchr(zeek + 4, ' ') + 1;

			at += sprintf(at, "%s\"%.*s\"", at == want ? "" : " ", (int)number, text);
			zeek = text + number + (text[number] == ' ');
			if ((size_t)(at - want) > sizeof want / 2)
				break;
		}
		assert_int_equal(strncmp(data, want, strlen(data) < strlen(want) ? strlen(data) : strlen(want)), 0);
		return;
	}
	if (strcasecmp(data, zeek))
		fail_msg("%s: answer %s, Zeek has %s", where, data, zeek);
}

/* Both lists, item by item. */
static void answers_are(const struct weir_dns_transaction *r, char *answers, char *ttls)
{
	char copy[WEIR_DNS_ANSWERS_MAX + 1], *rest = copy;
	unsigned n = 0;

	strcpy(copy, WEIR_DNS_TEXT(r, answers));
	if (unset(answers)) {
		assert_string_equal(copy, "");
		return;
	}
	for (char *z = strsep(&answers, ","), *ttl = strsep(&ttls, ","); z;
	     z = strsep(&answers, ","), ttl = strsep(&ttls, ",")) {
		char *end, *name, *have_ttl, *type;

		n++;
		if (!*rest)
			continue; /* one of answers_more */
		end = strstr(rest, "; ");
		if (end)
			*end = 0;
		name = strsep(&rest, " ");
		have_ttl = strsep(&rest, " ");
		type = strsep(&rest, " ");
		assert_non_null(name);
		assert_non_null(type);
		data_is(type, rest, z);
		assert_true(fabs(atof(ttl) - atof(have_ttl)) < 1e-6);
		rest = end ? end + 2 : rest + strlen(rest);
	}
	assert_int_equal(n, r->answer_count);
	/* All of them are in the text, or counted. */
	n = copy[0] != 0;
	for (const char *s = WEIR_DNS_TEXT(r, answers); (s = strstr(s, "; ")); s += 2)
		n++;
	assert_in_range(n + r->answers_more, r->answer_count, r->answer_count + 1);
}

static void flags_are(const struct weir_dns_transaction *r, const struct line *l)
{
	bool response = r->response_flags, query = r->query_bytes;
	unsigned z = query ? r->query_flags >> 4 & 7 : 0;

	if (!response || r->answer_count) {
		assert_int_equal(response && r->response_flags & DNS_AA, l->f[AA][0] == 'T');
		assert_int_equal(response && r->response_flags & DNS_TC, l->f[TC][0] == 'T');
		assert_int_equal(response && r->response_flags & DNS_RA, l->f[RA][0] == 'T');
	}
	assert_int_equal(query && r->query_flags & DNS_RD, l->f[RD][0] == 'T');
	assert_int_equal(z, atoi(l->f[Z]));
}

static void equal(const struct weir_dns_transaction *r, struct line *l)
{
	bool multicast = r->outcome == WEIR_DNS_MULTICAST && r->response_bytes;

	address_is(multicast ? r->server_address : r->client_address, l->f[ORIG]);
	address_is(multicast ? r->client_address : r->server_address, l->f[RESP]);
	assert_int_equal(r->client_port, atoi(l->f[ORIG_P]));
	assert_int_equal(r->server_port, atoi(l->f[RESP_P]));
	assert_string_equal(r->transport ? "tcp" : "udp", l->f[PROTO]);
	assert_int_equal(r->opcode, atoi(l->f[OPCODE]));
	if (unset(l->f[QUERY]))
		assert_true(!r->query_bytes && !r->answer_count);
	else
		assert_int_equal(strcasecmp(WEIR_DNS_TEXT(r, name), l->f[QUERY]), 0);
	if (!unset(l->f[QTYPE])) {
		assert_int_equal(r->type, atoi(l->f[QTYPE]));
		assert_string_equal(WEIR_DNS_TEXT(r, type_name), l->f[QTYPE_N]);
		assert_int_equal(r->class_, atoi(l->f[QCLASS]));
	} else {
		assert_int_equal(r->query_bytes, 0);
	}
	assert_string_equal(WEIR_DNS_TEXT(r, rcode_name), unset(l->f[RCODE]) ? "" : l->f[RCODE_N]);
	if (!unset(l->f[RCODE]))
		assert_int_equal(r->rcode, atoi(l->f[RCODE]));
	flags_are(r, l);
	answers_are(r, l->f[ANSWERS], l->f[TTLS]);
	if (!unset(l->f[RTT])) {
		assert_int_equal(r->outcome, WEIR_DNS_ANSWERED);
		assert_true(fabs((double)r->wait_ns / 1e9 - atof(l->f[RTT])) < 1e-6);
	} else if (r->outcome == WEIR_DNS_ANSWERED) {
		assert_int_equal(r->answer_count, 0);
		assert_true(r->latency_ns > 0);
	}
}

/* The line of this record: id, client's port, and response or not. */
static struct line *line_of(struct line *lines, size_t n, const struct weir_dns_transaction *r)
{
	for (size_t i = 0; i < n; i++) {
		struct line *l = &lines[i];

		if (l->used || atoi(l->f[ID]) != r->id || atoi(l->f[ORIG_P]) != r->client_port ||
		    unset(l->f[RCODE]) != !r->response_bytes ||
		    unset(l->f[QTYPE]) != (!r->query_bytes || !r->questions) ||
		    (r->id == 0 && strcasecmp(l->f[QUERY], WEIR_DNS_TEXT(r, name))))
			continue;
		l->used = true;
		return l;
	}
	return NULL;
}

static void compare(const char *capture, const char *log)
{
	struct weir_test *t = replay(capture, NULL);
	struct line lines[16];
	size_t n = read_log(log, lines, 16);
	const struct weir_dns_transaction *r;

	where = capture;
	for (size_t i = 0; (r = record_at(t, i)); i++) {
		struct line *l = line_of(lines, n, r);

		if (!l)
			fail_msg("%s: no line for id %u, outcome %u", capture, r->id, r->outcome);
		equal(r, l);
		/* Zeek's other line of a question that was asked twice. */
		for (unsigned k = 0; k < r->retries; k++) {
			struct weir_dns_transaction again = *r;

			again.response_bytes = 0;
			assert_non_null(line_of(lines, n, &again));
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!lines[i].used)
			fail_msg("%s: no record for Zeek's id %s", capture, lines[i].f[ID]);
		free(lines[i].text);
	}
	assert_balanced(t);
	assert_int_equal(weir_test_free(t), 0);
}

static void duplicate_response(void **state)
{
	(void)state;
	compare("dns-two-responses.pcap", "scripts.base.protocols.dns.duplicate-reponses.dns.log");
}

static void no_answers(void **state)
{
	(void)state;
	compare("dns-zero-RRs.pcap", "scripts.base.protocols.dns.zero-responses.dns.log");
}

static void multicast(void **state)
{
	(void)state;
	compare("mdns-no-assoc.pcap", "scripts.base.protocols.dns.mdns-no-assoc.dns.log");
}

static void notify(void **state)
{
	(void)state;
	compare("dns_notify2.pcap", "scripts.base.protocols.dns.notify.dns.log");
}

static void rrsig(void **state)
{
	(void)state;
	compare("rrsig.pcap", "scripts.base.protocols.dns.rrsig.dns.log");
}

static void fragments(void **state)
{
	(void)state;
	compare("ipv6-fragmented-dns.pcap", "core.ipv6-frag.dns.log");
}

/* The retry of that capture, in Weir's terms; and its fragments that never became whole. */
static void retry(void **state)
{
	struct weir_test *t = replay("ipv6-fragmented-dns.pcap", NULL);
	const struct weir_dns_transaction *r = NULL;

	(void)state;
	for (size_t i = 0; (r = record_at(t, i)) && r->id != 40849; i++)
		;
	assert_non_null(r);
	assert_int_equal(r->retries, 1);
	assert_int_equal((r->latency_ns + 500) / 1000, 83189);
	assert_int_equal((r->wait_ns + 500) / 1000, 5084025);
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "weir_dns_fragments_total", "whole") == 1);
	assert_true(weir_test_metric(t, "weir_dns_fragments_total", "incomplete") == 1);
	assert_int_equal(weir_test_free(t), 0);
}

/* Every option that Zeek's events list, in that order. */
static void client_subnet(void **state)
{
	static const char name[] = "../../tests/data/dns/scripts.base.protocols.dns.dns-edns-ecs.output";
	struct weir_test *t = replay("dns-edns-ecs.pcap", NULL);
	char line[256], family[4], want[128], address[64];
	unsigned zeek = 0, ours = 0, source, scope, v4 = 0;
	const struct weir_dns_transaction *r;
	FILE *f = fopen(name, "r");

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "[family=%2s, source_prefix_len=%u, scope_prefix_len=%u, address=%63[^]]]",
		           family, &source, &scope, address) == 4) {
			zeek++;
			v4 += !strcmp(family, "v4");
			snprintf(want, sizeof want, "%s/%u/%u", address, source, scope);
		}
	fclose(f);
	assert_int_equal(zeek, 10);
	/* Each is in a query and its response: 213.61.29.0/24 once, the others four times. */
	for (size_t i = 0; (r = record_at(t, i)); i++)
		if (r->client_subnet.size)
			ours += (r->edns & 1) + !!(r->edns & 2);
	assert_true(ours >= zeek);
	assert_true(v4 == 2);
	assert_int_equal(weir_test_free(t), 0);
}

/* Hostile: a chain of pointers that ends, deeper than Zeek follows in that test (5). */
static void compression_depth(void **state)
{
	struct weir_test *t = replay("max-compression-depth.pcap", NULL);

	(void)state;
	assert_int_equal(weir_test_event_count(t), 1);
	assert_balanced(t);
	assert_int_equal(weir_test_free(t), 0);
}

int test_zeek(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(duplicate_response), cmocka_unit_test(no_answers),
		cmocka_unit_test(multicast), cmocka_unit_test(notify), cmocka_unit_test(rrsig),
		cmocka_unit_test(fragments), cmocka_unit_test(retry), cmocka_unit_test(client_subnet),
		cmocka_unit_test(compression_depth),
	};

	return cmocka_run_group_tests_name("zeek", tests, NULL, NULL);
}
