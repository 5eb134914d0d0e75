/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel and the system around it: what plugins without BPF read, and what BPF
 * needs besides itself. Only reads; the private tracefs mount is gone with its
 * descriptor. Main thread.
 */
#include "bpf_priv.h"
#include "check.h"
#include "describe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KERNEL(state, name, todo, ...)                                         \
	weir__finding_add(f, "kernel", WEIR__CHECK_INFO, name, WEIR__CHECK_##state, todo, __VA_ARGS__)
#define SYSTEM(state, name, todo, ...)                                         \
	weir__finding_add(f, "system", WEIR__CHECK_INFO, name, WEIR__CHECK_##state, todo, __VA_ARGS__)

/* The file's beginning as a string. 0 or -errno. */
static int read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	buf[0] = 0;
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	r = n < 0 ? -errno : 0;
	buf[n > 0 ? n : 0] = 0;
	close(fd);
	return r;
}

/* ---- kernel ------------------------------------------------------------------------ */

static void check_version(struct weir__findings *f)
{
	struct utsname u;

	uname(&u);
	KERNEL(OK, "version", NULL, "%s %s, %u possible CPUs", u.release, u.machine,
	       weir__possible_cpus());
}

static void check_btf(struct weir__findings *f)
{
	struct stat st;

	if (!weir__kernel_btf())
		KERNEL(MISSING, "BTF", "use a kernel with CONFIG_DEBUG_INFO_BTF; "
		       "until then collectors fall back to /proc", "the kernel does not describe its types, "
		       "so BPF programs cannot be fitted to it");
	else if (stat("/sys/kernel/btf/vmlinux", &st) == 0)
		KERNEL(OK, "BTF", NULL, "types of the running kernel, %lld KiB", (long long)st.st_size / 1024);
	else
		KERNEL(OK, "BTF", NULL, "types of the kernel, from a file");
}

static void check_lockdown(struct weir__findings *f)
{
	char text[128];

	if (read_text("/sys/kernel/security/lockdown", text, sizeof text) != 0)
		return; /* not built in, or securityfs not mounted: nothing to say */
	if (strstr(text, "[confidentiality]"))
		KERNEL(DEGRADED, "lockdown", "boot with lockdown=integrity or off for BPF",
		       "confidentiality mode: BPF programs may not read kernel memory");
	else
		KERNEL(OK, "lockdown", NULL, "does not stand in the way of BPF");
}

static void check_cachestat(struct weir__findings *f)
{
#ifdef SYS_cachestat
	long nr = SYS_cachestat;
#else
	long nr = 451; /* the same on every architecture */
#endif

	if (syscall(nr, -1, NULL, NULL, 0) != 0 && errno == ENOSYS)
		KERNEL(MISSING, "cachestat", NULL, "not in this kernel (Linux 6.5); only tests use it");
	else
		KERNEL(OK, "cachestat", NULL, "the kernel tells what of a file is cached");
}

/* ---- rights -------------------------------------------------------------------------- */

uint64_t weir__check_capabilities(void)
{
	uint64_t have;
	char text[4096];
	const char *p;

	if (read_text("/proc/self/status", text, sizeof text) != 0)
		return 0;
	p = strstr(text, "CapEff:");
	have = p ? strtoull(p + 7, NULL, 16) : 0;
	if (have & WEIR_CAP_SYS_ADMIN) /* stands for both, also before Linux 5.8 */
		have |= WEIR_CAP_BPF | WEIR_CAP_PERFMON;
	return have;
}

static void check_rights(struct weir__findings *f)
{
	static const struct { uint64_t bit; unsigned number; const char *what; } wanted[] = {
		{ WEIR_CAP_BPF, 39, "load BPF programs" },
		{ WEIR_CAP_PERFMON, 38, "attach them to tracepoints" },
		{ WEIR_CAP_NET_ADMIN, 12, "attach them to the network" },
		{ WEIR_CAP_SYS_PTRACE, 19, "read /proc/PID/io of other users" },
		{ WEIR_CAP_DAC_READ_SEARCH, 2, "read cgroups and tracefs as another user than root" },
	};
	uint64_t have = weir__check_capabilities();
	size_t i;

	for (i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		const char *name = weir__capability_name(wanted[i].number);

		if (have & wanted[i].bit)
			weir__finding_add(f, "rights", WEIR__CHECK_INFO, name, WEIR__CHECK_OK, NULL,
			                  "%s", wanted[i].what);
		else
			weir__finding_add(f, "rights", WEIR__CHECK_INFO, name, WEIR__CHECK_MISSING,
			                  "run as root, or grant it (systemd: AmbientCapabilities=)",
			                  "not held: needed to %s", wanted[i].what);
	}
}

static void check_memlock(struct weir__findings *f)
{
	struct rlimit lim;

	getrlimit(RLIMIT_MEMLOCK, &lim);
	if (lim.rlim_cur == RLIM_INFINITY)
		SYSTEM(OK, "locked memory", NULL, "no limit");
	else
		SYSTEM(OK, "locked memory", NULL, "limit %llu KiB; counts for BPF maps only before Linux 5.11, "
		       "see bpf: map memory", (unsigned long long)lim.rlim_cur / 1024);
}

/* ---- file systems ---------------------------------------------------------------------- */

static void check_tracefs(struct weir__findings *f)
{
	int dir = weir__tracefs_events();
	bool mounted = access("/sys/kernel/tracing/events", F_OK) == 0 ||
	               access("/sys/kernel/debug/tracing/events", F_OK) == 0;

	if (dir >= 0)
		close(dir);
	if (dir >= 0 && mounted)
		SYSTEM(OK, "tracefs", NULL, "mounted");
	else if (dir >= 0)
		SYSTEM(OK, "tracefs", NULL, "not mounted; weir opens its own, nobody else sees it");
	else if (dir == -EPERM || dir == -EACCES)
		SYSTEM(MISSING, "tracefs", "run as root, or: mount -t tracefs tracefs /sys/kernel/tracing",
		       "not readable: classic tracepoints cannot be used, tp_btf and raw ones can");
	else
		SYSTEM(MISSING, "tracefs", NULL, "%s: classic tracepoints cannot be used, tp_btf and raw ones can",
		       dir == -ENODEV ? "not in this kernel" : strerror(-dir));
}

static void check_cgroups(struct weir__findings *f)
{
	char mounts[65536];
	struct statfs fs;
	bool v1, v2;

	/* A container host has hundreds of mounts; the cgroup ones come early. */
	read_text("/proc/self/mounts", mounts, sizeof mounts);
	v1 = strstr(mounts, " cgroup ") != NULL;
	v2 = strstr(mounts, " cgroup2 ") != NULL;
	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == 0x63677270) /* CGROUP2_SUPER_MAGIC */
		SYSTEM(OK, "cgroups", NULL, "v2");
	else if (v1)
		SYSTEM(OK, "cgroups", NULL, v2 ? "v1, with v2 beside it" : "v1");
	else if (v2)
		SYSTEM(OK, "cgroups", NULL, "v2, not at /sys/fs/cgroup");
	else
		SYSTEM(MISSING, "cgroups", "mount them: mount -t cgroup2 none /sys/fs/cgroup",
		       "not mounted: no numbers per cgroup");
}

static void check_file(struct weir__findings *f, const char *name, const char *path,
                       const char *good, const char *bad, const char *todo)
{
	char text[64];
	int r = read_text(path, text, sizeof text);

	if (r == 0)
		SYSTEM(OK, name, NULL, "%s", good);
	else if (r == -EACCES || r == -EPERM)
		SYSTEM(MISSING, name, "run as root, or grant CAP_SYS_PTRACE", "not readable: %s", bad);
	else
		SYSTEM(MISSING, name, todo, "%s: %s", r == -ENOENT ? "not in this kernel" : strerror(-r), bad);
}

/* Other processes' too, as collectors need it: a sample of 64. */
static void check_process_io(struct weir__findings *f)
{
	unsigned readable = 0, forbidden = 0;
	char path[300], text[32];
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d && readable + forbidden < 64 && (e = readdir(d))) {
		int r;

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/io", e->d_name);
		r = read_text(path, text, sizeof text);
		readable += r == 0;
		forbidden += r == -EACCES || r == -EPERM;
	}
	if (d)
		closedir(d);
	if (!readable && !forbidden)
		SYSTEM(MISSING, "process I/O", "use a kernel with CONFIG_TASK_IO_ACCOUNTING",
		       "not in this kernel: no bytes read and written per process");
	else if (forbidden)
		SYSTEM(DEGRADED, "process I/O", "run as root, or grant CAP_SYS_PTRACE",
		       "bytes read and written: %u of %u processes may not be asked", forbidden,
		       readable + forbidden);
	else
		SYSTEM(OK, "process I/O", NULL, "bytes read and written per process");
}

void weir__check_system(struct weir__findings *f)
{
	check_version(f);
	check_btf(f);
	check_lockdown(f);
	check_cachestat(f);
	check_rights(f);
	check_memlock(f);
	check_tracefs(f);
	check_cgroups(f);
	check_file(f, "pressure", "/proc/pressure/io", "stall information (PSI)",
	           "no stall information (PSI)", "boot with psi=1");
	check_process_io(f);
	check_file(f, "block devices", "/proc/diskstats", "requests and times per device",
	           "no numbers per block device", NULL);
}
