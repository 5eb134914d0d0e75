/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's own process, read from /proc/self. */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

/* Fields after the command, which may hold anything, even ") ". */
static int read_stat(struct weir__process_info *ret)
{
	char text[1024], *at;
	unsigned long long start;
	long threads, pages;
	struct timespec now, boot;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n;

	if (!f)
		return -errno;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
	                  "%*d %*d %ld %*d %llu %*u %ld", &threads, &start, &pages) != 3)
		return -EPROTO;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ret->threads = (uint64_t)threads;
	ret->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	ret->start_time_s = (double)now.tv_sec - (double)boot.tv_sec +
		(double)start / (double)sysconf(_SC_CLK_TCK);
	return 0;
}

uint64_t weir__process_resident(pid_t pid)
{
	unsigned long long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int weir__process_info(struct weir__process_info *ret)
{
	struct rusage ru;
	struct rlimit lim = { 0, 0 };

	memset(ret, 0, sizeof *ret);
	getrusage(RUSAGE_SELF, &ru);
	getrlimit(RLIMIT_NOFILE, &lim);
	ret->user_s = (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6;
	ret->system_s = (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6;
	ret->max_fds = lim.rlim_cur;
	ret->open_fds = count_fds();
	return read_stat(ret);
}
