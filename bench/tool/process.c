/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes use and how long they take: usage, ready, time.
 */
#include "tool.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing measured here takes as long; then it hangs. */
#define TIMEOUT_NS 30000000000u

/* CPU time of all threads, alive ones only, by the scheduler's own clock. */
static uint64_t threads_ns(int pid)
{
	char path[300], text[128];
	uint64_t total = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
		f = *e->d_name == '.' ? NULL : fopen(path, "r");
		if (f && fgets(text, sizeof text, f))
			total += strtoull(text, NULL, 10);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return total;
}

static int stat_ticks(int pid, uint64_t *user, uint64_t *sys)
{
	char path[64], text[1024] = "", *at;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	at = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
	fclose(f);
	if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
	                  user, sys) != 2)
		return -EINVAL;
	return 0;
}

static long resident_kib(int pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f) && sscanf(line, "VmRSS: %ld", &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

int tool_usage(int argc, char **argv)
{
	uint64_t user, sys, tick;
	int pid = argc == 2 ? atoi(argv[1]) : 0;

	if (pid <= 0 || stat_ticks(pid, &user, &sys)) {
		fprintf(stderr, "bench-tool usage: no such process\n");
		return 1;
	}
	tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %ld\n", user * tick, sys * tick,
	       threads_ns(pid), resident_kib(pid));
	return 0;
}

/* 1: GET /ready answers 200. */
static int is_ready(int port)
{
	static const char get[] = "GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n";
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval second = { 1, 0 };
	char answer[64] = "";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to) &&
	    write(fd, get, sizeof get - 1) == (ssize_t)sizeof get - 1 &&
	    read(fd, answer, sizeof answer - 1) > 12)
		yes = !strncmp(answer + 9, "200", 3);
	if (fd >= 0)
		close(fd);
	return yes;
}

static pid_t spawn(char **argv, const char *log)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (fd >= 0)
			dup2(fd, 1), dup2(fd, 2);
		signal(SIGINT, SIG_DFL);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

int tool_ready(int argc, char **argv)
{
	uint64_t start = tool_now();
	pid_t pid;

	if (argc < 4)
		return 2;
	pid = spawn(argv + 3, argv[2]);
	while (pid > 0 && tool_now() - start < TIMEOUT_NS) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			break;
		if (is_ready(atoi(argv[1]))) {
			printf("%d %.1f\n", (int)pid, (double)(tool_now() - start) / 1e6);
			return 0;
		}
		usleep(1000);
	}
	if (pid > 0)
		kill(pid, SIGKILL);
	fprintf(stderr, "bench-tool ready: %s did not get ready; see %s\n", argv[3], argv[2]);
	return 1;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int tool_time(int argc, char **argv)
{
	double ms[100];
	int n = argc > 2 ? atoi(argv[1]) : 0, status = 0;

	if (n < 1 || n > 100)
		return 2;
	for (int i = 0; i < n; i++) {
		uint64_t start = tool_now();
		pid_t pid = spawn(argv + 2, "/dev/null");

		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 1;
		ms[i] = (double)(tool_now() - start) / 1e6;
	}
	qsort(ms, (size_t)n, sizeof *ms, compare);
	printf("%.1f %.1f %d\n", ms[0], ms[n / 2], WEXITSTATUS(status));
	return 0;
}
