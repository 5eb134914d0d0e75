/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names are wanted, and how they are shown. Judged right behind the question, before
 * the rest of a message is read: ignore and keep lists by suffix, the longest match wins;
 * sampling by a hash over what both directions of a transaction share, so that a question is
 * never kept without its answer. Redaction is a keyed hash (HMAC-SHA-256, 64 bits of it): the
 * same name gives the same hash as long as the key is the same.
 */
#include "dns.h"

#include <nettle/hmac.h>
#include <stdlib.h>
#include <string.h>

static int suffixes(struct weir_plugin *p, const char *option, const struct weir_strings *list,
                    struct dns_name **ret)
{
	struct dns_name *names;

	if (!list->count)
		return 0;
	names = weir_alloc(p, list->count * sizeof *names);
	if (!names)
		return weir_fail(p, -ENOMEM, "no memory for %zu names of %s", list->count, option);
	*ret = names;
	for (size_t i = 0; i < list->count; i++) {
		const char *s = list->items[i];

		s += s[0] == '*' && s[1] == '.' ? 2 : s[0] == '.' && s[1] ? 1 : 0;
		if (!s[0] || dns_name_parse(s, &names[i]))
			return weir_fail(p, -EINVAL, "%s: \"%.80s\" is no domain name; give names such "
			                 "as cluster.local", option, list->items[i]);
	}
	return 0;
}

static int ports(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	for (size_t i = 0; i < d->port_list.count; i++) {
		char *end;
		unsigned long v = strtoul(d->port_list.items[i], &end, 10);

		if (d->port_list.items[i][0] < '0' || d->port_list.items[i][0] > '9' || *end || !v || v > 65535)
			return weir_fail(p, -EINVAL, "ports: \"%.40s\" is no port: 1 to 65535",
			                 d->port_list.items[i]);
		d->ports[d->port_count++] = (uint16_t)v;
	}
	return d->port_count ? 0 : weir_fail(p, -EINVAL, "ports: empty; give at least one, such as 53");
}

int dns_filters(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	int rc;

	d->port_count = 0;
	rc = ports(p);
	rc = rc ? rc : suffixes(p, "ignore", &d->ignore_list, &d->ignore);
	rc = rc ? rc : suffixes(p, "keep", &d->keep_list, &d->keep);
	if (rc)
		return rc;
	d->sample_key = p->host->random(p);
	for (unsigned i = 0; i < sizeof d->redact_bytes; i += 8) {
		uint64_t r = p->host->random(p);

		memcpy(d->redact_bytes + i, &r, 8);
	}
	if (d->redact == DNS_REDACT_OFF && d->redact_key[0])
		return weir_fail(p, -EINVAL, "redact_key is set, but redact is off; set redact: hash");
	return 0;
}

bool dns_is_port(const struct dns *d, uint16_t port)
{
	for (uint32_t i = 0; i < d->port_count; i++)
		if (d->ports[i] == port)
			return true;
	return false;
}

static unsigned longest(const struct dns_name *n, const struct dns_name *list, size_t count)
{
	unsigned best = 0;

	for (size_t i = 0; i < count; i++)
		if (list[i].len > best && dns_name_below(n, &list[i]))
			best = list[i].len;
	return best;
}

/* The same for a query and its response: nothing in it has a direction. */
static uint64_t transaction_hash(const struct dns *d, const struct dns_seen *s, const struct dns_msg *m)
{
	uint64_t h = d->sample_key ^ m->id ^ (uint64_t)(s->sport ^ s->dport) << 16, a[2], b[2];

	memcpy(a, s->src, sizeof a);
	memcpy(b, s->dst, sizeof b);
	h ^= (a[0] + b[0]) * 0x9e3779b97f4a7c15ull ^ (a[1] + b[1]);
	h *= 0xd6e8feb86659fd93ull;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

enum dns_verdict dns_judge(const struct dns *d, const struct dns_seen *s, const struct dns_msg *m)
{
	if (d->ignore || d->keep) {
		unsigned no = longest(&m->qname, d->ignore, d->ignore_list.count);
		unsigned yes = longest(&m->qname, d->keep, d->keep_list.count);

		if (no > yes || (d->keep && !yes))
			return DNS_IGNORED;
	}
	/* The mean of 0 to 2^32 is compared with a share of it, so the weight is exact. */
	if (d->sample > 1 && (transaction_hash(d, s, m) & UINT32_MAX) >= (1ull << 32) / d->sample)
		return DNS_SAMPLED;
	return DNS_WANTED;
}

void dns_redacted(struct dns_text *t, const struct dns_name *n, void *dns)
{
	const struct dns *d = dns;
	struct hmac_sha256_ctx ctx;
	uint8_t lower[DNS_NAME_MAX], digest[8];

	if (d->redact == DNS_REDACT_OFF || n->len <= 1) {
		dns_text_name(t, n);
		return;
	}
	for (unsigned i = 0; i < n->len; i++)
		lower[i] = n->wire[i] >= 'A' && n->wire[i] <= 'Z' ? n->wire[i] | 0x20 : n->wire[i];
	if (d->redact_key[0])
		hmac_sha256_set_key(&ctx, strlen(d->redact_key), (const uint8_t *)d->redact_key);
	else
		hmac_sha256_set_key(&ctx, sizeof d->redact_bytes, d->redact_bytes);
	hmac_sha256_update(&ctx, n->len, lower);
	hmac_sha256_digest(&ctx, sizeof digest, digest);
	dns_text_hex(t, digest, sizeof digest);
}
