/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Owners of sockets older than Weir, for a program of section iter/task_file that is run once at
 * start: it walks all open files of all tasks, and notes at each socket without an owner who has
 * it open. The first task found keeps it until one uses the socket.
 */
#ifndef WEIR_LIB_OWNER_FILL_BPF_H
#define WEIR_LIB_OWNER_FILL_BPF_H

#include "owner.bpf.h"

static __always_inline int weir_owner_by_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *sock;
	struct weir_owner *o;
	struct sock *sk;
	u16 family;

	if (!task || !file)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != WEIR_AF_INET && family != WEIR_AF_INET6)
		return 0;
	o = bpf_sk_storage_get(&weir_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o || o->pid)
		return 0;
	o->cookie = bpf_get_socket_cookie(sk);
	o->netns = sk->__sk_common.skc_net.net->net_cookie;
	o->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	o->pid = task->tgid;
	o->uid = BPF_CORE_READ(task, real_cred, uid.val);
	bpf_core_read_str(o->comm, sizeof o->comm, &task->group_leader->comm);
	o->how = WEIR_OWNER_BY_FILE;
	return 0;
}

#endif
