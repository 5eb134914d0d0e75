/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of system calls of a plugin's process, by libseccomp.
 *
 * Three fates: what Weir, libc, libuv, nng and libbpf need is allowed; what only an
 * attacker does kills the process with SIGSYS, so that the breaker can name it; all
 * else fails with EPERM, which a plugin can handle. Speed: calls allowed whatever
 * their arguments cost one bit test (the kernel's action cache, Linux 5.11); before
 * that a binary tree of eight comparisons.
 *
 * One filter for the whole life: a second one after the start would have to leave in
 * bpf(2), mmap and files, that is, everything worth taking.
 * Failure modes: a kernel without filters (-EOPNOTSUPP), no memory.
 */
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/plugin.h>

/* libseccomp's macros leave the second datum out, which clang warns of where they are used. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define ALLOW(name, why)  { #name, WEIR__CONFINE_ALLOW, why },
#define BPF(name, why)    { #name, WEIR__CONFINE_BPF, why },
#define PERF(name, why)   { #name, WEIR__CONFINE_PERF, why },
#define ABSENT(name, why) { #name, WEIR__CONFINE_ABSENT, why },
#define KILL(name, why)   { #name, WEIR__CONFINE_KILL, why },

/* In the order of their rates under load. Calls with conditions are in conditions(). */
static const struct weir__confine_row table[] = {
	/* the data path */
	ALLOW(epoll_wait, "every event loop")
	ALLOW(epoll_pwait, "every event loop")
	ALLOW(epoll_pwait2, "every event loop")
	ALLOW(read, "wakes, timers, files")
	ALLOW(write, "wakes, logs, outputs")
	ALLOW(futex, "locks")
	ALLOW(sendmsg, "nng over ipc, the control channel")
	ALLOW(recvmsg, "nng over ipc, the control channel")
	ALLOW(writev, "outputs")
	ALLOW(readv, "nng")
	ALLOW(timerfd_settime, "the drain's timer")
	ALLOW(clock_gettime, "where the vDSO cannot")
	ALLOW(gettimeofday, "where the vDSO cannot")
	ALLOW(time, "where the vDSO cannot")
	ALLOW(clock_getres, "libuv")
	ALLOW(clock_nanosleep, "waiting")
	ALLOW(nanosleep, "waiting")
	ALLOW(sendto, "outputs")
	ALLOW(recvfrom, "outputs, netlink")
	ALLOW(sendmmsg, "the resolver")
	ALLOW(recvmmsg, "packets")
	ALLOW(sched_yield, "locks")
	ALLOW(restart_syscall, "after a stop and continue")
	ALLOW(rt_sigreturn, "signals")
	BPF(bpf, "maps, programs, links")
	PERF(perf_event_open, "tracepoints, sampling")
	/* memory */
	ALLOW(mmap, "memory, rings, libraries that libc loads late")
	ALLOW(mmap2, "likewise")
	ALLOW(munmap, "memory")
	ALLOW(mremap, "realloc")
	ALLOW(mprotect, "libc, thread stacks, JITs")
	ALLOW(madvise, "giving memory back")
	ALLOW(brk, "malloc")
	ALLOW(mlock, "secrets")
	ALLOW(munlock, "secrets")
	ALLOW(memfd_create, "shared buffers")
	ALLOW(membarrier, "libc")
	/* descriptors and files: what may be opened is for the user's rights to say */
	ALLOW(close, "descriptors")
	ALLOW(close_range, "descriptors")
	ALLOW(openat, "files")
	ALLOW(open, "files")
	ALLOW(openat2, "files")
	ALLOW(creat, "files")
	ALLOW(pread64, "files")
	ALLOW(pwrite64, "files")
	ALLOW(preadv, "files")
	ALLOW(pwritev, "files")
	ALLOW(preadv2, "files")
	ALLOW(pwritev2, "files")
	ALLOW(lseek, "files")
	ALLOW(_llseek, "files")
	ALLOW(fstat, "files")
	ALLOW(fstat64, "files")
	ALLOW(stat, "files")
	ALLOW(stat64, "files")
	ALLOW(lstat, "files")
	ALLOW(newfstatat, "files")
	ALLOW(fstatat64, "files")
	ALLOW(statx, "files")
	ALLOW(statfs, "which file system")
	ALLOW(fstatfs, "which file system")
	ALLOW(access, "files")
	ALLOW(faccessat, "files")
	ALLOW(faccessat2, "files")
	ALLOW(readlink, "/proc")
	ALLOW(readlinkat, "/proc")
	ALLOW(getdents64, "directories")
	ALLOW(getdents, "directories")
	ALLOW(getcwd, "paths")
	ALLOW(chdir, "paths")
	ALLOW(fchdir, "paths")
	ALLOW(mkdir, "outputs")
	ALLOW(mkdirat, "outputs")
	ALLOW(rename, "rotation")
	ALLOW(renameat, "rotation")
	ALLOW(renameat2, "rotation")
	ALLOW(unlink, "rotation, sockets")
	ALLOW(unlinkat, "rotation, sockets")
	ALLOW(rmdir, "outputs")
	ALLOW(ftruncate, "files")
	ALLOW(truncate, "files")
	ALLOW(fallocate, "files")
	ALLOW(fsync, "spools")
	ALLOW(fdatasync, "spools")
	ALLOW(sync_file_range, "spools")
	ALLOW(fadvise64, "files")
	ALLOW(flock, "spools")
	ALLOW(fchmod, "sockets, files")
	ALLOW(chmod, "sockets")
	ALLOW(fchmodat, "sockets")
	ALLOW(utimensat, "files")
	ALLOW(umask, "files")
	ALLOW(fcntl, "descriptors")
	ALLOW(fcntl64, "descriptors")
	ALLOW(dup, "descriptors")
	ALLOW(dup2, "descriptors")
	ALLOW(dup3, "descriptors")
	ALLOW(pipe, "libuv")
	ALLOW(pipe2, "libuv")
	ALLOW(ioctl, "perf events, sockets, terminals; TIOCSTI needs a terminal of the session")
	ALLOW(splice, "files")
	ALLOW(sendfile, "files")
	ALLOW(sendfile64, "files")
	ALLOW(copy_file_range, "files")
	ALLOW(inotify_init1, "watching files")
	ALLOW(inotify_add_watch, "watching files")
	ALLOW(inotify_rm_watch, "watching files")
	ALLOW(name_to_handle_at, "a cgroup's id")
	ALLOW(cachestat, "what of a file is cached")
	/* loops */
	ALLOW(epoll_create1, "libuv, nng")
	ALLOW(epoll_create, "libuv")
	ALLOW(epoll_ctl, "libuv, nng")
	ALLOW(eventfd2, "libuv, nng")
	ALLOW(timerfd_create, "the drain's timer")
	ALLOW(timerfd_gettime, "timers")
	ALLOW(signalfd4, "libuv")
	ALLOW(poll, "sockets")
	ALLOW(ppoll, "sockets")
	ALLOW(select, "sockets")
	ALLOW(pselect6, "sockets")
	/* sockets; which families: conditions() */
	ALLOW(socketpair, "libuv")
	ALLOW(connect, "nng, outputs")
	ALLOW(bind, "nng, netlink, intake")
	ALLOW(listen, "nng, intake")
	ALLOW(accept, "nng, intake")
	ALLOW(accept4, "nng, intake")
	ALLOW(shutdown, "sockets")
	ALLOW(getsockname, "sockets")
	ALLOW(getpeername, "sockets")
	ALLOW(getsockopt, "sockets")
	ALLOW(setsockopt, "sockets")
	/* threads and the process itself */
	ABSENT(clone3, "its flags cannot be looked at; libc then uses clone")
	ALLOW(set_robust_list, "threads")
	ALLOW(set_tid_address, "threads")
	ALLOW(rseq, "threads")
	ALLOW(arch_prctl, "threads")
	ALLOW(gettid, "threads")
	ALLOW(getpid, "itself")
	ALLOW(getppid, "itself")
	ALLOW(getuid, "itself")
	ALLOW(geteuid, "itself")
	ALLOW(getgid, "itself")
	ALLOW(getegid, "itself")
	ALLOW(getresuid, "itself")
	ALLOW(getresgid, "itself")
	ALLOW(getgroups, "itself")
	ALLOW(capget, "itself")
	ALLOW(capset, "only ever less")
	ALLOW(rt_sigaction, "signals")
	ALLOW(rt_sigprocmask, "signals")
	ALLOW(rt_sigpending, "signals")
	ALLOW(rt_sigtimedwait, "signals")
	ALLOW(rt_sigsuspend, "signals")
	ALLOW(sigaltstack, "signals")
	ALLOW(pause, "signals")
	ALLOW(sched_getaffinity, "libuv, nng: how many CPUs")
	ALLOW(sched_setaffinity, "one's own threads")
	ALLOW(sched_getscheduler, "libc")
	ALLOW(sched_getparam, "libc")
	ALLOW(getpriority, "one's own threads")
	ALLOW(setpriority, "one's own threads")
	ALLOW(getcpu, "libc")
	ALLOW(getrlimit, "limits")
	ALLOW(ugetrlimit, "limits")
	ALLOW(getrusage, "accounts")
	ALLOW(times, "accounts")
	ALLOW(sysinfo, "memory of the machine")
	ALLOW(uname, "the kernel")
	ALLOW(getrandom, "seeds")
	ALLOW(exit, "threads")
	ALLOW(exit_group, "the end")
	ALLOW(wait4, "libuv; there is nothing to wait for")
	/* what no plugin does */
	KILL(mount, "changes the node")
	KILL(umount2, "changes the node")
	KILL(move_mount, "changes the node")
	KILL(open_tree, "changes the node")
	KILL(mount_setattr, "changes the node")
	KILL(pivot_root, "leaves the file system")
	KILL(chroot, "leaves the file system")
	KILL(unshare, "leaves the namespaces")
	KILL(setns, "leaves the namespaces")
	KILL(open_by_handle_at, "opens files past their directories")
	KILL(init_module, "code for the kernel")
	KILL(finit_module, "code for the kernel")
	KILL(delete_module, "code of the kernel")
	KILL(kexec_load, "another kernel")
	KILL(kexec_file_load, "another kernel")
	KILL(reboot, "ends the node")
	KILL(swapon, "changes the node")
	KILL(swapoff, "changes the node")
	KILL(sethostname, "changes the node")
	KILL(setdomainname, "changes the node")
	KILL(settimeofday, "changes the node")
	KILL(clock_settime, "changes the node")
	KILL(acct, "changes the node")
	KILL(quotactl, "changes the node")
	KILL(ptrace, "takes over others")
	KILL(process_vm_readv, "reads others")
	KILL(process_vm_writev, "takes over others")
	KILL(pidfd_getfd, "takes what others have open")
	KILL(userfaultfd, "a tool for exploits")
	KILL(add_key, "the kernel's keys")
	KILL(request_key, "the kernel's keys")
	KILL(keyctl, "the kernel's keys")
	KILL(iopl, "ports of the hardware")
	KILL(ioperm, "ports of the hardware")
	KILL(modify_ldt, "a tool for exploits")
	KILL(setuid, "becomes another")
	KILL(setgid, "becomes another")
	KILL(setreuid, "becomes another")
	KILL(setregid, "becomes another")
	KILL(setresuid, "becomes another")
	KILL(setresgid, "becomes another")
	KILL(setfsuid, "becomes another")
	KILL(setfsgid, "becomes another")
	KILL(setgroups, "becomes another")
};

const struct weir__confine_row *weir__confine_table(size_t *ret_count)
{
	*ret_count = sizeof table / sizeof table[0];
	return table;
}

static uint32_t action_of(const struct weir__confine_row *row, uint64_t needs)
{
	const uint64_t admin = WEIR_CAP_SYS_ADMIN;

	switch (row->fate) {
	case WEIR__CONFINE_BPF:
		return needs & (WEIR_CAP_BPF | admin) ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
	case WEIR__CONFINE_PERF:
		return needs & (WEIR_CAP_PERFMON | admin) ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
	case WEIR__CONFINE_ABSENT:
		return SCMP_ACT_ERRNO(ENOSYS);
	case WEIR__CONFINE_KILL:
		return SCMP_ACT_KILL_PROCESS;
	case WEIR__CONFINE_ALLOW:
		break;
	}
	return SCMP_ACT_ALLOW;
}

static int fixed(scmp_filter_ctx ctx, uint64_t needs)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof table / sizeof table[0] && !rc; i++) {
		int nr = seccomp_syscall_resolve_name(table[i].name);

		/* Unknown to this libseccomp, or not on this architecture: then it is
		 * denied, which is right for both. */
		if (nr >= 0)
			rc = seccomp_rule_add(ctx, action_of(&table[i], needs), nr, 0);
	}
	return rc;
}

/* Families: packets only with the right to them. Netlink is what getaddrinfo asks. */
static int families(scmp_filter_ctx ctx, uint64_t needs)
{
	static const int open_to_all[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	int rc = 0;

	for (size_t i = 0; i < 4 && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		                      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)open_to_all[i]));
	if (!rc && (needs & WEIR_CAP_NET_RAW))
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		                      SCMP_A0(SCMP_CMP_EQ, AF_PACKET));
	return rc;
}

/* prctl: names and dumps of itself. The bond to the daemon (PR_SET_PDEATHSIG) may be
 * renewed as it is, and not be taken off. */
static int prctls(scmp_filter_ctx ctx)
{
	static const int harmless[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_DUMPABLE,
		PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS,
		PR_GET_SECCOMP, 0x53564d41 /* PR_SET_VMA: names for mappings */ };
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2,
	                          SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG), SCMP_A1(SCMP_CMP_EQ, SIGKILL));

	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0] && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		                      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)harmless[i]));
	return rc;
}

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
                    CLONE_NEWPID | CLONE_NEWNET)

static int conditions(scmp_filter_ctx ctx, uint64_t needs, bool forks)
{
	scmp_datum_t self = (scmp_datum_t)getpid();
	int rc = families(ctx, needs);

	/* Threads, and no processes unless declared: in the same namespaces then. */
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, forks
		                      ? SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0)
		                      : SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	/* abort() and the like. The daemon has the same uid, and is not to be signalled. */
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self));
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_EQ, self));
	/* Limits may be read; of itself also set, which is only ever down. */
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
	return rc ? rc : prctls(ctx);
}

#if WEIR__SANITIZED
/* The leak check stops its own threads from a process of its own. */
static int for_sanitizers(scmp_filter_ctx ctx)
{
	static const char *const names[] = { "clone", "personality", "process_vm_readv", "prctl", "tkill" };
	int rc = 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0] && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(names[i]), 0);
	return rc;
}
#else
static int for_sanitizers(scmp_filter_ctx ctx)
{
	(void)ctx;
	return 0;
}
#endif

int weir__confine_seal(uint64_t needs, bool forks)
{
	scmp_filter_ctx ctx;
	int rc;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return -EOPNOTSUPP;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	/* All threads, those libraries may have started too. */
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (!rc)
		rc = fixed(ctx, needs);
	if (!rc)
		rc = conditions(ctx, needs, forks);
	if (!rc)
		rc = for_sanitizers(ctx);
	if (!rc)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc == -EINVAL ? -EOPNOTSUPP : rc;
}
