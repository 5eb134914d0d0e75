/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from a packet socket or from a file, handed to a callback one by one.
 *
 * Live: AF_PACKET with TPACKET_V3 (linux/Documentation/networking/packet_mmap.rst), a ring of
 * blocks that the kernel fills; readable by poll(2) on capture_fd(). File: libpcap, any of its
 * formats, µs or ns, both byte orders; for files only.
 * A packet over a loopback device is tapped twice, sent and received: it is given once, as
 * received. What segmentation offload has left together comes as one, with gso_size.
 * One thread at a time. Errors are negative errno, with a sentence in `why`.
 */
#ifndef WEIR_LIB_CAPTURE_H
#define WEIR_LIB_CAPTURE_H

#include "packet.h"
#include <linux/filter.h>

struct capture;

struct capture_packet {
	const void *data;
	uint32_t caplen, len;
	uint32_t link;          /* enum pkt_link */
	uint64_t time_ns;       /* CLOCK_REALTIME: as captured */
	uint32_t ifindex;       /* 0: from a file */
	uint16_t vlan_tci;      /* tag the kernel took off the frame; valid with has_vlan */
	bool has_vlan;
	uint8_t pkttype;        /* PACKET_HOST, PACKET_OUTGOING, ... (linux/if_packet.h); file: 0 */
	/* Not 0: this is many packets, with the payload cut into parts of this size (pkt_segments()) */
	uint16_t gso_size;
};
/* Non-zero stops the walk; that packet counts as taken. */
typedef int (*capture_cb)(void *arg, const struct capture_packet *p);

struct capture_live {
	const char *interface;               /* NULL: all of this network namespace */
	/* Classic BPF, or NULL; what it returns is cut down to snaplen. */
	const struct sock_filter *filter;
	uint16_t filter_len;
	uint32_t snaplen;                    /* bytes kept of each packet */
	uint32_t ring_bytes;                 /* rounded down to blocks of 256 KiB, at least two */
	uint32_t retire_ms;                  /* a block is handed over at the latest after this */
};
int capture_open_live(const struct pkt_memory *m, const struct capture_live *c, struct capture **ret,
                      char *why, size_t size);
int capture_open_file(const struct pkt_memory *m, const char *path, struct capture **ret, char *why,
                      size_t size);
void capture_close(struct capture *c);   /* NULL is fine */
int capture_fd(const struct capture *c); /* -1: a file */
/* Packets that segmentation offload made one are counted as one: this kernel does not say. */
bool capture_blind_to_gso(const struct capture *c);
/* Up to max packets. Returns how many; 0: none now, or the file's end (then *ret_end). */
int capture_read(struct capture *c, unsigned max, capture_cb cb, void *arg, bool *ret_end, char *why,
                 size_t size);
/* Packets that the kernel dropped since the last call, for want of room in the ring. */
uint64_t capture_drops(struct capture *c);

#endif
