/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds per packet of the programs that see packets, by BPF_PROG_TEST_RUN: one flow, hot
 * caches, the least of several runs. Beside each an empty program of the same type.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPEAT 1000000
#define RUNS 5

struct packet {
	uint8_t bytes[200];
	uint32_t len;
};

static struct packet make_packet(int family)
{
	struct packet p = { .len = 14 + (family == AF_INET ? 20 : 40) + 20 + 64 };
	struct ethhdr *eth = (struct ethhdr *)p.bytes;
	struct tcphdr *tcp;

	eth->h_proto = htons(family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	if (family == AF_INET) {
		struct iphdr *ip = (struct iphdr *)(eth + 1);

		*ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			.tot_len = htons((uint16_t)(p.len - 14)), .saddr = htonl(0x0a4d0101),
			.daddr = htonl(0x0a4d0102) };
		tcp = (struct tcphdr *)(ip + 1);
	} else {
		struct ip6_hdr *ip = (struct ip6_hdr *)(eth + 1);

		ip->ip6_vfc = 0x60;
		ip->ip6_plen = htons((uint16_t)(p.len - 54));
		ip->ip6_nxt = IPPROTO_TCP;
		ip->ip6_hlim = 64;
		inet_pton(AF_INET6, "fd77::1", &ip->ip6_src);
		inet_pton(AF_INET6, "fd77::2", &ip->ip6_dst);
		tcp = (struct tcphdr *)(ip + 1);
	}
	tcp->source = htons(40000);
	tcp->dest = htons(443);
	tcp->doff = 5;
	tcp->ack = 1;
	return p;
}

static double least_ns(int fd, int family)
{
	struct packet p = make_packet(family);
	double best = -1;

	for (int i = 0; i < RUNS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p.bytes, .data_size_in = p.len, .repeat = REPEAT);

		if (bpf_prog_test_run_opts(fd, &o))
			return -1;
		if (best < 0 || o.duration < best)
			best = o.duration;
	}
	return best;
}

/* return 1, of this type */
static double empty_ns(uint32_t type, uint32_t attach)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = attach);
	int fd = bpf_prog_load(type, "empty", "GPL", code, 2, &o);
	double ns = fd < 0 ? -1 : least_ns(fd, AF_INET);

	close(fd);
	return ns;
}

int bench_programs(const struct bench *b)
{
	static const struct {
		const char *name;
		uint32_t type, attach;
	} programs[] = {
		{ "net_egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS },
		{ "net_ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS },
		{ "net_eth_in", BPF_PROG_TYPE_SCHED_CLS, 0 }, { "net_eth_out", BPF_PROG_TYPE_SCHED_CLS, 0 },
	};
	uint32_t id = 0, len;
	int shown = 0, fd;

	(void)b;
	printf("{");
	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = { 0 };

		len = sizeof info;
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
			continue;
		for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
			if (!strcmp(info.name, programs[i].name))
				printf("%s\"%s\": {\"v4_ns\": %.0f, \"v6_ns\": %.0f, \"empty_ns\": %.0f}",
				       shown++ ? ", " : "", info.name, least_ns(fd, AF_INET), least_ns(fd, AF_INET6),
				       empty_ns(programs[i].type, programs[i].attach));
		close(fd);
	}
	printf("}\n");
	return shown ? 0 : 1;
}
