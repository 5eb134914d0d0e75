/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes that make traffic. See actor.h. */
#include "actor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256 << 10)

static char buffer[BUFFER];

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void nap_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

void stay_on_one_cpu(void)
{
	cpu_set_t may, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof may, &may))
		net_die("no affinity");
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &may))
			CPU_SET(i, &one);
	if (sched_setaffinity(0, sizeof one, &one))
		net_die("cannot stay on a CPU");
}

pid_t actor_start(const struct ns *ns, const char *comm, actor_fn fn, void *arg)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		net_die("cannot fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	if (comm)
		prctl(PR_SET_NAME, comm);
	if (ns)
		ns_enter(ns);
	fn(arg);
	_exit(0); /* not exit(): what the test registered is the test's */
}

void actor_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void actor_wait(pid_t pid, unsigned seconds)
{
	double until = now_seconds() + seconds;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now_seconds() > until) {
			actor_kill(pid);
			net_die("an actor is not done after %u s", seconds);
		}
		nap_ms(2);
	}
	errno = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		net_die("an actor failed: status %d", status);
}

void *shared_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		net_die("no memory to share");
	return p;
}

void shared_free(void *memory, size_t size)
{
	munmap(memory, size);
}

void flag_wait(const _Atomic uint32_t *flag, uint32_t value)
{
	double until = now_seconds() + 30;

	while (atomic_load(flag) < value) {
		if (now_seconds() > until)
			net_die("waited in vain for another actor");
		nap_ms(1);
	}
}

/* ---- sockets --------------------------------------------------------------------------- */

static int open_bound(const struct sockaddr_storage *at, socklen_t len, int type, bool reuse_port)
{
	int fd = socket(at->ss_family, type | SOCK_CLOEXEC, 0), yes = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes))
		net_die("cannot open a socket");
	if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes))
		net_die("no SO_REUSEPORT");
	if (bind(fd, (const struct sockaddr *)at, len))
		net_die("cannot bind");
	return fd;
}

int open_listener(const struct sockaddr_storage *at, socklen_t len, bool reuse_port)
{
	int fd = open_bound(at, len, SOCK_STREAM, reuse_port);

	if (listen(fd, 4096))
		net_die("cannot listen");
	return fd;
}

int open_udp(const struct sockaddr_storage *at, socklen_t len, bool reuse_port)
{
	int fd = open_bound(at, len, SOCK_DGRAM, reuse_port), bytes = 32 << 20;

	/* Beyond rmem_max; root may. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
		net_die("cannot set a receive buffer");
	return fd;
}

int open_client(const struct sockaddr_storage *to, socklen_t len)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, len))
		net_die("cannot connect");
	return fd;
}

void send_all(int fd, size_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, buffer, bytes < BUFFER ? bytes : BUFFER, MSG_NOSIGNAL);

		if (n <= 0)
			net_die("cannot send");
		bytes -= (size_t)n;
	}
}

uint64_t receive(int fd, size_t bytes)
{
	uint64_t all = 0;

	while (all < bytes) {
		size_t want = bytes - all < BUFFER ? bytes - all : BUFFER;
		ssize_t n = recv(fd, buffer, want, 0);

		if (n < 0)
			net_die("cannot receive");
		if (!n)
			break;
		all += (uint64_t)n;
	}
	return all;
}

uint16_t address_port(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
	                                     : ((const struct sockaddr_in6 *)a)->sin6_port);
}

uint16_t port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		net_die("a socket without a name");
	return address_port(&a);
}

uint16_t peer_port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;

	if (getpeername(fd, (struct sockaddr *)&a, &len))
		net_die("a socket without a peer");
	return address_port(&a);
}
