/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of /proc/net/{tcp,tcp6,udp,udp6}. Pure.
 *
 *   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *    0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 ...
 *
 * Addresses are 32-bit words as this machine has them in memory, in hex; ports are numbers.
 * Threads: any.
 */
#include "procnet.h"

#include <string.h>

#define STATE_LISTEN 10

struct text {
	const char *at, *end;
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly n hex digits (n 0: as many as there are, 1 to 16). */
static bool hex(struct text *t, unsigned n, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned i = 0;

	for (; t->at < t->end && digit(*t->at) >= 0 && i < (n ? n : 16); i++)
		v = v << 4 | (unsigned)digit(*t->at++);
	*ret = v;
	return n ? i == n : i > 0;
}

static bool number(struct text *t, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	const char *from;

	while (t->at < t->end && *t->at == ' ')
		t->at++;
	for (from = t->at; t->at < t->end && *t->at >= '0' && *t->at <= '9' && v <= max; t->at++)
		v = v * 10 + (uint64_t)(*t->at - '0');
	*ret = v;
	return t->at > from && v <= max && (t->at == t->end || *t->at == ' ');
}

static bool skip(struct text *t, char c)
{
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

static bool end_point(struct text *t, bool v6, uint8_t addr[16], uint16_t *port)
{
	uint64_t v;

	memset(addr, 0, 16);
	if (!v6)
		addr[10] = addr[11] = 0xff;
	for (int i = v6 ? 0 : 3; i < 4; i++) {
		uint32_t word;

		if (!hex(t, 8, &v))
			return false;
		word = (uint32_t)v;
		memcpy(addr + 4 * i, &word, sizeof word);
	}
	if (!skip(t, ':') || !hex(t, 4, &v) || !skip(t, ' '))
		return false;
	*port = (uint16_t)v;
	return true;
}

bool procnet_parse(const char *line, size_t len, bool v6, uint8_t proto, uint64_t netns,
                   struct sock_reading *ret)
{
	struct text t = { line, line + len };
	struct sock_reading r = { .key = { .proto = proto, .scope = WEIR_FLOW_HOST, .netns = netns } };
	uint64_t v, uid, inode, state;

	if (!number(&(struct text){ line, memchr(line, ':', len) ?: line }, UINT32_MAX, &v))
		return false;
	t.at = (const char *)memchr(line, ':', len) + 1;
	if (!skip(&t, ' ') || !end_point(&t, v6, r.key.addr[0], &r.key.port[0]) ||
	    !end_point(&t, v6, r.key.addr[1], &r.key.port[1]) || !hex(&t, 2, &state) || !skip(&t, ' '))
		return false;
	/* tx:rx tr:when retrnsmt */
	for (int i = 0; i < 5; i++)
		if (!hex(&t, 0, &v) || !skip(&t, i & 1 || i == 4 ? ' ' : ':'))
			return false;
	if (!number(&t, UINT32_MAX, &uid) || !number(&t, UINT32_MAX, &v) || !number(&t, UINT32_MAX, &inode))
		return false;
	r.state = (uint8_t)state;
	r.uid = (uint32_t)uid;
	r.inode = (uint32_t)inode;
	r.id = inode;
	r.listening = r.state == STATE_LISTEN || !r.key.port[1];
	*ret = r;
	return true;
}
