/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters: lists of the options made into rules, and a record held against them.
 *
 * A flow is wanted if every list `match` that is not empty has an item that fits, and no list
 * `not_match` has. What may fail: an item that is no address, range or pattern, at init.
 */
#include "network.h"

#include <arpa/inet.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name; enum net_rule_kind kind; } filters[NET_F_COUNT] = {
#define X(id, n, k, ...) [NET_F_##id] = { n, NET_RULE_##k },
	NET_FILTERS(X)
#undef X
};

/* Shell patterns, * and ? only; case matters. Bounded: `max` bytes of text, one retry point. */
bool net_filter_text(const char *pattern, const char *text, size_t max)
{
	const char *star = NULL, *back = NULL, *end = text + strnlen(text, max);

	while (text < end) {
		if (*pattern == '*') {
			star = ++pattern;
			back = text;
		} else if (*pattern && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool parse_ip(const char *s, uint8_t ret[16], bool *ret_v4)
{
	*ret_v4 = false;
	if (inet_pton(AF_INET6, s, ret) == 1)
		return true;
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	*ret_v4 = true;
	return inet_pton(AF_INET, s, ret + 12) == 1;
}

static bool parse_number(const char *s, const char *end, uint32_t *ret)
{
	uint64_t v = 0;

	if (s == end)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

/* "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9" */
bool net_filter_address(const char *item, struct net_rule *r)
{
	char s[100];
	char *slash, *dash;
	uint32_t prefix;
	bool v4, v4_too;

	if (snprintf(s, sizeof s, "%s", item) >= (int)sizeof s)
		return false;
	slash = strchr(s, '/');
	dash = strchr(s, '-');
	if (slash)
		*slash = 0;
	else if (dash)
		*dash = 0;
	if (!parse_ip(s, r->lo, &v4))
		return false;
	memcpy(r->hi, r->lo, 16);
	r->prefix = 128;
	if (!slash && dash) {
		r->prefix = 0xff;
		return parse_ip(dash + 1, r->hi, &v4_too) && v4 == v4_too &&
		       memcmp(r->lo, r->hi, 16) <= 0;
	}
	if (!slash)
		return true;
	if (!parse_number(slash + 1, slash + 1 + strlen(slash + 1), &prefix) ||
	    prefix > (v4 ? 32 : 128))
		return false;
	r->prefix = v4 ? prefix + 96 : prefix;
	for (uint32_t bit = r->prefix; bit < 128; bit++) {
		r->lo[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
		r->hi[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	}
	return true;
}

static bool parse_range(const char *item, struct net_rule *r)
{
	const char *dash = strchr(item, '-'), *end = item + strlen(item);

	if (!parse_number(item, dash ? dash : end, &r->min))
		return false;
	r->max = r->min;
	return !dash || (parse_number(dash + 1, end, &r->max) && r->min <= r->max);
}

static int parse_rule(struct weir_plugin *p, int f, const char *which, const char *item,
                      struct net_rule *r)
{
	static const char *const wants[] = {
		[NET_RULE_ADDR] = "an address, CIDR or range such as 10.0.0.0/8 or fd00::1-fd00::9",
		[NET_RULE_NUMBER] = "a number or range such as 443 or 8000-8999",
		[NET_RULE_TEXT] =
			"a name that can occur there (with * and ? for any), of at most 255 characters",
	};
	enum net_rule_kind kind = filters[f].kind;
	bool ok = kind == NET_RULE_ADDR ? net_filter_address(item, r) :
	          kind == NET_RULE_NUMBER ? parse_range(item, r) : item[0] && strlen(item) < 256 &&
	                                        (strpbrk(item, "*?") || net_filter_knows(f, item));

	r->text = item;
	if (ok)
		return 0;
	return weir_fail(p, -EINVAL, "option filter.%s.%s: '%s' is not %s", filters[f].name, which,
	                 item, wants[kind]);
}

/* discovery.interfaces: what stands between slashes must be a regular expression. */
static int check_interfaces(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	char text[256], why[128];
	regex_t re;
	int rc;

	for (size_t i = 0; i < n->interfaces.count; i++) {
		const char *item = n->interfaces.items[i];
		size_t len = strlen(item);

		if (item[0] != '/') {
			if (len && len < 64)
				continue;
			return weir_fail(p, -EINVAL,
					 "option discovery.interfaces: '%s' is not a name or "
					 "pattern of 1 to 63 characters",
					 item);
		}
		if (len < 3 || len >= sizeof text || item[len - 1] != '/')
			return weir_fail(p, -EINVAL,
					 "option discovery.interfaces: '%s' does not end in /, or "
					 "is longer than %zu characters",
					 item, sizeof text - 1);
		snprintf(text, sizeof text, "%.*s", (int)(len - 2), item + 1);
		rc = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);
		if (rc) {
			regerror(rc, &re, why, sizeof why);
			return weir_fail(p, -EINVAL, "option discovery.interfaces: '%s': %s", item,
					 why);
		}
		regfree(&re);
	}
	return 0;
}

int net_filters_init(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	int rc = check_interfaces(p);

	for (int f = 0; f < NET_F_COUNT && !rc; f++) {
		struct net_filter *nf = &n->filter[f];
		size_t matches = nf->match.count, count = matches + nf->not_match.count;

		if (!count)
			continue;
		nf->rules = weir_alloc(p, count * sizeof *nf->rules);
		if (!nf->rules)
			return weir_fail(p, -ENOMEM, "no memory for the filters");
		memset(nf->rules, 0, count * sizeof *nf->rules);
		n->filtering = true;
		for (size_t i = 0; i < count && !rc; i++)
			rc = i < matches
				     ? parse_rule(p, f, "match", nf->match.items[i], &nf->rules[i])
				     : parse_rule(p, f, "not_match",
						  nf->not_match.items[i - matches], &nf->rules[i]);
	}
	return rc;
}

void net_filters_fini(struct weir_plugin *p)
{
	struct network *n = weir_state(p);

	for (int f = 0; f < NET_F_COUNT; f++) {
		weir_free(p, n->filter[f].rules);
		n->filter[f].rules = NULL;
	}
}
