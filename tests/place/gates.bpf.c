/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Counts at each kind of place: the packets of UDP over IPv4 to one port, the sockets that one
 * process creates and connects. What is not that is let through unseen.
 */
#include "weir_bpf.h"
#include "gates_events.h"

const volatile __u16 gates_port = 0; /* network order */
const volatile __u32 gates_tgid = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} gates_seen SEC(".maps");

static __always_inline void add(__u32 gate)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&gates_seen, &gate);

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&gates_seen, &gate, &one, BPF_NOEXIST);
}

/* `at`: where IP begins. No options: the test sends none. */
static __always_inline void packet(struct __sk_buff *skb, __u32 at, __u32 gate)
{
	__u8 ip[24];

	if (bpf_skb_load_bytes(skb, at, ip, sizeof ip))
		return;
	if (ip[0] == 0x45 && ip[9] == 17 && *(__u16 *)(ip + 22) == gates_port)
		add(gate);
}

SEC("cgroup_skb/egress")
int WEIR_SKB_PROG(gate_egress, skb, 1)
{
	packet(skb, 0, GATE_EGRESS);
	return 1;
}

SEC("cgroup_skb/ingress")
int WEIR_SKB_PROG(gate_ingress, skb, 1)
{
	packet(skb, 0, GATE_INGRESS);
	return 1;
}

SEC("cgroup/sock_create")
int WEIR_SOCK_PROG(gate_create, sk)
{
	if (bpf_get_current_pid_tgid() >> 32 == gates_tgid && sk->family == 2)
		add(GATE_CREATE);
	return 1;
}

SEC("cgroup/connect4")
int WEIR_SOCK_ADDR_PROG(gate_connect, addr)
{
	if (bpf_get_current_pid_tgid() >> 32 == gates_tgid)
		add(GATE_CONNECT);
	return 1;
}

SEC("sockops")
int WEIR_CTX_PROG(gate_ops, struct bpf_sock_ops, ops, 1)
{
	if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB && ops->family == 2)
		add(GATE_OPS);
	return 1;
}

SEC("tc")
int WEIR_SKB_PROG(gate_tc, skb, -1)
{
	packet(skb, 14, GATE_TC);
	return -1;
}
