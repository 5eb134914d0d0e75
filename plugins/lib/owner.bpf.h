/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Who owns a socket: written into the socket's own storage when a process makes it,
 * connects it or uses it, so that a program that sees a packet in an interrupt can tell.
 *
 * How sure it is: the process that last sent or received (USER) is the owner; before that
 * the one that made the socket (CREATOR). A socket that accept() returned is a clone of its
 * listener and starts with the listener's owner; its cookie then differs from the stored one.
 * Sockets of the kernel have none.
 *
 * An object that includes this has the programs below; the plugin's table must list them.
 * It may define WEIR_OWNER_CHANGED(sk, o) before: called when a socket's user changed.
 * Bound: 72 bytes a socket, freed with it.
 */
#ifndef WEIR_OWNER_BPF_H
#define WEIR_OWNER_BPF_H

#include "weir_bpf.h"
#include "weir_drift.h"

#define WEIR_AF_INET 2
#define WEIR_AF_INET6 10

enum weir_owner_how {
	WEIR_OWNER_BY_MAKING = 1, /* socket() */
	WEIR_OWNER_BY_USE = 2,    /* connect(), send, receive */
	WEIR_OWNER_BY_FILE = 3,   /* has it open: found after the fact */
};

struct weir_owner {
	u64 cookie;               /* of the socket this was written for */
	u64 cgroup;               /* cgroup v2 id */
	u64 netns;                /* cookie */
	u32 pid, uid;
	char comm[16];
	u32 how;
	u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct weir_owner);
} weir_owners SEC(".maps");

/* The name is the process's, as ps(1) shows it: threads may have others. */
static __always_inline void weir_owner_fill(struct weir_owner *o, u32 pid, u32 how)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *leader = NULL;

	o->pid = pid;
	o->uid = bpf_get_current_uid_gid();
	o->cgroup = bpf_get_current_cgroup_id();
	bpf_core_read(&leader, sizeof leader, &task->group_leader);
	if (bpf_core_read(o->comm, sizeof o->comm, &leader->comm))
		bpf_get_current_comm(o->comm, sizeof o->comm);
	o->how = how;
}

/* Is a program at this socket known to be the current process already? */
static __always_inline bool weir_owner_same(const struct weir_owner *o, u32 pid, u64 cookie)
{
	return o->pid == pid && o->how == WEIR_OWNER_BY_USE && o->cookie == cookie;
}

#ifndef WEIR_OWNER_CHANGED
#define WEIR_OWNER_CHANGED(sk, o) do { } while (0)
#endif

/* ---- a socket is made, connected, or used to send to an address ------------------ */

SEC("cgroup/sock_create")
int WEIR_SOCK_PROG(own_create, sk)
{
	struct weir_owner *o;

	o = bpf_sk_storage_get(&weir_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return 1; /* no memory: the first use tries again */
	o->cookie = bpf_get_socket_cookie(sk);
	o->netns = bpf_get_netns_cookie(sk);
	weir_owner_fill(o, bpf_get_current_pid_tgid() >> 32, WEIR_OWNER_BY_MAKING);
	return 1;
}

/* `sends`: a datagram. Such a socket is nobody's clone, so a note that is there is its own. */
static __always_inline void weir_owner_at_address(struct bpf_sock_addr *addr, bool sends)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct bpf_sock *sk = addr->sk;
	struct weir_owner *o;
	u64 cookie;

	if (!sk)
		return;
	o = bpf_sk_storage_get(&weir_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return;
	if (sends && o->pid == pid && o->how == WEIR_OWNER_BY_USE)
		return;
	cookie = bpf_get_socket_cookie(addr);
	if (weir_owner_same(o, pid, cookie))
		return;
	o->cookie = cookie;
	o->netns = bpf_get_netns_cookie(addr);
	weir_owner_fill(o, pid, WEIR_OWNER_BY_USE);
}

#define WEIR_OWNER_ADDR(section, name, sends)                                  \
	SEC(section)                                                           \
	int WEIR_SOCK_ADDR_PROG(name, addr)                                       \
	{                                                                      \
		weir_owner_at_address(addr, sends);                            \
		return 1;                                                      \
	}
WEIR_OWNER_ADDR("cgroup/connect4", own_connect4, false)
WEIR_OWNER_ADDR("cgroup/connect6", own_connect6, false)
WEIR_OWNER_ADDR("cgroup/sendmsg4", own_sendmsg4, true)
WEIR_OWNER_ADDR("cgroup/sendmsg6", own_sendmsg6, true)

/* ---- a socket is used -------------------------------------------------------------- */

static __always_inline void weir_owner_use(struct sock *sk)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u16 family = sk->__sk_common.skc_family;
	struct weir_owner *o;
	u64 cookie;

	if (family != WEIR_AF_INET && family != WEIR_AF_INET6)
		return;
	o = bpf_sk_storage_get(&weir_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return;
	cookie = sk->__sk_common.skc_cookie.counter;
	if (!cookie)
		cookie = bpf_get_socket_cookie(sk);
	if (weir_owner_same(o, pid, cookie))
		return;
	o->cookie = cookie;
	o->netns = sk->__sk_common.skc_net.net->net_cookie;
	weir_owner_fill(o, pid, WEIR_OWNER_BY_USE);
	WEIR_OWNER_CHANGED(sk, o);
}

/* 6.3 (6e6eda44b939) */
SEC("tp_btf/sock_send_length")
int WEIR_PROG(own_send, struct sock *sk, int ret, int flags)
{
	weir_owner_use(sk);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int WEIR_PROG(own_recv, struct sock *sk, int ret, int flags)
{
	weir_owner_use(sk);
	return 0;
}

/* Before: the functions behind each call, one per family. */
SEC("fentry/inet_sendmsg")
int WEIR_PROG(own_send_inet, struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (sk)
		weir_owner_use(sk);
	return 0;
}

SEC("fentry/inet_recvmsg")
int WEIR_PROG(own_recv_inet, struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (sk)
		weir_owner_use(sk);
	return 0;
}

SEC("fentry/inet6_sendmsg")
int WEIR_PROG(own_send_inet6, struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (sk)
		weir_owner_use(sk);
	return 0;
}

SEC("fentry/inet6_recvmsg")
int WEIR_PROG(own_recv_inet6, struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (sk)
		weir_owner_use(sk);
	return 0;
}

#endif
