/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of NETLINK_SOCK_DIAG to readings of sockets. Pure.
 *
 * Happy path: a message is a netlink header, struct inet_diag_msg, attributes; those not known
 * are passed over, so a newer kernel may send more. tcp_info grows with the kernel: what lies
 * beyond its length is not there.
 * Failure modes: a length that leads out of its frame makes the message malformed. No length is
 * used before it was checked; nothing is read in place that might not be aligned.
 * Threads: any.
 */
#include "diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define STATE_CLOSE_WAIT 8
#define STATE_LAST_ACK 9
#define STATE_LISTEN 10
#define STATE_CLOSING 11
#define HAS(len, m) ((len) >= offsetof(struct tcp_info, m) + sizeof(((struct tcp_info *)0)->m))

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static void address(uint8_t out[16], uint8_t family, const __be32 in[4])
{
	if (family == AF_INET6) {
		memcpy(out, in, 16);
		return;
	}
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, in, 4);
}

static void take_tcp_info(const uint8_t *at, size_t len, struct sock_reading *r)
{
	struct tcp_info i;
	uint32_t sent, got;

	memset(&i, 0, sizeof i);
	memcpy(&i, at, len < sizeof i ? len : sizeof i);
	if (!HAS(len, tcpi_segs_in)) /* before Linux 4.2: nothing to count by */
		return;
	r->counts = true;
	/* bytes_acked has one for the SYN, and one for the FIN; bytes_sent (4.19) what was sent
	 * again as well, as the wire had it. */
	r->now.payload[0] = HAS(len, tcpi_bytes_sent) ? i.tcpi_bytes_sent :
	                    i.tcpi_bytes_acked - (i.tcpi_bytes_acked != 0);
	r->now.payload[1] = i.tcpi_bytes_received;
	if (r->now.payload[1] && (r->state == STATE_CLOSE_WAIT || r->state == STATE_LAST_ACK ||
	                          r->state == STATE_CLOSING))
		r->now.payload[1]--; /* the peer's FIN has come, and is counted as a byte */
	r->now.segs[0] = i.tcpi_segs_out;
	r->now.segs[1] = i.tcpi_segs_in;
	r->now.retransmits = i.tcpi_total_retrans;
	r->srtt_us = i.tcpi_rtt;
	if (i.tcpi_options & TCPI_OPT_TIMESTAMPS)
		r->header += 12;
	sent = i.tcpi_last_data_sent;
	got = i.tcpi_last_data_recv < i.tcpi_last_ack_recv ? i.tcpi_last_data_recv : i.tcpi_last_ack_recv;
	r->idle_ms = sent < got ? sent : got;
}

/* Returns false if a length is wrong. */
static bool take_attributes(const uint8_t *at, size_t len, struct sock_reading *r)
{
	struct nlattr a;
	uint32_t drops;

	while (len >= sizeof a) {
		const uint8_t *data = at + sizeof a;
		size_t n, step;

		memcpy(&a, at, sizeof a);
		if (a.nla_len < sizeof a || a.nla_len > len)
			return false;
		n = a.nla_len - sizeof a;
		switch (a.nla_type & NLA_TYPE_MASK) {
		case INET_DIAG_INFO:
			if (r->key.proto == IPPROTO_TCP)
				take_tcp_info(data, n, r);
			break;
		case INET_DIAG_CGROUP_ID:
			if (n >= sizeof r->cgroup)
				memcpy(&r->cgroup, data, sizeof r->cgroup);
			break;
		case INET_DIAG_SKMEMINFO:
			if (n >= (SK_MEMINFO_DROPS + 1) * sizeof drops) {
				memcpy(&drops, data + SK_MEMINFO_DROPS * sizeof drops, sizeof drops);
				r->now.drops = drops;
			}
			break;
		case INET_DIAG_PROTOCOL:
			if (n >= 1 && !r->key.proto)
				r->key.proto = data[0];
			break;
		}
		step = NLA_ALIGN(a.nla_len);
		if (step >= len)
			break;
		at += step;
		len -= step;
	}
	return true;
}

static enum diag_message take_socket(const uint8_t *at, size_t len, const struct diag_from *from,
                                     struct sock_reading *r)
{
	struct inet_diag_msg m;

	if (len < sizeof m)
		return DIAG_MALFORMED;
	memcpy(&m, at, sizeof m);
	if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
		return DIAG_OTHER;
	memset(r, 0, sizeof *r);
	r->cookie = (uint64_t)m.id.idiag_cookie[1] << 32 | m.id.idiag_cookie[0];
	r->id = r->cookie;
	address(r->key.addr[0], m.idiag_family, m.id.idiag_src);
	address(r->key.addr[1], m.idiag_family, m.id.idiag_dst);
	r->key.port[0] = ntohs(m.id.idiag_sport);
	r->key.port[1] = ntohs(m.id.idiag_dport);
	r->key.proto = from->proto;
	r->key.scope = WEIR_FLOW_HOST;
	r->key.netns = from->netns;
	r->netns = from->netns_inum;
	r->ifindex = m.id.idiag_if;
	r->uid = m.idiag_uid;
	r->inode = m.idiag_inode;
	r->state = m.idiag_state;
	/* a v6 socket may speak IPv4 */
	r->header = m.idiag_family == AF_INET || !memcmp(r->key.addr[1], v4_mapped, 12) ? 40 : 60;
	if (!take_attributes(at + NLMSG_ALIGN(sizeof m), len - NLMSG_ALIGN(sizeof m), r))
		return DIAG_MALFORMED;
	r->listening = r->state == STATE_LISTEN || !r->key.port[1];
	return r->key.proto ? DIAG_SOCKET : DIAG_OTHER;
}

enum diag_message diag_parse(const void *buf, size_t len, size_t *at, const struct diag_from *from,
                             struct sock_reading *ret, int *ret_error)
{
	const uint8_t *p = (const uint8_t *)buf + *at;
	size_t left = len - *at, n;
	struct nlmsghdr h;
	struct nlmsgerr e;
	int32_t done = 0;

	if (left < sizeof h) {
		*at = len;
		return DIAG_END;
	}
	memcpy(&h, p, sizeof h);
	if (h.nlmsg_len < sizeof h || h.nlmsg_len > left) {
		*at = len;
		return DIAG_MALFORMED;
	}
	*at += NLMSG_ALIGN(h.nlmsg_len) < left ? NLMSG_ALIGN(h.nlmsg_len) : left;
	p += NLMSG_HDRLEN;
	n = h.nlmsg_len - NLMSG_HDRLEN;
	if (from->seq && h.nlmsg_seq != from->seq)
		return DIAG_OTHER;
	switch (h.nlmsg_type) {
	case NLMSG_DONE: /* with the error that ended it, if any */
		if (n >= sizeof done)
			memcpy(&done, p, sizeof done);
		*ret_error = done < 0 ? done : 0;
		return done < 0 ? DIAG_ERROR : DIAG_DONE;
	case NLMSG_ERROR:
		if (n < sizeof e)
			return DIAG_MALFORMED;
		memcpy(&e, p, sizeof e);
		*ret_error = e.error;
		return e.error < 0 ? DIAG_ERROR : DIAG_OTHER;
	case SOCK_DIAG_BY_FAMILY:
		return take_socket(p, n, from, ret);
	default:
		return DIAG_OTHER;
	}
}
