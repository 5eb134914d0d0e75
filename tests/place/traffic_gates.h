/* SPDX-License-Identifier: Apache-2.0 */
/* What both tests of gates send, and how many programs are at the root of cgroup v2. */
#ifndef TRAFFIC_GATES_H
#define TRAFFIC_GATES_H

#include "bpf_priv.h"
#include "net.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GATES_PORT 7741

static inline int udp(const struct ns *ns)
{
	const struct ns *was = ns_enter(ns);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ns_enter(was);
	assert_true(fd >= 0);
	return fd;
}

/* n datagrams from end `from` to the other; all of them arrive. */
static inline void send_from(const struct net_pair *pair, unsigned from, int n)
{
	int out = udp(from == 1 ? &pair->client : &pair->server), in = udp(from == 1 ? &pair->server : &pair->client);
	struct sockaddr_storage to;
	socklen_t len = pair_address(pair, AF_INET, 3 - from, GATES_PORT, &to);

	assert_int_equal(bind(in, (struct sockaddr *)&to, len), 0);
	for (int i = 0; i < n; i++) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		char text[16];

		assert_int_equal(sendto(out, "through", 7, 0, (struct sockaddr *)&to, len), 7);
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(recv(in, text, sizeof text, 0), 7);
	}
	close(in);
	close(out);
}

static inline bool is_gate(uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof info;
	int fd = bpf_prog_get_fd_by_id(id);
	bool is = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, "gate_egress");

	if (fd >= 0)
		close(fd);
	return is;
}

/* Gates for packets that are sent; others may come and go there. */
static inline uint32_t at_root(void)
{
	uint32_t ids[64], n = 64, gates = 0;
	bool whole;
	int fd = weir__cgroup_root(&whole), rc;

	assert_true(fd >= 0);
	rc = bpf_prog_query(fd, BPF_CGROUP_INET_EGRESS, 0, NULL, ids, &n);
	close(fd);
	assert_int_equal(rc, 0);
	for (uint32_t i = 0; i < n; i++)
		gates += is_gate(ids[i]);
	return gates;
}

#endif
