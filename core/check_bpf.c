/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF features by trying: a program of two instructions is loaded, and attached
 * where a plugin's would be, to a hook that next to nobody runs; maps are made as
 * the SDK makes them. Version numbers say nothing: distributions carry features
 * back, and lockdown takes them away.
 *
 * Everything is a descriptor that is closed again. Main thread.
 */
#include "bpf_priv.h"
#include "bpf_kernel.h"
#include "check.h"
#include "kernel_guard.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's own function for testing fentry: nobody calls it otherwise. */
#define QUIET_FUNCTION "bpf_fentry_test1"
/* The end of a process: rare, and there since before BPF. */
#define QUIET_TRACEPOINT "sched_process_exit"

#define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }

/* return 0; */
static const struct bpf_insn nothing[] = {
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static int load(enum bpf_prog_type type, int attach_type, int btf_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)attach_type,
	            .attach_btf_id = (__u32)btf_id);
	int fd = bpf_prog_load(type, "weir_check", "GPL", nothing, 2, &opts);

	return fd < 0 ? -errno : fd;
}

static int btf_id(const char *name, __u32 kind)
{
	const struct btf *btf = weir__kernel_btf();
	int id = btf ? btf__find_by_name_kind(btf, name, kind) : -ENOENT;

	return id > 0 ? id : -ENOENT;
}

/* Closes both: r, a descriptor or -errno, and fd, or -1. */
static int done(int r, int fd)
{
	if (fd >= 0)
		close(fd);
	if (r >= 0)
		close(r);
	return r < 0 ? r : 0;
}

/* ---- programs ------------------------------------------------------------------- */

static int try_load(int type)
{
	return done(load((enum bpf_prog_type)type, 0, 0), -1);
}

static int try_raw_tp(int arg)
{
	int fd = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0), link;

	(void)arg;
	if (fd < 0)
		return fd;
	link = bpf_raw_tracepoint_open(QUIET_TRACEPOINT, fd);
	return done(link < 0 ? -errno : link, fd);
}

/* tp_btf, fentry, LSM: all attach through the kernel's BTF. */
static int try_tracing(enum bpf_prog_type type, int attach, int id)
{
	int fd, link;

	if (id < 0)
		return id;
	fd = load(type, attach, id);
	if (fd < 0)
		return fd;
	link = bpf_raw_tracepoint_open(NULL, fd);
	return done(link < 0 ? -errno : link, fd);
}

static int try_tp_btf(int arg)
{
	(void)arg;
	return try_tracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP,
	                   btf_id("btf_trace_" QUIET_TRACEPOINT, BTF_KIND_TYPEDEF));
}

static int try_fentry(int arg)
{
	(void)arg;
	return try_tracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,
	                   btf_id(QUIET_FUNCTION, BTF_KIND_FUNC));
}

static int try_lsm(int arg)
{
	char active[256] = "";
	int fd = open("/sys/kernel/security/lsm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, active, sizeof active - 1) : 0;

	(void)arg;
	if (fd >= 0)
		close(fd);
	/* Attaches even if the kernel does not call it: believe the list. */
	if (n > 0 && !strstr(active, "bpf"))
		return -EOPNOTSUPP;
	return try_tracing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, btf_id("bpf_lsm_syslog", BTF_KIND_FUNC));
}

static int try_iter(int arg)
{
	int id = btf_id("bpf_iter_task", BTF_KIND_FUNC), fd, link, it, r;

	(void)arg;
	if (id < 0)
		return id;
	fd = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, id);
	if (fd < 0)
		return fd;
	link = bpf_link_create(fd, 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return done(-errno, fd);
	it = bpf_iter_create(link);
	r = done(it < 0 ? -errno : it, link);
	close(fd);
	return r;
}

/* An event with the program behind it. */
static int try_perf(struct perf_event_attr *attr, enum bpf_prog_type type)
{
	int prog = load(type, 0, 0), fd, r;

	if (prog < 0)
		return prog;
	attr->size = sizeof *attr;
	attr->disabled = 1;
	fd = (int)syscall(SYS_perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return done(-errno, prog);
	r = ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) != 0 ? -errno : 0;
	close(fd);
	close(prog);
	return r;
}

static int try_perf_event(int arg)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK,
		                        .sample_period = 1000000000 };

	(void)arg;
	return try_perf(&attr, BPF_PROG_TYPE_PERF_EVENT);
}

static int read_number(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char buf[32] = "";
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, sizeof buf - 1);
	close(fd);
	return n > 0 ? atoi(buf) : -EIO;
}

static int try_tracepoint(int arg)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .sample_period = 1 };
	int dir = weir__tracefs_events(), id;

	(void)arg;
	if (dir < 0)
		return dir;
	id = read_number(dir, "sched/" QUIET_TRACEPOINT "/id");
	close(dir);
	if (id < 0)
		return id;
	attr.config = (__u64)id;
	return try_perf(&attr, BPF_PROG_TYPE_TRACEPOINT);
}

static int try_kprobe(int arg)
{
	int type = read_number(AT_FDCWD, "/sys/bus/event_source/devices/kprobe/type");
	struct perf_event_attr attr = { .type = (__u32)type };

	(void)arg;
	if (type < 0)
		return type == -ENOENT ? -EOPNOTSUPP : type;
	attr.kprobe_func = (__u64)(uintptr_t)QUIET_FUNCTION;
	return try_perf(&attr, BPF_PROG_TYPE_KPROBE);
}

/* bpf_rdonly_cast(NULL, task_struct), in a program where a plugin would use it. */
static int try_rdonly_cast(int arg)
{
	int func = btf_id("bpf_rdonly_cast", BTF_KIND_FUNC);
	int type = btf_id("task_struct", BTF_KIND_STRUCT);
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, type),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, func),
		nothing[0],
		nothing[1],
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP,
	            .attach_btf_id = (__u32)btf_id("btf_trace_" QUIET_TRACEPOINT, BTF_KIND_TYPEDEF));
	int fd;

	(void)arg;
	if (func < 0 || type < 0)
		return -EOPNOTSUPP;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "weir_check", "GPL", insns, 5, &opts);
	return done(fd < 0 ? -errno : fd, -1);
}

/* ---- maps ------------------------------------------------------------------------- */

static int make_ring(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "weir_check", 0, 0, WEIR__RING_MIN, NULL);

	return fd < 0 ? -errno : fd;
}

static int try_ring(int arg)
{
	(void)arg;
	return done(make_ring(), -1);
}

static int try_rings(int arg)
{
	int inner = make_ring(), fd;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);

	(void)arg;
	if (inner < 0)
		return inner;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "weir_check", 4, 4, 1, &opts);
	return done(fd < 0 ? -errno : fd, inner);
}

static int try_mmap(int arg)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_check", 4, 64, 1, &opts);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	(void)arg;
	if (fd < 0)
		return -errno;
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return done(-errno, fd);
	munmap(p, page);
	return done(fd, -1);
}

static int try_task_storage(int arg)
{
	int r = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL);

	(void)arg;
	return r > 0 ? 0 : r < 0 ? r : -EOPNOTSUPP;
}

/* A map of the size a plugin makes: before Linux 5.11 it is held against
 * RLIMIT_MEMLOCK. */
static int try_memlock(int arg)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_check", 4, 4096, 1024, NULL);

	(void)arg;
	return done(fd < 0 ? -errno : fd, -1);
}

static int try_jit(int arg)
{
	int fd = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof info;

	(void)arg;
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		return done(-errno, fd);
	close(fd);
	return info.jited_prog_len ? 0 : -EOPNOTSUPP;
}

/* ---- places ----------------------------------------------------------------------- */

/* What a kernel answers that knows tcx: a list, empty or not. Nothing is attached. */
static int try_tcx(int arg)
{
	uint32_t n = 0;

	(void)arg;
	/* lo has this index in every network namespace */
	if (bpf_prog_query(1, (enum bpf_attach_type)WEIR__TCX_INGRESS, 0, NULL, NULL, &n))
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	return 0;
}

/* Where programs of packets and sockets are attached: all cgroups, or some only. */
static void check_cgroup(struct weir__findings *f)
{
	bool whole = false;
	int root = weir__cgroup_root(&whole);

	if (root == -ENOENT)
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, "cgroup v2", WEIR__CHECK_MISSING,
		                  "mount -t cgroup2 none /sys/fs/cgroup/unified",
		                  "packets and sockets of processes: it is not mounted");
	else if (root < 0)
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, "cgroup v2", WEIR__CHECK_MISSING, NULL,
		                  "packets and sockets of processes: its root does not open: %s", strerror(-root));
	else if (!whole)
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, "cgroup v2", WEIR__CHECK_DEGRADED,
		                  "run in the cgroup namespace of the host, with its /sys/fs/cgroup",
		                  "packets and sockets of the processes in this container only");
	else
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, "cgroup v2", WEIR__CHECK_OK, NULL,
		                  "packets and sockets of all processes");
	if (root >= 0)
		close(root);
}

/* ---- table ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*try)(int arg);
	int arg;
	const char *what; /* what it is for */
	const char *section; /* of a program like it; NULL: none is loaded that could harm */
} features[] = {
	{ "ring buffer", try_ring, 0, "events from the kernel", NULL },
	{ "ring per CPU", try_rings, 0, "a map of ring buffers: many CPUs without contention", NULL },
	{ "mapped array", try_mmap, 0, "counters read without a system call", NULL },
	{ "task storage", try_task_storage, 0, "state of each task", NULL },
	{ "map memory", try_memlock, 0, "4 MiB for one map", NULL },
	{ "JIT", try_jit, 0, "programs as machine code", "socket" },
	{ "raw tracepoint", try_raw_tp, 0, "second choice for tracepoints", "raw_tp" },
	{ "tp_btf", try_tp_btf, 0, "first choice for tracepoints", "tp_btf" },
	{ "tracepoint", try_tracepoint, 0, "where only the formatted tracepoint will do", "tracepoint" },
	{ "perf event", try_perf_event, 0, "sampling", "perf_event" },
	{ "fentry", try_fentry, 0, "kernel functions", "fentry" },
	{ "kprobe", try_kprobe, 0, "kernel functions, slower", "kprobe" },
	{ "LSM", try_lsm, 0, "security hooks", "lsm" },
	{ "iterator", try_iter, 0, "walking the kernel's objects", "iter" },
	{ "tc", try_load, BPF_PROG_TYPE_SCHED_CLS, "packets of an interface", "tc" },
	{ "tcx", try_tcx, 0, "and they end with Weir, whatever ends it; else filters of tc", NULL },
	{ "XDP", try_load, BPF_PROG_TYPE_XDP, "packets before the stack", "xdp" },
	{ "cgroup_skb", try_load, BPF_PROG_TYPE_CGROUP_SKB, "packets of a cgroup", "cgroup_skb" },
	{ "bpf_rdonly_cast", try_rdonly_cast, 0, "typed reads of any kernel pointer", "tp_btf" },
};

/* With the rights, a refusal is the kernel's own: lockdown, or how it was built. */
static bool have_rights(void)
{
	uint64_t need = WEIR_CAP_BPF | WEIR_CAP_PERFMON;

	return (weir__check_capabilities() & need) == need;
}

static const char *todo(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return have_rights() ? NULL
		       : "run as root, or grant CAP_BPF and CAP_PERFMON (and CAP_NET_ADMIN for packets)";
	case -ENOMEM:
		return "raise the memory limit of the service or its cgroup (LimitMEMLOCK=infinity)";
	default:
		return NULL;
	}
}

static const char *why(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return have_rights() ? "this kernel refuses it, even with the rights" : "no right";
	case -ENOENT:
		return "the kernel does not have the hook, or no BTF that names it";
	case -EOPNOTSUPP:
	case -524: /* the kernel's ENOTSUPP, which has no name here */
		return "not in this kernel";
	case -EINVAL:
		return "the kernel does not know it";
	default:
		return strerror(-r);
	}
}

/* Kernels known to panic on some programs: what is not loaded here, and why. */
static void check_guard(struct weir__findings *f)
{
	const char *type;
	size_t at = 0, n = 0;
	char why[400];

	while ((type = weir__guard_next(&at, why, sizeof why))) {
		char name[40];

		snprintf(name, sizeof name, "kernel guard %s", type);
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, name, WEIR__CHECK_DEGRADED,
		                  "another kernel; or kernel_guard: off, at the machine's risk", "%s", why);
		n++;
	}
	if (!n)
		weir__finding_add(f, "bpf", WEIR__CHECK_INFO, "kernel guard", WEIR__CHECK_OK, NULL,
		                  "none of the %zu entries is about this kernel", weir__guard_count());
}

void weir__check_bpf(struct weir__findings *f)
{
	char guarded[400];
	size_t i;

	weir__bpf_catch();
	check_guard(f);
	check_cgroup(f);
	for (i = 0; i < sizeof features / sizeof features[0]; i++) {
		bool bad = features[i].section && weir__guarded(features[i].section, guarded, sizeof guarded);
		int r = bad ? 0 : features[i].try(features[i].arg);

		if (bad)
			weir__finding_add(f, "bpf", WEIR__CHECK_INFO, features[i].name, WEIR__CHECK_MISSING,
			                  NULL, "%s: not tried, see kernel guard", features[i].what);
		else if (r >= 0)
			weir__finding_add(f, "bpf", WEIR__CHECK_INFO, features[i].name, WEIR__CHECK_OK,
			                  NULL, "%s", features[i].what);
		else
			weir__finding_add(f, "bpf", WEIR__CHECK_INFO, features[i].name, WEIR__CHECK_MISSING,
			                  todo(r), "%s: %s", features[i].what, why(r));
	}
}
