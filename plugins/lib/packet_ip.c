/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 with options, IPv6 with its extension headers and jumbograms, AH, fragments.
 *
 * Happy path: a new layer, filled in from the header, then the transport, then what is inside.
 * Failure: a layer counts from the moment its addresses and its length are known; what lies
 * beyond is zero. Threads: any. RFC 791, 8200, 2675, 4302.
 */
#include "packet_walk.h"

#include <string.h>

#define EXTENSIONS_MAX 8 /* RFC 8504 5.3 lets a node stop; no more than that is ever forwarded */
#define JUMBO 0xc2       /* option of the hop-by-hop header */

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static enum pkt_error new_layer(struct pkt_walk *w, struct pkt_layer **ret)
{
	if (w->p->layers == PKT_LAYERS)
		return PKT_TOO_DEEP;
	*ret = &w->p->layer[w->p->layers];
	memset(*ret, 0, sizeof **ret);
	return PKT_OK;
}

/* The packet ends where its header says. Says whether that was more than there is. */
static bool set_end(struct pkt_walk *w, const struct pkt_layer *l)
{
	uint32_t rest = w->end - l->l3_off;

	if (l->l3_len > rest)
		return !w->cut;
	w->end = l->l3_off + l->l3_len;
	return false;
}

/* After the IP header: at header_len, protocol l->proto. */
static enum pkt_error above(struct pkt_walk *w, struct pkt_layer *l, bool too_long)
{
	enum pkt_error e;

	l->payload_off = l->l3_off + l->header_len;
	if (l->l3_len < l->header_len)
		return PKT_MALFORMED;
	l->payload_len = l->l3_len - l->header_len;
	if (l->fragment && !l->first_fragment) {
		pkt__fragment_find(w, l);
		return too_long ? PKT_MALFORMED : PKT_OK;
	}
	if (l->fragment && !l->last_fragment)
		w->cut = true; /* the rest is in other packets */
	e = pkt__transport(w, l);
	if (l->fragment && !l->last_fragment)
		pkt__fragment_keep(w, l);
	if (!e)
		e = pkt__tunnel(w, l);
	return too_long && (!e || e == PKT_NOT_IP) ? PKT_MALFORMED : e;
}

/* AH protects the packet and hides nothing: on to what it covers, in its own unit of length. */
static enum pkt_error auth_header(struct pkt_walk *w, struct pkt_layer *l, uint32_t off,
                                  uint32_t *ret_size)
{
	enum pkt_error e = pkt_need(w, off, 12);

	if (e)
		return e;
	l->spi = pkt_be32(w->data + off + 4);
	*ret_size = (w->data[off + 1] + 2u) * 4;
	if (*ret_size < 12)
		return PKT_MALFORMED;
	return pkt_need(w, off, *ret_size);
}

static enum pkt_error ipv4(struct pkt_walk *w, uint32_t off)
{
	const uint8_t *d = w->data + off;
	enum pkt_error e = pkt_need(w, off, 20);
	struct pkt_layer *l;
	uint32_t size;
	bool too_long;

	if (e || (e = new_layer(w, &l)))
		return e;
	l->version = 4;
	l->l3_off = off;
	l->l3_len = pkt_be16(d + 2);
	l->header_len = (uint16_t)((d[0] & 0xf) * 4);
	if (!l->l3_len)
		l->l3_len = w->end - off;
	if (d[0] >> 4 != 4 || l->header_len < 20 || l->l3_len < l->header_len)
		return PKT_MALFORMED;
	w->p->layers++;
	memcpy(l->src, v4_mapped, 12);
	memcpy(l->dst, v4_mapped, 12);
	memcpy(l->src + 12, d + 12, 4);
	memcpy(l->dst + 12, d + 16, 4);
	l->tos = d[1];
	l->ttl = d[8];
	l->proto = d[9];
	l->frag_off = (pkt_be16(d + 6) & 0x1fffu) * 8;
	l->fragment = l->frag_off || d[6] & 0x20;
	l->first_fragment = l->fragment && !l->frag_off;
	l->last_fragment = l->fragment && !(d[6] & 0x20);
	l->frag_id = l->fragment ? pkt_be16(d + 4) : 0;
	w->raw_proto = l->proto;
	too_long = set_end(w, l);
	if ((e = pkt_need(w, off, l->header_len)))
		return e;
	if (l->proto == PKT_AH && !l->frag_off) {
		if ((e = auth_header(w, l, off + l->header_len, &size)))
			return e;
		l->proto = d[l->header_len];
		l->header_len = (uint16_t)(l->header_len + size);
	}
	return above(w, l, too_long);
}

/* RFC 2675: the length of a packet over 64 KiB, from the hop-by-hop header at off. 0: none. */
static uint32_t jumbo_length(const struct pkt_walk *w, uint32_t off)
{
	const uint8_t *d = w->data + off;
	uint32_t size;

	if (pkt_need(w, off, 8))
		return 0;
	size = (d[1] + 1u) * 8;
	if (pkt_need(w, off, size))
		return 0;
	for (uint32_t i = 2; i + 6 <= size; i += d[i] ? 2u + d[i + 1] : 1)
		if (d[i] == JUMBO && d[i + 1] == 4)
			return pkt_be32(d + i + 2) > UINT16_MAX ? pkt_be32(d + i + 2) : 0;
	return 0;
}

/* Linux makes packets over 64 KiB with a length of 0 and, since 6.x, without that option. A rest of
 * less is padding of the frame. */
static uint32_t ipv6_length(const struct pkt_walk *w, uint32_t off)
{
	const uint8_t *d = w->data + off;
	uint32_t said = pkt_be16(d + 4), rest = w->end - off;

	if (!said && d[6] == PKT_HOPOPT)
		said = jumbo_length(w, off + 40);
	if (!said && rest > UINT16_MAX)
		return rest;
	return said > UINT32_MAX - 40 ? said : said + 40;
}

static enum pkt_error fragment_header(struct pkt_walk *w, struct pkt_layer *l, uint32_t off)
{
	const uint8_t *d = w->data + off;
	enum pkt_error e = pkt_need(w, off, 8);

	if (e)
		return e;
	l->frag_off = pkt_be16(d + 2) & 0xfff8u;
	l->frag_id = pkt_be32(d + 4);
	l->fragment = true;
	l->first_fragment = !l->frag_off;
	l->last_fragment = !(d[3] & 1);
	return PKT_OK;
}

/* One extension header of type l->proto. */
static enum pkt_error extension(struct pkt_walk *w, struct pkt_layer *l)
{
	uint32_t off = l->l3_off + l->header_len, size = 8;
	enum pkt_error e = pkt_need(w, off, 2);

	if (e)
		return e;
	if (l->proto == PKT_FRAGMENT) {
		e = fragment_header(w, l, off);
	} else if (l->proto == PKT_AH) {
		e = auth_header(w, l, off, &size);
	} else {
		size = (w->data[off + 1] + 1u) * 8;
		e = pkt_need(w, off, size);
	}
	if (e)
		return e;
	l->proto = w->data[off];
	l->header_len = (uint16_t)(l->header_len + size);
	return PKT_OK;
}

static bool is_extension(uint8_t proto)
{
	return proto == PKT_HOPOPT || proto == PKT_ROUTING || proto == PKT_FRAGMENT ||
	       proto == PKT_AH || proto == PKT_DSTOPTS;
}

static enum pkt_error ipv6(struct pkt_walk *w, uint32_t off)
{
	const uint8_t *d = w->data + off;
	enum pkt_error e = pkt_need(w, off, 40);
	struct pkt_layer *l;
	bool too_long;

	if (e || (e = new_layer(w, &l)))
		return e;
	if (d[0] >> 4 != 6)
		return PKT_MALFORMED;
	w->p->layers++;
	l->version = 6;
	l->l3_off = off;
	l->l3_len = ipv6_length(w, off);
	l->header_len = 40;
	memcpy(l->src, d + 8, 16);
	memcpy(l->dst, d + 24, 16);
	l->tos = (uint8_t)(d[0] << 4 | d[1] >> 4);
	l->label = pkt_be32(d) & 0xfffff;
	l->ttl = d[7];
	l->proto = d[6];
	too_long = set_end(w, l);
	w->raw_proto = 0; /* ids are unique whatever the protocol */
	for (unsigned n = 0; is_extension(l->proto) && (!l->fragment || l->first_fragment); n++) {
		if (n == EXTENSIONS_MAX)
			return PKT_TOO_DEEP;
		if ((e = extension(w, l)))
			return e;
	}
	return above(w, l, too_long);
}

enum pkt_error pkt__ip(struct pkt_walk *w, uint32_t off, unsigned version)
{
	return version == 4 ? ipv4(w, off) : ipv6(w, off);
}
