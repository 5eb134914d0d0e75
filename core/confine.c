/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fork and exec: see confine.h.
 *
 * Happy path: own session, limits, rights, then the bond to the parent (last, since
 * a change of rights would undo it), then every descriptor closed that is not the
 * child's. Failure modes: each step's errno; the child must end then, and the parent
 * sees an exit. Async-signal-safe throughout.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc takes it for new threads' stacks too. Ours and those of nng need some 40 KiB;
 * libbpf's relocations 100. */
#define STACK_BYTES (256u << 10)
/* libc, nng's threads, the object libbpf holds while it loads: not the plugin's. */
#define DATA_HEADROOM (48ull << 20)
/* Address space costs nothing, but a runaway shared mapping escapes RLIMIT_DATA.
 * malloc reserves 64 MiB for an arena, of which there are two, and libraries map. */
#define SPACE_HEADROOM (1ull << 30)
/* Signals: the kernel's _NSIG. */
#define SIGNALS 64

static int limit(int what, rlim_t value)
{
	struct rlimit l = { value, value }, old;

	/* Never above what is there: that would need a right. */
	if (getrlimit(what, &old) == 0 && old.rlim_max < value)
		l.rlim_cur = l.rlim_max = old.rlim_max;
	return setrlimit(what, &l) == 0 ? 0 : -errno;
}

/* No RLIMIT_NPROC: it counts all processes and threads of the user, the daemon's too;
 * the cgroup has pids.max and the filter denies fork. No RLIMIT_FSIZE: outputs write
 * files as long as they like. */
static int set_limits(const struct weir__confine *c)
{
	int rc = limit(RLIMIT_CORE, 0);

	if (!rc && c->open_files)
		rc = limit(RLIMIT_NOFILE, c->open_files);
	if (WEIR__SANITIZED)
		return rc;
	if (!rc)
		rc = limit(RLIMIT_STACK, STACK_BYTES);
	if (!rc && c->memory_bytes)
		rc = limit(RLIMIT_DATA, c->memory_bytes + DATA_HEADROOM);
	if (!rc && c->memory_bytes)
		rc = limit(RLIMIT_AS, c->memory_bytes + c->mapped_bytes + SPACE_HEADROOM);
	return rc;
}

static int reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s <= SIGNALS; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0 ? 0 : -errno;
}

static int ambient(uint64_t caps)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return -errno;
	for (unsigned long i = 0; i < 64; i++)
		if ((caps & 1ull << i) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
			return -errno;
	return 0;
}

static uint64_t held_caps(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { 0 } };

	return syscall(SYS_capget, &head, d) == 0 ? d[0].permitted | (uint64_t)d[1].permitted << 32 : 0;
}

/* By the bare calls: libc's would have all threads do it, and there is only this one. */
static int become(uid_t uid, gid_t gid)
{
	if (!uid || geteuid() != 0)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || syscall(SYS_setgroups, 0, NULL) != 0 ||
	    syscall(SYS_setresgid, gid, gid, gid) != 0 || syscall(SYS_setresuid, uid, uid, uid) != 0)
		return -errno;
	return 0;
}

/* What this process and its children can never have, uid 0 or not. */
static void bound(uint64_t caps)
{
	for (unsigned long i = 0; i < 64; i++)
		if (!(caps & 1ull << i) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
}

/* Exactly `needs` of what is held, over the exec: permitted, effective and ambient. */
static int set_rights(uint64_t needs, uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	const uint64_t admin = 1ull << CAP_SYS_ADMIN, bpf = 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	uint64_t held = held_caps(), caps;
	int rc;

	if ((needs & bpf & ~held) && (held & admin))
		needs |= admin; /* a kernel or a container that knows only the old one */
	caps = needs & held;
	if (held & 1ull << CAP_SETPCAP)
		bound(caps);
	rc = become(uid, gid);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++)
		d[i].permitted = d[i].effective = d[i].inheritable = (uint32_t)(caps >> 32 * i);
	if (syscall(SYS_capset, &head, d) != 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return ambient(caps);
}

static int close_between(unsigned first, unsigned last)
{
	struct rlimit l = { 1024, 1024 };

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return 0;
	if (errno != ENOSYS)
		return -errno;
	getrlimit(RLIMIT_NOFILE, &l); /* before Linux 5.9 */
	for (unsigned fd = first; fd <= last && fd < l.rlim_cur; fd++)
		close((int)fd);
	return 0;
}

static int pass_only(const int *keep, size_t count)
{
	unsigned next = 3;
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		if (keep[i] < 3)
			continue;
		if (keep[i] < (int)next || fcntl(keep[i], F_SETFD, 0) != 0)
			return keep[i] < (int)next ? -EINVAL : -errno;
		rc = close_between(next, (unsigned)keep[i] - 1);
		next = (unsigned)keep[i] + 1;
	}
	return rc ? rc : close_between(next, ~0u);
}

int weir__confine_exec(const struct weir__confine *c)
{
	int rc = reset_signals();

	if (!rc && setsid() < 0)
		rc = -errno;
	umask(0077);
	/* Descriptors first: a lower limit must not hide those above it. */
	if (!rc)
		rc = pass_only(c->keep, c->keep_count);
	if (!rc)
		rc = set_limits(c);
	if (!rc)
		rc = set_rights(c->needs, c->uid, c->gid);
	if (!rc && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		rc = -errno;
	/* It may have gone before the kernel knew that it matters. */
	if (!rc && getppid() != c->parent)
		rc = -ESRCH;
	return rc;
}
