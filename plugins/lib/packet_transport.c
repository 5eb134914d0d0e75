/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP, UDP, SCTP, ICMP, ICMPv6 and ESP: ports, flags, where the payload begins and how long it is.
 *
 * Happy path: the header at the layer's payload_off is read, and the payload moves behind it.
 * Failure: ports hold as soon as they could be read, the rest only with the whole header.
 * Threads: any.
 */
#include "packet_walk.h"

/* A header of `size` bytes at off, in the `room` that IP leaves: what is behind it is payload. */
static enum pkt_error header(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off,
                             uint32_t room, uint32_t size)
{
	if (size > room)
		return w->cut ? PKT_TRUNCATED : PKT_MALFORMED;
	l->transport_len = (uint16_t)size;
	l->payload_off = off + size;
	l->payload_len = room - size;
	return pkt_need(w, off, size);
}

static enum pkt_error tcp(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off, uint32_t room)
{
	const uint8_t *d = w->data + off;
	enum pkt_error e = pkt_need(w, off, 20);
	uint32_t size;

	if (e)
		return e;
	l->tcp_seq = pkt_be32(d + 4);
	l->tcp_ack = pkt_be32(d + 8);
	l->tcp_flags = d[13];
	size = (d[12] >> 4) * 4u;
	return size < 20 ? PKT_MALFORMED : header(w, l, off, room, size);
}

static enum pkt_error udp(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off, uint32_t room)
{
	enum pkt_error e = pkt_need(w, off, 8);
	uint32_t said;

	if (e)
		return e;
	said = pkt_be16(w->data + off + 4);
	if ((said && said < 8) || (e = header(w, l, off, room, 8)))
		return e ? e : PKT_MALFORMED;
	/* 0: a jumbogram (RFC 2675 4), or segmentation offload: all that IP has. */
	if (!said || said - 8 == l->payload_len)
		return PKT_OK;
	if (said - 8 > l->payload_len) /* a datagram is more than its first fragment */
		return w->cut ? PKT_OK : PKT_MALFORMED;
	l->payload_len = said - 8;
	return PKT_OK;
}

static enum pkt_error icmp(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off, uint32_t room)
{
	enum pkt_error e = pkt_need(w, off, 2);

	if (e)
		return e;
	l->icmp_type = w->data[off];
	l->icmp_code = w->data[off + 1];
	l->has_ports = true;
	return header(w, l, off, room, 4); /* type, code, checksum: what all have */
}

static enum pkt_error esp(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off, uint32_t room)
{
	enum pkt_error e = pkt_need(w, off, 4);

	if (e)
		return e;
	l->spi = pkt_be32(w->data + off);
	return header(w, l, off, room, 8);
}

static enum pkt_error ports(const struct pkt_walk *w, struct pkt_layer *l, uint32_t off)
{
	enum pkt_error e = pkt_need(w, off, 4);

	if (e)
		return e;
	l->sport = pkt_be16(w->data + off);
	l->dport = pkt_be16(w->data + off + 2);
	l->has_ports = true;
	return PKT_OK;
}

enum pkt_error pkt__transport(struct pkt_walk *w, struct pkt_layer *l)
{
	uint32_t off = l->payload_off, room = l->payload_len;
	enum pkt_error e = PKT_OK;
	bool known = true;

	l->payload_off = l->payload_len = 0;
	switch (l->proto) {
	case PKT_TCP:
		e = ports(w, l, off);
		e = e ? e : tcp(w, l, off, room);
		break;
	case PKT_UDP:
		e = ports(w, l, off);
		e = e ? e : udp(w, l, off, room);
		break;
	case PKT_SCTP:
		e = ports(w, l, off);
		e = e ? e : pkt_need(w, off, 12);
		e = e ? e : header(w, l, off, room, 12);
		break;
	case PKT_ICMP:
	case PKT_ICMPV6:
		e = icmp(w, l, off, room);
		break;
	case PKT_ESP:
		e = esp(w, l, off, room);
		break;
	default:
		known = false;
	}
	if (!known) {
		l->payload_off = off;
		l->payload_len = room;
	}
	return e;
}
