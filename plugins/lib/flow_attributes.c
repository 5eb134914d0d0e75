/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of flow_attributes.h. VALUE(row, when it is there, what makes the text).
 */
#include "flow_attributes.h"

#include "flow_key.h"
#include "flow_names.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define IS_TCP(r) ((r)->transport == 6)
#define IS_ICMP(r) ((r)->transport == 1 || (r)->transport == 58)
#define HAS_PORTS(r) ((r)->transport == 6 || (r)->transport == 17 || (r)->transport == 132)

static bool is_v4(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	return !memcmp(a, mapped, 12);
}

static bool address(const uint8_t a[16], char *buf, size_t size)
{
	return inet_ntop(is_v4(a) ? AF_INET : AF_INET6, is_v4(a) ? a + 12 : a, buf, (socklen_t)size);
}

static bool named(const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s", name ? name : "");
	return name;
}

static bool chars(const char *s, size_t max, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", (int)strnlen(s, max), s);
	return true;
}

static bool word(const char *words, unsigned i, char *buf, size_t size)
{
	return *flow_word(words, i, buf, size);
}

static bool transport(uint8_t proto, char *buf, size_t size)
{
	const char *name = flow_transport_name(proto);

	if (name)
		return named(name, buf, size);
	snprintf(buf, size, "%u", proto);
	return true;
}

static bool end_reason(unsigned i, char *buf, size_t size)
{
	static const char *const names[] = { "", "idle timeout", "active timeout",
		"end of Flow detected", "forced end", "lack of resources" };

	return i && i < 6 && named(names[i], buf, size);
}

static bool tags(uint8_t flags, char *buf, size_t size)
{
	size_t len = 0;

	*buf = 0;
	for (unsigned bit = 0; bit < 8; bit++)
		if (flags >> bit & 1 && len + 5 < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? "," : "", flow_tcp_tag(bit));
	return len;
}

/* Are the tunnel's addresses those of packets around this flow? */
static bool around(const struct weir_flow *r)
{
	static const uint8_t none[16];

	return memcmp(r->tunnel_source_address, none, 16) || memcmp(r->tunnel_destination_address, none, 16);
}

static bool network_type(const uint8_t a[16], char *buf, size_t size)
{
	return named(is_v4(a) ? "ipv4" : "ipv6", buf, size);
}

static bool tunnel_transport(unsigned type, char *buf, size_t size)
{
	static const char *const names[] = { NULL, "udp", "udp", "gre", "ipip", "udp" };

	return type < 6 && named(names[type], buf, size);
}

#define VALUE(i, when, what)                                                                       \
	static bool value_##i(const struct weir_flow *r, char *buf, size_t size)            \
	{                                                                                          \
		return (when) && (what);                                                           \
	}
#define NUMBER(i, when, what) VALUE(i, when, snprintf(buf, size, "%llu", (unsigned long long)(what)) > 0)

VALUE(source_address, true, address(r->source_address, buf, size))
NUMBER(source_port, HAS_PORTS(r), r->source_port)
VALUE(destination_address, true, address(r->destination_address, buf, size))
NUMBER(destination_port, HAS_PORTS(r), r->destination_port)
VALUE(network_transport, true, transport(r->transport, buf, size))
VALUE(network_type, true, word("ipv4 ipv6", r->type, buf, size))
NUMBER(network_interface_index, r->interface_index, r->interface_index)
VALUE(network_interface_name, r->interface_name[0], chars(r->interface_name,
	sizeof r->interface_name, buf, size))
VALUE(network_interface_mac, r->interface_mac[0], chars(r->interface_mac,
	sizeof r->interface_mac, buf, size))
VALUE(flow_community_id, true, chars(r->community_id, sizeof r->community_id, buf, size))
VALUE(flow_direction, true, word("unknown forward reverse", r->direction, buf, size))
VALUE(flow_connection_state, r->state, word(WEIR_FLOW_STATE_NAMES, r->state, buf, size))
VALUE(flow_end_reason, r->end_reason, end_reason(r->end_reason, buf, size))
NUMBER(flow_bytes_delta, true, r->bytes_delta)
NUMBER(flow_bytes_total, true, r->bytes_total)
NUMBER(flow_packets_delta, true, r->packets_delta)
NUMBER(flow_packets_total, true, r->packets_total)
NUMBER(flow_reverse_bytes_delta, true, r->reverse_bytes_delta)
NUMBER(flow_reverse_bytes_total, true, r->reverse_bytes_total)
NUMBER(flow_reverse_packets_delta, true, r->reverse_packets_delta)
NUMBER(flow_reverse_packets_total, true, r->reverse_packets_total)
NUMBER(flow_ip_dscp_id, r->ttl, r->dscp)
VALUE(flow_ip_dscp_name, r->ttl, named(flow_dscp_name(r->dscp), buf, size))
NUMBER(flow_ip_ecn_id, r->ttl, r->ecn)
VALUE(flow_ip_ecn_name, r->ttl, named(flow_ecn_name(r->ecn), buf, size))
NUMBER(flow_ip_ttl, r->ttl, r->ttl)
NUMBER(flow_ip_flow_label, r->type, r->flow_label)
NUMBER(flow_reverse_ip_dscp_id, r->reverse_ttl, r->reverse_dscp)
NUMBER(flow_reverse_ip_ecn_id, r->reverse_ttl, r->reverse_ecn)
NUMBER(flow_reverse_ip_ttl, r->reverse_ttl, r->reverse_ttl)
NUMBER(flow_reverse_ip_flow_label, r->type && r->reverse_ttl, r->reverse_flow_label)
NUMBER(flow_icmp_type_id, IS_ICMP(r) && r->packets_total, r->icmp_type)
VALUE(flow_icmp_type_name, IS_ICMP(r) && r->packets_total, named(flow_icmp_type_name(r->type,
	r->icmp_type),
	buf, size))
NUMBER(flow_icmp_code_id, IS_ICMP(r) && r->packets_total, r->icmp_code)
VALUE(flow_icmp_code_name, IS_ICMP(r) && r->packets_total, named(flow_icmp_code_name(r->type,
	r->icmp_type,
	r->icmp_code), buf, size))
NUMBER(flow_reverse_icmp_type_id, IS_ICMP(r) && r->reverse_packets_total, r->reverse_icmp_type)
VALUE(flow_reverse_icmp_type_name, IS_ICMP(r) && r->reverse_packets_total,
	named(flow_icmp_type_name(r->type,
	r->reverse_icmp_type), buf, size))
NUMBER(flow_reverse_icmp_code_id, IS_ICMP(r) && r->reverse_packets_total, r->reverse_icmp_code)
VALUE(flow_reverse_icmp_code_name, IS_ICMP(r) && r->reverse_packets_total,
	named(flow_icmp_code_name(r->type,
	r->reverse_icmp_type, r->reverse_icmp_code), buf, size))
NUMBER(flow_tcp_flags_bits, IS_TCP(r) && r->packets_total, r->tcp_flags)
VALUE(flow_tcp_flags_tags, IS_TCP(r) && r->tcp_flags, tags(r->tcp_flags, buf, size))
NUMBER(flow_reverse_tcp_flags_bits, IS_TCP(r) && r->reverse_packets_total, r->reverse_tcp_flags)
VALUE(flow_reverse_tcp_flags_tags, IS_TCP(r) && r->reverse_tcp_flags, tags(r->reverse_tcp_flags,
	buf, size))
NUMBER(flow_tcp_handshake_latency, r->handshake_latency_ns, r->handshake_latency_ns)
NUMBER(flow_tcp_svc_latency, IS_TCP(r) && r->waits && r->direction == WEIR_DIR_SERVER,
	r->latency_ns)
NUMBER(flow_tcp_svc_jitter, IS_TCP(r) && r->waits && r->direction == WEIR_DIR_SERVER, r->jitter_ns)
NUMBER(flow_tcp_rndtrip_latency, IS_TCP(r) && r->waits && r->direction == WEIR_DIR_CLIENT,
	r->latency_ns)
NUMBER(flow_tcp_rndtrip_jitter, IS_TCP(r) && r->waits && r->direction == WEIR_DIR_CLIENT,
	r->jitter_ns)
NUMBER(process_pid, r->pid, r->pid)
VALUE(process_executable_name, r->pid, chars(r->comm, sizeof r->comm, buf, size))
NUMBER(flow_ipsec_ah_spi, r->transport == 51 && r->spi, r->spi)
NUMBER(flow_ipsec_esp_spi, r->transport == 50 && r->spi, r->spi)
VALUE(ipip_network_type, r->tunnel_type == WEIR_TUNNEL_IPIP && around(r),
	network_type(r->tunnel_source_address, buf, size))
VALUE(ipip_network_transport, r->tunnel_type == WEIR_TUNNEL_IPIP && around(r), named("ipip", buf,
	size))
VALUE(ipip_source_address, r->tunnel_type == WEIR_TUNNEL_IPIP && around(r),
	address(r->tunnel_source_address, buf, size))
VALUE(ipip_destination_address, r->tunnel_type == WEIR_TUNNEL_IPIP && around(r),
	address(r->tunnel_destination_address, buf, size))
VALUE(tunnel_type, r->tunnel_type, word(WEIR_FLOW_TUNNEL_NAMES, r->tunnel_type, buf, size))
NUMBER(tunnel_id, r->tunnel_id, r->tunnel_id)
VALUE(tunnel_network_type, around(r), network_type(r->tunnel_source_address, buf, size))
VALUE(tunnel_network_transport, around(r), tunnel_transport(r->tunnel_type, buf, size))
VALUE(tunnel_source_address, around(r), address(r->tunnel_source_address, buf, size))
NUMBER(tunnel_source_port, around(r) && r->tunnel_source_port, r->tunnel_source_port)
VALUE(tunnel_destination_address, around(r), address(r->tunnel_destination_address, buf, size))
NUMBER(tunnel_destination_port, around(r) && r->tunnel_destination_port, r->tunnel_destination_port)

const struct flow_attribute flow_attributes[FLOW_ATTRIBUTES] = {
	{ "source.address", "source_address", "", false, value_source_address },
	{ "source.port", "source_port", "TCP, UDP and SCTP", true, value_source_port },
	{ "destination.address", "destination_address", "", false, value_destination_address },
	{ "destination.port", "destination_port",
	  "TCP, UDP and SCTP", true, value_destination_port },
	{ "network.transport", "transport",
	  "by name, where it has one", false, value_network_transport },
	{ "network.type", "type", "", false, value_network_type },
	{ "network.interface.index", "interface_index",
	  "where the source knows it", true, value_network_interface_index },
	{ "network.interface.name", "interface_name",
	  "where the source knows it", false, value_network_interface_name },
	{ "network.interface.mac", "interface_mac",
	  "where the source knows it", false, value_network_interface_mac },
	{ "flow.community_id", "community_id", "", false, value_flow_community_id },
	{ "flow.direction", "direction",
	  "client: forward, server: reverse, internal: unknown", false, value_flow_direction },
	{ "flow.connection.state", "state", "TCP", false, value_flow_connection_state },
	{ "flow.end_reason", "end_reason", "in the words of IPFIX", false, value_flow_end_reason },
	{ "flow.bytes.delta", "bytes_delta", "", true, value_flow_bytes_delta },
	{ "flow.bytes.total", "bytes_total", "", true, value_flow_bytes_total },
	{ "flow.packets.delta", "packets_delta", "", true, value_flow_packets_delta },
	{ "flow.packets.total", "packets_total", "", true, value_flow_packets_total },
	{ "flow.reverse.bytes.delta", "reverse_bytes_delta",
	  "", true, value_flow_reverse_bytes_delta },
	{ "flow.reverse.bytes.total", "reverse_bytes_total",
	  "", true, value_flow_reverse_bytes_total },
	{ "flow.reverse.packets.delta", "reverse_packets_delta",
	  "", true, value_flow_reverse_packets_delta },
	{ "flow.reverse.packets.total", "reverse_packets_total",
	  "", true, value_flow_reverse_packets_total },
	{ "flow.ip.dscp.id", "dscp",
	  "where a packet this way was seen", true, value_flow_ip_dscp_id },
	{ "flow.ip.dscp.name", "dscp",
	  "where the number has a name", false, value_flow_ip_dscp_name },
	{ "flow.ip.ecn.id", "ecn", "where a packet this way was seen", true, value_flow_ip_ecn_id },
	{ "flow.ip.ecn.name", "ecn",
	  "where a packet this way was seen", false, value_flow_ip_ecn_name },
	{ "flow.ip.ttl", "ttl", "where a packet this way was seen", true, value_flow_ip_ttl },
	{ "flow.ip.flow_label", "flow_label", "IPv6", true, value_flow_ip_flow_label },
	{ "flow.reverse.ip.dscp.id", "reverse_dscp",
	  "where a packet this way was seen", true, value_flow_reverse_ip_dscp_id },
	{ "flow.reverse.ip.ecn.id", "reverse_ecn",
	  "where a packet this way was seen", true, value_flow_reverse_ip_ecn_id },
	{ "flow.reverse.ip.ttl", "reverse_ttl",
	  "where a packet this way was seen", true, value_flow_reverse_ip_ttl },
	{ "flow.reverse.ip.flow_label", "reverse_flow_label",
	  "IPv6", true, value_flow_reverse_ip_flow_label },
	{ "flow.icmp.type.id", "icmp_type", "ICMP and ICMPv6", true, value_flow_icmp_type_id },
	{ "flow.icmp.type.name", "icmp_type",
	  "where the number has a name", false, value_flow_icmp_type_name },
	{ "flow.icmp.code.id", "icmp_code", "ICMP and ICMPv6", true, value_flow_icmp_code_id },
	{ "flow.icmp.code.name", "icmp_code",
	  "where the number has a name", false, value_flow_icmp_code_name },
	{ "flow.reverse.icmp.type.id", "reverse_icmp_type",
	  "ICMP and ICMPv6", true, value_flow_reverse_icmp_type_id },
	{ "flow.reverse.icmp.type.name", "reverse_icmp_type",
	  "where the number has a name", false, value_flow_reverse_icmp_type_name },
	{ "flow.reverse.icmp.code.id", "reverse_icmp_code",
	  "ICMP and ICMPv6", true, value_flow_reverse_icmp_code_id },
	{ "flow.reverse.icmp.code.name", "reverse_icmp_code",
	  "where the number has a name", false, value_flow_reverse_icmp_code_name },
	{ "flow.tcp.flags.bits", "tcp_flags", "TCP", true, value_flow_tcp_flags_bits },
	{ "flow.tcp.flags.tags", "tcp_flags",
	  "TCP; separated by commas", false, value_flow_tcp_flags_tags },
	{ "flow.reverse.tcp.flags.bits", "reverse_tcp_flags",
	  "TCP", true, value_flow_reverse_tcp_flags_bits },
	{ "flow.reverse.tcp.flags.tags", "reverse_tcp_flags",
	  "TCP; separated by commas", false, value_flow_reverse_tcp_flags_tags },
	{ "flow.tcp.handshake.latency", "handshake_latency_ns",
	  "ns; where SYN and SYN-ACK were seen", true, value_flow_tcp_handshake_latency },
	{ "flow.tcp.svc.latency", "latency_ns",
	  "ns; direction server", true, value_flow_tcp_svc_latency },
	{ "flow.tcp.svc.jitter", "jitter_ns",
	  "ns; direction server; the smoothed change of the latency, not its mean", true, value_flow_tcp_svc_jitter },
	{ "flow.tcp.rndtrip.latency", "latency_ns",
	  "ns; direction client", true, value_flow_tcp_rndtrip_latency },
	{ "flow.tcp.rndtrip.jitter", "jitter_ns",
	  "ns; direction client; the smoothed change of the latency, not its mean", true, value_flow_tcp_rndtrip_jitter },
	{ "process.pid", "pid", "where the owner is known", true, value_process_pid },
	{ "process.executable.name", "comm",
	  "where the owner is known", false, value_process_executable_name },
	{ "source.container.name", NULL,
	  "A name is the container runtime's; the record has the id, as container_id", false, NULL },
	{ "source.container.image.name", NULL,
	  "The image is known to the container runtime only", false, NULL },
	{ "destination.container.name", NULL,
	  "A name is the container runtime's; the record has the id, as container_id", false, NULL },
	{ "destination.container.image.name", NULL,
	  "The image is known to the container runtime only", false, NULL },
	{ "network.policies.ingress", NULL,
	  "Network policies are Kubernetes objects", false, NULL },
	{ "network.policies.egress", NULL,
	  "Network policies are Kubernetes objects", false, NULL },
	{ "flow.ipsec.ah.spi", "spi", "AH", true, value_flow_ipsec_ah_spi },
	{ "flow.ipsec.esp.spi", "spi", "ESP", true, value_flow_ipsec_esp_spi },
	{ "flow.ipsec.sender.index", NULL,
	  "The kernel's own numbers of IPsec states are not in a packet", false, NULL },
	{ "flow.ipsec.receiver.index", NULL,
	  "The kernel's own numbers of IPsec states are not in a packet", false, NULL },
	{ "ipip.network.type", "tunnel_source_address",
	  "inside IPIP", false, value_ipip_network_type },
	{ "ipip.network.transport", "tunnel_type",
	  "inside IPIP", false, value_ipip_network_transport },
	{ "ipip.source.address", "tunnel_source_address",
	  "inside IPIP", false, value_ipip_source_address },
	{ "ipip.destination.address", "tunnel_destination_address",
	  "inside IPIP", false, value_ipip_destination_address },
	{ "tunnel.type", "tunnel_type",
	  "inside a tunnel, or a tunnel itself", false, value_tunnel_type },
	{ "tunnel.id", "tunnel_id", "VXLAN and Geneve: VNI, GRE: key", true, value_tunnel_id },
	{ "tunnel.network.interface.mac", NULL,
	  "One MAC address says little of a tunnel that many hops carry; it is not kept", false, NULL },
	{ "tunnel.network.type", "tunnel_source_address",
	  "inside a tunnel", false, value_tunnel_network_type },
	{ "tunnel.network.transport", "tunnel_type",
	  "inside a tunnel", false, value_tunnel_network_transport },
	{ "tunnel.source.address", "tunnel_source_address",
	  "inside a tunnel", false, value_tunnel_source_address },
	{ "tunnel.source.port", "tunnel_source_port",
	  "inside a tunnel over UDP", true, value_tunnel_source_port },
	{ "tunnel.destination.address", "tunnel_destination_address",
	  "inside a tunnel", false, value_tunnel_destination_address },
	{ "tunnel.destination.port", "tunnel_destination_port",
	  "inside a tunnel over UDP", true, value_tunnel_destination_port },
	{ "tunnel.ipsec.ah.spi", NULL,
	  "AH around a tunnel is a flow of its own, with its spi", false, NULL },
};
