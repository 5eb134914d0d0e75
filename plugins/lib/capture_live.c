/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of this network namespace, from a ring that the kernel fills (TPACKET_V3).
 *
 *   kernel: block by block, handed over when full or after retire_ms -> read(): walks the block's
 *   packets where they lie, gives the block back
 *
 * Happy path: poll(capture_fd()), capture_read() until it says 0. Failure: no CAP_NET_RAW, no
 * such interface: said at open. A reader that is too slow: the kernel drops and counts, see
 * capture_drops(). Bounds: ring_bytes, snaplen. Threads: one at a time.
 *
 * The socket is bound last, and until then it has protocol 0: nothing gets by the filter.
 */
#include "capture_open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BLOCK_BYTES (256u << 10)  /* a packet with offload is up to 64 KiB, BIG TCP's is cut to snaplen */
#define RING_MAX (1u << 30)
#define FILTER_MAX BPF_MAXINSNS
#define LINK_OTHER 147            /* LINKTYPE_USER0: nothing the parser knows */

struct capture_live_ring {
	struct capture base;
	uint8_t *ring;
	size_t ring_bytes;
	uint32_t blocks, block;   /* how many; the next to be read */
	uint32_t left;            /* packets of it that were not given yet */
	const uint8_t *at;        /* the next of them; NULL: block not begun */
};

static int failed(int err, char *why, size_t size, const char *what)
{
	const char *hint = err == EPERM || err == EACCES ? ": needs CAP_NET_RAW" : "";

	snprintf(why, size, "%s: %s%s", what, strerror(err), hint);
	return -err;
}

static void live_close(struct capture *c)
{
	struct capture_live_ring *l = (struct capture_live_ring *)c;
	struct pkt_memory m = c->m;

	if (l->ring)
		munmap(l->ring, l->ring_bytes);
	if (c->fd >= 0)
		close(c->fd);
	m.realloc(m.arg, l, 0);
}

/* Devices without a header of their own (tun, ipip, WireGuard) begin at the network header, which
 * is where the others would have theirs: what stands before it depends on the driver. */
static void at_network(const struct tpacket3_hdr *h, const struct sockaddr_ll *a,
                       struct capture_packet *p)
{
	uint32_t skip = h->tp_net > h->tp_mac ? h->tp_net - (uint32_t)h->tp_mac : 0u;

	switch (ntohs(a->sll_protocol)) {
	case ETH_P_IP: p->link = PKT_LINK_IPV4; break;
	case ETH_P_IPV6: p->link = PKT_LINK_IPV6; break;
	default: p->link = LINK_OTHER;
	}
	skip = skip < p->caplen ? skip : p->caplen;
	p->data = (const uint8_t *)p->data + skip;
	p->caplen -= skip;
	p->len -= skip < p->len ? skip : p->len;
}

/* false: the sent half of a loopback device's packet */
static bool describe(const struct capture_live_ring *l, const uint8_t *at, struct capture_packet *ret)
{
	const struct tpacket3_hdr *h = (const void *)at;
	const struct sockaddr_ll *a = (const void *)(at + TPACKET_ALIGN(sizeof *h));
	struct virtio_net_hdr v;

	if (a->sll_hatype == ARPHRD_LOOPBACK && a->sll_pkttype == PACKET_OUTGOING)
		return false;
	*ret = (struct capture_packet){
		.data = at + h->tp_mac, .caplen = h->tp_snaplen, .len = h->tp_len,
		.link = PKT_LINK_ETHERNET, .ifindex = (uint32_t)a->sll_ifindex,
		.pkttype = a->sll_pkttype,
		.time_ns = (uint64_t)h->tp_sec * 1000000000u + h->tp_nsec,
		.has_vlan = h->tp_status & TP_STATUS_VLAN_VALID,
		.vlan_tci = (uint16_t)h->hv1.tp_vlan_tci,
	};
	if (!l->base.blind_to_gso) {
		memcpy(&v, at + h->tp_mac - sizeof v, sizeof v);
		ret->gso_size = v.gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : v.gso_size;
	}
	if (a->sll_hatype != ARPHRD_ETHER && a->sll_hatype != ARPHRD_LOOPBACK)
		at_network(h, a, ret);
	return true;
}

static struct tpacket_block_desc *block_of(const struct capture_live_ring *l)
{
	return (struct tpacket_block_desc *)(l->ring + (size_t)l->block * BLOCK_BYTES);
}

static int live_read(struct capture *c, unsigned max, capture_cb cb, void *arg, bool *ret_end,
                     char *why, size_t size)
{
	struct capture_live_ring *l = (struct capture_live_ring *)c;
	struct capture_packet p;
	int n = 0, stop = 0;

	(void)ret_end, (void)why, (void)size;
	while ((unsigned)n < max && !stop) {
		struct tpacket_block_desc *b = block_of(l);

		if (!l->at) {
			if (!(__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
			      TP_STATUS_USER))
				break;
			l->left = b->hdr.bh1.num_pkts;
			l->at = (const uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
		}
		while (l->left && (unsigned)n < max && !stop) {
			const uint8_t *at = l->at;

			l->at += ((const struct tpacket3_hdr *)(const void *)at)->tp_next_offset;
			l->left--;
			if (!describe(l, at, &p))
				continue;
			n++;
			stop = cb(arg, &p);
		}
		if (l->left)
			break;
		l->at = NULL;
		__atomic_store_n(&b->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		l->block = (l->block + 1) % l->blocks;
	}
	return n;
}

static uint64_t live_drops(struct capture *c)
{
	struct tpacket_stats_v3 s = { 0 };
	socklen_t size = sizeof s;

	/* reading sets the kernel's counters to 0 */
	return getsockopt(c->fd, SOL_PACKET, PACKET_STATISTICS, &s, &size) ? 0 : s.tp_drops;
}

/* Always one, since it is the filter that sets how much is kept of a packet. */
static int set_filter(struct capture_live_ring *l, const struct capture_live *o, char *why, size_t size)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, o->snaplen);
	struct sock_fprog prog = { 1, &all };
	struct pkt_memory m = l->base.m;
	int err = 0;

	if (o->filter) {
		if (!o->filter_len || o->filter_len > FILTER_MAX)
			return failed(EINVAL, why, size, "filter");
		prog.len = o->filter_len;
		prog.filter = m.realloc(m.arg, NULL, o->filter_len * sizeof *prog.filter);
		if (!prog.filter)
			return failed(ENOMEM, why, size, "filter");
		memcpy(prog.filter, o->filter, o->filter_len * sizeof *prog.filter);
		for (uint16_t i = 0; i < o->filter_len; i++)
			if (prog.filter[i].code == (BPF_RET | BPF_K) && prog.filter[i].k > o->snaplen)
				prog.filter[i].k = o->snaplen;
	}
	if (setsockopt(l->base.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog))
		err = failed(errno, why, size, "filter");
	if (prog.filter != &all)
		m.realloc(m.arg, prog.filter, 0);
	return err;
}

/* The header with gso_size. Before 6.2 (860b7f27b8f7 "linux/virtio_net.h: Support USO offload in
 * vnet header") a kernel drops the packets with UDP segmentation that it cannot describe: the
 * traffic of a QUIC server. That cannot be tried without such traffic, so the version decides. */
static bool kernel_says_gso(void)
{
	struct utsname u;
	char *minor;
	long major;

	if (uname(&u))
		return false;
	major = strtol(u.release, &minor, 10);
	return major > 6 || (major == 6 && *minor == '.' && strtol(minor + 1, NULL, 10) >= 2);
}

static int set_ring(struct capture_live_ring *l, const struct capture_live *o, char *why, size_t size)
{
	struct tpacket_req3 r = {
		.tp_block_size = BLOCK_BYTES, .tp_block_nr = o->ring_bytes / BLOCK_BYTES,
		.tp_frame_size = 2048, /* only has to divide the block: version 3 packs them */
		.tp_frame_nr = o->ring_bytes / BLOCK_BYTES * (BLOCK_BYTES / 2048),
		.tp_retire_blk_tov = o->retire_ms,
	};
	int version = TPACKET_V3, on = 1, fd = l->base.fd;
	void *ring;

	l->base.blind_to_gso = !kernel_says_gso() ||
	                       setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on);
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version))
		return failed(errno, why, size, "PACKET_VERSION");
	if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &r, sizeof r))
		return failed(errno, why, size, "PACKET_RX_RING");
	l->ring_bytes = (size_t)r.tp_block_nr * BLOCK_BYTES;
	ring = mmap(NULL, l->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return failed(errno, why, size, "mmap of the packet ring");
	l->ring = ring;
	l->blocks = r.tp_block_nr;
	return 0;
}

static int set_interface(struct capture_live_ring *l, const struct capture_live *o, char *why,
                         size_t size)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	if (o->interface && !(a.sll_ifindex = (int)if_nametoindex(o->interface)))
		return failed(errno, why, size, o->interface);
	if (bind(l->base.fd, (struct sockaddr *)&a, sizeof a))
		return failed(errno, why, size, "bind");
	return 0;
}

int capture_open_live(const struct pkt_memory *m, const struct capture_live *o, struct capture **ret,
                      char *why, size_t size)
{
	struct capture_live_ring *l;
	int err;

	if (!o->snaplen || !o->retire_ms || o->ring_bytes < 2 * BLOCK_BYTES || o->ring_bytes > RING_MAX)
		return failed(EINVAL, why, size, "packet ring");
	l = m->realloc(m->arg, NULL, sizeof *l);
	if (!l)
		return failed(ENOMEM, why, size, "packet ring");
	*l = (struct capture_live_ring){ .base = { .close = live_close, .read = live_read,
	                                           .drops = live_drops, .m = *m } };
	l->base.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = l->base.fd < 0 ? failed(errno, why, size, "packet socket") : 0;
	if (err || (err = set_filter(l, o, why, size)) || (err = set_ring(l, o, why, size)) ||
	    (err = set_interface(l, o, why, size)))
		goto fail;
	*ret = &l->base;
	return 0;
fail:
	live_close(&l->base);
	return err;
}
