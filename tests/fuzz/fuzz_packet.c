/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a packet of any link type: one byte says which, one how much was not captured, the
 * rest is the packet. The parser must stay inside it (sanitizers see it), keep to its bounds and
 * to what test_packet.h says of every packet; a packet that comes again, and a parser that looks
 * for no tunnels over UDP, find the same layers as far as they go.
 */
#include "../../plugins/lib/test_packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void parse(struct pkt_fragments *f, uint32_t link, const uint8_t *data, uint32_t caplen,
                  uint32_t len, uint64_t now_ns, struct pkt *ret)
{
	static const struct pkt_config none;
	enum pkt_error e = pkt_parse(&pkt_defaults, f, link, data, caplen, len, now_ns, ret);
	struct pkt plain;

	check(!packet_broken(ret, e, caplen));
	e = pkt_parse(&none, NULL, link, data, caplen, len, now_ns, &plain);
	check(!packet_broken(&plain, e, caplen));
	/* ports of tunnels only add layers */
	check(plain.layers <= ret->layers);
	for (unsigned i = 0; i < plain.layers; i++)
		check(!memcmp(plain.layer[i].src, ret->layer[i].src, 16) &&
		      plain.layer[i].l3_len == ret->layer[i].l3_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t links[] = {
		PKT_LINK_ETHERNET, PKT_LINK_RAW, PKT_LINK_NULL, PKT_LINK_LOOP, PKT_LINK_LINUX_SLL,
		PKT_LINK_SLL2, PKT_LINK_IPV4, PKT_LINK_IPV6, PKT_LINK_RAW_OLD, 147,
	};
	const struct pkt_memory memory = { heap, NULL };
	struct pkt_fragments *f;
	struct pkt first, again;
	uint32_t link, n;
	uint8_t *copy;

	if (size < 2 || size > 1 << 17)
		return 0;
	link = links[data[0] % (sizeof links / sizeof links[0])];
	n = (uint32_t)size - 2;
	copy = malloc(n ? n : 1);
	if (!copy || pkt_fragments_new(&memory, 16, &f))
		abort();
	memcpy(copy, data + 2, n);
	/* 255: a length as of a packet over 64 KiB */
	parse(f, link, copy, n, data[1] == 255 ? n + 70000 : n + data[1], 1, &first);
	parse(f, link, copy, n, data[1] == 255 ? n + 70000 : n + data[1], 2, &again);
	check(first.layers == again.layers);
	free(copy);
	pkt_fragments_free(f);
	return 0;
}
