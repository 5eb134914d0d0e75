/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsers for what procfs and cgroupfs say; contracts in parse.h.
 *
 * Happy path: line by line, word by word, each a [at, end) of the caller's bytes.
 * Failure modes: a word that is no number, a line that lacks one, a text that was
 * cut: that line is passed over. Nothing is read beyond `end`; sums saturate.
 */
#include "parse.h"
#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool procfs_line(struct procfs_text *t, struct procfs_text *ret_line)
{
	const char *nl = t->at < t->end ? memchr(t->at, '\n', (size_t)(t->end - t->at)) : NULL;

	if (!nl)
		return false;
	*ret_line = (struct procfs_text){ t->at, nl };
	t->at = nl + 1;
	return true;
}

bool procfs_word(struct procfs_text *line, struct procfs_text *ret_word)
{
	const char *at = line->at;

	while (at < line->end && is_blank(*at))
		at++;
	if (at == line->end) {
		line->at = at;
		return false;
	}
	ret_word->at = at;
	while (at < line->end && !is_blank(*at))
		at++;
	ret_word->end = at;
	line->at = at;
	return true;
}

bool procfs_is(struct procfs_text w, const char *s)
{
	size_t len = strlen(s);

	return (size_t)(w.end - w.at) == len && !memcmp(w.at, s, len);
}

static bool starts_with(struct procfs_text w, const char *s, size_t len)
{
	return (size_t)(w.end - w.at) >= len && !memcmp(w.at, s, len);
}

bool procfs_u64(struct procfs_text w, uint64_t *ret)
{
	uint64_t v = 0;

	if (w.at >= w.end)
		return false;
	for (; w.at < w.end; w.at++) {
		uint64_t digit = (uint64_t)(*w.at - '0');

		if (!is_digit(*w.at) || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

static bool next_u64(struct procfs_text *line, uint64_t *ret)
{
	struct procfs_text w;

	return procfs_word(line, &w) && procfs_u64(w, ret);
}

/* The unsigned 32-bit figures of diskstats; some kernels print them signed. */
static bool next_u32(struct procfs_text *line, uint32_t *ret)
{
	uint64_t v;

	if (!next_u64(line, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool skip(struct procfs_text *line, int words)
{
	struct procfs_text w;

	while (words--)
		if (!procfs_word(line, &w))
			return false;
	return true;
}

/* ---- keys and values ------------------------------------------------------- */

static void take_key(struct procfs_text key, uint64_t v, const char *const *keys, unsigned int n,
                     uint64_t *values, uint64_t *found)
{
	for (unsigned int i = 0; i < n; i++) {
		size_t len = keys[i] ? strlen(keys[i]) : 0;
		uint64_t bit = 1ull << i;

		if (!len)
			continue;
		if (keys[i][len - 1] == '*') {
			if (!starts_with(key, keys[i], len - 1))
				continue;
			values[i] = *found & bit ? sum(values[i], v) : v;
			*found |= bit;
		} else if (procfs_is(key, keys[i])) {
			values[i] = v;
			*found |= bit;
		}
	}
}

uint64_t procfs_parse_keys(const char *text, size_t len, const char *const *keys, unsigned int n,
                           uint64_t *values)
{
	struct procfs_text t = procfs_text(text, len), line, key, unit;
	uint64_t found = 0, v;

	if (n > 64)
		return 0;
	while (procfs_line(&t, &line)) {
		if (!procfs_word(&line, &key) || !next_u64(&line, &v))
			continue;
		if (key.end[-1] == ':')
			key.end--;
		if (procfs_word(&line, &unit) && procfs_is(unit, "kB"))
			v = v > UINT64_MAX / 1024 ? UINT64_MAX : v * 1024;
		take_key(key, v, keys, n, values, &found);
	}
	return found;
}

int procfs_parse_value(const char *text, size_t len, uint64_t *ret)
{
	struct procfs_text t = procfs_text(text, len), line, w;

	if (!procfs_line(&t, &line) || !procfs_word(&line, &w))
		return -EBADMSG;
	if (procfs_is(w, "max")) {
		*ret = UINT64_MAX;
		return 0;
	}
	return procfs_u64(w, ret) ? 0 : -EBADMSG;
}

/* ---- /proc/PID/stat -------------------------------------------------------- */

/* The kernel writes a newline and a backslash of the name as \n and \\. */
static void copy_comm(char comm[16], const char *at, const char *end)
{
	size_t n = 0;

	memset(comm, 0, 16);
	while (at < end && n < 15) {
		char c = *at++;

		if (c == '\\' && at < end && (*at == 'n' || *at == '\\'))
			c = *at++ == 'n' ? '\n' : '\\';
		comm[n++] = c;
	}
}

/* "pid (name) S ppid pgrp session tty tpgid flags minflt cminflt majflt ..."; the
 * name may hold anything, ')' too, and what follows the last ')' is numbers. */
int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *ret)
{
	const char *open = memchr(text, '(', len), *close = memrchr(text, ')', len);
	struct procfs_text rest;
	uint64_t ppid, major, start;

	if (!open || !close || close < open)
		return -EBADMSG;
	rest = (struct procfs_text){ close + 1, text + len };
	if (!memchr(rest.at, '\n', (size_t)(rest.end - rest.at)))
		return -EBADMSG;
	/* of the fields behind the name: ppid is the 2nd, majflt the 10th, start
	 * the 20th */
	if (!skip(&rest, 1) || !next_u64(&rest, &ppid) || !skip(&rest, 7) ||
	    !next_u64(&rest, &major) || !skip(&rest, 9) || !next_u64(&rest, &start))
		return -EBADMSG;
	ret->ppid = (uint32_t)ppid;
	ret->major_faults = major;
	ret->start = start;
	copy_comm(ret->comm, open + 1, close);
	return 0;
}

/* ---- /proc/diskstats ------------------------------------------------------- */

static bool parse_disk(struct procfs_text line, struct procfs_disk *d)
{
	struct procfs_text name;
	size_t len;

	if (!next_u32(&line, &d->major) || !next_u32(&line, &d->minor) ||
	    !procfs_word(&line, &name))
		return false;
	len = (size_t)(name.end - name.at);
	if (len >= sizeof d->name || memchr(name.at, '\0', len))
		return false;
	memset(d->name, 0, sizeof d->name);
	memcpy(d->name, name.at, len);
	return next_u64(&line, &d->reads) && skip(&line, 1) && next_u64(&line, &d->read_sectors) &&
	       next_u32(&line, &d->read_ms) && next_u64(&line, &d->writes) && skip(&line, 1) &&
	       next_u64(&line, &d->write_sectors) && next_u32(&line, &d->write_ms) &&
	       next_u64(&line, &d->in_flight) && next_u32(&line, &d->busy_ms) &&
	       next_u32(&line, &d->queue_ms);
}

bool procfs_next_disk(struct procfs_text *t, struct procfs_disk *ret)
{
	struct procfs_text line;

	while (procfs_line(t, &line))
		if (parse_disk(line, ret))
			return true;
	return false;
}

bool procfs_is_partition(const char *disk, const char *name)
{
	size_t len = strlen(disk);

	if (!len || strncmp(name, disk, len))
		return false;
	name += len;
	/* kernel: "%sp%d" if the disk's name ends in a digit, else "%s%d" */
	if (is_digit(disk[len - 1]) && *name++ != 'p')
		return false;
	if (!*name)
		return false;
	while (is_digit(*name))
		name++;
	return !*name;
}

/* ---- PSI ------------------------------------------------------------------- */

/* "12.34"; more digits than a percentage has are an error. */
static bool parse_percent(struct procfs_text w, double *ret)
{
	const char *dot = memchr(w.at, '.', (size_t)(w.end - w.at));
	struct procfs_text whole = { w.at, dot ? dot : w.end }, part = { dot ? dot + 1 : w.end, w.end };
	uint64_t a, b = 0;
	double scale = 1;

	if (!procfs_u64(whole, &a) || (dot && !procfs_u64(part, &b)))
		return false;
	for (; part.at < part.end; part.at++)
		scale *= 10;
	*ret = (double)a + (double)b / scale;
	return true;
}

static bool parse_stall(struct procfs_text line, struct procfs_pressure *ret, int kind)
{
	double avg[3];
	uint64_t total;
	static const char *const names[] = { "avg10=", "avg60=", "avg300=" };
	struct procfs_text w;

	for (int i = 0; i < 3; i++) {
		if (!procfs_word(&line, &w) || !starts_with(w, names[i], strlen(names[i])))
			return false;
		w.at += strlen(names[i]);
		if (w.at == w.end || !parse_percent(w, &avg[i]))
			return false;
	}
	if (!procfs_word(&line, &w) || !starts_with(w, "total=", 6))
		return false;
	w.at += 6;
	if (!procfs_u64(w, &total))
		return false;
	ret->kind[kind].avg10 = avg[0];
	ret->kind[kind].avg60 = avg[1];
	ret->kind[kind].avg300 = avg[2];
	ret->kind[kind].total_us = total;
	ret->known |= 1u << kind;
	return true;
}

int procfs_parse_pressure(const char *text, size_t len, struct procfs_pressure *ret)
{
	struct procfs_text t = procfs_text(text, len), line, w;

	memset(ret, 0, sizeof *ret);
	while (procfs_line(&t, &line)) {
		if (!procfs_word(&line, &w))
			continue;
		if (procfs_is(w, "some"))
			parse_stall(line, ret, STALL_SOME);
		else if (procfs_is(w, "full"))
			parse_stall(line, ret, STALL_FULL);
	}
	return ret->known ? 0 : -EBADMSG;
}

/* ---- cgroup mounts --------------------------------------------------------- */

/* Is `word` one of the comma-separated items of `list`? */
static bool has_item(struct procfs_text list, const char *word)
{
	while (list.at < list.end) {
		const char *comma = memchr(list.at, ',', (size_t)(list.end - list.at));
		struct procfs_text item = { list.at, comma ? comma : list.end };

		if (procfs_is(item, word))
			return true;
		list.at = comma ? comma + 1 : list.end;
	}
	return false;
}

/* A mount point: blanks and backslashes are written as \ooo. Left empty if it
 * does not fit: half a path would be another one. */
static void copy_path(char *dst, size_t size, struct procfs_text w)
{
	size_t n = 0;

	if (dst[0])
		return;
	while (w.at < w.end && n + 1 < size) {
		unsigned char c = (unsigned char)*w.at++;

		if (c == '\\' && w.end - w.at >= 3 && w.at[0] >= '0' && w.at[0] <= '3' &&
		    w.at[1] >= '0' && w.at[1] <= '7' && w.at[2] >= '0' && w.at[2] <= '7') {
			c = (unsigned char)((w.at[0] - '0') << 6 | (w.at[1] - '0') << 3 | (w.at[2] - '0'));
			w.at += 3;
		}
		dst[n++] = (char)c;
	}
	dst[w.at < w.end ? 0 : n] = '\0';
}

static void parse_mount(struct procfs_text line, struct procfs_mounts *ret)
{
	struct procfs_text point, w, type, options;

	/* id parent major:minor root POINT options [tags...] - TYPE source OPTIONS */
	if (!skip(&line, 4) || !procfs_word(&line, &point))
		return;
	do {
		if (!procfs_word(&line, &w))
			return;
	} while (!procfs_is(w, "-"));
	if (!procfs_word(&line, &type))
		return;
	if (procfs_is(type, "cgroup2")) {
		copy_path(ret->unified, sizeof ret->unified, point);
		return;
	}
	if (!procfs_is(type, "cgroup") || !skip(&line, 1) || !procfs_word(&line, &options))
		return;
	if (has_item(options, "memory"))
		copy_path(ret->memory, sizeof ret->memory, point);
	if (has_item(options, "blkio"))
		copy_path(ret->blkio, sizeof ret->blkio, point);
}

void procfs_parse_mounts(const char *text, size_t len, struct procfs_mounts *ret)
{
	struct procfs_text t = procfs_text(text, len), line;

	memset(ret, 0, sizeof *ret);
	while (procfs_line(&t, &line))
		parse_mount(line, ret);
}

/* ---- I/O of a cgroup ------------------------------------------------------- */

unsigned int procfs_parse_io_stat(const char *text, size_t len, uint64_t values[CGIO_KEYS])
{
	static const char *const names[CGIO_KEYS] = {
		[CGIO_READ_BYTES] = "rbytes=", [CGIO_WRITE_BYTES] = "wbytes=",
		[CGIO_READS] = "rios=", [CGIO_WRITES] = "wios=",
	};
	struct procfs_text t = procfs_text(text, len), line, w;
	unsigned int found = 0;
	uint64_t v;

	memset(values, 0, CGIO_KEYS * sizeof values[0]);
	if (!len) /* the controller is on, and there was no I/O yet */
		return (1u << CGIO_KEYS) - 1;
	while (procfs_line(&t, &line)) {
		while (procfs_word(&line, &w)) {
			for (int i = 0; i < CGIO_KEYS; i++) {
				struct procfs_text n = { w.at + strlen(names[i]), w.end };

				if (!starts_with(w, names[i], strlen(names[i])) || !procfs_u64(n, &v))
					continue;
				values[i] = sum(values[i], v);
				found |= 1u << i;
			}
		}
	}
	return found;
}

bool procfs_parse_blkio(const char *text, size_t len, uint64_t *ret_read, uint64_t *ret_write)
{
	struct procfs_text t = procfs_text(text, len), line, first, what;
	uint64_t reads = 0, writes = 0, v;
	bool known = false;

	while (procfs_line(&t, &line)) {
		if (!procfs_word(&line, &first))
			continue;
		if (procfs_is(first, "Total")) {
			known |= next_u64(&line, &v);
			continue;
		}
		if (!procfs_word(&line, &what) || !next_u64(&line, &v))
			continue;
		if (procfs_is(what, "Read"))
			reads = sum(reads, v);
		else if (procfs_is(what, "Write"))
			writes = sum(writes, v);
	}
	if (!known)
		return false;
	*ret_read = reads;
	*ret_write = writes;
	return true;
}

/* ---- output ---------------------------------------------------------------- */

void procfs_escape(char *dst, size_t size, const char *src, size_t max)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	if (!size)
		return;
	for (size_t i = 0; i < max && src[i]; i++) {
		unsigned char c = (unsigned char)src[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (n + (plain ? 1 : 4) >= size)
			break;
		if (plain) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = 'x';
		dst[n++] = hex[c >> 4];
		dst[n++] = hex[c & 15];
	}
	dst[n] = '\0';
}
