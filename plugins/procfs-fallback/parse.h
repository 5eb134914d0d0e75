/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsers for what procfs and cgroupfs say. Each takes bytes, not strings: the
 * text need not end in a NUL, may hold anything, and may have been cut anywhere.
 * A line without its newline was cut and is not read, since half a number is a
 * wrong number. What is not there is reported as missing, never as 0.
 *
 * Threads: pure functions, no state.
 */
#ifndef PROCFS_PARSE_H
#define PROCFS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of a text: [at, end). */
struct procfs_text {
	const char *at, *end;
};
static inline struct procfs_text procfs_text(const char *text, size_t len)
{
	return (struct procfs_text){ text, text + len };
}

/* The next whole line, without its newline; false: there is none. */
bool procfs_line(struct procfs_text *t, struct procfs_text *ret_line);
/* The next run of bytes that are not blanks; false: there is none. */
bool procfs_word(struct procfs_text *line, struct procfs_text *ret_word);
bool procfs_is(struct procfs_text w, const char *s);
/* All of the word is a decimal number that fits. */
bool procfs_u64(struct procfs_text w, uint64_t *ret);

/*
 * "key value" or "key: value [kB]" on each line: vmstat, meminfo, memory.stat,
 * /proc/PID/io. Values go to values[i] for keys[i]; kB become bytes. A key that
 * ends in '*' takes the sum of all lines that begin with it; a NULL key is never
 * found. Returns a bit for each key that was found. n: at most 64.
 */
uint64_t procfs_parse_keys(const char *text, size_t len, const char *const *keys, unsigned int n,
                           uint64_t *values);

/* A file with one number. "max" is UINT64_MAX. 0 or -EBADMSG. */
int procfs_parse_value(const char *text, size_t len, uint64_t *ret);

/* /proc/PID/stat */
struct procfs_stat {
	uint32_t ppid;
	uint64_t major_faults;
	uint64_t start;  /* clock ticks after boot: together with the pid, who it is */
	char comm[16];   /* any byte but NUL; ends at the first NUL */
};
/* 0 or -EBADMSG. */
int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *ret);

/* One line of /proc/diskstats. */
struct procfs_disk {
	uint32_t major, minor;
	char name[32];
	uint64_t reads, read_sectors, writes, write_sectors; /* sectors of 512 bytes */
	uint32_t read_ms, write_ms, busy_ms, queue_ms;       /* these wrap at 2^32 */
	uint64_t in_flight;
};
/* The next well-formed line; others are passed over. false: the end. */
bool procfs_next_disk(struct procfs_text *t, struct procfs_disk *ret);
/* Is `name` how the kernel names a partition of `disk`? sda1, nvme0n1p1; but
 * loop10 is no partition of loop1. */
bool procfs_is_partition(const char *disk, const char *name);

/* PSI: a pressure file. */
enum procfs_stall_kind { STALL_SOME, STALL_FULL, STALL_KINDS };
struct procfs_pressure {
	unsigned int known;  /* bit per kind */
	struct {
		double avg10, avg60, avg300; /* percent */
		uint64_t total_us;
	} kind[STALL_KINDS];
};
/* 0, or -EBADMSG if it holds neither kind. */
int procfs_parse_pressure(const char *text, size_t len, struct procfs_pressure *ret);

/* Where cgroups are mounted. An empty string: not mounted. */
struct procfs_mounts {
	char memory[256]; /* v1 */
	char blkio[256];  /* v1 */
	char unified[256];
};
/* /proc/PID/mountinfo; the first mount of each hierarchy counts. */
void procfs_parse_mounts(const char *text, size_t len, struct procfs_mounts *ret);

/* Sums over all devices. */
enum procfs_cgio_key { CGIO_READ_BYTES, CGIO_WRITE_BYTES, CGIO_READS, CGIO_WRITES, CGIO_KEYS };
/* io.stat of v2: all four; an empty file is four zeros. Returns a bit for each
 * that was found. */
unsigned int procfs_parse_io_stat(const char *text, size_t len, uint64_t values[CGIO_KEYS]);
/* blkio.throttle.* of v1: the Read and Write lines. true: at least its Total is
 * there (a cgroup without I/O has only that). */
bool procfs_parse_blkio(const char *text, size_t len, uint64_t *ret_read, uint64_t *ret_write);

/* Printable: other bytes, and the backslash, become \xNN. Always ends in a NUL. */
void procfs_escape(char *dst, size_t size, const char *src, size_t max);

/* How much a counter grew. One that went back did not grow: the kernel sums some
 * over CPUs or threads and may be seen in between. */
static inline uint64_t procfs_delta(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

#endif
