/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of flow_names.h.
 */
#include "flow_names.h"
#include "flow_events.h"

#include <stdio.h>
#include <string.h>

struct name { uint8_t n; const char *name; };

static const char *look_up(const struct name *table, size_t count, uint8_t n)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].n == n)
			return table[i].name;
	return NULL;
}
#define LOOK_UP(t, n) look_up((t), sizeof(t) / sizeof((t)[0]), (n))

const char *flow_transport_name(uint8_t proto)
{
	/* One word of WEIR_FLOW_TRANSPORT_NAMES each, cut out once per thread. */
	static __thread char word[12];

	flow_word(WEIR_FLOW_TRANSPORT_NAMES, proto, word, sizeof word);
	return word[0] && (word[0] < '0' || word[0] > '9') ? word : NULL;
}

const char *flow_dscp_name(uint8_t dscp)
{
	static const struct name names[] = {
		{ 0, "df" }, { 1, "le" }, { 8, "cs1" }, { 10, "af11" }, { 12, "af12" }, { 14, "af13" },
		{ 16, "cs2" }, { 18, "af21" }, { 20, "af22" }, { 22, "af23" }, { 24, "cs3" },
		{ 26, "af31" }, { 28, "af32" }, { 30, "af33" }, { 32, "cs4" }, { 34, "af41" },
		{ 36, "af42" }, { 38, "af43" }, { 40, "cs5" }, { 44, "voice" }, { 45, "nqb" },
		{ 46, "ef" }, { 48, "cs6" }, { 56, "cs7" },
	};

	return LOOK_UP(names, dscp);
}

const char *flow_ecn_name(uint8_t ecn)
{
	static const char *const names[] = { "non-ect", "ect1", "ect0", "ce" };

	return ecn < 4 ? names[ecn] : NULL;
}

const char *flow_icmp_type_name(bool v6, uint8_t type)
{
	static const struct name v4_names[] = {
		{ 0, "echo_reply" }, { 3, "destination_unreachable" }, { 4, "source_quench" },
		{ 5, "redirect" }, { 8, "echo_request" }, { 9, "router_advertisement" },
		{ 10, "router_solicitation" }, { 11, "time_exceeded" }, { 12, "parameter_problem" },
		{ 13, "timestamp_request" }, { 14, "timestamp_reply" }, { 15, "information_request" },
		{ 16, "information_reply" }, { 17, "address_mask_request" },
		{ 18, "address_mask_reply" }, { 40, "photuris" }, { 42, "extended_echo_request" },
		{ 43, "extended_echo_reply" },
	};
	static const struct name v6_names[] = {
		{ 1, "destination_unreachable" }, { 2, "packet_too_big" }, { 3, "time_exceeded" },
		{ 4, "parameter_problem" }, { 128, "echo_request" }, { 129, "echo_reply" },
		{ 130, "multicast_listener_query" }, { 131, "multicast_listener_report" },
		{ 132, "multicast_listener_done" }, { 133, "router_solicitation" },
		{ 134, "router_advertisement" }, { 135, "neighbor_solicitation" },
		{ 136, "neighbor_advertisement" }, { 137, "redirect" },
		{ 139, "node_information_query" }, { 140, "node_information_response" },
		{ 143, "multicast_listener_report_v2" }, { 144, "home_agent_discovery_request" },
		{ 145, "home_agent_discovery_reply" }, { 160, "extended_echo_request" },
		{ 161, "extended_echo_reply" },
	};

	return v6 ? LOOK_UP(v6_names, type) : LOOK_UP(v4_names, type);
}

const char *flow_icmp_code_name(bool v6, uint8_t type, uint8_t code)
{
	static const struct name unreachable[] = {
		{ 0, "network_unreachable" }, { 1, "host_unreachable" }, { 2, "protocol_unreachable" },
		{ 3, "port_unreachable" }, { 4, "fragmentation_needed" }, { 5, "source_route_failed" },
		{ 6, "network_unknown" }, { 7, "host_unknown" }, { 8, "source_host_isolated" },
		{ 9, "network_prohibited" }, { 10, "host_prohibited" },
		{ 11, "network_unreachable_for_tos" }, { 12, "host_unreachable_for_tos" },
		{ 13, "administratively_prohibited" }, { 14, "host_precedence_violation" },
		{ 15, "precedence_cutoff" },
	};
	static const struct name unreachable6[] = {
		{ 0, "no_route" }, { 1, "administratively_prohibited" }, { 2, "beyond_scope" },
		{ 3, "address_unreachable" }, { 4, "port_unreachable" }, { 5, "source_policy_failed" },
		{ 6, "route_rejected" }, { 7, "source_routing_error" },
	};
	static const struct name redirect[] = {
		{ 0, "network" }, { 1, "host" }, { 2, "network_for_tos" }, { 3, "host_for_tos" },
	};
	static const struct name exceeded[] = { { 0, "in_transit" }, { 1, "reassembly" } };

	if (v6)
		return type == 1 ? LOOK_UP(unreachable6, code) : type == 3 ? LOOK_UP(exceeded, code) : NULL;
	return type == 3 ? LOOK_UP(unreachable, code) : type == 5 ? LOOK_UP(redirect, code) :
	       type == 11 ? LOOK_UP(exceeded, code) : NULL;
}

const char *flow_tcp_tag(unsigned bit)
{
	static const char *const tags[] = { "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr" };

	return bit < 8 ? tags[bit] : NULL;
}

const char *flow_word(const char *words, unsigned i, char *buf, size_t size)
{
	for (; i && *words; words++)
		i -= *words == ' ';
	snprintf(buf, size, "%.*s", (int)strcspn(words, " "), words);
	return buf;
}
