/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the counts and flags of a flow say: who began it, which state its TCP connection is in,
 * how long it may be silent, and whether it is over.
 *
 * Pure functions of the row, the delta and the ports that listen. A delta may be one packet,
 * or many whose flags are or-ed; then the order is taken to be the usual one: SYN, ACK, FIN.
 */
#include "flow_priv.h"

#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16
#define TCP 6
#define UDP 17
#define ICMP 1
#define ICMP6 58
#define EPHEMERAL 32768

/* Who asks, by ICMP type: 1 the sender, 2 the receiver, 0 cannot be said. */
static unsigned icmp_asks(uint8_t proto, uint8_t type)
{
	if (proto == ICMP)
		return type == 8 || type == 13 || type == 17 || type == 15 || type == 10 ? 1 :
		       type == 0 || type == 14 || type == 18 || type == 16 || type == 9 ? 2 : 0;
	return type == 128 || type == 130 || type == 133 || type == 135 || type == 139 ? 1 :
	       type == 129 || type == 131 || type == 134 || type == 136 || type == 140 ? 2 : 0;
}

static bool by_icmp(const struct weir_flow_key *k, const struct weir_flow_delta *d, unsigned *ret)
{
	if (k->proto != ICMP && k->proto != ICMP6)
		return false;
	for (unsigned e = 0; e < 2; e++) {
		unsigned asks = d->icmp_seen >> e & 1 ? icmp_asks(k->proto, d->icmp_type[e]) : 0;

		if (!asks)
			continue;
		*ret = asks == 1 ? e : !e;
		return true;
	}
	return false;
}

static bool by_syn(const struct weir_flow_key *k, const struct weir_flow_delta *d, unsigned *ret)
{
	unsigned first = !!(d->bits & WEIR_FLOW_FIRST_DIR), e;

	if (k->proto != TCP || !((d->flags[0] | d->flags[1]) & SYN))
		return false;
	if (d->flags[0] & d->flags[1] & SYN) {
		*ret = first; /* SYN, then SYN-ACK */
		return true;
	}
	e = !!(d->flags[1] & SYN);
	/* The only SYN of the interval: is it the SYN, or the answer to one before? One packet
	 * says so itself. Of many, the time of a SYN-ACK does. */
	if (d->packets[0] + d->packets[1] == 1)
		*ret = d->flags[e] & ACK ? !e : e;
	else
		*ret = d->synack_ns ? !e : e;
	return true;
}

static bool by_ports(const struct weir_flow_key *k, unsigned *ret)
{
	bool high[2] = { k->port[0] >= EPHEMERAL, k->port[1] >= EPHEMERAL };

	if ((k->proto != TCP && k->proto != UDP) || k->port[0] == k->port[1] ||
	    (!high[0] && !high[1]))
		return false;
	*ret = high[0] && high[1] ? k->port[1] > k->port[0] : high[1];
	return true;
}

static bool by_listener(const struct flow_table *t, const struct weir_flow_key *k, unsigned *ret)
{
	bool listens[2];

	if (!t->listener_count || (k->proto != TCP && k->proto != UDP))
		return false;
	for (unsigned e = 0; e < 2; e++)
		listens[e] = flow_listens(t, k->netns, k->addr[e], k->port[e], k->proto);
	*ret = listens[0];
	return listens[0] != listens[1];
}

unsigned flow_initiator(struct flow_table *t, const struct weir_flow_key *k,
                        const struct weir_flow_delta *d, enum flow_rank *ret_rank)
{
	unsigned e = !!(d->bits & WEIR_FLOW_FIRST_DIR);

	*ret_rank = FLOW_RANK_SOCKET;
	/* What the socket's own calls say is of end 0, the local one. */
	if (k->scope == WEIR_FLOW_HOST && d->bits & WEIR_FLOW_ACTIVE)
		return 0;
	if (k->scope == WEIR_FLOW_HOST && d->bits & WEIR_FLOW_PASSIVE)
		return 1;
	*ret_rank = FLOW_RANK_SYN;
	if (by_syn(k, d, &e))
		return e;
	*ret_rank = FLOW_RANK_LISTEN;
	if (by_listener(t, k, &e))
		return e;
	*ret_rank = FLOW_RANK_PORTS;
	if (by_ports(k, &e) || by_icmp(k, d, &e))
		return e;
	*ret_rank = FLOW_RANK_FIRST;
	return e;
}

/* ---- TCP ---------------------------------------------------------------------------------- */

/* One packet, of ours or of the peer. */
static unsigned step(unsigned s, bool ours, uint8_t f)
{
	bool young = s < WEIR_STATE_ESTABLISHED;

	if (s == WEIR_STATE_CLOSED || f & RST)
		return WEIR_STATE_CLOSED;
	if (f & SYN) {
		if (!young)
			return s;
		if (f & ACK)
			return ours ? WEIR_STATE_SYN_RECEIVED : WEIR_STATE_ESTABLISHED;
		if (s != WEIR_STATE_NONE)
			return s;
		return ours ? WEIR_STATE_SYN_SENT : WEIR_STATE_SYN_RECEIVED;
	}
	if (f & FIN && ours)
		return young || s == WEIR_STATE_ESTABLISHED ? WEIR_STATE_FIN_WAIT_1 :
		       s == WEIR_STATE_CLOSE_WAIT ? WEIR_STATE_LAST_ACK : s;
	if (f & FIN && s == WEIR_STATE_FIN_WAIT_1)
		return f & ACK ? WEIR_STATE_TIME_WAIT : WEIR_STATE_CLOSING;
	if (f & FIN)
		return young || s == WEIR_STATE_ESTABLISHED ? WEIR_STATE_CLOSE_WAIT :
		       s == WEIR_STATE_FIN_WAIT_2 ? WEIR_STATE_TIME_WAIT : s;
	if (!(f & ACK))
		return s;
	if (young)
		return WEIR_STATE_ESTABLISHED;
	if (ours)
		return s;
	return s == WEIR_STATE_FIN_WAIT_1 ? WEIR_STATE_FIN_WAIT_2 :
	       s == WEIR_STATE_CLOSING ? WEIR_STATE_TIME_WAIT :
	       s == WEIR_STATE_LAST_ACK ? WEIR_STATE_CLOSED : s;
}

/* Many packets at once. */
static unsigned steps(unsigned s, unsigned src, unsigned local, const uint8_t flags[2], bool both_fin)
{
	const unsigned order[2] = { src, !src };

	for (unsigned i = 0; i < 2; i++)
		if (flags[order[i]] & SYN)
			s = step(s, order[i] == local, i ? SYN | ACK : SYN);
	for (unsigned i = 0; i < 2; i++)
		if (flags[order[i]] & ACK)
			s = step(s, order[i] == local, ACK);
	for (unsigned i = 0; i < 2; i++)
		if (flags[order[i]] & FIN)
			s = step(s, order[i] == local, FIN | ACK);
	if (both_fin && flags[!local] & ACK)
		s = step(s, false, ACK);
	return (flags[0] | flags[1]) & RST ? (unsigned)WEIR_STATE_CLOSED : s;
}

/* The kernel's TCP states, by number + 1 (include/net/tcp_states.h). */
static const uint8_t kernel_states[] = {
	[2] = WEIR_STATE_ESTABLISHED, [3] = WEIR_STATE_SYN_SENT, [4] = WEIR_STATE_SYN_RECEIVED,
	[5] = WEIR_STATE_FIN_WAIT_1, [6] = WEIR_STATE_FIN_WAIT_2, [7] = WEIR_STATE_TIME_WAIT,
	[8] = WEIR_STATE_CLOSED, [9] = WEIR_STATE_CLOSE_WAIT, [10] = WEIR_STATE_LAST_ACK,
	[12] = WEIR_STATE_CLOSING, [13] = WEIR_STATE_SYN_RECEIVED,
};

/* The row's flags have those of the delta already. */
void flow_tcp_state(struct flow_row *r, const struct weir_flow_delta *d)
{
	/* On the wire there is no local end: the initiator's view. */
	unsigned local = r->key.scope == WEIR_FLOW_HOST ? 0 : r->src, s = r->state;

	if (d->packets[0] + d->packets[1] == 1)
		s = step(s, local == !!d->packets[1], d->flags[!!d->packets[1]]);
	else
		s = steps(s, r->src, local, d->flags, r->flags[0] & r->flags[1] & FIN);
	if (d->state < sizeof kernel_states && kernel_states[d->state] && s != WEIR_STATE_CLOSED)
		s = kernel_states[d->state];
	if (d->bits & WEIR_FLOW_CLOSED)
		s = WEIR_STATE_CLOSED;
	r->state = s & 15;
}

/* FIN both ways; or the only way there is, where the answers take another path. */
static bool finished(const struct flow_row *r)
{
	return (r->flags[0] & r->flags[1] & FIN) || (r->flags[0] & FIN && !r->packets[1]) ||
	       (r->flags[1] & FIN && !r->packets[0]);
}

uint64_t flow_timeout(const struct flow_table *t, const struct flow_row *r)
{
	if (r->key.proto == TCP && (r->flags[0] | r->flags[1]) & RST)
		return t->o.tcp_rst_timeout;
	if (r->closed)
		return t->o.tcp_fin_timeout;
	switch (r->key.proto) {
	case TCP:
		return finished(r) ? t->o.tcp_fin_timeout : t->o.tcp_timeout;
	case UDP:
		return t->o.udp_timeout;
	case ICMP:
	case ICMP6:
		return t->o.icmp_timeout;
	default:
		return t->o.generic_timeout;
	}
}

bool flow_over(const struct flow_row *r)
{
	return r->closed || (r->key.proto == TCP && (r->flags[0] | r->flags[1]) & (FIN | RST));
}

bool flow_begins_anew(const struct flow_row *r, const struct weir_flow_delta *d)
{
	return r->key.proto == TCP && (d->flags[0] | d->flags[1]) & SYN &&
	       d->first_ns >= r->last_ns &&
	       (r->closed || (r->flags[0] | r->flags[1]) & RST || finished(r));
}
