/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of dns, for both compilers. Types and limits only.
 *
 * One record per transaction: a question, and what became of it. Names and answers are text,
 * escaped as in a zone file (RFC 1035 5.1: \DDD, \.), so that they hold no control byte. All
 * strings but comm lie behind the struct: some 380 bytes a record instead of 1500.
 */
#ifndef WEIR_DNS_EVENTS_H
#define WEIR_DNS_EVENTS_H

#include <linux/types.h>
#ifndef __bpf__
#include <weir/event.h>
#endif

enum weir_dns_kind {
	WEIR_DNS_TRANSACTION, /* what outputs see */
	WEIR_DNS_PACKET,      /* from the ring to the plugin; taken up into a transaction */
	WEIR_DNS_KINDS
};

enum weir_dns_outcome {
	WEIR_DNS_ANSWERED,    /* a response came in time */
	WEIR_DNS_TIMEOUT,     /* none did */
	WEIR_DNS_UNSOLICITED, /* a response without a question */
	WEIR_DNS_DUPLICATE,   /* another response to a question that has one */
	WEIR_DNS_MULTICAST,   /* mDNS, LLMNR, NetBIOS: a message by itself, never paired */
	WEIR_DNS_EVICTED,     /* still open, but the table was full */
	WEIR_DNS_OPEN,        /* still open when the plugin, or the capture, ended */
	WEIR_DNS_OUTCOMES
};
#define WEIR_DNS_OUTCOME_NAMES "answered timeout unsolicited duplicate multicast evicted open"

enum weir_dns_transport { WEIR_DNS_UDP, WEIR_DNS_TCP };
#define WEIR_DNS_TRANSPORT_NAMES "udp tcp"

/* Which end was seen: of a socket of this host, or packets on their way. */
enum weir_dns_role { WEIR_DNS_WIRE, WEIR_DNS_CLIENT, WEIR_DNS_SERVER };
#define WEIR_DNS_ROLE_NAMES "wire client server"

/* Bits of edns: what of it was there. */
enum weir_dns_edns {
	WEIR_DNS_EDNS_QUERY = 1, WEIR_DNS_EDNS_RESPONSE = 2,
};

#ifndef __bpf__
struct weir_dns_transaction {
	__u64 query_ns, response_ns;   /* CLOCK_MONOTONIC; query: the newest; 0: none */
	__u64 latency_ns;              /* from the newest query; 0 unless answered */
	__u64 wait_ns;                 /* from the first query, over retries and a switch to TCP */
	__u64 netns_cookie, socket_cookie, cgroup_id;
	__u8 client_address[16], server_address[16];
	__u16 client_port, server_port;
	__u32 interface_index;         /* 0: unknown */
	__u32 pid, uid;                /* pid 0: unknown; then uid is not valid */
	__u32 ttl_min;                 /* smallest of the answers */
	__u32 query_bytes, response_bytes; /* of the DNS messages */
	__u16 id, type, class_, rcode; /* rcode with the EDNS bits */
	__u16 questions, answer_count, authority_count, additional_count; /* as the header says */
	__u16 retries;                 /* further queries with the same key */
	__u16 answers_more;            /* answers that `answers` has no room for */
	__u16 edns_query_size, edns_response_size;
	__u16 edns_keepalive;          /* of the response, 100 ms */
	__u16 edns_error;              /* extended error (RFC 8914) + 1; 0: none */
	__u16 query_flags, response_flags; /* second word of the header, as it is */
	__u8 outcome;                  /* enum weir_dns_outcome */
	__u8 transport;                /* enum weir_dns_transport */
	__u8 role;                     /* enum weir_dns_role */
	__u8 opcode;
	__u8 authoritative, truncated, recursion_desired, recursion_available;
	__u8 authentic_data, checking_disabled, zero; /* of the response if there is one; AD CD Z */
	__u8 edns;                     /* enum weir_dns_edns */
	__u8 edns_version, dnssec_ok;  /* DO: of the query */
	__u8 tcp_retry;                /* over TCP, after a truncated response over UDP */
	__u8 name_truncated;           /* `name` was cut */
	__u8 malformed;                /* the response could be read in part only */
	__u8 loopback;
	__u8 redacted;                 /* names are hashes */
	__u8 approx;                   /* packets were lost meanwhile: the outcome may be wrong */
	char comm[16];
	struct weir_text name;         /* of the question, as sent */
	struct weir_text type_name, rcode_name;
	struct weir_text client_subnet; /* 192.0.2.0/24/0: source and scope prefix */
	struct weir_text cookie;       /* hex: client's, and server's */
	struct weir_text executable;
	struct weir_text community_id; /* of the carrying flow */
	struct weir_text container_id, unit, pod_uid;
	struct weir_text source_name;  /* "bpf", "packet", "replay" */
	struct weir_text answers;      /* "name ttl TYPE data", separated by "; " */
};
/* A string of a record that the plugin made: they all end in NUL. */
#define WEIR_DNS_TEXT(r, field) ((const char *)(r) + (r)->field.offset)

/* Most bytes of each string, without the NUL. A name of 255 bytes has less than 1020. */
#define WEIR_DNS_NAME_MAX 1020
#define WEIR_DNS_ANSWERS_MAX 1023
#endif

/* ---- from the BPF programs ---------------------------------------------------- */

/* One packet, or what of it is wanted: this, then `copied` bytes of the transport's payload. */
struct weir_dns_packet {
	__u8 src[16], dst[16];         /* v4-mapped for IPv4 */
	__u16 sport, dport;
	__u32 len;                     /* payload bytes on the wire */
	__u32 copied;                  /* of them follow here */
	__u32 seq;                     /* TCP: of the first payload byte */
	__u32 ifindex;
	__u64 netns, cookie, cgroup;
	__u32 pid, uid;
	char comm[16];
	__u8 proto;                    /* 6 or 17 */
	__u8 tcp_flags;
	__u8 egress;                   /* 1: a local socket sends it */
	__u8 owned;                    /* pid, uid, comm hold */
	__u8 pad[4];
};

#endif
