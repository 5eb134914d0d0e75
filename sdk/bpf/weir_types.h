/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Kernel types for BPF programs: only the members Weir reads, each relocated
 * against the running kernel (CO-RE). No dump of the build machine's kernel, so
 * nothing here depends on where Weir was built.
 *
 * Add a member when a program needs it; a member that some kernels lack goes to
 * weir_drift.h, with the kernel commit that changed it.
 */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0

#ifndef NULL
#define NULL ((void *)0)
#endif

/* The relocation compares members by name and kind, so a typedef's own name is
 * free: u32 below stands for blk_opf_t, gfp_t and the like. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	unsigned long regs[31];
	unsigned long orig_x0;
	int syscallno;
};
#endif

/* ---- tasks --------------------------------------------------------------- */

struct file;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* CONFIG_TASK_XACCT */
struct task_io_accounting {
	u64 syscr;
};

typedef struct {
	u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	int exit_code;
	u64 start_time; /* CLOCK_MONOTONIC, ns */
	char comm[16];
	void *stack;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct task_io_accounting ioac;
	const struct cred *real_cred;
};

struct kernfs_node {
	u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

enum cgroup_subsys_id {
	memory_cgrp_id = 4, /* by configuration: relocated */
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp; /* of cgroup v2 */
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

/* include/linux/sched.h; stable bits */
#define PF_EXITING     0x00000004
#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000
#define PF_MEMALLOC    0x00000800
#define PF_KSWAPD      0x00020000
#define PF_KTHREAD     0x00200000

/* ---- files and the page cache -------------------------------------------- */

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct address_space_operations {
	void *readahead;
};

struct address_space {
	struct inode *host;
	unsigned long nrpages;
	const struct address_space_operations *a_ops;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	long long i_size;
};

struct file {
	struct address_space *f_mapping;
	struct inode *f_inode;
	unsigned int f_flags;
	long long f_pos;
};

/* Cast target to read a `struct file *` from anywhere: its first member is one. */
struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
};

struct folio {
	struct address_space *mapping;
	unsigned long index;
};

/* ---- block --------------------------------------------------------------- */

struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	u32 cmd_flags;
	unsigned int __data_len;
};

/* ---- sockets and packets --------------------------------------------------- */

struct ns_common {
	unsigned int inum;
};

struct net {
	u64 net_cookie; /* 5.12 */
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
		u32 u6_addr32[4];
	} in6_u;
};

struct weir_atomic64 {
	s64 counter;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport; /* network order */
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct weir_atomic64 skc_cookie; /* 0: nobody has asked for it yet */
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	u16 sk_type;
	u16 sk_protocol;
};

struct inet_sock {
	struct sock sk;
	u16 inet_sport; /* network order; still there when skc_num is not */
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 srtt_us; /* << 3 */
	u32 data_segs_in, data_segs_out;
};

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	u16 protocol; /* network order */
	u16 transport_header;
	u16 network_header;
	u16 inner_transport_header;
	unsigned char *head;
};

struct socket {
	struct sock *sk;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
};

/* ---- contexts of iterators ------------------------------------------------- */

struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
};

#pragma clang attribute pop

/* linux/pkt_cls.h */
#define TC_ACT_UNSPEC (-1)
/* include/net/tcp_states.h */
enum {
	WEIR_TCP_ESTABLISHED = 1, WEIR_TCP_SYN_SENT = 2, WEIR_TCP_TIME_WAIT = 6, WEIR_TCP_CLOSE = 7,
	WEIR_TCP_LISTEN = 10
};
/* include/net/dropreason-core.h; numbers by kernel: relocated */
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_NO_SOCKET = 3,
	SKB_DROP_REASON_QUEUE_PURGE, /* not in every kernel */
};
/* sys/stat.h */
#define S_IFMT  0170000
#define S_IFREG 0100000
#define S_IFSOCK 0140000
/* linux/magic.h */
#define TMPFS_MAGIC     0x01021994
#define OVERLAYFS_MAGIC 0x794c7630

#endif
