/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a DNS message, as a capture cut anywhere, and as TCP segments and fragments.
 * The parser must stay inside them (sanitizers see it), end, and keep what its header
 * promises: names within their bounds that read back as they were written, text that ends in
 * NUL and holds no control byte, records inside the message. What is parsed is then matched,
 * with the bytes again as the other direction; each query must have ended exactly once.
 */
#if __has_include("../../plugins/dns/wire.c")
#include "../../plugins/dns/wire.c"
#undef DNS_POINTERS_MAX
#define DNS_POINTERS_MAX 128
#define get16 stream_get16
#define find stream_find
#define end stream_end
#define hash stream_hash
#define cut stream_cut
#include "../../plugins/dns/stream.c"
#undef get16
#undef find
#undef end
#undef hash
#undef cut
#undef NONE
#define find match_find
#define release match_release
#include "../../plugins/dns/match.c"
#undef find
#undef release
#define find text_find
#include "../../plugins/dns/text.c"
#undef find
#define name rdata_name
#define strings rdata_strings
#include "../../plugins/dns/rdata.c"
#undef name
#undef strings
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void plain(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	check(n < size);
	for (size_t i = 0; i < n; i++)
		check((unsigned char)s[i] >= ' ' && (unsigned char)s[i] < 127);
}

static void check_name(const struct dns_name *n)
{
	char text[1100];
	struct dns_text t;
	struct dns_name again;

	check(n->len >= 1 && n->wire[n->len - 1] == 0);
	dns_text_init(&t, text, sizeof text);
	dns_text_name(&t, n);
	check(!t.cut);
	plain(text, sizeof text);
	check(!dns_name_parse(text, &again));
	check(again.len == n->len && !memcmp(again.wire, n->wire, n->len));
	check(dns_name_equal(n, &again) && dns_name_hash(n) == dns_name_hash(&again));
}

static void check_records(const struct dns_msg *m)
{
	char text[512];
	struct dns_name n;
	struct dns_text t;
	struct dns_walk w;
	struct dns_rr rr;
	unsigned seen = 0;

	dns_walk_start(m, &w);
	while (dns_walk_next(m, &w, &rr) == DNS_OK) {
		check(++seen <= DNS_RECORDS_MAX);
		check(rr.data_off + rr.data_len <= m->len);
		if (!dns_name_at(m, rr.name_off, &n, NULL))
			check_name(&n);
		dns_text_init(&t, text, sizeof text);
		dns_text_data(&t, m, &rr, NULL, NULL);
		plain(text, sizeof text);
	}
}

static void on_finish(void *arg, enum weir_dns_outcome outcome, const struct dns_query *q,
                      const struct dns_seen *seen, const struct dns_msg *response)
{
	unsigned *ends = arg;

	(void)seen;
	check((response != NULL) == (outcome == WEIR_DNS_ANSWERED || outcome == WEIR_DNS_UNSOLICITED ||
	                             outcome == WEIR_DNS_DUPLICATE ||
	                             (outcome == WEIR_DNS_MULTICAST && q->none)));
	*ends += !q->none;
}

static void *heap(void *arg, void *p, size_t n)
{
	(void)arg;
	if (n)
		return realloc(p, n);
	free(p);
	return NULL;
}

static struct dns_match *table;

static void on_message(void *arg, const struct dns_seen *seen, const uint8_t *msg, uint32_t have,
                       uint32_t len)
{
	struct dns_msg m;

	(void)arg;
	check(have <= len && len >= DNS_HEADER && len <= 65535);
	if (dns_parse(msg, have, len, &m) <= DNS_LAST_USABLE)
		dns_match_message(table, seen, &m);
}

/* The bytes as segments: a length, a place and flags by each two bytes of the start. */
static void segments(const struct pkt_memory *mem, const uint8_t *data, size_t size)
{
	struct dns_seen seen = { .sport = 40000, .dport = 53, .transport = WEIR_DNS_TCP, .weight = 1 };
	struct dns_stream_stats st;
	struct dns_streams *s;

	check(!dns_streams_new(mem, 2, 1 << 20, on_message, NULL, &s));
	for (size_t i = 0, at = 0; i + 2 < size && at < size; i += 2) {
		uint32_t len = data[i] % 64, have;
		struct dns_segment g = { .seq = (uint32_t)at + (data[i + 1] & 15) - 4, .data = data + at,
			.flags = i ? (data[i + 1] >> 4 == 15 ? 4 : 0) : 2 };

		len = len < size - at ? len : (uint32_t)(size - at);
		have = data[i + 1] & 128 ? len / 2 : len;
		g.have = have;
		g.len = i ? len : 0;
		seen.sport = (uint16_t)(40000 + (data[i] >> 6));
		seen.time_ns += 1000;
		dns_streams_add(s, &seen, &g);
		at += i ? len : 0;
	}
	dns_streams_flush(s);
	dns_streams_stats(s, &st);
	check(!st.connections && !st.bytes);
	dns_streams_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pkt_memory mem = { heap, NULL };
	const struct dns_match_options o = { .capacity = 64, .timeout_ns = 1000, .early_ns = 10 };
	struct dns_seen seen = { .sport = 40000, .dport = 53, .weight = 1 };
	struct dns_match_stats st;
	unsigned ends = 0;
	struct dns_msg m, less;
	uint8_t *copy;

	if (size > 65535)
		return 0;
	check(!dns_match_new(&mem, &o, on_finish, &ends, &table));
	if (dns_parse(data, (uint32_t)size, (uint32_t)size, &m) <= DNS_LAST_USABLE) {
		if (m.count[DNS_QUESTION])
			check_name(&m.qname);
		check_records(&m);
		dns_match_message(table, &seen, &m);
		/* Cut by the capture: the question is the same, and nothing is called a fault. */
		if (dns_parse(data, (uint32_t)size / 2, (uint32_t)size, &less) <= DNS_LAST_USABLE) {
			check(less.error == DNS_CUT || less.error == m.error);
			check(dns_name_equal(&less.qname, &m.qname) && less.qtype == m.qtype);
		}
		/* The same as its own answer. */
		copy = malloc(size);
		memcpy(copy, data, size);
		copy[2] ^= 0x80;
		seen.sport = 53;
		seen.dport = 40000;
		seen.time_ns = 5;
		if (dns_parse(copy, (uint32_t)size, (uint32_t)size, &less) <= DNS_LAST_USABLE)
			dns_match_message(table, &seen, &less);
		dns_match_expire(table, 5000, 100);
		free(copy);
	}
	segments(&mem, data, size);
	dns_match_flush(table, WEIR_DNS_OPEN);
	dns_match_stats(table, &st);
	check(!st.open && ends + st.retries + st.copies == st.queries && ends <= st.queries);
	dns_match_free(table);
	return 0;
}
#else
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size)
{
	(void)data, (void)size;
	return 0; /* the plugin's folder is gone */
}
#endif
