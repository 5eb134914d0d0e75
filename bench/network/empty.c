/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit: programs that do nothing at the hooks that packets and calls of a local socket pass
 * with scope host. What they cost is the kernel's; what the plugin costs beyond that is its own.
 *
 * Failure: a hook that this kernel does not have is left out; without the cgroup hooks, the end.
 */
#include "bench.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOOKS 8

static int load(uint32_t type, uint32_t attach, int btf_id)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = type == BPF_PROG_TYPE_CGROUP_SKB },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = attach, .attach_btf_id = (uint32_t)btf_id);

	return bpf_prog_load(type, "empty", "GPL", code, 2, &o);
}

static int cgroup_root(void)
{
	struct mntent *m;
	int fd = -1;
	FILE *f = setmntent("/proc/self/mounts", "r");

	while (f && fd < 0 && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f)
		endmntent(f);
	return fd;
}

static int attach_cgroup(int root, uint32_t attach)
{
	int fd = load(BPF_PROG_TYPE_CGROUP_SKB, attach, 0), link = -1;

	if (fd >= 0)
		link = bpf_link_create(fd, root, attach, NULL);
	close(fd);
	return link;
}

static int attach_trace(const char *name)
{
	int id = libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP), fd, link = -1;

	fd = id > 0 ? load(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, id) : -1;
	if (fd >= 0) {
		link = bpf_raw_tracepoint_open(NULL, fd);
		close(fd);
	}
	return link;
}

static int links[HOOKS], count;

static void keep(int link)
{
	if (link >= 0)
		links[count++] = link;
}

static void packets_on(void)
{
	int root = cgroup_root();

	libbpf_set_print(NULL);
	keep(attach_cgroup(root, BPF_CGROUP_INET_EGRESS));
	keep(attach_cgroup(root, BPF_CGROUP_INET_INGRESS));
	close(root);
	if (count != 2)
		net_die("cannot attach empty programs to the root of cgroup v2");
}

void empty_on(void)
{
	static const char *const traced[] = { "sock_send_length", "sock_recv_length", "kfree_skb" };

	packets_on();
	for (size_t i = 0; i < sizeof traced / sizeof *traced; i++)
		keep(attach_trace(traced[i]));
}

void empty_off(void)
{
	while (count)
		close(links[--count]);
}

int bench_empty(const struct bench *b)
{
	char byte;

	(void)b;
	packets_on();
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	empty_off();
	return 0;
}
