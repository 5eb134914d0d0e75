/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow held against the filters, at its first sight and while it is not followed.
 *
 * The record has the flow in its own frame: source is who began it, as far as is known by then.
 * Pure but for the names of numbers.
 */
#include "network.h"

#include "flow_names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool addr_fits(const struct net_rule *u, const uint8_t a[16])
{
	return memcmp(u->lo, a, 16) <= 0 && memcmp(a, u->hi, 16) <= 0;
}

static bool number_fits(const struct net_rule *u, uint32_t v)
{
	return u->min <= v && v <= u->max;
}

static bool name_fits(const struct net_rule *u, const char *name)
{
	return name && net_filter_text(u->text, name, 64);
}

/* By name, or by the number in decimal. */
static bool named_fits(const struct net_rule *u, const char *name, unsigned number)
{
	char digits[12];

	snprintf(digits, sizeof digits, "%u", number);
	return name_fits(u, name) || !strcmp(u->text, digits);
}

static bool tcp_fits(const struct net_rule *u, const struct weir_flow *r)
{
	for (unsigned bit = 0; bit < 8; bit++)
		if ((r->tcp_flags | r->reverse_tcp_flags) >> bit & 1 &&
		    name_fits(u, flow_tcp_tag(bit)))
			return true;
	return false;
}

static bool icmp_fits(const struct net_rule *u, const struct weir_flow *r, bool code)
{
	const uint8_t type[2] = { r->icmp_type, r->reverse_icmp_type };
	const uint8_t codes[2] = { r->icmp_code, r->reverse_icmp_code };
	const uint64_t seen[2] = { r->packets_total, r->reverse_packets_total };

	if (r->transport != 1 && r->transport != 58)
		return false;
	for (int i = 0; i < 2; i++)
		if (seen[i] &&
		    (code ? named_fits(u, flow_icmp_code_name(r->type, type[i], codes[i]), codes[i])
			  : named_fits(u, flow_icmp_type_name(r->type, type[i]), type[i])))
			return true;
	return false;
}

static bool state_fits(const struct net_rule *u, const struct weir_flow *r)
{
	char word[16];

	return r->transport == 6 &&
	       name_fits(u, flow_word(WEIR_FLOW_STATE_NAMES, r->state, word, sizeof word));
}

static bool fits(int f, const struct net_rule *u, const struct weir_flow *r)
{
	switch ((enum net_filter_id)f) {
	case NET_F_ADDRESS:
		return addr_fits(u, r->source_address) || addr_fits(u, r->destination_address);
	case NET_F_PORT: return number_fits(u, r->source_port) || number_fits(u, r->destination_port);
	case NET_F_PROCESS: return r->pid && net_filter_text(u->text, r->comm, sizeof r->comm);
	case NET_F_SOURCE_ADDRESS: return addr_fits(u, r->source_address);
	case NET_F_SOURCE_PORT: return number_fits(u, r->source_port);
	case NET_F_DESTINATION_ADDRESS: return addr_fits(u, r->destination_address);
	case NET_F_DESTINATION_PORT: return number_fits(u, r->destination_port);
	case NET_F_TRANSPORT: return named_fits(u, flow_transport_name(r->transport), r->transport);
	case NET_F_TYPE: return name_fits(u, r->type ? "ipv6" : "ipv4");
	case NET_F_INTERFACE_NAME:
		return net_filter_text(u->text, r->interface_name, sizeof r->interface_name);
	case NET_F_INTERFACE_INDEX: return number_fits(u, r->interface_index);
	case NET_F_INTERFACE_MAC:
		return net_filter_text(u->text, r->interface_mac, sizeof r->interface_mac);
	case NET_F_STATE: return state_fits(u, r);
	case NET_F_TCP_FLAGS: return r->transport == 6 && tcp_fits(u, r);
	case NET_F_DSCP: return named_fits(u, flow_dscp_name(r->dscp), r->dscp);
	case NET_F_ECN: return name_fits(u, flow_ecn_name(r->ecn));
	case NET_F_TTL: return number_fits(u, r->ttl);
	case NET_F_FLOW_LABEL: return number_fits(u, r->flow_label);
	case NET_F_ICMP_TYPE: return icmp_fits(u, r, false);
	case NET_F_ICMP_CODE: return icmp_fits(u, r, true);
	case NET_F_COUNT: break;
	}
	return false;
}

bool net_filter_wants(const struct network *n, const struct weir_flow *r)
{
	for (int f = 0; f < NET_F_COUNT; f++) {
		const struct net_filter *nf = &n->filter[f];
		size_t matches = nf->match.count, count = matches + nf->not_match.count, i = 0;

		while (i < matches && !fits(f, &nf->rules[i], r))
			i++;
		if (matches && i == matches)
			return false;
		for (i = matches; i < count; i++)
			if (fits(f, &nf->rules[i], r))
				return false;
	}
	return true;
}

/* ---- words that can occur ------------------------------------------------------------------ */

static bool a_number(const char *word, unsigned max)
{
	return strspn(word, "0123456789") == strlen(word) && strlen(word) < 4 &&
	       (unsigned)atoi(word) <= max;
}

static bool a_word_of(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (; *words; words += strcspn(words, " "), words += *words == ' ')
		if (strcspn(words, " ") == len && !memcmp(words, word, len))
			return true;
	return false;
}

static bool an_icmp_name(const char *word, bool code)
{
	for (unsigned i = 0; i < 512; i++) {
		const char *type = flow_icmp_type_name(i & 1, (uint8_t)(i >> 1));

		if (!code && type && !strcmp(type, word))
			return true;
		for (unsigned c = 0; code && c < 16; c++) {
			const char *name = flow_icmp_code_name(i & 1, (uint8_t)(i >> 1), (uint8_t)c);

			if (name && !strcmp(name, word))
				return true;
		}
	}
	return a_number(word, 255);
}

static bool a_name_of(const char *(*name)(uint8_t), unsigned max, const char *word)
{
	for (unsigned i = 0; i <= max; i++)
		if (name((uint8_t)i) && !strcmp(name((uint8_t)i), word))
			return true;
	return false;
}

bool net_filter_knows(int filter, const char *word)
{
	switch ((enum net_filter_id)filter) {
	case NET_F_TRANSPORT: return a_name_of(flow_transport_name, 255, word) || a_number(word, 255);
	case NET_F_TYPE: return a_word_of("ipv4 ipv6", word);
	case NET_F_STATE: return a_word_of(WEIR_FLOW_STATE_NAMES, word);
	case NET_F_TCP_FLAGS: return a_word_of("fin syn rst psh ack urg ece cwr", word);
	case NET_F_DSCP: return a_name_of(flow_dscp_name, 63, word) || a_number(word, 63);
	case NET_F_ECN: return a_name_of(flow_ecn_name, 3, word);
	case NET_F_ICMP_TYPE: return an_icmp_name(word, false);
	case NET_F_ICMP_CODE: return an_icmp_name(word, true);
	default: return true;
	}
}
