/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a packet apart: link layer, VLAN tags, MPLS, IP with options and extension headers,
 * fragments, transport, and the tunnels around it. Never reads beyond `caplen`; allocates
 * nothing; any bytes at all are legal input. Used by every source that sees packets in user
 * space: AF_PACKET, capture files, and the tests of the BPF programs.
 *
 * A packet in a tunnel has several layers. layer[0] is the outermost IP packet, layer[n - 1]
 * the innermost that was understood; each is a flow of its own, and says what it carries.
 *
 * Bounds: 4 layers (two tunnels in one another and a spare), 4 VLAN tags, 8 MPLS labels, 8
 * IPv6 extension headers, as routers that forward them do (RFC 8504 5.3 lets a node stop).
 * Thread: any; no state but the fragment table, which belongs to its caller.
 */
#ifndef WEIR_LIB_PACKET_H
#define WEIR_LIB_PACKET_H

#include "flow_key.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Link types, as numbered by libpcap (LINKTYPE_*). */
enum pkt_link {
	PKT_LINK_NULL = 0, PKT_LINK_ETHERNET = 1, PKT_LINK_RAW = 101, PKT_LINK_RAW_OLD = 12,
	PKT_LINK_LOOP = 108, PKT_LINK_LINUX_SLL = 113, PKT_LINK_IPV4 = 228, PKT_LINK_IPV6 = 229, PKT_LINK_SLL2 = 276,
};

enum pkt_error {
	PKT_OK,
	PKT_NOT_IP,       /* ARP, LLDP, ...: no flow, no error */
	PKT_TRUNCATED,    /* a header goes beyond caplen: what came before it holds */
	PKT_MALFORMED,    /* lengths that contradict each other, or the packet: likewise */
	PKT_TOO_DEEP,     /* more headers or layers than the bounds */
	PKT_ERRORS,
};
const char *pkt_error_name(enum pkt_error e);

struct pkt_layer {
	uint8_t src[16], dst[16];       /* v4-mapped for IPv4 */
	uint16_t sport, dport;          /* 0: none, or unknown (later fragment) */
	uint8_t version;                /* 4 or 6 */
	uint8_t proto;                  /* of the transport, after extension headers */
	uint8_t tos, ttl;
	uint32_t label;                 /* IPv6 flow label */
	/* From the IP header on, as the header says, so without padding. It is the rest of `len`
	 * where the header has 0 (segmentation offload, jumbograms over 64 KiB). A header that says
	 * more than came over the wire is believed here and makes the result PKT_MALFORMED, except
	 * inside a first fragment and a mirrored packet that was cut (ERSPAN), where that is right. */
	uint32_t l3_len;
	uint32_t l3_off;                /* where in the data the IP header starts */
	uint16_t header_len;            /* IP with options and extension headers */
	uint16_t transport_len;         /* TCP with options, UDP 8, ...; 0: not seen */
	/* Of the transport, or of IP where no header of it is known (OSPF, a later fragment); 0 where
	 * that header was cut. As the headers say: less of it, or nothing, may be captured. */
	uint32_t payload_off, payload_len;
	uint8_t tcp_flags;              /* 0 if not TCP */
	bool has_ports;                 /* TCP, UDP, SCTP ports or ICMP type seen, or remembered by fragment */
	bool fragment, first_fragment, last_fragment;
	uint32_t frag_id, frag_off;     /* bytes */
	uint32_t tcp_seq, tcp_ack;
	uint8_t icmp_type, icmp_code;
	uint32_t spi;                   /* ESP, AH */
	uint32_t tunnel;                /* enum weir_flow_tunnel: what this layer carries */
	uint32_t tunnel_id;             /* VNI, GRE key; 0: none */
};

#define PKT_LAYERS 4
#define PKT_VLANS 4
struct pkt {
	uint8_t src_mac[6], dst_mac[6];
	bool has_mac;
	uint16_t vlan[PKT_VLANS];       /* outermost first */
	uint8_t vlans, mpls;            /* how many */
	uint8_t layers;                 /* 0: no IP packet found */
	struct pkt_layer layer[PKT_LAYERS];
};

struct pkt_config {
	uint16_t vxlan_port, geneve_port, wireguard_port; /* 0: do not look for it */
};
extern const struct pkt_config pkt_defaults;              /* 4789, 6081, 51820 */

/* Ports of datagrams whose first fragment was seen. Bounded, the oldest goes. NULL is legal
 * where there is none: later fragments then have no ports. */
struct pkt_fragments;
struct pkt_memory { /* where it is allocated: the plugin's account, or the heap in tests */
	void *(*realloc)(void *arg, void *ptr, size_t size);
	void *arg;
};
int pkt_fragments_new(const struct pkt_memory *m, uint32_t entries, struct pkt_fragments **ret);
void pkt_fragments_free(struct pkt_fragments *f);   /* NULL is fine */

/* Parse. len: bytes on the wire (>= caplen). Always fills *ret as far as it got; returns how
 * far that was. now_ns: for the age of fragments. */
enum pkt_error pkt_parse(const struct pkt_config *c, struct pkt_fragments *f, uint32_t link,
                         const void *data, uint32_t caplen, uint32_t len, uint64_t now_ns,
                         struct pkt *ret);

/* The flow a layer belongs to, in scope wire, and the direction of this packet in it. */
void pkt_key(const struct pkt_layer *l, uint16_t vlan, uint64_t netns, struct weir_flow_key *ret,
             unsigned *ret_direction);
/* The same seen from the socket of end `local_is_src ? src : dst`, scope host. */
void pkt_key_host(const struct pkt_layer *l, bool local_is_src, uint64_t netns,
                  struct weir_flow_key *ret);
/* One packet as a delta (zeroed, then filled in): counts of 1, flags, tos, ttl, ICMP. */
void pkt_delta(const struct pkt_layer *l, unsigned direction, uint64_t now_ns, uint32_t ifindex,
               struct weir_flow_delta *ret);

/* The packet was many before offload joined them, each with gso_size bytes of payload: how many.
 * 1 if gso_size is 0 or the innermost layer has no payload. Adds what the others had of headers to
 * the bytes of *d, made of layer[n] by pkt_delta(). */
uint32_t pkt_segments(const struct pkt *p, unsigned n, unsigned direction, uint16_t gso_size,
                      struct weir_flow_delta *d);

/* ICMP: the smaller type of the pair, or WEIR_FLOW_ICMP_ONE_WAY + type. v6: ICMPv6. */
uint16_t pkt_icmp_port(uint8_t type, bool v6);

#endif
