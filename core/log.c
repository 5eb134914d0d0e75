/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log. A line is put together on the caller's stack and goes out with
 * one write(2), so lines of several threads never mix; only the rate limit's small
 * table has a lock.
 *
 * Happy path: level check (one atomic load), rate limit, format, write.
 * Failure modes: a file that cannot be written (full disk) sends the line to stderr;
 * what cannot be written at all counts as suppressed. Never fails its caller.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece: longer lines could mix. */
#define LINE_MAX_BYTES 4096
/* One message, before escaping; what is longer is cut. */
#define MESSAGE_MAX_BYTES 1536
/* Call sites under the rate limit at once. Weir has fewer than this; a plugin with
 * more only makes the limit forget the oldest. */
#define SITES 256
#define SITE_PROBES 8
#define SITE_TEXT 64
#define WINDOW_NS 1000000000ull

struct site {
	const char *fmt;     /* the key: never read through, it may be gone */
	uint32_t plugin;     /* hash of the plugin's name: one must not mute another */
	int level;
	uint64_t window_ns;  /* start of the current second */
	uint64_t lines;      /* in it */
	uint64_t suppressed; /* in it and not said yet */
	char name[32];       /* of the plugin, for the summary line */
	char text[SITE_TEXT];/* start of the format, likewise */
};

struct line {
	char buf[LINE_MAX_BYTES];
	size_t len;
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const level_colours[] = { "\033[31m", "\033[33m", "\033[32m", "\033[2m" };

static _Atomic int log_level = WEIR_INFO;
static _Atomic int log_format = WEIR__LOG_LOGFMT;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic uint64_t log_burst;
static _Atomic uint64_t log_suppressed;

static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static struct site sites[SITES];
static uint64_t swept_ns;

/* ---- putting a line together --------------------------------------------- */

/* Room for the newline and for a closing quote and brace is kept back. */
static bool put(struct line *l, const char *s, size_t n)
{
	if (l->len + n > sizeof l->buf - 4)
		return false;
	memcpy(l->buf + l->len, s, n);
	l->len += n;
	return true;
}

static bool puts_(struct line *l, const char *s)
{
	return put(l, s, strlen(s));
}

/* Length of the valid UTF-8 sequence at s, 0 if there is none. C1 controls
 * (U+0080..9F) count as none: terminals obey them. */
static size_t utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c = s[0];

	if (n == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
		return 0;
	return n;
}

/* A JSON string, which is a logfmt value too. Nothing that a terminal would obey. */
static void put_string(struct line *l, const char *s)
{
	char esc[8];

	puts_(l, "\"");
	while (*s) {
		size_t n = utf8_length((const unsigned char *)s);

		if (*s == '"' || *s == '\\') {
			snprintf(esc, sizeof esc, "\\%c", *s);
			n = 0;
		} else if (!n) {
			snprintf(esc, sizeof esc, *s == '\n' ? "\\n" : *s == '\t' ? "\\t" : "\\u%04x",
			         (unsigned char)*s);
		}
		if (!(n ? put(l, s, n) : puts_(l, esc)))
			break;
		s += n ? n : 1;
	}
	/* The room kept back is for this. */
	l->buf[l->len++] = '"';
}

/* Bare where it needs no quotes. */
static void put_name(struct line *l, const char *s)
{
	if (*s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.")])
		puts_(l, s);
	else
		put_string(l, s);
}

static void put_time(struct line *l)
{
	struct timespec ts;
	struct tm tm;
	char buf[40];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, sizeof buf - n, ".%03ldZ", ts.tv_nsec / 1000000);
	puts_(l, buf);
}

static bool colour(int fd)
{
	const char *no = getenv("NO_COLOR");

	return fd == STDERR_FILENO && !(no && *no) && isatty(fd);
}

static void put_logfmt(struct line *l, int fd, int level, const char *plugin,
                       const char *message, uint64_t suppressed)
{
	bool paint = colour(fd);
	char number[48];

	puts_(l, "time=");
	put_time(l);
	puts_(l, " level=");
	puts_(l, paint ? level_colours[level] : "");
	puts_(l, level_names[level]);
	puts_(l, paint ? "\033[0m" : "");
	if (plugin && *plugin) {
		puts_(l, " plugin=");
		put_name(l, plugin);
	}
	if (suppressed) {
		snprintf(number, sizeof number, " suppressed=%" PRIu64, suppressed);
		puts_(l, number);
	}
	puts_(l, " msg=");
	put_string(l, message);
}

static void put_json(struct line *l, int level, const char *plugin, const char *message,
                     uint64_t suppressed)
{
	char number[48];

	puts_(l, "{\"time\":\"");
	put_time(l);
	puts_(l, "\",\"level\":\"");
	puts_(l, level_names[level]);
	puts_(l, "\"");
	if (plugin) {
		puts_(l, ",\"plugin\":");
		put_string(l, plugin);
	}
	if (suppressed) {
		snprintf(number, sizeof number, ",\"suppressed\":%" PRIu64, suppressed);
		puts_(l, number);
	}
	puts_(l, ",\"msg\":");
	put_string(l, message);
	l->buf[l->len++] = '}';
}

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* suppressed: lines of the same call site left out before this one. */
static void write_line(int level, const char *plugin, const char *message, uint64_t suppressed)
{
	int fd = atomic_load(&log_fd);
	struct line l;

	l.len = 0;
	if (atomic_load(&log_format) == WEIR__LOG_JSON)
		put_json(&l, level, plugin, message, suppressed);
	else
		put_logfmt(&l, fd, level, plugin, message, suppressed);
	l.buf[l.len++] = '\n';
	if (write_all(fd, l.buf, l.len))
		return;
	if (fd == STDERR_FILENO || !write_all(STDERR_FILENO, l.buf, l.len))
		atomic_fetch_add(&log_suppressed, 1);
}

/* ---- rate limit ------------------------------------------------------------ */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	while (s && *s)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

static void site_name(struct site *s, const char *fmt, int level, const char *plugin)
{
	s->level = level;
	snprintf(s->name, sizeof s->name, "%s", plugin ? plugin : "");
	snprintf(s->text, sizeof s->text, "%s", fmt);
}

/* The site's slot; if all its places are taken, that of the longest quiet. What
 * was suppressed there is said through *said. */
static struct site *site_find(const char *fmt, int level, const char *plugin, struct site *said)
{
	uint32_t hash = name_hash(plugin);
	size_t first = (((uintptr_t)fmt >> 3) * 31 + hash) % SITES;
	struct site *old = NULL;

	for (size_t i = 0; i < SITE_PROBES; i++) {
		struct site *s = &sites[(first + i) % SITES];

		if (s->fmt == fmt && s->plugin == hash)
			return s;
		if (!old || !s->fmt || s->window_ns < old->window_ns)
			old = s;
		if (!s->fmt)
			break;
	}
	*said = *old;
	memset(old, 0, sizeof *old);
	old->fmt = fmt;
	old->plugin = hash;
	site_name(old, fmt, level, plugin);
	return old;
}

static void say_suppressed(const struct site *s)
{
	char message[SITE_TEXT + 64];

	if (!s->fmt || !s->suppressed)
		return;
	snprintf(message, sizeof message, "left out, too many of: %s", s->text);
	write_line(s->level, s->name[0] ? s->name : NULL, message, s->suppressed);
}

/* Sites that fell silent while lines were suppressed: say so now. */
static void sweep(uint64_t now, uint64_t older_ns)
{
	for (size_t i = 0; i < SITES; i++) {
		struct site said;

		pthread_mutex_lock(&sites_lock);
		said = sites[i];
		if (said.suppressed && now - said.window_ns >= older_ns)
			sites[i].suppressed = 0;
		else
			said.suppressed = 0;
		pthread_mutex_unlock(&sites_lock);
		say_suppressed(&said);
	}
}

/* May this line go out? *ret_suppressed: how many were left out before it. */
static bool admit(int level, const char *plugin, const char *fmt, uint64_t burst,
                  uint64_t *ret_suppressed)
{
	struct site said = { 0 }, *s;
	uint64_t now = now_ns();
	bool ok, due;

	pthread_mutex_lock(&sites_lock);
	due = now - swept_ns >= WINDOW_NS;
	if (due)
		swept_ns = now;
	s = site_find(fmt, level, plugin, &said);
	if (now - s->window_ns >= WINDOW_NS) {
		s->window_ns = now;
		s->lines = 0;
	}
	ok = s->lines++ < burst;
	*ret_suppressed = ok ? s->suppressed : 0;
	s->suppressed = ok ? 0 : s->suppressed + 1;
	pthread_mutex_unlock(&sites_lock);

	say_suppressed(&said);
	if (due)
		sweep(now, WINDOW_NS);
	if (!ok)
		atomic_fetch_add(&log_suppressed, 1);
	return ok;
}

/* ---- interface --------------------------------------------------------------- */

int weir__log_setup(const struct weir__log_config *cfg)
{
	/* Our own descriptor, kept for good: a thread may be writing to it. */
	static int own = -1;

	if (cfg->file && cfg->file[0]) {
		int fd = open(cfg->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

		if (fd < 0)
			return -errno;
		if (own >= 0) {
			dup3(fd, own, O_CLOEXEC);
			close(fd);
		} else {
			own = fd;
		}
		atomic_store(&log_fd, own);
	} else {
		atomic_store(&log_fd, STDERR_FILENO);
	}
	atomic_store(&log_level, cfg->level);
	atomic_store(&log_format, cfg->format);
	atomic_store(&log_burst, cfg->burst);
	return 0;
}

void weir__vlog(int level, const char *plugin, const char *fmt, va_list ap)
{
	char message[MESSAGE_MAX_BYTES];
	uint64_t burst = atomic_load(&log_burst), suppressed = 0;
	int saved = errno, n;

	if (level < WEIR_ERROR)
		level = WEIR_ERROR;
	if (level > WEIR_DEBUG)
		level = WEIR_DEBUG;
	if (level > atomic_load(&log_level))
		return;
	if (burst && !admit(level, plugin, fmt, burst, &suppressed)) {
		errno = saved;
		return;
	}
	errno = saved; /* for %m */
	n = vsnprintf(message, sizeof message, fmt, ap);
	if (n >= (int)sizeof message)
		memcpy(message + sizeof message - 4, "...", 4);
	write_line(level, plugin, n < 0 ? fmt : message, suppressed);
	errno = saved;
}

void weir__log(int level, const char *plugin, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	weir__vlog(level, plugin, fmt, ap);
	va_end(ap);
}

void weir__log_flush(void)
{
	sweep(now_ns(), 0);
}

uint64_t weir__log_suppressed(void)
{
	return atomic_load(&log_suppressed);
}
