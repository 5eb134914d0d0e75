/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: the table made of metrics.h, and what is set when a scrape is about to read.
 */
#include "dns.h"

#include <string.h>

/* Upper bounds: 2^k * 64 us, to 4.2 s. */
static const double seconds[DNS_BUCKETS - 1] = {
	64e-6, 128e-6, 256e-6, 512e-6, 1.024e-3, 2.048e-3, 4.096e-3, 8.192e-3, 16.384e-3, 32.768e-3,
	65.536e-3, 131.072e-3, 262.144e-3, 524.288e-3, 1.048576, 2.097152, 4.194304,
};

const struct weir_metric dns_metrics[M_COUNT] = {
#define X(i, n, t, u, l, h)                                                                        \
	[i] = { .name = n, .type = t, .unit = u, .labels = l, .help = h,                           \
		.bucket_count = t == WEIR_HISTOGRAM ? DNS_BUCKETS - 1 : 0,                         \
		.buckets = t == WEIR_HISTOGRAM ? seconds : NULL },
	DNS_METRICS(X)
#undef X
};

unsigned dns_bucket(uint64_t ns)
{
	uint64_t us = (ns + 63999) / 64000;
	unsigned k = us <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(us - 1);

	return k < DNS_BUCKETS - 1 ? k : DNS_BUCKETS - 1;
}

uint64_t dns_quantile_ns(const uint64_t *b, double q)
{
	uint64_t n = 0, sum = 0;

	for (unsigned i = 0; i < DNS_BUCKETS; i++)
		n += b[i];
	for (unsigned i = 0; i < DNS_BUCKETS; i++) {
		sum += b[i];
		if (n && (double)sum >= q * (double)n)
			return 64000ull << i;
	}
	return 0;
}

/* Types beyond 127 that are asked for; the last slot is all others. */
static const uint16_t high_types[] = { 249, 250, 251, 252, 255, 256, 257 };

unsigned dns_type_slot(uint16_t type)
{
	if (type < 128)
		return type;
	for (unsigned i = 0; i < 7; i++)
		if (high_types[i] == type)
			return 128 + i;
	return DNS_TYPE_SLOTS - 1;
}

unsigned dns_rcode_slot(uint16_t rcode)
{
	return rcode < DNS_RCODE_SLOTS - 1 ? rcode : DNS_RCODE_SLOTS - 1;
}

static const char *const outcomes[WEIR_DNS_OUTCOMES] = {
	"answered", "timeout", "unsolicited", "duplicate", "multicast", "evicted", "open",
};
static const char *const transports[2] = { "udp", "tcp" };

static void publish_counts(struct weir_plugin *p, const struct dns_counts *c)
{
	char buf[16];

	for (unsigned i = 0; i < DNS_TYPE_SLOTS; i++) {
		uint16_t type = i < 128 ? (uint16_t)i : i < DNS_TYPE_SLOTS - 1 ? high_types[i - 128] : 0;

		if (c->queries[i])
			weir_set(p, M_QUERIES, (double)c->queries[i],
			         i == DNS_TYPE_SLOTS - 1 ? "other" : dns_type_name(type, buf));
	}
	for (unsigned i = 0; i < DNS_RCODE_SLOTS; i++)
		if (c->responses[i])
			weir_set(p, M_RESPONSES, (double)c->responses[i],
			         i == DNS_RCODE_SLOTS - 1 ? "other" : dns_rcode_name((uint16_t)i, buf));
	for (unsigned t = 0; t < 2; t++) {
		uint64_t any = 0;

		for (unsigned o = 0; o < WEIR_DNS_OUTCOMES; o++)
			if (c->outcomes[t][o])
				weir_set(p, M_TRANSACTIONS, (double)c->outcomes[t][o], transports[t],
				         outcomes[o]);
		for (unsigned b = 0; b < DNS_BUCKETS; b++)
			any += c->latency[t][b];
		if (any)
			p->host->series_histogram(p->host->series(p, M_LATENCY,
				(const char *const[]){ transports[t], NULL }), c->latency[t],
				(double)c->latency_ns[t] / 1e9);
	}
	for (unsigned i = 1; i < DNS_END; i++)
		if (c->errors[i])
			weir_set(p, M_ERRORS, (double)c->errors[i], dns_error_name((enum dns_error)i));
	for (unsigned i = PKT_TRUNCATED; i < PKT_ERRORS; i++)
		if (c->packet_errors[i])
			weir_set(p, M_ERRORS, (double)c->packet_errors[i], i == PKT_TRUNCATED ? "packet_truncated" :
			         i == PKT_MALFORMED ? "packet_malformed" : "packet_too_deep");
	if (c->not_dns)
		weir_set(p, M_ERRORS, (double)c->not_dns, "not_dns");
	weir_set(p, M_PACKETS, (double)c->packets);
	weir_set(p, M_LOST, (double)c->lost);
	weir_set(p, M_DROPPED, (double)c->filtered, "ignored");
	weir_set(p, M_DROPPED, (double)c->sampled, "sampled");
	weir_set(p, M_DROPPED, (double)c->queue_full, "queue");
}

void dns_server_text(const struct dns_server_key *k, char *buf, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v6 = memcmp(k->address, mapped, sizeof mapped);
	struct dns_text t;

	dns_text_init(&t, buf, size);
	if (v6)
		dns_text_char(&t, '[');
	dns_text_address(&t, k->address);
	dns_text_string(&t, v6 ? "]:" : ":");
	dns_text_number(&t, k->port);
}

/* The few that are asked most: those that are no longer among them lose their series. */
static void publish_top(struct weir_plugin *p, const struct dns_top *top, uint32_t metric, uint32_t n,
                        char (*shown)[DNS_TOP_KEY + 64], uint32_t *shown_count,
                        void (*label)(const struct dns_top_entry *, char *, size_t))
{
	const struct dns_top_entry *list[DNS_SERIES_MAX];
	char now[DNS_SERIES_MAX][DNS_TOP_KEY + 64];
	uint32_t have = dns_top_list(top, list, n);

	for (uint32_t i = 0; i < have; i++)
		label(list[i], now[i], sizeof now[i]);
	for (uint32_t i = 0; i < *shown_count; i++) {
		bool still = false;

		for (uint32_t k = 0; k < have && !still; k++)
			still = !strcmp(shown[i], now[k]);
		if (!still)
			p->host->series_free(p->host->series(p, metric, (const char *const[]){ shown[i], NULL }));
	}
	for (uint32_t i = 0; i < have; i++) {
		weir_set(p, metric, (double)list[i]->count, now[i]);
		memcpy(shown[i], now[i], sizeof now[i]);
	}
	*shown_count = have;
}

static void label_name(const struct dns_top_entry *e, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", (int)e->len, e->key);
}

static void label_server(const struct dns_top_entry *e, char *buf, size_t size)
{
	struct dns_server_key k;

	memcpy(&k, e->key, sizeof k);
	dns_server_text(&k, buf, size);
}

void dns_publish(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct dns_match_stats m;
	struct dns_stream_stats s;
	struct dns_defrag_stats f;
	uint64_t responses = 0, missing;

	publish_counts(p, &d->counts);
	dns_match_stats(d->match, &m);
	weir_set(p, M_RETRIES, (double)m.retries);
	weir_set(p, M_TCP_RETRIES, (double)m.tcp_retries);
	weir_set(p, M_PENDING, (double)m.open);
	weir_set(p, M_DROPPED, (double)(m.copies + m.response_copies), "copy");
	dns_streams_stats(d->streams, &s);
	weir_set(p, M_STREAM_GAPS, (double)s.gaps);
	weir_set(p, M_STREAM_SKIPPED, (double)s.skipped_bytes);
	weir_set(p, M_STREAMS, (double)s.connections);
	dns_defrag_stats(d->defrag, &f);
	weir_set(p, M_FRAGMENTS, (double)f.whole, "whole");
	weir_set(p, M_FRAGMENTS, (double)f.incomplete, "incomplete");
	weir_set(p, M_FRAGMENTS, (double)f.overlaps, "overlap");
	for (unsigned i = 0; i < DNS_RCODE_SLOTS; i++)
		responses += d->counts.responses[i];
	missing = d->counts.responses[3] - d->nxdomain_last;
	if (responses > d->responses_last)
		weir_set(p, M_NXDOMAIN, (double)missing / (double)(responses - d->responses_last));
	else
		weir_absent(p, M_NXDOMAIN);
	d->nxdomain_last = d->counts.responses[3];
	d->responses_last = responses;
	publish_top(p, d->top_servers, M_TOP_SERVER, 16, d->shown_servers, &d->shown_server_count,
	            label_server);
	if (d->top_series)
		publish_top(p, d->top_names, M_TOP_NAME, (uint32_t)d->top_series, d->shown_names,
		            &d->shown_name_count, label_name);
}
